"""CellSAM through its library, with random weights in its own format."""

import functools
import tarfile

import numpy as np
import pytest

from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.models.adapters import cellsam

RECORD = model_record("cellsam")
ARCHIVE = RECORD.weights[0].name


def pack(state, folder):
    """Write weights as DeepCell publishes them."""
    import torch

    path = folder / cellsam.WEIGHTS
    path.parent.mkdir()
    torch.save(state, path)
    with tarfile.open(folder / ARCHIVE, "w:gz", compresslevel=1) as archive:
        archive.add(path.parent, path.parent.name)
    path.unlink()
    return folder


@pytest.fixture(scope="module")
def library():
    """The library, with one block of each encoder's twelve: the same path in less time."""
    pytest.importorskip("segment_anything", reason="segment-anything is not installed here")
    try:
        inference = pytest.importorskip(
            "cellSAM.sam_inference",
            reason="cellSAM is not installed here; its kernel is `make kernel-sam`",
        )
    except RuntimeError as error:
        pytest.skip(f"torchvision does not load beside this torch: {error}")
    from cellSAM.AnchorDETR.models import backbone
    from segment_anything.build_sam import _build_sam

    small = functools.partial(
        _build_sam,
        encoder_embed_dim=768,
        encoder_depth=1,
        encoder_num_heads=12,
        encoder_global_attn_indexes=[0],
    )
    with pytest.MonkeyPatch.context() as patch:
        for module in (inference, backbone):
            patch.setattr(module, "sam_model_registry", {"vit_b": small})
        yield inference


@pytest.fixture(scope="module")
def state(library):
    from importlib.resources import files

    import torch
    import yaml

    torch.manual_seed(0)
    config = yaml.safe_load((files("cellSAM") / "modelconfig.yaml").read_text())
    return library.CellSAM(config).state_dict()


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory):
    return pack(state, tmp_path_factory.mktemp("cellsam"))


@pytest.fixture
def adapter(weights):
    return cellsam.load(RECORD, "cpu", weights)


def patches():
    rng = np.random.default_rng(0)
    made = rng.random((2, 3, 128, 96), dtype=np.float32)
    made[:, 0] = 0
    return list(made)


@pytest.mark.slow
def test_labels_are_those_of_the_library(adapter, monkeypatch):
    """Boxes are given, since an untrained detector is sure of none."""
    import torch
    from cellSAM import segment_cellular_image

    boxes = torch.tensor([[80.0, 60, 400, 300], [500, 500, 900, 800], [100, 600, 420, 990]])
    monkeypatch.setattr(adapter.network, "generate_bounding_boxes", lambda *a, **k: [boxes])
    monkeypatch.setattr(adapter.network, "iou_threshold", -np.inf)
    images = patches()
    copies = [image.copy() for image in images]
    labels = adapter.predict(images, um_per_px=1.0)
    assert [found.shape for found in labels] == [(128, 96)] * 2
    assert any(found.any() for found in labels)
    for found, image, copy in zip(labels, images, copies, strict=True):
        np.testing.assert_array_equal(image, copy)
        expected = segment_cellular_image(np.moveaxis(image, 0, -1), adapter.network)[0]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_no_detection_gives_zeros(adapter):
    from cellSAM import segment_cellular_image

    adapter.network.bbox_threshold = 2.0  # nothing is that sure
    image = patches()[0]
    with pytest.raises(AttributeError):  # what makes the adapter necessary
        segment_cellular_image(np.moveaxis(image, 0, -1), adapter.network, bbox_threshold=2.0)
    (found,) = adapter.predict([image], um_per_px=1.0)
    assert found.shape == (128, 96)
    assert not found.any()


def test_an_empty_image_gives_zeros(adapter):
    (found,) = adapter.predict([np.zeros((3, 64, 80), np.float32)], um_per_px=1.0)
    assert found.shape == (64, 80)
    assert not found.any()


def test_weights_that_lack_something_are_refused(state, tmp_path):
    first = next(name for name in state if name.startswith("cellfinder."))
    pack({name: value for name, value in state.items() if name != first}, tmp_path)
    with pytest.raises(InputError, match=f"it lacks {first}"):
        cellsam.load(RECORD, "cpu", tmp_path)


def test_older_weights_without_the_second_decoder_load(state, tmp_path):
    pack({n: v for n, v in state.items() if not n.startswith("model_cp.")}, tmp_path)
    assert not cellsam.load(RECORD, "cpu", tmp_path).network.adv_mode


def test_no_weights_are_downloaded(tmp_path):
    with pytest.raises(InputError, match="make weights-cellsam"):
        cellsam.load(RECORD, "cpu", tmp_path)
