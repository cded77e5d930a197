"""InstanSeg through its real library, with random weights in its own format."""

import hashlib
import json
import zipfile
from importlib.metadata import version

import numpy as np
import pytest

from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters import instanseg, instanseg_script
from imc_helpers.models.protocol import model_input
from imc_helpers.models.training.fit import training_samples
from imc_helpers.phantom.drawing import TRUTH

pytest.importorskip("instanseg", reason="instanseg-torch is not installed (extra `models`)")


def save_random(path, cells_and_nuclei, cell_px=None, classifier=None):
    """Save a network with random weights; with a diameter, its cells are round and as wide."""
    import torch
    from instanseg.utils.loss.instanseg_loss import InstanSeg, InstanSeg_Torchscript
    from instanseg.utils.model_loader import build_model_from_dict

    method = InstanSeg(n_sigma=2, device="cpu", cells_and_nuclei=cells_and_nuclei)
    net = build_model_from_dict(
        {
            "model_str": "InstanSeg_UNet",
            "dim_in": 2,
            "n_sigma": 2,
            "dim_coords": 2,
            "dim_seeds": 1,
            "cells_and_nuclei": cells_and_nuclei,
            "multihead": False,
            "layers": [8, 16],
            "norm": "BATCH",
        },
        random_seed=0,
    )
    net = method.initialize_pixel_classifier(net, MLP_width=5)
    if classifier is not None:
        net.pixel_classifier = classifier
    if cell_px is not None:
        instanseg._start(net, cell_px)
    torch.jit.save(
        torch.jit.script(
            InstanSeg_Torchscript(
                net, cells_and_nuclei=cells_and_nuclei, pixel_size=0.5, backbone_dim_in=2
            )
        ),
        path,
    )


@pytest.fixture
def record(make_record):
    return make_record(
        # Random weights are sure of nothing: thresholds that let everything through.
        parameters={
            "seed_threshold": 0.0,
            "mask_threshold": 0.01,
            "mean_threshold": -9.0,
            "peak_distance": 15,  # few seeds, so that it does not take minutes
        },
        weights=[{"url": "https://example.org/net.zip", "name": "net.zip"}],
    )


@pytest.mark.slow
@pytest.mark.parametrize("both", [False, True])
def test_labels_come_out(record, tmp_path, assert_labels, tissue, both):
    save_random(tmp_path / "instanseg.pt", both)
    with zipfile.ZipFile(tmp_path / "net.zip", "w") as archive:
        archive.write(tmp_path / "instanseg.pt", "0.1/instanseg.pt")
    adapter = instanseg.load(record, "cpu", tmp_path)
    image = model_input(tissue, ["membrane", "nucleus"])
    batch = assert_labels(adapter, [image, image[:, ::-1]])
    assert max(labels.max() for labels in batch) > 0
    np.testing.assert_array_equal(batch[0], adapter.predict([image], 1.0)[0])
    assert_labels(adapter, [image, image[:, :80, :80]])
    large = np.tile(image, (1, 3, 3))  # at 0.5 um/px larger than a tile of the library's
    assert_labels(adapter, [large])


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("um_per_px", [0.5, 0.8])
def test_cells_are_those_of_the_library(make_record, tmp_path, tissue, both, um_per_px):
    save_random(tmp_path / "instanseg.pt", both, cell_px=8)
    record = make_record(parameters={"window_size": 16, "seed_threshold": 0.5})
    adapter = instanseg.load(record, "cpu", tmp_path)
    image = model_input(tissue, ["membrane", "nucleus"])[:, :-7, :-12]  # to be filled up, then
    [labels] = adapter.predict([image], um_per_px)
    assert adapter.parts is not None
    adapter.parts = None
    assert len(np.unique(labels)) > 20
    np.testing.assert_array_equal(labels, adapter.predict([image], um_per_px)[0])


def test_a_network_sees_over_the_edges_of_its_pieces(make_record, tmp_path, tissue, monkeypatch):
    save_random(tmp_path / "instanseg.pt", False, cell_px=8)
    record = make_record(parameters={"seed_threshold": 0.5})
    parts = instanseg.load(record, "cpu", tmp_path).parts
    image = np.tile(model_input(tissue, ["membrane", "nucleus"]), (1, 2, 2))
    whole = parts.segment(image, 0.5)
    monkeypatch.setattr(instanseg_script, "_PIECE_PX", 80)
    monkeypatch.setattr(instanseg_script, "_AROUND_PX", 32)
    np.testing.assert_array_equal(parts.segment(image, 0.5), whole)
    monkeypatch.setattr(instanseg_script, "_AROUND_PX", 0)
    assert (parts.segment(image, 0.5) != whole).any()


def test_cells_of_a_tiny_image(make_record, tmp_path, tissue):
    save_random(tmp_path / "instanseg.pt", False, cell_px=8)
    adapter = instanseg.load(make_record(), "cpu", tmp_path)
    image = model_input(tissue, ["membrane", "nucleus"])[:, :5, :40]
    [labels] = adapter.predict([image], 0.5)
    assert labels.shape == (5, 40)


def test_what_cannot_be_taken_apart_is_left_to_the_library(make_record, tmp_path, tissue):
    import torch
    from instanseg.utils.loss.instanseg_loss import ProbabilityNet

    class AnotherNet(ProbabilityNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc3(torch.tanh(self.fc1(x)))

    asked = make_record(parameters={"target": "nuclei", "seed_threshold": 0.5})
    save_random(tmp_path / "instanseg.pt", True, cell_px=8)
    image = model_input(tissue, ["membrane", "nucleus"])
    adapter = instanseg.load(asked, "cpu", tmp_path)
    assert adapter.parts is None
    assert adapter.predict([image], 0.5)[0].any()
    save_random(tmp_path / "instanseg.pt", False, classifier=AnotherNet(4, width=5))
    adapter = instanseg.load(make_record(), "cpu", tmp_path)
    assert adapter.parts is None
    assert adapter.predict([image], 0.5)[0].shape == image.shape[1:]


def test_an_image_without_cells(record, tmp_path, assert_labels):
    save_random(tmp_path / "net.zip", True)
    calm = record.model_copy(update={"parameters": {"seed_threshold": 1e6}})
    adapter = instanseg.load(calm, "cpu", tmp_path)
    assert not assert_labels(adapter, [np.zeros((2, 64, 64), np.float32)])[0].any()


def test_what_is_no_instanseg(record, tmp_path):
    import torch

    with pytest.raises(InputError, match=r"net\.zip: no weights here"):
        instanseg.load(record, "cpu", tmp_path)
    (tmp_path / "net.zip").write_bytes(b"no weights")
    with pytest.raises(InputError, match="not a TorchScript"):
        instanseg.load(record, "cpu", tmp_path)
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "net.zip")
    with pytest.raises(InputError, match="no InstanSeg: it lacks cells_and_nuclei"):
        instanseg.load(record, "cpu", tmp_path)


def shortened(changes, **parameters):
    """The book's own model, with a shorter training on small tissue."""
    book = model_record("instanseg_phantom")
    changes = {"images": 2, "side_px": 96, "labels": "truth", **changes}
    changes["parameters"] = book.training.parameters | {"crop_px": 64, "batch_size": 4} | parameters
    return book.model_copy(update={"training": book.training.model_copy(update=changes)})


@pytest.mark.slow
def test_training_finds_cells(tmp_path, assert_labels):
    # Four crops at once, for the batch normalisation: with one at a time borders depend on the last
    # rounding.
    record = shortened({"epochs": 10}, batches=10, learning_rate=0.005)
    samples = training_samples(record.training)
    instanseg.train(samples, record, "cpu", tmp_path)
    losses = json.loads((tmp_path / "training.json").read_text())["losses"]
    assert losses[-1] < 0.7 * losses[0]
    adapter = instanseg.load(record, "cpu", tmp_path)
    for sample in samples:
        [labels] = assert_labels(adapter, [model_input(sample, record.inputs)])
        truth = sample.masks[TRUTH]
        assert evaluate(truth, labels).ap50 > 0.4
        assert evaluate(truth, labels[::-1]).ap50 < 0.2  # chance, in tissue as dense as this


@pytest.mark.slow
def test_training_repeats_and_says_what_it_was(tmp_path):
    record = shortened({"epochs": 2}, batches=2)
    samples = training_samples(record.training)
    for folder in ("first", "second"):
        instanseg.train(samples, record, "cpu", tmp_path / folder)
    notes = [json.loads((tmp_path / f / "training.json").read_text()) for f in ("first", "second")]
    assert notes[0]["losses"] == notes[1]["losses"]
    weights = (tmp_path / "first" / "instanseg.pt").read_bytes()
    assert notes[0]["sha256"] == hashlib.sha256(weights).hexdigest()
    assert notes[0]["version"] == f"instanseg-torch {version('instanseg-torch')}"
    assert (notes[0]["epochs"], notes[0]["threads"]) == (2, 1)
