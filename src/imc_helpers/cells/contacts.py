"""Which cells of a mask touch, or nearly do."""

import numpy as np
from skimage.segmentation import expand_labels

EXPANSION_PX = 4.0
"""By how much cells are grown before neighbours are those that touch, pixels: the distance in the
tutorials of steinbock and imcRtools (Windhager et al. 2023, doi:10.1038/s41596-023-00881-0)."""


def touching_pairs(labels: np.ndarray, *, directed: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of cells that share a border, and how long it is.

    Cells touch where a pixel of one is above, below, left or right of a pixel of the other.

    Parameters
    ----------
    labels
        (H, W) integers below 2**32, 0 is background.
    directed
        Name the upper or left cell of each border first, so that two cells are listed twice where
        each of them lies above or left of the other somewhere. When False, every pair is listed
        once, the smaller id first.

    Returns
    -------
    pairs : numpy.ndarray
        (P, 2) int64: ids, in ascending order of pairs.
    lengths : numpy.ndarray
        (P,) int64: sides of pixels that the two share.
    """
    first = np.concatenate([labels[:-1].ravel(), labels[:, :-1].ravel()])
    second = np.concatenate([labels[1:].ravel(), labels[:, 1:].ravel()])
    meet = (first != second) & (first > 0) & (second > 0)
    pairs = np.stack([first[meet], second[meet]], axis=1).astype(np.uint64)
    if not directed:
        pairs.sort(axis=1)
    # Both ids in one number: rows of a table take several times as long to sort.
    keys, lengths = np.unique(pairs[:, 0] << 32 | pairs[:, 1], return_counts=True)
    return np.stack([keys >> 32, keys & (2**32 - 1)], axis=1).astype(np.int64), lengths


def near_pairs(labels: np.ndarray, *, expansion_px: float = EXPANSION_PX) -> np.ndarray:
    """Return the pairs of cells that touch once all cells have been grown.

    Cells grow at the same pace until they meet, as in steinbock's neighbours of type *expansion*.

    Parameters
    ----------
    labels
        (H, W) integers, 0 is background.
    expansion_px
        How far a cell grows, pixels.

    Returns
    -------
    numpy.ndarray
        (P, 2) int64: ids, each pair once, the smaller id first, in ascending order.
    """
    return touching_pairs(expand_labels(labels, expansion_px))[0]
