"""Labelling where a forest is unsure: it stops by its rule, and looks only at what it asked for."""

import numpy as np
import pytest

from imc_helpers.errors import InputError
from imc_helpers.models.training import active
from imc_helpers.models.training.active import drawn_classes, label_actively, uncertainty
from imc_helpers.phantom.recipes import find_recipe, make_sample


@pytest.fixture(scope="module", autouse=True)
def short():
    """Few pixels, few rounds."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("PER_ROUND", 60), ("LOOKED_AT", 600), ("MOST_ROUNDS", 9)):
            patch.setattr(active, name, value)
        yield


@pytest.fixture(scope="module")
def images():
    """Four images of one feature, which tells three classes apart, but for some noise."""
    rng = np.random.default_rng(0)
    features = {f"image{k}": rng.random((60, 50, 1)).astype(np.float32) for k in range(4)}
    classes = {
        name: np.digitize(one[..., 0] + rng.normal(0, 0.05, (60, 50)), [1 / 3, 2 / 3])
        for name, one in features.items()
    }
    return features, classes


@pytest.fixture(scope="module")
def labelled(images):
    return label_actively(*images, seed=3, score=lambda forest: {"trees": len(forest.estimators_)})


def test_uncertainty_is_one_less_the_margin():
    p = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    assert np.allclose(uncertainty(p), [0, 1, 0.8])


def test_labelling_ends_three_rounds_after_the_lowest_uncertainty(labelled):
    curve = labelled.curve
    lowest = int(curve["uncertainty"].argmin())
    assert len(curve) in (lowest + 1 + active.PATIENCE, active.MOST_ROUNDS)
    assert curve["labelled_pixels"].diff().dropna().eq(active.PER_ROUND).all()
    assert curve["labelled_pixels"].iloc[0] == active.FIRST_IMAGES * active.PER_ROUND
    assert curve["labelled_pixels"].iloc[-1] == len(labelled.classes) == len(labelled.pixels)
    assert curve["images"].iloc[-1] == len(labelled.images) <= 4
    assert curve["trees"].nunique() == 1, "what is measured of a forest stands in its row"


def test_pixels_are_asked_for_where_classes_meet(labelled):
    """Classes change at 1/3 and 2/3 of the feature; what is labelled first is anywhere."""
    away = np.abs(labelled.pixels - [1 / 3, 2 / 3]).min(axis=1)
    # Uniform pixels lie within .1 of a border in 40 of 100 cases.
    assert (away < 0.1).mean() > 0.5


def test_the_same_seed_labels_the_same_pixels(images, labelled):
    again = label_actively(*images, seed=3)
    assert np.array_equal(again.pixels, labelled.pixels)
    assert np.array_equal(
        again.forest().predict(again.pixels), labelled.forest().predict(again.pixels)
    )
    assert not np.array_equal(label_actively(*images, seed=4).pixels, labelled.pixels)


def test_labelling_ends_where_all_is_labelled(images):
    features, classes = ({k: v[:20, :20] for k, v in part.items()} for part in images)
    found = label_actively(features, classes, seed=0)
    assert len(found.classes) <= 4 * 400


def test_no_image_to_label():
    with pytest.raises(InputError, match="split is empty"):
        label_actively({}, {}, 0)


def test_a_person_sees_nuclei_within_cells():
    sample = make_sample(find_recipe("phantom_lymphoid"), (64, 64), 5, "tissue")
    seen = drawn_classes(sample, seed=1)
    true = np.where(sample.nuclei["truth"] > 0, 2, np.where(sample.masks["truth"] > 0, 1, 0))
    assert seen.shape == (64, 64)
    assert 0.6 < (seen == true).mean() < 1, "by and large, and not quite"
