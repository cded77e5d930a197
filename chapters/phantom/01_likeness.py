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
# # The phantom beside real tissue
#
# **How like real IMC is the synthetic tissue of the demo edition?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
recipe: str = "phantom_spleen"  # recipe of the phantom that imitates the real cohort
real_cohort: str = "spleen_imc"  # real cohort that it is held against
kept_aside: str = "ROI006 ROI008"  # its regions kept aside for what was not fitted
other_tissue: str = "pancreas_imc"  # real cohort of another tissue
method: str = "distance"  # model that finds the cells in real and in synthetic images alike
seed: int = 1  # seed of the phantom
field_um: float = 100.0  # edge of the crops of the first figure, µm
truth_um: float = 40.0  # edge of the field with true cells, µm

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

from imc_helpers.cells.cohort_size import cohort_size
from imc_helpers.figures.agreement_plots import likeness_ranges, unfitted_pairs
from imc_helpers.figures.names import cohort_name, model_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.tissue_images import (
    Overlay,
    aggregates,
    field_px,
    middle,
    overlay_panels,
    stretch,
)
from imc_helpers.data.manifest import cohort_record, load_edition, published_table
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.phantom.recipes import COHORTS, phantom_cohort
from imc_helpers.phantom.drawing import TRUTH
from imc_helpers.experiments.likeness import STATISTICS, channel_statistics, likeness
from imc_helpers.experiments.unfitted import STATISTICS as STATISTICS_IN_WORDS
from imc_helpers.experiments.unfitted import compare_unfitted, unfitted_statistics
from imc_helpers.models.registry import load_segmenter
from imc_helpers.data.readers.published import open_cohort

keys = load_edition(edition).cohorts
real_is_here = real_cohort in keys
made = list(phantom_cohort(recipe, seed=seed))
if real_is_here:
    real = open_cohort(real_cohort)
    real_statistics = channel_statistics(real)
    origin = f"measured here on {cohort_name(real_cohort)}"
else:
    real_statistics = pd.read_csv(shipped("benchmarks/results") / f"{real_cohort}_channels.csv")
    origin = (
        f"measured on {cohort_name(real_cohort)} by the open edition's page, and kept with the code"
    )
table = likeness(channel_statistics(made), real_statistics)
table.to_csv(results_dir(edition, "phantom") / "likeness.csv")
segmenter = load_segmenter(method)


def unfitted(samples):
    """Measure some images as the real ones were."""
    measured = [unfitted_statistics(s, segmenter.segment(s)).assign(sample=s.id) for s in samples]
    return pd.concat(measured, ignore_index=True)


kept = pd.read_csv(shipped("benchmarks/results") / "unfitted_real.csv", dtype={"sample": str})
regions = kept[kept["cohort"] == real_cohort]
is_aside = regions["sample"].isin(kept_aside.split())
sources = {
    "made": unfitted(made),
    "aside": regions[is_aside],
    "others": regions[~is_aside],
    "tissue": kept[kept["cohort"] == other_tissue],
}
verdicts = compare_unfitted(sources["made"], sources["aside"], sources["others"])
verdicts["statistic"] = verdicts["statistic"].map(STATISTICS_IN_WORDS)
near = verdicts["ratio"] <= 1
inside = {
    s: table[f"{s}_phantom"].between(table[f"{s}_real_min"], table[f"{s}_real_max"]).sum()
    for s in STATISTICS
}
unlike = "; ".join(verdicts.loc[~near, "statistic"])
answer(
    f"In single channels, to which it was fitted, it is similar; in what it was not fitted to it is {'less' if unlike else 'also'} "
    f"similar. For {inside['median']} of {len(table)} shared channels its median count lies within the range of the real samples. Of "
    f"{len(verdicts)} statistics to which it was not fitted, {int(near.sum()) or 'none'} {'is' if near.sum() < 2 else 'are'} as "
    "close to real spleen as two other regions of the same spleen are"
    + (f" (the others: {unlike}; {{numref}}`tab-unfitted`)" if unlike else "")
    + ". Four regions are too few for an interval. Use the phantom where the truth is needed, but not to learn how real "
    "channels are related."
)

# %% tags=["hide-input"]
shown = {"Phantom": made[0]}
if real_is_here:
    shown[cohort_name(real_cohort)] = real[0]
show(
    partial(aggregates, shown, field_um=field_um),
    label="fig-phantom",
    caption="Nucleus channel, membrane channel, and both in colour, each with its own contrast. Synthetic"
    + (" above, real below." if real_is_here else "; the open edition shows real spleen below it."),
    alt="Crops of dense tissue, nuclei and membranes: synthetic tissue"
    + (" above, real tissue below." if real_is_here else "."),
)

# %% [markdown]
# The demo edition shows an IMC *phantom*: tissue, images and experts that are computed from a random seed. It
# needs no download, and it has what no real cohort has: a known truth. This page compares it with real
# spleen, channel by channel.

# %% [markdown]
# ## The truth
#
# Only a phantom has a truth: every cell and every nucleus, pixel by pixel, however dim or crowded.
# For each cell, `data/COHORT/truth/SAMPLE.csv` gives its type and niche, the markers that it expresses, the expected
# number of counts in it, and how many of these come from other cells.

# %% tags=["hide-input"]
sample = made[0]
crop = middle(sample.shape, field_px(truth_um, sample.um_per_px, sample.shape))
truth = Overlay(
    stretch(sample.channel("DNA1"))[crop],
    sample.um_per_px,
    "DNA channel",
    {"Cells": sample.masks[TRUTH][crop], "Nuclei": sample.nuclei[TRUTH][crop]},
)
show(
    partial(overlay_panels, [truth]),
    label="fig-truth",
    caption="The phantom's DNA channel, bare and with its true cells (blue) and nuclei (gold). If a cell shows no nucleus, its "
    "nucleus lies outside the section. Synthetic data.",
    alt="Two panels: nuclei in grey, and the same with cells outlined in blue and nuclei in gold.",
)

# %% [markdown]
# ## Channel by channel
#
# Counts in real spleen vary from sample to sample, so the real columns give the lowest and the highest value of
# its samples.

# %% tags=["hide-input"]
show(
    partial(likeness_ranges, table),
    label="fig-likeness",
    caption=f"Bars: range of the real samples ({origin}). Dots: the phantom, mean of its samples (synthetic).",
    alt="Four panels with one row per channel: grey bars span the real samples, and a dot marks the phantom.",
)

# %% tags=["hide-input"]
names = {
    "median": "median",
    "p99": "99th percentile",
    "zero": "empty px, share",
    "neighbour": "correlation of neighbours",
}


def short(value: float) -> str:
    """Write large numbers whole, small ones with two digits."""
    return f"{value:,.0f}" if abs(value) >= 10 or value == 0 else f"{value:.2g}"


columns = {"name": "channel"}
for statistic, name in names.items():
    columns[f"{statistic}_phantom"] = name
    columns[f"{statistic}_real"] = "real"
ranges = table.assign(
    **{
        f"{s}_real": [
            f"{short(low)} – {short(high)}"
            for low, high in zip(table[f"{s}_real_min"], table[f"{s}_real_max"], strict=True)
        ]
        for s in STATISTICS
    }
)
show_table(
    ranges[list(columns)].rename(columns=columns),
    label="tab-likeness",
    caption="Counts per pixel (median and 99th percentile), share of pixels without a count, and correlation of neighbouring "
    f"pixels: synthetic (recipe `{recipe}`, mean of its samples), and real ({origin}).",
    decimals=2,
)

# %% [markdown]
# ## Is it also similar in what it was not fitted to?
#
# Similarity in what was fitted proves little. The following statistics did not enter the fit: how channels correlate
# in squares of 4 µm, at which wavelengths the counts vary, how large cells are, how far apart they are
# and how many touch, and which markers occur in the same cell. Cells were found by the same quick method in real and
# in synthetic images, so differences between masks play no part. Two regions of the spleen are
# set aside for this comparison. The yardstick is the distance of the other two regions from them, because real tissue
# varies too. (The constants of the phantom were set on the counts of all four regions; none
# of the pancreas data were used.)

# %% tags=["hide-input"]
values = pd.concat(
    {
        name: part.groupby(["statistic", "item"], sort=False)["value"].mean()
        for name, part in sources.items()
    },
    axis=1,
)
here = values[["made", "aside", "others"]].dropna()
show(
    partial(
        unfitted_pairs,
        {
            "Channels, over squares of 4 µm": here.loc["channels"],
            "Markers, over found cells": here.loc["markers"],
        },
    ),
    label="fig-unfitted",
    caption="Pearson's correlation of every two channels (arcsinh of counts), one dot per pair: in the phantom (filled, "
    f"synthetic) and in other regions of the same spleen (rings, {cohort_name(real_cohort)}, real), against the real "
    f"regions set aside ({', '.join(kept_aside.split())}). On the line both are equal. None of this was fitted.",
    alt="Two scatter plots with a diagonal on which both correlations are equal, one dot per pair: rings for "
    "other real regions, filled dots for the phantom.",
)

# %% tags=["hide-input"]
show_table(
    verdicts.rename(columns={"phantom": "phantom (synthetic)", "regions": "other real regions"}),
    label="tab-unfitted",
    caption="Mean absolute difference from the real regions set aside, over the items of each statistic, for "
    "the phantom and for the other two regions, and the ratio of the two. A ratio up to 1 means *as near as another region*; "
    "up to 2, *farther*; above 2, *unlike*. Two regions against two are few, so the verdicts have no "
    "interval.",
)

# %% tags=["hide-input"]
titles = {
    "made": "phantom (synthetic)",
    "aside": "kept aside",
    "others": "other regions",
    "tissue": cohort_name(other_tissue),
}
written = {
    "areas": ("area, {} (µm²)", lambda value: f"{np.exp(value):.0f}"),
    "nearest": ("nearest neighbour, {} (µm)", lambda value: f"{np.exp(value):.1f}"),
    "touching": ("{} that touch", "{:.1%}".format),
}
of_cells = pd.DataFrame(
    {"of the cells found": words.format(item)} | row.map(write).rename(titles).to_dict()
    for statistic, (words, write) in written.items()
    for item, row in values.loc[statistic].iterrows()
)
show_table(
    of_cells,
    label="tab-unfitted-cells",
    caption="Quantiles of the areas of cells and of the distances between their centres, and the share of cells that touch "
    f"another, as found by *{model_name(method)}*: synthetic tissue, real spleen, and real pancreas "
    "(100 µm crops of another tissue, to show how much tissues differ).",
)

# %% tags=["hide-input"]
sizes = here.loc["markers"].abs().mean()
names_of = {c.channel: c.name for c in made[0].panel.channels}


def by_name(pair):
    """Name the targets of a pair of metals."""
    return " × ".join(names_of[tag] for tag in pair.split(" × "))


farthest = here.loc["markers"].assign(
    by=(here.loc["markers", "made"] - here.loc["markers", "aside"]).abs()
)
farthest = farthest.nlargest(8, "by").drop(columns="by")
show_table(
    farthest.rename(index=by_name, columns=titles).rename_axis("markers").reset_index(),
    label="tab-unfitted-markers",
    caption="The eight pairs of markers whose correlation over cells differs most between the phantom and the "
    f"regions kept aside. The mean size of all {len(here.loc['markers'])} correlations is {sizes['made']:.2f} "
    f"in the phantom, and {sizes['aside']:.2f} in the spleen.",
    decimals=2,
)

# %% [markdown]
# ## Measured beside published
#
# The demo's five cohorts imitate those of the study in tissue type, panel, image size and cell density.

# %% tags=["hide-input"]
synthetic = [key for key in keys if cohort_record(key).synthetic]
if synthetic:
    density = pd.DataFrame(
        {
            "cohort": key,
            "imitates": COHORTS[key].imitates,
            "cells per patch": cohort_size(open_cohort(key))["cells_per_patch"],
            "published": COHORTS[key].cells_per_patch,
        }
        for key in synthetic
    )
    show_table(
        density,
        label="tab-density",
        caption="Cells per patch of the simulated annotators' masks, and of the study's (Schuiki et "
        f"al. 2025, Table 1, as published). {source_note(synthetic)}",
        decimals=1,
    )
else:
    display(
        Markdown("*This edition has none of the phantom's cohorts; the demo edition has them.*")
    )

# %% [markdown]
# ## How long it takes to make

# %% tags=["hide-input"]
cost = pd.read_csv(shipped("benchmarks/results") / "phantom_cost.csv")
show_table(
    cost.rename(
        columns={
            "side_px": "edge (px)",
            "mpix": "megapixels",
            "tissue_s": "tissue (s)",
            "imaging_s": "imaging (s)",
            "tissue_us_per_cell": "tissue, µs per cell",
        }
    ),
    label="tab-cost",
    caption="Time to make lymphoid tissue and its images (synthetic), on one core of the machine that ran "
    "`make phantom-report`, which rewrites this table.",
    decimals=2,
)

# %% [markdown]
# ## What was fitted, and what was not
#
# - **Fitted to real spleen:** counts of the markers that the spleen has, their spread from cell to cell,
#   background, hot pixels, spillover, drift, the blur between neighbouring pixels.
# - **Set by analogy:** counts of the markers that the spleen lacks, including seven of the study's eleven
#   membrane markers.
# - **Set by the study's numbers:** density of cells, size of images, markers of each panel.
# - **Plausible, not fitted:** shapes of cells, positions of cell types, location of markers within the cell, and
#   which markers occur in the same cell. {numref}`tab-unfitted` shows how far these are from real spleen.
#
# ## What this does not show
#
# - That results on the phantom hold for real tissue. It has no folds, no debris, no staining gradients
#   across a slide, and no cells of intermediate type.
# - How similar the demo's own cohorts are to real ones. The comparison is with a recipe that imitates the spleen;
#   real counts of the other cohorts are not available here.

# %% tags=["remove-cell"]
assert len(table) >= 10
assert table[[f"{s}_phantom" for s in STATISTICS]].notna().all().all()
for statistic in ("median", "p99", "neighbour"):
    assert inside[statistic] >= len(table) / 2, f"{statistic}: the likeness is gone, fit again"
assert (table["zero_phantom"] < table["zero_real_min"]).sum() > 3, (
    "too few empty pixels, says the text"
)
study = published_table("schuiki25_table2")
membrane = study.loc[study["compartment"] == "membrane", "marker"]
lacking = set(membrane) - set(real_statistics["name"])
assert (len(lacking), len(membrane)) == (7, 11), "the text counts the markers that the spleen lacks"
assert len(verdicts) == len(STATISTICS_IN_WORDS)
assert set(kept_aside.split()) <= set(regions["sample"]), "the regions kept aside are there"
if real_is_here:
    measured = unfitted(real)[["sample", "statistic", "item", "value"]]
    columns = ["sample", "statistic", "item"]
    pd.testing.assert_series_equal(
        regions.set_index(columns)["value"],
        measured.set_index(columns)["value"],
        rtol=1e-3,
        atol=1e-6,
    )
    kept = pd.read_csv(shipped("benchmarks/results") / f"{real_cohort}_channels.csv")
    pd.testing.assert_frame_equal(
        kept, real_statistics.reset_index(drop=True), check_exact=False, rtol=1e-6
    )
if synthetic:
    ratio = density["cells per patch"] / density["published"]
    assert ratio.between(0.7, 1.3).all(), "a cohort has lost its density"

# %% [markdown]
# ## Takeaways
#
# - Channel by channel, the recipe has counts like those of dense spleen, within the limits that
#   {numref}`tab-likeness` shows; it has too few empty pixels.
# - {numref}`tab-unfitted` shows how similar it is in statistics that were not fitted. If markers are more specific to
#   their cell types than in real cells ({numref}`tab-unfitted-markers`), types are easier to distinguish on the phantom.
# - Use the phantom to learn, to test, and to answer questions that require the truth, but not to rank models.
#
# Next: [](02_experts).
