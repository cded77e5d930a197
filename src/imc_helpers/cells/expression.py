"""What each cell of a mask holds: the mean of every channel over its pixels."""

from typing import TypeAlias

import numpy as np
import pandas as pd

CellCounts: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Ids of the cells of a mask, (N,) ascending, and the mean of each channel over each, (N, C)."""


def mean_intensities(image: np.ndarray, labels: np.ndarray) -> CellCounts:
    """Average every channel over each cell.

    Parameters
    ----------
    image
        (C, H, W).
    labels
        (H, W) integers, 0 is background.

    Returns
    -------
    ids : numpy.ndarray
        (N,) ids of the cells, ascending.
    means : numpy.ndarray
        (N, C) float64, equal to the last bit to those of `scipy.ndimage.mean`.
    """
    flat = labels.ravel()
    within = np.flatnonzero(flat)
    inverse, ids = pd.factorize(flat[within], sort=True)  # np.unique would sort all pixels
    counts = np.bincount(inverse, minlength=len(ids))
    sums = [np.bincount(inverse, plane.ravel()[within], len(ids)) for plane in image]
    return ids, np.stack(sums, axis=1) / counts[:, None]
