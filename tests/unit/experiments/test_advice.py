"""Decisions say what the tables say, and that they cannot be made where a table is empty."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.agreement.hand_drawn import DRAWN, EXTENDED
from imc_helpers.agreement.summaries import agreement_by_iou
from imc_helpers.experiments import advice

NOTHING = pd.DataFrame()


def differences(interval=0.01):
    rows = [("a", "b", 0.2), ("a", "c", 0.2 + interval / 2), ("b", "c", interval / 2)]
    return pd.DataFrame(
        [
            {
                "cohort": "x",
                "one": one,
                "two": two,
                "difference": d,
                "low": d - interval,
                "high": d + interval,
                "p_holm": 0.001 if d > interval else 0.5,
                "p": 0.001 if d > interval else 0.5,
            }
            for one, two, d in rows
        ]
    )


def verdicts():
    about = {"cohort": "x", "mode": "whole", "metric": "ap50", "left_out": "mean"}
    return pd.DataFrame(
        [
            {**about, "model": "a", "decision": "within", "not_inferior": True},
            {**about, "model": "b", "decision": "below", "not_inferior": False},
            {**about, "model": "annotator1", "decision": "within", "not_inferior": True},
        ]
    )


@pytest.mark.parametrize(
    "told",
    [
        advice.people_and_images(NOTHING),
        advice.which_model(NOTHING, NOTHING, NOTHING, frozenset()),
        advice.which_metric(NOTHING, NOTHING),
        advice.which_threshold(NOTHING),
        advice.hand_or_software(NOTHING),
        advice.check_a_model(NOTHING),
        advice.when_to_retrain(NOTHING, NOTHING),
        advice.what_masks_change(NOTHING, NOTHING),
    ],
    ids=lambda told: told.decision,
)
def test_without_numbers_there_is_no_advice(told):
    assert told.do == ""
    assert told.because == ()
    assert told.caveat
    assert told.pages


def test_a_study_that_nobody_can_promise_is_said_with_its_largest_width():
    planned = pd.DataFrame(
        {
            "cohort": ["x", "x"],
            "question": ["these people", "other people"],
            "wanted": [0.1, 0.1],
            "images": [7, np.nan],
            "people": [3, np.nan],
            "hours": [9.0, np.nan],
            "largest": [0.01, 0.22],
        }
    )
    told = advice.people_and_images(planned)
    assert "annotate the same 7 images" in told.do
    assert "add people" in told.do
    assert "3 people and 7 images, 9 hours" in told.because[0]
    assert "± 0.22" in told.because[1]


def test_the_first_model_is_named_alone_only_where_its_interval_clears_the_others():
    alone = advice.which_model(differences(0.01), verdicts(), NOTHING, frozenset({"a"}))
    assert "surely closest on images like these of 3: a†." in alone.because[0]
    assert alone.because[-1].startswith("†")
    together = advice.which_model(differences(0.5), verdicts(), NOTHING, frozenset())
    assert "may be closest of 3: a, b, c." in together.because[0]


def test_people_are_not_counted_among_the_models():
    told = advice.which_model(differences(), verdicts(), NOTHING, frozenset())
    assert "1 of 2 models surely agree less with people" in told.because[1]
    assert "annotator1" not in told.because[1]


def test_metrics_that_name_another_model_first_are_told():
    means = pd.DataFrame(
        {"cohort": "x", "model": ["a", "b"], "ap50": [0.8, 0.7], "map": [0.3, 0.4], "sap": [1, 0]}
    )
    conventions = pd.DataFrame({"difference": [0.01, 0.03]})
    told = advice.which_metric(means, conventions)
    assert "0 of 1 cohorts; not in x" in told.because[0]
    assert "0.020 on average, and by up to 0.030" in told.because[1]


def test_ap_by_iou_is_that_of_the_counts():
    pairs = pd.DataFrame(
        {"cohort": "x", "mode": "whole", "n_true": [10, 0], "n_pred": [10, 0]}
        | {f"tp{t}": [(100 - t) // 10, 0] for t in range(50, 100, 5)}
    )
    falls = agreement_by_iou(pairs).set_index("threshold")["ap"]
    assert falls[0.5] == pytest.approx(
        5 / 15
    )  # 5 of 10 and 10 are shared; two empty masks left out
    assert falls[0.95] == 0


@pytest.mark.parametrize(
    ("aps", "said"), [([0.8, 0.6, 0.2], "above 0.60"), ([0.4, 0.3, 0.1], "Do not rank by IoU")]
)
def test_the_threshold_ends_where_people_share_half(aps, said):
    agreement = pd.DataFrame({"cohort": "x", "threshold": [0.5, 0.6, 0.7], "ap": aps})
    assert said in advice.which_threshold(agreement).do


@pytest.mark.parametrize(("drawn", "said"), [(0.9, "Draw by hand"), (0.1, "cost no agreement")])
def test_extending_is_advised_against_where_it_costs_agreement(drawn, said):
    crops = pd.DataFrame({"comparison": [DRAWN, EXTENDED], "ap50": [drawn, 0.5]})
    assert said in advice.hand_or_software(crops).do


def test_labels_needed_are_the_fewest_that_reach_the_width():
    trials = pd.DataFrame(
        {
            "quantity": "mean ap50 per crop",
            "way": ["labels alone"] * 2 + ["with predictions"] * 2,
            "labels": [10, 20, 10, 20],
            "half_width": [0.08, 0.05, 0.06, 0.03],
            "coverage": [0.93, 0.95, 0.94, 0.96],
        }
    )
    told = advice.check_a_model(trials)
    assert "about 20 crops" in told.do
    assert "93%" in told.because[0]


def test_what_a_model_was_not_told_is_set_beside_what_it_was():
    scale = pd.DataFrame(
        {
            "model": "a",
            "factor": [1, 2, 2],
            "declared": [True, True, False],
            "window_px": 0,
            "crop_px": 224,
            "ap50": [0.7, 0.65, 0.1],
        }
    )
    (line, _) = advice.when_to_retrain(scale, verdicts()).because
    assert "0.70 on images as they are" in line
    assert "0.65 if it is told so, 0.10 if" in line


def test_conclusions_are_counted_once_and_the_worst_alarm_is_named():
    judged = pd.DataFrame(
        {
            "kind": "contact",
            "name": ["a – b", "a – b", "a – c"],
            "verdict": ["would have changed", "would have changed", "cannot be told"],
        }
    )
    alarms = pd.DataFrame({"name": ["B", "T"], "worst": [0.2, 0.36]})
    told = advice.what_masks_change(judged, alarms)
    assert told.because[0].startswith("Contact, 2 in all: 0 would not have changed; 1 would have")
    assert "36% of studies would find a difference in T" in told.because[1]
