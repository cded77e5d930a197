"""Nuclei and cells that one can count by hand."""

import numpy as np
import pandas as pd
import pytest
from skimage.morphology import dilation, disk

from imc_helpers.downstream.compartments import (
    compartment_counts,
    expand_nuclei,
    link_nuclei,
    localisation,
    matched_cells,
    nucleus_ratios,
    unite_with_nuclei,
)
from imc_helpers.errors import InputError
from imc_helpers.phantom.recipes import find_recipe, make_sample


@pytest.fixture
def drawn():
    """Two cells side by side, 6 x 4 px each, and a third without a nucleus.

    Nucleus 20 covers 4 x 3 px, most of it in cell 1; nucleus 30 lies in cell 2; nucleus 40 lies
    outside all cells.
    """
    cells, nuclei = np.zeros((2, 12, 12), np.uint32)
    cells[1:7, 0:4], cells[1:7, 4:8], cells[8:12, 0:4] = 1, 2, 3
    nuclei[1:5, 2:5] = 20  # 8 px in cell 1, 4 px in cell 2
    nuclei[2:6, 5:8] = 30  # 12 px in cell 2
    nuclei[8:11, 9:12] = 40
    return cells, nuclei


def test_each_cell_takes_the_nucleus_that_covers_most_of_it(drawn):
    cells, nuclei = drawn
    linked = link_nuclei(cells, nuclei, source="a")
    assert {k: int((linked == k).sum()) for k in (1, 2, 3)} == {1: 8, 2: 12, 3: 0}
    assert (linked[linked > 0] == cells[linked > 0]).all()
    assert nucleus_ratios(cells, linked).to_dict() == {1: 8 / 24, 2: 0.5, 3: 0.0}


def test_a_nucleus_larger_than_its_cells_is_split():
    cells, nuclei = np.zeros((2, 6, 10), np.uint32)
    cells[1:5, 0:5], cells[1:5, 5:10] = 4, 9
    nuclei[2:4, 1:9] = 1
    linked = link_nuclei(cells, nuclei, source="a")
    assert nucleus_ratios(cells, linked).to_dict() == {4: 8 / 20, 9: 8 / 20}


def test_union_of_cells_and_nuclei(drawn):
    cells, nuclei = drawn
    united, own = unite_with_nuclei(cells, nuclei, source="a")
    area = pd.Series(united.ravel()).value_counts()
    # Cell 1 gains the 4 px of its nucleus that lay in cell 2; nucleus 40 becomes cell 4.
    assert {k: int(area[k]) for k in (1, 2, 3, 4)} == {1: 28, 2: 20, 3: 16, 4: 9}
    assert (own[own > 0] == united[own > 0]).all(), "every nucleus lies in its cell"
    assert {k: int((own == k).sum()) for k in (1, 2, 3, 4)} == {1: 12, 2: 12, 3: 0, 4: 9}


def test_a_nucleus_that_two_cells_overlap_most_goes_to_the_larger_overlap():
    cells, nuclei = np.zeros((2, 6, 10), np.uint32)
    cells[1:5, 0:5], cells[1:5, 5:10] = 4, 9
    nuclei[2:4, 1:8] = 1  # 8 px in cell 4, 6 px in cell 9
    united, own = unite_with_nuclei(cells, nuclei, source="a")
    assert int((own == 4).sum()) == 14 and not (own == 9).any()
    assert int((united == 4).sum()) == 26 and int((united == 9).sum()) == 14


def test_counts_of_both_compartments_sum_to_the_cells(drawn):
    cells, nuclei = drawn
    linked = link_nuclei(cells, nuclei, source="a")
    image = np.random.default_rng(0).poisson(3.0, (2, 12, 12)).astype(float)
    counts = compartment_counts(image, cells, linked, ("DNA", "CD20"))
    assert counts.nucleus.loc[1, "DNA"] == image[0, 1:5, 2:4].sum() / 24
    for cell in (1, 2, 3):
        whole = image[:, cells == cell].mean(axis=1)
        assert (counts.nucleus + counts.rest).loc[cell].to_numpy() == pytest.approx(whole)
    assert counts.nucleus.loc[3].tolist() == [0, 0]


def test_localisation_leaves_out_the_lowest_fifth():
    counts = pd.DataFrame({"a": [1.0, 4, 4, 4, 4], "b": 0.0})
    share = pd.Series([1.0, 0.5, 0.5, 0.25, 0.25])
    both = type("Counts", (), {"nucleus": counts.mul(share, axis=0), "rest": None})()
    both.rest = counts - both.nucleus
    found = localisation(both)
    assert found["a"] == 0.375
    assert np.isnan(found["b"]), "no counts, no place"


def test_evenly_spread_counts_have_the_nucleus_ratio():
    sample = make_sample(find_recipe("phantom_lymphoid"), (120, 120), 3, "s")
    cells, nuclei = sample.masks["truth"], sample.nuclei["truth"]
    linked = link_nuclei(cells, nuclei, source="a")
    even = compartment_counts(np.ones((1, 120, 120)), cells, linked, ("even",))
    assert localisation(even)["even"] == pytest.approx(nucleus_ratios(cells, linked).mean())


def test_true_masks_hold_the_planted_share_of_cells_without_nucleus():
    """Planted: 5 % with the nucleus outside the section."""
    recipe = find_recipe("phantom_lymphoid")
    ratios = []
    for seed in range(3):
        sample = make_sample(recipe, (400, 400), seed, "s")
        linked = link_nuclei(sample.masks["truth"], sample.nuclei["truth"], source="a")
        ratios.append(nucleus_ratios(sample.masks["truth"], linked))
    without = (pd.concat(ratios) == 0).mean()
    assert recipe.tissue.out_of_plane == 0.05
    assert 0.04 <= without <= 0.06


def test_expansion_is_dilation_by_a_disk():
    nuclei = np.zeros((20, 20), np.uint32)
    nuclei[8:12, 8:11] = 5
    assert np.array_equal(expand_nuclei(nuclei), dilation(nuclei, disk(3)))


def test_matched_cells_have_their_areas():
    true, pred = np.zeros((2, 10, 20), np.uint32)
    true[0:5, 0:5], true[0:5, 10:15] = 3, 8
    pred[0:5, 0:4], pred[6:9, 10:15] = 7, 2
    assert matched_cells(true, pred).to_dict("records") == [
        {"true_id": 3, "pred_id": 7, "true_area": 25, "pred_area": 20}
    ]


def test_input_that_has_no_compartments(drawn):
    cells, nuclei = drawn
    with pytest.raises(InputError, match="here: 3 cells and not one nucleus.*again, or leave"):
        link_nuclei(cells, np.zeros_like(nuclei), source="here")
    with pytest.raises(InputError, match=r"here: the cells have shape.*the nuclei \(12, 11\)"):
        unite_with_nuclei(cells, nuclei[:, 1:], source="here")
    empty = np.zeros_like(cells)
    assert not link_nuclei(empty, nuclei, source="here").any()
    none = nucleus_ratios(empty, empty)
    assert len(none) == 0 and np.isnan(none.mean())
    counts = compartment_counts(np.ones((1, 12, 12)), empty, empty, ("a",))
    assert np.isnan(localisation(counts)["a"])
