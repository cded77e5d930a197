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
# # One choice of channels, closely
#
# **How good are the cells when a model sees these channels, aggregated in this way?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort of the manifest; empty: the edition's first with two annotators
model: str = "propagation"  # model of the manifest
channels: str = "all"  # membrane channels: all, none, "only NAME" or "without NAME"
aggregation: str = "mean"  # how channels become a plane: see imc_helpers.aggregation
nucleus: str = ""  # how nuclear channels become a plane; empty: as the membrane channels
seed: int = 0  # draws the colours of the aggregation "rgb"
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
from imc_helpers.experiments.sweeps import annotated_cohort, open_samples, score
from imc_helpers.experiments.model_inputs import with_channels

key = annotated_cohort(edition, cohort)
samples = open_samples(key, images=images, crop_px=crop_px) if key else []
if samples:
    segmenter = load_segmenter(model)
    seen = [
        with_channels(sample, channels, aggregation, nucleus=nucleus, seed=seed)
        for sample in samples
    ]
    found = segmenter.run(seen).labels
    rows = pd.DataFrame(
        score(sample, labels) for sample, labels in zip(samples, found, strict=True)
    )
    title = model_name(model)
    mean = rows[["ap50", "map", "sap"]].mean()
    answer(
        f"{title}, membrane channels *{channels}*, aggregated by *{aggregation}* (nuclear "
        f"ones by *{nucleus or aggregation}*): mean ap50 "
        f"with the annotators {mean['ap50']:.3f} (map {mean['map']:.3f}, sap {mean['sap']:.3f}) in "
        f"{len(rows)} images of {cohort_name(key)}."
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
        label="fig-point-channels",
        caption=f"The planes that {title} saw, each stretched on its own, and its cells beside an annotator's; white "
        f"where the two lines are the same. {source_note([key])}",
        alt="Grey planes of one crop of tissue, then the same crop with the outlines of annotator and model.",
    )

# %% [markdown]
# One *point* of the sweep in [](channels): one model, one choice of membrane channels, one way to make
# a plane of them. The sweep runs this page once for every combination.

# %% tags=["hide-input"]
if samples:
    show_table(
        rows.rename(columns={"n_pred": "cells found", "truth_ap50": "ap50 with the truth"}).drop(
            columns=["truth_map", "truth_sap"]
        ),
        label="tab-point-channels",
        caption="Scores of each image: mean over the annotators, and with the truth where it is known; a pair of "
        f"cells matches when IoU ≥ t. {source_note([key])}",
    )

# %% tags=["remove-cell"]
if samples:
    hand_over(rows)

# %% [markdown]
# ## What this does not show
#
# - Whether this choice is better than another: [](channels) compares them.

# %% tags=["remove-cell"]
if samples:
    assert len(rows) == len(samples)
    assert rows[["ap50", "map", "sap"]].apply(lambda scores: scores.between(0, 1)).to_numpy().all()
    assert all(image.shape == sample.shape for image, sample in zip(found, samples, strict=True))

# %% [markdown]
# ## Takeaways
#
# - A model sees the planes above, and nothing else of the panel.
