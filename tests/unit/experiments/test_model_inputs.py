"""The same sample, seen differently."""

import numpy as np
import pytest

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.experiments.model_inputs import (
    AGGREGATIONS,
    crop,
    enlarged,
    membrane_channels,
    part,
    preprocessed,
    read_spillover,
    with_channels,
)
from imc_helpers.images.clean import clip
from imc_helpers.images.spillover import compensate_spillover

PANEL = Panel(
    (
        Channel("Ir191", "DNA1", "nucleus"),
        Channel("Dy161", "CD20", "membrane"),
        Channel("Dy162", "CD8a", "membrane"),
        Channel("Sm152", "CD45"),
    )
)
RNG = np.random.default_rng(0)
SAMPLE = Sample(
    "one",
    RNG.poisson([[[9.0]], [[4.0]], [[2.0]], [[6.0]]], (4, 12, 10)).astype(np.float32),
    PANEL,
    1.0,
    {"a": RNG.integers(0, 5, (12, 10)).astype(np.uint32)},
    {"a": RNG.integers(0, 5, (12, 10)).astype(np.uint32)},
)


@pytest.mark.parametrize(
    ("choice", "positions"),
    [
        ("all", (1, 2)),
        ("none", ()),
        ("only CD45", (3,)),
        ("only Dy161", (1,)),
        ("without CD20", (2,)),
    ],
)
def test_choices_of_channels(choice, positions):
    assert membrane_channels(PANEL, choice) == positions


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("CD20", "expected 'all', 'none', 'only NAME' or 'without NAME'"),
        ("only CD3", "no channel 'CD3'"),
        ("without CD45", "one of several membrane channels, which are CD20, CD8a"),
    ],
)
def test_choices_that_make_no_sense(choice, message):
    with pytest.raises(InputError, match=message):
        membrane_channels(PANEL, choice)


def test_the_last_membrane_channel_cannot_be_left_out():
    panel = Panel(PANEL.channels[:2])
    with pytest.raises(InputError, match="one of several"):
        membrane_channels(panel, "without CD20")


def test_the_study_is_all_channels_by_the_mean():
    seen = with_channels(SAMPLE, "all", "mean")
    assert seen.panel.names == ("nucleus", "membrane")
    assert np.array_equal(seen.image[0], SAMPLE.image[0])
    assert np.array_equal(seen.image[1], SAMPLE.image[1:3].mean(axis=0))
    assert seen.masks == SAMPLE.masks


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_every_aggregation_gives_nucleus_and_membrane(aggregation):
    seen = with_channels(SAMPLE, "all", aggregation)
    assert len(seen.image) == (3 if aggregation == "rgb" else 2)
    assert seen.panel.compartment("nucleus") == (0,)
    assert seen.panel.compartment("membrane") == tuple(range(1, len(seen.image)))


def test_without_membrane_channels_the_plane_is_empty():
    seen = with_channels(SAMPLE, "none", "mean")
    assert not seen.image[1].any()
    assert seen.image[0].any()


def test_nuclear_channels_may_be_put_together_in_a_way_of_their_own():
    seen = with_channels(SAMPLE, "all", "arcsinh_mean", nucleus="mean")
    assert np.array_equal(seen.image[0], SAMPLE.image[0])
    assert seen.image[1] == pytest.approx(np.arcsinh(SAMPLE.image[1:3]).mean(axis=0), rel=1e-6)


@pytest.mark.parametrize(
    ("choice", "aggregation", "nucleus", "message"),
    [
        ("all", "average", "", "'average': expected one of mean"),
        ("all", "mean", "average", "'average': expected one of mean"),
        ("none", "rgb", "", "channels to colour"),
        ("all", "rgb", "mean", "no other way for the nuclear"),
        ("all", "mean", "rgb", "no other way for the nuclear"),
    ],
)
def test_aggregations_that_make_no_sense(choice, aggregation, nucleus, message):
    with pytest.raises(InputError, match=message):
        with_channels(SAMPLE, choice, aggregation, nucleus=nucleus)


def test_before_is_on_channels_and_after_on_planes():
    before = preprocessed(SAMPLE, "clip_99", "none")
    assert np.array_equal(before.image[1], clip(SAMPLE.image, 99)[1:3].mean(axis=0))
    after = preprocessed(SAMPLE, "none", "clip_99")
    assert np.array_equal(after.image, clip(with_channels(SAMPLE, "all", "mean").image, 99))


def test_what_is_linear_may_stand_before_or_after_the_mean():
    before, after = (
        preprocessed(SAMPLE, *steps) for steps in (("gaussian", "none"), ("none", "gaussian"))
    )
    assert before.image == pytest.approx(after.image, rel=1e-5)


def test_spillover_is_compensated_with_the_matrix_given():
    matrix = np.eye(4) + 0.02 * np.eye(4, k=1)
    expected = compensate_spillover(SAMPLE.image, matrix)[1:3].mean(axis=0)
    assert np.array_equal(preprocessed(SAMPLE, "spillover", "none", matrix).image[1], expected)


@pytest.mark.parametrize("before", ["spillover", "hot_pixels+spillover"])
def test_spillover_without_a_matrix_is_refused_with_the_reason(before):
    with pytest.raises(InputError, match=r"sample one comes without a measured matrix.*COHORT/"):
        preprocessed(SAMPLE, before, "none")


def test_a_table_of_spillover_by_name(tmp_path):
    path = tmp_path / "spillover.csv"
    path.write_text(",Dy162,Dy161,Lu175\nDy161,0.03,1,0.5\nLu175,0,0,1\n")
    matrix = read_spillover(path, PANEL)
    expected = np.eye(4)
    expected[1, 2] = 0.03
    assert np.array_equal(matrix, expected)


@pytest.mark.parametrize("text", ["", ",Dy161\nDy161,much\n"])
def test_a_table_of_spillover_that_is_none(tmp_path, text):
    path = tmp_path / "spillover.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="expected metals by metals"):
        read_spillover(path, PANEL)


def test_a_table_of_spillover_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such table"):
        read_spillover(tmp_path / "spillover.csv", PANEL)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [("clip", "none", "unknown step"), ("none", "spillover", "compensate it before")],
)
def test_pipelines_that_make_no_sense(before, after, message):
    with pytest.raises(InputError, match=message):
        preprocessed(SAMPLE, before, after)


@pytest.mark.parametrize(("declared", "um_per_px"), [(True, 0.5), (False, 1.0)])
def test_an_enlarged_sample_says_how_large_its_pixels_are(declared, um_per_px):
    large = enlarged(SAMPLE, 2, "nearest", declared=declared)
    assert large.shape == (24, 20)
    assert large.um_per_px == um_per_px
    assert not large.masks
    assert np.array_equal(large.image[:, ::2, ::2], with_channels(SAMPLE, "all", "mean").image)


def test_a_crop_is_the_middle_of_image_and_masks():
    cut = crop(SAMPLE, 4)
    assert np.array_equal(cut.image, SAMPLE.image[:, 4:8, 3:7])
    assert np.array_equal(cut.masks["a"], SAMPLE.masks["a"][4:8, 3:7])
    assert np.array_equal(cut.nuclei["a"], SAMPLE.nuclei["a"][4:8, 3:7])
    assert crop(SAMPLE, 11).shape == (11, 10)


def test_a_part_is_cut_from_masks_as_from_the_image():
    cut = part(SAMPLE, slice(0, 2), slice(5, 10))
    assert cut.shape == (2, 5) == cut.masks["a"].shape
