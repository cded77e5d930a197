# ---
# jupyter:
#   imc_book:
#     reads:
#     - scores
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
# # Speed and accuracy
#
# **What does a model cost for what it gives?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/

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

from imc_helpers.agreement.score_table import read_scores
from imc_helpers.agreement.summaries import against
from imc_helpers.figures.names import cohort_name, model_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.speed_plots import speed_against_score
from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.raters import noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.models.run_tables import speed

record = load_edition(edition)
taken = speed(record.cohorts, record.models)
taken.to_csv(results_dir(edition, "models") / "speed.csv", index=False)
cohorts = {key: open_cohort(key) for key in record.cohorts}
# The score is with the masks of the first cohort that has some.
key = next((key for key, cohort in cohorts.items() if cohort.references), None)
makers = [r for r in cohorts[key].raters if r.name in cohorts[key].references] if key else []
whose = noun(makers)
if len(taken):
    by_model = taken.groupby(["model", "device"], sort=False)
    sums = by_model[["megapixels", "seconds"]].sum().reset_index()
    sums["s_per_megapixel"] = sums["seconds"] / sums["megapixels"]
    sums["peak_mb"] = by_model["peak_mb"].max().to_numpy()
    judged = against(read_scores(edition), {key: [rater.name for rater in makers]})
    judged = judged[judged["mode"] == "whole"]
    sums["ap50"] = sums["model"].map(judged.groupby("rater_pred")["ap50"].mean())
    sums["title"] = [model_name(model) for model in sums["model"]]
    fast = sums.loc[sums["s_per_megapixel"].idxmin()]
    summary = (
        f"The fastest model, {fast['title']}, takes {fast['s_per_megapixel']:.2f} s per megapixel"
    )
    if sums["ap50"].notna().any():
        best = sums.loc[sums["ap50"].idxmax()]
        same = best["title"] == fast["title"]
        summary = (
            f"Here the fastest model also has the highest mean score: {fast['title']}, with {fast['s_per_megapixel']:.2f} s per "
            "megapixel"
            if same
            else f"{summary}; the one with the highest mean score, {best['title']}, takes {best['s_per_megapixel']:.2f} s"
        )
        summary += (
            f" (ap50 with the {whose} of {cohort_name(key)}; whether that lead is certain, [](../decisions/02_models) says; times "
            "were taken while other jobs ran)."
        )
    else:
        summary += ". No cohort of this edition has masks with which to score the models."
else:
    summary = "No model ran here, so none was timed."
answer(summary)

# %% tags=["hide-input"]
machine = ", ".join(dict.fromkeys(taken["device_name"])) if len(taken) else ""
if len(taken) and sums["ap50"].notna().any():
    show(
        partial(speed_against_score, sums, raters=whose),
        label="fig-speed",
        caption=f"Mean ap50 with the {whose} of {cohort_name(key)} against seconds per megapixel, without loading the model: "
        f"best is top left. Measured while the book was built, on {machine}. {source_note(record.cohorts)}",
        alt="One point per model: seconds per megapixel on a logarithmic horizontal axis, mean ap50 on the vertical axis.",
    )

# %% [markdown]
# An IMC cohort has hundreds of images. Whether a model takes one second per megapixel or one minute decides
# whether it can be run at all, and on what machine. Like Mesmer's authors ({cite:t}`greenwald2022`), this page plots
# accuracy against speed, for the models that ran.

# %% tags=["hide-input"]
if len(taken):
    show_table(
        sums[["title", "device", "megapixels", "s_per_megapixel", "peak_mb", "ap50"]].rename(
            columns={
                "title": "model",
                "s_per_megapixel": "s per megapixel",
                "peak_mb": "peak memory, MB",
            }
        ),
        label="tab-speed",
        caption="Time and memory that whole images took. *Peak memory*: the largest resident memory of the process, including "
        f"the model's library, over all cohorts. {source_note(record.cohorts)}",
        decimals=2,
    )

# %% [markdown]
# ## How much time the book's own code adds
#
# The book calls each model through code of its own, which averages channels, cuts tiles and checks labels. That should
# cost next to nothing.

# %% tags=["hide-input"]
ours = pd.read_csv(shipped("benchmarks/results") / "models.csv")
show_table(
    pd.DataFrame(
        {
            "model": [model_name(model) for model in ours["model"]],
            "device": ours["device"],
            "megapixels": ours["megapixels"],
            "seconds": ours["seconds"],
            "of which our code, %": 100 * ours["ours_share"],
        }
    ),
    label="tab-overhead",
    caption="Time for a whole image, and the part of it that is spent outside the model's library: medians of "
    f"{ours['runs'].iloc[0]} runs, measured once by `make bench` and stored. Synthetic images of 1000 x 1000 px. The "
    "times above differ because they are for other images and were taken while other jobs ran.",
    decimals=2,
)

# %% [markdown]
# ## What this does not show
#
# - Times on an idle machine: other jobs run while the book is built. Ratios between models are more reliable than
#   seconds.
# - Times for larger images: in small images, what a library does once per call weighs more.

# %% tags=["remove-cell"]
if len(taken):
    assert (taken["seconds"] > 0).all() and taken["library_share"].between(0, 1).all()
    assert sums["s_per_megapixel"].notna().all()

# %% [markdown]
# ## Takeaways
#
# - Compare seconds per megapixel, measured on the same machine, and state what was loaded before the clock started.
