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
# # From masks to tables
#
# **What do you measure under each mask of the same images?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort; when empty, the first with several masks of an image
most_images: int = 8  # images that are measured, evenly spread over the cohort

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

from imc_helpers.agreement.outcomes import first_to_compare
from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import project_root, results_dir
from imc_helpers.data.raters import TRUTH, noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread
from imc_helpers.downstream.export import write_measurements
from imc_helpers.downstream.mask_sets import mask_sets
from imc_helpers.downstream.mask_summary import AREA, CELLS, NEIGHBOURS, relative, summarise
from imc_helpers.downstream.measure import read_tables
from imc_helpers.figures.mask_plots import mask_rows
from imc_helpers.figures.names import cohort_name, counted, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table

record = load_edition(edition)
opened = {key: open_cohort(key) for key in record.cohorts}
with_mask = next((key for key in opened if mask_sets(opened[key], record.models)), "")
key = cohort or first_to_compare(opened, record.models) or with_mask
tables, masks, others = {}, {}, pd.DataFrame()
if key:
    shown = opened[key] if key in opened else open_cohort(key)
    masks = mask_sets(
        shown, record.models, samples=evenly_spread(shown.shared_ids or shown.ids, most_images)
    )
if masks:
    folder = results_dir(edition, "measurements") / key
    folder.mkdir(exist_ok=True)
    tables = {name: write_measurements(folder, shown, name, own) for name, own in masks.items()}
    summaries = pd.DataFrame(
        {"rater": name, "sample": sample, **summarise(one, shown.um_per_px(sample))}
        for name, own in tables.items()
        for sample, one in own.items()
    )
    summaries.to_csv(folder / "summaries.csv", index=False)
    reference = TRUTH if TRUTH in masks else next(iter(masks))
    others = relative(summaries, reference)
    people = [name for name in shown.references if name in masks]
    beside = "the truth" if reference == TRUTH else rater_name(reference)
    data = source_note([key])
    n_images = len(masks[reference])


def spread(quantity):
    """Say how far masks lie apart: people where there are some, else models."""
    of = others[(others["quantity"] == quantity) & others["value"].notna()]
    own = of[of["rater"].isin(people)] if of["rater"].isin(people).any() else of
    both = f"{own['value'].min():.2f}", f"{own['value'].max():.2f}"
    return " to ".join(dict.fromkeys(both)) + " times"


if others.empty:
    summary = (
        f"{cohort_name(key)} has only one mask per image, so its tables are written, but there is nothing to compare them with."
        if masks
        else "No image of this edition has a mask, so there is no cell to measure."
    )
else:
    made_by = [rater for rater in shown.raters if rater.name in set(others["rater"]) & set(people)]
    who = f"the {'other ' if reference in people else ''}{noun(made_by)}" if made_by else "models"
    who = rater_name(made_by[0].name) if len(made_by) == 1 else who
    images = "one image" if n_images == 1 else f"the same {n_images} images"
    summary = (
        "What is measured depends on the mask, although these ratios alone do not say which conclusions change. On "
        f"{images} of {cohort_name(key)}, compared with {beside}, the masks of {who} have {spread(CELLS)} as many cells, with "
        f"{spread(AREA)} the median area and {spread(NEIGHBOURS)} as many neighbours per cell."
    )
answer(summary)

# %% tags=["hide-input"]
if not others.empty:
    interval_note = "Bars: 95% intervals over images, for these raters. " if n_images > 1 else ""
    show(
        partial(mask_rows, others, people=people, line=1, label=f"times that of {beside}"),
        label="fig-measured-cells",
        caption=f"Number of cells, median area and neighbours per cell under each mask of the same images, as a multiple of "
        f"{beside} (dashed): geometric mean over {counted(n_images, 'image')}. {interval_note}Gold: annotators and tools; blue: "
        f"models. Neighbours: cells that touch after each has grown by 4 px. {data}",
        alt="Three panels, for the number of cells, their median area and their neighbours, with one row per mask: a "
        "point with an interval, and a dashed line at 1.",
    )

# %% [markdown]
# Every single-cell analysis starts from a table with one row per cell, and that table starts from a mask. Here each mask
# of the same images gets its own set of tables, in the layout of steinbock {cite:p}`windhager2023`, so that you can run
# your analysis once per mask and change nothing else.

# %% [markdown]
# ## The tables

# %% tags=["hide-input"]
if masks:
    means = summaries.groupby("rater", sort=False)[[CELLS, AREA, NEIGHBOURS]].mean().reset_index()
    means = means.rename(
        columns={
            CELLS: "cells per image",
            AREA: "median area, µm²",
            NEIGHBOURS: "neighbours per cell",
        }
    )
    show_table(
        means,
        label="tab-measured-masks",
        caption=f"Means over {counted(n_images, 'image')}, for each mask. {data}",
        decimals=1,
    )

# %% tags=["hide-input"]
if masks:
    sample = next(iter(tables[reference]))
    one = tables[reference][sample]
    show_table(
        one.intensities.iloc[:3, :6].reset_index(),
        label="tab-measured-intensities",
        caption=f"The first rows and columns of `intensities_{reference}/{sample}.csv`: mean counts per pixel of each cell "
        f"(`Object`). {data}",
        decimals=2,
    )
    show_table(
        one.regionprops.iloc[:3].reset_index(),
        label="tab-measured-regionprops",
        caption=f"The first rows of `regionprops_{reference}/{sample}.csv`: size, position and fitted ellipse of each cell, in pixels. {data}",
        decimals=2,
    )
    show_table(
        one.neighbors.iloc[:3],
        label="tab-measured-neighbors",
        caption=f"The first rows of `neighbors_{reference}/{sample}.csv`: each neighbour of each cell, and the distance between "
        f"their centres, in pixels. {data}",
        decimals=2,
    )

# %% tags=["hide-input"]
if masks:
    place = folder.relative_to(project_root())
    display(
        Markdown(
            f"All files are in `{place}`. Read the tables in R, or the `.h5ad` file of each mask in Python:\n\n"
            "```r\n"
            f'imcRtools::read_steinbock("{place}", panel = "data/{key}/panel.csv",\n'
            f'    intensities_folder = "intensities_{reference}", regionprops_folder = "regionprops_{reference}",\n'
            f'    graphs_folder = "neighbors_{reference}")\n'
            "```\n\n"
            "```python\n"
            f'cells = anndata.read_h5ad("{place / reference}.h5ad")\n'
            "```\n"
        )
    )

# %% [markdown]
# In the AnnData file `X` holds mean counts, `layers["exprs"]` their inverse hyperbolic sine (cofactor 1), `obs` image,
# cell, area (µm²) and region, `obsm["spatial"]` centres in µm, and `obsp` the graph of neighbours with its distances.
# scanpy, squidpy and sopa run on it unchanged. squidpy and SpatialData need an older image library than the book, so
# they have a kernel of their own (`make kernel-squidpy`), which also writes a SpatialData store:
#
# ```bash
# .kernels/squidpy/bin/python -m imc_helpers.downstream.spatialdata_store COHORT RATER OUT.zarr
# ```
#
# scimap is not used: its version 2.3.6 requires NumPy below 2 and SciPy up to 1.12, and squidpy has the same statistics of
# neighbours.

# %% [markdown]
# ## Markers

# %% tags=["hide-input"]
if not others.empty:
    markers = relative(summaries, reference, shown.panel.names)
    markers.to_csv(folder / "markers.csv", index=False)
    compared = (
        markers[markers["rater"].isin(people)] if set(markers["rater"]) & set(people) else markers
    )
    by_marker = compared.groupby("quantity", sort=False)["value"].agg(["min", "max"])
    truly = summaries[summaries["rater"] == reference][list(shown.panel.names)].mean()
    show_table(
        pd.DataFrame(
            {
                "channel": by_marker.index,
                f"mean counts, {beside}": truly[by_marker.index].to_numpy(),
                "lowest, times": by_marker["min"].to_numpy(),
                "highest, times": by_marker["max"].to_numpy(),
            }
        ),
        label="tab-measured-markers",
        caption=f"Mean counts per pixel, averaged over cells: under {beside}, and the lowest and highest value under the other "
        f"masks as a multiple of it (masks of {who}; geometric mean over images). {data}",
        decimals=2,
    )

# %% [markdown]
# A mask with larger outlines includes more of the space between cells, which lowers the mean of every marker inside them. A
# mask that misses one kind of cell changes the mean over cells without changing any cell. A mean cannot tell which of the
# two has happened; [](03_lineages) counts cells instead.

# %% [markdown]
# ## What this does not show
#
# - Which mask is right. On real images nobody knows; the first rater merely serves as the reference.
# - What you would conclude from the tables. Cells of different sizes may still have the same types and neighbours.
# - Compensation. Counts are used as they are, including spillover from other channels.

# %% tags=["remove-cell"]
for name, own in tables.items():
    first = next(iter(own))
    again = read_tables(folder, name, first, masks[name][first])
    assert again.intensities.to_numpy().tolist() == own[first].intensities.to_numpy().tolist(), (
        "tables come back"
    )
    assert set(again.neighbors["Object"]) == set(again.neighbors["Neighbor"]), (
        "every pair stands in it twice"
    )
if not others.empty:
    assert reference not in set(others["rater"])
    assert others.dropna().eval("low <= value <= high").all()

# %% [markdown]
# ## Takeaways
#
# - State with each density, size or number of contacts whose mask it comes from.
# - Run your analysis once per mask; the tables differ in nothing else.
# - Before you call a number biology, check how much it differs between masks of the same images.
