"""Mesmer through DeepCell: with random weights, and with a network whose answer is known."""

import tarfile

import numpy as np
import pytest
from skimage.draw import disk
from skimage.filters import gaussian

from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters import mesmer

RECORD = model_record("mesmer")
ARCHIVE = RECORD.weights[0].name


@pytest.mark.parametrize(("options", "told"), [({}, 1.0), ({"image_mpp": None}, None)])
def test_the_library_is_told_the_pixel_size_unless_the_manifest_has_another(options, told):
    class Application:
        def predict(self, batch, **given):
            self.given = given
            return np.zeros((*batch.shape[:-1], 1), int)

    application = Application()
    model = mesmer.Mesmer(application, {"batch_size": 4, **options})
    (labels,) = model.predict([np.zeros((2, 5, 6))], 1.0)
    assert labels.shape == (5, 6)
    assert application.given == {"image_mpp": told, "batch_size": 4}


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip(
        "deepcell", reason="deepcell is not installed here; its kernel is `make kernel-deepcell`"
    )
    import tensorflow as tf

    tf.keras.utils.set_random_seed(0)
    return tf.keras


def pack(model, folder):
    """Write a model as DeepCell publishes its own."""
    model.save(folder / mesmer.MODEL)
    with tarfile.open(folder / ARCHIVE, "w:gz") as archive:
        archive.add(folder / mesmer.MODEL, mesmer.MODEL)
    return folder


@pytest.fixture(scope="module")
def random_weights(keras, tmp_path_factory):
    from deepcell.model_zoo.panopticnet import PanopticNet

    model = PanopticNet(
        backbone="resnet50",
        input_shape=(256, 256, 2),
        norm_method=None,
        num_semantic_classes=[1, 3, 1, 3],
        location=True,
        include_top=True,
        use_imagenet=False,
    )
    return pack(model, tmp_path_factory.mktemp("random"))


@pytest.fixture(scope="module")
def plain_weights(keras, tmp_path_factory):
    """A network that takes the first plane for the distance map, the second for the cells.

    Its heads for nuclei find something everywhere, so that a mistaken compartment would show.
    """
    image = keras.Input((256, 256, 2))
    first, second = image[..., :1], image[..., 1:]
    everywhere = keras.layers.Lambda(lambda x: x * 0 + 1)(first)
    cell = keras.layers.Concatenate()([1 - second, second, second * 0])
    nucleus = keras.layers.Concatenate()([everywhere] * 3)
    model = keras.Model(image, [first, cell, everywhere, nucleus])
    return pack(model, tmp_path_factory.mktemp("plain"))


def tissue(radius, shape=(256, 256)):
    """Planes and labels: small nuclei, and whole cells."""
    labels = np.zeros(shape, np.int32)
    nucleus = np.zeros(shape, np.float32)
    for i, centre in enumerate([(60, 50), (60, 120), (150, 80), (200, 180)], start=1):
        labels[disk(centre, radius)] = i
        nucleus[disk(centre, radius / 4)] = 1
    return np.stack([gaussian(nucleus, 1), labels > 0]).astype(np.float32), labels


@pytest.mark.parametrize("um_per_px", [0.5, 1.0])
def test_the_cells_of_a_known_network(plain_weights, um_per_px):
    image, true = tissue(15)
    (found,) = mesmer.load(RECORD, "cpu", plain_weights).predict([image], um_per_px)
    assert found.shape == true.shape
    scores = evaluate(true, found.astype(np.int64))
    assert scores.n_pred == scores.n_true == 4
    assert scores.ap50 == 1


def test_nucleus_comes_before_membrane(plain_weights):
    """In the other order the cells that are found are as small as nuclei."""
    image, true = tissue(15)
    (found,) = mesmer.load(RECORD, "cpu", plain_weights).predict([image[::-1].copy()], 0.5)
    assert 0 < np.count_nonzero(found) < 0.5 * np.count_nonzero(true)


@pytest.mark.slow
def test_the_whole_path(random_weights):
    adapter = mesmer.load(RECORD, "cpu", random_weights)
    rng = np.random.default_rng(0)
    patches = [rng.random((2, 256, 256), dtype=np.float32) for _ in range(2)]
    patches += [np.zeros((2, 256, 256), np.float32), rng.random((2, 300, 190), dtype=np.float32)]
    copies = [patch.copy() for patch in patches]
    labels = adapter.predict(patches, um_per_px=1.0)
    assert [found.shape for found in labels] == [patch.shape[1:] for patch in patches]
    assert all(np.issubdtype(found.dtype, np.integer) for found in labels)
    for patch, copy in zip(patches, copies, strict=True):
        np.testing.assert_array_equal(patch, copy)


def test_an_image_without_cells_gives_zeros(plain_weights):
    adapter = mesmer.load(RECORD, "cpu", plain_weights)
    (found,) = adapter.predict([np.zeros((2, 256, 256), np.float32)], um_per_px=1.0)
    assert found.shape == (256, 256)
    assert not found.any()


def test_no_weights_are_downloaded(tmp_path):
    with pytest.raises(InputError, match="make weights-mesmer"):
        mesmer.load(RECORD, "cpu", tmp_path)


def test_another_archive_is_refused(keras, tmp_path):
    (tmp_path / "other").write_text("other", encoding="utf-8")
    with tarfile.open(tmp_path / ARCHIVE, "w:gz") as archive:
        archive.add(tmp_path / "other", "other")
    with pytest.raises(InputError, match=r"no MultiplexSegmentation/saved_model\.pb"):
        mesmer.load(RECORD, "cpu", tmp_path)
