# ---
# jupyter:
#   imc_book:
#     page: false
#     reads:
#     - planted
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
# # One mask's biology, closely
#
# **How far are fractions and contacts off with this mask, this graph and this rule for types?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort; empty: a planted one, else the one with most shared images
masks: str = "annotator1"  # whose masks, a rater of the cohort
graph: str = "radius"  # whose edges are contacts: nearest, delaunay, radius or expansion
rule: str = ""  # how cells get types: regression, gates or clusters; empty: what the data allow
most_images: int = 12  # images that are looked at, evenly spread
picture: bool = True  # draw what is off; a sweep saves the time

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

from imc_helpers.data.manifest import load_edition
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.downstream.mask_study import first_to_study, off_reference
from imc_helpers.experiments.sweep_results import hand_over
from imc_helpers.figures.biology_plots import dot_rows
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import BLUE, answer, show, show_table

record = load_edition(edition)
opened = {key: open_cohort(key) for key in ([cohort] if cohort else record.made)}
key = first_to_study(opened)
if key:
    rows, by_name = off_reference(
        opened[key], masks, graph=graph, rule=rule, most_images=most_images
    )
    reference = rater_name(rows["reference"].iloc[0])
    answer(
        f"Masks of {rater_name(masks)}, graph *{graph}*, types by {rows['rule'].iloc[0]}: fractions are "
        f"{rows['fractions_off'].mean():.2f} off those of {reference}, contacts {rows['contacts_off'].mean():.2f} (mean "
        f"absolute log2 ratio, {len(rows)} images of {cohort_name(key)})."
    )
else:
    answer("No cohort of this edition has an image with two masks, so there is nothing to compare.")

# %% tags=["hide-input"]
if picture and key:
    show(
        partial(
            dot_rows, {"": by_name}, {"off": BLUE}, "mean absolute log2 ratio to the reference"
        ),
        label="fig-point-biology",
        caption=f"How far each fraction and each contact is off that of {reference}. {source_note([key])}",
        alt="A row per cell type and per pair of types, with a dot for the mean distance from the reference.",
    )

# %% [markdown]
# One *point* of a sweep over masks, graphs and typing rules, which [](../downstream/08_biology) shows.

# %% tags=["hide-input"]
if key:
    show_table(
        rows,
        label="tab-point-biology",
        caption=f"Each image: cells, and mean absolute log2 ratio of fractions and contacts to the reference. {source_note([key])}",
    )

# %% tags=["remove-cell"]
if key:
    hand_over(rows.drop(columns="rule"))  # the sweep adds its parameters, this one among them

# %% [markdown]
# ## What this does not show
#
# - Whether conclusions change: [](../downstream/08_biology) asks that of the masks of everyone.

# %% tags=["remove-cell"]
if key:
    assert (rows[["fractions_off", "contacts_off"]].dropna() >= 0).all(axis=None)
    assert rows["sample"].is_unique

# %% [markdown]
# ## Takeaways
#
# - A mask, a graph and a rule for types are one choice: none of them is right without the others.
