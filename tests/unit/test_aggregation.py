"""The plain mean of channels."""

import numpy as np
import pytest

from imc_helpers.aggregation import aggregate, nucleus_and_membrane

IMAGE = np.array([[[1, 2]], [[3, 6]], [[100, 200]]], np.uint16)


def test_the_mean_per_pixel():
    mean = aggregate(IMAGE, [0, 1])
    assert mean.dtype == np.float32
    assert mean.tolist() == [[2, 4]]


def test_nucleus_comes_first():
    assert nucleus_and_membrane(IMAGE, [2], (0, 1)).tolist() == [[[100, 200]], [[2, 4]]]


def test_counts_do_not_overflow():
    bright = np.full((2, 1, 1), 65535, np.uint16)
    assert aggregate(bright, [0, 1]).item() == 65535


@pytest.mark.parametrize(
    ("image", "channels", "message"),
    [
        (IMAGE, [], "at least one"),
        (IMAGE, [3], "no position 3 in an image of 3 channels"),
        (IMAGE, [-1], "no position -1"),
        (IMAGE[0], [0], r"expected shape \(C, H, W\)"),
    ],
)
def test_what_cannot_be_aggregated(image, channels, message):
    with pytest.raises(ValueError, match=message):
        aggregate(image, channels)
