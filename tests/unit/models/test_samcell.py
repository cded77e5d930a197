"""SAMCell through its library: with random weights, and with a distance map that is known."""

import numpy as np
import pytest
from scipy import ndimage as ndi
from skimage.draw import disk

from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters import samcell

RECORD = model_record("samcell")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder as `make weights-samcell` leaves it, with a network that was never trained."""
    pytest.importorskip(
        "samcell", reason="samcell is not installed here; its kernel is `make kernel-sam`"
    )
    import torch
    from transformers import SamConfig, SamImageProcessor, SamModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("samcell")
    # One block of the encoder's twelve: the same path, in a tenth of the time.
    config = SamConfig(vision_config={"num_hidden_layers": 1, "global_attn_indexes": [0]})
    config.save_pretrained(folder / samcell.BASE)
    SamImageProcessor().save_pretrained(folder / samcell.BASE)
    torch.save(SamModel(config).state_dict(), folder / samcell.WEIGHTS)
    return folder


@pytest.fixture
def no_network(monkeypatch):
    """Make any connection an error."""
    import socket

    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def adapter(weights, no_network):
    return samcell.load(RECORD, "cpu", weights)


def test_the_cells_of_a_known_map(adapter, monkeypatch):
    true = np.zeros((100, 120), np.int32)
    for i, centre in enumerate([(25, 25), (25, 46), (70, 60)], start=1):
        true[disk(centre, 10)] = i
    distance = ndi.distance_transform_edt(true > 0).astype(np.float32)
    monkeypatch.setattr(adapter.pipeline, "predict_on_full_img", lambda grey: distance / 10)
    (found,) = adapter.predict([np.ones((1, 100, 120), np.float32)], um_per_px=1.0)
    scores = evaluate(true, found)
    assert scores.n_pred == scores.n_true == 3
    assert scores.map > 0.95


def test_no_pixel_over_the_threshold_gives_zeros(adapter, monkeypatch):
    below = np.full((40, 50), RECORD.parameters["cells_max"], np.float32)
    monkeypatch.setattr(adapter.pipeline, "predict_on_full_img", lambda grey: below)
    (found,) = adapter.predict([np.ones((1, 40, 50), np.float32)], um_per_px=1.0)
    assert found.shape == (40, 50)
    assert not found.any()


def test_grey_is_the_membrane_in_8_bits(adapter, monkeypatch):
    seen = []

    def keep(grey):
        seen.append(grey)
        return np.zeros(grey.shape, np.float32)

    monkeypatch.setattr(adapter.pipeline, "predict_on_full_img", keep)
    ramp = np.linspace(0, 500, 101, dtype=np.float32).reshape(1, 1, 101)
    adapter.predict([ramp], um_per_px=1.0)
    (grey,) = seen
    assert grey.dtype == np.uint8
    assert grey.shape == (1, 101)
    # Of 101 equal steps, percentiles 1 and 99 are the second value and the last but one.
    assert [int(grey[0, i]) for i in (0, 1, 50, 99, 100)] == [0, 0, 128, 255, 255]


def test_an_error_inside_is_not_an_image_without_cells(adapter, monkeypatch):
    def fail(grey):
        raise ValueError("out of memory")

    monkeypatch.setattr(adapter.pipeline, "predict_on_full_img", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        adapter.predict([np.ones((1, 40, 50), np.float32)], um_per_px=1.0)


@pytest.mark.slow
def test_the_whole_path(adapter):
    rng = np.random.default_rng(0)
    patches = [rng.random((1, 256, 200), dtype=np.float32), np.zeros((1, 60, 60), np.float32)]
    copies = [patch.copy() for patch in patches]
    labels = adapter.predict(patches, um_per_px=1.0)
    assert [found.shape for found in labels] == [(256, 200), (60, 60)]
    assert all(np.issubdtype(found.dtype, np.integer) for found in labels)
    for patch, copy in zip(patches, copies, strict=True):
        np.testing.assert_array_equal(patch, copy)


def test_other_weights_are_refused(weights, tmp_path):
    import shutil

    import torch

    shutil.copytree(weights / samcell.BASE, tmp_path / samcell.BASE)
    torch.save({}, tmp_path / samcell.WEIGHTS)
    with pytest.raises(InputError, match="not the weights of this network"):
        samcell.load(RECORD, "cpu", tmp_path)
