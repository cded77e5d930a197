"""Windows: counted by hand, by the study, and by a formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imc_helpers.data.manifest import published_table
from imc_helpers.patching import Window, count_windows, cover, covered_share, windows, windows_apart

SIDES = st.integers(0, 70)


def test_the_study_has_36_patches_an_image():
    placed = windows((1000, 1000))
    assert len(placed) == 36
    assert placed[0] == Window(0, 0, 256)
    assert placed[1] == Window(0, 128, 256), "row by row"
    assert placed[-1] == Window(640, 640, 256)
    in_house = published_table("schuiki25_table1").set_index("cohort").loc["schuiki25"]
    assert in_house["samples"] * len(placed) == in_house["patches"]


@pytest.mark.parametrize(
    ("shape", "count"),
    [((255, 1000), 0), ((256, 256), 1), ((383, 383), 1), ((384, 383), 2), ((501, 500), 4)],
)
def test_counts_by_hand(shape, count):
    assert len(windows(shape)) == count_windows(*shape) == count


@given(SIDES, SIDES, st.integers(1, 30), st.integers(1, 30))
def test_windows_lie_inside_and_no_more_would_fit(height, width, size, stride):
    placed = windows((height, width), size=size, stride=stride)
    assert len(placed) == count_windows(height, width, size=size, stride=stride)
    assert len(set(placed)) == len(placed)
    for window in placed:
        assert window.y + size <= height
        assert window.x + size <= width
        assert window.y % stride == window.x % stride == 0
    if placed:
        assert max(w.y for w in placed) + stride + size > height
        assert max(w.x for w in placed) + stride + size > width


def test_the_scored_part_of_a_window_is_200_px():
    window = Window(128, 0, 256).shrink(28)
    assert window == Window(156, 28, 200)
    assert np.zeros((1000, 1000))[window.slices].shape == (200, 200)


@pytest.mark.parametrize(
    ("shape", "chosen"),
    [((255, 900), []), ((511, 511), [0]), ((512, 512), [0, 2, 6, 8]), ((256, 1000), [0, 2, 4])],
)
def test_windows_whose_scored_squares_do_not_overlap(shape, chosen):
    assert windows_apart(shape) == chosen
    seen = np.zeros(shape, int)
    for k in windows_apart(shape):
        seen[windows(shape)[k].shrink(28).slices] += 1
    assert seen.max(initial=0) <= 1


@pytest.mark.parametrize("border", [-1, 128, 300])
def test_a_border_that_leaves_nothing(border):
    with pytest.raises(ValueError, match="expected 0 to 127 px for a window of 256"):
        Window(0, 0, 256).shrink(border)


@pytest.mark.parametrize("grid", [{"size": 0}, {"stride": 0}])
def test_a_grid_that_is_none(grid):
    with pytest.raises(ValueError, match="1 px or more"):
        windows((10, 10), **grid)


def test_the_share_that_is_scored():
    assert covered_share((256, 256)) == 200**2 / 256**2
    assert covered_share((255, 300)) == 0
    # Two windows side by side: scored columns 28 … 227 and 156 … 355.
    assert covered_share((256, 384)) == pytest.approx(200 * 328 / (256 * 384))


def test_windows_that_cover_are_spread_evenly():
    assert cover((10, 4), size=4) == [Window(0, 0, 4), Window(3, 0, 4), Window(6, 0, 4)]
    assert cover((8, 8), size=4) == windows((8, 8), size=4, stride=4)
    assert cover((5, 5), size=5) == [Window(0, 0, 5)]


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_windows_that_cover_leave_nothing_out_and_are_as_few_as_can_be(height, width, data):
    size = data.draw(st.integers(1, min(height, width)))
    placed = cover((height, width), size=size)
    seen = np.zeros((height, width), int)
    for window in placed:
        assert seen[window.slices].shape == (size, size)
        seen[window.slices] += 1
    assert seen.all()
    assert len(placed) == -(-height // size) * -(-width // size)


@pytest.mark.parametrize("size", [0, 5])
def test_a_window_must_fit(size):
    with pytest.raises(ValueError, match=f"1 to 4 px, found {size}"):
        cover((4, 9), size=size)
