"""Means, differences and tests of models, from tables small enough to add up by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.agreement.comparison import differences_from_best, mean_scores, study_tests


def row(sample, annotator, model, value, mode="whole", patch=pd.NA):
    return {
        "cohort": "toy", "mode": mode, "sample": sample, "patch": patch, "annotator": annotator,
        "model": model, "ap50": value, "map": value / 2, "sap": value / 4,
    }  # fmt: skip


@pytest.fixture
def scores():
    rows = [
        row("s1", "a", "m", 0.2), row("s1", "b", "m", 0.4), row("s2", "a", "m", 0.9),
        row("s1", "a", "n", 0.3), row("s1", "b", "n", 0.5), row("s2", "a", "n", 0.6),
    ]  # fmt: skip
    rows += [row("s1", "a", "m", v, "patch", k) for k, v in enumerate([0.1, 0.2, 0.3])]
    rows += [row("s2", "a", "m", 0.6, "patch", 0)]
    return pd.DataFrame(rows).astype({"patch": "Int64"})


def test_means_are_over_annotators_and_then_over_images(scores):
    found = mean_scores(scores).set_index(["mode", "model"])
    assert found.loc[("whole", "m"), "ap50"] == pytest.approx(((0.2 + 0.4) / 2 + 0.9) / 2)
    assert found.loc[("whole", "m"), "sap"] == pytest.approx(0.15)
    assert found.loc[("patch", "m"), "ap50"] == pytest.approx(0.3), "every patch the same"
    assert found["images"].tolist() == [2, 2, 2]
    assert (found["ap50_low"] < found["ap50"]).all()
    assert (found["ap50"] < found["ap50_high"]).all()


def test_differences_are_from_the_best_image_by_image(scores):
    found = differences_from_best(scores, ["m", "n"])
    assert len(found) == 1, "on patches there is one model only"
    assert found.loc[0, ["mode", "model", "best"]].tolist() == ["whole", "n", "m"]
    assert found.loc[0, "difference"] == pytest.approx(((0.4 - 0.3) + (0.6 - 0.9)) / 2)
    assert differences_from_best(scores, ["m"]).empty
    assert "difference" in differences_from_best(scores, [])


def test_the_studys_tests_compare_a_model_with_the_pairs_of_annotators():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(0.5, 0.1, 20), rng.normal(0.7, 0.1, 30)
    table = pd.DataFrame([row(f"s{k}", "a", "m", v) for k, v in enumerate(ours)])
    pairs = pd.DataFrame([row(f"s{k}", "a", "b", v) for k, v in enumerate(theirs)])
    found = study_tests(table, ["m", "absent"], pairs)
    assert found["metric"].tolist() == ["ap50", "map", "sap"]
    first = found.iloc[0]
    assert (first["test"], first["n_model"], first["n_annotators"]) == ("Student's t", 20, 30)
    assert first["p"] == stats.ttest_ind(ours, theirs).pvalue
    assert study_tests(table, ["m"], pairs.assign(mode="patch")).empty
    assert "p" in study_tests(table, [], pairs)
