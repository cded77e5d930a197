"""A model on a cohort: whole images, windows, masks that exist, and what is written of it."""

import numpy as np
import pytest

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.predictions import read_prediction, read_run
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.models import run as inference
from imc_helpers.models.adapters import own_masks
from imc_helpers.models.run import segment_cohort

PANEL = Panel((Channel("Ir191", "DNA", "nucleus"), Channel("Dy161", "CD20", "membrane")))


def disks(side):
    """Round bright nuclei on a grid, 20 px apart, and what they are."""
    y, x = np.mgrid[:side, :side]
    dy, dx = y % 20 - 10, x % 20 - 10
    inside = dy**2 + dx**2 <= 16
    labels = np.where(inside, (y // 20) * 100 + x // 20 + 1, 0).astype(np.uint32)
    return np.where(inside, 50.0, 1.0).astype(np.float32), labels


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))

    def sample(name, side):
        nucleus, labels = disks(side)
        return Sample(name, np.stack([nucleus, nucleus]), PANEL, 1.0, {"expert": labels})

    write_cohort(tmp_path / "data" / "toy", [sample("large", 300), sample("small", 100)])
    return Cohort(tmp_path / "data" / "toy", name="toy")


def test_whole_images(cohort):
    run = segment_cohort(cohort, "distance", "whole")
    assert read_run("toy", "distance", "whole") == run
    assert (run.device, run.window_px, run.weights) == ("cpu", 0, "")
    assert [s.sample for s in run.samples] == ["large", "small"]
    large = run.samples[0]
    assert (large.megapixels, large.cells) == (0.09, 225)
    assert large.library_seconds <= large.seconds
    found = read_prediction("toy", "distance", "whole", "large")
    # Grown by two pixels, a nucleus of 49 px covers 113: each is found, at an IoU below one half.
    scores = evaluate(cohort.read_mask("large", "expert"), found)
    assert scores.n_pred == scores.n_true == 225


def test_each_window_is_an_image_of_its_own(cohort):
    run = segment_cohort(cohort, "distance", "patch", window_px=128, stride_px=64)
    assert (run.window_px, run.stride_px) == (128, 64)
    stack = read_prediction("toy", "distance", "patch", "large")
    assert stack.shape == (9, 128, 128)
    assert run.samples[0].megapixels == pytest.approx(9 * 128**2 / 1e6)
    assert run.samples[0].cells == sum(len(np.unique(plane)) - 1 for plane in stack)
    small = run.samples[1]
    assert (small.megapixels, small.cells) == (0, 0)
    assert read_prediction("toy", "distance", "patch", "small").shape == (0, 128, 128)


@pytest.fixture
def own(monkeypatch):
    """A model whose masks are a user's files."""
    made = ModelRecord(
        title="Mine",
        source="files",
        version="3",
        citation="schuiki2025",
        license="unpublished",
        adapter="own_masks",
        folder="my_masks",
    )
    for module in (inference, own_masks):
        monkeypatch.setattr(module, "model_record", lambda key: made)
    monkeypatch.setattr(inference, "weights_digest", lambda key: "")


def test_a_users_own_masks_are_staged_and_cut(cohort, own, tmp_path):
    write = tmp_path / "my_masks" / "toy"
    write.mkdir(parents=True)
    for name in cohort.ids:
        source = tmp_path / "data" / "toy" / "masks_expert" / f"{name}.tiff"
        (write / f"{name}.tiff").write_bytes(source.read_bytes())
    run = segment_cohort(cohort, "mine", "whole")
    assert (run.device, run.device_name) == ("", "")
    truth = cohort.read_mask("large", "expert")
    assert np.array_equal(read_prediction("toy", "mine", "whole", "large"), truth)
    segment_cohort(cohort, "mine", "patch")
    stack = read_prediction("toy", "mine", "patch", "large")
    assert np.array_equal(stack[0], truth[:256, :256])


def test_a_missing_mask_leaves_nothing(cohort, own, tmp_path):
    with pytest.raises(InputError, match=r"no mask large\.tiff; a mask is named as its image"):
        segment_cohort(cohort, "mine", "whole")
    assert not (tmp_path / "predictions" / "toy" / "mine" / "whole").exists()


def test_a_cohort_without_a_membrane_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    nucleus, _ = disks(64)
    bare = Sample("a", nucleus[None], Panel((Channel("Ir191", "DNA", "nucleus"),)), 1.0)
    write_cohort(tmp_path / "data" / "bare", [bare])
    with pytest.raises(InputError, match="no channel has compartment 'membrane'"):
        segment_cohort(Cohort(tmp_path / "data" / "bare", name="bare"), "distance", "whole")
    assert not list((tmp_path / "predictions").rglob("run.json"))
