"""Matchings against SciPy's general solvers, on graphs too large for brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from imc_helpers.metrics import (
    ContingencyTable,
    contingency_table,
    global_assignment,
    largest_matching_levels,
    largest_overlaps,
    matched_pairs,
)


def noise_table(seed: int, n_ids: int, side: int) -> ContingencyTable:
    """Overlaps of blocks with noise: a dense graph, in which nearly nothing is decided locally."""
    rng = np.random.default_rng(seed)
    true, pred = rng.integers(0, n_ids + 1, (2, side, side))
    return contingency_table(true, pred)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(4, 24))
@settings(max_examples=150, deadline=None)
def test_assignment_has_the_sum_of_scipys(seed: int, n_ids: int, side: int) -> None:
    table = noise_table(seed, n_ids, side)
    dense = np.zeros((table.n_true, table.n_pred))
    dense[table.i, table.j] = table.iou
    best = dense[linear_sum_assignment(dense, maximize=True)].sum()
    assigned = global_assignment(table)
    assert assigned.iou.sum() == pytest.approx(best, abs=1e-10)
    assert len(set(assigned.true_ids.tolist())) == len(set(assigned.pred_ids.tolist()))
    assert len(set(assigned.true_ids.tolist())) == len(assigned.iou)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(4, 24))
@settings(max_examples=150, deadline=None)
def test_threshold_curve_has_the_sizes_of_scipys(seed: int, n_ids: int, side: int) -> None:
    table = noise_table(seed, n_ids, side)
    levels = largest_matching_levels(table)
    assert (np.diff(levels) <= 0).all()
    for threshold in np.unique(table.iou):
        kept = table.iou >= threshold
        graph = coo_array(
            (np.ones(kept.sum()), (table.i[kept], table.j[kept])),
            shape=(table.n_true, table.n_pred),
        )
        size = (maximum_bipartite_matching(graph.tocsr(), perm_type="column") >= 0).sum()
        assert (levels >= threshold).sum() == size
        assert len(matched_pairs(table, threshold).iou) <= size


def test_among_largest_matchings_the_best_pairs_are_listed() -> None:
    # IoUs: (1, 1) 4/10, (1, 3) 3/7, (2, 1) 3/7. One pair at .42 or two at .4: two, and not the
    # single pair of 4/10.
    true = [[1, 1, 1, 1, 1, 1, 1, 2, 2, 2]]
    pred = [[3, 3, 3, 1, 1, 1, 1, 1, 1, 1]]
    matched = matched_pairs(contingency_table(true, pred), 0.4)
    assert matched.true_ids.tolist() == [1, 2]
    assert matched.pred_ids.tolist() == [3, 1]
    assert matched.iou.tolist() == [3 / 7, 3 / 7]


def test_a_tie_of_sums_goes_to_the_larger_squares_whatever_the_ids() -> None:
    # Overlaps in a row, of IoU 1/4, 1/2 and 1/4: the middle one alone, or the outer two.
    table = contingency_table(*_tied_images())
    iou = {(i, j): iou for i, j, _, iou in table.pairs}
    assert iou == {(0, 0): 1 / 4, (0, 1): 1 / 2, (1, 1): 1 / 4}
    for shift_true in (1, 2):
        for shift_pred in (1, 2):
            true, pred = (
                np.where(image == 0, 0, (image + shift) % 3 + 1)
                for image, shift in zip(_tied_images(), (shift_true, shift_pred), strict=True)
            )
            assert global_assignment(contingency_table(true, pred)).iou.tolist() == [1 / 2]


def _tied_images() -> tuple[np.ndarray, np.ndarray]:
    """Overlap two true and two predicted cells in a row with IoUs of 1/4, 1/2 and 1/4."""
    # true 1 (20 px): 5 px under pred 1 (alone, 5 px: 1/4), 12 px under pred 2, 3 px bare.
    # pred 2 (16 px): 12 px of true 1 (12 / 24 = 1/2), 4 px of true 2 (4 px: 4/16 = 1/4).
    true = np.array([[1] * 20 + [2] * 4])
    pred = np.array([[1] * 5 + [0] * 3 + [2] * 12 + [2] * 4])
    return true, pred


def test_a_long_chain_of_overlaps_is_solved_exactly() -> None:
    # Cells of 10 px against predictions of 10 px shifted by 5: a path of 2 n cells with equal IoUs.
    n = 3000
    true = np.repeat(np.arange(1, n + 1), 10)
    pred = np.roll(true, 5)
    pred[:5] = 0
    table = contingency_table(true, pred)
    assert len(global_assignment(table).iou) == n
    assert (largest_matching_levels(table) == 1 / 3).sum() == n - 1


def test_thresholds_outside_0_to_1_are_refused() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1, found 1\.5"):
        matched_pairs(contingency_table([1], [1]), 1.5)


def test_equal_sums_are_equal_whatever_their_fractions() -> None:
    # IoUs 1/6, 1/6 and 1/3 in a chain: both matchings sum to 1/3, and the larger squares decide.
    true = np.array([[0, 0, 2, 2, 0], [2, 1, 2, 2, 2]])
    pred = np.array([[0, 2, 0, 0, 2], [1, 2, 2, 2, 2]])
    table = contingency_table(true, pred)
    assert sorted(table.iou.tolist()) == [1 / 6, 1 / 6, 1 / 3]
    assert global_assignment(table).iou.tolist() == [1 / 3]


def test_the_largest_overlap_of_each_object_and_the_first_of_equal_ones():
    # Object 1 shares 2 px with each of two, object 2 shares 1 px with the second alone.
    table = contingency_table([[1, 1, 1, 1, 2, 3]], [[1, 1, 2, 2, 2, 0]])
    by_true = largest_overlaps(table, table.i)
    assert list(zip(table.i[by_true], table.j[by_true], strict=True)) == [(0, 0), (1, 1)]
    by_pred = largest_overlaps(table, table.j)
    assert list(zip(table.i[by_pred], table.j[by_pred], strict=True)) == [(0, 0), (0, 1)]
