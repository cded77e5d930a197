"""The pixel classifier: features and seeds by hand, cells of an image that one can draw."""

import numpy as np

from imc_helpers.images.pixel_classifier import (
    BACKGROUND,
    CYTOPLASM,
    NUCLEUS,
    class_probabilities,
    find_seeds,
    grow_cells,
    grow_forest,
    multiscale_features,
)

CENTRES = [(12, 12), (12, 36), (36, 12), (36, 36)]


def drawing():
    """Four cells of radius 7 px with nuclei of radius 3 px, 24 px apart, and what each pixel is."""
    y, x = np.mgrid[:48, :48]
    distance = np.min([np.hypot(y - r, x - c) for r, c in CENTRES], axis=0)
    classes = np.select([distance <= 3, distance <= 7], [NUCLEUS, CYTOPLASM], BACKGROUND)
    nucleus, membrane = (np.where(classes == kind, 5.0, 0.0) for kind in (NUCLEUS, CYTOPLASM))
    return [plane.astype(np.float32) for plane in (nucleus, membrane)], classes


def test_features_of_a_ramp_are_its_slope():
    ramp = np.tile(np.arange(64, dtype=np.float32) * 2, (64, 1))
    features = multiscale_features([ramp])
    assert features.shape == (64, 64, 4 * 4)  # scales, filters
    middle = features[24:40, 24:40].reshape(16, 16, 4, 4)
    assert np.allclose(middle[..., 0], ramp[24:40, 24:40, None], atol=1e-3)
    assert np.allclose(middle[..., 1], 2, atol=1e-3)
    assert np.allclose(middle[..., 2:], 0, atol=1e-3)


def test_probabilities_add_up_and_a_class_never_drawn_has_none():
    planes, classes = drawing()
    features = multiscale_features(planes)
    rows = features.reshape(-1, features.shape[-1])
    known = class_probabilities(grow_forest(rows, classes.ravel()), features)
    assert known.shape == (48, 48, 3)
    assert np.allclose(known.sum(axis=-1), 1, atol=2e-3)  # of three values on a grid of 1/1024
    assert (known.argmax(axis=-1) == classes).mean() > 0.95
    without = np.minimum(classes, CYTOPLASM)
    found = class_probabilities(grow_forest(rows, without.ravel()), features)
    assert not found[..., NUCLEUS].any()


def test_one_seed_per_nucleus():
    y, x = np.mgrid[:30, :40]
    bumps = sum(np.exp(-((y - 15) ** 2 + (x - c) ** 2) / 18) for c in (10, 28))
    seeds = find_seeds(bumps, 1.0)
    assert seeds.max() == 2
    assert seeds[15, 10] > 0
    assert seeds[15, 28] > 0
    assert find_seeds(bumps * 0.2, 1.0).max() == 0, "too improbable"


def test_drawn_cells_are_found_whatever_the_number_of_threads():
    planes, classes = drawing()
    features = multiscale_features(planes)
    forest = grow_forest(features.reshape(-1, features.shape[-1]), classes.ravel())
    cells, nuclei = grow_cells(features, forest, 0.5, 1.0)
    assert cells.dtype == nuclei.dtype == np.uint32
    assert np.unique(cells).tolist() == [0, 1, 2, 3, 4]
    assert len({int(cells[centre]) for centre in CENTRES}) == 4
    assert ((cells > 0) == (classes > BACKGROUND)).mean() > 0.95
    assert np.array_equal(nuclei[nuclei > 0], cells[nuclei > 0])
    for one, three in zip((cells, nuclei), grow_cells(features, forest, 0.5, 1.0, 3), strict=True):
        assert np.array_equal(one, three)
