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
sweep_px: int = 256  # edge of the tissues on which experts' errors are correlated, pixels
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

from imc_helpers.agreement import METRICS, against, mean_agreement, pairwise
from imc_helpers.ceiling import correlation_sweep
from imc_helpers.figures import (
    agreement_matrices,
    border_crops,
    border_panels,
    ceiling_curves,
    show,
    show_table,
)
from imc_helpers.manifest import cohort_record, load_edition, published_table, source_note
from imc_helpers.paths import results_dir
from imc_helpers.phantom.drawing import TRUTH
from imc_helpers.readers import open_cohort

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
ceiling = published_table("schuiki25_table3").set_index(["metric", "mode"])["value"]
display(
    Markdown(
        f"**In short.** Mean ap50 between annotators, whole images: {found}. The study's four experts "
        f"reach {ceiling['ap50', 'whole']:.3f} (published), on other images and with other masks: look "
        "at who made these before you compare."
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
show_table(makers, label="tab-annotators", caption="The makers of the masks, from the manifest.")

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
# When one mask has many more cells than the other, part of the disagreement is the task: one annotator
# outlined something else. No matching can pair the cells that only one of them has.

# %% [markdown]
# ## Is agreement a ceiling?
#
# The study reasons that no model can agree with all annotators better than they agree with one another.
# On real tissue nobody can check: the truth is not known. On a phantom it is. So take the best model
# there could be, one that equals the truth, and score it against every annotator.

# %% tags=["hide-input"]
synthetic = {key: cohort for key, cohort in cohorts.items() if cohort_record(key).synthetic}
keys = ["cohort", "mode"]
if synthetic:
    truth = pd.concat(
        against(
            cohort,
            TRUTH,
            window_px=window_px,
            stride_px=stride_px,
            border_px=border_px,
            strict=strict,
        )
        for cohort in synthetic.values()
    )
    truth.to_csv(results_dir(edition, "annotators") / "truth.csv", index=False)
    perfect = mean_agreement(truth).set_index(keys)[list(METRICS)]
    between = means.set_index(keys).loc[perfect.index, list(METRICS)]
    gap = perfect - between
    blocks = {"annotators with one another": between, "truth with annotators": perfect}
    show_table(
        pd.concat(
            frame.reset_index().assign(**{"mean score of": who}) for who, frame in blocks.items()
        )[[*keys, "mean score of", *METRICS]],
        label="tab-ceiling",
        caption="What annotators score against one another, and what a model that equals the truth "
        f"would score against them. {source_note(synthetic)}",
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
    size = gap.xs("whole", level="mode")["ap50"].iloc[0]
    verdict = (
        "A perfect model would stay below what is called its upper bound. Scored against these "
        "annotators alone, it would look worse than one of them."
        if size < 0
        else "A perfect model would pass what is called its upper bound."
    )
    display(
        Markdown(
            f"On whole images the perfect model's ap50 is {abs(size):.3f} "
            f"{'below' if size < 0 else 'above'} the annotators' agreement. {verdict}"
        )
    )

# %% [markdown]
# Why? Two annotators differ by the errors of both; the truth and an annotator by the errors of one. So
# a perfect model has the advantage, unless annotators make the *same* errors. Shared errors raise their
# agreement and leave the perfect model where it was.

# %% tags=["hide-input"]
if synthetic:
    sweep = correlation_sweep(
        cohort_record(next(iter(synthetic))).phantom.recipe,
        (0.0, 0.3, 0.6, 0.9),
        side_px=sweep_px,
        seeds=range(1, sweep_tissues + 1),
    )
    sweep.to_csv(results_dir(edition, "annotators") / "ceiling.csv", index=False)
    show(
        ceiling_curves(sweep),
        label="fig-ceiling",
        caption="Mean agreement of four simulated experts, and mean score of the truth against "
        f"them, as their errors correlate. Lines: means of {sweep_tissues} tissues of {sweep_px} x "
        f"{sweep_px} px; bands: from the lowest to the highest. Whole images, IoU ≥ t. Synthetic "
        "data, made by this page.",
        alt="Three panels, one a metric. With rising correlation the agreement of annotators rises; "
        "the score of the truth against them does not.",
    )

# %% tags=["hide-input"]
if synthetic:
    wide = sweep.pivot_table(index="correlation", columns="who", values="ap50")
    ends = [wide.index.min(), wide.index.max()]
    lines = [
        f"- correlation {c:.1f}: agreement {wide.loc[c, 'annotators']:.3f}, truth "
        f"{wide.loc[c, 'truth']:.3f} (ap50)"
        for c in ends
    ]
    display(
        Markdown(
            "{numref}`fig-ceiling` turns that knob: the correlation between experts' habits and slips. "
            "They always share the image and the software, and so some errors, even when their habits "
            "have nothing in common.\n\n" + "\n".join(lines)
        )
    )

# %% [markdown]
# ## Measured beside published
#
# {numref}`tab-means` is the study's Table 3 for this edition's data: the mean over all pairs. The last
# lines are the study's own, as published; they were measured on other images.

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
    f"cell, which score 1. {data}",
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
    rising = wide["annotators"]
    assert rising.loc[ends[1]] > rising.loc[ends[0]], "shared errors raise agreement"
    assert (wide["annotators"] - wide["truth"]).loc[ends[1]] > 0, "agreement passes the truth"

# %% [markdown]
# ## Takeaways
#
# - Report agreement with its three conventions: which match rule, whole or patch, and how pairs were
#   averaged.
# - Look at the borders before you believe the number.
# - The mean agreement is a yardstick for models, not a law. How it relates to the best possible score
#   depends on how many errors the annotators share, which real data do not tell.
