"""Plans: what a pilot promises, and whether studies keep it."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.agreement.statistics import crossed_variances, satterthwaite
from imc_helpers.decisions.planning import (
    Pilot,
    agreement_pilot,
    half_widths,
    models_pilot,
    plan,
)
from imc_helpers.errors import InputError

PILOT = Pilot(variance_images=0.01, variance_people=0.02, images=6, people=3)


def test_the_median_is_scaled_from_the_pilot():
    found = half_widths(PILOT, 12, 6)
    of_images, of_people = 0.01 / 12, 0.02 / 6
    degrees = satterthwaite(of_images, 11, of_people, 5)
    known = satterthwaite(of_images, 5, of_people, 2)
    ratio = stats.f.ppf(0.5, degrees, known)
    expected = stats.t.ppf(0.975, degrees) * np.sqrt((of_images + of_people) * ratio)
    assert found == pytest.approx(expected)
    same = half_widths(PILOT, 12, 3, other_people=False)
    assert same == pytest.approx(
        stats.t.ppf(0.975, 11) * np.sqrt(of_images * stats.f.ppf(0.5, 11, 5))
    )


def test_a_larger_study_is_narrower_and_a_promise_wider():
    widths = half_widths(PILOT, [3, 6, 12, 24], [3, 6, 12, 24])
    assert (np.diff(widths) < 0).all()
    people = half_widths(PILOT, 12, np.arange(3, 13))
    assert (np.diff(people) < 0).all()
    assert half_widths(PILOT, 6, 4, share=0.8) > half_widths(PILOT, 6, 4)


def test_what_a_pilot_cannot_say_is_missing():
    alone = Pilot(0.01, np.nan, 6, 2)
    assert np.isnan(half_widths(alone, 12, 4))
    assert np.isfinite(half_widths(alone, 12, 2, other_people=False))
    with pytest.raises(InputError, match="2 people say nothing of others"):
        plan(alone, half_width=0.1, minutes=1)
    with pytest.raises(InputError, match="half-width and minutes above 0"):
        plan(PILOT, half_width=0, minutes=1)


def test_the_plan_is_the_cheapest_that_is_enough():
    found = plan(PILOT, half_width=0.2, minutes=30)
    assert found.minutes == 30 * found.images * found.people
    assert found.assured <= 0.2
    for images in range(2, 61):
        for people in range(3, 25):
            if images * people < found.images * found.people:
                assert half_widths(PILOT, images, people, share=0.8) > 0.2
    assert plan(PILOT, half_width=1e-6, minutes=1) is None
    same = plan(PILOT, half_width=0.05, minutes=1, other_people=False)
    assert same.people == 3
    assert half_widths(PILOT, same.images - 1, 3, share=0.8, other_people=False) > 0.05


def studies(rng, trials, people, images):
    skill = rng.normal(0, 0.05, (trials, people))
    hard = rng.normal(0, 0.03, (trials, 1, 1, images))
    noise = rng.normal(0, 0.02, (trials, people, people, images))
    return skill[:, :, None, None] + skill[:, None, :, None] + hard + noise


def test_pilots_foretell_what_studies_find():
    rng = np.random.default_rng(0)
    _, images, people = crossed_variances(studies(rng, 500, 4, 6))
    _, v_images, v_people = crossed_variances(studies(rng, 500, 6, 12))
    degrees = satterthwaite(v_images, 11, v_people, 5)
    achieved = stats.t.ppf(0.975, degrees) * np.sqrt(v_images + v_people)
    predicted, assured = np.array(
        [
            half_widths(Pilot(6 * i, 4 * p, 6, 4), 12, 6, share=[0.5, 0.8])
            for i, p in zip(images, people, strict=True)
        ]
    ).T
    assert 0.9 <= np.median(predicted / achieved) <= 1.1
    assert 0.73 <= np.mean(achieved <= assured) <= 0.87


def rows(cube, names):
    return pd.DataFrame(
        {
            "cohort": "toy", "mode": "whole", "sample": f"s{i}", "patch": pd.NA,
            "rater_true": names[a], "rater_pred": names[b], "ap50": cube[a, b, i],
        }
        for a, b in combinations(range(len(names)), 2)
        for i in range(cube.shape[2])
    )  # fmt: skip


def test_a_pilot_of_agreement_is_read_off_the_interval():
    cube = studies(np.random.default_rng(1), 1, 3, 4)[0]
    _, v_images, v_people = crossed_variances(cube)
    found = agreement_pilot(rows(cube, "abc"), "ap50")
    assert (found.images, found.people) == (4, 3)
    assert found.variance_images == pytest.approx(4 * v_images)
    assert found.variance_people == pytest.approx(3 * v_people)
    with pytest.raises(InputError, match="have a second one drawn"):
        agreement_pilot(rows(cube[..., :1], "abc"), "ap50")


def test_a_pilot_of_models_is_of_their_paired_differences():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(2, 3, 5))  # models, annotators, images
    table = pd.DataFrame(
        {
            "cohort": "toy", "mode": "whole", "sample": f"s{i}", "patch": pd.NA,
            "rater_true": f"a{a}", "rater_pred": f"m{m}", "ap50": scores[m, a, i],
        }
        for m, a, i in np.ndindex(scores.shape)
    ).astype({"patch": "Int64"})  # fmt: skip
    found = models_pilot(table, "ap50")
    difference = scores[0] - scores[1]
    assert found.variance_images == pytest.approx(difference.mean(axis=0).var(ddof=1))
    assert found.variance_people == pytest.approx(difference.mean(axis=1).var(ddof=1))
    assert (found.images, found.people) == (5, 3)
    with pytest.raises(InputError, match="two models and two images"):
        models_pilot(table[table["rater_pred"] == "m0"], "ap50")
