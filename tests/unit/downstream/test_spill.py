"""Counts of other cells: small masks by hand."""

import numpy as np
import pytest

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.downstream.spill import (
    exclusive_pair,
    implausible_cells,
    neighbour_slope,
    positive_for_both,
    redsea,
    shared_borders,
)


def test_positive_for_both_of_those_with_either():
    assert positive_for_both([1, 1, 0, 0], [0, 1, 1, 0], (0.5, 0.5)) == pytest.approx(1 / 3)
    assert np.isnan(positive_for_both([0, 0], [0, 0], (0.5, 0.5)))


def squares():
    """Give two cells of 4 x 4 px side by side, in the middle of background."""
    labels = np.zeros((8, 12), int)
    labels[2:6, 2:6], labels[2:6, 6:10] = 3, 8
    return labels


def test_borders_of_two_squares():
    assert shared_borders(squares()).toarray().tolist() == [[0, 4], [4, 0]]


def test_redsea_by_hand():
    labels = squares()
    image = np.zeros((1, *labels.shape))
    image[0, labels == 3] = 10.0
    ids, means = redsea(image, labels, edge_px=1)
    assert ids.tolist() == [3, 8]
    # 12 of 16 pixels are rim: 160 + 120 for the first; a quarter of its outline is shared.
    assert means[:, 0] == pytest.approx([280 / 16, 0])
    image[0, labels == 8] = 3.0
    _, means = redsea(image, labels, edge_px=1, reinforce=False)
    assert means[:, 0] == pytest.approx([(160 - 36 / 4) / 16, (48 - 120 / 4) / 16])
    # A rim of two pixels is all of the cell.
    _, means = redsea(image, labels, edge_px=2)
    assert means[:, 0] == pytest.approx([(320 - 48 / 4) / 16, (96 - 160 / 4) / 16])


def test_redsea_leaves_a_lone_cell_its_own():
    labels = np.where(squares() == 3, 3, 0)
    _, means = redsea(np.ones((2, *labels.shape)), labels, reinforce=False)
    assert means == pytest.approx(np.ones((1, 2)))
    assert redsea(np.ones((2, 4, 4)), np.zeros((4, 4), int))[1].shape == (0, 2)
    assert redsea(np.ones((1, 4, 4)), np.ones((4, 4), int), reinforce=False)[1].tolist() == [[1]]


def test_the_slope_on_neighbours_is_that_of_the_light_that_they_lend():
    rng = np.random.default_rng(0)
    labels = np.kron(np.arange(1, 401).reshape(20, 20), np.ones((4, 4), int))
    own = rng.gamma(2, 1, 400)
    border = shared_borders(labels)
    around = (border @ own) / border.sum(axis=1)
    assert neighbour_slope(labels, own) == pytest.approx(0, abs=0.25)
    without = np.arange(400) % 2 == 1  # every other cell has the neighbours' light alone
    lent = np.where(without, 0.3 * around, own)
    seen = (border @ lent)[without] / border.sum(axis=1)[without]
    fitted = np.polyfit(seen, lent[without], 1)[0]
    assert neighbour_slope(labels, lent, among=without) == pytest.approx(fitted)


def test_too_few_cells_have_no_slope():
    assert np.isnan(neighbour_slope(squares(), [1.0, 2.0]))
    assert np.isnan(neighbour_slope(np.zeros((3, 3), int), []))
    row = np.array([[1, 1, 2, 2, 3, 3]])
    assert np.isnan(neighbour_slope(row, [1.0, 1.0, 1.0]))


def test_cells_positive_for_both_are_fewer_after_redsea(tmp_path):
    """A T cell and a B cell touch; the T cell's rim has light of the B cell."""
    panel = Panel((Channel("Er170", "CD3"), Channel("Dy161", "CD20")))
    image = np.zeros((2, 8, 12), np.float32)
    image[0][squares() == 3], image[1][squares() == 8] = 100, 100
    image[1, 2:6, 5] = 48  # 192 counts, doubled as the rim's, less a quarter of the other's 1600
    far = np.zeros((8, 12), int)
    far[2:6, 2:5], far[2:6, 7:10] = 1, 2
    sample = Sample("one", image, panel, 1.0, {"anna": squares()})
    write_cohort(tmp_path / "cohort", [sample])
    masks = {"anna": {"one": squares()}, "careful": {"one": far}}
    found = implausible_cells(Cohort(tmp_path / "cohort"), masks, ["one"], ("CD3", "CD20"))
    rows = found.set_index("rater")
    assert rows["positive for both"].to_dict() == {"anna": 0.5, "careful": 0}
    assert rows.loc["anna", "after REDSEA"] == 0
    assert rows["slope"].isna().all(), "one cell each"


def test_a_panel_without_exclusive_markers_has_no_pair():
    assert exclusive_pair(["CD20", "CD3", "CD8a"]) == ("CD3", "CD20")
    assert exclusive_pair(["CD20", "CD68"]) is None
