"""What pixel forests see of an image, and how their training is kept: by the labelled pixels."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from imc_helpers.errors import InputError
from imc_helpers.images.pixel_classifier import grow_forest, multiscale_features
from imc_helpers.models.availability import TRAINING

PIXELS = "labelled_pixels.npz"
"""What is kept of the training, as in ilastik's project files: the pixels that were labelled. The
forest grows from them anew, always the same, in a second or two."""
_BRIGHT_PERCENTILE = 99.0
_BRIGHT = 10.0
"""What that percentile is scaled to before asinh: counts of a bright cell, where asinh compresses
what is above one."""


def write_pixels(
    weights: Path,
    pixels: np.ndarray,
    classes: np.ndarray,
    numbers: Mapping[str, float],
    *,
    start: float,
    about: Mapping[str, Any],
) -> None:
    """Keep the labelled pixels of a forest, and a note of the training beside them.

    Parameters
    ----------
    weights
        Folder that the files are written to; made where it is missing.
    pixels, classes
        (N, F) features and (N,) classes of the labelled pixels.
    numbers
        What else the model needs, by name.
    start
        When the training began, on the clock of `time.perf_counter`, seconds.
    about
        What else the note says: ``images``, ``seed`` and ``device``, for instance.
    """
    weights.mkdir(parents=True, exist_ok=True)
    path = weights / PIXELS
    np.savez_compressed(path, pixels=pixels, classes=classes.astype(np.uint8), **numbers)
    note = {
        "seconds": time.perf_counter() - start,
        "epochs": None,
        "losses": None,
        **about,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (weights / TRAINING).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")


def read_pixels(weights: Path, *numbers: str) -> tuple[RandomForestClassifier, tuple[float, ...]]:
    """Grow a forest from its labelled pixels, and return it with the numbers asked for.

    Raises
    ------
    InputError
        If there are no such pixels under ``weights``, or they are of something else.
    """
    path = weights / PIXELS
    try:
        with np.load(path, allow_pickle=False) as kept:
            forest = grow_forest(kept["pixels"], kept["classes"])
            return forest, tuple(float(kept[name]) for name in numbers)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no labelled pixels of a forest ({error})") from None


def forest_features(planes: np.ndarray, level: np.ndarray | None = None) -> np.ndarray:
    """Compute what a forest sees of planes: (H, W, F) float32.

    Bright is made the same in all images, and intensities are compressed.

    Parameters
    ----------
    planes
        (C, H, W) of an image, or of a part of one.
    level
        What `bright_level` says of the whole image; of ``planes`` when not given.
    """
    bright = bright_level(planes) if level is None else level
    compressed = np.arcsinh(planes * (_BRIGHT / bright)[:, None, None])
    return multiscale_features(list(compressed.astype(np.float32)))


def bright_level(planes: np.ndarray) -> np.ndarray:
    """Intensity of what is bright in each plane, over 0: (C,) float64."""
    percentile = np.percentile(planes, _BRIGHT_PERCENTILE, axis=(1, 2))
    top = planes.max(axis=(1, 2))  # where hardly any pixel has a signal
    bright = np.where(percentile > 0, percentile, top)
    return np.where(bright > 0, bright, 1.0)
