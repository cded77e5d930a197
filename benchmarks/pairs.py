"""Pairs of label images as two segmentations of one tissue would give them, made from a seed.

Cells are the pixels nearest to a seed point and closer to it than a radius. The seeds of the second
image are those of the first, moved by about a fifth of a cell, some left out and some doubled, so
that there are good matches, poor ones, misses, splits and merges.
"""

import numpy as np
from numpy.typing import NDArray

ImagePair = tuple[NDArray[np.int32], NDArray[np.int32]]


def cell_pair(side_px: int, spacing_px: float, seed: int = 0) -> ImagePair:
    """Make two label images of a square tissue, ids in random order.

    Parameters
    ----------
    side_px
        Side of the images, pixels.
    spacing_px
        Mean distance between neighbouring cells, pixels.
    seed
        Of the random numbers.

    Returns
    -------
    true, pred
        (side_px, side_px) int32.
    """
    rng = np.random.default_rng(seed)
    n_side = round(side_px / spacing_px)
    corners = np.stack(np.mgrid[:n_side, :n_side], axis=-1)
    points = corners + rng.uniform(0.1, 0.9, corners.shape)
    moved = points + rng.normal(0, 0.2, points.shape)
    kept_true = rng.random((n_side, n_side)) < 0.99
    kept_pred = rng.random((n_side, n_side)) < 0.97
    scale = side_px / n_side
    return (
        _nearest(points, kept_true, side_px, scale, rng),
        _nearest(moved, kept_pred, side_px, scale, rng),
    )


def _nearest(
    points: NDArray[np.float64],
    kept: NDArray[np.bool_],
    side_px: int,
    scale: float,
    rng: np.random.Generator,
) -> NDArray[np.int32]:
    """Label each pixel by the nearest kept point within three quarters of the spacing."""
    n_side = len(points)
    ids = (rng.permutation(n_side * n_side) + 1).reshape(n_side, n_side).astype(np.int32)
    centres = (np.arange(side_px) + 0.5) / scale  # pixels, in units of the spacing
    home = np.minimum(centres.astype(np.int64), n_side - 1)
    labels = np.zeros((side_px, side_px), np.int32)
    for rows in np.array_split(np.arange(side_px), max(1, side_px // 250)):
        nearest = np.full((len(rows), side_px), 0.65**2)
        for step_y in range(-2, 3):
            for step_x in range(-2, 3):
                y, x = home[rows, np.newaxis] + step_y, home[np.newaxis, :] + step_x
                inside = (y >= 0) & (y < n_side) & (x >= 0) & (x < n_side)
                y, x = np.broadcast_arrays(y.clip(0, n_side - 1), x.clip(0, n_side - 1))
                point = points[y, x]
                distance = (point[..., 0] - centres[rows, np.newaxis]) ** 2 + (
                    point[..., 1] - centres
                ) ** 2
                closer = (distance < nearest) & kept[y, x] & inside
                nearest[closer] = distance[closer]
                labels[rows] = np.where(closer, ids[y, x], labels[rows])
    return labels
