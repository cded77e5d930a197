"""Tables of models, also where there is nothing to tell."""

import pytest

from imc_helpers.data import predictions
from imc_helpers.data.predictions import RunRecord
from imc_helpers.models.run_tables import (
    DESCRIPTION,
    RUNS,
    describe_deviations,
    describe_doubts,
    describe_models,
    describe_remarks,
    describe_runs,
)


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))


def test_without_models_the_tables_are_empty_and_have_their_columns():
    assert describe_models([]).columns.tolist() == list(DESCRIPTION)
    runs = describe_runs(["phantom_lymphoid"], [])
    assert runs.columns.tolist() == list(RUNS)
    for table in (runs, describe_doubts([]), describe_deviations([]), describe_remarks([], [])):
        assert table.empty and len(table.columns)


def test_the_models_that_run_in_another_way_than_in_the_study_say_so():
    table = describe_deviations(["cyto3", "mesmer", "cellsam", "watershed"])
    assert table["model"].tolist() == ["Mesmer (DeepCell 0.12.10)", "CellSAM"]
    said = dict(zip(table["model"], table["deviation"], strict=True))
    assert "image_mpp" in said["Mesmer (DeepCell 0.12.10)"]
    assert "400 px" in said["CellSAM"]


def test_a_remark_is_listed_once():
    for cohort in ("a", "b"):
        record = RunRecord(
            cohort=cohort,
            model="watershed",
            mode="whole",
            version="1",
            weights="",
            parameters={},
            device="cpu",
            device_name="an abacus",
            dtype="",
            threads=1,
            window_px=0,
            stride_px=0,
            load_seconds=0,
            peak_memory_mb=1,
            peak_gpu_memory_mb=0,
            samples=(),
            finished="2026-11-21T00:00:00+00:00",
            remarks=("it ran on the CPU",),
        )
        folder = predictions.prediction_dir(cohort, "watershed", "whole")
        predictions.write_predictions(folder, [], lambda record=record: record)
    table = describe_remarks(["a", "b", "c"], ["watershed", "distance"])
    assert table.to_numpy().tolist() == [["Watershed (CellProfiler's method)", "it ran on the CPU"]]
