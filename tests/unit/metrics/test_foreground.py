"""Scores of pixels, against scikit-learn's and by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

from imc_helpers.metrics.foreground import count_pixels, pixel_scores, soft_dice_score

rng = np.random.default_rng(5)
TRUE, PRED = rng.integers(0, 3, (2, 40, 50))


def test_scores_are_scikit_learns():
    found = pixel_scores(count_pixels(TRUE, PRED))
    y, p = TRUE.ravel() > 0, PRED.ravel() > 0
    expected = {
        "dice": sk.f1_score(y, p),
        "jaccard": sk.jaccard_score(y, p),
        "precision": sk.precision_score(y, p),
        "recall": sk.recall_score(y, p),
        "specificity": sk.recall_score(~y, ~p),
    }
    assert found == pytest.approx(expected)


def test_dice_of_pooled_counts_follows_from_jaccard():
    found = pixel_scores(count_pixels(TRUE, PRED))
    assert found["dice"] == pytest.approx(2 * found["jaccard"] / (1 + found["jaccard"]))


def test_a_certain_map_has_the_soft_dice_of_its_mask():
    assert soft_dice_score(TRUE, PRED > 0) == pytest.approx(
        pixel_scores(count_pixels(TRUE, PRED))["dice"]
    )
    assert soft_dice_score([[1, 0]], [[0.5, 0.5]]) == pytest.approx(2 * 0.5 / 2)


def test_what_cannot_be_said_is_missing():
    nothing = np.zeros((3, 3))
    found = pixel_scores(count_pixels(nothing, nothing))
    assert found["specificity"] == 1
    assert all(np.isnan(found[name]) for name in ("dice", "jaccard", "precision", "recall"))
    assert np.isnan(soft_dice_score(nothing, nothing))
    with pytest.raises(ValueError, match="expected the same"):
        count_pixels(nothing, np.zeros((2, 2)))
