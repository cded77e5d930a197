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

import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.cells.cohort_size import cohort_size
from imc_helpers.figures.agreement_plots import likeness_ranges
from imc_helpers.figures.names import cohort_name, source_note
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
inside = {
    s: table[f"{s}_phantom"].between(table[f"{s}_real_min"], table[f"{s}_real_max"]).sum()
    for s in STATISTICS
}
answer(
    f"The two share {len(table)} channels. The phantom lies between the least and "
    f"the largest real sample for {inside['median']} of them in median count, "
    f"{inside['p99']} in the 99th percentile, {inside['zero']} in the share of empty pixels, and "
    f"{inside['neighbour']} in the correlation of neighbouring pixels. It is a likeness, not a "
    "copy."
)

# %% tags=["hide-input"]
shown = {"Phantom": made[0]}
if real_is_here:
    shown[cohort_name(real_cohort)] = real[0]
show(
    partial(aggregates, shown, field_um=field_um),
    label="fig-phantom",
    caption="Nucleus channel, membrane channel, and both in colour, each stretched on its own. Synthetic"
    + (" above, real below." if real_is_here else "; the open edition shows real spleen below it."),
    alt="Crops of dense tissue, nuclei and membranes, synthetic above and, where there, real below.",
)

# %% [markdown]
# The demo edition shows an IMC *phantom*: tissue, images and experts that are computed from a seed. It
# needs no download, and it has what no real cohort has, the truth. This page holds it against real
# spleen, channel by channel. Nothing else in the book takes the phantom for real.

# %% [markdown]
# ## The truth
#
# What only a phantom has: every cell and every nucleus, pixel by pixel, however dim or crowded.

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
    caption="The phantom's DNA channel, bare and with its true cells (blue) and nuclei (gold). A cell without "
    "a nucleus has it outside the section. Synthetic data.",
    alt="Two panels: nuclei in grey, and the same with cells outlined in blue and nuclei in gold.",
)

# %% [markdown]
# ## Channel by channel
#
# Counts of real spleen vary from sample to sample, so the real columns give the least and the largest of
# its samples.

# %% tags=["hide-input"]
show(
    partial(likeness_ranges, table),
    label="fig-likeness",
    caption=f"Bars: from the least to the largest real sample ({origin}). Dots: the phantom, mean of its "
    "samples (synthetic).",
    alt="Four panels with a row for each channel. Grey bars span the real samples, a dot marks the "
    "phantom; most dots lie on or beside their bar.",
)

# %% tags=["hide-input"]
names = {
    "median": "median",
    "p99": "99th pct.",
    "zero": "empty px",
    "neighbour": "neighbours",
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
    caption="Counts per pixel, share of pixels without a count, and correlation of neighbouring "
    f"pixels: synthetic (recipe `{recipe}`, mean of its samples), and real ({origin}).",
    decimals=2,
)

# %% [markdown]
# ## Measured beside published
#
# The demo's five cohorts imitate the study's in kind of tissue, panel, size and density.

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
# ## What it costs

# %% tags=["hide-input"]
cost = pd.read_csv(shipped("benchmarks/results") / "phantom_cost.csv")
show_table(
    cost.rename(
        columns={
            "side_px": "edge (px)",
            "mpix": "megapixels",
            "tissue_s": "tissue (s)",
            "imaging_s": "imaging (s)",
            "tissue_us_per_cell": "tissue, µs a cell",
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
# - **By analogy:** counts of the markers that the spleen lacks, among them seven of the study's eleven
#   membrane markers.
# - **Set by the study's numbers:** density of cells, size of images, which markers a panel has.
# - **Plausible, not fitted:** shapes of cells, where types lie, which marker sits where in the cell.
#
# ## What this does not show
#
# - That results on the phantom hold for real tissue. It has no folds, no debris, no staining gradients
#   across a slide, no cell that is half a type.
# - Likeness of the demo's own cohorts: the comparison is with a recipe that imitates the spleen, and no
#   real counts of the other cohorts are at hand.

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
if real_is_here:
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
# - The recipe looks and counts like dense spleen, channel by channel, within limits that
#   {numref}`tab-likeness` states; it has too few empty pixels.
# - Use it to learn, to test, and to ask what only the truth can answer. Not to rank models.
#
# Next: [](02_experts).
