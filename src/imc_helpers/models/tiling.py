"""Segment an image that is larger than a model takes, and leave no cut cells at the seams."""

from collections.abc import Callable, Sequence

import numpy as np


def segment_tiles(
    image: np.ndarray,
    predict: Callable[[Sequence[np.ndarray]], list[np.ndarray]],
    *,
    tile_px: int,
    overlap_px: int = 64,
) -> np.ndarray:
    """Segment overlapping tiles and stitch their labels by overlap.

    Parameters
    ----------
    image
        (C, H, W) array.
    predict
        Segments images of ``tile_px`` or less: (C, h, w) each in, (h, w) labels each out.
    tile_px, overlap_px
        Edge of a tile, and what two neighbours share, pixels; more than a cell is wide.

    Returns
    -------
    numpy.ndarray
        (H, W) uint32.
    """
    raise NotImplementedError
