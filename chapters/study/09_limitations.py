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

from imc_helpers.figures.names import choice_name, cohort_name, counted, model_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.sweep_plots import best_and_worst_choices
from imc_helpers.data.manifest import load_edition
from imc_helpers.experiments.study_limits import SWEEPS, best_and_worst
from imc_helpers.experiments.sweep_results import read_sweep
from imc_helpers.experiments.sweeps import annotated_cohort, in_words

run = [name for name in SWEEPS if name in load_edition(edition).sweeps]
sweeps = {name: read_sweep(edition, name) for name in run}
summary = best_and_worst(sweeps, metric)
summary["model"] = summary["model"].map(model_name)
summary["choice"] = summary["choice"].map(choice_name)
if len(summary):
    cohort = annotated_cohort(edition)
    images = max(table["sample"].nunique() for table in sweeps.values())
    data = f"{images} images of {cohort_name(cohort)}. {source_note([cohort])}"
    gain = summary[summary["which"] == "best"]
    top = gain.loc[gain["mean"].idxmax()]
    low = summary.loc[summary["mean"].idxmin()]
    up, down = bool(top["low"] > 0), bool(low["high"] < 0)
    verdict = {
        (
            True,
            True,
        ): "Yes, for single models: some choices surely raise a score and others surely lower it",
        (True, False): "Yes, for single models: some choices surely raise a score",
        (
            False,
            True,
        ): "Only for the worse: some choices surely lower a model's score, and none surely raises one",
        (False, False): "These images cannot say: no choice surely changes a model's score",
    }[up, down]
    text = (
        f"{verdict} (95% intervals over {counted(images, 'image')} of {cohort_name(cohort)}; the extremes were picked "
        f"afterwards, so they look larger than they are). Mean {metric} changes from the study's own choice by {in_words(low)} "
        f"in the worst case ({low['question']}: *{low['choice']}*, {low['model']}) and by {in_words(top)} in the best "
        f"({top['question']}: *{top['choice']}*, {top['model']})."
    )
else:
    text = (
        f"This edition runs none of the sweeps ({', '.join(SWEEPS)}) that would tell, so the effect of such choices was "
        "not measured here."
    )
answer(text)

# %% tags=["hide-input"]
if len(summary):
    show(
        partial(
            best_and_worst_choices, summary, label=f"{metric}, difference from the study's choice"
        ),
        label="fig-limitations",
        caption="The best choice (blue) and the worst (red) for each question, with 95% intervals. They were picked "
        f"afterwards, so they look more extreme than they are. {data}",
        alt="One panel per model: the best and the worst choice for each question, as differences in score from the "
        "study's choice, with intervals.",
    )
else:
    display(Markdown("*No sweep, no figure: `make sweep NAME=channels` runs one.*"))

# %% [markdown]
# The study names five limits of its own ({cite:t}`schuiki2025`, section 4.4). Three of them are choices that can
# be varied, and this book varies them in *sweeps*: one notebook run with many combinations of parameters. The other
# two ask for other models. A sixth limit, the choice of annotators, the study does not name.

# %% tags=["hide-input"]
if len(summary):
    show_table(
        summary,
        label="tab-limitations",
        caption=f"The same in numbers: mean difference in {metric} from the study's choice, with its 95% interval. "
        f"*Tried*: number of alternatives to the study's choice. {data}",
    )

# %% [markdown]
# ## The limits, one by one
#
# **Scale.** Models scored differently on whole images and on windows of 256 px. [](../sweeps/scale) enlarges
# the input, and tries windows from 128 pixels to the whole image. The study names SpiDe-Sr
# {cite:p}`chen2024spidesr`, a network that learns from IMC images how to enlarge them. It is not tried here: as far
# as we could see, its public repository holds data but no program, and no package registry has one. The enlargements
# tried here interpolate, which adds pixels but no detail.
#
# **Annotators.** Four people from one laboratory annotated ten images of one donor's lymphoid tissue, and all of them
# extended their drawings with the same software. Other people, tissues or software may agree more or less, and the
# study applies their agreement to four other tissues ([](08_public_cohorts)). [](05_annotators) shows what agreement
# says about the truth, where the truth is known.
#
# **Pre-processing.** [](../sweeps/preprocessing) tries what IMC laboratories do before they outline cells: hot pixels,
# spillover, clipping, equalisation, and four denoisers that need no training. The study names IMC-Denoise
# {cite:p}`lu2023imcdenoise`. It is not tried here: its licence is for research only and forbids redistribution, it
# is in no package registry, and its network must be trained anew for every marker, with TensorFlow. You can run it on
# your own images and let this book compare the two: a folder of cleaned images is a cohort like any other.
#
# **Channels.** [](../sweeps/channels) tries each marker alone, all markers but one, and eight ways to combine them.
#
# **Models made for IMC.** The study tested generalist models only. Dice-XMBD {cite:p}`xiao2021` was trained on IMC;
# its labels were masks made with ilastik and CellProfiler, as most public masks are. Its network is not part of this
# book, but the methods that it was compared with are: CellProfiler's three methods are among the models
# ([](06_models)), and so is a pixel forest, which is what ilastik trains.
#
# **Newer architectures.** micro-sam and SAMCell, which the study names, and Cellpose-SAM have their adapters here;
# [](06_models) says which of them ran in this edition, and why others did not.
#
# `make sweep NAME=channels` runs one of the sweeps again; to add a sweep, write a file in `sweeps/`
# ([](../../how_to_run)).

# %% [markdown]
# ## The study's conclusion
#
# The study draws three conclusions (section 5). This is where the book examines each of them:
#
# | The study | Where it is asked here |
# |---|---|
# | The agreement of experts is a reasonable upper bound for models. | [](05_annotators): where the truth is known, a perfect model can score below it. So it is called a yardstick here. |
# | Measured by it, generalist models leave room for improvement. | [](07_models_vs_annotators) sets each model beside the annotators; [](../beyond/01_equivalence) asks whether one could take a person's place. |
# | The same holds on public data, if the bound does. | [](08_public_cohorts): that bound was measured on another tissue, and cannot be checked with one mask per image. |
#
# [](../../status) lists which of the study's numbers this edition reproduces.

# %% [markdown]
# ## What this does not show
#
# - How choices interact. Each sweep changes one thing and keeps the rest as in the study.
# - The study's four models, unless they appear in the figure: their weights are not part of this book.
# - A winner. The best of many attempts is partly luck, and each choice was scored on the same images on which it was
#   picked.

# %% tags=["remove-cell"]
if len(summary):
    by_which = summary.set_index(["question", "model", "which"])["mean"].unstack("which")
    assert (by_which["best"] >= by_which["worst"]).all()
    assert top["mean"] >= low["mean"]

# %% [markdown]
# ## Takeaways
#
# - A comparison of models holds for one choice of channels, cleaning and scale. Before you rank models, compare what
#   such a choice changes with the difference between two models.
# - State these choices with every score.
