"""The study's own tests of whether two groups of scores differ.

They take all scores for independent. Patches of one image are not, so their p are too small
(`imc_helpers.agreement.intervals` gives intervals that know better).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from imc_helpers.agreement.score_table import METRICS
from imc_helpers.agreement.summaries import KEYS, groups

ALPHA = 0.05
"""Level of the checks that choose a test."""
_SHAPIRO_MOST = 5000
"""Scores above which SciPy's p of Shapiro-Wilk may not be accurate."""


@dataclass(frozen=True)
class StudyTest:
    """Which test the study's procedure chose for two groups of scores, and what it gave."""

    test: str
    """``"Student's t"``, ``"Welch's t"``, ``"Mann-Whitney U"``, or ``"none"``."""
    why: str
    """What decided."""
    statistic: float
    """t or U; missing without a test."""
    p: float
    """Two-sided; missing without a test."""
    p_normal: tuple[float, float]
    """Shapiro-Wilk, each group; missing where it cannot be computed."""
    p_variances: float
    """Bartlett; missing where it was not asked for."""


def study_test(first: ArrayLike, second: ArrayLike, *, alpha: float = ALPHA) -> StudyTest:
    """Compare two groups of scores as the study does (Schuiki et al. 2025, section 4).

    Shapiro-Wilk asks whether each group is normally distributed, Bartlett whether their variances
    are equal. Normal and equal: Student's t. Normal and unequal: Welch's t. Not normal:
    Mann-Whitney U. The level of the checks is not stated in the study; .05 is the custom.

    Parameters
    ----------
    first, second
        (n,) scores each; missing ones are left out.
    alpha
        Level of the two checks.

    Notes
    -----
    A group whose scores are all the same is taken for not normal: Shapiro-Wilk is not defined.
    Of more than 5000 scores it sees 5000, drawn at random: its p is not accurate beyond.
    """
    one, two = (np.asarray(group, float) for group in (first, second))
    one, two = one[~np.isnan(one)], two[~np.isnan(two)]
    if min(len(one), len(two)) < 3:
        why = f"Shapiro-Wilk needs 3 scores a group, found {len(one)} and {len(two)}"
        return StudyTest("none", why, np.nan, np.nan, (np.nan, np.nan), np.nan)
    p_normal = _shapiro(one), _shapiro(two)
    if not all(p > alpha for p in p_normal):  # a missing p is not normal either
        result = stats.mannwhitneyu(one, two, alternative="two-sided")
        lowest = np.nan if np.isnan(p_normal).any() else min(p_normal)
        why = (
            "not normal: all scores of a group are the same"
            if np.isnan(lowest)
            else f"not normal: Shapiro-Wilk p = {lowest:.2g}"
        )
        return _tested("Mann-Whitney U", why, result, p_normal, np.nan)
    p_variances = float(stats.bartlett(one, two).pvalue)
    equal = p_variances > alpha
    why = f"normal; variances {'equal' if equal else 'unequal'}: Bartlett p = {p_variances:.2g}"
    result = stats.ttest_ind(one, two, equal_var=equal)
    return _tested("Student's t" if equal else "Welch's t", why, result, p_normal, p_variances)


def _shapiro(scores: np.ndarray) -> float:
    if np.ptp(scores) == 0:
        return np.nan
    if len(scores) > _SHAPIRO_MOST:
        scores = np.random.default_rng(0).choice(scores, _SHAPIRO_MOST, replace=False)
    return float(stats.shapiro(scores).pvalue)


def _tested(
    test: str, why: str, result: object, p_normal: tuple[float, float], p_variances: float
) -> StudyTest:
    statistic, p = (float(getattr(result, name)) for name in ("statistic", "pvalue"))
    return StudyTest(test, why, statistic, p, p_normal, p_variances)


def study_tests(
    judged: pd.DataFrame,
    models: Iterable[str],
    pairs: pd.DataFrame,
    *,
    alpha: float = ALPHA,
) -> pd.DataFrame:
    """Run the study's procedure for every model: its scores against the references' own.

    Parameters
    ----------
    judged
        What `imc_helpers.agreement.summaries.against` returns; several cohorts may stand in it.
    models
        Which models; those without scores are left out.
    pairs
        What `imc_helpers.agreement.summaries.between` returns: scores of references with one
        another, each pair once. A mode and cohort that it lacks is left out.
    alpha
        Level of the checks.

    Returns
    -------
    pandas.DataFrame
        One row per cohort, mode, metric and model: ``n_model`` and ``n_annotators`` (scores in each
        group; the second counts those of pairs of references), ``test``, ``why``, ``statistic``,
        ``p``.
    """
    rows: list[dict[str, Any]] = []
    others = {(cohort, mode): part for cohort, mode, part in groups(pairs)}
    for cohort, mode, ours in groups(judged[judged["rater_pred"].isin(list(models))]):
        if (cohort, mode) not in others:
            continue
        for metric, (model, part) in product(METRICS, ours.groupby("rater_pred", sort=False)):
            theirs = others[cohort, mode][metric]
            result = study_test(part[metric], theirs, alpha=alpha)
            rows.append(
                {
                    "cohort": cohort,
                    "mode": mode,
                    "metric": metric,
                    "model": model,
                    "n_model": len(part),
                    "n_annotators": len(theirs),
                    "test": result.test,
                    "why": result.why,
                    "statistic": result.statistic,
                    "p": result.p,
                }
            )
    return pd.DataFrame(rows, columns=_TEST_COLUMNS)


_TEST_COLUMNS = [
    *KEYS,
    "metric",
    "model",
    "n_model",
    "n_annotators",
    "test",
    "why",
    "statistic",
    "p",
]
