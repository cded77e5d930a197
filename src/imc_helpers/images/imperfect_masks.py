"""Masks made worse in a known way: cells left out, borders moved, background not believed."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage as ndi
from skimage.segmentation import find_boundaries

from imc_helpers.errors import InputError

KERNELS_PX = (0, 3, 5, 7, 9)
"""Edges of the squares by which a cell is eroded or dilated (Bird et al. 2024, section II-D)."""
SURE_PX = 3.0
"""How far around a labelled cell background is believed, where what is not labelled is unknown."""


def drop_cells(
    labels: np.ndarray, share: float, seed: int = 0, *, last: np.ndarray | None = None
) -> np.ndarray:
    """Leave out a share of the cells.

    Parameters
    ----------
    labels
        (H, W) integers, 0 is background.
    share
        Of the cells, 0 to 1; their number is rounded.
    seed
        Of the draw. With the same seed, what is left out at a smaller share is also left out at a
        larger one.
    last
        (H, W) image: the cells with the lowest means in it go first. Drawn at random when None.

    Returns
    -------
    numpy.ndarray
        (H, W), with the ids that are left.

    Raises
    ------
    InputError
        If the share lies outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share of missing cells: expected 0 to 1, found {share}")
    ids = np.unique(labels[labels > 0])
    if last is None:
        order = np.random.default_rng(seed).permutation(len(ids))
    else:
        order = np.argsort(ndi.mean(last, labels, ids), kind="stable") if len(ids) else ids
    kept = np.ones(int(labels.max(initial=0)) + 1, bool)
    kept[ids[order[: round(share * len(ids))]]] = False
    return np.where(kept[labels], labels, 0)


def move_borders(labels: np.ndarray, largest_px: int, *, seed: int) -> tuple[np.ndarray, int]:
    """Erode or dilate each cell by a square drawn from `KERNELS_PX` up to the largest.

    Parameters
    ----------
    labels
        (H, W) integers, 0 is background.
    largest_px
        Edge of the largest square, pixels.
    seed
        Of the draws, one of each cell.

    Returns
    -------
    moved : numpy.ndarray
        (H, W): where a dilated cell meets another, the other keeps its pixels.
    deleted : int
        Cells of which an erosion left nothing.

    Raises
    ------
    InputError
        If the largest square is none of `KERNELS_PX`.
    """
    if largest_px not in KERNELS_PX:
        raise InputError(f"largest kernel: expected one of {KERNELS_PX}, found {largest_px}")
    rng = np.random.default_rng(seed)
    sizes: Sequence[int] = [k for k in KERNELS_PX if k <= largest_px]
    boxes = ndi.find_objects(labels.astype(np.int64))
    here = [number for number, box in enumerate(boxes, 1) if box is not None]
    drawn = dict(zip(here, rng.choice(sizes, len(here)).tolist(), strict=True))
    grows = dict(zip(here, (rng.random(len(here)) < 0.5).tolist(), strict=True))
    moved = np.zeros_like(labels)
    deleted = 0
    # Cells that shrink or stay first, so that a grown one takes only what is free.
    for number in sorted(here, key=lambda one: grows[one] and drawn[one] > 0):
        size = drawn[number]
        window = tuple(
            slice(max(0, side.start - size), side.stop + size) for side in boxes[number - 1]
        )
        shape = labels[window] == number
        if size:
            square = np.ones((size, size), bool)
            change = ndi.binary_dilation if grows[number] else ndi.binary_erosion
            # The image's edge cuts a cell; it does not wear it away.
            shape = change(shape, square, **({} if grows[number] else {"border_value": 1}))
        deleted += not shape.any()
        free = shape & (moved[window] == 0)
        moved[window][free] = number
    return moved, deleted


def sure_pixels(labels: np.ndarray, reach_px: float = SURE_PX) -> np.ndarray:
    """Return where labels can be believed when cells may be missing: (H, W) bool.

    That is in a labelled cell, and no farther from one than ``reach_px``.
    """
    if not labels.any():
        return np.zeros(labels.shape, bool)
    return ndi.distance_transform_edt(labels == 0) <= reach_px


def interior(labels: np.ndarray) -> np.ndarray:
    """Return the pixels whose four neighbours all belong to the same cell: (H, W) bool."""
    return (labels > 0) & ~find_boundaries(labels, mode="inner", connectivity=1)
