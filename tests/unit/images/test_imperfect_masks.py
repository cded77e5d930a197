"""Labels made worse in a known way: counted by hand."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from imc_helpers.errors import InputError
from imc_helpers.images.imperfect_masks import (
    KERNELS_PX,
    drop_cells,
    interior,
    move_borders,
    sure_pixels,
)


def squares(n=5, side=6, gap=9):
    """n x n squares, numbered from 1, gap pixels apart."""
    labels = np.zeros((n * (side + gap) + gap,) * 2, int)
    for k in range(n * n):
        y, x = (gap + (side + gap) * i for i in divmod(k, n))
        labels[y : y + side, x : x + side] = k + 1
    return labels


@pytest.mark.parametrize("share", [0, 0.04, 0.5, 0.95, 1])
def test_as_many_cells_are_missing_as_asked_for(share):
    labels = squares()
    left = drop_cells(labels, share, seed=1)
    kept = np.unique(left[left > 0])
    assert len(kept) == 25 - round(share * 25)
    assert np.array_equal(left, np.where(np.isin(labels, kept), labels, 0))


def test_what_is_missing_at_a_smaller_share_is_missing_at_a_larger_one():
    few, many = (set(np.unique(drop_cells(squares(), share, seed=3))) for share in (0.8, 0.2))
    assert few < many


def test_dim_cells_go_first():
    labels = squares(2)
    light = np.array([0, 5, 1, 9, 3])[labels]
    left = drop_cells(labels, 0.5, seed=0, last=light)
    assert set(np.unique(left)) == {0, 1, 3}


@pytest.mark.parametrize("largest", KERNELS_PX)
def test_borders_move_by_the_squares_drawn(largest):
    """A kernel of k takes or adds k - 1 px to an edge of 6; 7 and 9 can leave nothing."""
    labels = squares(8, gap=10)
    moved, deleted = move_borders(labels, largest, seed=2)
    edges = {6 + sign * max(0, k - 1) for k in KERNELS_PX if k <= largest for sign in (1, -1)}
    areas = np.bincount(moved.ravel(), minlength=65)[1:]
    assert set(areas[areas > 0]) == {edge**2 for edge in edges if edge > 0}
    assert deleted == (areas == 0).sum()
    assert (deleted > 0) == (largest >= 7)


def test_a_cell_at_the_edge_of_the_image_is_not_eroded_there():
    labels = np.zeros((20, 20), int)
    labels[:8, 5:13] = 1
    sizes = {int((move_borders(labels, 3, seed=seed)[0] > 0).sum()) for seed in range(20)}
    assert sizes == {8 * 8, 7 * 6, 9 * 10}


def test_a_grown_cell_takes_nothing_from_another():
    labels = np.zeros((12, 20), int)
    labels[3:9, 3:10], labels[3:9, 10:17] = 1, 2
    for seed in range(20):
        moved, _ = move_borders(labels, 5, seed=seed)
        swapped = (labels > 0) & (moved > 0) & (moved != labels)
        # Only what the neighbour itself gave up.
        for number in (1, 2):
            own = moved == 3 - number
            assert not (swapped & own & ndi.binary_erosion(labels == number, np.ones((5, 5)))).any()


def test_sure_pixels_lie_within_reach_of_a_label():
    labels = np.zeros((15, 15), int)
    labels[7, 7] = 4
    y, x = np.mgrid[:15, :15] - 7
    assert np.array_equal(sure_pixels(labels, 3), np.hypot(y, x) <= 3)
    assert not sure_pixels(np.zeros((4, 4), int)).any()


def test_interiors_of_touching_cells_are_apart():
    labels = np.zeros((6, 9), int)
    labels[1:5, 1:4], labels[1:5, 4:8] = 1, 2
    expected = np.zeros((6, 9), bool)
    expected[2:4, 2], expected[2:4, 5:7] = True, True
    assert np.array_equal(interior(labels), expected)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: drop_cells(squares(2), 1.2, seed=0), "expected 0 to 1"),
        (lambda: move_borders(squares(2), 4, seed=0), "expected one of"),
    ],
)
def test_impossible_wishes_are_refused(call, says):
    with pytest.raises(InputError, match=says):
        call()


def test_an_empty_mask_stays_empty():
    empty = np.zeros((8, 8), int)
    assert not drop_cells(empty, 0.5, seed=0).any()
    moved, deleted = move_borders(empty, 9, seed=0)
    assert not moved.any()
    assert deleted == 0
    assert not interior(empty).any()
