"""Where two raters disagree: one row for each group of cells that do not match."""

import numpy as np
import pandas as pd

from imc_helpers.metrics import ContingencyTable, contingency_table
from imc_helpers.metrics.error_types import Kind, drawn_differently, mesmer_errors

BORDER = "border"
"""Kind of two cells, one of each rater, that lie at the same place with an IoU below .6."""
KINDS = (*(kind.value for kind in Kind), BORDER)
"""Every kind of a group, matched pairs included."""


def find_disagreements(
    true: np.ndarray, pred: np.ndarray, *, most: int | None = None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Group the cells of two raters by Mesmer's rule, and list the groups that do not match.

    The kinds are those of `imc_helpers.metrics.error_types.mesmer_errors`, and `BORDER`: where
    Mesmer's rule calls one cell missed and the other spurious although they lie at the same place,
    they are one disagreement, about a border.

    Parameters
    ----------
    true, pred
        (H, W) labels of the two raters.
    most
        How many groups of each kind are listed, the largest; all of them when not given. Each is
        counted.

    Returns
    -------
    disagreements : pandas.DataFrame
        One row per group, the largest disagreement first: ``kind``, ``true_ids`` and ``pred_ids``
        (lists, either may be empty), ``iou`` (the largest of any two cells in the group, 0 where
        one rater has none), ``disputed_px`` (the pixels in any cell of the group, less those that
        the two cells of that largest IoU share).
    counts : dict
        Number of groups of each of `KINDS`; of matched ones too.
    """
    table = contingency_table(true, pred)
    errors = mesmer_errors(table)
    border = drawn_differently(table, errors)
    true_groups, pred_groups = errors.true_groups, errors.pred_groups.copy()
    pred_groups[table.j[border]] = true_groups[table.i[border]]
    n_groups = 1 + max(groups.max(initial=-1) for groups in (true_groups, errors.pred_groups))
    kinds = np.full(n_groups, "", "O")
    kinds[pred_groups] = errors.pred_kinds
    kinds[true_groups] = errors.true_kinds
    kinds[true_groups[table.i[border]]] = BORDER
    # A spurious cell that went to a missed one leaves an empty group behind, without a kind.
    counts = {kind: int(np.count_nonzero(kinds == kind)) for kind in KINDS}
    iou, disputed_px = _measure(table, true_groups, pred_groups, n_groups)
    listed = np.flatnonzero((kinds != Kind.MATCHED) & (kinds != ""))
    listed = listed[np.argsort(-disputed_px[listed], kind="stable")]
    if most is not None:
        listed = listed[pd.Series(kinds[listed]).groupby(kinds[listed]).cumcount() < most]
    rows = {
        "kind": [str(kind) for kind in kinds[listed]],
        "true_ids": _members(table.true_ids, true_groups, listed),
        "pred_ids": _members(table.pred_ids, pred_groups, listed),
        "iou": iou[listed],
        "disputed_px": disputed_px[listed],
    }
    return pd.DataFrame(rows), counts


def _measure(
    table: ContingencyTable, true_groups: np.ndarray, pred_groups: np.ndarray, n_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest IoU of every group, and its disputed pixels."""
    cells = np.concatenate([true_groups, pred_groups])
    areas = np.bincount(cells, np.concatenate([table.true_areas, table.pred_areas]), n_groups)
    within = np.flatnonzero(true_groups[table.i] == pred_groups[table.j])
    group = true_groups[table.i[within]]
    shared = np.bincount(group, table.intersection[within], n_groups)
    iou, agreed = np.zeros(n_groups), np.zeros(n_groups)
    order = np.argsort(table.iou[within], kind="stable")  # of a group, the largest is written last
    iou[group[order]] = table.iou[within][order]
    agreed[group[order]] = table.intersection[within][order]
    return iou, (areas - shared - agreed).astype(int)


def _members(ids: np.ndarray, groups: np.ndarray, listed: np.ndarray) -> list[list[int]]:
    """List the ids in each of some groups."""
    order = np.argsort(groups, kind="stable")
    starts, ends = (np.searchsorted(groups[order], listed, side) for side in ("left", "right"))
    members = ids[order].tolist()
    return [members[start:end] for start, end in zip(starts, ends, strict=True)]
