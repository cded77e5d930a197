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

import numpy as np
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
        f"Compare it with other masks: in {cohort_name(key)}, {cells['others'].eq(all_others).mean():.0%} of the cells of a mask are found in all "
        f"{all_others} others (IoU of {MATCH_IOU:g} or more)"
        if all_others > 1
        else f"Compare it with another mask: in {cohort_name(key)}, {cells['others'].eq(1).mean():.0%} of the cells of a mask are found in the other "
        f"(IoU of {MATCH_IOU:g} or more)"
    )
    if known and len(shares) > 1:
        text += (
            f"; on this synthetic tissue {every['real']:.0%} of these are real cells{between(every)}, but only "
            f"{alone['real']:.0%}{between(alone)} of those found in {'no other' if alone['others'] == 0 else int(alone['others'])}"
            if every["real"] > alone["real"]
            else f"; on this synthetic tissue {every['real']:.0%} of these are real cells{between(every)}, and "
            f"{alone['real']:.0%}{between(alone)} of those found in {'no other' if alone['others'] == 0 else int(alone['others'])}"
        )
    text += f". **The number of cells** depends on the mask ({single.min():,.0f} to {single.max():,.0f} per mm²)"
    if len(fractions) and len(masks) > 1:
        text += (
            f", and the choice of mask accounts for {fractions['share_between'].min():.0%} to {fractions['share_between'].max():.0%} of the variance of the "
            "share of a type"
        )
    text += (
        ". An interval from a single mask ignores this; one that is pooled over masks covers what another mask would give, but not "
        "the errors that all masks share."
    )
else:
    known = False
    text = (
        "This edition cannot tell: no image has two masks, and a single mask does not show how far a cell or a result depends on "
        "it. Have a second person, or a model, segment the same images."
    )
answer(text)

# %% tags=["hide-input"]
if several:
    show(
        partial(support_bars, shares),
        label="fig-carried-support",
        caption="Cells of a mask, by the number of other masks in which they are found: share of all cells"
        + (
            ", share of these that are real, and share that have the right type. Lines: 95% intervals over images. "
            if known
            else ". "
        )
        + f"Mean over {len(raters)} masks and {len(masks)} images. {data}",
        alt="Groups of bars, one for each number of other masks: the share of all cells and, if the truth is known, "
        "the shares of them that are real and have the right type.",
    )
else:
    display(Markdown("*No image here has two masks, so there is nothing to draw.*"))

# %% [markdown]
# What the other masks say about a cell can be stored with it: `support`, the share of the other masks that contain the cell;
# `mask_iou`, how similar its outlines are; `type_entropy`, how much its type differs between masks; and, for each marker, the
# median, mean and standard deviation of its counts over the masks (`mask_median`, `mask_mean`, `mask_sd`). {cite:t}`bruhns2025` perturb
# outlines at random for this purpose; here the variation is the actual disagreement between annotators.

# %% tags=["hide-input"]
if several:
    table = carried_cells(
        shown, {sample: masks[sample] for sample in list(masks)[:1]}, raters[0], types
    )
    table.write_h5ad(folder / "carried_cells.h5ad", compression="gzip")
    columns = ["Object", "area", "support", "mask_iou", "type_entropy"]
    by_support = table.obs[columns].sort_values(["support", "mask_iou"])
    show_table(
        by_support.iloc[np.linspace(0, len(by_support) - 1, 6).astype(int)].reset_index(drop=True),
        label="tab-carried-cells",
        caption=f"Some cells of {rater_name(raters[0])} in one image, from the least to the best supported, with what the other masks say about them. All cells of the image, with "
        f"the layers of markers, are in `results/{edition}/downstream/carried_cells.h5ad`. {data}",
    )

# %% [markdown]
# ## Median or mean over masks?

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
                "median minus mean": gain["mean"],
                "from": gain["low"],
                "to": gain["high"],
            }
        )
    show_table(
        pd.DataFrame(rows),
        label="tab-median-mean",
        caption="Error of the counts of a real cell, compared with those within its true outline: root mean square over channels (arcsinh), averaged over "
        f"cells, masks and images, with the 95% interval of the difference over images. Median and mean can differ only if at least two other masks contain the cell. {data}",
    )
else:
    display(
        Markdown(
            "*Which of the two is closer to the truth can be decided only where the truth is known.*"
        )
    )

# %% [markdown]
# ## How much does a result depend on the mask?

# %% tags=["hide-input"]
if several and types and len(masks) > 1:
    show(
        partial(pooled_rows, pooled[pooled["result"] != "cells per mm²"], "share of the cells"),
        label="fig-pooled",
        caption=f"Shares of cell types under each mask (grey) and pooled over all masks (blue): means over {len(masks)} images with 95% intervals"
        + (", and the truth in these images as a line. " if known else ". ")
        + data,
        alt="One row per cell type: an interval for each mask, and a pooled one"
        + (", with a line for the truth." if known else "."),
    )
elif several:
    display(
        Markdown(
            "*There is only one image, which gives no interval, or there are too few cells to assign types.*"
        )
    )

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
        caption="Shares of cell types pooled over masks by Rubin's rules, with 95% intervals, and the share of their variance that is due to the choice of "
        f"mask. (A single image gives no interval.) {data}",
    )
if several and known and len(masks) > 1:
    missed = only[(only["truth"] < only["low"]) | (only["truth"] > only["high"])]
    names = ", ".join(missed["result"])
    display(
        Markdown(
            f"The truth of these images lies outside the pooled interval for: {names}. There, the masks err in the same direction."
            if len(missed)
            else "The truth of these images lies within all pooled intervals."
        )
    )

# %% [markdown]
# The masks are treated as multiple imputations of something that nobody has measured {cite:p}`rubin1987`: for $m$ masks, the variance
# over images and $1 + 1/m$ times the variance between masks are added. The interval is thus for what **another mask of this kind**
# would give on other images.
#
# ## Do the intervals keep their promise?

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
            "another": "contains another person's result",
            "least_another": "lowest",
            "truth": "contains the truth",
            "least_truth": "lowest (truth)",
        }
    ),
    label="tab-pooled-coverage",
    caption="How often 95% intervals contain what another person finds over all images, and the truth: means and lowest values over cell types and over groups of "
    "people whose slips have correlations of 0, .4 and .8; 1000 studies each. Simulated people who draw by hand; measured once by `benchmarks/pooled.py`.",
    decimals=2,
)

# %% tags=["hide-input"]
eight = held[held["images"] == 8]
of_pooled = eight[eight["interval"] == "pooled"]
of_one = eight[eight["interval"] == "one person"]
display(
    Markdown(
        f"Pooled intervals contained what another person finds in {of_pooled['another'].min():.0%} to {of_pooled['another'].max():.0%} of the studies, those of one "
        f"person in {of_one['another'].min():.0%} to {of_one['another'].max():.0%}. With two masks the intervals are wide, and still fall a little short, because two "
        f"masks say little about a third. They contain the truth less reliably (in the worst case in {of_pooled['least_truth'].min():.0%}), because the truth is not just "
        "another such mask."
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
    false.rename(columns={"mean": "false positives", "max": "highest"}),
    label="tab-confounded",
    caption="Two groups of images that do not differ, compared by a t test at .05: how often a difference is found if one person segmented both groups, and if each "
    "group was segmented by a different person. Means and highest values over cell types and groups of people. Simulated people who draw by hand; measured once by "
    "`benchmarks/pooled.py`.",
    decimals=2,
)

# %% tags=["hide-input"]
apart = false[false["segmented by"] != "one person"].groupby("result")["mean"].max()
display(
    Markdown(
        f"If different people segmented the groups, a false difference is found in up to {apart['cells per mm²']:.0%} of comparisons of densities, and "
        f"in up to {apart['share of a type']:.0%} of comparisons of shares of types. More images make this worse, because they make the difference between the two people "
        "significant."
    )
)

# %% [markdown]
# ## What this does not show
#
# - Errors that all masks share. Support says that others drew the cell too, so a common error has full support.
# - The calibration for your masks. How many cells with a given support are real was counted on synthetic tissue, with simulated
#   people.
# - Other results. Neighbourhoods and other spatial statistics depend on masks in other ways than shares of types do.

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
# - Have a few images segmented twice, and store with each cell how many masks support it: cells that nobody else drew are the
#   first to leave out.
# - Report densities together with the spread between masks, or not at all.
# - Never have the groups of a comparison segmented by different people: let one person, or one model, do all images.
