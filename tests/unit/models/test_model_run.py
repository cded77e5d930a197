"""A model on a cohort: whole images, windows, masks that exist, and what is written of it."""

import shutil
import sys
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np
import pytest

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.predictions import prediction_dir, read_prediction, read_run
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.models import registry
from imc_helpers.models import run as inference
from imc_helpers.models.adapters import own_masks
from imc_helpers.models.adapters.cellprofiler import CellProfiler
from imc_helpers.models.device import Device
from imc_helpers.models.run import segment_cohort, segment_cohorts

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


@pytest.fixture
def seen(monkeypatch):
    """Shapes of the images that reach the model, which can be told to fail at one of them."""
    shapes = []
    predict = CellProfiler.predict

    def watched(self, images, um_per_px):
        if images[0].shape[1] == seen.fails_at:
            raise RuntimeError("killed")
        shapes.extend(image.shape[1:] for image in images)
        return predict(self, images, um_per_px)

    seen = SimpleNamespace(shapes=shapes, fails_at=None)
    monkeypatch.setattr(CellProfiler, "predict", watched)
    return seen


def numbers(run):
    """What a run found, without what differs from one process to the next."""
    return [(s.sample, s.megapixels, s.cells) for s in run.samples]


def test_a_run_that_was_killed_goes_on(cohort, seen):
    whole = segment_cohort(cohort, "distance", "whole", made_from="today")
    kept = read_prediction("toy", "distance", "whole", "small")
    seen.fails_at = 100
    with pytest.raises(RuntimeError, match="killed"):
        segment_cohort(cohort, "distance", "whole", made_from="tomorrow")
    assert read_run("toy", "distance", "whole") is None
    seen.fails_at = None
    seen.shapes.clear()
    run = segment_cohort(cohort, "distance", "whole", made_from="tomorrow")
    assert seen.shapes == [(100, 100)], "the large image was done"
    assert numbers(run) == numbers(whole)
    assert read_run("toy", "distance", "whole") == run
    assert np.array_equal(read_prediction("toy", "distance", "whole", "small"), kept)


def test_nothing_is_kept_of_what_was_made_from_something_else(cohort, seen):
    for made_from in ("today", "tomorrow", "", ""):
        seen.shapes.clear()
        segment_cohort(cohort, "distance", "whole", made_from=made_from)
        assert seen.shapes == [(300, 300), (100, 100)]


def test_a_record_that_is_gone_is_written_again_without_the_model(cohort, monkeypatch):
    run = segment_cohort(cohort, "distance", "patch", made_from="today")
    (prediction_dir("toy", "distance", "patch") / "run.json").unlink()
    monkeypatch.setattr(inference, "load_segmenter", None)
    assert segment_cohort(cohort, "distance", "patch", made_from="today") == run
    assert read_run("toy", "distance", "patch") == run


def test_cohorts_share_one_model(cohort, tmp_path, monkeypatch):
    loaded = []
    load = inference.load_segmenter
    monkeypatch.setattr(
        inference, "load_segmenter", lambda *asked: loaded.append(asked) or load(*asked)
    )
    shutil.copytree(tmp_path / "data" / "toy", tmp_path / "data" / "twin")
    twin = Cohort(tmp_path / "data" / "twin", name="twin")
    runs = segment_cohorts([cohort, twin], "distance", "whole")
    assert loaded == [("distance", "cpu")]
    assert [run.cohort for run in runs] == ["toy", "twin"]
    assert numbers(runs[0]) == numbers(runs[1])
    with pytest.raises(InputError, match="one digest for each of 2 cohorts"):
        segment_cohorts([cohort, twin], "distance", "whole", made_from=["one"])


def test_what_would_fail_at_the_end_fails_first_and_touches_nothing(cohort, monkeypatch):
    run = segment_cohort(cohort, "distance", "whole")
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    with pytest.raises(InputError, match="OMP_NUM_THREADS: expected a number .* found 'many'"):
        segment_cohort(cohort, "distance", "whole")
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")
    full = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr(inference.shutil, "disk_usage", lambda path: full)
    with pytest.raises(InputError, match="masks may take 100 MB, and 1 MB are free"):
        segment_cohort(cohort, "distance", "whole")
    assert read_run("toy", "distance", "whole") == run
    monkeypatch.undo()
    monkeypatch.setenv("IMC_BOOK_ROOT", str(cohort.folder.parents[1]))
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert segment_cohort(cohort, "distance", "whole").threads == 3


def fake_torch(sees):
    properties = SimpleNamespace(name="A GPU", uuid="1-2-3")
    cuda = SimpleNamespace(
        is_available=lambda: sees,
        current_device=lambda: 0,
        get_device_properties=lambda device: properties,
        max_memory_allocated=lambda: 5e6,
    )
    return SimpleNamespace(__version__="9.9", cuda=cuda)


@pytest.mark.parametrize("sees", [False, True])
def test_the_library_decides_whether_there_is_a_gpu(cohort, monkeypatch, sees):
    """No driver's tool is asked: it may be missing, and know a GPU that the library cannot use."""
    record = inference.model_record("distance").model_copy(update={"gpu": True})
    for module in (inference, registry):
        monkeypatch.setattr(module, "model_record", lambda key: record)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "torch", fake_torch(sees))
    run = segment_cohort(cohort, "distance", "whole", device="cuda")
    if sees:
        assert (run.device, run.device_name, run.device_uuid) == ("cuda", "A GPU", "GPU-1-2-3")
        assert (run.peak_gpu_memory_mb, run.remarks) == (5.0, ())
    else:
        assert (run.device, run.device_uuid) == ("cpu", "")
        assert run.remarks == ("A GPU was asked for, but torch 9.9 sees none: it ran on the CPU",)


def test_masks_of_two_devices_are_not_mixed(cohort, seen, monkeypatch):
    seen.fails_at = 100
    with pytest.raises(RuntimeError, match="killed"):
        segment_cohort(cohort, "distance", "whole", made_from="today")
    seen.fails_at = None
    seen.shapes.clear()
    monkeypatch.setattr(inference, "find_device", lambda *asked: Device("cuda", "A GPU"))
    run = segment_cohort(cohort, "distance", "whole", made_from="today")
    assert run.device == "cuda"
    assert seen.shapes == [(300, 300), (100, 100)]


def test_a_record_names_the_versions_that_ran(cohort, monkeypatch):
    run = segment_cohort(cohort, "distance", "whole")
    assert (
        run.version == f"centrosome {version('centrosome')}, scikit-image {version('scikit-image')}"
    )
    monkeypatch.setattr(registry, "version", lambda name: "9.0")
    run = segment_cohort(cohort, "distance", "whole")
    assert run.version == "centrosome 9.0, scikit-image 9.0"
    assert run.remarks == (
        "centrosome 1.3.4 was asked for, and 9.0 ran; scikit-image 0.26 was asked for, and 9.0 ran",
    )


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
    assert (run.device, run.device_name, run.version) == ("", "", "3")
    truth = cohort.read_mask("large", "expert")
    assert np.array_equal(read_prediction("toy", "mine", "whole", "large"), truth)
    segment_cohort(cohort, "mine", "patch")
    stack = read_prediction("toy", "mine", "patch", "large")
    assert np.array_equal(stack[0], truth[:256, :256])


def test_a_missing_mask_leaves_nothing(cohort, own, tmp_path):
    with pytest.raises(InputError, match=r"no mask large\.tiff; a mask is named as its image"):
        segment_cohort(cohort, "mine", "whole")
    assert read_run("toy", "mine", "whole") is None


def test_a_cohort_without_a_membrane_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    nucleus, _ = disks(64)
    bare = Sample("a", nucleus[None], Panel((Channel("Ir191", "DNA", "nucleus"),)), 1.0)
    write_cohort(tmp_path / "data" / "bare", [bare])
    with pytest.raises(InputError, match="no channel has compartment 'membrane'"):
        segment_cohort(Cohort(tmp_path / "data" / "bare", name="bare"), "distance", "whole")
    assert not list((tmp_path / "predictions").rglob("run.json"))
