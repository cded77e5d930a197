"""Intervals for scores of images, and of patches that share an image.

Patches of one image are not independent. So intervals come from a bootstrap that draws images, and
then patches within them (`resample_images`); what is compared is drawn together, so that
differences are paired.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from imc_helpers.errors import InputError

DRAWS = 2000
"""Draws of a bootstrap: more than enough for a standard error (Efron and Tibshirani 1993)."""
CONFIDENCE = 0.95
_MOST_NUMBERS = 4_000_000
"""Random numbers held at once."""


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
    (``tests/unit/agreement/test_intervals.py``).
    """
    centre, n = np.asarray(estimate, float), np.asarray(n_images, float)
    enough = n >= 2
    n = np.where(enough, n, np.nan)
    degrees = n - 1
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        # Of one draw, or none, with a value there is no spread: NumPy says so, and gives NaN.
        warnings.filterwarnings("ignore", "Degrees of freedom", RuntimeWarning)
        spread = np.nanstd(replicates, axis=0, ddof=1)
        half = stats.t.ppf((1 + confidence) / 2, degrees) * spread * np.sqrt(n / degrees)
    return centre - half, centre + half


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
        (n, K) one row per patch (or image). A missing numerator counts on neither side.
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
        (n, K) one row per patch or image, one column per quantity; missing values do not count.
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
        (n, K) one row per patch or image.
    images
        (n,) image of each row.
    confidence, draws, seed
        As in `interval` and `resample_images`.

    Returns
    -------
    pandas.DataFrame
        One row per column: ``mean``, ``low``, ``high``, ``images``.
    """
    means, replicates = bootstrap_means(values, images, draws=draws, seed=seed)
    n_images = count_images(values, images)
    low, high = interval(means, replicates, n_images, confidence=confidence)
    frame = {"mean": means, "low": low, "high": high, "images": n_images}
    return pd.DataFrame(frame, index=values.columns)


def grouped_intervals(
    rows: pd.DataFrame, by: Sequence[str], columns: Mapping[str, str], images: str = "sample"
) -> pd.DataFrame:
    """Give the means of some columns for each group of rows, with their intervals.

    Parameters
    ----------
    rows
        One row per group and image.
    by
        Columns that tell the groups apart.
    columns
        Columns of scores, and their names for readers.
    images
        Column that says which image a row is of, or whatever else was drawn at random.

    Returns
    -------
    pandas.DataFrame
        One row per group and score, in the order of the rows: the columns of ``by``, ``score`` (its
        name for readers), ``mean``, ``low``, ``high``, ``images``.
    """
    parts = []
    for key, part in rows.groupby(list(by), sort=False):
        found = mean_intervals(part[list(columns)], part[images]).rename(index=dict(columns))
        groups = pd.DataFrame([key] * len(found), columns=list(by))
        parts.append(groups.join(found.rename_axis("score").reset_index()))
    return pd.concat(parts, ignore_index=True)


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
        (n, K) one row per patch or image, one column per model.
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
