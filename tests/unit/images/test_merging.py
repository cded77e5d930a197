"""Dice-XMBD's merged planes, in both ways, on images small enough to check by hand."""

import numpy as np
import pytest

from imc_helpers.images.merging import merge_channels


def channels():
    """A faint channel and a strong one: one pixel of ten thousand is at 0, the last rises."""
    ramp = np.arange(100.0 * 100).reshape(100, 100) / 9999
    return np.stack([10 * ramp, 40 * ramp[::-1]])


def test_dice_channels_count_alike_in_the_paper_and_by_strength_in_the_program():
    faint, strong = channels()
    paper = merge_channels(np.stack([faint, strong]))
    apart = [merge_channels(one[None]) for one in (faint, strong)]
    assert np.allclose(paper, np.mean(apart, axis=0), atol=1e-3)
    assert np.allclose(paper[::-1, ::-1], 255 - paper, atol=1.5), "they cancel"
    program = merge_channels(np.stack([faint, strong]), "program")
    assert np.corrcoef(program.ravel(), strong.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("variant", ["paper", "program"])
def test_dice_planes_run_from_0_to_255(variant):
    merged = merge_channels(channels()[:1], variant)
    assert (merged.min(), merged.max()) == (0, 255)
    assert merged.dtype == np.float32
    if variant == "program":
        assert np.array_equal(merged, merged.round())


@pytest.mark.parametrize("variant", ["paper", "program"])
def test_dice_hot_pixels_do_not_set_the_scale(variant):
    image = channels()[:1]
    hot = image.copy()
    hot[0, 50, 50] = 5000
    # The mean of 5 x 5 pixels that takes a hot one's place holds a 25th of it.
    changed = np.abs(merge_channels(image, variant) - merge_channels(hot, variant)) > 3
    assert changed.sum() == (variant == "paper") and (variant == "program" or changed[50, 50])


def test_dice_program_clips_a_hot_pixel_to_its_brightest_neighbour():
    image = np.zeros((1, 5, 5))
    image[0, 2, 2], image[0, 2, 3] = 100, 20
    merged = merge_channels(image, "program")
    assert merged[2, 2] == merged[2, 3] == 255


@pytest.mark.parametrize("variant", ["paper", "program"])
def test_dice_a_channel_without_signal_adds_nothing(variant):
    assert not merge_channels(np.full((1, 4, 4), 7.0), variant).any()
