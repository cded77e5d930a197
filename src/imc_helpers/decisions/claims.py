"""May one believe a ranking? How likely it is that the method reported as best is not the best.

A table that ranks methods by mean scores claims that the first is better than the others. On other
images of the same kind the order may be another. The chance that it is follows from the means, the
standard deviations of the scores over images, their correlation, and the number of images
(Christodoulou et al. 2025). The one that came first was chosen because it came first: it is likely
to have been lucky as well as good, and the chance must allow for that.
"""

from collections.abc import Sequence
from enum import Enum

import numpy as np
import pandas as pd
from scipy import stats

from imc_helpers.agreement.summaries import by_unit
from imc_helpers.data.manifest import published_table
from imc_helpers.errors import InputError
from imc_helpers.metrics import TP_COLUMNS

LEVEL = 0.05
"""A claim holds when the chance that it is false is smaller than this."""
CORRELATIONS = (0.0, 0.9)
"""Between which two correlations a table that reports none is judged."""
DRAWS = 20_000
_SPREADS, _SCALES = 48, 24
_LARGEST_CORRELATION = 0.99
COLUMNS = ("claim", "method", "mean", "sd", "correlation", "images")
"""Of a table to be audited."""


class Verdict(str, Enum):  # noqa: UP042  (as in `imc_helpers.agreement.equivalence`)
    """What an audit says of a claim."""

    HOLDS = "holds"
    """The chance that it is false is below `LEVEL`, whatever was assumed."""
    DEPENDS = "depends"
    """It is below `LEVEL` or above, depending on what the table does not report."""
    UNCERTAIN = "uncertain"
    """It is `LEVEL` or more, whatever was assumed."""
    NO_ANSWER = "no answer"
    """One image, or standard deviations neither reported nor assumed."""

    __str__ = str.__str__


def chance_false(
    means: Sequence[float] | np.ndarray,
    sds: Sequence[float] | np.ndarray,
    correlation: float,
    n_images: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """Return the chance that the method with the highest mean is not the best on other images.

    Parameters
    ----------
    means
        (K,) mean score of each of two methods or more over the same images.
    sds
        (K,) standard deviation of each method's scores over images.
    correlation
        Between the scores of two methods over images, the same for all pairs; taken as 0 to .99.
    n_images
        Number of images, 2 or more.
    draws, seed
        Draws from the posterior.

    Raises
    ------
    InputError
        If there are fewer than two methods or images, or something is missing.

    Notes
    -----
    The true means are drawn from a normal distribution whose centre and spread are unknown (flat
    priors on both, the spread's up to four times that of the means seen; Gelman 2006,
    doi:10.1214/06-BA117A). So the means are drawn together, the more so the less the methods differ
    beyond their noise. The noise is known up to a factor with n - 1 degrees of freedom.
    """
    mean, sd = np.asarray(means, float), np.asarray(sds, float)
    _check(mean, sd, correlation, n_images)
    sd = np.maximum(sd, 1e-9)
    shared = np.clip(correlation, 0, _LARGEST_CORRELATION)
    noise = np.outer(sd, sd) * (shared + (1 - shared) * np.eye(len(sd))) / n_images
    truths = _posterior(mean, noise, n_images - 1, np.random.default_rng(seed), draws)
    return float(np.mean(truths.argmax(axis=1) != mean.argmax()))


def chance_reversed(
    lead: float, sds: tuple[float, float], correlation: float, n_images: int
) -> float:
    """Return the chance that one of two methods, named beforehand, is not the better one.

    Parameters
    ----------
    lead
        Its mean score less the other's.
    sds
        Standard deviation of both methods' scores over images.
    correlation
        Between the two over images.
    n_images
        Number of images, 2 or more.

    Notes
    -----
    ``T_{n-1}(-√n Δ / √(s²_A + s²_B - 2 r s_A s_B))``, the posterior under a flat prior, and the p
    value of a one-sided paired t test (Christodoulou et al. 2025). It does not allow for the choice
    of the winner: where methods hardly differ it is too low even for two.
    """
    _check(np.array([lead, 0.0]), np.asarray(sds, float), correlation, n_images)
    variance = sds[0] ** 2 + sds[1] ** 2 - 2 * correlation * sds[0] * sds[1]
    if variance <= 0:
        return float(0.5 * (1 - np.sign(lead)))
    return float(stats.t.cdf(-np.sqrt(n_images / variance) * lead, n_images - 1))


def _check(mean: np.ndarray, sd: np.ndarray, correlation: float, n_images: int) -> None:
    if len(mean) < 2 or n_images < 2 or not np.isfinite([*mean, *sd, correlation]).all():
        raise InputError(
            "claim: expected means and standard deviations of two methods or more on two images "
            f"or more, found {mean} and {sd} with correlation {correlation} on {n_images} images"
        )


def _posterior(
    means: np.ndarray, noise: np.ndarray, degrees: int, rng: np.random.Generator, draws: int
) -> np.ndarray:
    """Draw true means: (draws, K).

    The spread of the true means and the factor of the noise are drawn from a grid; given these,
    everything is normal. In the basis of the noise's eigenvectors all matrices are diagonal.
    """
    noise_of, basis = np.linalg.eigh(noise)
    seen, ones = basis.T @ means, basis.sum(axis=0)
    # Few degrees of freedom make large factors likely, and these decide: there the grid is dense.
    at_quantile = (np.arange(_SCALES) + 0.5) / _SCALES
    factor = degrees / stats.chi2.ppf(at_quantile**2, degrees)
    # The grid ends far beyond any spread that the means leave plausible.
    spread = (np.arange(_SPREADS) + 0.5) / _SPREADS * 4 * max(float(means.std(ddof=1)), 1e-9)
    factors, variances = (x.ravel() for x in np.meshgrid(factor, spread**2, indexing="ij"))
    total = factors[:, None] * noise_of + variances[:, None]
    weight = (ones**2 / total).sum(axis=1)
    centre = (ones * seen / total).sum(axis=1) / weight
    fit = ((seen - centre[:, None] * ones) ** 2 / total).sum(axis=1)
    log = np.log(np.repeat(at_quantile, _SPREADS))
    log -= 0.5 * (np.log(total).sum(axis=1) + np.log(weight) + fit)
    chance = np.exp(log - log.max())
    at = rng.choice(len(chance), size=draws, p=chance / chance.sum())

    middle = centre[at] + rng.standard_normal(draws) / np.sqrt(weight[at])
    normal = rng.standard_normal((2, draws, len(means)))
    prior = middle[:, None] * ones + np.sqrt(variances[at])[:, None] * normal[0]
    shown = prior + np.sqrt(factors[at][:, None] * noise_of) * normal[1]
    # A draw from the prior, corrected by how far what it would show lies from what was seen.
    return (prior + variances[at][:, None] * (seen - shown) / total[at]) @ basis.T


def audit(table: pd.DataFrame, *, sds: tuple[float, float] | None = None) -> pd.DataFrame:
    """Judge claims of the form *this method is the best of these*.

    Parameters
    ----------
    table
        One row per method of a claim, with `COLUMNS`: ``sd`` and ``correlation`` (the same in all
        rows of a claim) may be missing.
    sds
        Smallest and largest standard deviation over images to assume where none is reported.

    Returns
    -------
    pandas.DataFrame
        One row per claim: ``claim``, ``methods`` (how many), ``images``, ``best`` and ``next`` by
        their means, ``lead``, and ``verdict``. The chance that another method is better,
        ``false_low`` to ``false_high`` over what had to be assumed (equal where nothing was), and
        the same by `chance_reversed` for the first two alone, ``formula_low`` to ``formula_high``.

    Raises
    ------
    InputError
        If a claim has fewer than two methods.
    """
    rows = []
    for claim, methods in table.groupby("claim", sort=False):
        ranked = methods.sort_values("mean", ascending=False, kind="stable")
        if len(ranked) < 2:
            raise InputError(f"claim {claim!r}: expected two methods or more, found one")
        first, second = ranked.iloc[0], ranked.iloc[1]
        row = {
            "claim": claim,
            "methods": len(ranked),
            "images": int(first["images"]),
            "best": first["method"],
            "next": second["method"],
            "lead": first["mean"] - second["mean"],
        }
        chances = _chances(ranked, sds)
        for name in ("false", "formula"):
            row[f"{name}_low"] = min((c[name] for c in chances), default=np.nan)
            row[f"{name}_high"] = max((c[name] for c in chances), default=np.nan)
        rows.append(row | {"verdict": _verdict(row["false_low"], row["false_high"])})
    return pd.DataFrame(rows)


def _chances(ranked: pd.DataFrame, sds: tuple[float, float] | None) -> list[dict[str, float]]:
    """Return the chances under everything that may be assumed."""
    n_images = int(ranked["images"].iloc[0])
    known = bool(ranked["sd"].notna().all())
    if n_images < 2 or not (known or sds):
        return []
    means = ranked["mean"].to_numpy(float)
    spreads = (
        [ranked["sd"].to_numpy(float)] if known else [np.full(len(means), s) for s in sds or ()]
    )
    correlation = ranked["correlation"].iloc[0]
    correlations = CORRELATIONS if pd.isna(correlation) else (float(correlation),)
    return [
        {
            "false": chance_false(means, sd, r, n_images),
            "formula": chance_reversed(means[0] - means[1], (sd[0], sd[1]), r, n_images),
        }
        for sd in spreads
        for r in correlations
    ]


def _verdict(low: float, high: float) -> Verdict:
    if np.isnan(high):
        return Verdict.NO_ANSWER
    if high < LEVEL:
        return Verdict.HOLDS
    return Verdict.UNCERTAIN if low >= LEVEL else Verdict.DEPENDS


def scores_of_images(judged: pd.DataFrame, methods: Sequence[str], score: str) -> pd.DataFrame:
    """Give each method's score on each whole image, averaged over references.

    Parameters
    ----------
    judged
        Rows of one cohort, as `imc_helpers.agreement.summaries.against` returns them.
    methods
        Keys of models; those without scores are left out.
    score
        A column of the table, or ``"f1_50"`` or ``"f1_mean"``, which follow from it.

    Returns
    -------
    pandas.DataFrame
        One row per image that every method has, one column per method.
    """
    rows = judged[(judged["mode"] == "whole") & judged["rater_pred"].isin(list(methods))]
    rows = rows.assign(**_f1(rows)) if score.startswith("f1") else rows
    means = rows.groupby(["sample", "patch", "rater_pred"], dropna=False)[score].mean()
    return by_unit(means.reset_index(), score, ["rater_pred"]).dropna()


def _f1(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    cells = (rows["n_true"] + rows["n_pred"]).to_numpy(float)[:, None]
    matches = 2 * rows[list(TP_COLUMNS)].to_numpy(float)
    f1 = np.divide(matches, cells, out=np.ones_like(matches), where=cells > 0)
    return {"f1_50": f1[:, 0], "f1_mean": f1.mean(axis=1)}


def claim_of(scores: pd.DataFrame, claim: str) -> pd.DataFrame:
    """Turn scores of images into the rows of one claim, for `audit`.

    Parameters
    ----------
    scores
        What `scores_of_images` returns, with two methods or more.
    claim
        Its name.
    """
    methods = scores.shape[1]
    correlations = np.corrcoef(scores.to_numpy().T) if len(scores) > 1 else np.full((2, 2), np.nan)
    pairs = correlations[np.triu_indices(methods, 1)] if len(scores) > 1 else correlations[0]
    pairs = pairs[~np.isnan(pairs)]  # of a method with the same score on every image there is none
    frame = {
        "claim": claim,
        "method": scores.columns.astype(str),
        "mean": scores.mean().to_numpy(),
        "sd": scores.std().to_numpy(),
        "correlation": pairs.mean() if len(pairs) else 0.0,
        "images": len(scores),
    }
    return pd.DataFrame(frame)[list(COLUMNS)]


def published_claims() -> pd.DataFrame:
    """Return the rankings of the studies whose number of test images is published, for `audit`.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, and ``score`` and ``source``: segmentation of nuclei by Goldsborough 2025, tables
        3.1 and 3.2 (of each method as it is, without test-time augmentation where it is listed
        both ways), and of nuclei and cells, tables 4.1 and 4.2. No table reports a standard
        deviation.
    """
    parts = []
    for sizes, scores, by in (
        ("goldsborough25_table3_1", "goldsborough25_table3_2", "data set"),
        ("goldsborough25_table4_1", "goldsborough25_table4_2", "target"),
    ):
        table, size = published_table(scores), published_table(sizes)
        images = size[size["part"] == "test"].set_index("data set")["images"]
        table = table[~table["method"].isin(_augmented(table["method"]))]
        rows = table.melt([by, "method", "source"], list(_F1), "score", "mean").dropna()
        on = rows["data set"] if by == "data set" else pd.Series("TissueNet", rows.index)
        what = on if by == "data set" else on + " " + rows[by]
        parts.append(rows.assign(claim=what + ", " + rows["score"].map(_F1), images=on.map(images)))
    columns = [*COLUMNS, "score", "source"]
    return pd.concat(parts, ignore_index=True).assign(sd=np.nan, correlation=np.nan)[columns]


def _augmented(methods: pd.Series) -> set[str]:
    """Return the names under which methods are listed a second time, with more computation."""
    return {f"{method} (TTA)" for method in methods}


_F1 = {"f1_mean": "mean F1", "f1_50": "F1 at .5"}
"""Scores that the tables report, and how a claim names them."""
