"""Scores of a pair of label images, all from sums over its contingency table.

``AP(t) = TP / (TP + FN + FP)`` at the IoU threshold t (Schuiki et al. 2025, equation 1).
"""

from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imc_helpers.metrics.contingency import Borders, ContingencyTable, contingency_table
from imc_helpers.metrics.matching import (
    exact_threshold,
    largest_matching_levels,
)

SapForm: TypeAlias = Literal["paper", "step"]
FloatArray: TypeAlias = NDArray[np.float64]

THRESHOLDS: tuple[float, ...] = tuple(k / 100 for k in range(50, 100, 5))
"""The ten IoU thresholds of `map`: .50, .55, ..., .95."""


@dataclass(frozen=True)
class Scores:
    """Scores of predicted objects against true ones; 1 is best, unless a field says otherwise.

    One side empty: every score is 0 (and ``rand_error`` 1). Both empty: `both_empty` of `evaluate`.
    """

    n_true: int
    """Objects in the true image."""
    n_pred: int
    """Objects in the predicted image."""
    n_matched: int
    """True positives at IoU .5."""
    ap50: float
    """AP at IoU .5."""
    map: float
    """Mean AP over the thresholds .50, .55, ..., .95."""
    sap: float
    """Area under the AP/IoU curve, sortedAP (Chen et al. 2023), in the form of `sap_form`."""
    precision_50: float
    """Matched share of the predicted objects at IoU .5."""
    recall_50: float
    """Matched share of the true objects at IoU .5."""
    f1_50: float
    """F1 at IoU .5: ``2 TP / (2 TP + FP + FN)``."""
    f1_mean: float
    """Mean F1 over the thresholds .5, .6, ..., .9: the F1-mu of InstanSeg (Goldsborough 2024)."""
    f1_mean10: float
    """Mean F1 over the ten thresholds of `map`."""
    pq: float
    """Panoptic quality, SQ x RQ (Kirillov et al. 2019, equation 1)."""
    sq: float
    """Segmentation quality: mean IoU of the pairs that match at .5; 0 without any."""
    rq: float
    """Recognition quality: F1 at IoU .5."""
    aji: float
    """Aggregated Jaccard index (Kumar et al. 2017, algorithm 1)."""
    seg: float
    """SEG of the Cell Tracking Challenge (Maska et al. 2014): mean over true objects of the IoU
    with the prediction that covers more than half of them, 0 where none does."""
    dice: float
    """Dice of foreground pixels."""
    jaccard: float
    """Jaccard index of foreground pixels."""
    boundary_dice: float
    """Dice of cell-border pixels, as in Dice-XMBD (Xiao et al. 2021, 2.5); NaN unless asked for."""
    boundary_jaccard: float
    """Jaccard index of cell-border pixels; NaN unless asked for."""
    rand_error: float
    """Adapted Rand error over true foreground (Arganda-Carreras et al. 2015): 0 is best."""
    voi_split: float
    """Variation of information, bits: H(pred | true), from cells cut apart; 0 is best."""
    voi_merge: float
    """Variation of information, bits: H(true | pred), from cells run together; 0 is best."""
    strict: bool
    """A pair matches when IoU > t; when False, when IoU >= t."""
    sap_form: SapForm | None
    """Form of `sap`: "paper", "step", or None where it was left out (NaN)."""


class ApCurve(NamedTuple):
    """An AP/IoU curve as a polyline; the area under it is `numpy.trapezoid(ap, iou)`."""

    iou: FloatArray
    """(n,) IoU, rising from 0 to 1; a vertical step is two points at one IoU."""
    ap: FloatArray
    """(n,) AP, falling; the last point is (1, 0) in the "paper" form."""


def evaluate(
    true: ArrayLike | None = None,
    pred: ArrayLike | None = None,
    *,
    table: ContingencyTable | None = None,
    strict: bool = False,
    sap: SapForm | None = "paper",
    both_empty: float = 1.0,
    borders: bool = False,
) -> Scores:
    """Score a predicted label image against a true one.

    Matching is one-to-one and largest at each threshold, and thresholds are exact: an IoU of 11/20
    reaches .55. All scores but `recall_50`, `precision_50`, `aji`, `seg`, `rand_error` and the two
    parts of the variation of information are the same when true and pred change places.

    Parameters
    ----------
    true, pred : array_like of whole numbers, one shape
        Label images as `contingency_table` takes them.
    table : ContingencyTable
        In place of the images, their table.
    strict : bool
        A pair matches when IoU > t; when False, when IoU >= t.
    sap : {"paper", "step", None}
        "paper": one global assignment (see `global_assignment`), AP at each matched IoU, a flat
        line from 0 to the first, straight lines between them, and a straight tail to (1, 0).
        "step": the integral of AP(t) with a largest matching at every t; unlike the first, it stays
        the same when the data are doubled. None leaves it out.
    both_empty : float
        What scores are when neither image has an object.
    borders : bool
        Also score cell-border pixels; with `table`, make it with ``borders=True``.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError, TypeError
        As `contingency_table`; or both images and a table are given, or neither.

    Examples
    --------
    >>> scores = evaluate([[1, 1, 0, 2]], [[1, 0, 0, 2]])
    >>> scores.ap50, scores.map
    (1.0, 0.4)
    """
    if (true is None) != (pred is None) or (true is None) == (table is None):
        raise ValueError("evaluate takes either true and pred, or table")
    check_sap(sap)
    if table is None:
        assert true is not None
        assert pred is not None
        table = contingency_table(true, pred, borders=borders)
    elif borders and table.borders is None:
        raise ValueError("this table has no borders: make it with borders=True")
    row, _ = sum_up(
        i=table.i,
        j=table.j,
        intersection=table.intersection,
        true_areas=table.true_areas,
        pred_areas=table.pred_areas,
        n_pixels=table.n_pixels,
        borders=table.borders,
        strict=strict,
        sap=sap,
    )
    columns = score_columns(row[np.newaxis], both_empty, table.borders is not None)
    values = {name: column[0].item() for name, column in columns.items()}
    return Scores(**values, strict=strict, sap_form=sap)


def ap_curve(
    table: ContingencyTable,
    thresholds: ArrayLike = THRESHOLDS,
    *,
    strict: bool = False,
    both_empty: float = 1.0,
) -> FloatArray:
    """Give AP at IoU thresholds, each with the largest one-to-one matching.

    Parameters
    ----------
    table : ContingencyTable
    thresholds : (n,) array_like of floats in [0, 1]
        Read as fractions, so that ties are exact (see `reaches`). At 0, as everywhere, only objects
        that overlap can match.
    strict : bool
        A pair matches when IoU > t; when False, when IoU >= t.
    both_empty : float
        AP when neither image has an object.

    Returns
    -------
    (n,) float64 array
    """
    exact = [float(exact_threshold(float(t))) for t in np.atleast_1d(np.asarray(thresholds))]
    rising = largest_matching_levels(table)[::-1]
    below = np.searchsorted(rising, exact, side="right" if strict else "left")
    return _ap(len(rising) - below, table.n_true, table.n_pred, both_empty)


def sap_curve(
    table: ContingencyTable, sap: SapForm = "paper", *, both_empty: float = 1.0
) -> ApCurve:
    """Give the curve whose area is `sap`, to be drawn.

    Parameters
    ----------
    table : ContingencyTable
    sap : {"paper", "step"}
        As in `evaluate`.
    both_empty : float
        Height of the curve when neither image has an object.

    Returns
    -------
    ApCurve
        ``numpy.trapezoid(curve.ap, curve.iou)`` is `Scores.sap`.
    """
    check_sap(sap)
    if table.n_true == table.n_pred == 0:
        return ApCurve(np.array([0.0, 1.0]), np.array([both_empty, both_empty]))
    levels = _levels(table.i, table.j, table.iou, n_true=table.n_true, n_pred=table.n_pred, sap=sap)
    ap = _ap(np.arange(1, len(levels) + 1), table.n_true, table.n_pred, both_empty)
    # Rising: the lowest level has the most matches.
    levels, ap = levels[::-1], ap[::-1]
    if sap == "paper":
        start = ap[:1] if len(ap) else np.zeros(1)
        return ApCurve(np.r_[0.0, levels, 1.0], np.r_[start, ap, 0.0])
    left = np.r_[0.0, levels]
    right = np.r_[levels, 1.0]
    return ApCurve(np.stack([left, right], 1).ravel(), np.repeat(np.r_[ap, 0.0], 2))


def check_sap(sap: str | None) -> None:
    """Refuse a form of sap that does not exist."""
    if sap not in ("paper", "step", None):
        raise ValueError(f'sap must be "paper", "step" or None, found {sap!r}')


def sum_up(
    *,
    i: NDArray[np.int32],
    j: NDArray[np.int32],
    intersection: NDArray[np.int64],
    true_areas: NDArray[np.int64],
    pred_areas: NDArray[np.int64],
    n_pixels: int,
    borders: Borders | None,
    strict: bool,
    sap: SapForm | None,
) -> tuple[FloatArray, FloatArray]:
    """Sum up the parts of a contingency table, whose pairs may be in any order.

    Returns
    -------
    row : (n_columns,) float64 array
        The numbers from which `score_columns` makes all scores.
    levels : (n,) float64 array, falling
        IoUs at which the true positives of the sap curve grow by one; none without sap.
    """
    from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415  (slow import)

    row = kernels.tally(i, j, intersection, true_areas, pred_areas, n_pixels, strict)
    if borders is not None:
        row[kernels.BORDER_TRUE : kernels.BORDER_BOTH + 1] = borders
    if sap is None:
        return row, np.empty(0)
    iou = intersection / (true_areas[i] + pred_areas[j] - intersection)
    n_true, n_pred = len(true_areas), len(pred_areas)
    levels = _levels(i, j, iou, n_true=n_true, n_pred=n_pred, sap=sap)
    row[kernels.SAP] = area_under(levels, n_true, n_pred, sap)
    return row, levels


def _levels(
    i: NDArray[np.int32],
    j: NDArray[np.int32],
    iou: FloatArray,
    *,
    n_true: int,
    n_pred: int,
    sap: SapForm,
) -> FloatArray:
    """Give the falling IoUs at which the number of true positives of a sap curve grows by one."""
    from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415  (slow import)

    if sap == "step":
        return kernels.matching_levels(i, j, n_true, n_pred, iou, np.argsort(-iou))
    chosen = kernels.heaviest_matching(i, j, n_true, n_pred, *kernels.assignment_weights(iou))
    return np.sort(iou[chosen])[::-1]


def _ap(tp: ArrayLike, n_true: float, n_pred: float, both_empty: float) -> FloatArray:
    """``TP / (TP + FN + FP)``."""
    tp = np.asarray(tp, dtype=np.float64)
    return _ratio(tp, n_true + n_pred - tp, both_empty)


def area_under(levels: FloatArray, n_true: float, n_pred: float, sap: SapForm) -> float:
    """Integrate the AP/IoU curve of falling levels: `sap_curve` draws what this measures."""
    from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415  (slow import)

    return kernels.area_under(np.ascontiguousarray(levels), n_true, n_pred, sap == "step")


def _ratio(numerator: FloatArray, denominator: ArrayLike, empty: float) -> FloatArray:
    """Divide; nothing over nothing is `empty`."""
    denominator = np.asarray(denominator, dtype=np.float64)
    out = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), float(empty))
    return np.divide(numerator, denominator, out=out, where=denominator > 0)


def score_columns(rows: FloatArray, both_empty: float, borders: bool) -> dict[str, NDArray[Any]]:
    """Turn rows of sums into columns of scores, named and ordered as the fields of `Scores`."""
    from imc_helpers.metrics import _kernels as k  # noqa: PLC0415  (slow import)

    n_true, n_pred = rows[:, k.N_TRUE], rows[:, k.N_PRED]
    tp = rows[:, k.TP : k.TP + k.N_THRESHOLDS]
    n_both = (n_true + n_pred)[:, np.newaxis]
    ap = _ratio(tp, n_both - tp, both_empty)
    f1 = _ratio(2 * tp, n_both, both_empty)
    tp50, rq = tp[:, 0], f1[:, 0]
    one_empty = (n_true == 0) != (n_pred == 0)
    neither = (n_true == 0) & (n_pred == 0)
    sq = np.where(neither, both_empty, _ratio(rows[:, k.IOU_50], tp50, 0.0))

    def overlap(true: int, pred: int, both: int) -> tuple[FloatArray, FloatArray]:
        size, shared = rows[:, true] + rows[:, pred], rows[:, both]
        return _ratio(2 * shared, size, both_empty), _ratio(shared, size - shared, both_empty)

    dice, jaccard = overlap(k.FOREGROUND_TRUE, k.FOREGROUND_PRED, k.FOREGROUND_BOTH)
    if borders:
        # An object that fills the image has no border: 0 borders on both sides, 1 side empty.
        boundary_dice, boundary_jaccard = (
            np.where(one_empty, 0.0, score)
            for score in overlap(k.BORDER_TRUE, k.BORDER_PRED, k.BORDER_BOTH)
        )
    else:
        boundary_dice = boundary_jaccard = np.full(len(rows), np.nan)
    # Objects of one pixel join no pixels: no pair of pixels is joined in one image and cut in the
    # other, so there is no error.
    rand = _ratio(2 * rows[:, k.RAND_BOTH], rows[:, k.RAND_TRUE] + rows[:, k.RAND_PRED], 1.0)
    rand = np.where(neither, both_empty, np.where(one_empty, 0.0, rand))
    entropy_both = rows[:, k.ENTROPY_BOTH]
    n_pixels = rows[:, k.N_PIXELS]
    sap = rows[:, k.SAP]
    columns: dict[str, NDArray[Any]] = {
        "n_true": n_true.astype(np.int64),
        "n_pred": n_pred.astype(np.int64),
        "n_matched": tp50.astype(np.int64),
        "ap50": ap[:, 0],
        "map": ap.mean(axis=1),
        "sap": np.where(neither & ~np.isnan(sap), both_empty, sap),
        "precision_50": np.where(one_empty, 0.0, _ratio(tp50, n_pred, both_empty)),
        "recall_50": np.where(one_empty, 0.0, _ratio(tp50, n_true, both_empty)),
        "f1_50": rq,
        "f1_mean": f1[:, ::2].mean(axis=1),
        "f1_mean10": f1.mean(axis=1),
        "pq": np.where(neither, both_empty, sq * rq),
        "sq": sq,
        "rq": rq,
        "aji": _ratio(rows[:, k.AJI_INTERSECTION], rows[:, k.AJI_UNION], both_empty),
        "seg": np.where(one_empty, 0.0, _ratio(rows[:, k.SEG], n_true, both_empty)),
        "dice": dice,
        "jaccard": jaccard,
        "boundary_dice": boundary_dice,
        "boundary_jaccard": boundary_jaccard,
        "rand_error": 1 - rand,
        # Sums of n log n differ by rounding alone where the segments are the same.
        "voi_split": np.maximum(_ratio(rows[:, k.ENTROPY_TRUE] - entropy_both, n_pixels, 0.0), 0),
        "voi_merge": np.maximum(_ratio(rows[:, k.ENTROPY_PRED] - entropy_both, n_pixels, 0.0), 0),
    }
    assert [*columns] == [field.name for field in fields(Scores)][: len(columns)]
    return columns
