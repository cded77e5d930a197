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
# # One way to pre-process, closely
#
# **How good are the cells when a model sees images that were cleaned in this way?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort of the manifest; empty: the edition's first with two annotators
model: str = "propagation"  # model of the manifest
before: str = "hot_pixels"  # steps on channels, joined by +, or none: imc_helpers.images.pipeline
after: str = "none"  # steps on the two planes, joined by +, or none
images: int = 4  # number of samples, at most
crop_px: int = 256  # edge of the part in the middle of each sample, pixels
field_um: float = 60.0  # edge of the field in the figure, µm
picture: bool = True  # draw what the model saw and found; a sweep saves the time

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

from imc_helpers.figures.names import cohort_name, model_name, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.tissue_images import seen_and_found
from imc_helpers.models.registry import load_segmenter
from imc_helpers.experiments.sweep_results import hand_over
from imc_helpers.experiments.sweeps import annotated_cohort, cohort_spillover, open_samples, score
from imc_helpers.experiments.model_inputs import preprocessed

key = annotated_cohort(edition, cohort)
samples = open_samples(key, images=images, crop_px=crop_px) if key else []
if samples:
    segmenter = load_segmenter(model)
    matrix = cohort_spillover(key)
    seen = [preprocessed(sample, before, after, matrix) for sample in samples]
    found = segmenter.run(seen).labels
    rows = pd.DataFrame(
        score(sample, labels) for sample, labels in zip(samples, found, strict=True)
    )
    title = model_name(model)
    mean = rows[["ap50", "map", "sap"]].mean()
    answer(
        f"{title} after *{before}* on channels and *{after}* on planes: mean ap50 with the "
        f"annotators {mean['ap50']:.3f} (map {mean['map']:.3f}, sap {mean['sap']:.3f}) in {len(rows)} "
        f"images of {cohort_name(key)}."
    )
else:
    answer("No cohort of this edition has masks, so there is nothing to score here.")

# %% tags=["hide-input"]
if picture and samples:
    first = samples[0]
    annotator = next(iter(first.masks))
    show(
        partial(
            seen_and_found,
            dict(zip(seen[0].panel.names, seen[0].image, strict=True)),
            {rater_name(annotator): first.masks[annotator], title: found[0]},
            um_per_px=first.um_per_px,
            field_um=field_um,
        ),
        label="fig-point-preprocessing",
        caption=f"The planes that {title} saw, each stretched on its own, and its cells beside an annotator's; white "
        f"where the two lines are the same. {source_note([key])}",
        alt="Two grey planes of one crop of tissue, then the same crop with the outlines of annotator and model.",
    )

# %% [markdown]
# One *point* of the sweep in [](preprocessing): one model, steps on every channel before they are
# averaged, and steps on the two planes that follow. The sweep runs this page once for every combination.

# %% tags=["hide-input"]
if samples:
    show_table(
        rows.rename(columns={"n_pred": "cells found", "truth_ap50": "ap50 with the truth"}).drop(
            columns=["truth_map", "truth_sap"]
        ),
        label="tab-point-preprocessing",
        caption="Scores of each image: mean over the annotators, and with the truth where it is known; a pair of "
        f"cells matches when IoU ≥ t. {source_note([key])}",
    )

# %% tags=["remove-cell"]
if samples:
    hand_over(rows)

# %% [markdown]
# ## What this does not show
#
# - Whether this is better than no pre-processing: [](preprocessing) compares them.

# %% tags=["remove-cell"]
if samples:
    assert len(rows) == len(samples)
    assert rows[["ap50", "map", "sap"]].apply(lambda scores: scores.between(0, 1)).to_numpy().all()
    assert all(image.image.min() >= 0 for image in seen), "no step makes counts negative"

# %% [markdown]
# ## Takeaways
#
# - Some steps belong to channels (hot pixels, spillover), others can stand before or after the average.
