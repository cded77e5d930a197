"""Compiled sums behind the scores: one row of numbers for a pair of images."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imc_helpers.metrics._jit import kernel

Array: TypeAlias = NDArray[Any]

N_THRESHOLDS = 10  # .50, .55, ..., .95

# Columns of a row. Rows of several image pairs add up to the row of all of them, sap aside.
N_TRUE = 0
N_PRED = 1
N_PIXELS = 2
TP = 3  # ten columns: true positives at each threshold
IOU_50 = TP + N_THRESHOLDS  # summed IoU of the pairs that match at .5
SEG = IOU_50 + 1  # summed IoU of true objects with a prediction that covers more than half of them
AJI_INTERSECTION = SEG + 1
AJI_UNION = AJI_INTERSECTION + 1
FOREGROUND_TRUE = AJI_UNION + 1  # pixels
FOREGROUND_PRED = FOREGROUND_TRUE + 1
FOREGROUND_BOTH = FOREGROUND_PRED + 1
RAND_BOTH = (
    FOREGROUND_BOTH + 1
)  # ordered pairs of pixels joined in both images, true background aside
RAND_TRUE = RAND_BOTH + 1
RAND_PRED = RAND_TRUE + 1
ENTROPY_BOTH = RAND_PRED + 1  # sums of n log2 n over segments, background a segment
ENTROPY_TRUE = ENTROPY_BOTH + 1
ENTROPY_PRED = ENTROPY_TRUE + 1
BORDER_TRUE = ENTROPY_PRED + 1
BORDER_PRED = BORDER_TRUE + 1
BORDER_BOTH = BORDER_PRED + 1
BOTH_EMPTY = BORDER_BOTH + 1
SAP = BOTH_EMPTY + 1  # the score, which does not add up; NaN until it is set
N_COLUMNS = SAP + 1


@kernel
def _n_log_n(n: float) -> float:
    return n * np.log2(n) if n > 1 else 0.0


@kernel
def tally(
    i: Array,
    j: Array,
    intersection: Array,
    area_true: Array,
    area_pred: Array,
    n_pixels: int,
    strict: bool,
) -> Array:
    """Sum up a contingency table.

    Parameters
    ----------
    i, j : int32 arrays
        Pairs, as positions in the areas.
    intersection, area_true, area_pred : int64 arrays
    n_pixels : int
    strict : bool
        A pair matches when IoU > t; when False, when IoU >= t.

    Returns
    -------
    (N_COLUMNS,) float64 array
        Border columns are zero, and sap is NaN.
    """
    row = np.zeros(N_COLUMNS, np.float64)
    row[N_TRUE] = area_true.size
    row[N_PRED] = area_pred.size
    row[N_PIXELS] = n_pixels
    row[SAP] = np.nan
    row[BOTH_EMPTY] = area_true.size == 0 and area_pred.size == 0
    best_iou = np.zeros(area_true.size, np.float64)
    best_shared = np.zeros(area_true.size, np.int64)
    best_union = np.zeros(area_true.size, np.int64)
    halved_true = np.zeros(area_true.size, np.bool_)
    halved_pred = np.zeros(area_pred.size, np.bool_)
    # Background of the other image within each object: what no pair claims.
    bare_true = area_true.copy()
    bare_pred = area_pred.copy()

    for pair in range(i.size):
        t = i[pair]
        p = j[pair]
        shared = intersection[pair]
        union = area_true[t] + area_pred[p] - shared
        iou = shared / union
        bare_true[t] -= shared
        bare_pred[p] -= shared
        row[RAND_BOTH] += float(shared) * (shared - 1)
        row[ENTROPY_BOTH] += _n_log_n(shared)
        if 2 * shared > area_true[t]:
            row[SEG] += iou
        # Equal fractions are equal floats: division rounds the one exact quotient.
        if iou > best_iou[t] or (iou == best_iou[t] and shared > best_shared[t]):
            best_iou[t] = iou
            best_shared[t] = shared
            best_union[t] = union

        if 2 * shared < union:
            continue
        hundredths = 100 * shared // union
        if strict and hundredths * union == 100 * shared:
            hundredths -= 1  # the largest whole number of hundredths that the IoU exceeds
        if hundredths < 50:
            continue
        if 2 * shared == union:
            # Pairs above 1/2 exclude one another. At 1/2 exactly, an object may be made of two
            # halves; one of them matches.
            if halved_true[t] or halved_pred[p]:
                continue
            halved_true[t] = True
            halved_pred[p] = True
        row[IOU_50] += iou
        last = min((hundredths - 50) // 5, N_THRESHOLDS - 1)
        row[TP + last] += 1
    for k in range(N_THRESHOLDS - 1, 0, -1):
        row[TP + k - 1] += row[TP + k]

    # AJI: a prediction counts as used when it is as good a partner of some true object as any.
    used = np.zeros(area_pred.size, np.bool_)
    for pair in range(i.size):
        t = i[pair]
        union = area_true[t] + area_pred[j[pair]] - intersection[pair]
        if intersection[pair] == best_shared[t] and union == best_union[t]:
            used[j[pair]] = True
    for t in range(area_true.size):
        row[AJI_INTERSECTION] += best_shared[t]
        row[AJI_UNION] += best_union[t] if best_union[t] > 0 else area_true[t]
    for p in range(area_pred.size):
        if not used[p]:
            row[AJI_UNION] += area_pred[p]

    bare = np.int64(0)  # true pixels on predicted background
    for t in range(area_true.size):
        area = area_true[t]
        row[FOREGROUND_TRUE] += area
        bare += bare_true[t]
        row[RAND_BOTH] += float(bare_true[t]) * (bare_true[t] - 1)
        row[RAND_TRUE] += float(area) * (area - 1)
        row[ENTROPY_BOTH] += _n_log_n(bare_true[t])
        row[ENTROPY_TRUE] += _n_log_n(area)
    row[RAND_PRED] += float(bare) * (bare - 1)
    for p in range(area_pred.size):
        area = area_pred[p]
        shared = area - bare_pred[p]
        row[FOREGROUND_PRED] += area
        row[FOREGROUND_BOTH] += shared
        row[RAND_PRED] += float(shared) * (shared - 1)
        row[ENTROPY_BOTH] += _n_log_n(bare_pred[p])
        row[ENTROPY_PRED] += _n_log_n(area)
    outside_true = n_pixels - row[FOREGROUND_TRUE]
    outside_pred = n_pixels - row[FOREGROUND_PRED]
    row[ENTROPY_TRUE] += _n_log_n(outside_true)
    row[ENTROPY_PRED] += _n_log_n(outside_pred)
    row[ENTROPY_BOTH] += _n_log_n(outside_true - row[FOREGROUND_PRED] + row[FOREGROUND_BOTH])
    return row


@kernel
def area_under(levels: Array, n_true: float, n_pred: float, steps: bool) -> float:
    """Integrate the AP/IoU curve whose true positives grow by one at each of some falling levels.

    With `steps`, AP is constant between levels, and 0 above the highest. Without, straight lines
    join the levels, and the highest to (1, 0).
    """
    if levels.size == 0:
        return 0.0
    ap = 1 / (n_true + n_pred - 1)
    area = 0.0 if steps else (1 - levels[0]) * ap / 2
    for k in range(levels.size - 1):
        following = (k + 2) / (n_true + n_pred - (k + 2))
        area += (levels[k] - levels[k + 1]) * (ap if steps else (ap + following) / 2)
        ap = following
    return area + levels[-1] * ap  # the last piece, down to IoU 0, is flat
