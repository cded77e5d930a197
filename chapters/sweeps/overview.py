# ---
# jupyter:
#   imc_book:
#     page: false
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
# # A sweep at a glance
#
# **What does each parameter of this sweep change?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
sweep: str = "channels"  # name of the sweep: a file in sweeps/
swept: list[str] = ["model", "aggregation"]  # columns that are parameters of its points
measure: str = ""  # column to draw; when empty, ap50 or else the first number

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

from imc_helpers.figures.names import source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.sweep_overview import against_parameters
from imc_helpers.data.manifest import load_edition
from imc_helpers.experiments.sweep_results import read_sweep

table = read_sweep(edition, sweep)
numbers = [name for name in table.select_dtypes("number") if name not in swept]
chosen = measure or ("ap50" if "ap50" in numbers else numbers[0])
varied = [name for name in swept if table[name].nunique() > 1] or swept[:1]
points = table[swept].drop_duplicates()
means = table.groupby(swept, sort=False, dropna=False)[numbers].mean().reset_index()
# As objects: a row of numbers alone would turn whole ones into fractions.
best, worst = (
    means.astype(object).loc[at] for at in (means[chosen].idxmax(), means[chosen].idxmin())
)
cohorts = table["cohort"].unique() if "cohort" in table else load_edition(edition).cohorts
data = f"Rows are from among these cohorts. {source_note(cohorts)}"


def in_words(point):
    """Write a point's parameters in a row."""
    return ", ".join(f"{name} {point[name]}" for name in varied)


answer(
    f"Over the {len(points)} points of the sweep `{sweep}`, mean {chosen} ranges from {worst[chosen]:.3f} "
    f"({in_words(worst)}) to {best[chosen]:.3f} ({in_words(best)}); how certain that difference is, this page does not say."
)

# %% tags=["hide-input"]
show(
    partial(against_parameters, table, varied, chosen),
    label="fig-overview",
    caption=f"{chosen} against each parameter, over all values of the others. Dots: rows of the table; diamonds: their "
    f"means. {data}",
    alt=f"A panel per parameter: {chosen} of every row, and its mean, by value of the parameter.",
)

# %% [markdown]
# `make sweep` runs this notebook on the table that it has collected. The notebook works for any sweep, so it knows
# nothing about yours; to answer a question of your own, write a page for it.

# %% tags=["hide-input"]
show_table(
    means,
    label="tab-overview",
    caption=f"Means over the rows of each point. {data}",
)

# %% [markdown]
# ## What this does not show
#
# - How certain a difference is: rows of the same image, or of the same seed, are not independent.
# - How parameters interact: a mean over the other parameters can hide it.

# %% tags=["remove-cell"]
assert len(means) == len(points) and numbers
assert worst[chosen] <= best[chosen]

# %% [markdown]
# ## Takeaways
#
# - Look at the dots before the diamonds: a mean can hide that the rows disagree.
