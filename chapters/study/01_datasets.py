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
# # Datasets
#
# **Which images and masks does this edition look at, and how do they compare with the study's?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
window_px: int = 256  # edge of a patch, pixels
stride_px: int = 128  # step from one patch to the next, pixels
field_um: float = 150.0  # edge of the crops in the gallery, µm

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
from imc_helpers.data.conversion import read_unmatched
from imc_helpers.figures.names import cohort_name, counted, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.tissue_images import gallery
from imc_helpers.data.manifest import cohort_record, load_edition, published_table
from imc_helpers.data.paths import results_dir
from imc_helpers.data.raters import describe_raters
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.sources import describe_sources

keys = load_edition(edition).cohorts
cohorts = {key: open_cohort(key) for key in keys}
records = {key: cohort_record(key) for key in keys}
measured = pd.DataFrame(
    {
        "cohort": key,
        "tissue": records[key].tissue,
        **cohort_size(cohort, window_px=window_px, stride_px=stride_px),
    }
    for key, cohort in cohorts.items()
)
measured.to_csv(results_dir(edition, "datasets") / "cohorts.csv", index=False)
dense = measured.dropna(subset="cells_per_patch")["cells_per_patch"]
several = (measured["annotators"] > 1).sum()
density = (
    f"They differ in density: a patch holds {dense.min():.0f} to {dense.max():.0f} cells on average, depending on the cohort."
    if len(dense) > 1
    else f"A patch holds {dense.mean():.0f} cells on average."
    if len(dense)
    else "No mask covers a whole patch, so there is no density to report."
)
tools = (measured["tools"] > 0).sum()
kinds = "synthetic" if all(record.synthetic for record in records.values()) else "real"
if len({record.synthetic for record in records.values()}) > 1:
    kinds = "real and synthetic"
answer(
    f"This edition shows {kinds} data: {counted(measured['samples'].sum(), 'sample')} in {counted(len(keys), 'cohort')}. "
    f"{'One' if several == 1 else several or 'None'} of the cohorts {'has' if several < 2 else 'have'} masks by more than one annotator, and "
    f"{tools or 'none'} {'has' if tools < 2 else 'have'} masks made by tools. {density}"
)

# %% tags=["hide-input"]
first = {cohort_name(key): cohort[0] for key, cohort in cohorts.items()}
show(
    partial(gallery, first, field_um=field_um),
    label="fig-gallery",
    caption=f"The top left {field_um:g} µm of one sample per cohort: nucleus channel blue, membrane "
    f"channel gold, each with its own contrast. {source_note(keys)}",
    alt="One crop per cohort: nuclei in blue, membranes in gold.",
)

# %% [markdown]
# How well people agree depends on what they looked at: how large the images are, how densely the cells are
# packed, and how the masks were made. This page describes the data in these terms. It follows sections 3.1.1 to
# 3.1.3 of {cite:t}`schuiki2025`.

# %% [markdown]
# ## How large and how dense
#
# {numref}`tab-datasets` has the columns of the study's Table 1. Sizes are means over samples. A patch
# is a full window of the sliding grid (see [](03_patches)). *Cells per patch* counts every cell with at least one
# pixel in the window of 256 px; the study does not say how it counted.

# %% tags=["hide-input"]
columns = {
    "cohort": "cohort",
    "tissue": "tissue",
    "samples": "samples",
    "height_px": "mean height (px)",
    "width_px": "mean width (px)",
    "patches": "patches",
    "annotators": "annotators",
    "tools": "tools",
    "cells_per_patch": "cells per patch",
}
show_table(
    measured[list(columns)].rename(columns=columns),
    label="tab-datasets",
    caption=f"The cohorts of this edition, measured. {source_note(keys)}",
    decimals=1,
)

# %% [markdown]
# ## Who made the masks
#
# A *mask* can be drawn by a person, made by a tool that a person trained, or made by a tool alone.
# What agreement between two masks means depends on which of these they are.

# %% tags=["hide-input"]
makers = describe_raters({key: cohort.raters for key, cohort in cohorts.items()})
if len(makers):
    show_table(
        makers,
        label="tab-makers",
        caption=f"Who or what made the masks, from the manifest. {source_note(keys)}",
        merge=["mask of", "cohort"],
    )
else:
    display(Markdown("*No cohort of this edition has masks.*"))

# %% [markdown]
# ## Where the data come from

# %% tags=["hide-input"]
sources = describe_sources(records)
show_table(
    sources,
    label="tab-sources",
    caption=f"Sources of the cohorts, from the manifest. {source_note(keys)}",
    merge=["cohort"],
)

# %% [markdown]
# Images and masks that may not be redistributed stay on your machine: a site made from this book
# (`make site`) leaves out the viewer and the pictures of these cohorts.

# %% tags=["hide-input"]
noncommercial = [key for key, record in records.items() if record.noncommercial]
if noncommercial:
    names = ", ".join(map(cohort_name, noncommercial))
    display(Markdown(f"**Non-commercial use only:** {names}."))
else:
    display(Markdown("*No cohort of this edition has a non-commercial licence.*"))

# %% [markdown]
# Some statements about public data cannot be checked at their source. The manifest marks them and gives the
# evidence for each.

# %% tags=["hide-input"]
doubts = pd.DataFrame(
    [
        {
            "cohort": key,
            "statement": item.what,
            "evidence": f"{item.why}. *How to check it:* {item.mend}" if item.mend else item.why,
        }
        for key, record in records.items()
        for item in record.unverified
    ],
    columns=["cohort", "statement", "evidence"],
)
if len(doubts):
    show_table(
        doubts, label="tab-unverified", caption="What could not be checked.", merge=["cohort"]
    )
elif all(record.synthetic for record in records.values()):
    display(
        Markdown("*All cohorts of this edition are synthetic; nothing is quoted from a source.*")
    )
else:
    display(Markdown("*Every statement about the cohorts of this edition was checked.*"))

# %% [markdown]
# ## What was left out
#
# An image is used if it has a mask of the same name and size, and every channel that the two aggregates
# need. Regions that the authors of the data themselves exclude are left out as well. Nothing else is: no
# patient data are used to choose images. The table counts what was left out; `unmatched.csv`, among the results of
# this edition, lists every item.

# %% tags=["hide-input"]
unmatched = pd.concat(
    [read_unmatched(cohort.folder).assign(cohort=key) for key, cohort in cohorts.items()]
)
unmatched.to_csv(results_dir(edition, "datasets").parent / "unmatched.csv", index=False)
if len(unmatched):
    by_reason = unmatched.groupby(["cohort", "what"], sort=False)
    counted = by_reason.agg(number=("what", "size"), example=("reason", "first")).reset_index()
    show_table(
        counted,
        label="tab-unmatched",
        caption="Images and masks that were left out, by cohort and reason, with one example each.",
    )
else:
    display(Markdown("*Nothing was left out of the cohorts of this edition.*"))

# %% [markdown]
# ## Measured beside published

# %% tags=["hide-input"]
published = published_table("schuiki25_table1")
here = [cohort_name(key) for key in published["cohort"] if key in keys]
display(
    Markdown(
        f"The study reports five cohorts, of which {', '.join(here)} {'is' if len(here) == 1 else 'are'} part of this "
        "edition; [](../../status) compares each of their numbers with the published one."
        if here
        else "The study reports five cohorts. None of them is part of this edition, so {numref}`tab-datasets` and "
        "{numref}`tab-published-datasets` describe different data; the published one is shown for scale."
    )
)
show_table(
    published[[c for c in columns if c in published]].rename(columns=columns),
    label="tab-published-datasets",
    caption=f"The study's cohorts, as published: {published['source'][0]}. Not measured here.",
    decimals=1,
)

# %% [markdown]
# ## What this does not show
#
# - Image quality. Staining and counts differ between cohorts as well.
# - The true number of cells. *Cells per patch* is the count in a mask, and two annotators can count differently in
#   the same patch; the mean hides this. See [](05_annotators).
# - The amount of tissue. A patch covers less tissue if its pixels are smaller.

# %% tags=["remove-cell"]
assert len(measured) == len(keys)
assert (measured["samples"] > 0).all()
drawn = (measured["patches"] > 0) & (measured["annotators"] + measured["tools"] > 0)
assert measured.loc[~drawn, "cells_per_patch"].isna().all()
assert set(makers.get("cohort", [])) == {
    key for key, cohort in cohorts.items() if cohort.references
}
assert set(noncommercial) <= set(sources.loc[sources["on a public site"] != "yes", "cohort"])

# %% [markdown]
# ## Takeaways
#
# - Cohorts can differ in size, in density, and in who made their masks. Compare the rows of
#   {numref}`tab-datasets` before you compare scores.
#
# Next: [](02_channels).
