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
# # One model
#
# **What does this model find in these cohorts, and what does it take?**
#
# This notebook runs a model and keeps its masks; every other page works from masks. The book's build runs it
# once for each model and mode, over all cohorts, on the model's own kernel, and on a GPU where there is one. By
# itself it runs anywhere with papermill.

# %% tags=["parameters"]
cohorts: list[str] = ["phantom_lymphoid"]  # keys in data_manifest/cohorts.yml
model: str = "watershed"  # key in data_manifest/models.yml
mode: str = "whole"  # whole image, or patch: sliding windows
device: str = "cpu"  # cpu or cuda; without a GPU that the model's library sees, it runs on the CPU and says so
made_from: list[str] = []  # for each cohort, digest of what its masks depend on
window_px: int = 256  # edge of a patch, pixels
stride_px: int = 128  # step from one patch to the next, pixels
field_um: float = 40.0  # edge of the fields shown below, µm
fields: int = 1  # number of those fields, for each cohort

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

from imc_helpers.figures.names import source_note
from imc_helpers.figures.page import show, show_table
from imc_helpers.figures.tissue_images import found_overlays, overlay_panels
from imc_helpers.models.run import segment_cohorts
from imc_helpers.data.manifest import model_record
from imc_helpers.data.readers.published import open_cohort

# %%
opened = [open_cohort(cohort) for cohort in cohorts]
runs = segment_cohorts(
    opened,
    model,
    mode,
    device=device,
    window_px=window_px,
    stride_px=stride_px,
    made_from=made_from,
)
for remark in dict.fromkeys(remark for run in runs for remark in run.remarks):
    print(f"{remark}.")

# %% tags=["hide-input"]
title, data = model_record(model).title, source_note(cohorts)
overlays = [
    overlay
    for cohort in opened
    for overlay in found_overlays(cohort, model, mode, field_um=field_um, most=fields)
]
if overlays:  # no cohort may have an image as large as a window
    show(
        partial(overlay_panels, overlays),
        label="fig-found",
        caption=f"The middle {field_um:g} µm of images or windows, bare and with the cells that {title} found. {data}",
        alt="Fields of tissue in grey, bare and with the model's cells outlined in blue.",
    )

# %% tags=["hide-input"]
table = pd.DataFrame(
    [{"cohort": run.cohort, **sample.model_dump()} for run in runs for sample in run.samples]
)
machines = " and ".join(dict.fromkeys(run.device_name for run in runs))
show_table(
    table,
    label="tab-run",
    caption=f"What each sample took on {machines or 'no machine: the masks came as files'}. {data}",
)

# %% tags=["remove-cell"]
assert [run.cohort for run in runs] == list(cohorts)
assert [len(run.samples) for run in runs] == [len(cohort) for cohort in opened]
assert all(
    run.device in (device, "") or run.remarks or not model_record(model).gpu for run in runs
), f"asked for {device}, ran on {[run.device for run in runs]}, and nothing says why"
