# ---
# jupyter:
#   imc_book:
#     reads:
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
# # Lineages
#
# **Does the share of each lineage depend on whose mask is used?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort; when empty, the first with several masks of an image
most_images: int = 8  # images whose cells are gated, evenly spread over the cohort
rule: str = "otsu"  # of the thresholds: otsu, or mixture for two normal populations
clusters: int = 6  # clusters, where channels have no names that a lineage goes by

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

from imc_helpers.agreement.outcomes import first_to_compare
from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import results_dir
from imc_helpers.data.raters import TRUTH, noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread
from imc_helpers.downstream.lineage_tables import study_lineages
from imc_helpers.downstream.lineages import RULES
from imc_helpers.downstream.mask_sets import mask_sets
from imc_helpers.downstream.cell_types import TYPE
from imc_helpers.figures.mask_plots import mask_rows
from imc_helpers.figures.names import cohort_name, counted, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table

record = load_edition(edition)
opened = {key: open_cohort(key) for key in record.cohorts}
key = cohort or first_to_compare(opened, record.models) or ""


def study_of(name, rule):
    """Type the cells of a cohort under all its masks."""
    one = opened[name] if name in opened else open_cohort(name)
    looked_at = evenly_spread(one.shared_ids or one.ids, most_images)
    masks = mask_sets(one, record.models, samples=looked_at)
    return study_lineages(one, masks, looked_at, rule=rule, clusters=clusters), looked_at


differences = pd.DataFrame()
if key:
    shown = opened[key] if key in opened else open_cohort(key)
    study, looked_at = study_of(key, rule)
    differences, shares, reference = study.differences, study.shares, study.reference
    people = [name for name in shown.references if name in shares]
    beside = "the truth" if reference == TRUTH else rater_name(reference)
    kind = "lineage" if study.gates else "cluster"
    data = source_note([key])
    n_images = len(looked_at)
    several = f"{n_images} images" if n_images > 1 else "one image"
    folder = results_dir(edition, "lineages")
    differences.to_csv(folder / "differences.csv", index=False)

if differences.empty:
    summary = "This edition cannot tell: no cohort has two masks of the same image, or a mask and a model that ran."
else:
    made_by = [rater for rater in shown.raters if rater.name in people and rater.name != reference]
    who = f"the {'other ' if reference in people else ''}{noun(made_by)}" if made_by else "models"
    who = rater_name(made_by[0].name) if len(made_by) == 1 else who
    told = (
        differences[differences["rater"].isin([r.name for r in made_by])]
        if made_by
        else differences
    )
    told = told.dropna(subset="value")
    most = told.loc[told["value"].abs().idxmax()]
    truly = shares[reference][most["quantity"]].mean()
    clear = told[(told["low"] > 0) | (told["high"] < 0)]
    summary = (
        f"{'It does' if len(clear) else 'It may'}: with the masks of {who}, the mean share of a {kind} differs by up to "
        f"{abs(most['value']):.1f} percentage points from that with {beside} ({most['quantity']}, {rater_name(most['rater'])}: "
        f"{truly + most['value']:.1f}% instead of {truly:.1f}%), over {several} of {cohort_name(key)}"
    )
    if n_images > 1:
        spread = shares[reference].std(ddof=1)[most["quantity"]]
        summary += f" (standard deviation between images: {spread:.1f} points). " + (
            f"{len(clear)} of {len(told)} such differences {'has' if len(clear) == 1 else 'have'} a 95% interval over images that "
            "excludes 0 (each by itself), so more images like these would not average them out."
            if len(clear)
            else f"None of {len(told)} such differences has a 95% interval over images that excludes 0, so each may be due to "
            "chance; that does not prove that there is no difference."
        )
    else:
        summary += (
            "; one image cannot tell which of these differences would be found in others as well."
        )
answer(summary)

# %% tags=["hide-input"]
if not differences.empty:
    bars = (
        "Bars: 95% intervals over images, for these masks, each on its own. "
        if n_images > 1
        else ""
    )
    show(
        partial(
            mask_rows,
            differences,
            people=people,
            line=0,
            label=f"share of cells, percentage points from {beside}",
        ),
        label="fig-lineages",
        caption=f"Share of each {kind} among the cells of an image: difference between each mask and {beside}, mean over "
        f"{several}. Gold: annotators and tools; blue: models. {bars}{data}",
        alt="One panel per lineage or cluster with one row per mask: its difference from the reference with an interval, "
        "and a dashed line at 0.",
    )

# %% [markdown]
# {cite:t}`greenwald2022` gated breast cancer cells (two fields of each of three patients, stained with DAPI, CD8,
# CD14 and pan-keratin) into T cells, monocytes, tumour cells and ungated cells, with the same thresholds for Mesmer's masks
# and for the truth. They report strong agreement, in a figure without numbers (4j). Their thresholds were set by eye; here
# they follow from a rule, applied to the cells of all annotators or tools together before masks are compared.

# %% [markdown]
# ## How cells are gated

# %% tags=["hide-input"]
other = next(one for one in RULES if one != rule)
if not differences.empty and study.gates:
    by_other, _ = study_of(key, other)
    table = pd.DataFrame(
        {
            "gate": range(1, len(study.gates) + 1),
            "lineage": [one.lineage for one in study.gates],
            "marker above": [one.marker for one in study.gates],
            f"threshold, {rule}": [study.limits[one.marker] for one in study.gates],
            f"threshold, {other}": [by_other.limits[one.marker] for one in study.gates],
            f"% of cells, {rater_name(reference)}": [
                shares[reference][one.lineage].mean() for one in study.gates
            ],
        }
    )
    show_table(
        table,
        label="tab-lineages-gates",
        caption=f"The gates in their order: a cell goes to the first gate whose marker is above its threshold. Thresholds are mean "
        f"counts per pixel, set by two rules; this page uses *{rule}*. {data}",
        decimals=2,
    )
    missing = ", ".join(study.without)
    display(
        Markdown(
            (
                f"The panel has no specific marker for: {missing}. Such cells remain ungated, or fall into the wrong gate. "
                if missing
                else ""
            )
            + "The marker of each lineage, and the order of the gates, were chosen before any mask was examined."
        )
    )
elif not differences.empty:
    display(
        Markdown(
            "This panel has no channel named after a marker of a lineage, so cells are assigned to clusters "
            f"(k-means with k = {clusters}, on the standardised inverse hyperbolic sine of mean counts). The clusters are found once, "
            "from the cells of all annotators or tools together, and numbered by size; they are not given names."
        )
    )

# %% tags=["hide-input"]
if not differences.empty and study.gates:
    both = differences.merge(
        by_other.differences, on=["rater", "quantity"], suffixes=("", "_other")
    )
    rows = [
        {
            "lineage": lineage,
            f"largest, {rule}": of["value"].abs().max(),
            f"largest, {other}": of["value_other"].abs().max(),
            "same sign": f"{(np.sign(of['value']) == np.sign(of['value_other'])).sum()} of {len(of)} masks",
        }
        for lineage, of in both.groupby("quantity", sort=False)
    ]
    show_table(
        pd.DataFrame(rows),
        label="tab-lineages-rules",
        caption=f"Largest mean difference of any mask from {beside}, in percentage points, with thresholds set by each of the two "
        f"rules, and how many masks differ in the same direction by both. {data}",
        decimals=1,
    )

# %% [markdown]
# Both rules look at one marker at a time. If there is no gap between positive and negative cells, any threshold is a
# convention, and shares depend on it as well as on the mask.

# %% [markdown]
# ## How much shares differ in single images


# %% tags=["hide-input"]
def per_mask(study):
    """Sum up the differences of each mask, over types and images."""
    of = study.differences.groupby("rater", sort=False)
    table = of.agg(
        mean_absolute=("mean_absolute", "mean"), largest=("largest", "max")
    ).reset_index()
    table.insert(
        1, "cells", table["rater"].map({name: len(types) for name, types in study.types.items()})
    )
    return table.rename(
        columns={
            "mean_absolute": "mean absolute difference",
            "largest": "largest difference in an image",
        }
    )


if not differences.empty:
    show_table(
        per_mask(study),
        label="tab-lineages-images",
        caption=f"Differences between the shares under each mask and those under {beside} (which has "
        f"{len(study.types[reference]):,} cells), over all {kind}s and images, in percentage points. {data}",
        decimals=1,
    )

# %% tags=["hide-input"]
if not differences.empty and study.gates and reference == TRUTH and shown.has_truth_table:
    planted = pd.concat({s: shown.read_truth(s)[TYPE] for s in looked_at}, names=["sample"])
    cross = pd.crosstab(planted, study.types[TRUTH].reindex(planted.index), normalize="index").mul(
        100
    )
    cross = cross.reindex(columns=[name for name in study.names if name in cross])
    display(
        Markdown(
            "**Are the gates right?** On the true masks this does not depend on segmentation: any error below is due to the gates "
            "themselves, and is the same for all masks."
        )
    )
    show_table(
        cross.rename_axis(index="planted type", columns=None).reset_index(),
        label="tab-lineages-truth",
        caption=f"Planted types of the true cells (rows), and the gates to which these cells are assigned on the true masks (columns), "
        f"in % of each type. {data}",
        decimals=1,
    )

# %% tags=["hide-input"]
more = [name for name, one in opened.items() if name != key and len(one.shared_ids)]
for name in more:
    also, images = study_of(name, rule)
    display(
        Markdown(
            f"**{cohort_name(name)}** ({counted(len(images), 'image')}), compared with {rater_name(also.reference)}: "
            + (
                f"lineages {', '.join(one.lineage for one in also.gates)}."
                if also.gates
                else f"{clusters} clusters without names, because its panel has no channel named after a marker of a lineage."
            )
        )
    )
    if not also.differences.empty:
        show_table(
            per_mask(also),
            label=f"tab-lineages-{name.replace('_', '-')}",
            caption=f"The same for {cohort_name(name)}, in percentage points. {source_note([name])}",
            decimals=1,
        )

# %% [markdown]
# This page reports differences in percentage points rather than correlations: the correlation of shares over lineages and
# images is high for any two masks, because frequent lineages remain frequent.

# %% [markdown]
# ## What this does not show
#
# - Whether single cells get the same type. Errors that cancel out leave shares unchanged.
# - Cells that a mask lacks altogether. A share refers to the cells that are in the mask; densities change with their number
#   ([](01_measurements)).
# - Which gates are right on real tissue. All masks share the gates, and hence their faults.
# - What the differences do to a comparison of patients, which takes groups of images.

# %% tags=["remove-cell"]
if not differences.empty:
    for own in shares.values():
        total = own.sum(axis=1)[own.notna().all(axis=1)]
        assert total.empty or (total - 100).abs().max() < 1e-9, (
            "every cell is in one gate, or ungated"
        )
    sums = differences.dropna(subset="value").groupby("rater")["value"].sum()
    assert sums.empty or sums.abs().max() < 1e-6, "what one lineage gains, others lose"

# %% [markdown]
# ## Takeaways
#
# - Set thresholds once, by a rule, before you compare masks: a separate threshold for each mask hides the effect of the mask.
# - A shift that is the same in every image does not average out. Use masks by the same person or model for all groups of
#   images that you compare.
# - Report which lineages the panel cannot gate.
