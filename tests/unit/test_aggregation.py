"""From channels to planes: values by hand, the definitions' properties, another library's PCA."""

import numpy as np
import pytest
from skimage.exposure import rescale_intensity
from sklearn.decomposition import PCA

from imc_helpers.aggregation import (
    METHODS,
    aggregate,
    nucleus_and_membrane,
    rgb_projection,
    scale_percentiles,
)

IMAGE = np.array([[[1, 2]], [[3, 6]], [[100, 200]]], np.uint16)
COUNTS = np.random.default_rng(0).poisson([[[2.0]], [[20.0]], [[0.2]], [[5.0]]], (4, 30, 40))


def test_the_mean_per_pixel():
    mean = aggregate(IMAGE, [0, 1])
    assert mean.dtype == np.float32
    assert mean.tolist() == [[2, 4]]


def test_nucleus_comes_first():
    assert nucleus_and_membrane(IMAGE, [2], (0, 1)).tolist() == [[[100, 200]], [[2, 4]]]


@pytest.mark.parametrize("method", ["mean", "sum", "max"])
def test_counts_do_not_overflow(method):
    bright = np.full((2, 1, 1), 65535, np.uint16)
    assert aggregate(bright, [0, 1], method).item() == (131070 if method == "sum" else 65535)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("sum", [[104, 208]]),
        ("max", [[100, 200]]),
        ("median", [[3, 6]]),
        ("scaled_mean", [[0, 1]]),  # two pixels: each channel's percentiles lie just inside
        ("arcsinh_mean", [np.arcsinh([[1, 2], [3, 6], [100, 200]]).mean(axis=0)]),
    ],
)
def test_values_by_hand(method, expected):
    found = aggregate(IMAGE, [0, 1, 2], method)
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array(expected), rel=1e-6)


def test_the_first_component_of_channels_on_a_line():
    # (3, 4) times t: the component is (.6, .8), and the projection 5 t.
    line = np.array([[[0, 3, 6, 30]], [[0, 4, 8, 40]]])
    assert aggregate(line, [0, 1], "first_component") == pytest.approx(
        np.array([[0, 5, 10, 50]]), rel=1e-6
    )


def test_the_first_component_is_that_of_another_library_up_to_a_constant():
    pixels = COUNTS.reshape(4, -1).T
    other = PCA(1).fit_transform(pixels)[:, 0]
    ours = aggregate(COUNTS, range(4), "first_component").ravel()
    assert abs(np.corrcoef(ours, other)[0, 1]) == pytest.approx(1, abs=1e-6)
    assert ours.std() == pytest.approx(other.std(), rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_channels_does_not_matter(method):
    one, two = (aggregate(COUNTS, order, method) for order in ([0, 1, 2, 3], [2, 0, 3, 1]))
    assert one == pytest.approx(two, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("method", ["mean", "sum", "max", "median", "first_component"])
def test_twice_the_counts_give_twice_the_plane(method):
    assert aggregate(2 * COUNTS, range(4), method) == pytest.approx(
        2 * aggregate(COUNTS, range(4), method), rel=1e-5, abs=1e-5
    )


def test_a_channels_gain_does_not_count_when_channels_are_scaled():
    gain = np.array([1, 10, 100, 1000])[:, None, None]
    one, two = (aggregate(image, range(4), "scaled_mean") for image in (COUNTS, COUNTS * gain))
    assert one == pytest.approx(two, abs=1e-6)


@pytest.mark.parametrize("method", ["mean", "max", "median", "scaled_mean", "first_component"])
def test_one_channel_is_itself(method):
    plane = aggregate(COUNTS, [1], method)
    expected = scale_percentiles(COUNTS[[1]])[0] if method == "scaled_mean" else COUNTS[1]
    assert plane == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_image_stays_as_it_was(method):
    image = COUNTS.astype(np.float32)
    before = image.copy()
    aggregate(image, range(4), method)
    assert np.array_equal(image, before)


def test_percentiles_are_scaled_as_by_another_library():
    for plane, scaled in zip(COUNTS, scale_percentiles(COUNTS), strict=True):
        if (limits := np.percentile(plane, [1, 99]))[1] > limits[0]:
            expected = rescale_intensity(
                plane.astype(float), in_range=tuple(limits), out_range=(0, 1)
            )
            assert scaled == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_planes_at_once_are_scaled_as_each_alone(dtype):
    planes = np.concatenate([COUNTS, np.zeros((2, 30, 40)), 3 * COUNTS[:1] / 7]).astype(np.float32)
    planes[5, 0, 0] = 7  # its percentiles coincide
    for plane, scaled in zip(planes, scale_percentiles(planes, 2, 98, dtype=dtype), strict=True):
        low, high = np.percentile(plane, [2, 98])
        if low == high:
            low, high = plane.min(), max(plane.max(), 1)
        expected = np.clip((plane - low) / (high - low), 0, 1)
        assert scaled.dtype == dtype
        assert np.array_equal(scaled, expected.astype(dtype))


def test_a_plane_with_few_counts_and_one_without_any():
    planes = np.zeros((2, 20, 20))
    planes[0, 0, 0] = 7
    scaled = scale_percentiles(planes)
    assert scaled[0, 0, 0] == 1
    assert scaled.sum() == 1


def test_light_by_hand():
    # Channel 0 is nuclear. Each other plane is 0, then 1 after scaling, and adds its colour's half.
    rgb = rgb_projection(IMAGE, [0], [1, 2], seed=3)
    colours = rgb[:, 0, 1] - [1, 0, 0]
    assert rgb.shape == (3, 1, 2)
    assert rgb[:, 0, 0].tolist() == [0, 0, 0]
    assert set(colours.tolist()) <= {0, 0.5, 1}
    assert 1 <= 2 * colours.sum() <= 4  # two channels: 1 to 2 primary colours each


def test_colours_are_drawn_by_the_seed_alone():
    one, again, other = (rgb_projection(COUNTS, [0], [1, 2, 3], seed) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_nuclei_are_in_red_alone_whatever_the_seed():
    nuclei_only = COUNTS * np.array([1, 0, 0, 0])[:, None, None]
    for seed in range(5):
        rgb = rgb_projection(nuclei_only, [0], [1, 2, 3], seed)
        assert np.array_equal(rgb[0], scale_percentiles(COUNTS[:1])[0])
        assert not rgb[1:].any()


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


def test_an_unknown_method():
    with pytest.raises(ValueError, match=r"method 'average': expected one of mean, sum"):
        aggregate(IMAGE, [0], "average")
