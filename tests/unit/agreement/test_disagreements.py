"""Groups of cells that do not match, on cases small enough to see."""

import numpy as np
import pytest

from imc_helpers.agreement.disagreements import BORDER, KINDS, find_disagreements
from imc_helpers.metrics import contingency_table
from imc_helpers.metrics.error_types import mesmer_errors

NOTHING = dict.fromkeys(KINDS, 0)


def listed(true: list[list[int]], pred: list[list[int]]) -> tuple[list[tuple], dict[str, int]]:
    rows, counts = find_disagreements(np.array(true), np.array(pred))
    return list(rows.itertuples(index=False, name=None)), counts


def test_missed_and_spurious_are_two() -> None:
    rows, counts = listed([[1, 1, 1, 0, 2, 2, 0]], [[4, 4, 4, 0, 0, 0, 9]])
    assert rows == [("missed", [2], [], 0.0, 2), ("spurious", [], [9], 0.0, 1)]
    assert counts == NOTHING | {"matched": 1, "missed": 1, "spurious": 1}


def test_a_split_disputes_all_but_its_best_part() -> None:
    rows, counts = listed([[7] * 6], [[1, 1, 1, 2, 2, 3]])
    # IoU 3/6 is the best of three; its three pixels are agreed on, the other three are not.
    assert rows == [("split", [7], [1, 2, 3], 0.5, 3)]
    assert counts == NOTHING | {"split": 1}


def test_a_merge_is_a_split_from_the_other_side() -> None:
    rows, _ = listed([[1, 1, 1, 2, 2, 3]], [[7] * 6])
    assert rows == [("merged", [1, 2, 3], [7], 0.5, 3)]


def test_one_cell_each_at_the_same_place_is_one_disagreement_about_a_border() -> None:
    rows, counts = listed([[1] * 6 + [0] * 2], [[0] * 2 + [3] * 6])
    assert rows == [(BORDER, [1], [3], 0.5, 4)]
    assert counts == NOTHING | {BORDER: 1}


def test_the_largest_comes_first() -> None:
    rows, _ = listed([[1, 0, 2, 2, 0, 3, 3, 3]], [[0] * 8])
    assert [row[1] for row in rows] == [[3], [2], [1]]


@pytest.mark.parametrize("empty", ["true", "pred", "both"])
def test_nothing_on_a_side(empty: str) -> None:
    cells, none = [[1, 1, 0]], [[0, 0, 0]]
    rows, counts = listed(
        *{"true": (none, cells), "pred": (cells, none), "both": (none, none)}[empty]
    )
    kind = {"true": "spurious", "pred": "missed"}.get(empty)
    assert [row[0] for row in rows] == ([kind] if kind else [])
    assert sum(counts.values()) == len(rows)


def test_every_cell_is_in_one_group_and_counts_follow_mesmers_rule() -> None:
    rng = np.random.default_rng(3)
    true, pred = (rng.integers(0, 40, (12, 12)).repeat(3, 0).repeat(3, 1) for _ in range(2))
    pred[:20] = np.roll(true, 1, axis=1)[:20]
    rows, counts = find_disagreements(true, pred)
    errors = mesmer_errors(contingency_table(true, pred))
    expected = errors.counts()
    border = counts.pop(BORDER)
    expected["missed"] -= border
    expected["spurious"] -= border
    assert counts == expected
    for column, ids, kinds in (
        ("true_ids", errors.true_ids, errors.true_kinds),
        ("pred_ids", errors.pred_ids, errors.pred_kinds),
    ):
        found = sorted(i for members in rows[column] for i in members)
        assert found == ids[kinds != "matched"].tolist()


def test_the_largest_of_each_kind_are_listed_and_all_are_counted() -> None:
    true = np.array([[1, 0, 2, 2, 0, 3, 3, 3, 0, 0, 0]])
    pred = np.array([[0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9]])
    rows, counts = find_disagreements(true, pred, most=1)
    assert rows["kind"].tolist() == ["missed", "spurious"]
    assert rows["true_ids"].tolist() == [[3], []]
    assert counts == NOTHING | {"missed": 3, "spurious": 1}
