"""Tissue: what its parameters say is what it has, and what is drawn is geometry."""

import time
import zlib
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from skimage.measure import label, regionprops_table

from imc_helpers.cells.contacts import touching_pairs
from imc_helpers.errors import InputError
from imc_helpers.phantom.tissue import (
    CELL_TYPES,
    CellType,
    Contacts,
    Niche,
    TissueParameters,
    _paths,
    _territories,
    make_tissue,
)

DENSE = TissueParameters(
    (
        Niche("T zone", 0.5, 13_000, {"CD4 T": 0.6, "CD8 T": 0.3, "macrophage": 0.1}),
        Niche("follicle", 0.5, 13_000, {"B": 0.9, "stromal": 0.1}),
    )
)


@pytest.fixture(scope="module")
def dense():
    return make_tissue((400, 300), DENSE, seed=3)


def test_every_cell_is_one_piece_with_its_nucleus_inside(dense):
    n = len(dense.types)
    assert dense.cells.dtype == dense.nuclei.dtype == np.uint32
    assert dense.cells.shape == dense.nuclei.shape == dense.nuclear_path_um.shape == (400, 300)
    assert np.array_equal(np.unique(dense.cells), np.arange(n + 1))
    assert label(dense.cells, connectivity=1).max() == n
    has_nucleus = dense.nuclei > 0
    assert np.array_equal(dense.nuclei[has_nucleus], dense.cells[has_nucleus])
    assert (dense.nuclear_path_um[dense.cells == 0] == 0).all()
    assert dense.nuclear_path_um.max() <= dense.section_um
    assert np.bincount(dense.cells.ravel())[1:].min() >= 12


def log2_contacts(share):
    """Touching pairs of types, over what the types' numbers of contacts let expect: log2."""
    names = ["B", "CD4 T", "CD8 T", "endothelial"]
    mixed = Niche("all", 1.0, 11_000, dict(zip(names, [0.4, 0.25, 0.25, 0.1], strict=True)))
    contacts = Contacts("CD4 T", "endothelial", share) if share else None
    tissue = make_tissue((700, 700), TissueParameters((mixed,), contacts=contacts), seed=2)
    pairs, _ = touching_pairs(tissue.cells)
    code = np.array([names.index(tissue.type_names[k]) for k in tissue.types])
    found = np.zeros((4, 4))
    np.add.at(found, tuple(code[pairs - 1].T), 1)
    found += found.T
    degree = found.sum(axis=0)
    return np.log2(found / np.outer(degree, degree) * degree.sum()), np.bincount(code)


def test_contacts_are_planted_and_the_composition_stays():
    by_chance, n = log2_contacts(0)
    planted, n_planted = log2_contacts(0.3)
    assert n_planted == pytest.approx(n, rel=0.02)  # a sliver more or less
    # Fibres that lie along one another touch more than by chance, and a little less of the rest.
    assert np.abs(by_chance).max() < 0.3
    assert planted[1, 3] > by_chance[1, 3] + 0.7
    third = np.ix_([0, 2], [0, 2])
    assert np.abs(planted[third] - by_chance[third]).max() < 0.25
    assert (planted[[0, 2], 3] < by_chance[[0, 2], 3]).all(), "they gave way"


@pytest.mark.parametrize(
    ("contacts", "message"),
    [
        (lambda: Contacts("B", "B", 0.5), "expected two types, found 'B' twice"),
        (lambda: Contacts("B", "CD4 T", 1.5), "share must lie in 0 to 1"),
        (lambda: replace(DENSE, contacts=Contacts("B", "neuron", 0.5)), "cell type 'neuron'"),
    ],
)
def test_contacts_that_cannot_be(contacts, message):
    with pytest.raises(InputError, match=message):
        contacts()


def test_density_and_types_are_those_asked_for():
    wanted = {"B": 0.5, "CD4 T": 0.3, "macrophage": 0.15, "stromal": 0.05}
    tissue = make_tissue((400, 300), TissueParameters((Niche("all", 1.0, 10_000, wanted),)), seed=1)
    # Cells cut by the frame count too, so somewhat more than density times area.
    expected = 10_000 * 1e-6 * 400 * 300
    assert expected < len(tissue.types) < 1.12 * expected
    share = np.bincount(tissue.types, minlength=len(tissue.type_names)) / len(tissue.types)
    for name, found in zip(tissue.type_names, share, strict=True):
        # Within four standard errors of a share.
        assert found == pytest.approx(wanted.get(name, 0), abs=4 * 0.5 / np.sqrt(expected)), name


def test_dense_cells_touch(dense):
    right = dense.cells[:, 1:], dense.cells[:, :-1]
    border = (right[0] != right[1]) & (right[0] > 0)
    assert (right[1][border] > 0).mean() > 0.4


def test_a_seed_gives_one_tissue_on_every_platform():
    one, two = (make_tissue((120, 90), DENSE, seed=5) for _ in range(2))
    assert np.array_equal(one.cells, two.cells)
    assert np.array_equal(one.nuclear_path_um, two.nuclear_path_um)
    assert not np.array_equal(one.cells, make_tissue((120, 90), DENSE, seed=6).cells)
    # Recorded on x86-64 Linux: another platform must draw the same cells.
    assert zlib.crc32(one.cells.astype("<u4").tobytes()) == 2953466051


def test_a_cell_that_nothing_presses_on_has_the_area_and_shape_asked_for():
    kind = CellType(area_um2=100, area_cv=0.0, elongation=2.0, nucleus_share=0.5)
    parameters = TissueParameters(
        (Niche("all", 1.0, 1_000, {"x": 1.0}),), irregularity_um=0, cell_types={"x": kind}
    )
    tissue = make_tissue((300, 300), parameters, seed=0)
    table = regionprops_table(
        tissue.cells, properties=("area", "axis_major_length", "axis_minor_length", "bbox")
    )
    whole = (
        (table["bbox-0"] > 0)
        & (table["bbox-1"] > 0)
        & (table["bbox-2"] < 300)
        & (table["bbox-3"] < 300)
    )
    assert whole.sum() > 50
    assert np.median(table["area"][whole]) == pytest.approx(100, rel=0.03)
    ratio = (table["axis_major_length"] / table["axis_minor_length"])[whole]
    assert np.median(ratio) == pytest.approx(2.0, rel=0.06)


def test_pixels_are_micrometres_only_when_told_so():
    one = make_tissue((200, 200), DENSE, seed=1, um_per_px=1.0)
    half = make_tissue((400, 400), DENSE, seed=1, um_per_px=0.5)
    assert len(half.types) == pytest.approx(len(one.types), rel=0.05)
    areas = [np.median(np.bincount(t.cells.ravel())[1:]) for t in (one, half)]
    assert areas[1] == pytest.approx(4 * areas[0], rel=0.08)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_share_of_cells_without_a_nucleus(share):
    parameters = TissueParameters(
        (Niche("all", 1.0, 4_000, {"B": 1.0}),), out_of_plane=share, area_factor=1.5
    )
    tissue = make_tissue((500, 500), parameters, seed=2)
    seen = len(np.unique(tissue.nuclei)) - 1
    assert 1 - seen / len(tissue.types) == pytest.approx(share, abs=0.05)


def test_an_empty_niche_stays_empty():
    parameters = TissueParameters((Niche("air", 1.0, 0.0),))
    tissue = make_tissue((80, 80), parameters, seed=0)
    assert not tissue.cells.any()
    assert len(tissue.types) == 0


def test_two_cells_share_the_border_of_a_power_diagram():
    # Circles of radius 6 and 4, 8 px apart. The power distances d^2 - r^2 are equal where
    # x^2 - 36 = (x - 8)^2 - 16, which is x = 5.25: pixel 5 belongs to the first, 6 to the second.
    radius = np.array([6.0, 4.0])
    metric = np.stack([radius**-2, 0 * radius, radius**-2], axis=1)
    flat = np.zeros((21, 30))
    cells = _territories(
        flat.shape,
        np.array([10.0, 10.0]),
        np.array([10.0, 18.0]),
        metric,
        radius**2,
        np.array([7, 7]),
        flat,
        flat,
    )
    assert cells[10].tolist() == [0] * 5 + [1] * 11 + [2] * 6 + [0] * 8


def test_path_through_a_sphere_that_the_section_cuts():
    labels = np.ones((11, 11), np.uint32)
    radius, section_half = 3.0, 2.0

    def path(depth):
        return _paths(
            labels,
            np.array([5.0]),
            np.array([5.0]),
            np.array([[radius**-2, 0.0, radius**-2]]),
            np.array([radius]),
            np.array([depth]),
            section_half,
        )

    assert path(0.0)[5, 5] == pytest.approx(4.0)  # the whole section
    assert path(0.0)[5, 7] == pytest.approx(4.0)  # chord 2 sqrt(5) = 4.47 > 4
    assert path(3.0)[5, 5] == pytest.approx(2.0)  # from 0 up to 2
    assert path(5.0).max() == 0  # the sphere only touches the section
    assert path(0.0)[5, 8] == 0  # on the rim


def test_fibres_lie_alike_and_other_cells_anyhow():
    def order(name):
        """Mean resultant length of doubled angles among near neighbours: 1 alike, 0 anyhow."""
        kind = replace(CELL_TYPES[name], elongation=3.0)
        parameters = TissueParameters(
            (Niche("all", 1.0, 2_000, {name: 1.0}),),
            niche_scale_um=200,
            irregularity_um=0,
            cell_types={name: kind},
        )
        tissue = make_tissue((400, 400), parameters, seed=0)
        table = regionprops_table(tissue.cells, properties=("centroid", "orientation"))
        place = np.stack([table["centroid-0"], table["centroid-1"]], axis=1)
        near = cKDTree(place).query(place, k=4)[1]
        return np.abs(np.exp(2j * table["orientation"])[near].mean(axis=1)).mean()

    assert order("stromal") > 0.7
    assert order("B") < 0.6  # four random angles have 0.45


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"niche_scale_um": 0}, "niche_scale_um: expected a positive"),
        ({"area_factor": -1}, "area_factor: expected a positive"),
        ({"area_factor": 2}, "cannot be packed. Lower cells_per_mm2"),
        ({"section_um": float("nan")}, "section_um"),
        ({"irregularity_um": -1}, "irregularity_um"),
        ({"out_of_plane": 1.0}, "out_of_plane"),
        ({"niches": ()}, "at least one"),
        ({"niches": (Niche("a", 0.5, 10, {"B": 1.0}),)}, "sum to 0.500, expected 1"),
        ({"niches": (Niche("a", 1.0, 10, {"neuron": 1.0}),)}, "unknown cell type 'neuron'"),
    ],
)
def test_parameters_that_make_no_tissue(change, message):
    with pytest.raises(InputError, match=message):
        replace(DENSE, **change)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", 0.0, 10, {"B": 1.0}), "share must lie"),
        (("a", 1.0, -10, {"B": 1.0}), "cells_per_mm2 must be 0 or more"),
        (("a", 1.0, 10, {"B": 0.5}), "composition sums to 0.500"),
        (("a", 1.0, 10, {"B": 1.5, "CD4 T": -0.5}), "negative"),
    ],
)
def test_niches_that_cannot_be(arguments, message):
    with pytest.raises(InputError, match=message):
        Niche(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-5, 0.2, 1.2, 0.5), "area_um2"),
        ((50, 2.0, 1.2, 0.5), "area_cv"),
        ((50, 0.2, 0.5, 0.5), "elongation"),
        ((50, 0.2, 1.2, 1.0), "nucleus_share"),
    ],
)
def test_cell_types_that_cannot_be(arguments, message):
    with pytest.raises(InputError, match=message):
        CellType(*arguments)


@pytest.mark.parametrize(
    ("shape", "seed", "um"), [((0, 5), 0, 1.0), ((5, 5), -1, 1.0), ((5, 5), 0, 0.0)]
)
def test_sizes_that_cannot_be(shape, seed, um):
    with pytest.raises(InputError, match="expected"):
        make_tissue(shape, DENSE, seed, um)


@pytest.mark.slow
def test_13000_cells_in_5_seconds_and_cost_linear_in_cells():
    make_tissue((64, 64), DENSE, seed=0)  # compiles

    def seconds(side):
        times = []
        for _ in range(3):
            start = time.process_time()
            tissue = make_tissue((side, side), DENSE, seed=0)
            times.append(time.process_time() - start)
        return min(times), len(tissue.types)

    small, n_small = seconds(1000)
    assert n_small >= 13_000
    assert small < 5
    large, n_large = seconds(2000)
    assert large / n_large < 2 * small / n_small
