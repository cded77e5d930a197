"""Scores of one pair of label images, or of many, all from sums over contingency tables.

``AP(t) = TP / (TP + FN + FP)`` at the IoU threshold t (Schuiki et al. 2025, equation 1).
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imc_helpers.metrics.contingency import ContingencyTable, LabelPair, contingency_table
from imc_helpers.metrics.matching import (
    exact_threshold,
    global_assignment,
    largest_matching_levels,
)

if TYPE_CHECKING:
    import pandas as pd

SapForm: TypeAlias = Literal["paper", "step"]
Windows: TypeAlias = Sequence[tuple[slice, ...]]
FloatArray: TypeAlias = NDArray[np.float64]

THRESHOLDS: tuple[float, ...] = tuple(k / 100 for k in range(50, 100, 5))
"""The ten IoU thresholds of `map`: .50, .55, ..., .95."""


@dataclass(frozen=True)
class Scores:
    """Scores of predicted objects against true ones; 1 is best, except where a field says otherwise.

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
    """SEG of the Cell Tracking Challenge (Maska et al. 2014): mean over true objects of the IoU with
    the prediction that covers more than half of them, 0 where none does."""
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

    Matching is one-to-one and largest at each threshold, and thresholds are exact: IoU 11/20 reaches
    .55. All scores but `recall_50`, `precision_50`, `aji`, `seg`, `rand_error` and the two parts of
    the variation of information are the same when true and pred change places.

    Parameters
    ----------
    true, pred : array_like of whole numbers, one shape
        Label images as `contingency_table` takes them.
    table : ContingencyTable
        In place of the images, their table.
    strict : bool
        A pair matches when IoU > t; when False, when IoU >= t.
    sap : {"paper", "step", None}
        "paper": one global assignment (see `global_assignment`), AP at each matched IoU, a flat line
        from 0 to the first, straight lines between them, and a straight tail to (1, 0). "step": the
        integral of AP(t) with a largest matching at every t; unlike the first, it stays the same
        when the data are doubled. None leaves it out.
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
    _check_sap(sap)
    if table is None:
        assert true is not None
        assert pred is not None
        table = contingency_table(true, pred, borders=borders)
    elif borders and table.borders is None:
        raise ValueError("this table has no borders: make it with borders=True")
    row = _tally(table, strict)
    area = (
        np.nan
        if sap is None
        else _area(_levels(table, sap), table.n_true, table.n_pred, sap, both_empty)
    )
    columns = _columns(row[np.newaxis], np.array([area]), both_empty, table.borders is not None)
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
    _check_sap(sap)
    if table.n_true == table.n_pred == 0:
        return ApCurve(np.array([0.0, 1.0]), np.array([both_empty, both_empty]))
    levels = _levels(table, sap)
    ap = _ap(np.arange(1, len(levels) + 1), table.n_true, table.n_pred, both_empty)
    # Rising: the lowest level has the most matches.
    levels, ap = levels[::-1], ap[::-1]
    if sap == "paper":
        start = ap[:1] if len(ap) else np.zeros(1)
        return ApCurve(np.r_[0.0, levels, 1.0], np.r_[start, ap, 0.0])
    left = np.r_[0.0, levels]
    right = np.r_[levels, 1.0]
    return ApCurve(np.stack([left, right], 1).ravel(), np.repeat(np.r_[ap, 0.0], 2))


def evaluate_many(
    pairs: Iterable[tuple[ArrayLike, ArrayLike]],
    *,
    windows: Callable[[tuple[int, ...]], Windows] | None = None,
    pool: Literal["sum"] | None = None,
    strict: bool = False,
    sap: SapForm | None = "paper",
    both_empty: float = 1.0,
    borders: bool = False,
    workers: int | None = None,
) -> "pd.DataFrame":
    """Score many pairs of label images, or every window of them, on all cores.

    Parameters
    ----------
    pairs : iterable of (true, pred)
        Label images as `contingency_table` takes them. Read as needed: a generator that loads images
        never holds more than a few.
    windows : function
        Called with an image's shape, gives the windows to score, each a tuple of slices. They are
        cut inside, without copies; an object that a window cuts into pieces stays one object.
    pool : {None, "sum"}
        None scores each pair or window alone. "sum" adds up TP, FP, FN and all other sums over them
        and scores the total, as if all were parts of one image; sap is the area under the curve of
        the pooled counts.
    strict, sap, both_empty, borders
        As in `evaluate`.
    workers : int
        Threads; by default, one for each core that the process may use.

    Returns
    -------
    pandas.DataFrame
        One row a pair or window, in order: `pair` and `window` (both counted from 0; `window` only
        when there are windows), the fields of `Scores`, and `both_empty` (neither side has an
        object). Pooled: one row, with `n_scored` pairs or windows, `both_empty` of them.
    """
    import pandas as pd  # noqa: PLC0415  (slow import)

    _check_sap(sap)
    if pool not in (None, "sum"):
        raise ValueError(f'pool must be None or "sum", found {pool!r}')
    keys: list[tuple[int, int]] = []
    rows: list[FloatArray] = []
    levels: list[FloatArray] = []
    for index, scored in enumerate(_scored(pairs, windows, strict, sap, borders, workers)):
        for window, (row, row_levels) in enumerate(scored):
            keys.append((index, window))
            rows.append(row)
            levels.append(row_levels)
    from imc_helpers.metrics import _score_kernels as kernels  # noqa: PLC0415  (slow import)

    sums = np.array(rows).reshape(len(rows), kernels.N_COLUMNS)
    if pool == "sum":
        total = sums.sum(axis=0, keepdims=True)
        sums, n_scored = total, len(rows)
        levels = [np.sort(np.concatenate([np.empty(0), *levels]))[::-1]]
    areas = np.array(
        [
            np.nan if sap is None else _area(own, n_true, n_pred, sap, both_empty)
            for own, n_true, n_pred in zip(
                levels, sums[:, kernels.N_TRUE], sums[:, kernels.N_PRED], strict=True
            )
        ]
    )
    columns = _columns(sums, areas, both_empty, borders)
    frame = pd.DataFrame({**columns, "strict": strict, "sap_form": sap})
    if pool == "sum":
        frame["both_empty"] = sums[:, kernels.BOTH_EMPTY].astype(np.int64)
        frame.insert(0, "n_scored", n_scored)
        return frame
    frame["both_empty"] = sums[:, kernels.BOTH_EMPTY] > 0
    if windows is not None:
        frame.insert(0, "window", [window for _, window in keys])
    frame.insert(0, "pair", [index for index, _ in keys])
    return frame


def _check_sap(sap: str | None) -> None:
    if sap not in ("paper", "step", None):
        raise ValueError(f'sap must be "paper", "step" or None, found {sap!r}')


def _tally(table: ContingencyTable, strict: bool) -> FloatArray:
    """Sum up a table into the row of numbers from which all scores follow."""
    from imc_helpers.metrics import _score_kernels as kernels  # noqa: PLC0415  (slow import)

    row = kernels.tally(
        table.i,
        table.j,
        table.intersection,
        table.true_areas,
        table.pred_areas,
        table.n_pixels,
        strict,
    )
    if table.borders is not None:
        row[kernels.BORDER_TRUE : kernels.BORDER_BOTH + 1] = table.borders
    return row


def _levels(table: ContingencyTable, sap: SapForm) -> FloatArray:
    """Give the falling IoUs at which the number of true positives of a sap curve grows by one."""
    if sap == "step":
        return largest_matching_levels(table)
    return np.sort(global_assignment(table).iou)[::-1]


def _ap(tp: ArrayLike, n_true: float, n_pred: float, both_empty: float) -> FloatArray:
    """``TP / (TP + FN + FP)``."""
    tp = np.asarray(tp, dtype=np.float64)
    return _ratio(tp, n_true + n_pred - tp, both_empty)


def _area(
    levels: FloatArray, n_true: float, n_pred: float, sap: SapForm, both_empty: float
) -> float:
    """Integrate the AP/IoU curve of falling levels: `sap_curve` draws what this measures."""
    if n_true == n_pred == 0:
        return both_empty
    if len(levels) == 0:
        return 0.0
    ap = _ap(np.arange(1, len(levels) + 1), n_true, n_pred, both_empty)
    widths = levels - np.append(levels[1:], 0.0)
    if sap == "step":
        return float((widths * ap).sum())
    heights = (ap + np.append(ap[1:], ap[-1])) / 2  # the last piece, down to IoU 0, is flat
    return float((widths * heights).sum() + (1 - levels[0]) * ap[0] / 2)


def _ratio(numerator: FloatArray, denominator: ArrayLike, empty: float) -> FloatArray:
    """Divide; nothing over nothing is `empty`."""
    denominator = np.asarray(denominator, dtype=np.float64)
    out = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), float(empty))
    return np.divide(numerator, denominator, out=out, where=denominator > 0)


def _columns(
    rows: FloatArray, sap: FloatArray, both_empty: float, borders: bool
) -> dict[str, NDArray[Any]]:
    """Turn rows of sums into columns of scores, named and ordered as the fields of `Scores`."""
    from imc_helpers.metrics import _score_kernels as k  # noqa: PLC0415  (slow import)

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
        boundary_dice, boundary_jaccard = overlap(k.BORDER_TRUE, k.BORDER_PRED, k.BORDER_BOTH)
    else:
        boundary_dice = boundary_jaccard = np.full(len(rows), np.nan)
    # Objects of one pixel join no pixels: no pair of pixels is joined in one image and cut in the
    # other, so there is no error.
    rand = _ratio(2 * rows[:, k.RAND_BOTH], rows[:, k.RAND_TRUE] + rows[:, k.RAND_PRED], 1.0)
    rand = np.where(neither, both_empty, np.where(one_empty, 0.0, rand))
    entropy_both = rows[:, k.ENTROPY_BOTH]
    n_pixels = rows[:, k.N_PIXELS]
    columns: dict[str, NDArray[Any]] = {
        "n_true": n_true.astype(np.int64),
        "n_pred": n_pred.astype(np.int64),
        "n_matched": tp50.astype(np.int64),
        "ap50": ap[:, 0],
        "map": ap.mean(axis=1),
        "sap": sap,
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


def _scored(
    pairs: Iterable[tuple[ArrayLike, ArrayLike]],
    windows: Callable[[tuple[int, ...]], Windows] | None,
    strict: bool,
    sap: SapForm | None,
    borders: bool,
    workers: int | None,
) -> Iterator[list[tuple[FloatArray, FloatArray]]]:
    """Give, pair by pair and in order, the sums and sap levels of each of its windows."""
    from tqdm import tqdm  # noqa: PLC0415  (slow import)

    if workers is None:
        workers = (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, found {workers}")

    def score(true: ArrayLike, pred: ArrayLike) -> list[tuple[FloatArray, FloatArray]]:
        return _score_pair(true, pred, windows, strict, sap, borders)

    n_pairs = len(pairs) if isinstance(pairs, Sequence) else None
    waiting: deque[Future[list[tuple[FloatArray, FloatArray]]]] = deque()
    with (
        ThreadPoolExecutor(workers) as threads,
        tqdm(total=n_pairs, desc="pairs scored", unit="pair", delay=2, disable=None) as bar,
    ):
        for true, pred in pairs:
            waiting.append(threads.submit(score, true, pred))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
                bar.update()
        while waiting:
            yield waiting.popleft().result()
            bar.update()


def _score_pair(
    true: ArrayLike,
    pred: ArrayLike,
    windows: Callable[[tuple[int, ...]], Windows] | None,
    strict: bool,
    sap: SapForm | None,
    borders: bool,
) -> list[tuple[FloatArray, FloatArray]]:
    """Score the windows of one pair of images, or the images themselves."""
    from imc_helpers.metrics import _score_kernels as kernels  # noqa: PLC0415  (slow import)

    forms = {None: kernels.NO_SAP, "paper": kernels.PAPER_SAP, "step": kernels.STEP_SAP}
    images = LabelPair.of(true, pred)
    scratch = [np.zeros(largest + 1, np.int32) for largest in images.largest]
    crops = [images] if windows is None else map(images.crop, windows(np.shape(true)))
    return [
        kernels.score_crop(crop.true, crop.pred, *scratch, strict, forms[sap], borders)
        for crop in crops
    ]
