"""How many images, people and hours a study takes to be as sure as one wants.

A pilot says how much images and people vary. Its variances are scaled to other numbers of either,
and the cheapest study is taken whose interval is narrow enough.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from imc_helpers.agreement.statistics import ALPHA, crossed_interval, satterthwaite
from imc_helpers.agreement.summaries import by_unit
from imc_helpers.errors import InputError

MOST_IMAGES, MOST_PEOPLE = 60, 24
"""Largest studies that are looked at."""


@dataclass(frozen=True)
class Pilot:
    """What a first, small study says of the chance in a larger one."""

    variance_images: float
    """Variance of the mean that comes from images, times their number."""
    variance_people: float
    """The same from people, times their number; missing where fewer than three drew."""
    images: int
    people: int


@dataclass(frozen=True)
class Plan:
    """A study, and how sure it would be."""

    images: int
    people: int
    minutes: float
    """Of everybody together: every person draws every image."""
    expected: float
    """Half of the interval's width, which half of such studies undercut."""
    assured: float
    """The half-width that the promised share of such studies undercuts."""


def agreement_pilot(pairs: pd.DataFrame, metric: str) -> Pilot:
    """Read a pilot of people's agreement.

    Parameters
    ----------
    pairs
        What `summaries.between` returns, of one cohort and mode.
    metric
        The score.

    Raises
    ------
    InputError
        If there is one image: a pilot takes two or more.
    """
    found = crossed_interval(pairs, metric)
    if found.images < 2:
        raise InputError(f"pilot: {found.missing}")
    return Pilot(
        variance_images=found.images * found.variance_images,
        variance_people=found.raters * found.variance_raters,
        images=found.images,
        people=found.raters,
    )


def models_pilot(judged: pd.DataFrame, metric: str) -> Pilot:
    """Read a pilot of the difference of two models.

    Parameters
    ----------
    judged
        What `summaries.against` returns, of one cohort and mode: two models or more against people.
    metric
        The score. The variances are the means over pairs of models.

    Raises
    ------
    InputError
        If there are fewer than two models, or one image.
    """
    wide = by_unit(judged, metric, ["rater_pred", "rater_true"])
    wide = wide.groupby(level="sample", sort=False).mean()
    models = list(dict.fromkeys(wide.columns.get_level_values(0)))
    people = list(dict.fromkeys(wide.columns.get_level_values(1)))
    if len(models) < 2 or len(wide) < 2:
        raise InputError(
            f"pilot: two models and two images are needed, found {len(models)} and {len(wide)}"
        )
    # The variance of a difference is, over pairs, twice that of the models around their mean.
    scores = np.stack([wide[model].reindex(columns=people).to_numpy() for model in models])
    residuals = scores - np.nanmean(scores, axis=0)
    pairs = 2 * len(models) / (len(models) - 1)
    of_images = np.nanmean(residuals, axis=2).var(axis=1, ddof=1).mean()
    of_people = np.nan
    if len(people) > 2:
        of_people = np.nanmean(residuals, axis=1).var(axis=1, ddof=1).mean()
    return Pilot(float(pairs * of_images), float(pairs * of_people), len(wide), len(people))


def half_widths(
    pilot: Pilot,
    images: ArrayLike,
    people: ArrayLike,
    *,
    share: ArrayLike = 0.5,
    other_people: bool = True,
    alpha: float = ALPHA,
) -> np.ndarray:
    """Predict half the width of the interval of a study.

    Parameters
    ----------
    pilot
        What a first study found.
    images, people
        Of the studies that are asked about; they are broadcast against each other.
    share
        Which share of such studies shall have a narrower interval: .5 for what is to be expected.
    other_people
        Whether the interval speaks of other people too, or of the same on other images.
    alpha
        Error beyond either end.

    Returns
    -------
    numpy.ndarray
        Missing where the pilot, or the study, is too small to say.

    Notes
    -----
    V(n, N) = S_images / n + S_people / N, with Satterthwaite's degrees of freedom, of the pilot and
    of the study. The pilot's own estimate is uncertain, and so is the study's: the ratio of two
    estimates of one variance follows F, whose quantile widens the prediction.
    """
    n, n_people = np.broadcast_arrays(np.asarray(images, float), np.asarray(people, float))
    of_images = pilot.variance_images / n
    if not other_people:
        variance, degrees = of_images, n - 1
        known = np.full(n.shape, pilot.images - 1.0)
    else:
        of_people = pilot.variance_people / n_people
        variance = of_images + of_people
        degrees = satterthwaite(of_images, n - 1, of_people, n_people - 1)
        known = satterthwaite(of_images, pilot.images - 1, of_people, pilot.people - 1)
    valid = (degrees >= 1) & (known >= 1) & np.isfinite(variance)
    degrees, known = np.where(valid, degrees, 1.0), np.where(valid, known, 1.0)
    wider = stats.f.ppf(share, degrees, known)
    return np.where(valid, stats.t.isf(alpha, degrees) * np.sqrt(variance * wider), np.nan)


def plan(
    pilot: Pilot,
    *,
    half_width: float,
    minutes: float,
    assurance: float = 0.8,
    other_people: bool = True,
    alpha: float = ALPHA,
) -> Plan | None:
    """Find the study with the least work whose interval will be narrow enough.

    Parameters
    ----------
    pilot
        What a first study found.
    half_width
        How wide half of the interval may be, in units of the score.
    minutes
        That one person takes for one image.
    assurance
        Share of such studies that shall keep it.
    other_people
        Whether the interval is to speak of other people too; if not, as many people draw as did in
        the pilot.
    alpha
        Error beyond either end of the interval.

    Returns
    -------
    Plan or None
        None where no study of up to `MOST_IMAGES` images and `MOST_PEOPLE` people is enough.

    Raises
    ------
    InputError
        If the width or the minutes are not above 0, or the pilot says nothing of people and they
        are asked about.
    """
    if not (half_width > 0 and minutes > 0):
        raise InputError(
            f"expected a half-width and minutes above 0, found {half_width} and {minutes}"
        )
    if other_people and not np.isfinite(pilot.variance_people):
        raise InputError(
            f"pilot: {pilot.people} people say nothing of others; have a third draw its images"
        )
    n, n_people = np.meshgrid(
        np.arange(2, MOST_IMAGES + 1),
        np.arange(3, MOST_PEOPLE + 1) if other_people else [pilot.people],
    )
    assured = half_widths(
        pilot, n, n_people, share=assurance, other_people=other_people, alpha=alpha
    )
    enough = assured <= half_width
    if not enough.any():
        return None
    work = np.where(enough, n * n_people, np.inf)
    # Of studies with as much work, the one with the narrowest interval.
    at = np.lexsort((assured.ravel(), work.ravel()))[0]
    images, people = int(n.flat[at]), int(n_people.flat[at])
    expected = half_widths(pilot, images, people, other_people=other_people, alpha=alpha)
    return Plan(images, people, images * people * minutes, float(expected), float(assured.flat[at]))
