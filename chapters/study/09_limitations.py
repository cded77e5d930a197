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
# other two ask for other models. A sixth, its annotators, the study does not name.

# %% tags=["hide-input"]
if len(summary):
    show_table(
        summary,
        label="tab-limitations",
        caption=f"The same in numbers: mean difference in {metric} with the references and its 95% interval. "
        f"*tried*: choices beside the study's. {data}",
    )

# %% [markdown]
# ## The limits, one by one
#
# **Scale.** Models saw a whole image, or windows of 256 px, and scored differently. [](../sweeps/scale) enlarges
# the input, and tries windows from 128 pixels to the whole image. The study names SpiDe-Sr
# {cite:p}`chen2024spidesr`, a network that enlarges IMC images and learns how from them. It is not tried here: as far
# as we could see, its public repository holds data and no program, and no package registry has one. The enlargements
# that are tried interpolate; they add pixels, and no detail.
#
# **Annotators.** Four people from one laboratory, on ten images of one donor's lymphoid tissue, who all extrapolated
# their drawings with the same software. Other people, tissues or software may agree more or less, and the
# agreement is lent to four other tissues ([](08_public_cohorts)). [](05_annotators) shows what agreement says of
# truth, where the truth is known.
#
# **Pre-processing.** [](../sweeps/preprocessing) tries what IMC laboratories do before they outline cells: hot pixels,
# spillover, clipping, equalisation, and four denoisers that need no training. The study names IMC-Denoise
# {cite:p}`lu2023imcdenoise`. It is not tried here: its licence allows research only and forbids to pass it on, it
# is in no package registry, and its network is trained anew for every marker, with TensorFlow. You can run it on your
# own images and let this book compare both: a folder of cleaned images is a cohort like any other.
#
# **Channels.** [](../sweeps/channels) tries each marker alone, all but one, and eight ways to put them together.
#
# **Models made for IMC.** The study took generalists only. Dice-XMBD {cite:p}`xiao2021` was trained on IMC, with
# masks made by ilastik and CellProfiler for labels, as most public masks are. Its network is not part of this book.
# What it was compared with is: CellProfiler's three methods stand among the models ([](06_models)), and so does a pixel
# forest, which is what ilastik trains.
#
# **Newer architectures.** micro-sam and SAMCell, which the study names, and Cellpose-SAM have their adapters here;
# [](06_models) says which of them ran in this edition, and why others did not.
#
# `make sweep NAME=channels` runs one of the sweeps again; a file in `sweeps/` makes a new one
# ([](../../how_to_run)).

# %% [markdown]
# ## The study's conclusion
#
# The study concludes three things (section 5). What this book has to say to each:
#
# | The study | Where it is asked here |
# |---|---|
# | The agreement of experts is a reasonable upper bound for models. | [](05_annotators): where the truth is known, a perfect model can score below it. So it is called a yardstick here. |
# | Measured by it, generalist models leave room for improvement. | [](07_models_vs_annotators) sets each model beside the annotators; [](../beyond/01_equivalence) asks whether one could take a person's place. |
# | The same holds on public data, if the bound does. | [](08_public_cohorts): that bound is lent by another tissue, and cannot be checked with one mask per image. |
#
# Which of the study's numbers this edition reproduces stands in [](../../status).

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
