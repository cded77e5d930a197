"""Trials of few labels, where all are known."""

import numpy as np
import pytest

from imc_helpers.experiments.label_trials import (
    ALONE,
    EVEN,
    EXPECTED,
    WITH,
    draw_trials,
    label_trials,
)


def test_predictions_that_go_along_narrow_the_interval_and_it_still_covers():
    rng = np.random.default_rng(0)
    f = rng.standard_normal(300)
    y = 0.9 * f + np.sqrt(1 - 0.81) * rng.standard_normal(300)
    found = label_trials(y, f, (8, 200), trials=200).set_index(["labels", "way"])
    assert set(found.index) == {(8, ALONE), (8, WITH)}, "200 of 300 is not few"
    assert found.loc[(8, ALONE), "relative"] == 1
    assert 0.4 < found.loc[(8, WITH), "relative"] < 0.8
    assert (found["coverage"] > 0.9).all()
    assert found["error"].abs().max() < 0.1


def test_labels_that_are_all_the_same():
    found = label_trials(np.ones(20), np.arange(20), (5,), trials=10)
    assert found["relative"].isna().all()
    assert found["coverage"].tolist() == [1, 1]


def test_drawing_where_errors_are_expected():
    rng = np.random.default_rng(1)
    expected = rng.exponential(size=100)
    found = draw_trials(expected * rng.uniform(0.8, 1.2, 100), expected, (12,), trials=200)
    relative = found.set_index("way")["relative"]
    assert relative[EVEN] == 1
    assert relative[EXPECTED] < 0.95
    assert found["error"].tolist() == pytest.approx([0, 0], abs=0.08)
