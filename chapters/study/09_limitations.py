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
#
# The study ends with five limits of its own ({cite:t}`schuiki2025`, section 4.4). Four of them can be tried,
# so this book tries them: as *sweeps*, one notebook run over many combinations of parameters.

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
metric: str = "ap50"  # score that is compared: ap50, map or sap

# %% tags=["hide-input"]
# Colab guard, written by `make sync`: installs the package where it is missing.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("imc_helpers") is None:
    # Without dependencies: the numpy and torch that are there stay as they are.
    packages = [
        "git+https://github.com/imc-agreement-book/imc-agreement-book@main",
        "centrosome",
        "imagecodecs",
        "pooch",
        "readimc",
    ]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, *packages], check=True)

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.figures.page import show, show_table
from imc_helpers.figures.sweep_plots import choice_dots
from imc_helpers.data.manifest import model_record, source_note
from imc_helpers.images.pipeline import NONE
from imc_helpers.experiments.sweep_results import read_sweep
from imc_helpers.experiments.sweeps import (
    AS_IT_IS,
    WHOLE,
    annotated_cohort,
    by_choice,
    input_names,
    step_names,
    way_names,
)

cohort = annotated_cohort(edition)
channels = read_sweep(edition, "channels")
steps = read_sweep(edition, "preprocessing")
scale = read_sweep(edition, "scale")
steps["steps"] = step_names(steps)
channels["way"] = way_names(channels)
parts = {
    "aggregation": (channels[channels["channels"] == "all"], "way", "mean"),
    "markers": (channels[channels["way"] == "mean"], "channels", "all"),
    "pre-processing": (steps, "steps", NONE),
}
small = scale[scale["crop_px"] < scale["crop_px"].max()].copy()
small["input"] = input_names(small)
parts["enlargement"] = (small, "input", AS_IT_IS)
windows = scale[scale["crop_px"] == scale["crop_px"].max()]
parts["windows"] = (windows, "window_px", WHOLE)

rows = []
for question, (table, choice, baseline) in parts.items():
    for model, own in by_choice(table, choice, baseline, metric).groupby("model", sort=False):
        for which, at in (("best", own["mean"].idxmax()), ("worst", own["mean"].idxmin())):
            row = own.loc[at]
            rows.append(
                {
                    "question": question,
                    "model": model_record(str(model)).title,
                    "which": which,
                    "choice": str(row[choice]),
                    "tried": len(own),
                    **row[["mean", "low", "high"]],
                }
            )
summary = pd.DataFrame(rows)
summary["label"] = summary["question"] + ", " + summary["which"]
data = f"{scale['sample'].nunique()} images of `{cohort}`. {source_note([cohort])}"
gain = summary[summary["which"] == "best"]
top = gain.loc[gain["mean"].idxmax()]
low = summary.loc[summary["mean"].idxmin()]
display(
    Markdown(
        f"**In short.** From the study's own choice, the largest gain in mean {metric} was {top['mean']:+.3f} (95 % "
        f"interval {top['low']:+.3f} to {top['high']:+.3f}; {top['question']}: *{top['choice']}*, {top['model']}), the "
        f"largest loss {low['mean']:+.3f} ({low['low']:+.3f} to {low['high']:+.3f}; {low['question']}: "
        f"*{low['choice']}*, {low['model']}), in `{cohort}`."
    )
)

# %% [markdown]
# ## How much each choice can do

# %% tags=["hide-input"]
show(
    choice_dots(summary, "label", label=f"{metric}, difference from the study's choice", zero=True),
    label="fig-limitations",
    caption="The best and the worst of all choices that were tried for each question, as difference from the "
    "study's own: plain mean of all membrane markers, no pre-processing, image as it is and in one piece. "
    "Best and worst were picked after the fact, so they look more extreme than they are. Dots: means over "
    f"images; bars: 95 % intervals from a bootstrap over images. {data}",
    alt="A panel a model: for each question the best and the worst choice, as difference in score from the "
    "study's choice, with intervals.",
)

# %% tags=["hide-input"]
show_table(
    summary[["question", "model", "which", "choice", "tried", "mean", "low", "high"]],
    label="tab-limitations",
    caption=f"The same in numbers: mean difference in {metric} with the annotators and its 95 % interval. "
    f"*tried*: choices beside the study's. {data}",
)

# %% [markdown]
# ## The study's limits, one by one
#
# - **Channel aggregation.** [](../sweeps/channels): each marker alone, all but one, and eight ways to put
#   them together.
# - **Specialised models** for IMC: not a sweep, but models of their own. See [](06_models).
# - **Pre-processing.** [](../sweeps/preprocessing): hot pixels, spillover, clipping, equalisation, denoisers.
# - **Scale.** [](../sweeps/scale): enlarged input, and windows from 128 pixels to the whole image.
# - **Newer architectures**: see [](06_models) for those that this book can run.
#
# `make sweep NAME=channels` runs one of them again; a file in `sweeps/` makes a new one
# ([](../../how_to_run)).

# %% [markdown]
# ## What this does not show
#
# - How choices act together. Each sweep changes one thing and keeps the rest as the study had it.
# - The study's four models, unless they stand in the figure: their weights are not part of this book.
# - A winner. The best of many tries is partly luck, and the tries were scored on the images they were
#   picked on.

# %% tags=["remove-cell"]
assert set(summary["question"]) == set(parts)
best = summary[summary["which"] == "best"].set_index(["question", "model"])["mean"]
worst = summary[summary["which"] == "worst"].set_index(["question", "model"])["mean"]
assert (best >= worst).all()
assert top["mean"] >= low["mean"]

# %% [markdown]
# ## Takeaways
#
# - Compare what a choice of channels, cleaning or scale does with what separates two models: a comparison of
#   models holds for one such choice.
# - State these choices with every score.
