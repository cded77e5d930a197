# ---
# jupyter:
#   imc_book:
#     reads:
#     - scores
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: imc_book
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Inter-annotator agreement
#
# **How well do two annotators of the same image agree?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
window_px: int = 256  # edge of a patch, pixels
stride_px: int = 128  # step from one patch to the next, pixels
border_px: int = 28  # ignored border of a patch, pixels
strict: bool = False  # match cells when IoU > t; when False, when IoU >= t
field_um: float = 40.0  # edge of the fields with outlines, µm
sweep_px: int = 256  # edge of the tissues of the last figure, pixels
sweep_tissues: int = 3  # number of those tissues

# %% tags=["hide-input"]
# Colab guard, written by `make sync`: says what to do where the package is missing.
import importlib.util

if importlib.util.find_spec("imc_helpers") is None:
    raise ModuleNotFoundError(
        "The package imc_helpers is not installed, and the book has no public repository yet to "
        "install it from. In a copy of the book, run: pip install --no-deps ."
    )

# %% tags=["hide-input"]
from functools import partial

import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.agreement.score_table import METRICS, read_scores
from imc_helpers.agreement.statistics import crossed_interval
from imc_helpers.agreement.summaries import (
    PAIRWISE_NAMES,
    against,
    as_columns,
    between,
    mean_agreement,
)
from imc_helpers.experiments.shared_errors import copies, correlation_sweep
from imc_helpers.figures.agreement_plots import agreement_matrices, ceiling_curves
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.tissue_images import annotator_overlays, overlay_panels
from imc_helpers.data.manifest import cohort_record, load_edition, published_table
from imc_helpers.data.paths import results_dir
from imc_helpers.data.raters import TRUTH, describe_raters, noun
from imc_helpers.phantom.recipes import find_recipe
from imc_helpers.data.readers.published import open_cohort

everything = {key: open_cohort(key) for key in load_edition(edition).cohorts}
scores = read_scores(
    edition, window_px=window_px, stride_px=stride_px, border_px=border_px, strict=strict
)
pairs = between(scores, everything)
cohorts = {key: everything[key] for key in pairs["cohort"].unique()}
table = as_columns(pairs, PAIRWISE_NAMES)
table.to_csv(results_dir(edition, "annotators") / "pairwise.csv", index=False)
means = mean_agreement(pairs)
rule = "IoU > t" if strict else "IoU ≥ t"
data = source_note(cohorts)
raters = {
    key: [r for r in cohort.raters if r.name in cohort.references]
    for key, cohort in cohorts.items()
}
whose = noun([rater for own in raters.values() for rater in own])
whole = means[means["mode"] == "whole"].set_index("cohort")
of_whole = {
    key: crossed_interval(pairs[(pairs["mode"] == "whole") & (pairs["cohort"] == key)], "ap50")
    for key in whole.index
}


def how_sure(one):
    """Write both intervals of a mean agreement, or that there is none."""
    if pd.isna(one.low_images):
        return "one image, so no interval"
    same = f"{max(one.low_images, 0):.2f} to {min(one.high_images, 1):.2f} on other images"
    if pd.isna(one.low_both):
        return f"{same}; what other raters would reach is undecidable"
    return (
        f"{same}, {max(one.low_both, 0):.2f} to {min(one.high_both, 1):.2f} with other people too"
    )


found = "; ".join(
    f"{row.ap50:.3f} between the {noun(raters[key])} of {cohort_name(key)} ({how_sure(of_whole[key])})"
    for key, row in whole.iterrows()
)
comparison = (
    "The annotators here are simulated. Their habits were tuned, and this group chosen, so that they agree "
    "about as the study's experts do: the closeness is built in, not found."
    if all(cohort_record(key).synthetic for key in cohorts)
    else "That was on other images and with other masks. Here: "
    + "; ".join(
        f"{cohort_name(key)}, {cohort_record(key).modality}, masks by "
        + " and ".join(f"{rater_name(rater.name)} ({rater.how or rater.kind})" for rater in own)
        for key, own in raters.items()
    )
    + "."
)
ceiling = published_table("schuiki25_table3").set_index(["metric", "mode"])["value"]
summary = (
    f"Mean ap50 of whole images, with 95% intervals ([](../decisions/01_agreement)): {found}. The study's four experts reach "
    f"{ceiling['ap50', 'whole']:.3f} (published). {comparison}"
    if cohorts
    else "No cohort of this edition has the masks of two raters for one image, so nobody's agreement can be "
    f"measured here. The study's four experts reach {ceiling['ap50', 'whole']:.3f} in ap50 (published)."
)
answer(summary)

# %% tags=["hide-input"]
if cohorts:
    show(
        partial(agreement_matrices, pairs),
        label="fig-agreement",
        caption=f"Agreement of every pair of {whose}: the mean over whole images or over patches. Two cells "
        f"match when {rule}. {data}",
        alt="Triangles of numbers, a row and a column per rater: one each for ap50, map and sap, on whole "
        "images and on patches of each cohort.",
    )
else:
    display(Markdown("*One mask for an image makes no pair: there is nothing to draw.*"))

# %% [markdown]
# A model is scored against somebody's mask. If two people's masks of one image score .7 against each
# other, a model that scores .7 against one of them may be as good as the other. So the agreement of
# annotators is the yardstick for every model. The study calls it a *reasonable upper bound*
# ({cite:t}`schuiki2025`, section 4.1).

# %% [markdown]
# The metrics are symmetric: it does not matter which mask of two is called the truth.

# %% [markdown]
# ## What they disagree about
#
# Numbers hide what happened. Where two masks of one image exist, the outlines of their cells are drawn
# here. Where a line is white, both masks change between the same two pixels. These are masks that software extended;
# [](05_crops) sets them beside what was drawn by hand.

# %% tags=["hide-input"]
if cohorts:
    overlays = annotator_overlays(cohorts, field_um=field_um, strict=strict)
    show(
        partial(overlay_panels, overlays),
        label="fig-borders",
        caption=f"The middle {field_um:g} µm of the first images: the DNA channel, and the cells of each pair "
        f"outlined in blue and gold, white where the two lines are the same. {data}",
        alt="Small fields of tissue in grey, first bare, then with cells outlined in blue and gold, white "
        "where both agree. The ap50 of each field stands in its corner.",
    )
else:
    display(Markdown("*No image here has two masks.*"))

# %% [markdown]
# ## Who made these masks
#
# Agreement is only as meaningful as the masks it compares. The study's masks come from four experts
# who each trained ilastik on crops of their own drawing. The masks here are these:

# %% tags=["hide-input"]
shown = cohorts or everything
makers = describe_raters({key: cohort.raters for key, cohort in shown.items()})
if len(makers):
    show_table(
        makers,
        label="tab-annotators",
        caption=f"The makers of the masks, from the manifest. {source_note(shown)}",
        merge=["mask of", "cohort"],
    )
else:
    display(Markdown("*No cohort of this edition has a mask.*"))

# %% tags=["hide-input"]
counts = pairs[pairs["mode"] == "whole"].groupby(
    ["cohort", "rater_true", "rater_pred"], sort=False
)[["n_true", "n_pred"]]
sums = counts.sum().reset_index()
both = sums[["n_true", "n_pred"]]
sums["best"] = both.min(axis=1) / both.max(axis=1)
if len(sums):
    show_table(
        sums.rename(
            columns={
                "rater_true": "first",
                "rater_pred": "second",
                "n_true": "cells, first",
                "n_pred": "cells, second",
                "best": "highest AP possible",
            }
        ),
        label="tab-counts",
        caption="Cells that each of a pair found in all samples, and the AP they would reach if "
        f"every cell of the smaller set matched perfectly. {data}",
        decimals=2,
    )

# %% [markdown]
# When one mask has many more cells than the other, they may have outlined different things, or one split
# what the other merged. No matching can pair the cells that only one of them has.

# %% [markdown]
# ## Is agreement a ceiling?
#
# The study reasons that a model closer to one annotator moves away from the others, so that mean
# agreement is a *reasonable upper bound* for models. On real tissue nobody can check that against the
# truth: it is not known. On a phantom it is. So take a model that equals the truth, and score it against
# every annotator; and one that copies an annotator.

# %% tags=["hide-input"]
synthetic = {key: cohort for key, cohort in cohorts.items() if cohort_record(key).synthetic}
if synthetic:
    key, cohort = next(iter(synthetic.items()))
    truth = as_columns(against(scores, {key: [TRUTH]}, cohort.annotators), PAIRWISE_NAMES)
    truth.to_csv(results_dir(edition, "annotators") / "truth.csv", index=False)
    each = copies(scores, cohort)
    people, perfect = each[:-1], each.iloc[-1]
    show_table(
        each,
        label="tab-ceiling",
        caption="Mean ap50 on whole images: of each annotator with the truth and with the other "
        "annotators, and of a model that copies the masks in that row, scored against all annotators "
        f"(the copied one included). A pair of cells matches when {rule}. {source_note([key])}",
    )
else:
    display(
        Markdown(
            "*No cohort of this edition has both several annotators and a known truth: that takes synthetic "
            "tissue. The demo edition asks the question here.*"
        )
    )

# %% tags=["hide-input"]
COPY = "a copy, with all annotators"
if synthetic:
    agreement = whole.loc[key, "ap50"]
    best = people.loc[people[COPY].idxmax()]
    display(
        Markdown(
            f"The annotators' mean agreement is {agreement:.3f}. A model that equals the truth scores "
            f"{perfect[COPY]:.3f} with them, {'below' if perfect[COPY] < agreement else 'above'} it. A model that "
            f"copies {best['masks of']} scores {best[COPY]:.3f} with all of "
            f"them, and {best['with the other annotators']:.3f} with the others alone. Where the truth stands in this one "
            "group is chance as well: in other groups it may stand on the other side ({numref}`fig-ceiling`, and "
            "[](../beyond/01_equivalence) counts many). **So mean agreement is a yardstick, not an upper bound: it says how "
            "alike the annotators are, and not how right.**"
        )
    )

# %% tags=["hide-input"]
if synthetic:
    recipe = cohort_record(key).phantom.recipe
    group = find_recipe(recipe).experts
    sweep = correlation_sweep(
        recipe,
        (0.0, 0.3, 0.6, 0.9),
        side_px=sweep_px,
        seeds=range(1, sweep_tissues + 1),
    )
    sweep.to_csv(results_dir(edition, "annotators") / "ceiling.csv", index=False)
    show(
        partial(ceiling_curves, sweep),
        label="fig-ceiling",
        caption=f"Mean agreement of {group.n_experts} simulated experts, and mean score of the truth with them, as "
        f"their errors correlate: means of {sweep_tissues} tissues, bands from the lowest to the highest. Synthetic.",
        alt="Three panels, one per metric. With rising correlation the agreement of annotators rises; "
        "the score of the truth with them does not.",
    )

# %% tags=["hide-input"]
if synthetic:
    wide = sweep.pivot_table(index="correlation", columns="who", values="ap50")
    ends = [wide.index.min(), wide.index.max()]
    first, last = (wide.loc[c] for c in ends)
    by_tissue = sweep[sweep["who"] == "truth"].pivot_table(
        index="correlation", columns="seed", values="ap50"
    )
    change = by_tissue.loc[ends[1]] - by_tissue.loc[ends[0]]
    order = "below" if first["truth"] < first["annotators"] else "above"
    display(
        Markdown(
            "**Why?** Two annotators differ by the errors of both, the truth and an annotator by the "
            "errors of one. So one expects the truth to win, unless annotators make the *same* "
            f"errors. {{numref}}`fig-ceiling` turns that knob, on tissues of {sweep_px} x {sweep_px} px with experts "
            f"of their own; {cohort_name(key)} was made with a correlation of {group.correlation:g}. At correlation "
            f"{ends[0]:.1f} the truth stands at {first['truth']:.3f}, {order} the agreement of "
            f"{first['annotators']:.3f}: experts without a habit in common still share the image, the "
            f"software, and cells that nobody can see (in {cohort_name(key)} the truth holds {perfect['cells']:,.0f} cells, "
            f"the annotators {people['cells'].min():,} to {people['cells'].max():,}). At correlation "
            f"{ends[1]:.1f} the agreement has risen to {last['annotators']:.3f}, and the truth stands "
            f"at {last['truth']:.3f}; in single tissues it changed by {change.min():+.3f} to "
            f"{change.max():+.3f}. **Shared errors make annotators look better, and a perfect model "
            "look worse beside them.**"
        )
    )

# %% [markdown]
# ## Measured beside published
#
# {numref}`tab-means` is the study's Table 3 for this edition's data: the mean over all pairs, with the
# study's own numbers below.

# %% tags=["hide-input"]
published = ceiling.unstack("metric").reindex(["whole", "patch"])[list(METRICS)].reset_index()
published.insert(
    0, "cohort", f"in-house, as published ({published_table('schuiki25_table3')['source'][0]})"
)
means.to_csv(results_dir(edition, "annotators") / "means.csv", index=False)
show_table(
    pd.concat([means, published] if len(means) else [published], ignore_index=True)
    .reindex(columns=list(means))
    .astype({"pairs": "Int64", "scored": "Int64", "both_empty": "Int64"})
    .rename(columns={"both_empty": "both empty"}),
    label="tab-means",
    caption=f"Mean agreement over all pairs; a pair of cells matches when {rule}. *Scored* counts "
    "images or patches over all pairs; *both empty* counts those where neither mask has a "
    f"cell, which score 1. {data} The last lines are published, not measured here; the study does not "
    "state its rule for a match.",
)

# %% [markdown]
# ## What this does not show
#
# - Which mask is right. Two annotators can agree and both be wrong, as when both miss the same
#   dim cell.
# - Agreement of experts in IMC, unless the table of makers says *expert* beside an IMC cohort. Two tools that
#   agree say how alike the tools are, and nothing about people.
# - What all experts would reach. A handful of people is a small sample of people, however many images they draw:
#   [](../decisions/01_agreement).

# %% tags=["remove-cell"]
assert list(table.columns[:8]) == [
    "cohort", "mode", "sample", "patch", "annotator_true", "annotator_pred", "n_true", "n_pred",
]  # fmt: skip
assert pairs[list(METRICS)].apply(lambda scores: scores.between(0, 1)).to_numpy().all()
assert (pairs["map"] <= pairs["ap50"] + 1e-12).all(), "AP falls with the threshold"
assert pairs.loc[pairs["mode"] == "patch", "patch"].notna().all()
assert pairs.loc[pairs["mode"] == "whole", "patch"].isna().all()
most = {key: len(own) * (len(own) - 1) // 2 for key, own in raters.items()}
assert (means["pairs"] <= means["cohort"].map(most)).all()
if synthetic and edition == "demo" and not strict:
    assert last["annotators"] > first["annotators"], "shared errors raise agreement"
    assert last["annotators"] > last["truth"], "agreement passes the truth"
    assert best["with the other annotators"] >= agreement, "the best annotator is above the mean"
    demo = means.set_index(["cohort", "mode"]).loc[(key, "whole")]
    bands = {"ap50": (0.66, 0.76), "map": (0.30, 0.40), "sap": (0.51, 0.62)}
    for metric, (low, high) in bands.items():
        assert low <= demo[metric] <= high, f"{metric}: the group no longer agrees as calibrated"

# %% [markdown]
# ## Takeaways
#
# - Report agreement with its three conventions: which match rule, whole or patch, and how pairs were
#   averaged.
# - Look at the borders before you believe the number.
# - The mean agreement is a yardstick for models, not an upper bound. How it relates to the score of a
#   perfect model depends on how many errors the annotators share, which real data do not tell.
