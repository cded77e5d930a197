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
    summary = f"The fastest, {fast['title']}, takes {fast['s_per_megapixel']:.2f} s for a megapixel"
    if sums["ap50"].notna().any():
        best = sums.loc[sums["ap50"].idxmax()]
        summary += (
            f"; the one closest to the masks of {cohort_name(key)} ({whose}), {best['title']}, "
            f"{best['s_per_megapixel']:.2f} s."
        )
    else:
        summary += ". No cohort of this edition has masks to score them with."
else:
    summary = "No model was timed here: none ran."
answer(summary)

# %% tags=["hide-input"]
machine = ", ".join(dict.fromkeys(taken["device_name"])) if len(taken) else ""
if len(taken) and sums["ap50"].notna().any():
    show(
        partial(speed_against_score, sums, raters=whose),
        label="fig-speed",
        caption=f"Seconds per megapixel, without loading, and mean ap50 with the {whose} of {cohort_name(key)}: up and to "
        f"the left is better. Measured while the book was built, on {machine}. {source_note(record.cohorts)}",
        alt="A point per model: seconds for a megapixel on a logarithmic axis, mean ap50 upwards.",
    )

# %% [markdown]
# A cohort of IMC has hundreds of images. Whether a model takes one second for a megapixel or one minute decides
# whether it is run at all, and on what machine. Mesmer's authors draw speed against accuracy
# ({cite:t}`greenwald2022`); so does this page, for the models that ran.

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
        caption="What whole images took. *Peak memory*: the largest resident memory of the process, library "
        f"and all, over the cohorts. {source_note(record.cohorts)}",
        decimals=2,
    )

# %% [markdown]
# ## What the book adds
#
# A model is called through the book's own code, which averages channels, cuts tiles and checks labels. That should
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
            "of these ours, %": 100 * ours["ours_share"],
        }
    ),
    label="tab-overhead",
    caption="Time of a whole image, and the part of it that is not the library's own call: medians of "
    f"{ours['runs'].iloc[0]} runs, measured once by `make bench` and stored. Synthetic images of 1000 x 1000 px. The "
    "seconds above are of other images, taken while other jobs ran, so they differ.",
    decimals=2,
)

# %% [markdown]
# ## What this does not show
#
# - Times on an idle machine: other jobs run while the book is built. Ratios between models are safer than seconds.
# - Small images flatter nobody: what a library does once a call weighs more in them.

# %% tags=["remove-cell"]
if len(taken):
    assert (taken["seconds"] > 0).all() and taken["library_share"].between(0, 1).all()
    assert sums["s_per_megapixel"].notna().all()

# %% [markdown]
# ## Takeaways
#
# - Compare seconds for a megapixel, on one machine, with what was loaded before the clock started said.
