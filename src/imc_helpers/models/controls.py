"""Controls: masks whose score is known beforehand, or is chance. They stand on every plot.

Each makes labels of an annotator's own labels, so it is scored against the mask that it came from.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from scipy import ndimage as ndi

from imc_helpers.cells.counts import count_cells


def reference(labels: np.ndarray) -> np.ndarray:
    """Return the labels themselves, (H, W): every score is 1."""
    return labels


def nothing(labels: np.ndarray) -> np.ndarray:
    """Return no cell at all, (H, W): every score is 0 where the reference has a cell."""
    return np.zeros_like(labels)


def random_voronoi(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Cut the image into as many random cells as the labels hold: what chance scores.

    Parameters
    ----------
    labels
        (H, W) integers; only their number counts.
    seed
        The same seed gives the same cells.

    Returns
    -------
    numpy.ndarray
        (H, W) uint32: each pixel belongs to the nearest of as many random pixels; zeros where there
        is no cell.
    """
    n_cells = count_cells(labels)
    if n_cells == 0:
        return np.zeros(labels.shape, np.uint32)
    points = np.zeros(labels.size, np.uint32)
    chosen = np.random.default_rng(seed).choice(labels.size, n_cells, replace=False)
    points[chosen] = np.arange(1, n_cells + 1)
    points = points.reshape(labels.shape)
    nearest = ndi.distance_transform_edt(points == 0, return_distances=False, return_indices=True)
    return points[tuple(nearest)]


CONTROLS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {"reference": reference, "random cells": random_voronoi, "nothing": nothing}
)
"""The controls by the name under which they stand in tables and plots."""
