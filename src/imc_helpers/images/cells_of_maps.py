"""Cells from a network's maps, in three ways."""

import numpy as np
from scipy import ndimage as ndi

from imc_helpers.images.pixel_classifier import find_seeds

SEED_SIGMA_PX = 1.5
"""Smoothing that tells nuclei apart, pixels."""
_REGULARISATION = 0.05
_SMALLEST_PX = 12


def components(mask: np.ndarray) -> np.ndarray:
    """Give each connected piece of a mask a number: touching cells are one, (H, W) int32.

    Pixels are connected across edges and corners, as in the study that calls these pieces cells.
    """
    return ndi.label(mask, np.ones((3, 3)))[0]


def grown_from_nuclei(mask: np.ndarray, nucleus: np.ndarray) -> np.ndarray:
    """Divide a mask among the maxima of a nuclear image by propagation, (H, W) int32.

    Parameters
    ----------
    mask
        (H, W) bool: where cells are.
    nucleus
        (H, W) float, about 0 to 1.
    """
    return _grown(find_seeds(np.clip(nucleus, 0, 1), SEED_SIGMA_PX) * mask, nucleus, mask)


def grown_from_interiors(mask: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Give the pixels of a mask to the nearest connected interior, (H, W) int32.

    Parameters
    ----------
    mask
        (H, W) bool: where cells are.
    inside
        (H, W) bool: pixels of cells that are not at their border.
    """
    seeds = ndi.label(inside & mask)[0]
    return _grown(seeds, np.zeros(mask.shape), mask)


def _grown(seeds: np.ndarray, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    # centrosome takes a while to import, and only those who grow cells need it.
    from centrosome.propagate import propagate  # noqa: PLC0415

    cells, _ = propagate(image.astype(float), seeds, mask, _REGULARISATION)
    area = np.bincount(cells.ravel())
    return np.where(area[cells] >= _SMALLEST_PX, cells, 0)
