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
# # Speed and accuracy
#
# **What does a model cost for what it gives?**
#
# A cohort of IMC has hundreds of images. Whether a model takes one second for a megapixel or one minute decides
# whether it is run at all, and on what machine. Mesmer's authors draw speed against accuracy
# ({cite:t}`greenwald2022`); so does this page, for the models that ran.

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/

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
from imc_helpers.figures.speed_plots import speed_against_score
from imc_helpers.data.manifest import load_edition, model_record, source_note
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.models.run_tables import speed
from imc_helpers.agreement.scoring import score_models

record = load_edition(edition)
taken = speed(record.cohorts, record.models)
taken.to_csv(results_dir(edition, "models") / "speed.csv", index=False)
if len(taken):
    sums = (
        taken.groupby(["model", "device"], sort=False)[["megapixels", "seconds"]]
        .sum()
        .reset_index()
    )
    sums["s_per_megapixel"] = sums["seconds"] / sums["megapixels"]
    sums["peak_mb"] = taken.groupby(["model", "device"], sort=False)["peak_mb"].max().to_numpy()
    key = record.cohorts[0]
    here = list(taken.loc[taken["cohort"] == key, "model"])
    scores = score_models(
        open_cohort(key), here, modes=("whole",), controls=False, annotators=False
    )
    sums["ap50"] = sums["model"].map(scores.groupby("model")["ap50"].mean())
    sums["title"] = [model_record(model).title for model in sums["model"]]
    fast, best = sums.loc[sums["s_per_megapixel"].idxmin()], sums.loc[sums["ap50"].idxmax()]
    display(
        Markdown(
            f"**In short.** The fastest, {fast['title']}, takes {fast['s_per_megapixel']:.2f} s for a megapixel; the "
            f"most accurate in `{key}`, {best['title']}, {best['s_per_megapixel']:.2f} s."
        )
    )
else:
    display(Markdown("*No model was timed here: none ran.*"))

# %% tags=["hide-input"]
if len(taken):
    machine = ", ".join(dict.fromkeys(taken["device_name"]))
    show(
        speed_against_score(sums),
        label="fig-speed",
        caption=f"Seconds for a megapixel, over all whole images of the edition, and mean ap50 with the annotators in `{key}`. Up "
        "and to the left is better. Loading the library and the weights is not counted. "
        f"Measured while the book was built, other jobs running beside it, on: {machine}. {source_note(record.cohorts)}",
        alt="A point a model: seconds for a megapixel on a logarithmic axis, mean ap50 upwards.",
    )

# %% tags=["hide-input"]
if len(taken):
    show_table(
        sums[["title", "device", "megapixels", "s_per_megapixel", "peak_mb", "ap50"]].rename(
            columns={
                "title": "model",
                "s_per_megapixel": "s a megapixel",
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
            "model": [model_record(model).title for model in ours["model"]],
            "device": ours["device"],
            "megapixels": ours["megapixels"],
            "seconds": ours["seconds"],
            "of these ours, %": 100 * ours["ours_share"],
        }
    ),
    label="tab-overhead",
    caption="Time of a whole image, and the part of it that is not the library's own call: medians of "
    f"{ours['runs'].iloc[0]} runs, measured once by `make bench` and stored. Synthetic images.",
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
