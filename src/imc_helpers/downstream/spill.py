"""Counts that belong to other cells: impossible pairs of markers, and REDSEA.

On a phantom, `true_spill` says from which cell counts come. Elsewhere two markers that no cell has
together, and a cell's neighbours, have to tell.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage as ndi
from scipy import sparse
from skimage.filters import threshold_otsu
from skimage.segmentation import find_boundaries

from imc_helpers.cells.contacts import touching_pairs
from imc_helpers.cells.expression import mean_intensities
from imc_helpers.data.samples import Cohort

EXCLUSIVE = (("CD3", "CD20"), ("CD5", "CD20"), ("CD8a", "CD20"))
"""Markers of T cells and of B cells, the best pair first."""
EDGE_PX = 2
"""Width of the rim whose counts REDSEA moves, pixels (Bai et al. 2021)."""


def exclusive_pair(channels: Sequence[str]) -> tuple[str, str] | None:
    """Return two markers of a panel that no cell has together, or None."""
    return next((pair for pair in EXCLUSIVE if set(pair) <= set(channels)), None)


def implausible_cells(
    cohort: Cohort,
    masks: Mapping[str, Mapping[str, NDArray[np.integer]]],
    samples: Sequence[str],
    pair: tuple[str, str],
) -> pd.DataFrame:
    """Measure spill where nobody knows the truth, before and after REDSEA.

    Parameters
    ----------
    cohort
        The images.
    masks
        By rater, labels by sample.
    samples
        The images to look at.
    pair
        Two markers that no cell has together. A cell is positive above Otsu's threshold of the
        arcsinh of mean counts, taken from the uncompensated cells of all masks together.

    Returns
    -------
    pandas.DataFrame
        One row per ``rater``: ``positive for both``, of the cells positive for either; the same
        ``after REDSEA``; ``slope``, of the first marker on what the neighbours have of it, among
        cells positive for the second, over images.
    """
    at = [cohort.panel.names.index(marker) for marker in pair]
    before: dict[str, list[NDArray[np.float64]]] = {rater: [] for rater in masks}
    after: dict[str, list[NDArray[np.float64]]] = {rater: [] for rater in masks}
    for sample in samples:
        image = cohort.read_image(sample)[at]
        for rater, own in masks.items():
            before[rater].append(np.arcsinh(mean_intensities(image, own[sample])[1].astype(float)))
            after[rater].append(np.arcsinh(redsea(image, own[sample])[1]))
    everything = np.concatenate([values for own in before.values() for values in own])
    if not len(everything) or (np.ptp(everything, axis=0) == 0).any():
        limits = (np.inf, np.inf)
    else:
        limits = (threshold_otsu(everything[:, 0]), threshold_otsu(everything[:, 1]))
    rows = []
    for rater, own in masks.items():
        slopes = [
            neighbour_slope(own[sample], values[:, 0], among=values[:, 1] > limits[1])
            for sample, values in zip(samples, before[rater], strict=True)
        ]
        raw, compensated = np.concatenate(before[rater]), np.concatenate(after[rater])
        rows.append(
            {
                "rater": rater,
                "positive for both": positive_for_both(raw[:, 0], raw[:, 1], limits),
                "after REDSEA": positive_for_both(compensated[:, 0], compensated[:, 1], limits),
                "slope": pd.Series(slopes).mean(),
            }
        )
    return pd.DataFrame(rows)


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
    outline = find_boundaries(labels, connectivity=1)  # the image's frame is no border
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
