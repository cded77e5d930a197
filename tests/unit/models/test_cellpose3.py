"""Cellpose 3 through its real library, with random weights in its own format."""

import hashlib
import json
from importlib.metadata import version

import numpy as np
import pytest

from imc_helpers.data.manifest import Training, model_record
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters import cellpose3
from imc_helpers.models.protocol import Segmenter, model_input
from imc_helpers.models.training.fit import training_samples
from imc_helpers.models.training.labels import training_labels

pytest.importorskip("cellpose", reason="cellpose 3 is not installed (extra `models`)")

WIDTHS = (4, 8, 16, 32, 256)


def save_random(folder, widths, seed=0):
    import torch
    from cellpose.resnet_torch import CPnet

    torch.manual_seed(seed)
    net = CPnet([2, *widths], 3, sz=3, diam_mean=12.0)
    with torch.no_grad():
        net.output[2].bias[2] = 3.0  # more cell than not, so that there is something to outline
    net.save_model(folder / "net")


@pytest.fixture
def record(make_record):
    return make_record(
        parameters={"widths": WIDTHS, "min_size": 5, "flow_threshold": 0.0},
        weights=[{"url": "https://example.org/net", "name": "net"}],
        um_per_px=1.0,
    )


@pytest.fixture
def adapter(record, tmp_path):
    save_random(tmp_path, WIDTHS)
    return cellpose3.load(record, "cpu", tmp_path)


def test_a_batch_is_what_its_images_are_one_by_one(adapter, assert_labels, tissue):
    image = model_input(tissue, ["membrane", "nucleus"])
    images = [image[:, :64, :64], 3 * image[:, 32:, 32:], image[:, :64, 32:]]
    batch = assert_labels(adapter, images)
    assert max(labels.max() for labels in batch) > 0
    for labels, alone in zip(batch, images, strict=True):
        np.testing.assert_array_equal(labels, adapter.predict([alone], 1.0)[0])
    mixed = assert_labels(adapter, [images[0], image])
    np.testing.assert_array_equal(mixed[0], batch[0])


def test_the_diameter_follows_the_pixel_size(adapter, monkeypatch):
    asked = []

    def eval_(stack, *, diameter, channels, **_):
        asked.append((diameter, channels))
        return np.zeros(stack.shape[:3], int), None, None

    monkeypatch.setattr(adapter.model, "eval", eval_)
    for um_per_px in (1.0, 0.5):
        adapter.predict([np.ones((2, 16, 16), np.float32)], um_per_px)
    assert asked == [(12.0, [1, 2]), (24.0, [1, 2])]  # membrane first, nucleus second


def test_an_image_without_cells(adapter, assert_labels):
    adapter.eval_parameters["cellprob_threshold"] = 1e6  # random weights see cells in nothing
    assert not assert_labels(adapter, [np.zeros((2, 64, 64), np.float32)])[0].any()


def test_no_weights_are_downloaded(record, tmp_path):
    with pytest.raises(InputError, match="net: no weights here"):
        cellpose3.load(record, "cpu", tmp_path)


def test_weights_of_another_network(record, tmp_path):
    save_random(tmp_path, (4, 8, 16, 256))
    with pytest.raises(InputError, match="weights of another network"):
        cellpose3.load(record, "cpu", tmp_path)
    (tmp_path / "net").write_bytes(b"no weights")
    with pytest.raises(InputError, match="not readable as weights"):
        cellpose3.load(record, "cpu", tmp_path)


def test_the_published_network_has_the_size_that_the_manifest_says():
    model = cellpose3._new_model(cellpose3.PUBLISHED_WIDTHS, "cpu")
    assert f"{sum(p.numel() for p in model.net.parameters()) / 1e6:.1f} M" == (
        model_record("cyto3").size
    )
    model = cellpose3._new_model(model_record("cellpose3_phantom").parameters["widths"], "cpu")
    assert f"{sum(p.numel() for p in model.net.parameters()) / 1e6:.1f} M" == (
        model_record("cellpose3_phantom").size
    )


def shortened(changes, **parameters):
    """The book's own model, with a shorter training."""
    book = model_record("cellpose3_phantom")
    changes["parameters"] = book.training.parameters | parameters
    return book.model_copy(update={"training": book.training.model_copy(update=changes)})


@pytest.mark.slow
def test_training_finds_cells(tmp_path):
    # What makes it hold whatever the rounding: enough epochs (the library lowers the learning rate
    # in the last fifty); the truth, which is learned faster than an annotator's slips; cells at one
    # scale; images as large as the library's tiles, which are padded otherwise; and no check of
    # flows, which drops most cells of a network whose flows are right but still rough.
    record = shortened(
        {"images": 2, "side_px": 224, "epochs": 150, "labels": "truth"},
        nimg_per_epoch=4,
        batch_size=4,
        bsize=80,
        learning_rate=0.005,
        scale_range=0.0,
    )
    record = record.model_copy(update={"parameters": record.parameters | {"flow_threshold": 0.0}})
    samples = training_samples(record.training)
    cellpose3.train(samples, record, "cpu", tmp_path)
    losses = json.loads((tmp_path / "training.json").read_text())["losses"]
    assert losses[-1] < losses[0] / 2
    segmenter = Segmenter("key", record, cellpose3.load(record, "cpu", tmp_path), "cpu")
    for sample in samples:
        found = segmenter.segment(sample)
        truth = training_labels(sample, "truth")
        assert evaluate(truth, found).ap50 > 0.6
        assert evaluate(truth, found[::-1]).ap50 < 0.2  # chance, in tissue as dense as this


@pytest.fixture(scope="module")
def annotated():
    """Training tissue that an expert annotated."""
    return training_samples(
        Training(
            recipe="phantom_lymphoid", images=2, side_px=160, seed=5, epochs=1, labels="annotator"
        )
    )


@pytest.mark.slow
def test_training_repeats_and_says_what_it_was(tmp_path, annotated):
    record = shortened({"epochs": 3, "labels": "annotator"}, nimg_per_epoch=2)
    for folder in ("first", "second"):
        cellpose3.train(annotated, record, "cpu", tmp_path / folder)
    weights = (tmp_path / "first" / "cellpose3").read_bytes()
    assert (tmp_path / "second" / "cellpose3").read_bytes() == weights
    note = json.loads((tmp_path / "first" / "training.json").read_text())
    assert note["sha256"] == hashlib.sha256(weights).hexdigest()
    assert (note["epochs"], note["images"], note["labels"]) == (3, 2, "annotator")
    assert note["version"] == f"cellpose {version('cellpose')}"
    assert note["threads"] == 1, "tests run with the jobs' threads"


def test_training_tissue_is_annotated_where_a_model_learns_from_a_person(annotated):
    first, second = annotated
    assert not np.array_equal(first.image, second.image)
    drawn = training_labels(first, "annotator")
    assert evaluate(first.masks["truth"], drawn).ap50 > 0.5
    assert not np.array_equal(drawn, training_labels(first, "truth"))
    training = Training(recipe="phantom_lymphoid", images=1, side_px=160, seed=5, epochs=1)
    (bare,) = training_samples(training)
    np.testing.assert_array_equal(bare.image, first.image)
    with pytest.raises(InputError, match="no masks 'annotator1'"):
        training_labels(bare, "annotator")
