"""The tables of a mask, against the libraries whose numbers they are."""

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage as ndi
from skimage.measure import regionprops_table

from imc_helpers.downstream.measure import measure, read_tables, write_tables
from imc_helpers.errors import InputError

CHANNELS = ["DNA", "CD20", "CD3"]


def tissue(seed=0, shape=(60, 70), cells=40):
    """Cells with gaps between some of them, ids with holes, one cell of one pixel."""
    rng = np.random.default_rng(seed)
    seeds = rng.integers(0, shape, size=(cells, 2))
    y, x = np.mgrid[: shape[0], : shape[1]]
    apart = np.hypot(y[..., None] - seeds[:, 0], x[..., None] - seeds[:, 1])
    labels = np.where(apart.min(axis=-1) < 4.5, 1 + 3 * apart.argmin(axis=-1), 0)
    labels[labels == labels[0, 0]] = 0
    labels[0, 0] = 999
    return rng.poisson(3.7, (3, *shape)).astype(np.float32), labels.astype(np.uint32)


def test_the_tables_are_those_of_scipy_and_scikit_image():
    image, labels = tissue()
    tables = measure(image, labels, CHANNELS, source="a")
    ids = tables.intensities.index.to_numpy()
    assert ids.tolist() == tables.regionprops.index.tolist() == np.unique(labels)[1:].tolist()
    for name, plane in zip(CHANNELS, image, strict=True):
        assert np.array_equal(tables.intensities[name], ndi.mean(plane, labels, ids))
    names = ["area", "centroid", "axis_major_length", "axis_minor_length", "eccentricity"]
    oracle = pd.DataFrame(regionprops_table(labels, properties=["label", *names]))
    exact = ["area", "centroid-0", "centroid-1"]
    assert np.array_equal(tables.regionprops[exact], oracle[exact])
    for name in names[2:]:  # the same ellipse by another formula: the last bit may differ
        assert tables.regionprops[name].to_numpy() == pytest.approx(oracle[name], abs=1e-6)


def test_neighbours_are_those_of_steinbock():
    """Steinbock's rule, cell by cell: grow all, then look one pixel around each."""
    image, labels = tissue(1)
    found = measure(image, labels, CHANNELS, source="a").neighbors
    far, nearest = ndi.distance_transform_edt(labels == 0, return_indices=True)
    grown = np.where(far <= 4, labels[tuple(nearest)], 0)
    expected = [
        (one, other)
        for one in np.unique(labels)[1:]
        for other in np.unique(grown[ndi.distance_transform_edt(grown != one) <= 1])
        if other not in (0, one)
    ]
    assert list(zip(found["Object"], found["Neighbor"], strict=True)) == expected
    centres = dict(zip(np.unique(labels)[1:], centres_of(labels), strict=True))
    apart = [np.hypot(*(centres[a] - centres[b])) for a, b in expected]
    assert found["Distance"].to_numpy() == pytest.approx(apart)


def centres_of(labels):
    ids = np.unique(labels)[1:]
    return np.array(ndi.center_of_mass(labels > 0, labels, ids))


def test_tables_come_back_as_they_were(tmp_path):
    image, labels = tissue(2)
    tables = measure(image, labels, CHANNELS, source="a")
    write_tables(tmp_path, "anna", "s", tables)
    again = read_tables(tmp_path, "anna", "s", labels)
    for name in ("intensities", "regionprops", "neighbors"):
        pd.testing.assert_frame_equal(
            getattr(again, name), getattr(tables, name), check_exact=True, check_index_type=False
        )
    header = (tmp_path / "neighbors_anna" / "s.csv").read_text().splitlines()[0]
    assert header == "Object,Neighbor,Distance"


def test_a_mask_without_cells_and_one_of_one_pixel():
    image, labels = tissue()
    tables = measure(image, np.zeros_like(labels), CHANNELS, source="a")
    assert (len(tables.intensities), len(tables.regionprops), len(tables.neighbors)) == (0, 0, 0)
    assert list(tables.neighbors) == ["Object", "Neighbor", "Distance"]
    one = np.zeros_like(labels)
    one[3, 4] = 7
    tables = measure(image, one, CHANNELS, source="a")
    assert tables.intensities.loc[7].tolist() == image[:, 3, 4].tolist()
    assert tables.regionprops.loc[7, ["area", "axis_major_length"]].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda i, m: (i, m[:-1], CHANNELS),
            r"here: the mask has shape \(59, 70\).*crop or export",
        ),
        (lambda i, m: (i, m, ["DNA", "CD3", "CD3"]), "here: two channels are called 'CD3'.*panel"),
        (lambda i, m: (i, m, ["DNA"]), "here: 1 names for 3 channels"),
        (lambda i, m: (i - 2, m, CHANNELS), "here: channel 'DNA' holds -2.*counts as the instr"),
        (lambda i, m: (np.where(i > 7, np.nan, i), m, CHANNELS), "here: channel 'DNA' holds nan"),
    ],
)
def test_input_that_cannot_be_measured(spoil, message):
    image, labels, channels = spoil(*tissue())
    with pytest.raises(InputError, match=message):
        measure(image, labels, channels, source="here")


def test_a_table_of_another_mask(tmp_path):
    image, labels = tissue()
    write_tables(tmp_path, "anna", "s", measure(image, labels, CHANNELS, source="a"))
    without = np.where(labels == 999, 0, labels)
    with pytest.raises(InputError, match=r"intensities_anna.s\.csv: it names cell 999.*again"):
        read_tables(tmp_path, "anna", "s", without)
    with pytest.raises(InputError, match=r"intensities_bo.s\.csv: no such table"):
        read_tables(tmp_path, "bo", "s", labels)
