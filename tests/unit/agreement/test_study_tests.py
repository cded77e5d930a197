"""The study's own tests, against SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.agreement.study_tests import study_test, study_tests

RNG = np.random.default_rng(5)
NORMAL, SHIFTED = RNG.normal(0.6, 0.05, 40), RNG.normal(0.5, 0.05, 40)
WIDE = RNG.normal(0.5, 0.2, 40)
SKEWED = RNG.exponential(1, 40)


def test_normal_and_equal_is_students_t():
    found = study_test(NORMAL, SHIFTED)
    expected = stats.ttest_ind(NORMAL, SHIFTED)
    assert found.test == "Student's t"
    assert (found.statistic, found.p) == (expected.statistic, expected.pvalue)
    assert found.p_normal == (stats.shapiro(NORMAL).pvalue, stats.shapiro(SHIFTED).pvalue)
    assert found.p_variances == stats.bartlett(NORMAL, SHIFTED).pvalue
    assert "variances equal" in found.why


def test_normal_and_unequal_is_welchs_t():
    found = study_test(NORMAL, WIDE)
    assert found.test == "Welch's t"
    assert found.p == stats.ttest_ind(NORMAL, WIDE, equal_var=False).pvalue
    assert "variances unequal" in found.why


def test_not_normal_is_mann_whitney_without_a_look_at_variances():
    found = study_test(NORMAL, SKEWED)
    assert found.test == "Mann-Whitney U"
    assert found.p == stats.mannwhitneyu(NORMAL, SKEWED).pvalue
    assert np.isnan(found.p_variances)
    assert f"{stats.shapiro(SKEWED).pvalue:.2g}" in found.why


def test_the_level_of_the_checks_is_a_choice():
    p = stats.shapiro(NORMAL).pvalue
    assert study_test(NORMAL, SHIFTED, alpha=p + 0.001).test == "Mann-Whitney U"


def test_a_group_without_spread_is_not_normal():
    found = study_test(np.zeros(10), NORMAL)
    assert found.test == "Mann-Whitney U"
    assert "the same" in found.why


@pytest.mark.parametrize("groups", [(np.full(10, 0.5), NORMAL), (NORMAL, np.full(10, 0.5))])
def test_the_order_of_two_groups_does_not_choose_the_test(groups):
    found = study_test(*groups)
    assert found.test == "Mann-Whitney U", "one of them has no spread"
    assert found.p == stats.mannwhitneyu(*groups).pvalue


def test_too_few_scores_give_no_test_and_missing_ones_do_not_count():
    found = study_test([0.5, np.nan, 0.6], NORMAL)
    assert found.test == "none"
    assert np.isnan(found.p)
    assert "found 2 and 40" in found.why
    assert study_test([*NORMAL, np.nan], SHIFTED) == study_test(NORMAL, SHIFTED)


def rows(values, pred, **more):
    return pd.DataFrame(
        {
            "cohort": "toy",
            "mode": "whole",
            "rater_true": "a",
            "rater_pred": pred,
            "ap50": values,
            "map": values / 2,
            "sap": values / 4,
        }
    ).assign(**more)


def test_the_studys_tests_compare_a_model_with_the_pairs_of_annotators():
    ours, theirs = RNG.normal(0.5, 0.1, 20), RNG.normal(0.7, 0.1, 30)
    table, pairs = rows(ours, "m"), rows(theirs, "b")
    found = study_tests(table, ["m", "absent"], pairs)
    assert found["metric"].tolist() == ["ap50", "map", "sap"]
    first = found.iloc[0]
    assert (first["test"], first["n_model"], first["n_annotators"]) == ("Student's t", 20, 30)
    assert first["p"] == stats.ttest_ind(ours, theirs).pvalue
    assert study_tests(table, ["m"], pairs.assign(mode="patch")).empty
    assert "p" in study_tests(table, [], pairs)


@pytest.mark.filterwarnings("error")
def test_thousands_of_patches_raise_no_warning():
    rng = np.random.default_rng(6)
    many, skewed = rng.normal(0.5, 0.1, 6000), rng.exponential(1, 6000)
    assert study_test(many, NORMAL).test != "Mann-Whitney U"
    assert study_test(skewed, NORMAL).test == "Mann-Whitney U"
