"""Scores of every pair of raters, on a cohort small enough to score by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from imc_helpers.agreement import score_table
from imc_helpers.agreement.score_table import (
    COLUMNS,
    merge_scores,
    read_scores,
    score_candidates,
    score_cohort,
    score_masks,
    scores_file,
    write_scores,
)
from imc_helpers.agreement.summaries import against
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.predictions import RunRecord, SampleRun, prediction_dir, write_predictions
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
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
    rows = against(table, {"toy": [annotator]}, [model])
    return rows[(rows["mode"] == mode) & (rows["sample"] == sample)][metric].tolist()


def test_a_model_is_scored_against_each_annotator_and_annotators_against_one_another(cohort):
    predict("m", "whole", {"s1": mask(LEFT_HALF, RIGHT), "s2": mask(LEFT)})
    table = score_cohort(cohort, ["m", "not run"], **GRID)
    assert tuple(table.columns) == COLUMNS
    assert score(table, "whole", "s1", "a", "m") == [1], "8 of 16 px: IoU is one half"
    assert score(table, "whole", "s1", "b", "m") == [1 / 2]
    assert score(table, "whole", "s2", "a", "m") == [1]
    assert score(table, "whole", "s1", "a", "b") == score(table, "whole", "s1", "b", "a") == [1 / 2]
    assert score(table, "whole", "s2", "a", "b") == [], "b has not labelled it"
    assert not (table["rater_pred"] == "not run").any()
    assert not ((table["rater_pred"] == "m") & (table["mode"] == "patch")).any(), (
        "no run on patches"
    )
    strict = score_cohort(cohort, ["m"], strict=True, **GRID)
    assert score(strict, "whole", "s1", "a", "m") == [1 / 3], "two cells and two, one pair"


def test_patches_of_a_model_are_scored_inside_the_border_and_in_their_order(cohort):
    # First window: the model finds nothing but a cell in the border. Second: the right cell, which
    # in that window's own coordinates lies at x 4 … 5.
    first, second = np.zeros((8, 8), np.uint32), np.zeros((8, 8), np.uint32)
    first[0:2, 0:2], second[2:6, 4:6] = 7, 9
    predict("m", "patch", {"s1": np.stack([first, second])})
    table = score_cohort(cohort, ["m"], **GRID)
    assert score(table, "patch", "s1", "a", "m") == [0, 1]
    assert score(table, "patch", "s1", "a", "m", "n_true") == [1, 1]
    assert score(table, "patch", "s1", "a", "m", "n_pred") == [0, 1]
    assert score(table, "patch", "s1", "b", "m") == [0, 0]
    assert not (table[table["rater_pred"] == "m"]["sample"] == "s2").any(), "the run lacks it"
    patches = table[(table["mode"] == "patch") & (table["rater_pred"] == "m")]
    assert patches["patch"].tolist() == [0, 1, 0, 1]


def test_a_cell_that_the_border_cuts_counts_with_its_piece_on_both_sides(cohort):
    # The first window scores columns 2 … 5: the model's cell, columns 0 … 5, is there exactly LEFT.
    window = np.zeros((8, 8), np.uint32)
    window[2:6, 0:6] = 1
    predict("m", "patch", {"s1": np.stack([window, np.zeros_like(window)])})
    table = score_cohort(cohort, ["m"], **GRID)
    assert score(table, "patch", "s1", "b", "m")[0] == 1


def test_every_pair_stands_once_and_controls_with_their_own_mask_alone(cohort):
    for mode in ("whole", "patch"):
        stack = mask(LEFT) if mode == "whole" else np.stack([mask(LEFT)[:, :8]] * 2)
        for model in ("m", "n"):
            predict(model, mode, {"s1": stack})
    table = score_cohort(cohort, ["m", "n"], **GRID)
    first = table[table["sample"] == "s1"]
    for rows in (first[first["mode"] == "whole"], first[first["patch"] == 1]):
        pairs = list(zip(rows["rater_true"], rows["rater_pred"], strict=True))
        judged = [("a", "b"), ("a", "m"), ("a", "n"), ("b", "m"), ("b", "n"), ("m", "n")]
        assert pairs == judged + [(a, control) for a in "ab" for control in CONTROLS]
        kinds = dict(
            zip(pairs, zip(rows["kind_true"], rows["kind_pred"], strict=True), strict=True)
        )
        assert kinds["a", "b"] == ("annotator", "annotator")
        assert kinds["b", "m"] == ("annotator", "model")
        assert kinds["m", "n"] == ("model", "model")
        assert kinds["a", "nothing"] == ("annotator", "control")


def test_each_mask_is_read_once(cohort, monkeypatch):
    predict("m", "whole", {"s1": mask(LEFT)})
    read = []
    of_cohort = Cohort.read_mask
    monkeypatch.setattr(
        Cohort, "read_mask", lambda self, s, r: read.append((s, r)) or of_cohort(self, s, r)
    )
    score_cohort(cohort, ["m"], **GRID)
    assert sorted(read) == [("s1", "a"), ("s1", "b"), ("s2", "a")]


def test_counts_of_matches_are_those_that_the_scores_come_from(cohort):
    table = score_cohort(cohort, **GRID)
    counts = table.filter(regex=r"^tp\d\d$").to_numpy()
    assert counts.shape[1] == 10
    cells = (table["n_true"] + table["n_pred"]).to_numpy()[:, None]
    some = cells[:, 0] > 0
    ap = counts[some] / (cells - counts)[some]
    assert ap[:, 0] == pytest.approx(table["ap50"][some])
    assert ap.mean(axis=1) == pytest.approx(table["map"][some])


def test_a_patch_of_two_masks_is_scored_like_the_crop(cohort):
    table = score_cohort(cohort, **GRID)
    a, b = (cohort.read_mask("s1", name) for name in "ab")
    for patch, x in enumerate((2, 6)):
        crop = slice(2, 6), slice(x, x + 4)
        expected = evaluate(a[crop], b[crop])
        rows = table[(table["rater_pred"] == "b") & (table["patch"] == patch)]
        assert rows[["n_true", "n_pred", "ap50", "map", "sap"]].to_numpy().tolist() == [
            [expected.n_true, expected.n_pred, expected.ap50, expected.map, expected.sap]
        ]


def test_the_truth_is_never_the_one_that_is_judged(cohort):
    raters = ["a", "b", Rater("truth", "truth")]
    image = np.zeros((1, *SHAPE), np.float32)
    masks = {"a": mask(LEFT), "b": mask(LEFT), "truth": mask(LEFT, RIGHT)}
    write_cohort(cohort.folder, [Sample("s1", image, PANEL, 1.0, masks)], overwrite=True)
    predict("m", "whole", {"s1": mask(RIGHT)})
    table = score_cohort(Cohort(cohort.folder, raters=raters), ["m"], modes=("whole",), **GRID)
    of_truth = table[table["kind_true"] == "truth"]
    assert of_truth["rater_pred"].tolist() == ["a", "b", "m"]
    assert of_truth["ap50"].tolist() == [1 / 2, 1 / 2, 1 / 2]
    assert "truth" not in set(table["rater_pred"])
    controls = table[table["kind_pred"] == "control"]
    assert set(controls["rater_true"]) == {"a", "b"}


def test_a_cohort_without_masks_has_a_table_without_rows(cohort):
    table = score_cohort(Cohort(cohort.folder, raters=[]), **GRID)
    assert table.empty
    assert tuple(table.columns) == COLUMNS
    predict("m", "whole", {"s1": mask(LEFT)})
    assert score_cohort(Cohort(cohort.folder, raters=[]), ["m"], **GRID).empty


def test_the_reference_scores_one_and_nothing_scores_none(cohort):
    table = score_cohort(cohort, **GRID)
    table = table[table["kind_pred"] == "control"]
    assert set(table["rater_pred"]) == set(CONTROLS)
    scores = table[["ap50", "map", "sap"]]
    assert (scores[table["rater_pred"] == "reference"] == 1).all(axis=None)
    found = (table["rater_pred"] == "nothing") & (table["n_true"] > 0)
    assert found.any()
    assert (scores[found] == 0).all(axis=None)
    whole = table[(table["rater_pred"] == "random cells") & (table["mode"] == "whole")]
    assert (whole["n_true"] == whole["n_pred"]).all()


def test_masks_in_memory_are_scored_alike(cohort):
    masks = {Rater(name): cohort.read_mask("s1", name) for name in "ab"}
    rows = score_masks(masks, sample="s1")
    expected = score_cohort(cohort, modes=("whole",), samples=["s1"])
    expected = expected[expected["kind_pred"] == "annotator"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows.drop(columns="cohort"), expected.drop(columns="cohort"))


def test_chunks_of_samples_put_together_are_the_whole(cohort, tmp_path):
    predict("m", "whole", {"s1": mask(LEFT), "s2": mask(LEFT)})
    paths = []
    for sample in cohort.ids:
        paths.append(tmp_path / "chunks" / f"{sample}.parquet")
        write_scores(score_cohort(cohort, ["m"], samples=[sample], **GRID), paths[-1])
    whole = score_cohort(cohort, ["m"], **GRID)
    merged = merge_scores(paths)
    pd.testing.assert_frame_equal(merged, whole)
    assert merged.attrs == whole.attrs
    write_scores(whole, tmp_path / "whole.parquet")
    write_scores(merged, tmp_path / "merged.parquet")
    whole_bytes = (tmp_path / "whole.parquet").read_bytes()
    assert whole_bytes == (tmp_path / "merged.parquet").read_bytes(), "the same table, same bytes"
    assert sorted(path.name for path in tmp_path.glob("*.parquet*")) == [
        "merged.parquet", "whole.parquet",
    ]  # fmt: skip
    with pytest.raises(InputError, match="sample 's1' stands in"):
        merge_scores([paths[0], paths[0]])
    with pytest.raises(InputError, match="found none"):
        merge_scores([])
    write_scores(score_cohort(cohort, ["m"], samples=["s2"], strict=True, **GRID), paths[1])
    with pytest.raises(InputError, match="Score both in the same way"):
        merge_scores(paths)
    paths[1].write_bytes(b"PAR1")
    with pytest.raises(InputError, match="no readable table of scores"):
        merge_scores(paths)


def test_a_sample_that_is_not_there_is_refused(cohort):
    with pytest.raises(InputError, match="no sample 's9'"):
        score_cohort(cohort, samples=["s9"])


@pytest.fixture
def edition(cohort, monkeypatch):
    """An edition of the toy cohort and a model; who opens the cohort is noted."""
    opened = []
    monkeypatch.setattr(
        score_table, "load_edition", lambda _: SimpleNamespace(cohorts=["toy"], models=["m"])
    )
    monkeypatch.setattr(score_table, "open_cohort", lambda key: opened.append(key) or cohort)
    return opened


def test_a_table_that_is_there_is_read_and_one_that_is_missing_is_made(cohort, edition):
    made = read_scores("toys", **GRID)
    assert edition == ["toy"]
    assert scores_file("toys", "toy").is_file()
    pd.testing.assert_frame_equal(made, score_cohort(cohort, ["m"], **GRID))
    pd.testing.assert_frame_equal(read_scores("toys", ["toy"], **GRID), made)
    assert edition == ["toy"], "the second time it was read"


def test_a_table_from_before_a_model_ran_is_made_again(cohort, edition):
    assert "m" not in set(read_scores("toys", **GRID)["rater_pred"])
    predict("m", "whole", {"s1": mask(LEFT)})
    assert "m" in set(read_scores("toys", **GRID)["rater_pred"])
    assert edition == ["toy", "toy"]
    assert "m" in set(read_scores("toys", **GRID)["rater_pred"])
    assert edition == ["toy", "toy"]


def test_other_settings_are_scored_and_leave_the_stored_table_alone(cohort, edition):
    read_scores("toys", **GRID)
    before = scores_file("toys", "toy").read_bytes()
    strict = read_scores("toys", strict=True, **GRID)
    pd.testing.assert_frame_equal(strict, score_cohort(cohort, ["m"], strict=True, **GRID))
    assert scores_file("toys", "toy").read_bytes() == before


def test_one_mode_alone(cohort):
    predict("m", "whole", {"s1": mask(LEFT)})
    assert set(score_cohort(cohort, ["m"], modes=("whole",), **GRID)["mode"]) == {"whole"}
    assert set(score_cohort(cohort, ["m"], modes=("patch",), **GRID)["mode"]) == {"patch"}


def test_patches_of_another_grid_are_refused(cohort):
    predict("m", "patch", {"s1": np.zeros((3, 8, 8), np.uint32)}, stride=2)
    with pytest.raises(InputError, match=r"expected patches of 8 px every 4 px, shape \(2, 8, 8\)"):
        score_cohort(cohort, ["m"], **GRID)


def test_images_without_windows_have_no_patches(cohort):
    predict("m", "whole", {"s1": mask(LEFT)})
    table = score_cohort(cohort, ["m"])
    assert set(table["mode"]) == {"whole"}
    assert table["patch"].isna().all()


def test_a_model_may_not_bear_the_name_of_an_annotator(cohort):
    with pytest.raises(InputError, match="found a more than once"):
        score_cohort(cohort, ["a"])


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
    expected = score_cohort(cohort, samples=["s1"], **GRID)
    expected = expected[expected["rater_pred"] == "b"].reset_index(drop=True)
    same = only[only["sample"] == "s1"].reset_index(drop=True)
    columns = ["mode", "patch", "n_true", "n_pred", "ap50", "map", "sap"]
    assert same[columns].equals(expected[columns])


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
