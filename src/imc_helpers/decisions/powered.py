"""Few crops labelled, many predicted: means with honest intervals, and which crops to label.

A label is what only a person can give: a model's score in a crop, the cells in it, the truth's
score with the annotators. A prediction is something cheap that goes up and down with it, and is
known for every crop: how far two models agree there, say. Labels alone say what the mean is; where
predictions go along with labels, those say how the labelled crops differ from the rest, and that
difference can be taken out. The unit is the crop, never the cell: cells of a crop are alike.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from imc_helpers.agreement.intervals import CONFIDENCE
from imc_helpers.errors import InputError


class Powered(NamedTuple):
    """A mean over crops, from some labels and many predictions."""

    value: float
    """The estimate."""
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end of its interval."""
    slope: float
    """λ: by how much a label goes up where its prediction goes up by one. 0: labels alone."""
    labels: int
    """How many crops were labelled."""


def powered_mean(
    labels: ArrayLike,
    predicted: ArrayLike,
    predicted_all: ArrayLike,
    *,
    images: ArrayLike | None = None,
    slope: float | None = None,
    confidence: float = CONFIDENCE,
) -> Powered:
    """Estimate the mean label over all crops from a few that were drawn at random.

    ``mean(labels) - λ · (mean(predicted) - mean(predicted_all))``: were the labelled crops easier
    than most, as the predictions tell, so much is taken off.

    Parameters
    ----------
    labels
        (m,) what was measured in the labelled crops.
    predicted
        (m,) the prediction for each of them.
    predicted_all
        (C,) the predictions for all crops, the labelled ones among them.
    images
        (m,) image of each labelled crop, when images were drawn at random and crops within them:
        then images are left out, not crops. When not given, each crop was drawn for itself.
    slope
        λ. When not given, the least squares slope of labels on predictions; 0 leaves predictions
        out.
    confidence
        Nominal coverage.

    Returns
    -------
    Powered
        The interval's variance is the jackknife's, with λ fitted anew each time, and its quantile
        is t with the number of units less 2 (less 1 where λ is given): normal ones are too narrow
        for the few labels that this is for.

    Raises
    ------
    InputError
        If values are missing or lengths differ, or there are fewer than 4 labels (or images).

    Notes
    -----
    Prediction-powered inference with a tuned λ (Angelopoulos et al. 2023; Angelopoulos, Duchi and
    Zrnic 2023, section 6), which for a mean is survey sampling's regression estimator (Cochran
    1977, chapter 7). It is about these crops: for other images, draw images.
    """
    y, f, everywhere = _columns(labels, predicted, predicted_all)
    units = _units(images, len(y))

    def estimate(kept: np.ndarray) -> tuple[float, float]:
        lam = _slope(y[kept], f[kept]) if slope is None else slope
        return float(y[kept].mean() - lam * (f[kept].mean() - everywhere.mean())), lam

    return _jackknifed(estimate, units, 1 if slope is None else 0, confidence)


def powered_ratio(
    labels: tuple[ArrayLike, ArrayLike],
    predicted: tuple[ArrayLike, ArrayLike],
    predicted_all: tuple[ArrayLike, ArrayLike],
    *,
    images: ArrayLike | None = None,
    slope: float | None = None,
    confidence: float = CONFIDENCE,
) -> Powered:
    """Estimate a ratio of two sums over all crops: a share of cells, a fraction of a type.

    Parameters
    ----------
    labels
        (m,) and (m,): what is counted in the labelled crops (cells of the type), and out of what
        (all cells).
    predicted
        (m,) and (m,): the same, as predicted.
    predicted_all
        (C,) and (C,): the same, in all crops.
    images, slope, confidence
        As in `powered_mean`.

    Returns
    -------
    Powered
        Of the ratio, linearised: each crop counts by how far its numerator is from the ratio times
        its denominator, over the mean denominator (Cochran 1977, section 6.3).

    Raises
    ------
    InputError
        As `powered_mean`; or a denominator sums to 0.
    """
    top, f_top, f_top_all = _columns(labels[0], predicted[0], predicted_all[0])
    under, f_under, f_under_all = _columns(labels[1], predicted[1], predicted_all[1])
    if under.sum() <= 0 or f_under_all.sum() <= 0:
        raise InputError("powered_ratio: expected denominators with a sum above 0")
    predicted_ratio = f_top_all.sum() / f_under_all.sum()
    # By construction the mean of this over all crops is 0.
    f = (f_top - predicted_ratio * f_under) / f_under_all.mean()
    units = _units(images, len(top))

    def estimate(kept: np.ndarray) -> tuple[float, float]:
        ratio = top[kept].sum() / under[kept].sum()
        y = (top[kept] - ratio * under[kept]) / under[kept].mean()
        lam = _slope(y, f[kept]) if slope is None else slope
        return float(ratio - lam * f[kept].mean()), lam

    return _jackknifed(estimate, units, 1 if slope is None else 0, confidence)


def _columns(*columns: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, f, everywhere = (np.asarray(column, float).ravel() for column in columns)
    if len(y) != len(f):
        raise InputError(f"predicted: expected one for each of {len(y)} labels, found {len(f)}")
    if len(everywhere) < len(f):
        raise InputError(
            f"predicted_all: expected all crops, the {len(f)} labelled ones among them; found "
            f"{len(everywhere)}"
        )
    if any(np.isnan(column).any() for column in (y, f, everywhere)):
        raise InputError("labels and predictions: found missing values; leave those crops out")
    return y, f, everywhere


def _units(images: ArrayLike | None, n: int) -> np.ndarray:
    """Give each crop the number of what is left out at a time: itself, or its image."""
    units = np.arange(n) if images is None else pd.factorize(np.asarray(images))[0]
    if len(units) != n or (units < 0).any():
        raise InputError(f"images: expected one for each of {n} labels")
    if (found := len(np.unique(units))) < 4:
        what = "labelled crops" if images is None else "images with labelled crops"
        raise InputError(f"expected 4 {what} or more, found {found}: no interval without them")
    return units


def _slope(y: np.ndarray, f: np.ndarray) -> float:
    """Fit labels on predictions; predictions that do not vary say nothing."""
    spread = float(((f - f.mean()) ** 2).sum())
    return float(((f - f.mean()) * y).sum()) / spread if spread > 1e-12 * (f**2).sum() else 0.0


def _jackknifed(
    estimate: Callable[[np.ndarray], tuple[float, float]],
    units: np.ndarray,
    fitted: int,
    confidence: float,
) -> Powered:
    """Estimate with all crops, and leave out one unit after another for the variance."""
    k = int(units.max()) + 1
    value, slope = estimate(np.ones(len(units), bool))
    without = np.array([estimate(units != unit)[0] for unit in range(k)])
    error = np.sqrt((k - 1) / k * ((without - without.mean()) ** 2).sum())
    half = stats.t.ppf((1 + confidence) / 2, k - 1 - fitted) * error
    return Powered(value, value - half, value + half, slope, len(units))


def draw_crops(errors: ArrayLike, n: int, seed: int = 0) -> pd.DataFrame:
    """Draw crops to label, rather those in which much is expected to be wrong.

    Half of the chance is spread evenly and half in proportion to the errors expected, so that no
    crop is out of reach, and none weighs more than twice what it does in an even draw.

    Parameters
    ----------
    errors
        (C,) how much is expected to be wrong in each crop, 0 or more: how far the models' masks
        are apart there, say.
    n
        How many to draw, with replacement: a crop that comes twice is labelled once and counts
        twice.
    seed
        The same seed draws the same crops.

    Returns
    -------
    pandas.DataFrame
        n rows: ``crop`` (position, from 0), ``chance`` (to be drawn, in one draw) and ``weight``,
        which `weighted_mean` takes.

    Raises
    ------
    InputError
        If errors are missing or negative.
    """
    expected = np.asarray(errors, float).ravel()
    if not len(expected) or not np.isfinite(expected).all() or (expected < 0).any():
        raise InputError("errors: expected a number of 0 or more for each crop")
    even = np.full(len(expected), 1 / len(expected))
    total = expected.sum()
    chance = (even + (expected / total if total > 0 else even)) / 2
    crop = np.random.default_rng(seed).choice(len(expected), size=n, p=chance)
    weight = 1 / (len(expected) * chance[crop])
    return pd.DataFrame({"crop": crop, "chance": chance[crop], "weight": weight})


def weighted_mean(
    values: ArrayLike, weights: ArrayLike, *, confidence: float = CONFIDENCE
) -> tuple[float, float, float]:
    """Estimate a mean over all crops from crops that were drawn with `draw_crops`.

    Parameters
    ----------
    values
        (n,) what was measured in each crop drawn. It should be something of which there is much
        where much was expected: errors, or one minus a score, not the score.
    weights
        (n,) their weights.
    confidence
        Nominal coverage.

    Returns
    -------
    value, low, high : float
        The estimate of Hansen and Hurwitz (1943), unbiased whatever the expectation was worth, and
        a t interval.

    Raises
    ------
    InputError
        If there are fewer than two.
    """
    parts = np.asarray(values, float) * np.asarray(weights, float)
    if len(parts) < 2:
        raise InputError(f"expected two crops or more, found {len(parts)}")
    half = stats.t.ppf((1 + confidence) / 2, len(parts) - 1) * stats.sem(parts)
    return float(parts.mean()), float(parts.mean() - half), float(parts.mean() + half)
