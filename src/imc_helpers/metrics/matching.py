"""One-to-one matchings between the objects of two label images."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imc_helpers.metrics.contingency import ContingencyTable, IntArray

LARGEST_DENOMINATOR = 10**6
"""A threshold is read as the nearest fraction with a denominator up to this."""


class MatchedPairs(NamedTuple):
    """Pairs of objects, each object in one pair at most, in ascending order of the true id."""

    true_ids: IntArray
    """(n_matched,) ids in the true image."""
    pred_ids: IntArray
    """(n_matched,) ids in the predicted image."""
    iou: NDArray[np.float64]
    """(n_matched,) intersection over union."""


def reaches(
    table: ContingencyTable, threshold: float, *, strict: bool = False
) -> NDArray[np.bool_]:
    """Tell which pairs of a table match at an IoU threshold, with ties decided exactly.

    Parameters
    ----------
    table : ContingencyTable
    threshold : float in [0, 1]
        Read as the nearest fraction p/q with q up to 10**6 (.55 is 11/20), so that whole numbers
        are compared: ``q * intersection >= p * union``.
    strict : bool
        Require IoU > threshold in place of IoU >= threshold.

    Returns
    -------
    (n_pairs,) bool array
    """
    fraction = exact_threshold(threshold)
    reached = fraction.denominator * table.intersection
    needed = fraction.numerator * table.union
    return reached > needed if strict else reached >= needed


def exact_threshold(threshold: float) -> Fraction:
    """Read an IoU threshold as a fraction, or say that it is none."""
    if not 0 <= threshold <= 1:
        raise ValueError(f"an IoU threshold lies between 0 and 1, found {threshold}")
    return Fraction(threshold).limit_denominator(LARGEST_DENOMINATOR)


def largest_overlaps(table: ContingencyTable, of: IntArray) -> NDArray[np.bool_]:
    """Mark the pair with which each object shares most pixels.

    Parameters
    ----------
    table : ContingencyTable
    of : (n_pairs,) int array
        ``table.i`` for one pair per true object, ``table.j`` for one per predicted object.

    Returns
    -------
    (n_pairs,) bool array
        One pair per object that overlaps any; among equal ones the first listed.
    """
    order = np.lexsort((table.j, table.i, -table.intersection, of))
    first = np.zeros(len(of), bool)
    first[order[np.diff(of[order], prepend=-1) > 0]] = True
    return first


def matched_pairs(
    table: ContingencyTable, threshold: float = 0.5, *, strict: bool = False
) -> MatchedPairs:
    """List the pairs of the largest one-to-one matching at an IoU threshold.

    Above .5 each object has one candidate at most. At lower thresholds, of all largest matchings
    the one with the largest summed IoU is taken.

    Parameters
    ----------
    table : ContingencyTable
    threshold : float in [0, 1]
        IoU that a pair must reach.
    strict : bool
        Require IoU > threshold in place of IoU >= threshold.

    Returns
    -------
    MatchedPairs
        As many as there are true positives at this threshold.
    """
    from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415  (slow import)

    candidates = np.flatnonzero(reaches(table, threshold, strict=strict))
    number = np.ones(len(candidates), np.int64)
    iou_weight, _ = kernels.assignment_weights(table.iou[candidates])
    return _chosen(table, candidates, number, iou_weight)


def global_assignment(table: ContingencyTable) -> MatchedPairs:
    """List the pairs of the one-to-one matching with the largest summed IoU, without a threshold.

    This is the assignment of sortedAP (Chen et al. 2023, ICCV Workshops) and of Schuiki et al.
    2025, section 3.3, found exactly. Pairs that do not overlap are left out. IoUs are added as
    whole multiples of about 7e-15, a unit in which small fractions are exact; of several
    assignments with the largest sum, the one with the largest sum of squared IoUs is taken: rather
    one good pair and one bad than two middling ones.
    Values decide, never the order of ids.

    Parameters
    ----------
    table : ContingencyTable

    Returns
    -------
    MatchedPairs
    """
    from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415  (slow import)

    return _chosen(table, np.arange(len(table.i)), *kernels.assignment_weights(table.iou))


def largest_matching_levels(table: ContingencyTable) -> NDArray[np.float64]:
    """Give the whole threshold curve TP(t) of largest one-to-one matchings.

    Parameters
    ----------
    table : ContingencyTable

    Returns
    -------
    (n,) float64 array, descending
        The IoUs at which the largest matching grows by one when the threshold falls, ties repeated.
        TP(t) is the number of levels >= t (> t, for strict matching).
    """
    from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415  (slow import)

    order = np.argsort(-table.iou)
    return kernels.matching_levels(table.i, table.j, table.n_true, table.n_pred, table.iou, order)


def _chosen(
    table: ContingencyTable,
    candidates: NDArray[np.intp],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> MatchedPairs:
    """Match among some pairs of a table by two weights, the second deciding ties of the first."""
    from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415  (slow import)

    chosen = kernels.heaviest_matching(
        table.i[candidates], table.j[candidates], table.n_true, table.n_pred, first, second
    )
    chosen = candidates[np.sort(chosen)]
    return MatchedPairs(
        table.true_ids[table.i[chosen]], table.pred_ids[table.j[chosen]], table.iou[chosen]
    )
