"""What few labels buy, tried where all are known: draw some, estimate, and look at the rest.

A cohort whose crops are all labelled tells how good an estimate from a few of them would have been.
The draws are made up and the labels are not, so this works for any cohort with masks.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from imc_helpers.decisions.powered import draw_crops, powered_mean, weighted_mean

ALONE, WITH = "labels alone", "with predictions"
"""Two ways to estimate a mean over crops."""
EVEN, EXPECTED = "drawn evenly", "drawn by expected errors"
"""Two ways to draw crops."""
TRIALS = 400
"""Draws of each size; a share of 95 % is then known to within 2 %."""
_ROUNDING = 1e-9
_Estimate = tuple[float, float, float]
"""Value and the ends of its interval."""


def label_trials(
    labels: ArrayLike,
    predicted: ArrayLike,
    sizes: Iterable[int],
    *,
    trials: int = TRIALS,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate the mean of labels from a few of them, with predictions and without, many times.

    Parameters
    ----------
    labels, predicted
        (C,) one for each crop.
    sizes
        How many crops are labelled; sizes of more than half of all crops are left out.
    trials
        Draws of each size.
    seed
        Of the draws.

    Returns
    -------
    pandas.DataFrame
        One row per size and way: ``labels``, ``way``, ``half_width`` (median), ``coverage`` (share
        of intervals that hold the mean of all crops), ``error`` (mean of estimate less that mean),
        and ``relative``, the half-width over that of labels alone.
    """
    y, f = np.asarray(labels, float), np.asarray(predicted, float)

    def once(n: int, rng: np.random.Generator) -> Iterator[tuple[str, _Estimate]]:
        drawn = rng.choice(len(y), n, replace=False)
        for way, slope in ((ALONE, 0.0), (WITH, None)):
            estimate = powered_mean(y[drawn], f[drawn], f, slope=slope)
            yield way, (estimate.value, estimate.low, estimate.high)

    return _tried(once, y, sizes, trials, seed, base=ALONE)


def draw_trials(
    errors: ArrayLike,
    expected: ArrayLike,
    sizes: Iterable[int],
    *,
    trials: int = TRIALS,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate the mean error per crop from crops drawn evenly and by expected errors, many times.

    Parameters
    ----------
    errors
        (C,) what is wrong in each crop, as labels would show.
    expected
        (C,) how much is expected to be wrong.
    sizes, trials, seed
        As in `label_trials`; crops are drawn with replacement.

    Returns
    -------
    pandas.DataFrame
        As `label_trials` returns, ``relative`` to an even draw.
    """
    y, guess = np.asarray(errors, float), np.asarray(expected, float)

    def once(n: int, rng: np.random.Generator) -> Iterator[tuple[str, _Estimate]]:
        for way, by in ((EVEN, np.zeros(len(y))), (EXPECTED, guess)):
            drawn = draw_crops(by, n, seed=int(rng.integers(2**31)))
            yield way, weighted_mean(y[drawn["crop"]], drawn["weight"])

    return _tried(once, y, sizes, trials, seed, base=EVEN)


def _tried(
    once: Callable[[int, np.random.Generator], Iterable[tuple[str, _Estimate]]],
    values: np.ndarray,
    sizes: Iterable[int],
    trials: int,
    seed: int,
    *,
    base: str,
) -> pd.DataFrame:
    """Repeat a draw of each size, and sum up what each way made of it."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in (n for n in sizes if n <= len(values) // 2):
        found: dict[str, list[_Estimate]] = {}
        for _ in range(trials):
            for way, estimate in once(n, rng):
                found.setdefault(way, []).append(estimate)
        rows += [_summary(n, way, one, float(values.mean())) for way, one in found.items()]
    return _relative(rows, base)


def _summary(n: int, way: str, found: list[_Estimate], mean: float) -> dict:
    value, low, high = np.array(found).T
    return {
        "labels": n,
        "way": way,
        "half_width": float(np.median(high - low) / 2),
        "coverage": float(np.mean(np.abs(value - mean) <= (high - low) / 2 + _ROUNDING)),
        "error": float(value.mean() - mean),
    }


def _relative(rows: list[dict], base: str) -> pd.DataFrame:
    columns = ["labels", "way", "half_width", "coverage", "error"]
    table = pd.DataFrame(rows, columns=columns)
    widths = table[table["way"] == base].set_index("labels")["half_width"]
    # Where all labels are the same there is no width, and nothing to compare.
    table["relative"] = table["half_width"] / table["labels"].map(widths.where(widths > 0))
    return table
