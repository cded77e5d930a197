"""Scores of models, annotators and controls on a cohort small enough to score by hand."""

import numpy as np
import pytest

from imc_helpers.agreement.pairwise import against, pairwise
from imc_helpers.agreement.scoring import COLUMNS, by_unit, score_candidates, score_models
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.predictions import RunRecord, SampleRun, prediction_dir, write_predictions
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError
from imc_helpers.models.controls import CONTROLS, nothing, random_voronoi, reference

PANEL = Panel((Channel("Ir191", "DNA1", "nucleus"),))
SHAPE = (8, 12)
GRID = {"window_px": 8, "stride_px": 4, "border_px": 2}  # scored: rows 2 … 5, x 2 … 5 and 6 … 9


def mask(*cells):
    labels = np.zeros(SHAPE, np.uint32)
    for i, (rows, columns) in enumerate(cells, 1):
        labels[rows, columns] = i
    return labels


LEFT, LEFT_HALF = (slice(2, 6), slice(2, 6)), (slice(2, 6), slice(2, 4))
RIGHT = (slice(2, 6), slice(8, 10))


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    image = np.zeros((1, *SHAPE), np.float32)
    samples = [
        Sample("s1", image, PANEL, 1.0, {"a": mask(LEFT, RIGHT), "b": mask(LEFT)}),
        Sample("s2", image, PANEL, 1.0, {"a": mask(LEFT)}),
    ]
    write_cohort(tmp_path / "toy", samples)
    return Cohort(tmp_path / "toy")


def predict(model, mode, masks, *, window=8, stride=4):
    whole = mode == "whole"
    run = RunRecord(
        cohort="toy",
        model=model,
        mode=mode,
        version="1",
        weights="",
        parameters={},
        device="cpu",
        device_name="",
        dtype="",
        threads=1,
        window_px=0 if whole else window,
        stride_px=0 if whole else stride,
        load_seconds=0,
        peak_memory_mb=0,
        peak_gpu_memory_mb=0,
        samples=tuple(
            SampleRun(sample=s, megapixels=1, cells=1, seconds=1, library_seconds=1) for s in masks
        ),
        finished="2026-01-01T00:00:00",
    )
    write_predictions(prediction_dir("toy", model, mode), masks.items(), lambda: run)


def score(table, mode, sample, annotator, model, metric="ap50"):
    rows = table[
        (table["mode"] == mode)
        & (table["sample"] == sample)
        & (table["annotator"] == annotator)
        & (table["model"] == model)
    ]
    return rows[metric].tolist()


def test_a_model_is_scored_against_each_annotator_and_annotators_against_one_another(cohort):
    predict("m", "whole", {"s1": mask(LEFT_HALF, RIGHT), "s2": mask(LEFT)})
    table = score_models(cohort, ["m", "not run"], controls=False, **GRID)
    assert tuple(table.columns) == COLUMNS
    assert score(table, "whole", "s1", "a", "m") == [1], "8 of 16 px: IoU is one half"
    assert score(table, "whole", "s1", "b", "m") == [1 / 2]
    assert score(table, "whole", "s2", "a", "m") == [1]
    assert score(table, "whole", "s1", "a", "b") == score(table, "whole", "s1", "b", "a") == [1 / 2]
    assert score(table, "whole", "s2", "a", "b") == [], "b has not labelled it"
    assert not (table["model"] == "not run").any()
    assert not ((table["model"] == "m") & (table["mode"] == "patch")).any(), "no run on patches"
    strict = score_models(cohort, ["m"], controls=False, strict=True, **GRID)
    assert score(strict, "whole", "s1", "a", "m") == [1 / 3], "two cells and two, one pair"


def test_patches_of_a_model_are_scored_inside_the_border_and_in_their_order(cohort):
    # First window: the model finds nothing but a cell in the border. Second: the right cell, which
    # in that window's own coordinates lies at x 4 … 5.
    first, second = np.zeros((8, 8), np.uint32), np.zeros((8, 8), np.uint32)
    first[0:2, 0:2], second[2:6, 4:6] = 7, 9
    predict("m", "patch", {"s1": np.stack([first, second])})
    table = score_models(cohort, ["m"], controls=False, **GRID)
    assert score(table, "patch", "s1", "a", "m") == [0, 1]
    assert score(table, "patch", "s1", "a", "m", "n_true") == [1, 1]
    assert score(table, "patch", "s1", "a", "m", "n_pred") == [0, 1]
    assert score(table, "patch", "s1", "b", "m") == [0, 0]
    assert not (table[table["model"] == "m"]["sample"] == "s2").any(), "the run lacks it"
    patches = table[(table["mode"] == "patch") & (table["model"] == "m")]
    assert patches["patch"].tolist() == [0, 1, 0, 1]


def test_a_cell_that_the_border_cuts_counts_with_its_piece_on_both_sides(cohort):
    # The first window scores columns 2 … 5: the model's cell, columns 0 … 5, is there exactly LEFT.
    window = np.zeros((8, 8), np.uint32)
    window[2:6, 0:6] = 1
    predict("m", "patch", {"s1": np.stack([window, np.zeros_like(window)])})
    table = score_models(cohort, ["m"], controls=False, **GRID)
    assert score(table, "patch", "s1", "b", "m")[0] == 1


def test_annotators_in_patches_score_as_agreement_does(cohort):
    table = score_models(cohort, controls=False, **GRID)
    ours = table[table["annotator"] == "a"].reset_index(drop=True)
    theirs = pairwise(cohort, **GRID)
    assert ours[["mode", "sample", "patch", "n_true", "n_pred", "ap50", "map", "sap"]].equals(
        theirs[["mode", "sample", "patch", "n_true", "n_pred", "ap50", "map", "sap"]]
    )


def test_the_reference_scores_one_and_nothing_scores_none(cohort):
    table = score_models(cohort, annotators=False, **GRID)
    assert set(table["model"]) == set(CONTROLS)
    scores = table[["ap50", "map", "sap"]]
    assert (scores[table["model"] == "reference"] == 1).all(axis=None)
    found = (table["model"] == "nothing") & (table["n_true"] > 0)
    assert found.any()
    assert (scores[found] == 0).all(axis=None)
    whole = table[(table["model"] == "random cells") & (table["mode"] == "whole")]
    assert (whole["n_true"] == whole["n_pred"]).all()


def test_one_mode_alone(cohort):
    predict("m", "whole", {"s1": mask(LEFT)})
    assert set(score_models(cohort, ["m"], modes=("whole",), **GRID)["mode"]) == {"whole"}
    assert set(score_models(cohort, ["m"], modes=("patch",), **GRID)["mode"]) == {"patch"}


def test_patches_of_another_grid_are_refused(cohort):
    predict("m", "patch", {"s1": np.zeros((3, 8, 8), np.uint32)}, stride=2)
    with pytest.raises(InputError, match=r"expected patches of 8 px every 4 px, shape \(2, 8, 8\)"):
        score_models(cohort, ["m"], **GRID)


def test_images_without_windows_have_no_patches(cohort):
    predict("m", "whole", {"s1": mask(LEFT)})
    table = score_models(cohort, ["m"])
    assert set(table["mode"]) == {"whole"}
    assert table["patch"].isna().all()


def test_a_model_may_not_bear_the_name_of_an_annotator(cohort):
    with pytest.raises(InputError, match="found a more than once"):
        score_models(cohort, ["a"])


def test_candidates_are_scored_against_any_reference_but_themselves(cohort):
    def half(sample):
        return mask(LEFT_HALF)

    table = score_candidates(
        cohort, {"half": half, "a": lambda s: cohort.read_mask(s, "a")}, **GRID
    )
    assert score(table, "whole", "s1", "a", "a") == []
    assert score(table, "whole", "s1", "b", "a") == [1 / 2]
    assert score(table, "whole", "s1", "a", "half") == [1 / 2]
    only = score_candidates(cohort, {"b": lambda s: mask(LEFT)}, references=["a"], **GRID)
    expected = against(cohort, "a", **GRID)
    same = only[only["sample"] == "s1"][["ap50", "map", "sap"]].reset_index(drop=True)
    assert same.equals(expected[["ap50", "map", "sap"]])


def test_by_unit_has_a_row_a_sample_and_patch(cohort):
    table = score_models(cohort, controls=False, **GRID)
    patches = table[table["mode"] == "patch"]
    wide = by_unit(patches, "ap50", ["model", "annotator"])
    assert list(wide.index) == [("s1", 0), ("s1", 1)]
    assert wide["b", "a"].tolist() == [1, 0]
    whole = by_unit(table[table["mode"] == "whole"], "ap50", ["model", "annotator"])
    assert list(whole.index) == [("s1", -1)]


def test_random_cells_are_as_many_and_fill_the_image():
    labels = mask(LEFT, RIGHT) * 10
    made = random_voronoi(labels)
    assert made.shape == SHAPE
    assert made.dtype == np.uint32
    assert np.unique(made).tolist() == [1, 2]
    assert (made == random_voronoi(labels)).all()
    assert (made != random_voronoi(labels, seed=1)).any()
    assert not random_voronoi(mask()).any()
    full = random_voronoi(np.arange(1, 97, dtype=np.uint32).reshape(SHAPE))
    assert len(np.unique(full)) == 96, "a cell for every pixel, if need be"


def test_a_random_pixel_belongs_to_the_nearest_seed():
    rng = np.random.default_rng(0)
    labels = np.zeros((20, 30), np.uint32)
    labels[0, :12] = np.arange(1, 13)
    made = random_voronoi(labels, seed=4)
    chosen = np.random.default_rng(4).choice(600, 12, replace=False)
    seeds = np.column_stack(np.unravel_index(chosen, labels.shape))
    for y, x in rng.integers((20, 30), size=(50, 2)):
        distance = np.hypot(*(seeds - (y, x)).T)
        assert distance[made[y, x] - 1] == distance.min()


def test_controls_leave_their_input_alone():
    labels = mask(LEFT, RIGHT)
    before = labels.copy()
    for control in CONTROLS.values():
        control(labels)
    assert (labels == before).all()
    assert (reference(labels) == labels).all()
    assert not nothing(labels).any()
