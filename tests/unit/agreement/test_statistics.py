"""Intervals of agreement, simultaneous differences and rank sets, on studies made up here."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.agreement.statistics import (
    crossed_interval,
    crossed_variances,
    design_gap,
    holm,
    mean_differences,
    rank_sets,
    satterthwaite,
    simultaneous_differences,
)
from imc_helpers.errors import InputError

rng = np.random.default_rng(0)


def table(cube, names="abcdef"):
    """A table of scores out of (N, N, n) scores, missing ones left out."""
    people, images = cube.shape[1:]
    rows = [
        {
            "cohort": "toy", "mode": "whole", "sample": f"s{i}", "patch": pd.NA,
            "rater_true": names[a], "rater_pred": names[b], "ap50": cube[a, b, i],
        }
        for a, b in combinations(range(people), 2)
        for i in range(images)
        if np.isfinite(cube[a, b, i])
    ]  # fmt: skip
    return pd.DataFrame(rows)


def studies(trials, people, images, *, person=0.05, image=0.03, both=0.02, noise=0.02):
    """Scores of (trials, N, N, n), in which people and images are drawn anew; their mean is .7."""
    skill = rng.normal(0, person, (trials, people))
    hard = rng.normal(0, image, (trials, 1, 1, images))
    day = rng.normal(0, both, (trials, people, images))
    scores = 0.7 + skill[:, :, None, None] + skill[:, None, :, None] + hard
    scores = scores + day[:, :, None] + day[:, None] + rng.normal(0, noise, scores.shape)
    return scores


def two_of(cube):
    """Keep two annotators of each image, every pair in its turn."""
    people, images = cube.shape[-2:]
    turns = list(combinations(range(people), 2))
    kept = np.zeros((people, people, images), bool)
    for i in range(images):
        kept[(*turns[i % len(turns)], i)] = True
    return np.where(kept, cube, np.nan)


def test_on_complete_data_the_variances_are_those_of_the_formulas():
    cube = studies(1, 4, 5)[0]
    mean, v_images, v_raters = crossed_variances(cube)
    one, two = np.triu_indices(4, 1)
    by_image = cube[one, two].mean(axis=0)
    assert mean == pytest.approx(by_image.mean())
    assert v_images == pytest.approx(by_image.var(ddof=1) / 5)
    left = [cube[one, two][(one != a) & (two != a)].mean() for a in range(4)]
    assert v_raters == pytest.approx(3 / 4 * ((left - np.mean(left)) ** 2).sum())


def test_the_interval_is_read_off_the_table_of_scores():
    cube = studies(1, 3, 4)[0]
    found = crossed_interval(table(cube), "ap50")
    mean, v_images, v_raters = crossed_variances(cube)
    degrees = satterthwaite(v_images, 3, v_raters, 2)
    assert (found.images, found.raters, found.missing) == (4, 3, "")
    half = stats.t.ppf(0.975, 3) * np.sqrt(v_images)
    assert (found.low_images, found.high_images) == pytest.approx((mean - half, mean + half))
    half = stats.t.ppf(0.975, degrees) * np.sqrt(v_images + v_raters)
    assert (found.low_both, found.high_both) == pytest.approx((mean - half, mean + half))


def test_patches_are_averaged_within_their_image():
    cube = studies(1, 3, 4)[0]
    patches = [table(cube + shift).assign(patch=k) for k, shift in enumerate((-0.1, 0.1))]
    found, expected = (
        crossed_interval(pairs, "ap50") for pairs in (pd.concat(patches), table(cube))
    )
    assert found.low_both == pytest.approx(expected.low_both)


def test_what_cannot_be_said_is_missing_and_the_reason_stands_there():
    one_image = crossed_interval(table(studies(1, 4, 1)[0]), "ap50")
    assert np.isnan([one_image.low_images, one_image.low_both]).all()
    assert "one image says nothing about others" in one_image.missing
    two_people = crossed_interval(table(studies(1, 2, 5)[0]), "ap50")
    assert two_people.low_images < two_people.mean < two_people.high_images
    assert np.isnan(two_people.low_both)
    assert "have a third draw" in two_people.missing
    with pytest.raises(InputError, match="one cohort and mode, found 2"):
        both = [table(studies(1, 2, 2)[0]).assign(mode=mode) for mode in ("whole", "patch")]
        crossed_interval(pd.concat(both), "ap50")


def test_a_design_in_two_halves_says_which_image_would_join_them():
    cube = studies(1, 4, 4)[0]
    cube[:2, 2:] = cube[2:, :2] = np.nan
    cube[0, 1, 2:] = cube[2, 3, :2] = np.nan
    pairs = table(cube)
    assert design_gap(pairs) == (
        "a and b drew no image in common with c and d: have a draw s2, for instance"
    )
    found = crossed_interval(pairs, "ap50")
    assert found.missing == design_gap(pairs)
    assert np.isnan(found.low_both)
    assert np.isfinite(found.low_images)
    assert design_gap(table(two_of(studies(1, 4, 6)[0]))) == ""


def covered(scores, *, people):
    """Share of studies whose interval holds .7."""
    n_raters, n_images = scores.shape[-2:]
    mean, v_images, v_raters = crossed_variances(scores)
    degrees = satterthwaite(v_images, n_images - 1, v_raters, n_raters - 1)
    variance = v_images + v_raters if people else v_images
    degrees = degrees if people else n_images - 1
    return np.mean(np.abs(mean - 0.7) <= stats.t.ppf(0.975, degrees) * np.sqrt(variance))


@pytest.mark.parametrize(("people", "images"), [(3, 12), (4, 4), (6, 8)])
def test_the_interval_for_other_people_covers(people, images):
    scores = studies(4000, people, images)
    # Three people are few: where images hardly vary, t has too many degrees of freedom by chance.
    assert (0.92 if people == 3 else 0.93) <= covered(scores, people=True) <= 0.97
    assert covered(scores, people=False) < 0.87, "images alone say nothing of other people"
    alike = studies(4000, people, images, person=0, both=0)
    assert 0.93 <= covered(alike, people=True) <= 0.99
    assert 0.93 <= covered(alike, people=False) <= 0.97


def test_with_two_of_four_annotators_per_image_it_covers_too():
    scores = two_of(studies(4000, 4, 12))
    assert 0.93 <= covered(scores, people=True) <= 0.98
    # Where people are alike, images count twice: too wide, never too narrow.
    assert covered(two_of(studies(4000, 4, 12, person=0)), people=True) >= 0.95


def values(trials, images, models, *, best=0.0):
    """Scores of models over images, ``trials`` studies: columns are equal but for the first."""
    scores = rng.normal(0, 1, (trials, images, models))
    scores[..., 0] += best
    return scores


def test_a_difference_is_the_paired_t_of_its_images():
    wide = pd.DataFrame(rng.normal(0.5, 0.1, (12, 2)), columns=["m", "n"])
    wide.loc[3, "n"] = np.nan
    found = simultaneous_differences(wide, range(12)).iloc[0]
    kept = wide.dropna()
    test = stats.ttest_rel(kept["m"], kept["n"])
    low, high = test.confidence_interval(0.95)
    assert (found["one"], found["two"], found["images"]) == ("m", "n", 11)
    assert found[["low", "high", "p", "p_holm"]].tolist() == pytest.approx(
        [low, high, test.pvalue, test.pvalue]
    )


def test_patches_of_an_image_are_one_observation():
    wide = pd.DataFrame(rng.normal(0.5, 0.1, (4, 3)), columns=list("lmn"))
    patches = pd.concat([wide - 0.2, wide + 0.2], ignore_index=True)
    pd.testing.assert_frame_equal(
        simultaneous_differences(patches, [*range(4), *range(4)]),
        simultaneous_differences(wide, range(4)),
    )
    one = simultaneous_differences(wide.iloc[[0, 0]], ["s", "s"])
    assert one[["low", "high", "p"]].isna().all(axis=None)
    assert rank_sets(one)[["first", "last"]].to_numpy().tolist() == [[1, 3]] * 3


def test_what_never_varies_is_sure():
    wide = pd.DataFrame({"m": [0.6, 0.7], "n": [0.5, 0.6], "o": [0.5, 0.6]})
    found = simultaneous_differences(wide.round(3), range(2)).set_index(["one", "two"])
    assert found.loc[("n", "o"), "p"] == 1
    assert rank_sets(found.reset_index()).set_index("model")["last"].to_dict() == {
        "m": 1, "n": 3, "o": 3,
    }  # fmt: skip


def test_holm_is_the_step_down_of_bonferroni():
    assert holm([0.01, 0.04, 0.03, np.nan]).tolist()[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(holm([0.01, np.nan])[1])
    assert holm([0.9, 0.8]).tolist() == [1, 1]


def test_equal_models_are_rarely_called_different_and_true_ranks_are_inside():
    wrong = sum(
        (mean_differences(all_pairs(one), range(len(one)))["p_holm"] <= 0.05).any()
        for one in values(500, 6, 8)
    )
    assert wrong <= 37, "5 % of 500; more than 37 happen once in 100 such runs"


def all_pairs(scores):
    one, two = np.triu_indices(scores.shape[1], 1)
    return pd.DataFrame(scores[:, one] - scores[:, two])


def test_a_better_model_is_found_with_twelve_images():
    # 1.5 standard deviations of the paired difference, whose variance is that of two models.
    better = values(300, 12, 2, best=1.5 * np.sqrt(2))
    found = [
        rank_sets(simultaneous_differences(pd.DataFrame(one, columns=["m", "n"]), range(12)))
        for one in better
    ]
    assert np.mean([ranks["last"].iloc[0] == 1 for ranks in found]) >= 0.8


def test_ranks_are_counted_from_what_is_sure():
    rows = [("m", "n", 0.1, 0.3), ("m", "o", 0.2, 0.4), ("n", "o", -0.1, 0.1)]
    found = rank_sets(pd.DataFrame(rows, columns=["one", "two", "low", "high"]))
    assert found.to_numpy().tolist() == [
        ["m", 1, 1, 0, 2],
        ["n", 2, 3, 1, 0],
        ["o", 2, 3, 1, 0],
    ]
