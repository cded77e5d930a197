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
        return "one image, so there is no interval"
    same = f"expect {max(one.low_images, 0):.2f} to {min(one.high_images, 1):.2f} on other images"
    if pd.isna(one.low_both):
        return f"{same}; what other raters would reach cannot be estimated"
    return f"{same}, and {max(one.low_both, 0):.2f} to {min(one.high_both, 1):.2f} if other people draw as well"


found = "; ".join(
    f"the {noun(raters[key])} of {cohort_name(key)} agree at a mean ap50 of {row.ap50:.3f} ({how_sure(of_whole[key])})"
    for key, row in whole.iterrows()
)
comparison = (
    "The annotators here are simulated: their habits were tuned, and this group was chosen, so that they agree about as "
    "well as the study's experts, so the similarity is built in and is no finding."
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
    f"On whole images {found}; these are 95% intervals ([](../decisions/01_agreement)). The study's four experts reach "
    f"{ceiling['ap50', 'whole']:.3f} (published). {comparison}"
    if cohorts
    else "No cohort of this edition has masks by two raters for the same image, so agreement cannot be "
    f"measured here. The study's four experts reach {ceiling['ap50', 'whole']:.3f} in ap50 (published)."
)
answer(summary)

# %% tags=["hide-input"]
if cohorts:
    show(
        partial(agreement_matrices, pairs),
        label="fig-agreement",
        caption=f"Agreement of every pair of {whose}: mean score over whole images or over patches. Two cells "
        f"match if {rule}. {data}",
        alt="Triangular matrices of scores with one row and one column per rater: one matrix each for ap50, map and sap, on "
        "whole images and on patches of each cohort.",
    )
else:
    display(Markdown("*No image has two masks, so there is no pair to compare.*"))

# %% [markdown]
# A model is always scored against somebody's mask. If the masks of two people score .7 against each
# other, a model that scores .7 against one of them may be as good as the other person. The agreement of
# annotators is therefore the yardstick for every model. The study calls it a *reasonable upper bound*
# ({cite:t}`schuiki2025`, section 4.1).

# %% [markdown]
# The metrics are symmetric: it does not matter which of the two masks is called the truth.

# %% [markdown]
# ## What they disagree about
#
# A score does not show what people disagree about, so where an image has two masks, their outlines are drawn here.
# A white line means that both masks have a border between the same two pixels. [](05_crops) asks whether the
# disagreement arose in the drawings or in the software that extended them to whole images.

# %% tags=["hide-input"]
if cohorts:
    overlays = annotator_overlays(cohorts, field_um=field_um, strict=strict)
    show(
        partial(overlay_panels, overlays),
        label="fig-borders",
        caption=f"The middle {field_um:g} µm of the first images: the DNA channel, bare and with the cells of two raters "
        f"outlined in blue and gold (white where their outlines coincide). {data}",
        alt="Small fields of tissue in grey, first bare, then with cells outlined in blue and gold, white "
        "where both agree. The ap50 of each field is written in its corner.",
    )
else:
    display(Markdown("*No image here has two masks.*"))

# %% [markdown]
# ## Who made these masks
#
# Agreement is only as meaningful as the masks that it compares. The study's masks come from four experts,
# each of whom trained ilastik on crops that they had drawn. The masks of this edition were made as follows.

# %% tags=["hide-input"]
shown = cohorts or everything
makers = describe_raters({key: cohort.raters for key, cohort in shown.items()})
if len(makers):
    show_table(
        makers,
        label="tab-annotators",
        caption=f"Who or what made the masks, from the manifest. {source_note(shown)}",
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
        caption="Number of cells in the masks of each of two raters, over all samples, and the AP that the pair would reach if "
        f"every cell of the smaller set matched perfectly. {data}",
        decimals=2,
    )

# %% [markdown]
# If one mask has many more cells than the other, the two raters may have outlined different things, or one may have
# split what the other merged. Cells that only one of them has remain without a partner.

# %% [markdown]
# ## Is agreement a ceiling?
#
# The study argues that a model that moves closer to one annotator moves away from the others, so that mean
# agreement is a *reasonable upper bound* for models. On real tissue this cannot be checked, because the truth is
# not known. On a phantom it is. So we score two kinds of model against every annotator: one that equals the truth,
# and one that copies an annotator.

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
        caption="Mean ap50 of each annotator, and of the truth, on whole images: with the truth, with the other annotators, and "
        "as a model that copies these masks and is scored against all annotators (including the one it copies). A pair of "
        f"cells matches if {rule}. {source_note([key])}",
    )
else:
    display(
        Markdown(
            "*No cohort of this edition has both several annotators and a known truth, which only synthetic tissue "
            "has. The demo edition answers this question.*"
        )
    )

# %% tags=["hide-input"]
COPY = "a copy, with all annotators"
if synthetic:
    agreement = whole.loc[key, "ap50"]
    best = people.loc[people[COPY].idxmax()]
    display(
        Markdown(
            "**No: mean agreement is a yardstick, not an upper bound. It says how alike the annotators are, and not how right "
            f"they are.** Here it is {agreement:.3f}. A model that equals the truth scores {perfect[COPY]:.3f} with the same "
            f"annotators, {'below' if perfect[COPY] < agreement else 'above'} their agreement; a model that copies "
            f"{best['masks of']} scores {best[COPY]:.3f} with all of them, and {best['with the other annotators']:.3f} with the "
            "others only. On which side of the agreement the truth falls depends in part on the group: in other groups it "
            "may be the other side ({numref}`fig-ceiling`; [](../beyond/01_equivalence) counts how often)."
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
        caption=f"Mean agreement of {group.n_experts} simulated experts, and mean score of the truth with them, against the "
        f"correlation of their errors: means of {sweep_tissues} tissues, bands from the lowest to the highest. Synthetic.",
        alt="Three panels, one per metric: the agreement of annotators, and the score of the truth with them, as lines against "
        "the correlation of their errors.",
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
            "**Why?** The masks of two annotators differ by the errors of both; the truth and one annotator differ by the "
            "errors of only one. One would therefore expect the truth to score higher, unless annotators make the *same* "
            f"errors. {{numref}}`fig-ceiling` varies how much their errors correlate, on tissues of {sweep_px} x {sweep_px} px "
            f"with other experts ({cohort_name(key)} was made with a correlation of {group.correlation:g}). At a correlation of "
            f"{ends[0]:.1f} the truth scores {first['truth']:.3f}, {order} the agreement of "
            f"{first['annotators']:.3f}: even experts who share no habits share the image, the "
            f"software, and the cells that nobody can see (in {cohort_name(key)} the truth has {perfect['cells']:,.0f} cells, "
            f"the annotators {people['cells'].min():,} to {people['cells'].max():,}). At a correlation of "
            f"{ends[1]:.1f} the annotators agree at {last['annotators']:.3f}, and the truth scores "
            f"{last['truth']:.3f}; in single tissues its score changed by {change.min():+.3f} to "
            f"{change.max():+.3f}. **Shared errors make annotators look better, and a perfect model "
            "look worse beside them.**"
        )
    )

# %% [markdown]
# ## Measured beside published
#
# {numref}`tab-means` repeats the study's Table 3 with this edition's data: means over all pairs, with the
# study's own numbers in the last lines.

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
    caption=f"Mean agreement over all pairs; a pair of cells matches if {rule}. *Scored*: number of "
    "images or patches, over all pairs. *Both empty*: number of those in which neither mask has a "
    f"cell, which score 1. {data} The last lines are published, not measured here; the study does not "
    "state its rule for a match.",
)

# %% [markdown]
# ## What this does not show
#
# - Which mask is right. Two annotators can agree and both be wrong, for example when both miss the same
#   dim cell.
# - How well experts agree in IMC, unless the table above lists experts for an IMC cohort. Agreement between two tools
#   shows how alike the tools are, and says nothing about people.
# - How well experts agree in general. A handful of people is a small sample, however many images they draw
#   ([](../decisions/01_agreement)).

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
# - Report agreement together with its three conventions: the rule for a match, whole images or patches, and how pairs
#   were averaged.
# - Look at the outlines before you believe the number.
# - Mean agreement is a yardstick for models, not an upper bound. Whether a perfect model scores above or below it
#   depends on how many errors the annotators share, which real data cannot tell.
