"""Dice-XMBD's scores on masks small enough to score by hand, and with two references."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from imc_helpers.experiments import distillation
from imc_helpers.experiments.distillation import (
    MERGED,
    NEITHER,
    SPLIT,
    count_agreement,
    f1_in_two_ways,
    map_of_values,
    match_values,
    scores_of,
    student_less_teacher,
    with_intervals,
)
from imc_helpers.metrics import contingency_table
from imc_helpers.metrics.error_types import Kind, dice_xmbd_errors

# Eight pixels a cell: one is found whole, two are merged, one is split, one is missed.
TRUE = np.repeat([[1] * 8 + [2] * 8 + [3] * 8 + [4] * 8 + [5] * 8 + [0] * 8], 2, axis=0)
PRED = np.repeat([[1] * 8 + [2] * 16 + [3] * 4 + [4] * 4 + [0] * 8 + [9] * 8], 2, axis=0)


def test_every_cell_has_the_value_of_what_became_of_it():
    values = match_values(contingency_table(TRUE, PRED))
    assert values.tolist() == [1, MERGED, SPLIT, SPLIT, NEITHER]
    painted = map_of_values(TRUE, PRED)
    assert np.isnan(painted[PRED == 0]).all()
    assert (painted[PRED == 2] == MERGED).all()
    assert (painted[PRED == 9] == NEITHER).all()


def test_scores_by_hand():
    found = scores_of(contingency_table(TRUE, PRED, borders=True))
    assert (found["cells_true"], found["cells_pred"]) == (5, 5)
    assert (found["precision"], found["recall"], found["f1"]) == (0.2, 0.2, 0.2)
    assert found["jaccard"] == pytest.approx(1 / 9)
    assert (found["oversplit"], found["merged"], found["iou"]) == (0.4, 0.2, 1)
    # At .5, both the merged cells and the halves are candidates: one of each two matches.
    assert found["precision_50"] == 0.6
    assert found["jaccard_50"] == pytest.approx(3 / 7)


def test_border_pixels_are_those_that_touch_another_cell():
    true = np.array([[1, 1, 1, 2, 2, 2]])
    pred = np.array([[1, 1, 2, 2, 2, 2]])
    found = scores_of(contingency_table(true, pred, borders=True))
    # Borders at the third and fourth pixel, and at the second and third: one of two is shared.
    assert found["pixel_precision"] == found["pixel_recall"] == found["pixel_f1"] == 0.5
    assert found["pixel_jaccard"] == pytest.approx(1 / 3)


def test_values_agree_with_the_kinds_of_cells():
    """On masks drawn at random: what is matched, spurious and merged is so by both."""
    rng = np.random.default_rng(0)
    true, pred = (np.kron(rng.integers(0, 30, (12, 12)), np.ones((3, 3), int)) for _ in range(2))
    table = contingency_table(true, np.where(rng.random(true.shape) < 0.7, true, pred))
    values, kinds = match_values(table), dice_xmbd_errors(table).pred_kinds
    assert ((values > 0) == (kinds == Kind.MATCHED)).all()
    assert ((values == NEITHER) == (kinds == Kind.SPURIOUS)).all()
    assert np.isin(values[kinds == Kind.MERGED], [MERGED]).all()
    assert np.isin(values[kinds == Kind.SPLIT], [SPLIT]).all()


def test_an_empty_mask_and_a_missing_border():
    found = scores_of(contingency_table(TRUE, np.zeros_like(TRUE), borders=True))
    assert found["recall"] == 0
    assert np.isnan([found[name] for name in ("precision", "oversplit", "merged", "iou")]).all()
    with pytest.raises(ValueError, match="no borders"):
        scores_of(contingency_table(TRUE, PRED))


def rows(scores):
    return pd.DataFrame(
        {"sample": s, "model": m, "reference": "truth", "f1": x}
        for m, of in scores.items()
        for s, x in zip("abc", of, strict=False)
    )


def test_student_and_teacher_image_by_image():
    apart = student_less_teacher(
        rows({"student": [0.5, 0.6, 0.9], "teacher": [0.4, 0.5, 0.8], "else": [0, 0, 0]}),
        "student", "teacher", "f1",
    )  # fmt: skip
    assert [apart[k] for k in ("mean", "low", "high")] == pytest.approx([0.1] * 3)
    assert apart["images"] == 3


def test_means_have_intervals_only_where_there_are_images():
    found = with_intervals(rows({"one": [0.5], "two": [0.4, 0.6]}), {"f1": "F1"}).set_index("model")
    assert found["mean"].to_dict() == {"one": 0.5, "two": 0.5}
    assert np.isnan(found.loc["one", "low"])
    assert found.loc["two", ["low", "high"]].tolist() == [0, 1], "two images say little of a share"


def test_counts_by_hand():
    table = pd.DataFrame(
        {"model": "m", "reference": "t", "cells_true": [10, 20, 30], "cells_pred": [15, 25, 35]}
    )
    (row,) = count_agreement(table).to_dict("records")
    assert row["r"] == pytest.approx(1)
    assert row["bias"] == pytest.approx(0.25)
    assert np.isnan(count_agreement(table[:2]).loc[0, "r"])


def test_f1_of_means_is_not_mean_f1():
    """Two images: all found but half of it wrong, and the other way round."""
    table = pd.DataFrame(
        {"precision": [0.5, 1], "recall": [1, 0.5], "cells_pred": [20, 10], "cells_true": [10, 20]}
    )
    found = f1_in_two_ways(table.assign(f1=2 / 3))
    assert found == pytest.approx({"mean of F1": 2 / 3, "F1 of means": 0.75, "pooled": 2 / 3})


def test_profiles_of_the_same_mask_and_of_one_that_misses_cells(monkeypatch):
    """The matched cells of a mask with half of the cells agree fully; random points do not."""
    rng = np.random.default_rng(1)
    true = np.kron(np.arange(1, 37).reshape(6, 6), np.ones((5, 5), int))
    half = np.where(true % 2, true, 0)
    image = np.stack([np.kron(rng.uniform(1, 9, (6, 6)), np.ones((5, 5))) for _ in range(2)])
    cohort = SimpleNamespace(
        name="made", read_image=lambda _: image, panel=SimpleNamespace(names=("a", "b"))
    )
    monkeypatch.setattr(
        distillation,
        "pairs_of",
        lambda *_: [("1", "same", "truth", true, true), ("1", "half", "truth", true, half)],
    )
    found = distillation.profile_correlations(cohort, [], "", ["1"]).set_index("model")
    assert found.loc["same", ["matched", "points"]].tolist() == pytest.approx([1, 1])
    assert found.loc["half", "matched"] == pytest.approx(1)
    assert found.loc["half", "points"] < 0.7
    assert found.loc["half", "cells"] == 18
