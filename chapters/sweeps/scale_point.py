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
# # One scale, closely
#
# **How good are the cells when a model sees the image enlarged, or in windows of this size?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort of the manifest; empty: the edition's first with two annotators
model: str = "propagation"  # model of the manifest
factor: int = 2  # enlargement of the input, 1 or more
interpolation: str = "bicubic"  # nearest, bilinear, bicubic or lanczos
declared: bool = True  # whether the model is told that pixels are smaller now
window_px: int = 0  # edge of windows that are segmented one by one, pixels; 0: the whole crop
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
from imc_helpers.images.enlargement import shrink_labels
from imc_helpers.experiments.sweep_results import hand_over
from imc_helpers.experiments.sweeps import (
    SIZES,
    annotated_cohort,
    count_found,
    in_windows,
    open_samples,
    pool,
    score,
)
from imc_helpers.experiments.model_inputs import enlarged

key = annotated_cohort(edition, cohort)
samples = open_samples(key, images=images, crop_px=crop_px) if key else []
if samples:
    segmenter = load_segmenter(model)
    windows = [in_windows(sample, window_px) for sample in samples]
    pooled, firsts = [], []
    for pieces in windows:
        seen = [enlarged(piece, factor, interpolation, declared=declared) for piece in pieces]
        found = [shrink_labels(labels, factor) for labels in segmenter.run(seen).labels]
        firsts.append((seen[0], found[0]))
        scored = zip(pieces, found, strict=True)
        pooled.append(
            pool([score(piece, labels) | count_found(piece, labels) for piece, labels in scored])
        )
    rows = pd.DataFrame(pooled)
    title = model_name(model)
    shares = {c: rows[f"found_{c}"].sum() / rows[f"cells_{c}"].sum() for c in SIZES}
    answer(
        f"{title}, input enlarged {factor} times ({interpolation}), "
        f"{f'windows of {window_px} px' if window_px else 'in one piece'}: mean ap50 with the annotators "
        f"{rows['ap50'].mean():.3f} in {len(rows)} images of {cohort_name(key)}. It finds {shares['small']:.0%} of the "
        f"smallest third of their cells, and {shares['large']:.0%} of the largest."
    )
else:
    answer("No cohort of this edition has masks, so there is nothing to score here.")

# %% tags=["hide-input"]
if samples:
    piece = windows[0][0]
    large, labels = firsts[0]
    annotator = next(iter(piece.masks))
    names = dict(zip(large.panel.names, large.image[:, ::factor, ::factor], strict=True))
    if picture:
        show(
            partial(
                seen_and_found,
                names,
                {rater_name(annotator): piece.masks[annotator], title: labels},
                um_per_px=piece.um_per_px,
                field_um=field_um,
            ),
            label="fig-point-scale",
            caption=f"The planes that {title} saw of the first window (one of {factor} pixels per side is drawn), and "
            f"its cells beside an annotator's; white where the two lines are the same. {source_note([key])}",
            alt="Two grey planes of one crop of tissue, then the same crop with the outlines of annotator and model.",
        )

# %% [markdown]
# One *point* of the sweep in [](scale): one model, one factor and interpolation, one size of windows.
# The sweep runs this page once for every combination. Labels come back to the pixels of the annotators
# before they are scored.

# %% tags=["hide-input"]
if samples:
    show_table(
        rows[["sample", "n_pred", "ap50", "map", "sap", "truth_ap50"]].rename(
            columns={"n_pred": "cells found", "truth_ap50": "ap50 with the truth"}
        ),
        label="tab-point-scale",
        caption="Scores of each image, averaged over its windows: mean over the annotators, and with the truth "
        f"where it is known; a pair of cells matches when IoU ≥ t. {source_note([key])}",
    )

# %% tags=["remove-cell"]
if samples:
    hand_over(rows)

# %% [markdown]
# ## What this does not show
#
# - Whether this scale is better than another: [](scale) compares them.

# %% tags=["remove-cell"]
if samples:
    assert len(rows) == len(samples)
    assert rows[["ap50", "map", "sap"]].apply(lambda scores: scores.between(0, 1)).to_numpy().all()
    assert labels.shape == piece.shape, "labels came back to the annotators' pixels"
    assert (rows.filter(like="found_").to_numpy() <= rows.filter(like="cells_").to_numpy()).all()

# %% [markdown]
# ## Takeaways
#
# - An enlarged image holds no more than the image did. Whether it helps depends on the cell size that a
#   model was made for.
