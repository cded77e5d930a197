"""Cells from maps, as Dice-XMBD's pipeline finds them: on discs whose cells one can count."""

import numpy as np
import pytest

from imc_helpers.images.pipeline_cells import PipelineSettings, cells_from_maps


def maps(centres, side=40, nucleus=3, cell=6):
    """Draw discs: a nucleus, and cytoplasm around it."""
    y, x = np.mgrid[:side, :side]
    away = np.min([np.hypot(y - cy, x - cx) for cy, cx in centres], axis=0)
    inside = np.clip(nucleus + 1 - away, 0, 1) * np.clip(1.2 - away / 10, 0, 1)
    return inside * 0.9, np.where((away > nucleus) & (away <= cell), 0.9, 0) * (1 - inside)


def ids_at(cells, *places):
    return [int(cells[place]) for place in places]


def test_dice_cells_are_found_around_their_nuclei():
    cells = cells_from_maps(*maps([(12, 12), (26, 27)]))
    a, b = ids_at(cells, (12, 12), (26, 27))
    assert {a, b} == {1, 2}
    assert cells.dtype == np.int32 and cells.max() == 2
    # A disc of radius 6 has 113 px; those at its border go.
    assert 70 < (cells == a).sum() < 113


def test_dice_cells_keep_apart_with_gaps_and_touch_without():
    pair = maps([(20, 15), (20, 25)])
    for gaps in (True, False):
        cells = cells_from_maps(*pair, PipelineSettings(gaps=gaps))
        left, right = cells[:, :-1], cells[:, 1:]
        touching = ((left != right) & (left > 0) & (right > 0)).any()
        assert cells.max() == 2
        assert touching == (not gaps)


def test_dice_cells_whose_nucleus_is_cut_by_the_border_go_with_their_pixels():
    nucleus, cytoplasm = maps([(1, 15), (1, 24), (12, 20)])
    gone = cells_from_maps(nucleus, cytoplasm)
    kept = cells_from_maps(nucleus, cytoplasm, PipelineSettings(keep_border=True))
    assert ids_at(gone, (2, 15), (2, 24)) == [0, 0]
    assert gone.max() == 1 and kept.max() == 3
    inner = gone == gone[12, 20]
    assert np.array_equal(inner, kept == kept[12, 20]), "no neighbour takes what a cut cell held"


def test_dice_maps_without_nuclei_hold_no_cells():
    empty = np.zeros((24, 20))
    assert not cells_from_maps(empty, empty).any()
    assert not cells_from_maps(empty, empty + 0.7).any()
    assert cells_from_maps(empty, empty).shape == (24, 20)


@pytest.mark.parametrize(
    ("nucleus", "cytoplasm", "says"),
    [
        (np.zeros((4, 4)), np.zeros((4, 5)), "cytoplasm: expected shape"),
        (np.full((4, 4), 1.5), np.zeros((4, 4)), "nucleus: expected probabilities"),
        (np.zeros((4, 4)), np.full((4, 4), np.nan), "cytoplasm: expected probabilities"),
    ],
)
def test_dice_maps_that_are_no_probabilities_are_refused(nucleus, cytoplasm, says):
    with pytest.raises(ValueError, match=says):
        cells_from_maps(nucleus, cytoplasm)
