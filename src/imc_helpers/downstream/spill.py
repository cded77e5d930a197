"""Counts that belong to other cells: doublets, impossible pairs of markers, and REDSEA.

Where the truth is known, `imc_helpers.phantom.origins` says from which cell counts come. Elsewhere
two markers that no cell has together, and a cell's neighbours, have to tell.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage as ndi
from scipy import sparse

from imc_helpers.cells.contacts import touching_pairs
from imc_helpers.cells.expression import mean_intensities
from imc_helpers.metrics import contingency_table

DOUBLET_SHARE = 0.5
"""A cell that holds this much of two true cells, or more, is a doublet."""
EDGE_PX = 2
"""Width of the rim whose counts REDSEA moves, pixels (Bai et al. 2021)."""


def spill_shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Divide the counts of each channel by where they come from, over all cells of a mask.

    Parameters
    ----------
    counts
        What `imc_helpers.phantom.origins.split_counts` returns, of one image or of several.

    Returns
    -------
    pandas.DataFrame
        One row per ``channel``: the shares ``own``, ``blur`` (light of other cells inside the true
        outline) and ``mask_error`` (what the mask took from outside it), which sum to 1; missing
        where a channel has no counts.
    """
    parts = counts.groupby("channel", sort=False)[["own", "blur", "mask_error"]].sum()
    total = parts.sum(axis=1)
    return parts.div(total.where(total > 0), axis=0).reset_index()


def is_doublet(
    labels: NDArray[np.integer], truth: NDArray[np.integer], *, share: float = DOUBLET_SHARE
) -> pd.Series:
    """Say which cells of a mask hold two true cells.

    Parameters
    ----------
    labels, truth
        (H, W) masks.
    share
        Of each of the two true cells that has to lie in the cell.

    Returns
    -------
    pandas.Series
        True or False, by id of `labels`.
    """
    table = contingency_table(truth, labels)
    held = table.intersection >= share * table.true_areas[table.i]
    number = np.bincount(table.j[held], minlength=table.n_pred)
    return pd.Series(number >= 2, index=pd.Index(table.pred_ids, name="id"), name="doublet")


def positive_for_both(
    first: ArrayLike, second: ArrayLike, thresholds: tuple[float, float]
) -> float:
    """Return the share of cells with two markers that no cell has, of the cells with either.

    Parameters
    ----------
    first, second
        (N,) of each cell, CD3 and CD20 for instance.
    thresholds
        Above which a cell is positive. They come from one mask, or all, and not from each.

    Returns
    -------
    float
        Missing where no cell has either.
    """
    one, other = np.asarray(first) > thresholds[0], np.asarray(second) > thresholds[1]
    either = (one | other).sum()
    return float((one & other).sum() / either) if either else float("nan")


def neighbour_slope(
    labels: NDArray[np.integer], values: ArrayLike, *, among: ArrayLike | None = None
) -> float:
    """Regress what a cell has on what the cells that touch it have.

    Among cells that cannot express a marker (CD3 in CD20 positive ones), a slope above 0 is spill,
    or mask error; among all cells, it is also that like lies beside like.

    Parameters
    ----------
    labels
        (H, W) mask.
    values
        (N,) of its cells, by ascending id.
    among
        (N,) which cells to look at; all where not given.

    Returns
    -------
    float
        Slope of least squares. A neighbour counts as much as the border that it shares. Missing
        with fewer than three such cells, or where neighbours do not differ.
    """
    of = np.asarray(values, float)
    border = shared_borders(labels)
    length = np.asarray(border.sum(axis=1)).ravel()
    looked_at = length > 0 if among is None else (length > 0) & np.asarray(among, bool)
    if looked_at.sum() < 3:
        return float("nan")
    around = (border @ of)[looked_at] / length[looked_at]
    away = around - around.mean()
    if not away.any():
        return float("nan")
    return float(away @ of[looked_at] / (away @ away))


def shared_borders(labels: NDArray[np.integer]) -> sparse.csr_array:
    """Return how long a border each two cells share, sides of pixels: (N, N), by ascending id."""
    ids = np.unique(labels)
    ids = ids[ids > 0]
    pairs, lengths = touching_pairs(labels)
    at = np.searchsorted(ids, pairs)
    rows, columns = np.concatenate([at, at[:, ::-1]]).T
    shape = (len(ids), len(ids))
    return sparse.csr_array((np.tile(lengths, 2).astype(float), (rows, columns)), shape=shape)


def redsea(
    image: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    edge_px: int = EDGE_PX,
    reinforce: bool = True,
) -> tuple[NDArray[np.integer], NDArray[np.float64]]:
    r"""Compensate neighbours' light with REDSEA (Bai et al. 2021, doi:10.3389/fimmu.2021.652631).

    Of the counts in the rim of a cell, as large a share belongs to a neighbour as that neighbour
    has of the cell's outline. It is taken from the neighbour's sum, and the cell's own rim counts
    are added to its own sum:
    :math:`S_i' = \max(0, S_i + E_i - \sum_j E_j b_{ij} / b_j)`, with sums S, rim sums E, shared
    borders :math:`b_{ij}` and outlines :math:`b_j`.

    Parameters
    ----------
    image
        (C, H, W) counts.
    labels
        (H, W) mask.
    edge_px
        Width of the rim, pixels.
    reinforce
        Add the rim once more. Without, it only takes away.

    Returns
    -------
    ids : numpy.ndarray
        (N,) ascending.
    means : numpy.ndarray
        (N, C) compensated sums over the area.
    """
    ids, means = mean_intensities(image, labels)
    _, area = np.unique(labels[labels > 0], return_counts=True)
    if not len(ids):
        return ids, means.astype(float)
    rim = np.where(_inner(labels, edge_px), 0, labels)
    there, rim_means = mean_intensities(image, rim)
    edge = np.zeros((len(ids), len(image)))
    rim_area = np.unique(rim[rim > 0], return_counts=True)[1]
    edge[np.searchsorted(ids, there)] = rim_means * rim_area[:, None]
    shared = shared_borders(labels)
    outline = np.asarray(shared.sum(axis=1)).ravel() + _free_border(labels, ids)
    lost = shared @ (edge / np.maximum(outline, 1)[:, None])
    sums = means * area[:, None] + reinforce * edge - lost
    return ids, np.maximum(sums, 0) / area[:, None]


def _inner(labels: NDArray[np.integer], edge_px: int) -> NDArray[np.bool_]:
    """Tell which pixels are farther inside their cell than its rim."""
    padded = np.pad(labels, 1, mode="edge")  # the image's frame is no border of a cell
    outline = np.zeros(padded.shape, bool)
    for axis in (0, 1):
        for step in (1, -1):
            outline |= np.roll(padded, step, axis) != padded
    # Rolling compares the pad with the far side: only the middle is kept, whose neighbours are all
    # there.
    outline = outline[1:-1, 1:-1]
    return ndi.distance_transform_cdt(~outline, "taxicab") >= edge_px if outline.any() else ~outline


def _free_border(labels: NDArray[np.integer], ids: NDArray[np.integer]) -> NDArray[np.float64]:
    """Count the sides of pixels that each cell shares with background: (N,)."""
    sides = [
        (labels[1:], labels[:-1]),
        (labels[:-1], labels[1:]),
        (labels[:, 1:], labels[:, :-1]),
        (labels[:, :-1], labels[:, 1:]),
    ]
    free = np.concatenate([here[(here > 0) & (beside == 0)] for here, beside in sides])
    return np.bincount(np.searchsorted(ids, free), minlength=len(ids)).astype(float)
