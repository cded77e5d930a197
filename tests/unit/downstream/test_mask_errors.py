"""Rates of doublets, split cells that touch, and foreign pixels."""

import numpy as np
import pytest

from imc_helpers.downstream.mask_errors import ERROR_RATES, error_rates


def strip(*intervals):
    labels = np.zeros((1, 20), np.uint32)
    for k, (begin, end) in enumerate(intervals, 1):
        labels[0, begin:end] = k
    return labels


TRUE = strip((0, 4), (4, 8), (10, 16))


def test_the_truth_makes_no_error():
    assert set(error_rates(TRUE, TRUE).values()) == {0.0}


def test_by_hand():
    # 1 holds all of the first and half of the second; 2 and 3 are pieces of the third, which touch.
    found = error_rates(TRUE, strip((0, 6), (9, 13), (13, 16)))
    assert found["doublets"] == pytest.approx(1 / 3)
    assert found["split_neighbours"] == 1
    assert found["foreign"] == pytest.approx(2 / 6 / 3)
    assert found["background"] == pytest.approx(1 / 4 / 3)


def test_two_pieces_that_do_not_touch_are_no_neighbours():
    assert np.isnan(error_rates(TRUE, strip((10, 12), (13, 16)))["split_neighbours"])


def test_less_than_half_of_a_second_cell_is_no_doublet():
    assert error_rates(TRUE, strip((0, 5)))["doublets"] == 0


def test_no_cell_has_no_rate_and_cells_on_background_only_are_background():
    assert np.isnan([*error_rates(TRUE, strip()).values()]).all()
    beside = error_rates(TRUE, strip((16, 18), (18, 20)))
    assert [beside[name] for name in ERROR_RATES] == [0, 0, 0, 1]
