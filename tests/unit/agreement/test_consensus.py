"""Consensus of masks small enough to say what most drew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imc_helpers.agreement.consensus import consensus
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate


def count(labels):
    return len(np.unique(labels[labels > 0]))


def box(*boxes):
    labels = np.zeros((12, 12), np.uint32)
    for k, (rows, columns) in enumerate(boxes, 1):
        labels[rows, columns] = k
    return labels


WIDE = (slice(2, 6), slice(1, 7))
MIDDLE = (slice(2, 6), slice(2, 6))
LOW = (slice(8, 11), slice(8, 11))


def test_consensus_keeps_what_most_drew_as_most_drew_it():
    found = consensus([box(WIDE, LOW), box(MIDDLE), box(MIDDLE)])
    assert (found == box(MIDDLE)).all(), "LOW has one voice, the margin of WIDE too"
    four = consensus([box(MIDDLE), box(MIDDLE), box(LOW), box(LOW)])
    assert not four.any(), "two of four are not most"


def test_consensus_does_not_depend_on_ids_or_order():
    masks = [box(WIDE, LOW), box(LOW, MIDDLE), box(MIDDLE, LOW) * 100]
    one, two = consensus(masks), consensus(masks[::-1])
    assert evaluate(one, two).map == 1
    assert count(one) == 2


def test_consensus_of_one_is_refused():
    with pytest.raises(InputError, match="expected two masks or more, found 1"):
        consensus([box(LOW)])


def strip(*intervals):
    labels = np.zeros((1, 20), np.uint32)
    for k, (begin, end) in enumerate(intervals, 1):
        labels[0, begin:end] = k
    return labels


def test_two_cells_of_one_annotator_never_become_one():
    # B overlaps A's first cell and C by more than half, C overlaps A's second cell: a chain.
    masks = [strip((0, 10), (10, 20)), strip((2, 15)), strip((5, 18))]
    found = consensus(masks)
    # A's first cell with B, and B with C, are one cell; A's second is not. Pixels of two votes:
    # A and B from 2, B and C to 15.
    assert (found == strip((2, 15))).all()
    # With A's second cell in the same group, C and A would have given it the pixels to 18 too.


def test_the_most_alike_cells_are_joined_first():
    # A's second cell is more like B's (IoU 9/11) than A's first is (none): B takes the second.
    masks = [strip((0, 8), (8, 18)), strip((7, 17)), strip((7, 17))]
    assert (consensus(masks) == strip((7, 17))).all()


@given(
    arrays(np.uint32, (3, 6, 6), elements=st.integers(0, 4)),
    st.permutations(range(1, 5)),
)
def test_consensus_is_one_to_one_and_blind_to_ids(masks, new):
    found = consensus(masks)
    renamed = np.r_[0, new].astype(np.uint32)[masks]
    assert evaluate(found, consensus(renamed)).map == 1
    # Nobody but a majority makes a pixel of a cell.
    assert ((masks > 0).sum(axis=0)[found > 0] >= 2).all()
    for cell in np.unique(found[found > 0]):
        inside = found == cell
        for mask in masks:
            own = np.unique(mask[mask > 0])
            halves = [i for i in own if 2 * (inside & (mask == i)).sum() > (mask == i).sum()]
            overlapping = [i for i in halves if 2 * (inside & (mask == i)).sum() > inside.sum()]
            assert len(overlapping) <= 1


def test_no_cells_give_no_cells():
    assert not consensus([strip(), strip()]).any()
