"""Tests and intervals for scores of images, and of patches that share an image.

The study's own procedure (`study_test`) takes all scores for independent. Patches of one image are
not. So intervals come from a bootstrap that draws images, and then patches within them
(`resample_images`); what is compared is drawn together, so that differences are paired.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from imc_helpers.errors import InputError

DRAWS = 2000
"""Draws of a bootstrap: more than enough for a standard error (Efron and Tibshirani 1993)."""
CONFIDENCE = 0.95
ALPHA = 0.05
_MOST_NUMBERS = 4_000_000
"""Random numbers held at once."""


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
    """
    one, two = (np.asarray(group, float) for group in (first, second))
    one, two = one[~np.isnan(one)], two[~np.isnan(two)]
    if min(len(one), len(two)) < 3:
        why = f"Shapiro-Wilk needs 3 scores a group, found {len(one)} and {len(two)}"
        return StudyTest("none", why, np.nan, np.nan, (np.nan, np.nan), np.nan)
    p_normal = _shapiro(one), _shapiro(two)
    if not min(p_normal) > alpha:  # a missing p is not normal either
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
    return float(stats.shapiro(scores).pvalue) if np.ptp(scores) > 0 else np.nan


def _tested(
    test: str, why: str, result: object, p_normal: tuple[float, float], p_variances: float
) -> StudyTest:
    statistic, p = (float(getattr(result, name)) for name in ("statistic", "pvalue"))
    return StudyTest(test, why, statistic, p, p_normal, p_variances)


def resample_images(images: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Draw images, then as many patches within each drawn image as it has, all with replacement.

    Parameters
    ----------
    images
        (n,) which image each patch belongs to; with one entry an image, this is the plain
        bootstrap.
    draws
        Number of bootstrap draws.
    seed
        The same seed gives the same draws.

    Returns
    -------
    numpy.ndarray
        (draws, n) float32: how often each patch was drawn. A sum over patches in every draw is one
        product with this matrix, so everything that is to be compared is drawn together.

    Notes
    -----
    The hierarchical bootstrap of Saravanan, Berman and Sober 2020 (arXiv:2007.07797). Differences
    within an image enter twice, by its patches and by the image's own mean, so that where images
    hardly differ the intervals are wide rather than narrow (Davison and Hinkley 1997, section 3.8).
    """
    codes, names = pd.factorize(np.asarray(images))
    if len(codes) == 0 or (codes < 0).any():
        raise InputError("images: expected the image of each patch, found none, or a missing one")
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    n_images, largest = len(names), int(sizes.max())
    rng = np.random.default_rng(seed)
    weights = np.empty((draws, len(codes)), np.float32)
    at_once = max(1, _MOST_NUMBERS // (n_images * largest))
    for begin in range(0, draws, at_once):
        rows = min(at_once, draws - begin)
        drawn = rng.integers(n_images, size=(rows, n_images))
        within = rng.random((rows, n_images, largest)) * sizes[drawn][..., None]
        patches = order[starts[drawn][..., None] + within.astype(np.int64)]
        wanted = np.arange(largest) < sizes[drawn][..., None]
        cells = np.arange(rows)[:, None, None] * len(codes) + patches
        counts = np.bincount(cells[wanted], minlength=rows * len(codes))
        weights[begin : begin + rows] = counts.reshape(rows, len(codes))
    return weights


def interval(
    estimate: ArrayLike,
    replicates: np.ndarray,
    n_images: ArrayLike,
    *,
    confidence: float = CONFIDENCE,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a confidence interval from the bootstrap's standard error.

    Parameters
    ----------
    estimate
        (K,) estimates.
    replicates
        (draws, K) the same in every draw; missing ones (of draws without a value) do not count.
    n_images
        (K,) number of images behind each estimate.
    confidence
        Nominal coverage.

    Returns
    -------
    low, high
        (K,) each; missing where there are fewer than two images.

    Notes
    -----
    Estimate ± t · SE · √(n / (n − 1)), with the t quantile of n − 1 degrees of freedom: of n
    images the bootstrap sees a spread that is too small by that root, and its percentiles are too
    narrow for few images (Hesterberg 2015, doi:10.1080/00031305.2015.1089789). With one patch an
    image it comes to the classical t interval of a mean. In a simulation with four images, whose
    scores were normal, it covered as promised; the percentiles of the same draws did not
    (``tests/unit/test_statistics.py``).
    """
    centre, n = np.asarray(estimate, float), np.asarray(n_images, float)
    enough = n >= 2
    n = np.where(enough, n, np.nan)
    degrees = n - 1
    with np.errstate(invalid="ignore"):
        spread = _spread(replicates)
        half = stats.t.ppf((1 + confidence) / 2, degrees) * spread * np.sqrt(n / degrees)
    return centre - half, centre + half


def _spread(replicates: np.ndarray) -> np.ndarray:
    """Take the standard deviation, by column, over draws that have a value."""
    valid = ~np.isnan(replicates)
    count = valid.sum(axis=0)
    filled = np.where(valid, replicates, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=0) / count
        squares = (np.where(valid, replicates - mean, 0.0) ** 2).sum(axis=0)
        return np.sqrt(squares / (count - 1))


def bootstrap_ratios(
    numerator: pd.DataFrame,
    denominator: pd.DataFrame,
    images: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw sums of one thing over sums of another: means, shares, recalls.

    Parameters
    ----------
    numerator, denominator
        (n, K) one row a patch (or image). A missing numerator counts on neither side.
    images
        (n,) image of each row.
    draws, seed
        As in `resample_images`.

    Returns
    -------
    estimates
        (K,) ratio of the sums; missing where the denominator is 0.
    replicates
        (draws, K) the same in every draw.
    """
    over = numerator.to_numpy(float)
    valid = ~np.isnan(over)
    over = np.where(valid, over, 0.0)
    under = np.where(valid, denominator.to_numpy(float), 0.0)
    weights = resample_images(images, draws=draws, seed=seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        return over.sum(axis=0) / under.sum(axis=0), (weights @ over) / (weights @ under)


def bootstrap_means(
    values: pd.DataFrame, images: ArrayLike, *, draws: int = DRAWS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw means over patches, every patch counting the same, as the study averages them.

    Parameters
    ----------
    values
        (n, K) one row a patch or image, one column a quantity; missing values do not count.
    images, draws, seed
        As in `bootstrap_ratios`.

    Returns
    -------
    estimates, replicates
        (K,) and (draws, K).
    """
    ones = pd.DataFrame(1.0, index=values.index, columns=values.columns)
    return bootstrap_ratios(values, ones, images, draws=draws, seed=seed)


def count_images(values: pd.DataFrame, images: ArrayLike) -> np.ndarray:
    """Count, for each column, the images that have a value: (K,) integers."""
    return values.notna().groupby(np.asarray(images)).any().sum().to_numpy()


def mean_intervals(
    values: pd.DataFrame,
    images: ArrayLike,
    *,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Give the mean of each column with its interval.

    Parameters
    ----------
    values
        (n, K) one row a patch or image.
    images
        (n,) image of each row.
    confidence, draws, seed
        As in `interval` and `resample_images`.

    Returns
    -------
    pandas.DataFrame
        One row a column: ``mean``, ``low``, ``high``, ``images``.
    """
    means, replicates = bootstrap_means(values, images, draws=draws, seed=seed)
    n_images = count_images(values, images)
    low, high = interval(means, replicates, n_images, confidence=confidence)
    frame = {"mean": means, "low": low, "high": high, "images": n_images}
    return pd.DataFrame(frame, index=values.columns)


def paired_differences(
    values: pd.DataFrame,
    images: ArrayLike,
    baseline: str,
    *,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Give the mean difference of each column from a baseline column, with its interval.

    The difference is taken patch by patch where both have a value, so whatever makes an image hard
    for both does not enter.

    Parameters
    ----------
    values
        (n, K) one row a patch or image, one column a model.
    images
        (n,) image of each row.
    baseline
        The column from which the others are told.
    confidence, draws, seed
        As in `interval` and `resample_images`.

    Returns
    -------
    pandas.DataFrame
        As `mean_intervals` returns, one row for every other column.

    Raises
    ------
    InputError
        If there is no such column.
    """
    if baseline not in values:
        raise InputError(f"baseline {baseline!r}: expected one of {', '.join(map(str, values))}")
    others = values.drop(columns=baseline).sub(values[baseline], axis=0)
    return mean_intervals(others, images, confidence=confidence, draws=draws, seed=seed)


def coverage(
    n_images: int,
    n_patches: int,
    *,
    between: float = 1.0,
    within: float = 1.0,
    confidence: float = CONFIDENCE,
    trials: int = 1000,
    draws: int = DRAWS // 2,
    seed: int = 0,
) -> dict[str, float]:
    """Simulate how often intervals hold the true mean, when patches of an image are alike.

    Parameters
    ----------
    n_images, n_patches
        Images, and patches of each.
    between, within
        Standard deviation of the images' means, and of the patches of one image around it; both
        normal.
    confidence
        Nominal coverage.
    trials
        Simulated studies.
    draws, seed
        As in `resample_images`.

    Returns
    -------
    dict
        Share of studies whose interval holds the mean, by the kind of interval: all patches taken
        for independent (t), percentiles of the bootstrap over images, and `interval`.
    """
    rng = np.random.default_rng(seed)
    images = np.repeat(np.arange(n_images), n_patches)
    centres = between * rng.standard_normal((n_images, trials))
    values = pd.DataFrame(centres[images] + within * rng.standard_normal((len(images), trials)))
    naive = stats.t.interval(
        confidence, len(values) - 1, loc=values.mean(), scale=stats.sem(values)
    )
    means, replicates = bootstrap_means(values, images, draws=draws, seed=seed)
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    intervals = {
        "patches as independent": naive,
        "bootstrap over images, percentiles": np.quantile(replicates, tails, axis=0),
        "bootstrap over images, widened": interval(
            means, replicates, np.full(trials, n_images), confidence=confidence
        ),
    }
    return {
        kind: float(np.mean((np.asarray(low) <= 0) & (np.asarray(high) >= 0)))
        for kind, (low, high) in intervals.items()
    }
