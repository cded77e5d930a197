"""Size and surroundings of cells, counted by hand."""

import numpy as np
import pytest
from skimage.measure import regionprops_table

from imc_helpers.cells.properties import cell_properties, cell_shapes


def dots(*centres, shape=(100, 100), half=1):
    labels = np.zeros(shape, np.uint32)
    for k, (y, x) in enumerate(centres, 1):
        labels[y - half : y + half + 1, x - half : x + half + 1] = k
    return labels


def test_areas_and_neighbours_are_in_micrometres():
    labels = dots((50, 50), (50, 60), (50, 75), (5, 5))
    found = cell_properties(labels, 1.0).set_index("id")
    assert found["area_um2"].tolist() == [9] * 4
    per = 1000 / (np.pi * 20**2)
    assert found.loc[[1, 2, 3], "neighbours"].tolist() == pytest.approx([per, 2 * per, per])
    assert np.isnan(found.loc[4, "neighbours"]), "its circle leaves the image"
    half = cell_properties(labels, 0.5).set_index("id")
    assert half["area_um2"].tolist() == [9 / 4] * 4
    assert half.loc[1, "neighbours"] == pytest.approx(2 * per), "25 px are 12.5 µm now"


def test_a_circle_that_just_fits_counts():
    assert cell_properties(dots((50, 20), half=0), 1.0, radius_um=20.5)["neighbours"].notna().all()
    assert cell_properties(dots((50, 20), half=0), 1.0, radius_um=20.6)["neighbours"].isna().all()
    assert cell_properties(dots((50, 79), half=0), 1.0, radius_um=20.5)["neighbours"].notna().all()
    assert cell_properties(dots((50, 79), half=0), 1.0, radius_um=20.6)["neighbours"].isna().all()


def test_an_image_without_cells_has_no_rows():
    assert cell_properties(np.zeros((9, 9), np.uint32), 1.0).empty


def test_shapes_are_those_of_scikit_image():
    rng = np.random.default_rng(3)
    labels = np.kron(rng.integers(0, 9, (12, 12)), np.ones((5, 4), int)) * 100
    labels[3, 1] = 7  # a single pixel
    found = cell_shapes(labels.astype(np.uint32))
    names = ("label", *(n for n in found.columns if "centroid" not in n), "centroid")
    oracle = regionprops_table(labels, properties=names)
    assert found.index.tolist() == oracle["label"].tolist()
    for name in found.columns:
        assert found[name].to_numpy() == pytest.approx(oracle[name], abs=1e-5), name
    assert cell_shapes(np.zeros((4, 4), np.uint32)).empty
