"""Cells that touch, by hand and by another library."""

import numpy as np
import pytest
from skimage.graph import RAG

from imc_helpers.cells.contacts import touching_pairs

LABELS = np.array(
    [
        [1, 1, 7, 7],
        [1, 3, 3, 7],
        [0, 3, 3, 0],
        [5, 0, 0, 3],
    ],
    np.uint32,
)


def test_pairs_and_their_borders():
    pairs, lengths = touching_pairs(LABELS)
    found = dict(zip(map(tuple, pairs.tolist()), lengths.tolist(), strict=True))
    assert found == {(1, 3): 2, (1, 7): 1, (3, 7): 2}


def test_directed_pairs_name_the_upper_or_left_cell_first():
    pairs, lengths = touching_pairs(np.array([[1, 2], [2, 1]]), directed=True)
    assert pairs.tolist() == [[1, 2], [2, 1]]
    assert lengths.tolist() == [2, 2]


@pytest.mark.parametrize("labels", [np.zeros((3, 3), int), np.ones((1, 1), int)])
def test_no_pair(labels):
    pairs, lengths = touching_pairs(labels)
    assert pairs.shape == (0, 2)
    assert lengths.shape == (0,)


def test_the_pairs_are_those_of_a_region_graph():
    labels = np.random.default_rng(0).integers(0, 30, (20, 20)).repeat(3, 0).repeat(2, 1)
    edges = RAG(labels, connectivity=1).edges
    expected = sorted(tuple(sorted(edge)) for edge in edges if 0 not in edge)
    assert [tuple(pair) for pair in touching_pairs(labels)[0].tolist()] == expected
