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
# # One model, one cohort
#
# **What does this model find in this cohort, and what does it take?**
#
# This notebook runs a model and keeps its masks; every other page works from masks. The book's build runs it
# once for each model, cohort and mode, on the model's own kernel, and on a GPU where there is one. By
# itself it runs anywhere with papermill.

# %% tags=["parameters"]
cohort: str = "phantom_lymphoid"  # key in data_manifest/cohorts.yml
model: str = "watershed"  # key in data_manifest/models.yml
mode: str = "whole"  # whole image, or patch: sliding windows
device: str = "cpu"  # cpu or cuda; the run fails when it gets another
window_px: int = 256  # edge of a patch, pixels
stride_px: int = 128  # step from one patch to the next, pixels
crop_px: int = 64  # edge of the crops shown below, pixels
crops: int = 3  # number of those crops

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

from imc_helpers.figures.page import show, show_table
from imc_helpers.figures.tissue_images import border_panels, found_crops
from imc_helpers.models.run import segment_cohort
from imc_helpers.data.manifest import model_record, source_note
from imc_helpers.data.readers.published import open_cohort

# %%
samples = open_cohort(cohort)
run = segment_cohort(samples, model, mode, device=device, window_px=window_px, stride_px=stride_px)

# %% tags=["hide-input"]
title, data = model_record(model).title, source_note([cohort])
show(
    border_panels(found_crops(samples, model, mode, crop_px=crop_px, most=crops)),
    label="fig-found",
    caption=f"Borders that {title} drew, in gold, on the middle {crop_px} x {crop_px} px of images or windows. {data}",
    alt="Crops of tissue in grey with the model's cell borders in gold.",
    fmt="png",
)

# %% tags=["hide-input"]
show_table(
    pd.DataFrame([sample.model_dump() for sample in run.samples]),
    label="tab-run",
    caption=f"What each sample took on {run.device_name or 'no machine: the masks came as files'}. {data}",
)

# %% tags=["remove-cell"]
assert run.device in (device, "") or not model_record(model).gpu, (
    f"asked for {device}, ran on {run.device}"
)
assert len(run.samples) == len(samples)
