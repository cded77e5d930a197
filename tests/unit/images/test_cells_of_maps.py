"""Cells from maps: two touching squares are one piece, and two cells."""

import numpy as np

from imc_helpers.images.cells_of_maps import components, grown_from_interiors, grown_from_nuclei
from imc_helpers.images.imperfect_masks import interior
from imc_helpers.metrics import evaluate


def touching():
    labels = np.zeros((20, 30), int)
    labels[4:16, 3:14], labels[4:16, 14:27] = 1, 2
    return labels


def test_touching_cells_are_one_piece():
    assert components(touching() > 0).max() == 1
    assert components(np.eye(4) > 0).max() == 1, "corners connect"


def test_true_interiors_give_the_cells_back():
    true = touching()
    found = grown_from_interiors(true > 0, interior(true))
    assert evaluate(true, found).map == 1


def test_nuclei_divide_what_touches():
    true = touching()
    y, x = np.mgrid[:20, :30]
    nuclei = sum(np.exp(-((y - 9.5) ** 2 + (x - c) ** 2) / 8) for c in (8, 20))
    assert evaluate(true, grown_from_nuclei(true > 0, nuclei)).ap50 == 1


def test_nothing_gives_no_cells():
    nothing = np.zeros((9, 9), bool)
    for found in (
        components(nothing),
        grown_from_nuclei(nothing, np.zeros((9, 9))),
        grown_from_interiors(nothing, nothing),
    ):
        assert not found.any()
