# ---
# jupyter:
#   imc_book:
#     reads:
#     - planted
#     - predictions
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
# # Carry the disagreement along
#
# **How sure is a cell, and a result, when the mask could have been another?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort; when empty, the first with a known truth, or else with several masks
most_images: int = 8  # images whose cells are looked at, evenly spread over the cohort

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

from imc_helpers.agreement.intervals import mean_intervals
from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread
from imc_helpers.downstream.profiles import MATCH_IOU
from imc_helpers.downstream.uncertainty import carried_cells
from imc_helpers.experiments.carried import (
    pool_results,
    read_masks,
    results_by_mask,
    shares_by_support,
    supported_cells,
    types_by_mask,
)
from imc_helpers.experiments.without_truth import choose_cohort
from imc_helpers.figures.carried_plots import pooled_rows, support_bars
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table


def between(row):
    """Write the interval of a share of real cells, where there is one."""
    low, high = row["real_low"], row["real_high"]
    return f" (95% interval {low:.0%} to {high:.0%})" if pd.notna(low) else ""


record = load_edition(edition)
key = cohort or choose_cohort((*record.planted, *record.cohorts), record.models)
masks, types = {}, {}
if key:
    shown = open_cohort(key)
    looked_at = evenly_spread(shown.ids, most_images)
    masks = read_masks(shown, looked_at, record.models)
raters = list(next(iter(masks.values()), {}))
several = len(raters) > 1
if several:
    data = source_note([key])
    folder = results_dir(edition, "downstream")
    types = types_by_mask(shown, masks)
    cells = supported_cells(shown, masks, types)
    cells.to_csv(folder / "supported_cells.csv", index=False)
    shares = shares_by_support(cells)
    results = results_by_mask(shown, masks, types)
    pooled = pool_results(results)
    pooled.to_csv(folder / "pooled.csv", index=False)
    known = "real" in cells
    every, alone = shares.iloc[-1], shares.iloc[0]
    all_others = len(raters) - 1
    density = pooled[pooled["result"] == "cells per mm²"]
    single = density.loc[density["way"] == "one mask", "value"]
    fractions = pooled[(pooled["way"] == "pooled") & (pooled["result"] != "cells per mm²")]
    text = (
        f"Ask the other masks. In {cohort_name(key)} all {all_others} other masks have {cells['others'].eq(all_others).mean():.0%} of the cells of a mask "
        f"(IoU of {MATCH_IOU:g} or more)"
        if all_others > 1
        else f"Ask the other mask. In {cohort_name(key)} it has {cells['others'].eq(1).mean():.0%} of the cells of a mask (IoU of {MATCH_IOU:g} or more)"
    )
    if known and len(shares) > 1:
        text += (
            f"; on this synthetic tissue {every['real']:.0%} of those are really cells{between(every)}; of the cells that "
            f"{'none' if alone['others'] == 0 else int(alone['others'])} of them has, {alone['real']:.0%}{between(alone)}"
        )
    text += f". **How many cells there are** depends on the mask: {single.min():,.0f} to {single.max():,.0f} per mm²"
    if len(fractions) and len(masks) > 1:
        text += (
            f", while of the variance of the share of a type {fractions['share_between'].min():.0%} to {fractions['share_between'].max():.0%} is due to the "
            "choice of mask"
        )
    text += (
        ". An interval from one mask leaves that out; pooled over masks it holds what a further one would find, but not what "
        "all of them do wrong."
    )
else:
    known = False
    text = (
        "No image of this edition has two masks. With one mask alone nothing says how far a cell or a result depends on it: "
        "have a second person, or a model, segment the same images."
    )
answer(text)

# %% tags=["hide-input"]
if several:
    show(
        partial(support_bars, shares),
        label="fig-carried-support",
        caption="The cells of each mask, by how many of the other masks have them"
        + (
            "; of these, the share that are cells, and cells of the right type. Lines: 95% interval over images. "
            if known
            else ". "
        )
        + f"Mean over {len(raters)} masks and {len(masks)} images. {data}",
        alt="Groups of bars, one for each number of other masks: the share of all cells, and where the truth is known "
        "the shares of them that are real and rightly typed.",
    )
else:
    display(Markdown("*No image here has two masks, so there is nothing to draw.*"))

# %% [markdown]
# Each cell of a mask can bear what the other masks say of it: `support`, the share of them that have it; `mask_iou`, how
# alike they draw it; `type_entropy`, how far they give it different types; and for each marker the median, mean and standard
# deviation of its counts over the masks (`mask_median`, `mask_mean`, `mask_sd`). {cite:t}`bruhns2025` perturb outlines at random for this
# purpose; here the perturbation is what annotators really disagree about.

# %% tags=["hide-input"]
if several:
    table = carried_cells(
        shown, {sample: masks[sample] for sample in list(masks)[:1]}, raters[0], types
    )
    table.write_h5ad(folder / "carried_cells.h5ad", compression="gzip")
    columns = ["Object", "area", "support", "mask_iou", "type_entropy"]
    show_table(
        table.obs[columns].head(6).reset_index(drop=True),
        label="tab-carried-cells",
        caption=f"The first cells of {rater_name(raters[0])} in one image, with what the other masks say of them; `results/{edition}/downstream/carried_cells.h5ad` "
        f"holds all, with the layers. {data}",
    )

# %% [markdown]
# ## Median over masks, or the plain mean

# %% tags=["hide-input"]
if several and known:
    errors = cells.dropna(subset="error_own")
    ways = {
        "error_own": "one mask",
        "error_mean": "mean over masks",
        "error_median": "median over masks",
    }
    rows = []
    for others, some in errors.groupby("others"):
        each = some.groupby("sample")[list(ways)].mean()
        gain = mean_intervals(
            (each["error_median"] - each["error_mean"]).to_frame("gain"), each.index
        ).iloc[0]
        rows.append(
            {
                "other masks": others,
                **{ways[name]: each[name].mean() for name in ways},
                "median less mean": gain["mean"],
                "from": gain["low"],
                "to": gain["high"],
            }
        )
    show_table(
        pd.DataFrame(rows),
        label="tab-median-mean",
        caption="How far the counts of a real cell are from those in its true outline, in the same image: root mean square over channels, on arcsinh; mean over "
        f"cells, masks and images, with the 95% interval of the difference over images. Median and mean can differ only where two other masks or more have the cell. {data}",
    )
else:
    display(Markdown("*Which is nearer to the truth can be told only where that is known.*"))

# %% [markdown]
# ## What it means for a result

# %% tags=["hide-input"]
if several and types and len(masks) > 1:
    show(
        partial(pooled_rows, pooled[pooled["result"] != "cells per mm²"], "share of the cells"),
        label="fig-pooled",
        caption=f"Shares of types with each mask (grey) and pooled over all (blue), mean over {len(masks)} images with 95% interval"
        + ("; the truth in these images as a line. " if known else ". ")
        + data,
        alt="A row for each type: an interval for each mask, one pooled"
        + (", and a line for the truth." if known else "."),
    )
elif several:
    display(Markdown("*One image gives no interval, and too few cells give no types.*"))

# %% tags=["hide-input"]
if several:
    only = pooled[pooled["way"] == "pooled"]
    whole = only.iloc[0]
    spread = (
        f" ({whole['low']:,.0f} to {whole['high']:,.0f}; {whole['share_between']:.0%} of the variance is due to the choice of mask)"
        if len(masks) > 1
        else ""
    )
    real = f"; the truth is {whole['truth']:,.0f}" if known else ""
    display(Markdown(f"Cells per mm², pooled: {whole['value']:,.0f}{spread}{real}."))

# %% tags=["hide-input"]
if several and types:
    of_types = only.iloc[1:]
    show_table(
        of_types[["result", "value", "low", "high", "share_between", "truth"]].rename(
            columns={
                "value": "pooled",
                "low": "from",
                "high": "to",
                "share_between": "variance due to the choice of mask",
            }
        ),
        label="tab-pooled",
        caption="Shares of types pooled over masks by Rubin's rules, with 95% intervals, and how much of their variance is due to the choice of mask. "
        f"One image gives no interval. {data}",
    )
if several and known and len(masks) > 1:
    missed = only[(only["truth"] < only["low"]) | (only["truth"] > only["high"])]
    names = ", ".join(missed["result"])
    display(
        Markdown(
            f"The truth of these images lies outside the pooled interval of: {names}. All masks err there in the same direction."
            if len(missed)
            else "The truth of these images lies in all pooled intervals."
        )
    )

# %% [markdown]
# Several masks are treated as several imputations of what nobody has measured {cite:p}`rubin1987`: the variance over images and
# that between masks are added, the latter times one plus one over their number. So the interval is for what **another mask of this kind**
# would say of other images.
#
# ## Do the intervals hold?

# %% tags=["hide-input"]
trials = pd.read_csv(shipped("benchmarks/results") / "pooled_coverage.csv")
trials["result"] = trials["quantity"].where(
    trials["quantity"] == "cells per mm²", "share of a type"
)
held = trials.groupby(["result", "people", "images", "interval"], sort=False)
held = held.agg(
    another=("another", "mean"),
    least_another=("another", "min"),
    truth=("truth", "mean"),
    least_truth=("truth", "min"),
).reset_index()
show_table(
    held[held["images"] == 8].rename(
        columns={
            "another": "holds another person's",
            "least_another": "at least",
            "truth": "holds the truth",
            "least_truth": "at the least",
        }
    ),
    label="tab-pooled-coverage",
    caption="How often 95% intervals hold what a further person finds in all images, and the truth: means, and least, over types and over groups of people whose "
    "slips correlate by 0, .4 and .8; 1000 studies each. Synthetic, drawn by hand; `benchmarks/pooled.py`.",
    decimals=2,
)

# %% tags=["hide-input"]
eight = held[held["images"] == 8]
of_pooled = eight[eight["interval"] == "pooled"]
of_one = eight[eight["interval"] == "one person"]
display(
    Markdown(
        f"Pooled intervals held what a further person finds in {of_pooled['another'].min():.0%} to {of_pooled['another'].max():.0%} of the studies, those of one "
        f"person in {of_one['another'].min():.0%} to {of_one['another'].max():.0%}. With two masks they are wide and fall a little short, since two masks say little of a third. They hold the truth "
        f"less surely (in the worst case in {of_pooled['least_truth'].min():.0%}): the truth is not one more such mask."
    )
)

# %% [markdown]
# ## Groups segmented by different people

# %% tags=["hide-input"]
confounded = pd.read_csv(shipped("benchmarks/results") / "pooled_confounded.csv")
confounded["result"] = confounded["quantity"].where(
    confounded["quantity"] == "cells per mm²", "share of a type"
)
false = confounded.groupby(["result", "images per group", "segmented by"], sort=False)
false = false["false_positives"].agg(["mean", "max"]).reset_index()
show_table(
    false.rename(columns={"mean": "false positives", "max": "at most"}),
    label="tab-confounded",
    caption="Two groups of images that do not differ, compared by a t test at .05: how often a difference is found when one person segmented both, and when each "
    "group had a person of its own. Means, and most, over types and groups of people. Synthetic, drawn by hand; `benchmarks/pooled.py`.",
    decimals=2,
)

# %% tags=["hide-input"]
apart = false[false["segmented by"] != "one person"].groupby("result")["mean"].max()
display(
    Markdown(
        f"Densities then differ without cause in up to {apart['cells per mm²']:.0%} of the comparisons, shares of types in {apart['share of a type']:.0%}. "
        "More images make it worse: they make the difference between two people significant."
    )
)

# %% [markdown]
# ## What this does not show
#
# - What all masks do wrong. Support says that others drew the cell too, and a common error has full support.
# - Your masks' calibration. How many cells of each support are real was counted on synthetic tissue, with simulated people.
# - Other results. Neighbours and other statistics of space depend on masks in other ways than shares of types do.

# %% tags=["remove-cell"]
if several:
    assert cells["others"].between(0, len(raters) - 1).all()
    assert (cells["others"].eq(0) == cells["mask_iou"].isna()).all(), "no second opinion, no IoU"
    assert cells["mask_iou"].dropna().between(MATCH_IOU, 1).all()
    assert abs(shares["cells"].sum() - 1) < 1e-9
    if TRUTH in results["cells per mm²"]:
        assert known
    for name in ("real", "typed_right"):
        assert name not in shares or shares[name].dropna().between(0, 1).all()
assert trials[["another", "truth"]].apply(lambda share: share.between(0, 1).all()).all()
by_way = held.pivot(index=["result", "people", "images"], columns="interval", values="another")
assert (by_way["pooled"] >= by_way["one person"]).all(), "pooling holds more, not less"

# %% [markdown]
# ## Takeaways
#
# - Have a few images segmented twice, and let each cell bear its support: cells that nobody else drew are the first to leave out.
# - Report densities with the spread between masks, or not at all. Shares of types depend on masks much less.
# - Never let each group of a comparison be segmented by somebody else: let one person, or one model, do all images.
