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
from imc_helpers.figures.names import cohort_name, rater_name, source_note
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
    summary = (
        "No cohort of this edition has two masks of one image, or a mask and a model that ran: shares of lineages cannot be "
        "compared."
    )
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
        f"{'It does' if len(clear) else 'It may'}: with the masks of {who}, the mean share of a {kind} moves by up to "
        f"{abs(most['value']):.1f} percentage points from {beside} ({most['quantity']}, {rater_name(most['rater'])}: "
        f"{truly + most['value']:.1f}% in place of {truly:.1f}%), over {several} of {cohort_name(key)}"
    )
    if n_images > 1:
        spread = shares[reference].std(ddof=1)[most["quantity"]]
        summary += (
            f", which differ among themselves by a standard deviation of {spread:.1f} points. Of {len(told)} such differences, "
            + (
                f"{len(clear)} have a 95% interval over images that leaves out 0: more images like these would not average them out."
                if len(clear)
                else "none has a 95% interval over images that leaves out 0, so each may be chance; that is no proof that there is none."
            )
        )
    else:
        summary += "; one image cannot tell which of these differences would remain in others."
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
        caption=f"Share of each {kind} among the cells of an image, under each mask, less that under "
        f"{beside}: mean over {several}. Gold: annotators and tools; blue: models. {bars}{data}",
        alt="A panel for each lineage or cluster: a row for each mask, with its difference from the reference and an interval, "
        "beside a dashed line at 0.",
    )

# %% [markdown]
# {cite:t}`greenwald2022` gated the cells of breast cancer, two fields of each of three patients, stained with DAPI, CD8,
# CD14 and pan-keratin, into T cells, monocytes, tumour cells and ungated ones, with the same thresholds for Mesmer's masks
# and for the truth. Agreement was strong, in a figure without numbers (4j). There, thresholds were set by eye; here a rule
# sets them, from the cells of all annotators or tools together, before masks are compared.

# %% [markdown]
# ## Gates

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
        caption=f"The gates in their order: the first whose marker lies above its threshold takes the cell. Thresholds are mean "
        f"counts per pixel, by two rules; this page uses {rule}. {data}",
        decimals=2,
    )
    missing = ", ".join(study.without)
    display(
        Markdown(
            (
                f"The panel has no marker of its own for: {missing}. Such cells are ungated, or in a gate that is not theirs. "
                if missing
                else ""
            )
            + "Which marker stands for a lineage, and the order, were chosen before any mask was looked at."
        )
    )
elif not differences.empty:
    display(
        Markdown(
            "The channels of this panel bear no name that a lineage goes by, so cells are shared out to clusters "
            f"(k-means with {clusters} of them, on the inverse hyperbolic sine of mean counts, standardised), which are found once, "
            "from the cells of all annotators or tools, and numbered by size. They have no names, and none are guessed."
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
        caption=f"Largest mean difference of a mask from {beside}, percentage points, with thresholds by either rule, and how many "
        f"masks differ in the same direction by both. {data}",
        decimals=1,
    )

# %% [markdown]
# Both rules see one marker at a time. Where a marker has no gap between cells that have it and cells that have not, a
# threshold is a convention, and shares depend on it as much as on the mask.

# %% [markdown]
# ## Image by image


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
        columns={"mean_absolute": "mean absolute difference", "largest": "largest in an image"}
    )


if not differences.empty:
    show_table(
        per_mask(study),
        label="tab-lineages-images",
        caption=f"Shares under each mask beside those under {beside}, which has {len(study.types[reference]):,} cells: over all "
        f"{kind}s and images, percentage points. {data}",
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
            "**Are the gates right?** On true masks the answer does not involve segmentation: what is off here is the gates' "
            "own doing, and the same for all masks."
        )
    )
    show_table(
        cross.rename_axis(index="planted type", columns=None).reset_index(),
        label="tab-lineages-truth",
        caption=f"Planted types of the true cells, and the gate that takes them on true masks, % of each type. {data}",
        decimals=1,
    )

# %% tags=["hide-input"]
more = [name for name, one in opened.items() if name != key and len(one.shared_ids)]
for name in more:
    also, images = study_of(name, rule)
    display(
        Markdown(
            f"**{cohort_name(name)}**, {len(images)} image{'s' if len(images) > 1 else ''}, beside {rater_name(also.reference)}: "
            + (
                f"lineages {', '.join(one.lineage for one in also.gates)}."
                if also.gates
                else f"{clusters} clusters, since its channels bear no name that a lineage goes by; they have no names, and none are guessed."
            )
        )
    )
    if not also.differences.empty:
        show_table(
            per_mask(also),
            label=f"tab-lineages-{name.replace('_', '-')}",
            caption=f"The same for {cohort_name(name)}, percentage points. {source_note([name])}",
            decimals=1,
        )

# %% [markdown]
# A correlation of shares over lineages and images is high for any two masks, since frequent lineages stay frequent. So
# differences are shown, in points.

# %% [markdown]
# ## What this does not show
#
# - Whether single cells are typed alike. Errors that cancel leave shares as they are.
# - Cells that a mask lacks altogether: a share is of the cells that there are. Densities move with their number
#   ([](01_measurements)).
# - Which gates are right on real tissue. All masks share them, and so would share their faults.
# - What the shares do to a comparison of patients: that takes groups of images.

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
# - Set thresholds once, by a rule, before masks are compared: a threshold per mask hides what the mask did.
# - A shift that is the same in every image does not average out. Compare groups of images with one mask, by one maker.
# - Report which lineages the panel cannot gate.
