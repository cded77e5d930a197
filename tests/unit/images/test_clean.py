"""Steps before a model: values by hand, other libraries, and the phantom's known spillover."""

import numpy as np
import pytest
from scipy.optimize import nnls
from skimage.filters import gaussian as skimage_gaussian
from skimage.filters import median as skimage_median

from imc_helpers.images.clean import (
    clahe,
    clip,
    gaussian,
    median,
    non_local_means,
    remove_hot_pixels,
    wavelet,
)
from imc_helpers.images.pipeline import NONE, SPILLOVER, STEPS, parse, preprocess
from imc_helpers.images.spillover import compensate_spillover
from imc_helpers.phantom.imaging import ImagingParameters, image_tissue, spillover_matrix
from imc_helpers.phantom.recipes import find_recipe
from imc_helpers.phantom.tissue import make_tissue

RNG = np.random.default_rng(1)
COUNTS = RNG.poisson([[[3.0]], [[30.0]]], (2, 48, 64)).astype(np.float32)
MIXING = np.array([[0.9, 0.08, 0.0], [0.02, 0.9, 0.05], [0.0, 0.01, 0.95]])


def test_a_hot_pixel_gets_the_mean_of_its_window():
    image = np.ones((1, 7, 7))
    image[0, 3, 3] = 101  # the mean of the 25 is (24 + 101) / 25 = 5, and 101 - 5 > 50
    cleaned = remove_hot_pixels(image)
    assert cleaned[0, 3, 3] == pytest.approx(5)
    cleaned[0, 3, 3] = 1
    assert (cleaned == 1).all()


def test_only_what_exceeds_the_threshold_is_hot():
    # A lone value v over zeros exceeds the mean v / 25 by 24 v / 25: just 50 at v = 52.083.
    for value, hot in ((52.0, False), (52.2, True)):
        image = np.zeros((1, 9, 9))
        image[0, 4, 4] = value
        assert (remove_hot_pixels(image)[0, 4, 4] != np.float32(value)) == hot


def test_a_dark_pixel_is_not_hot():
    image = np.full((1, 9, 9), 500.0)
    image[0, 4, 4] = 0
    assert np.array_equal(remove_hot_pixels(image), image)


def test_clipping_sets_the_top_to_the_percentile():
    image = np.arange(101.0).reshape(1, 1, 101)
    assert clip(image, 99).ravel().tolist() == [*range(100), 99]
    assert np.array_equal(clip(image, 100), image)


def test_planes_are_clipped_one_by_one_and_a_second_time_changes_little():
    once = clip(COUNTS, 99)
    assert once.max(axis=(1, 2)) == pytest.approx(np.percentile(COUNTS, 99, axis=(1, 2)))
    assert np.array_equal(clip(once, 99), once)


def test_clahe_does_not_know_the_unit_of_a_plane():
    equalised = clahe(COUNTS)
    assert equalised.min() >= 0
    assert equalised.max() <= 1
    assert clahe(COUNTS * 7) == pytest.approx(equalised, abs=1e-4)


def test_clahe_leaves_the_order_within_a_small_plane():
    # One neighbourhood: the same curve for every pixel, and it rises.
    ramp = np.linspace(0, 1, 32 * 32).reshape(1, 32, 32)
    assert (np.diff(clahe(ramp).ravel()) >= -1e-6).all()


def test_clahe_of_an_empty_and_of_a_constant_plane():
    assert not clahe(np.stack([np.zeros((16, 16)), np.full((16, 16), 3.0)])).any()


def test_compensation_undoes_mixing():
    pure = RNG.gamma(1.0, 20.0, (3, 8, 9))
    mixed = np.einsum("ij,ihw->jhw", MIXING, pure)
    assert compensate_spillover(mixed, MIXING) == pytest.approx(pure, rel=1e-4, abs=1e-3)


def test_compensation_is_non_negative_least_squares_pixel_by_pixel():
    mixed = RNG.poisson(2.0, (3, 12, 12)).astype(float)
    mixed[0] *= RNG.random((12, 12)) < 0.3  # zeros beside counts: the bound is active
    found = compensate_spillover(mixed, MIXING)
    assert (found == 0).any()
    for y, x in np.ndindex(12, 12):
        expected, _ = nnls(MIXING.T, mixed[:, y, x])
        assert found[:, y, x] == pytest.approx(expected, abs=1e-4)


def test_nothing_spilled_is_nothing_changed():
    assert np.array_equal(compensate_spillover(COUNTS, np.eye(2)), COUNTS)


@pytest.fixture(scope="module")
def tissue():
    recipe = find_recipe("phantom_lymphoid")
    return recipe, make_tissue((160, 160), recipe.tissue, 5)


def test_compensation_brings_the_phantom_nearer_to_what_it_would_be_without_spillover(tissue):
    recipe, made = tissue
    spilling = ImagingParameters(hot_rate=0.0)
    clean = ImagingParameters(
        hot_rate=0.0, spill_plus_one=0.0, spill_minus_one=0.0, spill_oxide=0.0
    )
    seen = image_tissue(made, recipe.panel, spilling, seed=5)
    wanted = image_tissue(made, recipe.panel, clean, seed=5)
    found = compensate_spillover(seen, spillover_matrix(recipe.panel, spilling))
    cd8 = recipe.panel.index("CD8a")  # Dy162 receives from CD20, Dy161
    b_cells = np.isin(made.cells, 1 + np.flatnonzero(made.types == made.type_names.index("B")))
    before, after, truth = (image[cd8][b_cells].mean() for image in (seen, found, wanted))
    assert before > truth + 0.5, "CD20 of B cells shows up in CD8a"
    # Not all of it: noise below 0 is cut off, so what is left is too much on average.
    assert abs(after - truth) < 0.35 * (before - truth)


def test_the_gaussian_and_the_median_are_those_of_another_library():
    for plane, smooth, middle in zip(COUNTS, gaussian(COUNTS), median(COUNTS), strict=True):
        assert smooth == pytest.approx(
            skimage_gaussian(plane, 1, mode="reflect", preserve_range=True), rel=1e-4
        )
        assert np.array_equal(middle, skimage_median(plane, np.ones((3, 3)), mode="reflect"))


@pytest.mark.parametrize("denoise", [gaussian, median, non_local_means, wavelet])
def test_denoisers_bring_counts_nearer_to_what_was_expected(denoise):
    wanted = np.repeat(np.repeat([[[4.0, 40.0], [16.0, 9.0]]], 24, axis=1), 24, axis=2)
    counts = np.random.default_rng(2).poisson(wanted)
    before, after = (((image - wanted) ** 2).mean() for image in (counts, denoise(counts)))
    assert after < 0.5 * before


@pytest.mark.parametrize("denoise", [gaussian, non_local_means, wavelet])
def test_denoisers_keep_the_mean_of_counts(denoise):
    counts = np.random.default_rng(3).poisson(12.0, (1, 64, 64))
    assert denoise(counts).mean() == pytest.approx(12, rel=0.03)


@pytest.mark.parametrize("step", [*STEPS, SPILLOVER])
def test_every_step_keeps_the_shape_and_the_input(step):
    image = COUNTS.copy()
    done = preprocess(image, step, np.eye(2))
    assert done.shape == image.shape
    assert done.dtype == np.float32
    assert np.array_equal(image, COUNTS)
    assert np.isfinite(done).all()
    assert done.min() >= 0


def test_steps_run_from_left_to_right():
    one = preprocess(COUNTS, "median+gaussian")
    assert np.array_equal(one, gaussian(median(COUNTS)))
    assert not np.array_equal(one, preprocess(COUNTS, "gaussian+median"))


def test_no_step_changes_nothing_but_gives_a_copy():
    done = preprocess(COUNTS, NONE)
    assert np.array_equal(done, COUNTS)
    assert not np.shares_memory(done, COUNTS)


@pytest.mark.parametrize("name", ["", "clip", "clip_98", "none+clahe", "clahe+", "Gaussian"])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match="unknown step"):
        parse(name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian(COUNTS[0]), r"expected shape \(C, H, W\), found \(48, 64\)"),
        (lambda: median(np.full((1, 4, 4), np.nan)), "finite"),
        (lambda: clip(COUNTS, 101), "0 to 100, found 101"),
        (lambda: wavelet(-COUNTS), "counts of 0 or more"),
        (lambda: preprocess(COUNTS, SPILLOVER), "needs a spillover matrix"),
        (lambda: compensate_spillover(COUNTS, np.eye(3)), r"expected shape \(2, 2\)"),
        (lambda: compensate_spillover(COUNTS, -np.eye(2)), "0 or more"),
        (lambda: compensate_spillover(COUNTS, np.ones((2, 2))), "keep more signal"),
    ],
)
def test_what_cannot_be_preprocessed(call, message):
    with pytest.raises(ValueError, match=message):
        call()
