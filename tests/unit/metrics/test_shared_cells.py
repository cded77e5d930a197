"""Distances of masks, against areas counted by hand, linear algebra and the laws of a metric."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imc_helpers.metrics import contingency_table
from imc_helpers.metrics.shared_cells import overlap_shares, shared_cells, soft_ap, squared_distance

quick = settings(max_examples=50, deadline=None)
some_masks = arrays(np.uint32, (4, 5, 5), elements=st.integers(0, 4))


def test_values_by_hand():
    # 1 is cut in halves: (2² / (4 · 2)) twice. 2 keeps 2 of 3 pixels: 2² / (3 · 2).
    table = contingency_table([[1, 1, 1, 1, 2, 2, 2]], [[5, 5, 6, 6, 7, 7, 0]])
    assert overlap_shares(table).tolist() == pytest.approx([1 / 2, 1 / 2, 2 / 3])
    assert shared_cells(table) == pytest.approx(5 / 3)
    assert squared_distance(table) == pytest.approx(2 + 3 - 10 / 3)
    # The best assignment: half of the first cell (IoU 1/2), and the second (2/3).
    assert soft_ap(table) == pytest.approx((7 / 6) / (5 - 7 / 6))


def test_empty_masks():
    nothing = contingency_table([[0]], [[0]])
    assert (squared_distance(nothing), soft_ap(nothing)) == (0, 1)
    one = contingency_table([[1]], [[0]])
    assert (squared_distance(one), soft_ap(one)) == (1, 0)


def projection(mask):
    """Project on the space that a mask's cells span: the definition, pixel by pixel."""
    columns = [(mask == i).ravel() / np.sqrt((mask == i).sum()) for i in np.unique(mask[mask > 0])]
    basis = np.stack([*columns, np.zeros(mask.size)], axis=1)
    return basis @ basis.T


@quick
@given(some_masks)
def test_the_distance_is_that_of_the_projections(masks):
    for one, two in ((0, 1), (2, 3)):
        found = squared_distance(contingency_table(masks[one], masks[two]))
        difference = projection(masks[one]) - projection(masks[two])
        assert found == pytest.approx((difference**2).sum(), abs=1e-9)


@quick
@given(some_masks)
def test_soft_ap_obeys_the_triangle_inequality(masks):
    def apart(a, b):
        return 1 - soft_ap(contingency_table(masks[a], masks[b]))

    assert apart(0, 2) <= apart(0, 1) + apart(1, 2) + 1e-12
    assert apart(0, 0) == pytest.approx(0)
    assert apart(0, 1) == pytest.approx(apart(1, 0))
