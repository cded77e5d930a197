"""The pixel forest: trained on drawn crops of tissue, run on other tissue."""

import hashlib
import json

import numpy as np
import pytest

from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters.pixel_forest import load, train
from imc_helpers.models.availability import TRAINING
from imc_helpers.models.protocol import model_input
from imc_helpers.phantom.recipes import find_recipe, make_sample

RECORD = model_record("pixel_forest")


def tissue(seed, side=160):
    return make_sample(find_recipe("phantom_lymphoid"), (side, side), seed, f"tissue_{seed}")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "pixel_forest"
    train([tissue(1), tissue(2)], RECORD, "cpu", folder)
    return folder


@pytest.fixture(scope="module")
def forest(weights):
    return load(RECORD, "cpu", weights)


@pytest.fixture(scope="module")
def sample():
    return tissue(3)


@pytest.fixture(scope="module")
def cells(forest, sample):
    return forest.predict([model_input(sample, RECORD.inputs)], 1.0)[0]


def test_tissue_that_it_has_not_seen(sample, cells):
    scores = evaluate(sample.masks["truth"], cells)
    assert scores.ap50 > 0.6
    assert 0.75 < scores.n_pred / scores.n_true < 1.15


def test_the_note_beside_the_weights(weights):
    note = json.loads((weights / TRAINING).read_text())
    assert set(note) == {"seconds", "epochs", "losses", "images", "seed", "sha256", "device"}
    (file,) = (p for p in weights.iterdir() if p.name != TRAINING)
    assert note["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (note["images"], note["seed"], note["device"]) == (2, RECORD.training.seed, "cpu")
    assert note["seconds"] > 0 and note["epochs"] is None


@pytest.mark.slow
def test_the_same_training_gives_the_same_weights(weights, tmp_path):
    train([tissue(1), tissue(2)], RECORD, "cpu", tmp_path)
    first, second = (json.loads((f / TRAINING).read_text()) for f in (weights, tmp_path))
    assert first["sha256"] == second["sha256"]


def test_ten_crops_are_kept(weights):
    with np.load(weights / "labelled_pixels.npz") as kept:
        assert kept["pixels"].shape == (10 * 50 * 50, 2 * 4 * 4)  # 2 planes, 4 scales, 4 filters
        assert set(np.unique(kept["classes"])) == {0, 1, 2}
        assert 0.2 <= kept["threshold"] <= 0.8
        assert kept["um_per_px"] == 1.0


def test_the_forest_that_grows_anew_is_the_same(weights, sample, cells):
    again = load(RECORD, "cpu", weights).predict([model_input(sample, RECORD.inputs)], 1.0)[0]
    np.testing.assert_array_equal(again, cells)


def test_brightness_does_not_matter(forest, sample, cells):
    planes = model_input(sample, RECORD.inputs) * np.float32([4, 1024])[:, None, None]
    np.testing.assert_array_equal(forest.predict([planes], 1.0)[0], cells)


def test_images_of_finer_pixels_are_scaled(forest, sample, cells):
    planes = np.kron(model_input(sample, RECORD.inputs), np.ones((2, 2), np.float32))
    (fine,) = forest.predict([planes], 0.5)
    assert fine.shape == (320, 320) and fine.dtype == np.uint32
    assert evaluate(np.kron(cells, np.ones((2, 2), int)), fine).ap50 > 0.95


@pytest.mark.parametrize("shape", [(40, 30), (1, 1), (3, 70)])
@pytest.mark.parametrize("um_per_px", [1.0, 0.377, 2.0])
def test_an_empty_image_has_no_cells(forest, shape, um_per_px):
    (labels,) = forest.predict([np.zeros((2, *shape), np.float32)], um_per_px)
    assert labels.shape == shape and not labels.any()


def test_weights_that_are_missing_or_something_else(tmp_path):
    with pytest.raises(InputError, match="no labelled pixels"):
        load(RECORD, "cpu", tmp_path)
    np.savez(tmp_path / "labelled_pixels.npz", pixels=np.zeros((3, 2)))
    with pytest.raises(InputError, match="no labelled pixels"):
        load(RECORD, "cpu", tmp_path)
    (tmp_path / "labelled_pixels.npz").write_text("nothing")
    with pytest.raises(InputError, match="no labelled pixels"):
        load(RECORD, "cpu", tmp_path)


def test_tissue_too_small_for_ten_crops(tmp_path):
    with pytest.raises(InputError, match="hold only 1"):
        train([tissue(1, side=60)], RECORD, "cpu", tmp_path / "w")
