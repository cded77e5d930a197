"""Cells are counted by their ids."""

import numpy as np
import pytest

from imc_helpers.cells.counts import count_cells


@pytest.mark.parametrize(
    ("labels", "cells"),
    [
        ([[0, 0]], 0),
        ([[0, 4, 9]], 2),  # ids with gaps: the largest is no count
        ([[4, 9]], 2),  # no background
        ([[4, 0, 4]], 1),  # one cell in two pieces
    ],
)
def test_ids_are_counted_and_background_is_not(labels, cells):
    assert count_cells(np.array(labels, np.uint32)) == cells
