"""Stitching: what is found in overlapping tiles gives what the whole image would have given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi

from imc_helpers.errors import InputError
from imc_helpers.models.tiling import segment_tiles


def oracle(windows):
    """A model that sees the truth, which the image holds, and gives each cell an id of the tile."""
    found = []
    for window in windows:
        _, inverse = np.unique(np.append(0, window[0]), return_inverse=True)
        found.append(inverse[1:].reshape(window.shape[1:]))
    return found


def tiled(truth, predict=oracle, *, tile_px=40, overlap_px=16):
    return segment_tiles(
        truth[None].astype(np.float64), predict, tile_px=tile_px, overlap_px=overlap_px
    )


def assert_same_cells(found, truth):
    """One to one: as many pairs of ids as there are ids on either side."""
    pairs = np.unique(np.stack([found.ravel(), truth.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(found)) == len(np.unique(truth))
    np.testing.assert_array_equal(found > 0, truth > 0)


def square(shape, centre, side, label=1):
    truth = np.zeros(shape, int)
    r, c = (at - side // 2 for at in centre)
    truth[r : r + side, c : c + side] = label
    return truth


def voronoi(shape, n, rng, within=None):
    """Touching cells around random points, connected each; cut to discs where told."""
    points = np.zeros(shape, int)
    points.ravel()[rng.choice(points.size, n, replace=False)] = np.arange(1, n + 1)
    distance, nearest = ndi.distance_transform_edt(points == 0, return_indices=True)
    cells = points[tuple(nearest)]
    if within is not None:
        cells[distance > within] = 0
    # Cut to pixels, a thin cell may fall into parts: each is one of its own.
    parts = np.zeros(shape, int)
    for i, box in enumerate(ndi.find_objects(cells), start=1):
        part, _ = ndi.label(cells[box] == i)
        parts[box] += np.where(part > 0, part + parts.max(), 0)
    return parts


# With a side of 64 and tiles of 40 that share 16, tiles start at 0 and 24, and the seam is at 32.
@pytest.mark.parametrize("at", range(20, 45))
def test_a_cell_on_a_seam_is_whole_and_there_once(at):
    truth = square((64, 64), (at, 12), 9)
    found = tiled(truth)
    np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("centre", [(32, 32), (24, 24), (40, 40), (24, 40), (31, 36)])
@pytest.mark.parametrize("side", [3, 9, 14])
def test_a_cell_on_a_corner_of_four_tiles(centre, side):
    truth = square((64, 64), centre, side)
    np.testing.assert_array_equal(tiled(truth), truth)


def whole_cells_only(windows):
    """The oracle without what touches an edge of a tile: a model that leaves out what is cut."""
    found = oracle(windows)
    for labels in found:
        edge = np.unique(np.r_[labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        labels[np.isin(labels, edge)] = 0
    return found


def test_a_bent_cell_that_avoids_the_core_of_the_one_tile_where_it_is_whole():
    """Only the upper left tile, rows and columns 0–39, holds all of it; its core ends at 31."""
    truth = np.zeros((64, 64), int)
    truth[22:33, 32] = truth[32, 22:33] = 1
    np.testing.assert_array_equal(tiled(truth, whole_cells_only), truth)


@pytest.mark.parametrize("seed", range(5))
def test_cells_narrower_than_the_overlap_need_no_joining(seed):
    truth = voronoi((120, 150), 250, np.random.default_rng(seed), within=6)  # 13 px, tiles share 16
    rows, columns = truth[[0, -1]], truth[:, [0, -1]]
    truth[np.isin(truth, np.r_[rows.ravel(), columns.ravel()])] = 0
    assert_same_cells(tiled(truth, whole_cells_only), truth)


def test_a_cell_larger_than_a_tile_is_one_cell():
    truth = np.ones((100, 100), int)
    truth[50:] = 2
    truth[20:30, 20:30] = 3
    assert_same_cells(tiled(truth), truth)


@pytest.mark.parametrize("shape", [(10, 12), (40, 40), (41, 7), (40, 200), (97, 131), (1, 90)])
def test_any_side_will_do(shape):
    truth = voronoi(shape, max(1, shape[0] * shape[1] // 60), np.random.default_rng(1))
    assert_same_cells(tiled(truth), truth)


def test_tiles_fit_the_model_cover_the_image_and_share_what_was_asked():
    seen = []
    rows, columns = np.mgrid[:97, :131]

    def watch(windows):
        seen.extend(windows)
        return [np.zeros(w.shape[1:], int) for w in windows]

    found = segment_tiles(np.stack([rows, columns]), watch, tile_px=40, overlap_px=16)
    assert found.dtype == np.uint32 and not found.any()
    assert {w.shape for w in seen} == {(2, 40, 40)}
    for axis, side in enumerate((97, 131)):
        starts = np.unique([w[axis].min() for w in seen])
        assert starts[0] == 0 and starts[-1] == side - 40
        assert np.diff(starts).max() <= 40 - 16


def test_a_small_image_is_one_tile():
    calls = []

    def watch(windows):
        calls.append([w.shape for w in windows])
        return oracle(windows)

    tiled(np.ones((30, 40), int), watch)
    assert calls == [[(1, 30, 40)]]


def test_copies_that_differ_a_little_are_one_cell():
    """The tile on the right sees each cell a pixel further right."""
    truth = square((40, 64), (20, 32), 10)

    def shaky(windows):
        left, right = oracle(windows)
        return [left, np.roll(right, 1, axis=1)]

    found = tiled(truth, shaky)
    assert found.max() == 1
    assert 100 <= (found > 0).sum() <= 110


def test_neighbours_whose_outlines_disagree_stay_two_cells():
    """Left tile: columns 22–31 are a cell. Right tile: so are 30–39. Two of ten columns shared."""
    truth = np.zeros((40, 64), int)

    def disagree(windows):
        left, right = (np.zeros(w.shape[1:], int) for w in windows)
        left[10:20, 22:32] = 1
        right[10:20, 30 - 24 : 40 - 24] = 1
        return [left, right]

    found = tiled(truth, disagree)
    np.testing.assert_array_equal(np.unique(found, return_counts=True)[1][1:], [100, 80])


def test_a_fragment_at_the_edge_of_a_tile_is_no_cell():
    """The left tile finds something at its right edge, where the right tile sees nothing."""

    def fragment(windows):
        left, right = (np.zeros(w.shape[1:], int) for w in windows)
        left[10:20, 36:40] = 1  # beyond the seam at 32
        return [left, right]

    assert not tiled(np.zeros((40, 64), int), fragment).any()


def test_a_cut_cell_does_not_swallow_whole_ones():
    """Right of the seam two cells; the left tile sees them as one, cut at its edge."""

    def merged(windows):
        left, right = (np.zeros(w.shape[1:], int) for w in windows)
        left[10:20, 30:40] = 1
        right[10:20, 30 - 24 : 36 - 24] = 1
        right[10:20, 36 - 24 : 44 - 24] = 2
        return [left, right]

    found = tiled(np.zeros((40, 64), int), merged)
    np.testing.assert_array_equal(np.unique(found, return_counts=True)[1][1:], [60, 80])


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 130),
    width=st.integers(1, 130),
    tile=st.integers(8, 70),
    share=st.floats(0, 1),
    crowd=st.floats(0.002, 0.1),
    within=st.one_of(st.none(), st.integers(1, 8)),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_oracle_gives_the_truth(height, width, tile, share, crowd, within, seed):
    """Whatever the sides, the tiles and the cells, larger than a tile or not."""
    n = max(1, int(crowd * height * width))
    truth = voronoi((height, width), n, np.random.default_rng(seed), within)
    overlap = 2 + round(share * (tile // 2 - 2))
    assert_same_cells(tiled(truth, tile_px=tile, overlap_px=overlap), truth)


@pytest.mark.parametrize("overlap", [1, 21])
def test_an_overlap_that_cannot_be(overlap):
    with pytest.raises(InputError, match="2 to half a tile, 20 px"):
        tiled(np.zeros((64, 64), int), overlap_px=overlap)
