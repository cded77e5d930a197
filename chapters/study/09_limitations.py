# ---
# jupyter:
#   imc_book:
#     reads:
#     - sweeps/channels
#     - sweeps/preprocessing
#     - sweeps/scale
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
# # What the study left open
#
# **Would the study's answer change with other channels, cleaner images, another scale, or other models?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
metric: str = "ap50"  # score that is compared: ap50, map or sap

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

from IPython.display import Markdown, display

from imc_helpers.figures.names import cohort_name, model_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.sweep_plots import best_and_worst_choices
from imc_helpers.data.manifest import load_edition
from imc_helpers.experiments.study_limits import SWEEPS, best_and_worst
from imc_helpers.experiments.sweep_results import read_sweep
from imc_helpers.experiments.sweeps import annotated_cohort

run = [name for name in SWEEPS if name in load_edition(edition).sweeps]
sweeps = {name: read_sweep(edition, name) for name in run}
summary = best_and_worst(sweeps, metric)
summary["model"] = summary["model"].map(model_name)
if len(summary):
    cohort = annotated_cohort(edition)
    images = max(table["sample"].nunique() for table in sweeps.values())
    data = f"{images} images of {cohort_name(cohort)}. {source_note([cohort])}"
    gain = summary[summary["which"] == "best"]
    top = gain.loc[gain["mean"].idxmax()]
    low = summary.loc[summary["mean"].idxmin()]
    text = (
        f"From the study's own choice, the largest gain in mean {metric} was {top['mean']:+.3f} (95% "
        f"interval {top['low']:+.3f} to {top['high']:+.3f}; {top['question']}: *{top['choice']}*, {top['model']}), the "
        f"largest loss {low['mean']:+.3f} ({low['low']:+.3f} to {low['high']:+.3f}; {low['question']}: "
        f"*{low['choice']}*, {low['model']}), in {cohort_name(cohort)}."
    )
else:
    text = (
        f"This edition runs none of the sweeps {', '.join(SWEEPS)}, so what such a choice can do was not measured "
        "here."
    )
answer(text)

# %% tags=["hide-input"]
if len(summary):
    show(
        partial(
            best_and_worst_choices, summary, label=f"{metric}, difference from the study's choice"
        ),
        label="fig-limitations",
        caption="The best choice (blue) and the worst (red) for each question, with 95% intervals: picked after the "
        f"fact, so they look more extreme than they are. {data}",
        alt="A panel per model: for each question the best and the worst choice, as difference in score from the "
        "study's choice, with intervals.",
    )
else:
    display(Markdown("*No sweep, no figure: `make sweep NAME=channels` runs one.*"))

# %% [markdown]
# The study ends with five limits of its own ({cite:t}`schuiki2025`, section 4.4). Three of them are choices that
# can be tried, so this book tries them: as *sweeps*, one notebook run over many combinations of parameters. The
# other two ask for other models.

# %% tags=["hide-input"]
if len(summary):
    show_table(
        summary,
        label="tab-limitations",
        caption=f"The same in numbers: mean difference in {metric} with the references and its 95% interval. "
        f"*tried*: choices beside the study's. {data}",
    )

# %% [markdown]
# ## The study's limits, one by one
#
# Three are choices, and are tried by sweeps:
#
# - **Channel aggregation.** [](../sweeps/channels): each marker alone, all but one, and eight ways to put
#   them together.
# - **Pre-processing.** [](../sweeps/preprocessing): hot pixels, spillover, clipping, equalisation, denoisers.
# - **Scale.** [](../sweeps/scale): enlarged input, and windows from 128 pixels to the whole image.
#
# Two are other models:
#
# - **Specialised models** for IMC, and
# - **newer architectures**: see [](06_models) for those that this book can run.
#
# `make sweep NAME=channels` runs one of the sweeps again; a file in `sweeps/` makes a new one
# ([](../../how_to_run)).

# %% [markdown]
# ## What this does not show
#
# - How choices act together. Each sweep changes one thing and keeps the rest as the study had it.
# - The study's four models, unless they stand in the figure: their weights are not part of this book.
# - A winner. The best of many tries is partly luck, and the tries were scored on the images they were
#   picked on.

# %% tags=["remove-cell"]
if len(summary):
    by_which = summary.set_index(["question", "model", "which"])["mean"].unstack("which")
    assert (by_which["best"] >= by_which["worst"]).all()
    assert top["mean"] >= low["mean"]

# %% [markdown]
# ## Takeaways
#
# - Compare what a choice of channels, cleaning or scale does with what separates two models: a comparison of
#   models holds for one such choice.
# - State these choices with every score.
