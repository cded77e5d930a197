"""How sure agreement is, and which models differ: intervals and tests whose unit is the image.

Patches of an image are averaged first, and then every image counts the same. What an interval
speaks of is said with it: other images drawn by these people, or other images and other people.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imc_helpers.errors import InputError

ALPHA = 0.025
"""Error that a decision may make on one side; a 95 % interval has as much beyond either end."""
_DIGITS = 12
"""Behind the point; what differs by less is the same score, and differs by rounding."""


@dataclass(frozen=True)
class CrossedInterval:
    """Mean agreement of raters, and how far it might have come out otherwise."""

    mean: float
    """Mean over pairs of raters of their mean over images."""
    images: int
    raters: int
    variance_images: float
    """Variance of the mean that comes from which images were drawn; missing with one image."""
    variance_raters: float
    """The same from which people drew them; missing with fewer than three."""
    low_images: float
    high_images: float
    """Ends of the interval for these people on other images."""
    low_both: float
    high_both: float
    """Ends of the interval for other people on other images."""
    missing: str
    """Why an interval is missing, and what would give it; empty where both are there."""


def crossed_interval(
    pairs: pd.DataFrame, metric: str, *, confidence: float = 1 - 2 * ALPHA
) -> CrossedInterval:
    """Say how sure the mean agreement of raters is, for other images and for other people.

    Every pair of raters shares a rater with others and every image is drawn by several, so scores
    are not independent. Agreement is a U-statistic over pairs. What images add to its variance is
    found by leaving out one at a time (on complete data that is the variance of the images' means
    over their number), and what people add by leaving out one at a time (the jackknife,
    V = (N - 1) / N Σ (θ₋ₐ - θ̄₋)²).

    Parameters
    ----------
    pairs
        What `summaries.between` returns, of one cohort and mode. Not every rater need have drawn
        every image; a pair counts the same however many images it shares.
    metric
        The score.
    confidence
        Nominal coverage.

    Returns
    -------
    CrossedInterval
        An end is missing where ``missing`` says why.

    Raises
    ------
    InputError
        If there is no pair, or there are several cohorts or modes.

    Notes
    -----
    θ ± t √V_images with n - 1 degrees of freedom, and θ ± t √(V_images + V_raters) with those of
    Satterthwaite. Both are simulated in ``benchmarks/decisions.py``: of 95 % intervals for other
    people .93 to .98 hold the true mean, the least with three people. Where raters drew different
    images, leaving one out leaves out images too, which then count twice: such an interval is too
    wide rather than too narrow. A bootstrap that draws raters is no way out: one that is drawn
    twice agrees with herself (Owen 2007, doi:10.1214/07-AOAS122).
    """
    kinds = pairs[["cohort", "mode"]].drop_duplicates()
    if len(kinds) != 1:
        raise InputError(f"pairs: expected those of one cohort and mode, found {len(kinds)}")
    scores, raters, images = score_cube(pairs, metric)
    mean, v_images, v_raters = crossed_variances(scores)
    n_images, n_raters = len(images), len(raters)
    gap = design_gap(pairs)
    if gap:
        v_raters = np.array(np.nan)
    missing = []
    if n_images < 2:
        missing.append("one image says nothing about others: have a second one drawn")
    if n_raters < 3:
        missing.append(
            "two raters say nothing about a third: have a third draw images that both have drawn"
        )
    elif gap:
        missing.append(gap)
    both = v_images + v_raters
    degrees = satterthwaite(v_images, n_images - 1, v_raters, n_raters - 1)
    half_images = _quantile(confidence, n_images - 1) * np.sqrt(v_images)
    half_both = _quantile(confidence, degrees) * np.sqrt(both)
    return CrossedInterval(
        mean=float(mean),
        images=n_images,
        raters=n_raters,
        variance_images=float(v_images),
        variance_raters=float(v_raters),
        low_images=float(mean - half_images),
        high_images=float(mean + half_images),
        low_both=float(mean - half_both),
        high_both=float(mean + half_both),
        missing="; ".join(missing),
    )


def score_cube(pairs: pd.DataFrame, metric: str) -> tuple[np.ndarray, list[str], list[str]]:
    """Lay the scores of pairs out by rater, rater and image.

    Parameters
    ----------
    pairs
        Scores of one cohort and mode; patches are averaged.
    metric
        The score.

    Returns
    -------
    scores : numpy.ndarray
        (N, N, n), symmetric; missing where a pair has not drawn an image, and on the diagonal.
    raters, images : list of str
        In their order of appearance.
    """
    means = pairs.groupby(["rater_true", "rater_pred", "sample"], sort=False)[metric].mean()
    raters = list(dict.fromkeys([*pairs["rater_true"], *pairs["rater_pred"]]))
    images = list(dict.fromkeys(pairs["sample"]))
    scores = np.full((len(raters), len(raters), len(images)), np.nan)
    for one, two, image, value in means.reset_index().itertuples(index=False):
        a, b, i = raters.index(one), raters.index(two), images.index(image)
        scores[a, b, i] = scores[b, a, i] = value
    return scores, raters, images


def crossed_variances(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leave out one image, and one rater, at a time.

    Parameters
    ----------
    scores
        (..., N, N, n) what `score_cube` returns, of many studies at once if need be.

    Returns
    -------
    mean, variance_images, variance_raters : numpy.ndarray
        (...) each; a variance is missing where nothing is left to leave out.
    """
    n_raters, n_images = scores.shape[-2:]
    one, two = np.triu_indices(n_raters, 1)
    of_pairs = scores[..., one, two, :]
    there = ~np.isnan(of_pairs)
    of_pairs = np.where(there, of_pairs, 0.0)
    totals, counts = of_pairs.sum(axis=-1), there.sum(axis=-1)
    everybody = np.ones(len(one), bool)
    without_image = [
        _mean_of_pairs(totals - of_pairs[..., i], counts - there[..., i], everybody)
        for i in range(n_images)
    ]
    without_rater = [
        _mean_of_pairs(totals, counts, (one != a) & (two != a)) for a in range(n_raters)
    ]
    return (
        _mean_of_pairs(totals, counts, everybody),
        _jackknife_variance(np.stack(without_image, axis=-1)),
        _jackknife_variance(np.stack(without_rater, axis=-1)),
    )


def _mean_of_pairs(totals: np.ndarray, counts: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Average over pairs what each averages over its images."""
    used = (counts > 0) & kept
    means = np.where(used, totals / np.maximum(counts, 1), 0.0)
    with np.errstate(invalid="ignore"):
        return means.sum(axis=-1) / used.sum(axis=-1)


def _jackknife_variance(without_one: np.ndarray) -> np.ndarray:
    n = without_one.shape[-1]
    return (n - 1) * without_one.var(axis=-1) if n > 1 else np.full(without_one.shape[:-1], np.nan)


def satterthwaite(
    one: ArrayLike, one_degrees: ArrayLike, two: ArrayLike, two_degrees: ArrayLike
) -> np.ndarray:
    """Give the degrees of freedom of a sum of two independent variances (Satterthwaite 1946).

    Parameters
    ----------
    one, two
        The variances.
    one_degrees, two_degrees
        Their degrees of freedom; where one is below 1, the result is missing.
    """
    one, one_degrees, two, two_degrees = (
        np.asarray(value, float) for value in (one, one_degrees, two, two_degrees)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (one + two) ** 2 / (one**2 / one_degrees + two**2 / two_degrees)
    # Where nothing varies, any number of degrees gives the same interval.
    found = np.where(one + two > 0, found, one_degrees)
    return np.where(np.minimum(one_degrees, two_degrees) >= 1, found, np.nan)


def _quantile(confidence: float, degrees: ArrayLike) -> np.ndarray:
    degrees = np.asarray(degrees, float)
    return stats.t.ppf((1 + confidence) / 2, np.where(degrees > 0, degrees, np.nan))


def design_gap(pairs: pd.DataFrame) -> str:
    """Say what is missing where some raters cannot be compared with others.

    Two raters are linked when they drew an image in common; all must be linked, if only through
    others, to tell a difference of people from one of images.

    Parameters
    ----------
    pairs
        Scores of one cohort.

    Returns
    -------
    str
        Empty where all are linked; else who lacks a link and an image that would give it.
    """
    raters, groups = _linked(pairs)
    if len(set(groups)) < 2:
        return ""
    first = [r for r, group in zip(raters, groups, strict=True) if group == groups[0]]
    others = [r for r in raters if r not in first]
    drawn = pairs[pairs["rater_true"].isin(others)]["sample"]
    return (
        f"{_listed(first)} drew no image in common with {_listed(others)}: have {first[0]} draw "
        f"{drawn.iloc[0]}, for instance"
    )


def _linked(pairs: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Group the raters who are linked by images in common."""
    raters = list(dict.fromkeys([*pairs["rater_true"], *pairs["rater_pred"]]))
    ends = [[raters.index(name) for name in pairs[f"rater_{side}"]] for side in ("true", "pred")]
    graph = coo_array((np.ones(len(pairs)), (ends[0], ends[1])), shape=(len(raters),) * 2)
    return raters, connected_components(graph, directed=False)[1]


def _listed(names: Sequence[str]) -> str:
    *all_but_last, last = names
    return f"{', '.join(all_but_last)} and {last}" if all_but_last else last


def mean_differences(
    differences: pd.DataFrame, images: Sequence[Hashable] | pd.Index, *, alpha: float = ALPHA
) -> pd.DataFrame:
    """Test the mean of each column against 0, all columns together: paired t over images.

    Parameters
    ----------
    differences
        (n, C) one row per image or patch, one column per paired difference; missing where one of
        the two is.
    images
        (n,) image of each row.
    alpha
        Error on one side, of all columns together.

    Returns
    -------
    pandas.DataFrame
        One row per column, in their order: ``difference``, ``low`` and ``high`` (Bonferroni
        intervals: all of them hold the true values in 1 - 2 alpha of studies), ``p`` (two sided)
        and ``p_holm`` (corrected for the number of columns by Holm's rule), ``images``. Missing
        where there are fewer than two images.

    Notes
    -----
    The t interval leans on means of images being about normal; ``benchmarks/decisions.py`` counts
    how often it errs where scores, or their differences, are as skewed as an exponential
    distribution. Sign flips are no way out: with 4 images their least p is 1/8, whatever the data.
    """
    by_image = differences.groupby(np.asarray(images), sort=False).mean()
    by_image = by_image.round(_DIGITS)
    counts = by_image.count().to_numpy()
    mean = by_image.mean().to_numpy()
    degrees = np.where(counts > 1, counts - 1, np.nan)
    error = by_image.std(ddof=1).to_numpy() / np.sqrt(np.maximum(counts, 1))
    family = max(1, int(np.isfinite(degrees).sum()))
    half = stats.t.isf(alpha / family, degrees) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where nothing varies, what is 0 is surely nothing else, and what is not 0 surely differs.
        statistic = np.where(mean == 0, 0.0, np.abs(mean) / error)
    p = 2 * stats.t.sf(statistic, degrees)
    return pd.DataFrame(
        {
            "difference": mean,
            "low": mean - half,
            "high": mean + half,
            "p": p,
            "p_holm": holm(p),
            "images": counts,
        },
        index=differences.columns,
    )


def simultaneous_differences(
    values: pd.DataFrame, images: Sequence[Hashable] | pd.Index, *, alpha: float = ALPHA
) -> pd.DataFrame:
    """Compare every model with every other, image by image, all comparisons together.

    To compare each with the best alone is no way out: the best was chosen by the same scores, and
    so lies too high.

    Parameters
    ----------
    values
        (n, K) one row per image or patch, one column per model; missing values are left out of the
        comparisons that they concern.
    images
        (n,) image of each row.
    alpha
        Error on one side, of all comparisons together.

    Returns
    -------
    pandas.DataFrame
        One row per pair of columns: ``one``, ``two``, and what `mean_differences` returns of one
        less two.
    """
    chosen = list(combinations(values.columns, 2))
    one, two = (values[[pair[side] for pair in chosen]].to_numpy(float) for side in (0, 1))
    found = mean_differences(pd.DataFrame(one - two), images, alpha=alpha)
    names = pd.DataFrame(chosen, columns=["one", "two"], index=found.index)
    return names.join(found)


def rank_sets(differences: pd.DataFrame) -> pd.DataFrame:
    """Say which ranks each model may have, for all models together.

    A model's rank is at least 1 and as many as are surely better, and at most K less as many as are
    surely worse (Mogstad et al. 2024, doi:10.1093/restud/rdad006). All true ranks lie within in 95
    of 100 studies where the intervals of the differences do.

    Parameters
    ----------
    differences
        What `simultaneous_differences` returns.

    Returns
    -------
    pandas.DataFrame
        One row per model, in their order of appearance: ``model``, ``first`` and ``last`` rank,
        ``better`` and ``worse`` (how many models surely are).
    """
    models = list(dict.fromkeys([*differences["one"], *differences["two"]]))
    one, two = differences["one"].to_numpy(), differences["two"].to_numpy()
    wins, losses = (differences["low"] > 0).to_numpy(), (differences["high"] < 0).to_numpy()
    better = [int(losses[one == m].sum() + wins[two == m].sum()) for m in models]
    worse = [int(wins[one == m].sum() + losses[two == m].sum()) for m in models]
    return pd.DataFrame(
        {
            "model": models,
            "first": [1 + count for count in better],
            "last": [len(models) - count for count in worse],
            "better": better,
            "worse": worse,
        }
    )


def holm(p: ArrayLike) -> np.ndarray:
    """Correct p for their number by Holm's rule (1979); missing ones count for nothing.

    Parameters
    ----------
    p
        (C,) p of each test.
    """
    p = np.asarray(p, float)
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = np.arange(len(order), 0, -1) * p[order]
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected
