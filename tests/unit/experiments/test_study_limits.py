"""The best and the worst of the choices that sweeps tried."""

import pandas as pd
import pytest

from imc_helpers.experiments.study_limits import best_and_worst
from imc_helpers.images.pipeline import NONE

MODEL = "watershed"


def steps(scores, model=MODEL):
    """Rows of the sweep of pre-processing: a step's score on each of two images."""
    return pd.DataFrame(
        {"model": model, "before": before, "after": NONE, "sample": name, "ap50": score}
        for before, several in scores.items()
        for name, score in zip(("s1", "s2"), several, strict=True)
    )


def test_best_and_worst_are_differences_from_the_studys_choice():
    table = steps({NONE: (0.4, 0.6), "clip": (0.5, 0.7), "blur": (0.1, 0.3), "log": (0.4, 0.6)})
    found = best_and_worst({"preprocessing": table}, "ap50")
    assert found["question"].tolist() == ["pre-processing", "pre-processing"]
    assert found["which"].tolist() == ["best", "worst"]
    assert found["choice"].tolist() == ["clip", "blur"]
    assert found["mean"].tolist() == pytest.approx([0.1, -0.3])
    assert found["low"].tolist() == pytest.approx([0.1, -0.3]), "the same on both images"
    assert found["tried"].tolist() == [3, 3]


def test_each_table_answers_its_own_questions():
    channels = pd.DataFrame(
        {"model": MODEL, "channels": c, "aggregation": a, "nucleus": None, "sample": s, "ap50": v}
        for s in ("s1", "s2")
        for c, a, v in (("all", "mean", 0.5), ("all", "max", 0.4), ("CD45", "mean", 0.7))
    )
    scale = pd.DataFrame(
        {
            "model": MODEL, "crop_px": crop, "factor": factor, "interpolation": "nearest",
            "declared": True, "window_px": window, "sample": s, "ap50": v,
        }
        for s in ("s1", "s2")
        for crop, factor, window, v in (
            (64, 1, 0, 0.5), (64, 2, 0, 0.6), (99, 1, 0, 0.5), (99, 1, 32, 0.1),
        )
    )  # fmt: skip
    found = best_and_worst({"channels": channels, "scale": scale}, "ap50")
    best = found[found["which"] == "best"].set_index("question")
    assert best["mean"].to_dict() == pytest.approx(
        {"aggregation": -0.1, "markers": 0.2, "enlargement": 0.1, "window size, px": -0.4}
    )
    assert best.loc["markers", "choice"] == "CD45"


def test_without_sweeps_or_without_the_studys_choice_nothing_is_said():
    assert best_and_worst({}, "ap50").empty
    assert "which" in best_and_worst({}, "ap50")
    alone = steps({NONE: (0.4, 0.6)})
    lacking = steps({"clip": (0.4, 0.6), "blur": (0.1, 0.2)})
    assert best_and_worst({"preprocessing": alone}, "ap50").empty
    assert best_and_worst({"preprocessing": lacking}, "ap50").empty
    both = pd.concat([lacking, steps({NONE: (0.2, 0.2), "clip": (0.3, 0.3)}, "distance")])
    assert len(best_and_worst({"preprocessing": both}, "ap50")) == 2
