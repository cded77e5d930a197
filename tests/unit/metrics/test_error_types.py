"""Errors with names, on cases small enough to see."""

import numpy as np
import pytest

from imc_helpers.metrics import contingency_table
from imc_helpers.metrics.error_types import CellErrors, Kind, dice_xmbd_errors, mesmer_errors

NOTHING = {kind.value: 0 for kind in Kind}


def both(true: list[list[int]], pred: list[list[int]]) -> tuple[CellErrors, CellErrors]:
    table = contingency_table(true, pred)
    return mesmer_errors(table), dice_xmbd_errors(table)


def listed(errors: CellErrors, kind: str) -> tuple[list[int], list[int]]:
    true_ids, pred_ids = errors.ids(kind)
    return true_ids.tolist(), pred_ids.tolist()


def test_match_miss_and_spurious() -> None:
    for errors in both([[1, 1, 1, 0, 2, 2, 0]], [[4, 4, 4, 0, 0, 0, 9]]):
        assert listed(errors, "matched") == ([1], [4])
        assert listed(errors, "missed") == ([2], [])
        assert listed(errors, "spurious") == ([], [9])
        assert errors.counts() == NOTHING | {"matched": 1, "missed": 1, "spurious": 1}
        assert errors.true_groups[0] == errors.pred_groups[0]


def test_split() -> None:
    for errors in both([[7] * 6], [[1, 1, 2, 2, 3, 3]]):
        assert listed(errors, "split") == ([7], [1, 2, 3])
        assert errors.counts() == NOTHING | {"split": 1}


def test_merge() -> None:
    for errors in both([[1, 1, 2, 2, 3, 3]], [[7] * 6]):
        assert listed(errors, "merged") == ([1, 2, 3], [7])
        assert errors.counts() == NOTHING | {"merged": 1}


def test_tangle() -> None:
    for errors in both([[1, 1, 1, 1, 2, 2, 2, 2]], [[5, 5, 6, 6, 6, 6, 8, 8]]):
        assert listed(errors, "tangle") == ([1, 2], [5, 6, 8])
        assert errors.counts() == NOTHING | {"tangle": 1}


def test_a_poor_pair_is_no_match_for_mesmer() -> None:
    # IoU 4/8, below .6 and linked to nothing else.
    mesmer, dice_xmbd = both([[1] * 6 + [0] * 2], [[0] * 2 + [3] * 6])
    assert mesmer.counts() == NOTHING | {"missed": 1, "spurious": 1}
    assert dice_xmbd.counts() == NOTHING | {"matched": 1}


@pytest.mark.parametrize(("shared", "kind"), [(6, Kind.MATCHED), (5, Kind.MISSED)])
def test_mesmers_cut_off_is_at_six_tenths_exactly(shared: int, kind: Kind) -> None:
    mesmer, _ = both([[1] * 10], [[2] * shared + [0] * (10 - shared)])
    assert mesmer.true_kinds.tolist() == [kind]


@pytest.mark.parametrize(("shared", "kind"), [(2, Kind.MATCHED), (1, Kind.MISSED)])
def test_the_link_is_at_one_tenth_exactly(shared: int, kind: Kind) -> None:
    # 2 of 20 px shared; then 1 of 20.
    true = np.zeros(20, int)
    pred = np.zeros(20, int)
    true[: 10 + shared] = 1
    pred[10:] = 2
    assert dice_xmbd_errors(contingency_table(true, pred)).true_kinds.tolist() == [kind]


def test_a_small_cell_inside_a_large_one_is_linked_for_mesmer() -> None:
    # True 1 (40 px) has a prediction of 20 px (IoU 1/2) and one of 3 px (IoU .075) inside.
    mesmer, dice_xmbd = both([[1] * 40], [[1] * 20 + [2] * 3 + [0] * 17])
    assert mesmer.counts() == NOTHING | {"split": 1}
    assert dice_xmbd.counts() == NOTHING | {"matched": 1, "spurious": 1}


def test_a_cell_swallowed_by_a_matched_prediction_is_missed_for_mesmer() -> None:
    mesmer, dice_xmbd = both([[1] * 8 + [2] * 2], [[5] * 10])
    assert listed(mesmer, "matched") == ([1], [5])
    assert listed(mesmer, "missed") == ([2], [])
    assert listed(dice_xmbd, "merged") == ([1, 2], [5])


def test_empty_sides() -> None:
    for errors in both([[0, 0]], [[1, 2]]):
        assert errors.counts() == NOTHING | {"spurious": 2}
    for errors in both([[1, 2]], [[0, 0]]):
        assert errors.counts() == NOTHING | {"missed": 2}
    for errors in both([[0, 0]], [[0, 0]]):
        assert errors.counts() == NOTHING


def test_every_cell_has_one_kind_and_sides_swap() -> None:
    rng = np.random.default_rng(3)
    true, pred = np.kron(rng.integers(0, 40, (2, 12, 12)), np.ones((3, 3), int))
    pred = np.roll(pred, 1, axis=1)
    swap = {"split": "merged", "merged": "split", "missed": "spurious", "spurious": "missed"}
    for rule in (mesmer_errors, dice_xmbd_errors):
        forth = rule(contingency_table(true, pred))
        back = rule(contingency_table(pred, true))
        assert forth.true_kinds.tolist() == [swap.get(kind, kind) for kind in back.pred_kinds]
        assert forth.pred_kinds.tolist() == [swap.get(kind, kind) for kind in back.true_kinds]
        assert len(forth.true_kinds) == len(np.unique(true)) - 1


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'lost' is not a valid Kind"):
        both([[1]], [[1]])[0].ids("lost")
