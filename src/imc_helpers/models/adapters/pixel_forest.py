"""A random forest of pixels, trained by an annotator's crops: ilastik, then CellProfiler.

It is how the study's experts made their masks (Schuiki et al. 2025, section 3.1.2), as a model: a
simulated expert draws ten crops of phantom tissue, and the classifier sees what the other models
see, nucleus and membrane, so that it runs on any panel.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.images.pixel_classifier import grow_cells
from imc_helpers.images.rescaling import outline_rescaled
from imc_helpers.models.forest_pixels import (
    bright_level,
    forest_features,
    read_pixels,
    write_pixels,
)
from imc_helpers.models.protocol import model_input

LIBRARIES = ("scikit-learn", "centrosome")
"""Distributions that do the work: run records ask them for their versions."""


@dataclass(frozen=True, eq=False)
class PixelForest:
    """The classifier and what it takes to grow cells from its probabilities."""

    forest: RandomForestClassifier
    threshold: float
    """Probability of cell at which a pixel counts as cell."""
    seed_sigma_px: float
    """Smoothing that tells nuclei apart, pixels of the training tissue."""
    um_per_px: float
    """Edge of the pixels of the training tissue, micrometres; other images are scaled to it."""

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> list[np.ndarray]:
        """Outline the cells of (2, H, W) images: nucleus, membrane."""
        zoom = um_per_px / self.um_per_px
        return [outline_rescaled(image, zoom, self._cells) for image in images]

    def _cells(self, image: np.ndarray) -> np.ndarray:
        features = forest_features(image)
        return grow_cells(features, self.forest, self.threshold, self.seed_sigma_px)[0]


def load(record: ModelRecord, device: str, weights: Path) -> PixelForest:
    """Grow the forest from the labelled pixels under ``weights``; it knows no device.

    Raises
    ------
    InputError
        If there are none, or they are of something else.
    """
    forest, numbers = read_pixels(weights, "threshold", "seed_sigma_px", "um_per_px")
    return PixelForest(forest, *numbers)


def train(samples: Sequence[Sample], record: ModelRecord, device: str, weights: Path) -> None:
    """Let a simulated expert draw ten crops of the samples, and keep what was labelled.

    Parameters
    ----------
    samples
        Phantom tissue with the truth among masks and nuclei, all at one pixel size.
    record
        Says what the classifier sees, and the expert's seed.
    device
        Written down; the forest grows on the CPU.
    weights
        Folder that the files are written to; made where it is missing.
    """
    if record.training is None:
        raise InputError("record: it has no `training`, so nothing says how to train")
    # Only training needs the phantom; real images are segmented without it.
    from imc_helpers.phantom.drawing import ONE_EXPERT  # noqa: PLC0415
    from imc_helpers.phantom.experts import train_experts  # noqa: PLC0415

    start = time.perf_counter()
    bright = {sample.id: bright_level(model_input(sample, record.inputs)) for sample in samples}

    def see(part: Sample) -> np.ndarray:
        return forest_features(model_input(part, record.inputs), bright[part.id])

    (expert,) = train_experts(samples, ONE_EXPERT, record.training.seed, see=see)
    numbers = {
        "threshold": expert.threshold,
        "seed_sigma_px": expert.seed_sigma_px,
        "um_per_px": samples[0].um_per_px,
    }
    about = {"images": len(samples), "seed": record.training.seed, "device": device}
    write_pixels(weights, expert.pixels, expert.classes, numbers, start=start, about=about)
