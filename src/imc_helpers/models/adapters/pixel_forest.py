"""A random forest of pixels, trained by an annotator's crops: ilastik, then CellProfiler.

It is how the study's experts made their masks (Schuiki et al. 2025, section 3.1.2), as a model: a
simulated expert draws ten crops of phantom tissue, and the classifier sees what the other models
see, nucleus and membrane, so that it runs on any panel.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage.transform import resize
from sklearn.ensemble import RandomForestClassifier

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.images.pixel_classifier import grow_cells, grow_forest, multiscale_features
from imc_helpers.models.availability import TRAINING
from imc_helpers.models.protocol import model_input

LIBRARIES = ("scikit-learn", "centrosome")
"""Distributions that do the work: run records ask them for their versions."""

_PIXELS = "labelled_pixels.npz"
"""What is kept of the training, as in ilastik's project files: the pixels that were labelled. The
forest grows from them anew, always the same, in a second or two."""
_BRIGHT_PERCENTILE = 99.0
_BRIGHT = 10.0
"""What that percentile is scaled to before asinh: counts of a bright cell, where asinh compresses
what is above one."""

_LEAST_SIDE_PX = 2
"""A gradient needs two pixels."""


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
        return [self._cells(image, um_per_px / self.um_per_px) for image in images]

    def _cells(self, image: np.ndarray, zoom: float) -> np.ndarray:
        shape = image.shape[1:]
        scaled = tuple(max(_LEAST_SIDE_PX, round(side * zoom)) for side in shape)
        if scaled != shape:
            image = resize(image, (len(image), *scaled), order=1, anti_aliasing=zoom < 1)
        features = forest_features(image)
        cells, _ = grow_cells(features, self.forest, self.threshold, self.seed_sigma_px)
        if scaled != shape:
            back = resize(cells, shape, order=0, preserve_range=True, anti_aliasing=False)
            cells = back.astype(np.uint32)
        return cells


def load(record: ModelRecord, device: str, weights: Path) -> PixelForest:
    """Grow the forest from the labelled pixels under ``weights``; it knows no device.

    Raises
    ------
    InputError
        If there are none, or they are of something else.
    """
    path = weights / _PIXELS
    try:
        with np.load(path, allow_pickle=False) as kept:
            return PixelForest(
                forest=grow_forest(kept["pixels"], kept["classes"]),
                threshold=float(kept["threshold"]),
                seed_sigma_px=float(kept["seed_sigma_px"]),
                um_per_px=float(kept["um_per_px"]),
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no labelled pixels of a pixel forest ({error})") from None


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
    bright = {sample.id: _bright(model_input(sample, record.inputs)) for sample in samples}

    def see(part: Sample) -> np.ndarray:
        planes = model_input(part, record.inputs)
        return multiscale_features(list(_compressed(planes, bright[part.id])))

    (expert,) = train_experts(samples, ONE_EXPERT, record.training.seed, see=see)
    weights.mkdir(parents=True, exist_ok=True)
    path = weights / _PIXELS
    np.savez_compressed(
        path,
        pixels=expert.pixels,
        classes=expert.classes.astype(np.uint8),
        threshold=expert.threshold,
        seed_sigma_px=expert.seed_sigma_px,
        um_per_px=samples[0].um_per_px,
    )
    note = {
        "seconds": time.perf_counter() - start,
        "epochs": None,
        "losses": None,
        "images": len(samples),
        "seed": record.training.seed,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "device": device,
    }
    (weights / TRAINING).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")


def forest_features(planes: np.ndarray) -> np.ndarray:
    """Compute what a forest sees of a whole image's planes (C, H, W): (H, W, F) float32."""
    return multiscale_features(list(_compressed(planes, _bright(planes))))


def _bright(planes: np.ndarray) -> np.ndarray:
    """Intensity of what is bright in each plane, over 0: (C,) float64."""
    percentile = np.percentile(planes, _BRIGHT_PERCENTILE, axis=(1, 2))
    top = planes.max(axis=(1, 2))  # where hardly any pixel has a signal
    bright = np.where(percentile > 0, percentile, top)
    return np.where(bright > 0, bright, 1.0)


def _compressed(planes: np.ndarray, bright: np.ndarray) -> np.ndarray:
    """Scale the planes so that bright is the same in all images, and compress: float32."""
    compressed: np.ndarray = np.arcsinh(planes * (_BRIGHT / bright)[:, None, None])
    return compressed.astype(np.float32)
