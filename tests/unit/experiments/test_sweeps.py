"""Points, their rows, and what pages make of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from imc_helpers.data import manifest
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError
from imc_helpers.experiments import sweeps
from imc_helpers.experiments.sweeps import (
    annotated_cohort,
    beside,
    by_choice,
    cohort_spillover,
    count_found,
    differ,
    find_sweep,
    found_shares,
    in_windows,
    in_words,
    input_names,
    open_samples,
    pool,
    score,
    standardised_share,
    step_names,
    verdict,
    way_names,
)
from imc_helpers.metrics import evaluate
from imc_helpers.phantom.drawing import TRUTH
from imc_helpers.phantom.imaging import spillover_matrix
from imc_helpers.phantom.recipes import find_recipe, make_sample


def squares(side, boxes):
    """Label image with a square (row, column, edge) for each cell."""
    labels = np.zeros((side, side), np.uint32)
    for cell, (y, x, edge) in enumerate(boxes, start=1):
        labels[y : y + edge, x : x + edge] = cell
    return labels


CELLS = [(0, 0, 4), (40, 40, 6), (50, 60, 10), (10, 80, 5), (70, 30, 8), (92, 92, 8)]


def sample(**masks):
    image = np.zeros((1, 100, 100), np.float32)
    return Sample("s1", image, Panel((Channel("Ir191", "DNA1", "nucleus"),)), 1.0, masks)


def test_a_sweep_without_another_way_for_nuclei_names_the_aggregation_alone():
    table = pd.DataFrame({"aggregation": ["mean", "max"]})
    assert way_names(table).tolist() == ["mean", "max"]


def test_the_score_is_the_mean_over_annotators_and_the_truth_stands_apart():
    one, two, labels = squares(100, CELLS), squares(100, CELLS[:3]), squares(100, CELLS[:4])
    row = score(sample(a=one, b=two, **{TRUTH: labels}), labels)
    assert row["n_pred"] == 4
    assert row["ap50"] == pytest.approx((4 / 6 + 3 / 4) / 2)
    assert row["map"] == (evaluate(one, labels).map + evaluate(two, labels).map) / 2
    assert row["truth_ap50"] == row["truth_sap"] == 1


def test_without_a_truth_its_scores_are_missing():
    row = score(sample(a=squares(100, CELLS)), squares(100, CELLS))
    assert row["ap50"] == 1
    assert np.isnan([row[f"truth_{m}"] for m in ("ap50", "map", "sap")]).all()


def test_cells_by_size_and_place_by_hand():
    # Areas 16 25 | 36 64 | 64 100; at the edge: the first and the last; 10 px from it: the fourth;
    # 22 px: the fifth (rows 70 to 77); 34 and more: the second and the third.
    counts = count_found(sample(a=squares(100, CELLS)), squares(100, CELLS[:3]))
    assert [counts[f"cells_{c}"] for c in ("small", "medium", "large")] == [2, 2, 2]
    assert [counts[f"found_{c}"] for c in ("small", "medium", "large")] == [1, 1, 1]
    assert [counts[f"cells_{c}"] for c in ("cut", "near", "inside")] == [2, 2, 2]
    assert [counts[f"found_{c}"] for c in ("cut", "near", "inside")] == [1, 0, 2]


def test_counts_add_up_over_annotators_and_leave_the_truth_out():
    mask = squares(100, CELLS)
    one = count_found(sample(a=mask), mask)
    both = count_found(sample(a=mask, b=mask, **{TRUTH: mask}), mask)
    assert both == {name: 2 * count for name, count in one.items()}


def test_nothing_to_find():
    assert not any(count_found(sample(a=squares(100, [])), squares(100, CELLS)).values())


def test_windows_cut_image_and_masks_alike():
    pieces = in_windows(sample(a=squares(100, CELLS)), 50)
    assert [piece.shape for piece in pieces] == [(50, 50)] * 4
    assert np.array_equal(pieces[3].masks["a"], squares(100, CELLS)[50:, 50:])
    (whole,) = in_windows(pieces[0], 0)
    assert whole is pieces[0]


def test_windows_of_a_sample_become_one_row():
    found = [
        {"sample": "s1", "n_pred": 2, "ap50": 0.5, "cells_cut": 3, "truth_ap50": np.nan},
        {"sample": "s1", "n_pred": 4, "ap50": 0.7, "cells_cut": 1, "truth_ap50": np.nan},
    ]
    row = pool(found)
    assert (row["sample"], row["n_pred"], row["cells_cut"]) == ("s1", 6, 4)
    assert row["ap50"] == pytest.approx(0.6)
    assert np.isnan(row["truth_ap50"])


SCORES = pd.DataFrame(
    [
        ("m", choice, image, level + gain)
        for image, level in (("i", 0.2), ("j", 0.5), ("k", 0.8))
        for choice, gain in (("a", 0.0), ("b", 0.1), ("c", -0.05))
    ],
    columns=["model", "choice", "sample", "ap50"],
)


def test_differences_are_paired_by_image():
    table = by_choice(SCORES, "choice", "a").set_index("choice")
    assert table["mean"].to_dict() == pytest.approx({"b": 0.1, "c": -0.05})
    # The gain is the same in every image: nothing is left to be unsure of.
    assert (table["high"] - table["low"]).max() < 1e-6
    assert table["images"].tolist() == [3, 3]
    assert differ(table.reset_index()).all()


def test_means_with_their_intervals():
    table = by_choice(SCORES, "choice").set_index("choice")
    assert table["mean"].to_dict() == pytest.approx({"a": 0.5, "b": 0.6, "c": 0.45})
    assert (table["low"] < table["mean"]).all()
    assert (table["mean"] < table["high"]).all()


def test_models_are_told_apart_and_choices_may_be_numbers():
    both = pd.concat([SCORES, SCORES.assign(model="n", ap50=0.5)]).assign(
        choice=lambda rows: rows["choice"].map({"a": 0, "b": 128, "c": 256})
    )
    table = by_choice(both, "choice", 0)
    assert table["model"].tolist() == ["m", "m", "n", "n"]
    assert table["choice"].tolist() == [128, 256, 128, 256]
    assert not differ(table[table["model"] == "n"]).any()


COUNTS = pd.DataFrame(
    {
        "model": "m",
        "window": [1, 1, 2, 2],
        "sample": ["i", "j", "i", "j"],
        "cells_cut": [10, 30, 5, 5],
        "found_cut": [5, 9, 5, 4],
        "cells_inside": [10, 10, 90, 90],
        "found_inside": [9, 9, 81, 81],
    }
)


def test_shares_are_sums_over_sums():
    shares = found_shares(COUNTS, ["model", "window"], ["cut", "inside"])
    assert shares["mean"].tolist() == pytest.approx([14 / 40, 0.9, 0.9, 0.9])
    assert shares["cells"].tolist() == [40, 20, 10, 180]
    assert shares["window"].tolist() == [1, 1, 2, 2]
    assert (shares["low"] <= shares["mean"]).all()


def test_a_share_as_if_classes_were_as_frequent_as_elsewhere():
    shares = found_shares(COUNTS, ["model", "window"], ["cut", "inside"])
    one, two = (shares[shares["window"] == k] for k in (1, 2))
    assert standardised_share(one, one) == pytest.approx((14 + 18) / 60), "its own: found of all"
    assert standardised_share(one, two) == pytest.approx((10 * 0.35 + 180 * 0.9) / 190)


def test_names_of_ways_to_aggregate():
    ways = pd.DataFrame({"aggregation": ["mean", "max", "max"], "nucleus": [None, "", "mean"]})
    assert way_names(ways).tolist() == ["mean", "max", "max, nuclei by mean"]


def test_names_of_steps_and_inputs():
    steps = pd.DataFrame(
        {
            "before": ["none", "clahe", "none", "median"],
            "after": ["none", "none", "clahe", "clip_99"],
        }
    )
    assert step_names(steps).tolist() == [
        "none", "clahe", "clahe (planes)", "median, clip_99 (planes)",
    ]  # fmt: skip
    inputs = pd.DataFrame(
        {
            "factor": [1, 2, 2],
            "interpolation": ["nearest", "lanczos", "lanczos"],
            "declared": [True, True, False],
        }
    )
    assert input_names(inputs).tolist() == [
        "as it is", "2 x lanczos, told", "2 x lanczos, not told",
    ]  # fmt: skip


def test_a_verdict_names_the_best_only_where_one_is_better():
    table = pd.DataFrame(
        {
            "model": ["m", "m", "n", "n"],
            "way": ["max", "sum", "max", "sum"],
            "mean": [0.02, 0.05, -0.03, 0.01],
            "low": [0.01, 0.03, -0.05, -0.01],
            "high": [0.03, 0.07, -0.01, 0.03],
        }
    )
    caveat = (
        "(95% intervals, each by itself: chance alone makes about one in twenty look different)"
    )
    assert verdict([table[:1], table[1:], table[:0]], "way", "the mean") == (
        "Some choices help and others do harm: of 4 comparisons with the mean, 2 are surely better "
        f"and 1 is surely worse {caveat}. The largest gain is +0.050 (+0.030 to +0.070), by *sum* "
        "with m."
    )
    assert verdict([table[2:]], "way", "the mean") == (
        "No choice surely helps, and some do harm: of 2 comparisons with the mean, none is surely "
        f"better and 1 is surely worse {caveat}."
    )
    single = table.assign(low=float("nan"), high=float("nan"))
    assert verdict([single], "way", "the mean").startswith("One image gives no interval")
    assert verdict([table[:0]], "way", "the mean") == "Nothing was compared with the mean."


def test_a_difference_in_words():
    row = pd.Series({"mean": 0.0123, "low": -0.003, "high": 0.0275})
    assert in_words(row) == "+0.012 (-0.003 to +0.028)"
    assert in_words(row / 100) == "+0.000 (+0.000 to +0.000)"


def test_the_first_cohort_with_two_annotators():
    assert annotated_cohort("demo") == "phantom_lymphoid"
    assert annotated_cohort("open") == "spleen_imc"
    assert annotated_cohort("demo", "pancreas_imc") == "pancreas_imc"
    with pytest.raises(InputError, match="not in the manifest"):
        annotated_cohort("demo", "nowhere")


@pytest.fixture
def edition(monkeypatch):
    """Make an edition of some cohorts."""

    def make(*cohorts):
        edition = manifest.Edition(title="t", description="d", cohorts=cohorts)
        monkeypatch.setattr(sweeps, "load_edition", lambda name: edition)

    return make


def test_one_annotator_will_do_and_none_is_no_error(edition, monkeypatch):
    edition("phantom_ali20", "pancreas_imc")
    assert annotated_cohort("mine") == "phantom_ali20"
    bare = manifest.cohort_record("pancreas_imc").model_copy(update={"raters": {}})
    monkeypatch.setattr(sweeps, "cohort_record", lambda key: bare)
    assert annotated_cohort("mine") == ""
    table, reason = find_sweep("mine", "channels")
    assert table.empty
    assert reason.startswith("No cohort of this edition has masks")


def test_a_sweep_that_has_not_run_and_one_that_has(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    table, reason = find_sweep("demo", "channels")
    assert table.empty
    assert "`make sweep NAME=channels EDITION=demo` runs it" in reason
    folder = tmp_path / "results" / "demo" / "sweeps"
    folder.mkdir(parents=True)
    (folder / "channels.csv").write_text("model,ap50\n")
    assert "No point of this sweep has a result" in find_sweep("demo", "channels")[1]
    (folder / "channels.csv").write_text("model,ap50\nm,0.5\n")
    table, reason = find_sweep("demo", "channels")
    assert not reason
    assert table["ap50"].tolist() == [0.5]


def test_a_model_without_the_baseline_has_no_differences():
    rest = SCORES[SCORES["choice"] != "a"]
    assert by_choice(rest, "choice", "a").empty
    both = pd.concat([SCORES, rest.assign(model="n")])
    assert set(by_choice(both, "choice", "a")["model"]) == {"m"}
    alone = by_choice(SCORES[SCORES["choice"] == "a"], "choice", "a")
    assert alone.columns.tolist() == ["model", "choice", "mean", "low", "high", "images"]
    assert alone.empty


def test_one_image_gives_a_difference_without_an_interval():
    row = by_choice(SCORES[SCORES["sample"] == "i"], "choice", "a").iloc[0]
    assert in_words(row) == "+0.100 (one image: no interval)"


def test_the_spillover_of_a_phantom_is_that_of_its_recipe(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    recipe = find_recipe("phantom_ali20")
    made = make_sample(recipe, (64, 64), 0, "one")
    drawn = replace(made, masks={"annotator1": made.masks[TRUTH], TRUTH: made.masks[TRUTH]})
    write_cohort(tmp_path / "data" / "phantom_ali20", [drawn])
    expected = spillover_matrix(recipe.panel, recipe.imaging)
    assert np.array_equal(cohort_spillover("phantom_ali20"), expected)


def test_the_spillover_of_a_real_cohort_is_what_was_measured_or_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    panel = Panel((Channel("Ir191", "DNA1", "nucleus"), Channel("Ir193", "DNA2", "nucleus")))
    mask = np.ones((4, 4), np.uint32)
    image = np.ones((2, 4, 4), np.float32)
    one = Sample("roi", image, panel, 1.0, {"ilastik": mask, "cellprofiler": mask})
    write_cohort(tmp_path / "data" / "spleen_imc", [one])
    assert cohort_spillover("spleen_imc") is None
    table = tmp_path / "data" / "spleen_imc" / "spillover.csv"
    table.write_text(",Ir191,Ir193\nIr191,1,0.04\n")
    assert cohort_spillover("spleen_imc").tolist() == [[1, 0.04], [0, 1]]


def test_samples_without_masks_are_not_scored(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    panel = Panel((Channel("Ir191", "DNA1", "nucleus"),))
    mask = np.ones((4, 4), np.uint32)
    image = np.ones((1, 4, 4), np.float32)
    masks = {"ilastik": mask, "cellprofiler": mask}
    samples = [Sample("bare", image, panel, 1.0), Sample("drawn", image, panel, 1.0, masks)]
    write_cohort(tmp_path / "data" / "spleen_imc", samples)
    (opened,) = open_samples("spleen_imc", images=1, crop_px=4)
    assert opened.id == "drawn"


def test_two_cohorts_side_by_side():
    def rows(**means):
        table = pd.DataFrame(
            {"model": "m", "way": way, "mean": m, "low": m - 0.1, "high": m + 0.1}
            for way, m in means.items()
        )
        return table.assign(images=3)

    ours = rows(same=0.3, opposite=0.3, one=0.3, neither=0.0, alone=0.3)
    theirs = rows(neither=0.05, one=-0.05, opposite=-0.2, same=0.15, elsewhere=0.3)
    found = beside(ours, theirs, "way", ("made", "real")).set_index("way")
    assert found["together"].to_dict() == {
        "same": "same side of 0",
        "opposite": "opposite sides of 0",
        "one": "one includes 0",
        "neither": "both include 0",
    }
    assert found.loc["same", "made"] == "+0.300 (+0.200 to +0.400)"
    assert found.loc["opposite", "real"] == "-0.200 (-0.300 to -0.100)"
    assert beside(ours[:0], theirs, "way", ("made", "real")).empty
