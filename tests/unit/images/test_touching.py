"""Pairs of objects that touch, in images small enough to check by eye."""

import numpy as np
import pytest

from imc_helpers.images.touching import touching_pairs


def test_sides_touch_and_corners_do_not():
    labels = np.array([[5, 5, 0, 0], [2, 2, 9, 0], [0, 0, 9, 7]])
    assert touching_pairs(labels).tolist() == [[2, 5], [2, 9], [7, 9]]
    assert touching_pairs(labels, least_px=2).tolist() == [[2, 5]]


@pytest.mark.parametrize("labels", [np.zeros((4, 4), np.uint32), np.ones((1, 1), int)])
def test_nothing_to_touch(labels):
    assert touching_pairs(labels).shape == (0, 2)
