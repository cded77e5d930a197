"""Which cells are matched, split, merged, missed, spurious or entangled, by two published rules.

Both rules draw a graph between true and predicted cells that overlap enough, and name its connected
parts by how many cells of each side they hold.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from imc_helpers.metrics.contingency import ContingencyTable, IntArray
from imc_helpers.metrics.matching import reaches

MATCHING_IOU = 0.6
"""IoU at which Mesmer's assignment takes a pair: 1 less its cut-off of .4."""
LINKING_IOU = 0.1
"""IoU at which both rules link a pair."""


class Kind(str, Enum):  # noqa: UP042  (DeepCell's kernel is Python 3.10)
    """What became of a cell."""

    MATCHED = "matched"
    """One true cell, one prediction."""
    SPLIT = "split"
    """One true cell, several predictions."""
    MERGED = "merged"
    """Several true cells, one prediction."""
    TANGLE = "tangle"
    """Several true cells and several predictions, linked to one another."""
    MISSED = "missed"
    """A true cell without a prediction."""
    SPURIOUS = "spurious"
    """A prediction without a true cell."""

    __str__ = str.__str__


@dataclass(frozen=True, eq=False)
class CellErrors:
    """What became of every true cell and of every predicted cell."""

    true_ids: IntArray
    """(n_true,) ids in the true image, ascending."""
    true_kinds: NDArray[np.str_]
    """(n_true,) a `Kind` for each."""
    true_groups: NDArray[np.int64]
    """(n_true,) number of the group that a cell is in: one match, one split, one merge, ..."""
    pred_ids: IntArray
    """(n_pred,) ids in the predicted image, ascending."""
    pred_kinds: NDArray[np.str_]
    """(n_pred,) a `Kind` for each."""
    pred_groups: NDArray[np.int64]
    """(n_pred,) number of the group, shared with the true cells of the group."""

    def ids(self, kind: Kind | str) -> tuple[IntArray, IntArray]:
        """List the true and the predicted ids of one kind, to draw them or to look them up."""
        kind = Kind(kind)
        return self.true_ids[self.true_kinds == kind], self.pred_ids[self.pred_kinds == kind]

    def counts(self) -> dict[str, int]:
        """Count the groups of each kind: three predictions on one true cell are one split."""
        return {
            kind.value: len(
                np.union1d(
                    self.true_groups[self.true_kinds == kind],
                    self.pred_groups[self.pred_kinds == kind],
                )
            )
            for kind in Kind
        }


def mesmer_errors(table: ContingencyTable) -> CellErrors:
    """Name errors as Mesmer does (Greenwald et al. 2022, Methods, "Classifying error types").

    Pairs of IoU >= .6 match. (The study assigns at the cost ``1 - IoU`` for each cell of a pair,
    against a cut-off of .4 for a cell left alone: the best assignment is these pairs, since above
    .5 no cell has two.) Among the cells left, a pair is linked when its IoU is .1 or more, or when
    more than half of one cell lies in the other, as in the study's program, deepcell-toolbox.
    Linked cells are a split, a merge or a tangle. One true cell linked to one prediction alone is
    missed and spurious: they are not the same cell.

    Parameters
    ----------
    table : ContingencyTable

    Returns
    -------
    CellErrors
    """
    matched = reaches(table, MATCHING_IOU)
    taken_true = np.isin(np.arange(table.n_true), table.i[matched])
    taken_pred = np.isin(np.arange(table.n_pred), table.j[matched])
    left = ~taken_true[table.i] & ~taken_pred[table.j]
    linked = left & _mesmer_links(table)
    lone_pair = _lone_pairs(table, linked)
    return _classify(table, matched | (linked & ~lone_pair))


def drawn_differently(table: ContingencyTable, errors: CellErrors) -> NDArray[np.bool_]:
    """Tell which pairs are one cell at one place to the eye, and two by Mesmer's rule.

    These are the true cells and predictions that are linked to each other alone, at an IoU below
    .6: `mesmer_errors` calls one of them missed and the other spurious.

    Parameters
    ----------
    table : ContingencyTable
    errors : CellErrors
        What `mesmer_errors` says of the same table.

    Returns
    -------
    (n_pairs,) bool array
    """
    missed = errors.true_kinds[table.i] == Kind.MISSED
    spurious = errors.pred_kinds[table.j] == Kind.SPURIOUS
    return missed & spurious & _mesmer_links(table)


def dice_xmbd_errors(table: ContingencyTable) -> CellErrors:
    """Name errors as Dice-XMBD does (Xiao et al. 2021, section 2.5).

    Pairs of IoU >= .1 are linked. One true cell and one prediction match, several predictions on
    one true cell are a split, several true cells on one prediction a merge. Where both happen to
    linked cells, Dice-XMBD counts them as both; here they are a tangle: a cell has one kind.

    Parameters
    ----------
    table : ContingencyTable

    Returns
    -------
    CellErrors
    """
    return _classify(table, reaches(table, LINKING_IOU))


def _mesmer_links(table: ContingencyTable) -> NDArray[np.bool_]:
    """Tell which pairs overlap enough to be linked: by their IoU, or half of one in the other."""
    inside = (2 * table.intersection > table.true_areas[table.i]) | (
        2 * table.intersection > table.pred_areas[table.j]
    )
    return reaches(table, LINKING_IOU) | inside


def _lone_pairs(table: ContingencyTable, linked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which linked pairs are linked to nothing else."""
    true_links = np.bincount(table.i[linked], minlength=table.n_true)
    pred_links = np.bincount(table.j[linked], minlength=table.n_pred)
    return linked & (true_links[table.i] == 1) & (pred_links[table.j] == 1)


def _classify(table: ContingencyTable, linked: NDArray[np.bool_]) -> CellErrors:
    """Name every connected part of the graph of linked pairs by its numbers of cells."""
    from scipy.sparse import coo_array  # noqa: PLC0415  (slow import)
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415  (slow import)

    n_cells = table.n_true + table.n_pred
    ends = table.i[linked], table.j[linked] + table.n_true
    graph = coo_array((np.ones(len(ends[0]), bool), ends), shape=(n_cells, n_cells))
    n_groups, groups = connected_components(graph, directed=False)
    groups = groups.astype(np.int64)
    true_groups, pred_groups = groups[: table.n_true], groups[table.n_true :]
    n_true = np.bincount(true_groups, minlength=n_groups)
    n_pred = np.bincount(pred_groups, minlength=n_groups)
    kinds = np.select(
        [n_pred == 0, n_true == 0, (n_true == 1) & (n_pred == 1), n_true == 1, n_pred == 1],
        [Kind.MISSED, Kind.SPURIOUS, Kind.MATCHED, Kind.SPLIT, Kind.MERGED],
        Kind.TANGLE,
    )
    return CellErrors(
        true_ids=table.true_ids,
        true_kinds=kinds[true_groups],
        true_groups=true_groups,
        pred_ids=table.pred_ids,
        pred_kinds=kinds[pred_groups],
        pred_groups=pred_groups,
    )
