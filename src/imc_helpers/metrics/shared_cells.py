"""How many cells two masks have in common, and so how far apart they are.

Divide each cell by the root of its area, and two cells have the inner product ``|a ∩ b| / √(|a|
|b|)``. A mask is then the projection on the space that its cells span, and ``n_true + n_pred - 2 ·
shared_cells`` is a squared Euclidean distance of two masks (Hilbert-Schmidt). So masks have means,
variances and all else that points in space have, which scores such as AP do not.
"""

import numpy as np
from numpy.typing import NDArray

from imc_helpers.metrics.contingency import ContingencyTable
from imc_helpers.metrics.matching import global_assignment


def overlap_shares(table: ContingencyTable) -> NDArray[np.float64]:
    """Say how much of a cell each pair has in common: ``|a ∩ b|² / (|a| |b|)``.

    Summed over the pairs of one cell this is at most 1, and 1 only where the other rater drew that
    very cell; one minus the sum is how far the other rater disagrees about it.

    Parameters
    ----------
    table : ContingencyTable

    Returns
    -------
    (n_pairs,) float64 array, in (0, 1]

    Examples
    --------
    >>> from imc_helpers.metrics import contingency_table
    >>> overlap_shares(contingency_table([[1, 1, 1, 1]], [[1, 1, 2, 2]])).tolist()
    [0.5, 0.5]
    """
    areas = table.true_areas[table.i].astype(np.float64) * table.pred_areas[table.j]
    return table.intersection.astype(np.float64) ** 2 / areas


def shared_cells(table: ContingencyTable) -> float:
    """Count the cells that two masks have in common, κ, fractions included.

    Parameters
    ----------
    table : ContingencyTable

    Returns
    -------
    float
        Sum of `overlap_shares`: 0 without any overlap, the number of cells where the masks are the
        same, never more than the cells of either.
    """
    return float(overlap_shares(table).sum())


def squared_distance(table: ContingencyTable) -> float:
    """Return the squared distance of two masks, in cells: ``n_true + n_pred - 2 · shared_cells``.

    Divided by twice the annotators' mean number of cells it is the distance δ of the pages: 0
    where the masks are the same; 1 where two masks of that many cells have nothing in common.

    Parameters
    ----------
    table : ContingencyTable

    Returns
    -------
    float
        0 or more. It is Euclidean: of any masks, the matrix of these has a centred Gram matrix
        without negative eigenvalues.
    """
    return max(0.0, table.n_true + table.n_pred - 2 * shared_cells(table))


def soft_ap(table: ContingencyTable, *, both_empty: float = 1.0) -> float:
    """Return ``S / (n_true + n_pred - S)``, with S the best one-to-one assignment's summed IoU.

    AP in which a pair counts by its IoU instead of by 1 above a threshold. Unlike AP, one minus it
    obeys the triangle inequality: n_true + n_pred - 2S is a GOSPA distance (Rahmathullah,
    García-Fernández and Svensson 2017, order 1, α = 2), and dividing it so is its Steinhaus
    transform.

    Parameters
    ----------
    table : ContingencyTable
    both_empty : float
        What it is when neither image has an object.

    Returns
    -------
    float
        0 … 1.
    """
    if table.n_true + table.n_pred == 0:
        return both_empty
    summed = float(global_assignment(table).iou.sum())
    return summed / (table.n_true + table.n_pred - summed)
