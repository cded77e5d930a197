"""Enlarging and the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from imc_helpers.images.enlargement import INTERPOLATIONS, enlarge, shrink_labels

IMAGE = np.random.default_rng(0).gamma(1.0, 9.0, (2, 7, 9)).astype(np.float32)


def test_nearest_repeats_pixels():
    large = enlarge(np.array([[[1, 2]]]), 2, "nearest")
    assert large.tolist() == [[[1, 1, 2, 2], [1, 1, 2, 2]]]


def test_bilinear_by_hand():
    # Centres of the new pixels lie at a quarter and three quarters between the old ones.
    assert enlarge(np.array([[[0, 4]]]), 2, "bilinear")[0, 0].tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_a_constant_stays_one_and_factor_1_changes_nothing(name):
    assert np.array_equal(enlarge(IMAGE, 1, name), IMAGE)
    assert enlarge(np.full((1, 5, 5), 3.0), 3, name) == pytest.approx(3.0)


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_values_stay_in_the_range_of_their_plane(name):
    large = enlarge(IMAGE, 4, name)
    assert large.shape == (2, 28, 36)
    for plane, new in zip(IMAGE, large, strict=True):
        assert new.min() >= plane.min()
        assert new.max() <= plane.max()


@pytest.mark.parametrize("name", ["nearest", "bilinear"])
def test_shrinking_by_the_mean_of_blocks_keeps_the_total(name):
    # Inside, each old pixel gives the same to all; at the edges bilinear repeats the outer pixel.
    large = enlarge(np.pad(IMAGE, ((0, 0), (1, 1), (1, 1))), 2, name)
    assert large.sum() / 4 == pytest.approx(IMAGE.sum(), rel=1e-5)


@given(
    arrays(np.uint32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 4))
)
def test_labels_that_were_enlarged_come_back_as_they_were(labels):
    for factor in (1, 2, 3, 4):
        back = shrink_labels(np.kron(labels, np.ones((factor, factor), np.uint32)), factor)
        assert back.dtype == labels.dtype
        assert np.array_equal(back, labels)


def test_most_of_a_pixel_decides_and_the_first_of_equals():
    labels = np.array([[5, 5, 0, 7], [0, 5, 7, 0], [2, 1, 3, 3], [1, 2, 4, 4]])
    assert shrink_labels(labels, 2).tolist() == [[5, 0], [2, 3]]


def test_votes_are_those_of_counting():
    labels = np.random.default_rng(1).integers(0, 5, (12, 9))
    for (y, x), value in np.ndenumerate(shrink_labels(labels, 3)):
        block = labels[3 * y : 3 * y + 3, 3 * x : 3 * x + 3].ravel().tolist()
        assert block.count(value) == max(map(block.count, block))


def test_the_library_still_aligns_the_images_edges():
    # What the way back relies on: a block of new pixels covers just its old pixel.
    ramp = np.arange(6, dtype=np.float32)[None]
    large = np.asarray(Image.fromarray(ramp).resize((18, 1), Image.Resampling.BICUBIC))
    assert large[0, 1::3] == pytest.approx(ramp[0], abs=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: enlarge(IMAGE, 0, "nearest"), "1 or more, found 0"),
        (lambda: enlarge(IMAGE, 2, "cubic"), "expected one of nearest, bilinear, bicubic, lanczos"),
        (lambda: enlarge(IMAGE[0], 2, "nearest"), r"expected shape \(C, H, W\)"),
        (lambda: shrink_labels(np.ones((4, 6), int), 4), "no multiples of 4"),
        (lambda: shrink_labels(np.ones((4, 6), int), 0), "1 or more"),
    ],
)
def test_what_cannot_be_scaled(call, message):
    with pytest.raises(ValueError, match=message):
        call()
