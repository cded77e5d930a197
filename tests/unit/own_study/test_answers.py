"""The answer in plain words: what it says, and where it says that it cannot."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.agreement.score_table import score_cohort
from imc_helpers.agreement.statistics import crossed_interval
from imc_helpers.agreement.summaries import between
from imc_helpers.data.lab_folder.checks import COLUMNS
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.own_study.answers import answer_of, worst_images

PANEL = Panel((Channel("Ir191", "DNA", "nucleus"),))
NOTHING = pd.DataFrame(columns=COLUMNS)


def cells(drawn):
    """A row of ten square cells, of which the first so many are drawn."""
    labels = np.zeros((10, 100), np.uint32)
    for k in range(drawn):
        labels[2:8, 10 * k + 2 : 10 * k + 8] = k + 1
    return labels


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))

    def make(drawn, kind="annotator"):
        """Samples with masks, by rater the numbers of cells drawn in each."""
        image = np.ones((1, 10, 100), np.float32)
        count = max(map(len, drawn.values()), default=2)
        masks = [{r: cells(n[k]) for r, n in drawn.items() if k < len(n)} for k in range(count)]
        samples = [Sample(f"s{k}", image, PANEL, 1.0, own) for k, own in enumerate(masks)]
        write_cohort(tmp_path / "data" / "lab", samples, overwrite=True)
        cohort = Cohort(tmp_path / "data" / "lab", raters=[Rater(name, kind) for name in drawn])
        return cohort, score_cohort(cohort, modes=["whole"])

    return make


def with_models(scores, cohort, models):
    """Add models to a table: rows against each rater, ap50 by sample."""
    rows = [
        {
            **scores.iloc[0].to_dict(),
            "cohort": cohort.name,
            "sample": sample,
            "mode": "whole",
            "rater_true": rater.name,
            "rater_pred": model,
            "kind_true": rater.kind,
            "kind_pred": "model",
            "ap50": value,
            "map": value,
            "sap": value,
        }
        for model, values in models.items()
        for (sample, value), rater in itertools.product(
            zip(cohort.ids, values, strict=True), cohort.raters
        )
    ]
    return pd.concat([scores, pd.DataFrame(rows)], ignore_index=True).astype(scores.dtypes)


def test_agreement_is_said_as_a_share_of_cells_with_its_interval(study):
    cohort, scores = study({"anna": [10, 10, 10], "bo": [5, 8, 5]})
    said = answer_of(cohort, scores, [], NOTHING)
    assert "60% were outlined by both (ap50 0.60" in said.agreement
    half = stats.t.ppf(0.975, 2) * np.std([0.5, 0.8, 0.5], ddof=1) / np.sqrt(3)
    assert f"{0.6 - half:.2f} to 1.00 (95% interval)" in said.agreement, "no score is above 1"
    assert "two raters say nothing about a third" in said.agreement
    assert "No model has masks" in said.nearest
    assert "cannot be decided" in said.matters
    assert any("agree least: s0, s2 and s1" in step for step in said.next_steps)


def test_with_three_people_the_interval_speaks_of_others_too(study):
    cohort, scores = study({"anna": [10, 10, 9], "bo": [5, 8, 5], "carl": [7, 7, 7]})
    said = answer_of(cohort, scores, [], NOTHING)
    found = crossed_interval(between(scores, {cohort.name: cohort}), "ap50")
    ends = f"{max(found.low_both, 0):.2f} to {min(found.high_both, 1):.2f}"
    assert f"With other people too, expect {ends}; less, if" in said.agreement


def test_one_image_says_nothing_about_others(study):
    cohort, scores = study({"anna": [10], "bo": [5]})
    assert "That is one image" in answer_of(cohort, scores, [], NOTHING).agreement


def test_one_annotator_none_and_tools(study):
    one = answer_of(*study({"anna": [10, 10]}), [], NOTHING)
    assert "All outlines here are by one rater, anna," in one.agreement
    assert any("second person" in step for step in one.next_steps)
    none = answer_of(*study({}), [], NOTHING)
    assert "no masks to compare" in none.agreement
    assert any("two people" in step for step in none.next_steps)
    cohort, scores = study({"a": [10], "b": [5]}, kind="tool")
    tools = answer_of(cohort, with_models(scores, cohort, {"m": [0.5]}), ["m"], NOTHING)
    assert "say nothing about people" in tools.agreement
    assert "by a model. The masks here are those of tools." in tools.matters


def test_the_highest_score_is_named_with_those_that_may_come_first_as_well(study):
    cohort, scores = study({"anna": [10] * 8, "bo": [8] * 8})
    wave = 0.05 * np.array([1, -1] * 4)
    models = {"good": 0.7 + wave, "like": 0.69 - wave, "poor": 0.2 + wave}

    def nearest(**ours):
        return answer_of(cohort, with_models(scores, cohort, ours), ours, NOTHING).nearest

    said = nearest(**models)
    assert "Of 3 models good has the highest mean score" in said
    assert "good and like may each come first, and the others surely do not" in said
    assert "cannot tell which of the 2" in nearest(good=models["good"], like=models["like"])
    assert "surely scores higher than every other one" in nearest(
        good=models["good"], poor=models["poor"]
    )
    assert "The only model is good" in nearest(good=models["good"])


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (0.79, "does not matter"),
        (0.5, "The difference matters"),
        (0.98, "agrees better with the others"),
    ],
)
def test_whether_it_matters_follows_the_interval(study, score, verdict):
    cohort, scores = study({"anna": [10] * 8, "bo": [8] * 8})
    table = with_models(scores, cohort, {"model": [score] * 8})
    said = answer_of(cohort, table, ["model"], NOTHING, loss=0.1)
    assert verdict in said.matters
    assert "loses with 10% of the cells" in said.matters
    assert "not about being right" in said.matters


def test_an_interval_across_the_margin_is_undecided(study):
    cohort, scores = study({"anna": [10] * 4, "bo": [8] * 4})
    table = with_models(scores, cohort, {"model": [0.6, 1.0, 0.7, 0.9]})
    assert "cannot decide" in answer_of(cohort, table, ["model"], NOTHING).matters


def test_what_is_odd_comes_first_among_the_next_steps(study):
    odd = pd.DataFrame(
        [
            ("s0", "bo", "empty mask", "Empty.", "Save it.", False, "f"),
            ("", "bo", "shifted mask", "Off.", "Look.", True, ""),
        ],
        columns=COLUMNS,
    )
    steps = answer_of(*study({"anna": [10, 10], "bo": [5, 5]}), [], odd).next_steps
    assert "Correct the file that could not be used" in steps[0]
    assert "overlay of bo" in steps[1]


def test_images_are_listed_worst_first(study):
    cohort, scores = study({"anna": [10, 10, 10], "bo": [9, 5, 7], "carl": [10, 10, 10]})
    worst = worst_images(between(scores, {cohort.name: cohort}))
    assert worst["sample"].tolist() == ["s1", "s2", "s0"]
    assert worst["ap50"].tolist() == pytest.approx([2 / 3, 0.8, 14 / 15])
    assert worst["pairs"].tolist() == [3, 3, 3]
