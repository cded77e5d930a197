# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
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
#
# A model is scored against somebody's mask. If two people's masks of one image score .7 against each
# other, a model that scores .7 against one of them may be as good as the other. So the agreement of
# annotators is the yardstick for every model. The study calls it a *reasonable upper bound*
# ({cite:t}`schuiki2025`, section 4.1).

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
window_px: int = 256  # edge of a patch, pixels
stride_px: int = 128  # step from one patch to the next, pixels
border_px: int = 28  # ignored border of a patch, pixels
strict: bool = False  # match cells when IoU > t; when False, when IoU >= t
crop_px: int = 50  # edge of the crops with borders, pixels
enlarge: int = 6  # screen pixels a pixel of those crops
sweep_px: int = 256  # edge of the tissues of the last figure, pixels
sweep_tissues: int = 3  # number of those tissues

# %% tags=["hide-input"]
# Colab guard, written by `make sync`: installs the package where it is missing.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("imc_helpers") is None:
    # Without dependencies: the numpy and torch that are there stay as they are.
    packages = [
        "git+https://github.com/imc-agreement-book/imc-agreement-book@main",
        "centrosome",
        "imagecodecs",
        "pooch",
        "readimc",
    ]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, *packages], check=True)

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.agreement.pairwise import (
    METRICS,
    against,
    agreement_matrix,
    mean_agreement,
    pairwise,
)
from imc_helpers.experiments.ceiling import correlation_sweep
from imc_helpers.figures.agreement_plots import agreement_matrices, ceiling_curves
from imc_helpers.figures.page import show, show_table
from imc_helpers.figures.tissue_images import border_crops, border_panels
from imc_helpers.data.manifest import cohort_record, load_edition, published_table, source_note
from imc_helpers.data.paths import results_dir
from imc_helpers.phantom.recipes import find_recipe
from imc_helpers.phantom.drawing import TRUTH
from imc_helpers.data.readers.published import open_cohort

cohorts = {key: open_cohort(key) for key in load_edition(edition).cohorts}
cohorts = {key: cohort for key, cohort in cohorts.items() if len(cohort.annotators) > 1}
table = pd.concat(
    pairwise(cohort, window_px=window_px, stride_px=stride_px, border_px=border_px, strict=strict)
    for cohort in cohorts.values()
)
table.to_csv(results_dir(edition, "annotators") / "pairwise.csv", index=False)
means = mean_agreement(table)
rule = "IoU > t" if strict else "IoU ≥ t"
data = source_note(cohorts)
whole = means[means["mode"] == "whole"].set_index("cohort")
found = "; ".join(f"{row.ap50:.3f} in `{key}`" for key, row in whole.iterrows())
comparison = (
    "The annotators here are simulated. Their habits were tuned, and this group chosen, so that they agree "
    "about as the study's experts do: the closeness is built in, not found."
    if all(cohort_record(key).synthetic for key in cohorts)
    else "That was on other images and with other masks. Here: "
    + "; ".join(
        f"`{key}`, {cohort_record(key).modality}, masks by "
        + " and ".join(f"{a} ({who.kind})" for a, who in cohort_record(key).annotators.items())
        for key in cohorts
    )
    + "."
)
ceiling = published_table("schuiki25_table3").set_index(["metric", "mode"])["value"]
display(
    Markdown(
        f"**In short.** Mean ap50 between annotators, whole images: {found}. The study's four experts "
        f"reach {ceiling['ap50', 'whole']:.3f} (published). {comparison}"
    )
)

# %% [markdown]
# ## Pairs of annotators

# %% tags=["hide-input"]
show(
    agreement_matrices(table),
    label="fig-agreement",
    caption="Agreement of every pair of annotators: mean over samples (whole) or patches (patch). "
    f"A pair of cells matches when {rule}. {data}",
    alt="Matrices with an annotator a row and a column: three metrics side by side, and below each "
    "other the whole images and the patches of each cohort.",
)

# %% [markdown]
# The metrics are symmetric: it does not matter which of two annotators is called the truth.

# %% [markdown]
# ## What they disagree about
#
# Numbers hide what happened. {numref}`fig-borders` draws the borders of both annotators: where they
# are white, both drew the same pixel.

# %% tags=["hide-input"]
panels = border_crops(cohorts, crop_px=crop_px, strict=strict)
show(
    border_panels(panels, enlarge=enlarge),
    label="fig-borders",
    caption=f"Borders in the middle {crop_px} x {crop_px} px of the first samples, enlarged "
    f"{enlarge} times without interpolation. First annotator blue, second gold, both white; in grey "
    f"the DNA channel, stretched between its 1st and 99th percentile. Scores are of the crop. {data}",
    alt="Small crops of tissue in grey with cell borders in blue and gold, white where they fall "
    "together. The scores of each crop stand above it.",
    fmt="png",
)

# %% [markdown]
# ## Who made these masks
#
# Agreement is only as meaningful as the masks it compares. The study's masks come from four experts
# who each trained ilastik on crops of their own drawing. The masks here are these:

# %% tags=["hide-input"]
makers = pd.DataFrame(
    {"cohort": key, "annotator": name, "kind": who.kind, "how": who.description}
    for key in cohorts
    for name, who in cohort_record(key).annotators.items()
)
show_table(
    makers, label="tab-annotators", caption=f"The makers of the masks, from the manifest. {data}"
)

# %% tags=["hide-input"]
counts = table[table["mode"] == "whole"].groupby(
    ["cohort", "annotator_true", "annotator_pred"], sort=False
)[["n_true", "n_pred"]]
sums = counts.sum().reset_index()
both = sums[["n_true", "n_pred"]]
sums["best"] = both.min(axis=1) / both.max(axis=1)
show_table(
    sums.rename(
        columns={
            "annotator_true": "first",
            "annotator_pred": "second",
            "n_true": "cells, first",
            "n_pred": "cells, second",
            "best": "highest AP possible",
        }
    ),
    label="tab-counts",
    caption="Cells that each annotator of a pair found in all samples, and the AP they would reach if "
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
    truth = against(
        cohort,
        TRUTH,
        window_px=window_px,
        stride_px=stride_px,
        border_px=border_px,
        strict=strict,
    )
    truth.to_csv(results_dir(edition, "annotators") / "truth.csv", index=False)
    matrix = agreement_matrix(table[table["cohort"] == key], "ap50", "whole")
    with_truth = truth[truth["mode"] == "whole"].groupby("annotator_pred", sort=False)
    perfect = with_truth["ap50"].mean().mean()
    each = pd.DataFrame(
        {
            "masks of": matrix.index,
            "cells": with_truth["n_pred"].sum().to_numpy(),
            "with the truth": with_truth["ap50"].mean().to_numpy(),
            "with the other annotators": matrix.mean(axis=1).to_numpy(),
            "a copy, with all annotators": matrix.fillna(1).mean(axis=1).to_numpy(),
        }
    )
    n_truth = int(with_truth["n_true"].sum().iloc[0])
    show_table(
        pd.concat(
            [
                each,
                pd.DataFrame(
                    {
                        "masks of": ["the truth"],
                        "cells": [n_truth],
                        "a copy, with all annotators": [perfect],
                    }
                ),
            ]
        ),
        label="tab-ceiling",
        caption="Mean ap50 on whole images: of each annotator with the truth and with the other "
        "annotators, and of a model that copies the masks in that row, scored against all annotators "
        f"(the copied one included). A pair of cells matches when {rule}. {source_note([key])}",
    )
else:
    display(
        Markdown(
            "*The cohorts of this edition are real, and their truth is not known. The demo edition, "
            "whose tissue is synthetic, asks the question here.*"
        )
    )

# %% tags=["hide-input"]
if synthetic:
    agreement = whole.loc[key, "ap50"]
    best = each.loc[each["a copy, with all annotators"].idxmax()]
    display(
        Markdown(
            f"The annotators' mean agreement is {agreement:.3f}. A model that equals the truth scores "
            f"{perfect:.3f} with them, {'below' if perfect < agreement else 'above'} it. A model that "
            f"copies {best['masks of']} scores {best['a copy, with all annotators']:.3f} with all of "
            f"them, and {best['with the other annotators']:.3f} with the others alone. **So mean "
            "agreement is a yardstick, not an upper bound: it says how alike the annotators are, and "
            "not how right.**"
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
        ceiling_curves(sweep),
        label="fig-ceiling",
        caption=f"Mean agreement of {group.n_experts} simulated experts, and mean score of the truth "
        f"with them, as their habits and slips correlate. Lines: means of {sweep_tissues} tissues of "
        f"{sweep_px} x {sweep_px} px, on each of which its own experts were trained; bands: from the "
        f"lowest to the highest. The cohort `{key}` has a correlation of {group.correlation:g}. Whole "
        "images, IoU ≥ t. Synthetic data, made by this page.",
        alt="Three panels, one a metric. With rising correlation the agreement of annotators rises; "
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
            "errors. {numref}`fig-ceiling` turns that knob. At correlation "
            f"{ends[0]:.1f} the truth stands at {first['truth']:.3f}, {order} the agreement of "
            f"{first['annotators']:.3f}: experts without a habit in common still share the image, the "
            f"software, and cells that nobody can see (in `{key}` the truth holds {n_truth:,} cells, "
            f"the annotators {each['cells'].min():,} to {each['cells'].max():,}). At correlation "
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
    pd.concat([means, published], ignore_index=True)
    .astype({"pairs": "Int64", "scored": "Int64", "both_empty": "Int64"})
    .rename(columns={"both_empty": "both empty"}),
    label="tab-means",
    caption=f"Mean agreement over all pairs; a pair of cells matches when {rule}. *Scored* counts "
    "images or patches over all pairs; *both empty* counts those where neither annotator has a "
    f"cell, which score 1. {data} The last lines are published, not measured here; the study does not "
    "state its rule for a match.",
)

# %% [markdown]
# ## What this does not show
#
# - Which annotator is right. Two annotators can agree and both be wrong, as when both miss the same
#   dim cell.
# - Agreement of experts in IMC, unless {numref}`tab-annotators` says *expert* beside an IMC cohort.
# - Significance. Patches of one image overlap and repeat each other, so their number is not the
#   number of independent observations.

# %% tags=["remove-cell"]
assert list(table.columns[:8]) == [
    "cohort", "mode", "sample", "patch", "annotator_true", "annotator_pred", "n_true", "n_pred",
]  # fmt: skip
assert table[list(METRICS)].apply(lambda scores: scores.between(0, 1)).to_numpy().all()
assert (table["map"] <= table["ap50"] + 1e-12).all(), "AP falls with the threshold"
assert table.loc[table["mode"] == "patch", "patch"].notna().all()
assert table.loc[table["mode"] == "whole", "patch"].isna().all()
pairs = {key: len(c.annotators) * (len(c.annotators) - 1) // 2 for key, c in cohorts.items()}
assert (means["pairs"] == means["cohort"].map(pairs)).all()

if synthetic:
    assert last["annotators"] > first["annotators"], "shared errors raise agreement"
    assert last["annotators"] > last["truth"], "agreement passes the truth"
    assert best["with the other annotators"] >= agreement, "the best annotator is above the mean"
    demo = means.set_index(["cohort", "mode"]).loc[(key, "whole")]
    bands = {"ap50": (0.66, 0.76), "map": (0.30, 0.40), "sap": (0.51, 0.62)}
    if edition == "demo" and not strict:
        for metric, (low, high) in bands.items():
            assert low <= demo[metric] <= high, (
                f"{metric}: the group no longer agrees as calibrated"
            )

# %% [markdown]
# ## Takeaways
#
# - Report agreement with its three conventions: which match rule, whole or patch, and how pairs were
#   averaged.
# - Look at the borders before you believe the number.
# - The mean agreement is a yardstick for models, not an upper bound. How it relates to the score of a
#   perfect model depends on how many errors the annotators share, which real data do not tell.
