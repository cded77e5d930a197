"""Masks of models on disk, and the tables that say what ran."""

import numpy as np
import pytest

from imc_helpers.data import predictions
from imc_helpers.data.predictions import (
    RunRecord,
    SampleRun,
    read_prediction,
    read_progress,
    read_run,
)
from imc_helpers.errors import InputError
from imc_helpers.models import run_tables


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    return tmp_path


def run_record(mode="whole", **changes):
    values = {
        "cohort": "toy",
        "model": "watershed",
        "mode": mode,
        "version": "1",
        "weights": "",
        "parameters": {"a": 1},
        "device": "cpu",
        "device_name": "an abacus",
        "dtype": "",
        "threads": 1,
        "window_px": 0,
        "stride_px": 0,
        "load_seconds": 0.5,
        "peak_memory_mb": 100.0,
        "peak_gpu_memory_mb": 0.0,
        "samples": (
            SampleRun(sample="a", megapixels=0.5, cells=2, seconds=3.0, library_seconds=2.0),
            SampleRun(sample="b", megapixels=1.5, cells=1, seconds=1.0, library_seconds=1.0),
        ),
        "finished": "2026-11-21T00:00:00+00:00",
    }
    return RunRecord(**{**values, **changes})


def write(run, masks):
    folder = predictions.prediction_dir(run.cohort, run.model, run.mode)
    predictions.write_predictions(folder, masks, lambda: run)
    return folder


def labels(*shape):
    image = np.zeros(shape, np.uint32)
    image[..., :2, :2] = 70_000
    return image


def test_what_is_written_is_read_again():
    run = run_record()
    folder = write(run, [("a", labels(5, 7))])
    assert read_run("toy", "watershed", "whole") == run
    assert np.array_equal(read_prediction("toy", "watershed", "whole", "a"), labels(5, 7))
    names = sorted(path.name for path in folder.iterdir())
    assert names == [".progress.json", "a.tiff", "run.json"]


@pytest.mark.parametrize("windows", [1, 3])
def test_patches_keep_their_axis(windows):
    stack = labels(windows, 6, 6)
    write(run_record("patch"), [("a", stack)])
    assert np.array_equal(read_prediction("toy", "watershed", "patch", "a"), stack)


def test_an_image_without_windows_is_an_empty_stack():
    empty = np.zeros((0, 256, 256), np.uint32)
    small = SampleRun(sample="a", megapixels=0, cells=0, seconds=0, library_seconds=0)
    run = run_record("patch", samples=(small,), window_px=256)
    write(run, [("a", empty)])
    assert read_prediction("toy", "watershed", "patch", "a").shape == (0, 256, 256)
    with pytest.raises(InputError, match="no such file"):
        read_prediction("toy", "watershed", "patch", "b")


def write_half(made_from, first="a"):
    """Write one mask, then fail."""

    def masks():
        yield first, labels(9, 9)
        done.append(first)
        raise RuntimeError("killed")

    done = []
    half = run_record(version="2").samples[:1]
    folder = predictions.prediction_dir("toy", "watershed", "whole")
    with pytest.raises(RuntimeError, match="killed"):
        predictions.write_predictions(
            folder,
            masks(),
            lambda: run_record(version="2", samples=half if done else ()),
            made_from=made_from,
        )
    return folder


def test_a_run_that_is_killed_is_no_run():
    write(run_record(), [("a", labels(5, 7)), ("b", labels(5, 7))])
    folder = write_half("today")
    assert read_run("toy", "watershed", "whole") is None
    assert sorted(path.name for path in folder.iterdir()) == [".progress.json", "a.tiff"]
    assert read_prediction("toy", "watershed", "whole", "a").shape == (9, 9)


def test_a_mask_counts_as_done_when_progress_and_file_say_so():
    folder = write_half("today")
    assert read_progress(folder, "today").samples == ()  # killed between file and note
    masks = [("a", labels(9, 9)), ("b", labels(9, 9))]
    run = predictions.write_predictions(folder, masks, run_record, made_from="today")
    assert read_progress(folder, "today") == run
    assert [s.sample for s in read_progress(folder, "today").samples] == ["a", "b"]
    (folder / "a.tiff").unlink()
    assert [s.sample for s in read_progress(folder, "today").samples] == ["b"]


def test_progress_of_something_else_or_of_unknown_origin_counts_for_nothing():
    folder = write_half("today")
    assert read_progress(folder, "tomorrow") is None
    assert read_progress(write_half(""), "") is None
    (folder / ".progress.json").write_text("{}")
    assert read_progress(folder, "today") is None


def test_masks_that_are_not_kept_are_removed():
    folder = write(run_record(), [("a", labels(5, 7)), ("b", labels(5, 7))])
    (folder / ".c.new").touch()  # of a kill while a mask was written
    predictions.write_predictions(folder, [("d", labels(5, 7))], run_record, keep=["b"])
    names = sorted(path.name for path in folder.iterdir())
    assert names == [".progress.json", "b.tiff", "d.tiff", "run.json"]


def test_no_run_is_none_and_a_broken_record_is_named(root):
    assert read_run("toy", "watershed", "whole") is None
    path = root / "predictions/toy/watershed/whole/run.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(InputError, match=r"(?s)run\.json.*Remove the folder"):
        read_run("toy", "watershed", "whole")


def test_a_mask_with_other_axes_is_refused():
    write(run_record(), [("a", labels(2, 5, 7))])
    with pytest.raises(InputError, match=r"a\.tiff: expected 2 axes"):
        read_prediction("toy", "watershed", "whole", "a")


def test_an_unknown_mode_is_refused():
    with pytest.raises(InputError, match=r"mode 'crop': expected one of whole, patch"):
        read_run("toy", "watershed", "crop")


def test_speed_sums_over_samples():
    write(run_record(), [("a", labels(5, 7))])
    (row,) = run_tables.speed(["toy"], ["watershed", "propagation"]).to_dict("records")
    assert row["megapixels"] == 2.0
    assert row["s_per_megapixel"] == 2.0
    assert row["library_share"] == 0.75


def test_masks_that_came_as_files_have_no_speed():
    write(run_record(device=""), [("a", labels(5, 7))])
    assert run_tables.speed(["toy"], ["watershed"]).empty


def test_doubts_name_their_model():
    doubts = run_tables.describe_doubts(["cyto3", "watershed"])
    assert set(doubts["model"]) == {"Cellpose 3 (cyto3)"}
    assert list(doubts.columns) == ["model", "what", "why"]


def test_what_did_not_run_says_why():
    table = run_tables.describe_runs(["spleen_imc"], ["watershed", "cyto3", "cse_voronoi"])
    reasons = table.set_index("model")["not run"]
    assert (
        reasons["Watershed (CellProfiler's method)"] == "no finished run here: `make book` runs it"
    )
    assert "make weights-cyto3" in reasons["Cellpose 3 (cyto3)"]
    assert reasons["Voronoi, published mask"] == "it has no masks for these cohorts"
