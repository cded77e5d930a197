"""micro-sam through its library: with random weights, and with maps that are known."""

import numpy as np
import pytest
from scipy import ndimage as ndi
from skimage.draw import disk

from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters import microsam

RECORD = model_record("micro_sam")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder as `make weights-micro_sam` leaves it, with a network that was never trained."""
    try:
        segmentation = pytest.importorskip(
            "micro_sam.instance_segmentation",
            reason="micro-sam is not installed here; its kernel is `make kernel-micro-sam`",
        )
    except RuntimeError as error:
        pytest.skip(f"torchvision does not load beside this torch: {error}")
    import torch
    from segment_anything import sam_model_registry

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("micro_sam")
    network = sam_model_registry["vit_b"]()
    torch.save(network.state_dict(), folder / microsam.ENCODER)
    unetr = segmentation.get_unetr(network.image_encoder, device="cpu").state_dict()
    decoder = {name: value for name, value in unetr.items() if not name.startswith("encoder")}
    torch.save(decoder, folder / microsam.DECODER)
    return folder


@pytest.fixture(scope="module")
def adapter(weights):
    return microsam.load(RECORD, "cpu", weights)


def give(adapter, monkeypatch, foreground, centre, border):
    """Let the network answer with these maps; returns the images that it was given."""
    seen = []

    def initialize(image, ndim):
        seen.append(image)
        maps = {"foreground": foreground, "center_distances": centre, "boundary_distances": border}
        adapter.segmenter.set_state({name: m.astype(np.float32) for name, m in maps.items()})

    monkeypatch.setattr(adapter.segmenter, "initialize", initialize)
    return seen


def test_the_cells_of_known_maps(adapter, monkeypatch):
    true = np.zeros((96, 112), np.int32)
    centres = np.ones(true.shape, bool)
    for i, centre in enumerate([(25, 25), (25, 48), (68, 60)], start=1):
        true[disk(centre, 11)] = i
        centres[centre] = False
    border = 1 - ndi.distance_transform_edt(true > 0) / 11
    to_centre = np.minimum(ndi.distance_transform_edt(centres) / 11, 1)
    seen = give(adapter, monkeypatch, true > 0, to_centre, border)
    image = np.stack([np.linspace(0, scale, 96 * 112).reshape(96, 112) for scale in (9, 5, 0)])
    (found,) = adapter.predict([image.astype(np.float32)], um_per_px=1.0)
    scores = evaluate(true, found.astype(np.int64))
    assert scores.n_pred == scores.n_true == 3
    assert scores.map > 0.9
    assert seen[0].shape == (96, 112, 3)
    np.testing.assert_allclose(seen[0].max(axis=(0, 1)), [1, 1, 0])


def test_no_foreground_gives_zeros(adapter, monkeypatch):
    nothing = np.zeros((40, 50))
    give(adapter, monkeypatch, nothing, nothing + 1, nothing + 1)
    (found,) = adapter.predict([np.ones((3, 40, 50), np.float32)], um_per_px=1.0)
    assert found.shape == (40, 50)
    assert not found.any()


@pytest.mark.slow
def test_the_whole_path(adapter):
    rng = np.random.default_rng(0)
    patches = [rng.random((3, 96, 80), dtype=np.float32), np.zeros((3, 64, 64), np.float32)]
    copies = [patch.copy() for patch in patches]
    labels = adapter.predict(patches, um_per_px=1.0)
    assert [found.shape for found in labels] == [(96, 80), (64, 64)]
    assert all(np.issubdtype(found.dtype, np.integer) for found in labels)
    for patch, copy in zip(patches, copies, strict=True):
        np.testing.assert_array_equal(patch, copy)


@pytest.mark.parametrize("name", [microsam.ENCODER, microsam.DECODER])
def test_other_weights_are_refused(weights, tmp_path, name):
    import torch

    for file in (microsam.ENCODER, microsam.DECODER):
        (tmp_path / file).symlink_to(weights / file)
    (tmp_path / name).unlink()
    torch.save({}, tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: not the weights of this network"):
        microsam.load(RECORD, "cpu", tmp_path)
