"""Which objects of a label image touch."""

import numpy as np


def touching_pairs(labels: np.ndarray, least_px: int = 1) -> np.ndarray:
    """Find the pairs of objects that share a border.

    Parameters
    ----------
    labels
        (H, W) integers, 0 is background. Pixels touch with their sides, not their corners.
    least_px
        Least length of the shared border, sides of pixels.

    Returns
    -------
    numpy.ndarray
        (P, 2) int64: ids of each pair once, the smaller first, in ascending order.
    """
    sides = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])]
    a = np.concatenate([side[0].ravel() for side in sides]).astype(np.int64)
    b = np.concatenate([side[1].ravel() for side in sides]).astype(np.int64)
    meet = (a != b) & (a > 0) & (b > 0)
    pairs = np.stack([np.minimum(a, b)[meet], np.maximum(a, b)[meet]], axis=1)
    found, border = np.unique(pairs, axis=0, return_counts=True)
    return found[border >= least_px]
