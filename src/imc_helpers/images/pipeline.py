"""Steps of cleaning by name, and pipelines of them: ``"hot_pixels+clip_99.7"``."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from imc_helpers.images.clean import (
    as_planes,
    clahe,
    clip,
    gaussian,
    median,
    non_local_means,
    remove_hot_pixels,
    wavelet,
)
from imc_helpers.images.spillover import compensate_spillover

NONE = "none"
"""Name of the pipeline without steps."""
SPILLOVER = "spillover"
"""Name of the step that needs a spillover matrix."""
STEPS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {
        "hot_pixels": remove_hot_pixels,
        "clip_99": lambda image: clip(image, 99.0),
        "clip_99.7": lambda image: clip(image, 99.7),
        "clip_99.9": lambda image: clip(image, 99.9),
        "clahe": clahe,
        "gaussian": gaussian,
        "median": median,
        "non_local_means": non_local_means,
        "wavelet": wavelet,
    }
)
"""Steps by name, but for `SPILLOVER`."""


def parse(pipeline: str) -> tuple[str, ...]:
    """Read a pipeline's name, ``"hot_pixels+clip_99.7"`` for instance, as the names of its steps.

    Raises
    ------
    ValueError
        If a step is unknown. `NONE` stands alone.
    """
    if pipeline == NONE:
        return ()
    names = tuple(pipeline.split("+"))
    for name in names:
        if name not in STEPS and name != SPILLOVER:
            raise ValueError(
                f"pipeline {pipeline!r}: unknown step {name!r}; expected {NONE}, or some of "
                f"{', '.join((*STEPS, SPILLOVER))}, joined by +"
            )
    return names


def preprocess(image: np.ndarray, pipeline: str, spillover: np.ndarray | None = None) -> np.ndarray:
    """Run the steps of a pipeline, from left to right.

    Parameters
    ----------
    image
        (C, H, W) array.
    pipeline
        Names of `STEPS` and `SPILLOVER`, joined by ``+``; `NONE` changes nothing.
    spillover
        (C, C) array for `compensate_spillover`.

    Returns
    -------
    numpy.ndarray
        (C, H, W) float32; never the array that was given.

    Raises
    ------
    ValueError
        If a step is unknown, the image has another shape, or the pipeline compensates spillover
        and no matrix is given.
    """
    done = as_planes(image)
    for name in parse(pipeline):
        if name != SPILLOVER:
            done = STEPS[name](done)
        elif spillover is None:
            raise ValueError(f"pipeline {pipeline!r}: compensation needs a spillover matrix")
        else:
            done = compensate_spillover(done, spillover)
    return done
