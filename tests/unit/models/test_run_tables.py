"""Tables of models, also where there is nothing to tell."""

import pytest

from imc_helpers.data import predictions
from imc_helpers.data.manifest import StudySetting, model_record
from imc_helpers.data.predictions import RunRecord
from imc_helpers.models.run_tables import (
    DESCRIPTION,
    RUNS,
    describe_doubts,
    describe_models,
    describe_remarks,
    describe_runs,
    describe_study_settings,
)


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))


def test_without_models_the_tables_are_empty_and_have_their_columns():
    assert describe_models([]).columns.tolist() == list(DESCRIPTION)
    runs = describe_runs(["phantom_lymphoid"], [])
    assert runs.columns.tolist() == list(RUNS)
    for table in (runs, describe_doubts([]), describe_study_settings([]), describe_remarks([], [])):
        assert table.empty and len(table.columns)


def test_the_studys_models_say_setting_by_setting_what_is_stated_and_what_is_done():
    studied = ["cyto3", "mesmer", "cellsam", "vista2d"]
    table = describe_study_settings([*studied, "watershed"])
    assert table["model"].unique().tolist() == [model_record(key).title for key in studied]
    by = table.set_index(["model", "setting"])
    assert (
        by.loc[("Mesmer (DeepCell 0.12.10)", "pixel size (image_mpp)"), "as stated"] == "not stated"
    )
    assert by.loc[("CellSAM", "weights"), "as stated"] == "no"
    for title in table["model"].unique():
        assert {"version", "planes", "intensities", "whole images"} <= set(by.loc[title].index)
    assert by.loc[("VISTA-2D", "from flows to cells"), "as stated"] == "in part"
    assert by.loc[("VISTA-2D", "planes"), "as stated"] == "yes"
    chosen = table[table["as stated"] != "yes"]
    assert chosen["why"].notna().all()
    with pytest.raises(ValueError, match="say `why`"):
        StudySetting(setting="diameter", here="10 µm")


@pytest.mark.parametrize("key", ["cyto3", "mesmer", "cellsam", "vista2d"])
def test_the_studys_models_see_whole_images(key):
    assert model_record(key).window_px is None, "the study feeds them the full image"


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
