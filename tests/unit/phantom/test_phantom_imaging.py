"""Imaging: ions where the markers are, as many as expected, mixed as the masses say."""

from dataclasses import replace

import numpy as np
import pytest

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.errors import InputError
from imc_helpers.experiments.likeness import neighbour_correlation
from imc_helpers.phantom.imaging import (
    ImagingParameters,
    image_tissue,
    mass_number,
    spillover_matrix,
)
from imc_helpers.phantom.markers import MARKERS, Localisation, Marker
from imc_helpers.phantom.tissue import Niche, TissueParameters, make_tissue

QUIET = ImagingParameters(
    flicker=0, drift=0, hot_rate=0, spill_plus_one=0, spill_minus_one=0, spill_oxide=0, wash_out=0
)
MIXED = TissueParameters((Niche("all", 1.0, 9_000, {"B": 0.5, "CD4 T": 0.5}),))


def panel(*pairs):
    return Panel(tuple(Channel(metal, name) for name, metal in pairs))


@pytest.fixture(scope="module")
def tissue():
    return make_tissue((220, 200), MIXED, seed=4)


def test_counts_are_whole_and_reproducible(tissue):
    channels = panel(("DNA1", "Ir191"), ("CD20", "Dy161"))
    image = image_tissue(tissue, channels, ImagingParameters(), seed=1)
    assert image.shape == (2, 220, 200)
    assert image.dtype == np.float32
    assert (image >= 0).all()
    assert np.array_equal(image, np.rint(image))
    again = image_tissue(tissue, channels, ImagingParameters(), seed=1)
    assert np.array_equal(image, again)
    assert not np.array_equal(image, image_tissue(tissue, channels, ImagingParameters(), seed=2))


def test_background_is_poisson(tissue):
    image = image_tissue(tissue, panel(("Ce140", "Ce140")), QUIET, seed=0)[0]
    rate, n = MARKERS["Ce140"].background, image.size
    assert image.mean() == pytest.approx(rate, abs=4 * np.sqrt(rate / n))
    assert (image == 0).mean() == pytest.approx(np.exp(-rate), abs=4 * np.sqrt(rate / n))
    assert image.var() == pytest.approx(rate, rel=0.1)


def test_flicker_of_the_plasma_gas(tissue):
    noisy = replace(QUIET, flicker=0.05)
    image = image_tissue(tissue, panel(("ArAr80", "ArAr80")), noisy, seed=0)[0]
    rate = MARKERS["ArAr80"].background
    assert image.var() == pytest.approx(rate + (0.05 * rate) ** 2, rel=0.05)


def test_markers_are_in_their_cells_and_compartments(tissue):
    flat = {"DNA1": MARKERS["DNA1"], "CD20": replace(MARKERS["CD20"], cell_cv=0.0, grain=0.0)}
    image = image_tissue(tissue, panel(("DNA1", "Ir191"), ("CD20", "Dy161")), QUIET, 0, flat)
    of_cell = np.array(tissue.type_names)[tissue.types]
    kind = np.concatenate([["none"], of_cell])[tissue.cells]
    dna, cd20 = image
    assert dna[tissue.nuclear_path_um > 3].mean() > 5 * dna[tissue.nuclear_path_um == 0].mean()
    assert cd20[kind == "B"].mean() > 4 * cd20[kind == "CD4 T"].mean()


def test_level_without_blur_is_the_marker_s_own():
    tissue = make_tissue((120, 120), MIXED, seed=0)
    where = Localisation(membrane=0.5, cytoplasm=0.5, nucleus=0.5)
    even = {"m": Marker({"B": 40.0, "CD4 T": 40.0}, 2.0, where, cell_cv=0.0, grain=0.0)}
    sharp = replace(QUIET, spot_sigma_um=0.0)
    image = image_tissue(tissue, panel(("m", "Nd142")), sharp, 0, even)[0]
    outside = tissue.cells == 0
    inside = ~outside & (tissue.nuclear_path_um == 0)
    assert image[outside].mean() == pytest.approx(2.0, rel=0.1)
    assert image[inside].mean() == pytest.approx(22.0, rel=0.02)
    doubled = image_tissue(tissue, panel(("m", "Nd142")), replace(sharp, sensitivity=2.0), 0, even)
    assert doubled[0][inside].mean() == pytest.approx(44.0, rel=0.02)


def test_a_wider_spot_ties_neighbours_together(tissue):
    narrow, wide = (
        image_tissue(tissue, panel(("CD20", "Dy161")), replace(QUIET, spot_sigma_um=s), seed=0)[0]
        for s in (0.3, 1.5)
    )
    assert neighbour_correlation(wide) > neighbour_correlation(narrow) + 0.1


def test_wash_out_runs_along_the_rows(tissue):
    smeared = replace(QUIET, wash_out=0.4, spot_sigma_um=0.0)
    plane = image_tissue(tissue, panel(("CD20", "Dy161")), smeared, seed=0)[0]
    along = np.corrcoef(plane[:, 1:].ravel(), plane[:, :-1].ravel())[0, 1]
    down = np.corrcoef(plane[1:].ravel(), plane[:-1].ravel())[0, 1]
    assert along > down + 0.03


def test_hot_pixels_are_as_many_as_asked_for(tissue):
    rate = 0.01
    hot = replace(QUIET, hot_rate=rate, hot_counts=1000.0)
    image = image_tissue(tissue, panel(("Ce140", "Ce140")), hot, seed=0)[0]
    n = int((image > 20).sum())  # 20 lies 3.6 standard deviations below a typical hot pixel
    assert n == pytest.approx(rate * image.size, abs=4 * np.sqrt(rate * image.size))


def test_spillover_by_hand():
    channels = panel(
        ("CD5", "Nd145"), ("CD20", "Dy161"), ("CD8a", "Dy162"), ("ArAr80", "ArAr80"), ("B2M", "I81")
    )
    parameters = ImagingParameters(spill_plus_one=0.02, spill_minus_one=0.01, spill_oxide=0.005)
    assert spillover_matrix(channels, parameters).tolist() == [
        [0.995, 0.005, 0, 0, 0],  # Nd145: its oxide weighs 161
        [0, 0.98, 0.02, 0, 0],
        [0, 0.01, 0.99, 0, 0],
        [0, 0, 0, 1, 0],  # the plasma gas does not come with the section
        [0, 0, 0, 0.01, 0.99],
    ]


def test_spilled_ions_arrive():
    tissue = make_tissue((120, 120), MIXED, seed=0)
    channels = panel(("CD20", "Dy161"), ("Ce140", "Dy162"))
    spilling = replace(QUIET, spill_plus_one=0.1)
    source, plus_one = image_tissue(tissue, channels, spilling, seed=0)
    expected = 0.1 / 0.9 * source.mean() + MARKERS["Ce140"].background
    assert plus_one.mean() == pytest.approx(expected, rel=0.03)


def test_a_channel_does_not_depend_on_the_others(tissue):
    alone = image_tissue(tissue, panel(("CD20", "Dy161")), ImagingParameters(), seed=9)
    among = image_tissue(
        tissue,
        panel(("DNA1", "Ir191"), ("CD20", "Dy161"), ("CD3", "Er170")),
        ImagingParameters(),
        9,
    )
    assert np.array_equal(alone[0], among[1])


def test_two_isotopes_of_one_dye_agree(tissue):
    dna = image_tissue(tissue, panel(("DNA1", "Ir191"), ("DNA2", "Ir193")), QUIET, seed=0)
    assert np.corrcoef(dna[0].ravel(), dna[1].ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("CD99", "Nd142")], "unknown channel 'CD99'; known: .*CD20"),
        ([("CD20", "dysprosium")], "expected a metal tag such as 'Ir191'"),
        ([("CD20", "Dy161"), ("CD3", "Gd161")], "same mass"),
    ],
)
def test_panels_that_cannot_be_imaged(tissue, pairs, message):
    with pytest.raises(InputError, match=message):
        image_tissue(tissue, panel(*pairs), QUIET, seed=0)


def test_a_marker_names_cell_types_that_exist(tissue):
    odd = {"m": Marker({"neuron": 5.0}, 1.0, Localisation(1, 1, 1))}
    with pytest.raises(InputError, match="unknown cell type 'neuron'"):
        image_tissue(tissue, panel(("m", "Nd142")), QUIET, 0, odd)


@pytest.mark.parametrize(
    "wrong",
    [
        {"spot_sigma_um": -1},
        {"wash_out": 1.0},
        {"hot_rate": float("nan")},
        {"drift_rows": 0.5},
        {"spill_plus_one": 0.9, "spill_oxide": 0.2},
    ],
)
def test_instruments_that_cannot_be(wrong):
    with pytest.raises(InputError, match="expected|must"):
        ImagingParameters(**wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Localisation(1.5, 0, 0),
        lambda: Marker({"B": -1.0}, 0.0, Localisation(1, 0, 0)),
        lambda: Marker({}, -1.0, Localisation(1, 0, 0)),
    ],
)
def test_markers_that_cannot_be(make):
    with pytest.raises(InputError, match="must"):
        make()


def test_mass_numbers():
    assert [mass_number(m) for m in ("Ir191", "ArAr80", "Y89")] == [191, 80, 89]
