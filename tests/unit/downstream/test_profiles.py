"""What masks say of the same cells and the same points."""

import numpy as np
import pytest

from imc_helpers.downstream.profiles import (
    cells_at_points,
    coverage,
    matched_cells,
    measure_masks,
)
from imc_helpers.downstream.variance import icc
from imc_helpers.errors import InputError

FIRST = np.array([[1, 1, 0, 2, 2, 2, 3, 3]])
SECOND = np.array([[7, 7, 7, 9, 9, 9, 0, 5]])
THIRD = np.array([[4, 4, 0, 0, 0, 6, 0, 8]])


def measured_of(image, masks):
    names = [f"channel {k}" for k in range(len(image))]
    return measure_masks(image, masks, names, source="tissue")


def test_cells_that_all_masks_have():
    assert matched_cells([FIRST, SECOND]).tolist() == [[1, 7], [2, 9], [3, 5]]
    # The third mask has one pixel of cell 2: its IoU is 1/3.
    assert matched_cells([FIRST, SECOND, THIRD]).tolist() == [[1, 7, 4], [3, 5, 8]]


def test_the_order_of_masks_does_not_decide_which_cells_match():
    rng = np.random.default_rng(0)
    whole = np.kron(np.arange(1, 26).reshape(5, 5), np.ones((4, 4), int))
    masks = [np.roll(whole, rng.integers(0, 2, 2), axis=(0, 1)) for _ in range(4)]
    found = {tuple(row) for row in matched_cells(masks).tolist()}
    turned = {tuple(reversed(row)) for row in matched_cells(masks[::-1]).tolist()}
    assert found == turned


def test_values_are_of_the_cell_that_was_asked_for():
    image = np.array([[[1.0, 3, 9, 4, 4, 4, 0, 2]]])
    measured = measured_of(image, [FIRST, SECOND])
    values = measured.at(np.array([[1, 7], [2, 0]]))
    assert np.sinh(values[0, :, 0]) == pytest.approx([2, 13 / 3])
    assert np.sinh(values[1, 0, 0]) == pytest.approx(4)
    assert np.isnan(values[1, 1, 0])


def test_the_same_mask_twice_agrees_everywhere():
    rng = np.random.default_rng(1)
    mask = np.kron(np.arange(16).reshape(4, 4), np.ones((5, 5), int))
    measured = measured_of(rng.poisson(5.0, (2, 20, 20)), [mask, mask])
    for cells in (matched_cells([mask, mask]), cells_at_points([mask, mask], points=200)):
        values = measured.at(cells)
        assert [icc(values[..., k]) for k in range(2)] == [1, 1]


def test_points_are_covered_by_all_some_or_none():
    left, right = np.zeros((10, 10), int), np.zeros((10, 10), int)
    left[:, :6], right[:, 4:8] = 1, 1
    found = coverage(cells_at_points([left, right], points=40_000))
    assert found["in all"] == pytest.approx(0.2, abs=0.01)
    assert found["in some"] == pytest.approx(0.6, abs=0.015)
    assert found["in none"] == pytest.approx(0.2, abs=0.01)


def test_empty_masks_and_one_pixel_cells_are_borne():
    empty, dot = np.zeros((3, 3), int), np.zeros((3, 3), int)
    dot[1, 1] = 4
    image = np.ones((1, 3, 3))
    assert matched_cells([empty, dot]).shape == (0, 2)
    assert measured_of(image, [empty, dot]).at(np.array([[0, 4]]))[0, 1, 0] == np.arcsinh(1)
    assert np.isnan(icc(measured_of(image, [empty, dot]).at(matched_cells([empty, dot]))[..., 0]))


def test_bad_input_is_named():
    image = np.ones((1, 1, 8))
    with pytest.raises(InputError, match=r"tissue: mask 2 has shape \(1, 4\)"):
        measured_of(image, [FIRST, SECOND[:, :4]])
    with pytest.raises(InputError, match="counts are 0 or more"):
        measured_of(-image, [FIRST])
    with pytest.raises(InputError, match="counts are 0 or more"):
        measured_of(np.full((1, 1, 8), np.nan), [FIRST])
    with pytest.raises(InputError, match="two or more"):
        matched_cells([FIRST])
