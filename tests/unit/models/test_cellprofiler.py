"""CellProfiler's three methods, on images whose cells are known."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters.cellprofiler import CellProfiler, find_nuclei, load
from imc_helpers.models.controls import random_voronoi
from imc_helpers.models.registry import load_segmenter
from imc_helpers.phantom.recipes import find_recipe, make_sample

METHODS = ("distance", "watershed", "propagation")


def discs(shape, centres, radius):
    rows, columns = np.indices(shape)
    image = np.zeros(shape, np.float32)
    for r, c in centres:
        image[(rows - r) ** 2 + (columns - c) ** 2 <= radius**2] = 10
    return image


def predict(method, nucleus, membrane, um_per_px=1.0, **settings):
    model = CellProfiler(method, **{"nucleus_um": 4.0, "expand_um": 4.0} | settings)
    (labels,) = model.predict([np.stack([nucleus, membrane])], um_per_px)
    return labels


def two_cells_with_a_wall():
    """Nuclei around columns 12 and 36; the wall between the cells at 18, and not midway at 24."""
    nucleus = discs((25, 49), [(12, 12), (12, 36)], 4)
    membrane = np.zeros(nucleus.shape, np.float32)
    membrane[4:21, 3:46] = 4
    membrane[4:21, 17:20] = 10
    return nucleus, membrane


def test_nuclei_are_where_they_are():
    centres = [(10, 10), (10, 40), (30, 12), (35, 40)]
    image = discs((50, 50), centres, 4)
    nuclei = find_nuclei(image, 6.0)
    assert nuclei.max() == 4
    assert sorted(nuclei[at] for at in centres) == [1, 2, 3, 4]
    # The threshold is on a smoothed image, so the outline may be off by a pixel.
    assert (nuclei[ndi.binary_erosion(image > 0)] > 0).all()
    assert not nuclei[~ndi.binary_dilation(image > 0, np.ones((3, 3)))].any()


def test_touching_nuclei_are_cut_at_the_waist():
    image = discs((30, 40), [(15, 13), (15, 25)], 6.5)  # they overlap in column 19
    nuclei = find_nuclei(image, 8.0)
    assert nuclei.max() == 2
    left, right = nuclei[15, 13], nuclei[15, 25]
    assert set(np.unique(nuclei[:, :18])) == {0, left}
    assert set(np.unique(nuclei[:, 21:])) == {0, right}


def test_what_is_smaller_than_the_smallest_nucleus_is_dropped():
    rows, columns = np.indices((40, 40))
    image = np.zeros((40, 40))
    for r, c, width in ((25, 25, 3), (6, 6, 1)):
        image += np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * width**2))
    small, large = (find_nuclei(image, diameter) for diameter in (3.0, 6.0))
    assert (np.unique(small[[6, 25], [6, 25]]) > 0).all() and len(np.unique(small)) == 3
    assert len(np.unique(large)) == 2
    assert large[25, 25] > 0
    # The areas that the two diameters stand for lie on either side of the small one's.
    assert np.pi / 4 * 3**2 < (small == small[6, 6]).sum() < np.pi / 4 * 6**2


def test_a_hot_pixel_is_no_nucleus():
    image = np.full((40, 40), 2.0)
    image += discs((40, 40), [(20, 20), (20, 8), (32, 20), (8, 30)], 5)
    image[36, 36] = 12
    assert find_nuclei(image, 4.0)[20, 20] > 0
    assert find_nuclei(image, 4.0)[34:39, 34:39].sum() == 0


@pytest.mark.parametrize("um_per_px", [1.0, 0.5])
def test_distance_takes_what_is_near_and_nothing_else(um_per_px):
    nucleus = discs((60, 60), [(20, 20), (40, 41)], 5)
    nuclei = find_nuclei(nucleus, 4.0 / um_per_px)
    labels = predict("distance", nucleus, np.zeros_like(nucleus), um_per_px, expand_um=3.0)
    away = ndi.distance_transform_edt(nuclei == 0)
    np.testing.assert_array_equal(labels > 0, away <= 3.0 / um_per_px)
    np.testing.assert_array_equal(labels[nuclei > 0], nuclei[nuclei > 0])


def test_distance_knows_no_membrane():
    nucleus, membrane = two_cells_with_a_wall()
    with_wall = predict("distance", nucleus, membrane, expand_um=20.0)
    without = predict("distance", nucleus, np.zeros_like(membrane), expand_um=20.0)
    np.testing.assert_array_equal(with_wall, without)
    assert with_wall[12, 23] == with_wall[12, 12] != with_wall[12, 25] == with_wall[12, 36]


@pytest.mark.parametrize("method", ["watershed", "propagation"])
def test_cells_meet_at_the_wall(method):
    nucleus, membrane = two_cells_with_a_wall()
    labels = predict(method, nucleus, membrane, expand_um=20.0)
    left, right = labels[12, 12], labels[12, 36]
    assert left != right and min(left, right) > 0
    assert labels[12, 15] == left  # before the wall
    assert labels[12, 21] == right  # beyond it, though nearer to the left nucleus
    assert labels[12, 44] == right
    assert not labels[0].any() and not labels[:, 48].any()  # no membrane, no cell


@pytest.mark.parametrize("method", ["watershed", "propagation"])
def test_growth_has_an_end(method):
    nucleus = discs((60, 60), [(30, 30)], 4)
    membrane = discs((60, 60), [(30, 30)], 25)
    labels = predict(method, nucleus, membrane, expand_um=6.0)
    away = ndi.distance_transform_edt(find_nuclei(nucleus, 4.0) == 0)
    assert not labels[away > 6].any()
    np.testing.assert_array_equal(labels > 0, away <= 6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0, 7])
def test_an_image_without_contrast_has_no_cells(method, value):
    flat = np.full((30, 40), value, np.float32)
    labels = predict(method, flat, flat)
    assert labels.shape == (30, 40) and not labels.any()


@pytest.mark.parametrize("method", METHODS)
def test_settings_are_lengths_and_not_pixels(method):
    """The same tissue at half the pixel size."""
    nucleus = discs((60, 60), [(15, 15), (15, 42), (42, 15), (42, 42)], 5)
    membrane = discs((60, 60), [(15, 15), (15, 42), (42, 15), (42, 42)], 8)
    coarse = predict(method, nucleus, membrane)
    fine = predict(method, *(np.kron(p, np.ones((2, 2))) for p in (nucleus, membrane)), 0.5)
    assert coarse.max() == fine.max() == 4
    assert evaluate(np.kron(coarse, np.ones((2, 2), int)), fine).sq > 0.85


@pytest.mark.parametrize("method", METHODS)
def test_inputs_stay_as_they_are(method):
    nucleus, membrane = two_cells_with_a_wall()
    before = nucleus.copy(), membrane.copy()
    predict(method, nucleus, membrane)
    np.testing.assert_array_equal(nucleus, before[0])
    np.testing.assert_array_equal(membrane, before[1])


def test_an_unknown_method_is_refused(tmp_path):
    record = model_record("distance")
    wrong = record.model_copy(update={"parameters": record.parameters | {"method": "magic"}})
    with pytest.raises(InputError, match="distance, watershed or propagation, found 'magic'"):
        load(wrong, "cpu", tmp_path)


@pytest.mark.parametrize("key", METHODS)
def test_tissue_is_segmented_better_than_by_chance(key):
    sample = make_sample(find_recipe("phantom_lymphoid"), (200, 200), 4711, "tissue")
    truth = sample.masks["truth"]
    found = load_segmenter(key).segment(sample)
    assert found.dtype == np.uint32
    assert evaluate(truth, found).ap50 > 3 * evaluate(truth, random_voronoi(truth)).ap50
