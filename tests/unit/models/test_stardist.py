"""StarDist through its real library, with random weights in its own format."""

import shutil

import numpy as np
import pytest

from imc_helpers.errors import InputError
from imc_helpers.models.adapters import stardist
from imc_helpers.models.protocol import model_input

NAME = "model.zip"


@pytest.fixture
def record(make_record):
    return make_record(
        inputs=["nucleus"],
        parameters={"um_per_px": 0.5},
        weights=[{"url": f"https://example.org/{NAME}", "name": NAME}],
    )


@pytest.fixture
def adapter(record, tmp_path):
    pytest.importorskip(
        "stardist", reason="stardist is not installed here; its kernel is `make kernel-stardist`"
    )
    import tensorflow as tf
    from stardist.models import Config2D, StarDist2D

    tf.keras.utils.set_random_seed(0)
    model = StarDist2D(
        Config2D(n_rays=8, unet_n_depth=1, unet_n_filter_base=4, net_conv_after_unet=8),
        name="random",
        basedir=str(tmp_path / "made"),
    )
    model.keras_model.save_weights(str(tmp_path / "made" / "random" / "weights_best.weights.h5"))
    model.keras_model.save_weights(str(tmp_path / "made" / "random" / "weights_best.h5"))
    (tmp_path / "made" / "random" / "thresholds.json").write_text('{"prob": 0.499, "nms": 0.3}')
    shutil.make_archive(str(tmp_path / "model"), "zip", tmp_path / "made" / "random")
    return stardist.load(record, "cpu", tmp_path)


def test_labels_come_out(adapter, assert_labels, tissue):
    image = model_input(tissue, ["nucleus"])
    batch = assert_labels(adapter, [image, image[:, :64, :80]])
    np.testing.assert_array_equal(batch[0], adapter.predict([image], 1.0)[0])
    assert_labels(adapter, [image], um_per_px=0.5)


def test_an_image_without_nuclei(adapter, assert_labels):
    adapter.model.thresholds = {"prob": 0.99, "nms": 0.3}
    assert not assert_labels(adapter, [np.zeros((1, 64, 64), np.float32)])[0].any()


def test_no_weights_are_downloaded(record, tmp_path):
    with pytest.raises(InputError, match=r"model\.zip: no weights here"):
        stardist.load(record, "cpu", tmp_path)
