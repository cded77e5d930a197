"""How well a perfect model could score: what masks of people can say of that, and what they cannot.

A perfect model equals the truth, which nobody has. What annotators' masks bound is what *any* mask
can reach with them; what they estimate is how far a model lies from what people draw on average.
Where all of them err alike, that is not the truth, and no number of masks shows it: it takes the
truth itself, or adjudication, in a few crops.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from imc_helpers.agreement.consensus import consensus
from imc_helpers.agreement.intervals import CONFIDENCE, mean_intervals
from imc_helpers.data.raters import noun
from imc_helpers.data.samples import Cohort
from imc_helpers.decisions.disagreement import personal_errors
from imc_helpers.decisions.powered import Powered, powered_mean
from imc_helpers.errors import InputError
from imc_helpers.metrics import contingency_table, evaluate
from imc_helpers.metrics.shared_cells import soft_ap


def identifiable(cohort: Cohort) -> pd.DataFrame:
    """Say what the masks of a cohort can tell about a perfect model, and why not the rest.

    Parameters
    ----------
    cohort
        With annotators or, where it has none, tools; not each of them need have drawn each image.

    Returns
    -------
    pandas.DataFrame
        One row per question: ``question``, ``identifiable`` (bool), ``because``.
    """
    whose = noun(r for r in cohort.raters if r.name in cohort.references)
    together = _shared_images(cohort)
    most = max((len(cohort.references_of(sample)) for sample in cohort.ids), default=0)
    pairs = int((np.triu(together.to_numpy(), 1) > 0).sum())
    n = len(together)
    apart = _apart(together)
    split = bool(pairs) and _whose_error(together) < n
    two = f"two {whose} of one image" if most > 1 else f"no image has masks of two {whose}"
    three = (
        f"an image has masks of {most} {whose}"
        if most > 2
        else f"no image has masks of three {whose}"
    )
    errors = apart or ("their pairs do not tell whose error is whose" if split else "")
    rows = [
        ("How well do they agree?", most > 1, two),
        ("Above which score can no mask get?", most > 1, two),
        ("How far is a model from what people draw on average?", most > 1, two),
        ("What does a mask made of the others reach?", most > 2, three),
        ("How much does each of them err?", n > 2 and not errors, errors or three),
        (
            "Do some of them err alike?",
            n > 3 and pairs > n and not errors,
            errors or f"{pairs} pairs of {n} {whose}; it takes more pairs than people",
        ),
        (
            "What do all of them do wrong?",
            False,
            "an error that all share is in no difference between them",
        ),
        (
            "What would a perfect model score?",
            False,
            "that takes the truth, or adjudicated crops: masks of people alone never tell",
        ),
    ]
    return pd.DataFrame(rows, columns=["question", "identifiable", "because"])


def _shared_images(cohort: Cohort) -> pd.DataFrame:
    """Count the images that each two references have both outlined."""
    names = list(cohort.references)
    drew = pd.DataFrame(False, index=list(cohort.ids), columns=names)
    for sample in cohort.ids:
        drew.loc[sample, list(cohort.references_of(sample))] = True
    counts = drew.astype(int)
    return counts.T @ counts


def _apart(together: pd.DataFrame) -> str:
    """Say who shares no image with the others, directly or through somebody; nothing if nobody."""
    parts, part = connected_components(together.to_numpy() > 0, directed=False)
    if parts < 2:
        return ""
    groups = [", ".join(together.index[part == k]) for k in range(parts)]
    return f"no image links {' with '.join(groups)}: let one of each draw the same images"


def _whose_error(together: pd.DataFrame) -> int:
    """Count the personal errors that the pairs determine."""
    first, second = np.nonzero(np.triu(together.to_numpy(), 1))
    design = np.zeros((len(first), len(together)))
    design[np.arange(len(first)), first] = design[np.arange(len(first)), second] = 1
    return int(np.linalg.matrix_rank(design))


def bounds(distances: pd.DataFrame, annotators: Iterable[str]) -> pd.DataFrame:
    """Bound what any mask can score with these annotators, image by image.

    One minus soft AP is a metric, so a mask is as far from two annotators, in sum, as they are from
    each other, at least: averaged over pairs, no mask scores above ``(1 + agreement) / 2``. AP at a
    threshold has no such bound: of three concentric cells of 100, 160 and 250 pixels the middle one
    scores 1 with two that score 0 with each other.

    Parameters
    ----------
    distances
        What `imc_helpers.decisions.distances.cohort_distances` returns.
    annotators
        Whose masks; in each image those count who drew it.

    Returns
    -------
    pandas.DataFrame
        One row per image: ``sample``, ``agreement`` (mean soft AP of two annotators), ``bound`` and
        ``distance``, D̄, their mean δ.
    """
    people = list(annotators)
    both = distances["rater_true"].isin(people) & distances["rater_pred"].isin(people)
    means = distances[both].groupby("sample", sort=False)[["soft_ap", "distance"]].mean()
    found = means.rename(columns={"soft_ap": "agreement"}).reset_index()
    found.insert(2, "bound", (1 + found["agreement"]) / 2)
    return found


def against_annotators(distances: pd.DataFrame, annotators: Iterable[str]) -> pd.DataFrame:
    """Average soft AP and δ of every other rater over the annotators of each image.

    Parameters
    ----------
    distances, annotators
        As in `bounds`.

    Returns
    -------
    pandas.DataFrame
        One row per image and rater: ``sample``, ``rater``, ``soft_ap``, ``distance``.
    """
    people = list(annotators)
    true, pred = (distances[c].isin(people) for c in ("rater_true", "rater_pred"))
    rows = distances[true != pred]
    rows = rows.assign(rater=rows["rater_pred"].where(true[true != pred], rows["rater_true"]))
    return (
        rows.groupby(["sample", "rater"], sort=False)[["soft_ap", "distance"]].mean().reset_index()
    )


def misfit(distances: pd.DataFrame, annotators: Iterable[str]) -> float:
    """Say how badly one error per annotator explains their distances, as where some err alike.

    Parameters
    ----------
    distances, annotators
        As in `bounds`.

    Returns
    -------
    float
        Root mean square of ``D_ab - σ²_a - σ²_b`` per degree of freedom, in the unit of δ. Missing
        where there are no more pairs than annotators, so fewer than four, or where the pairs do not
        tell whose error is whose. Beside D̄, much of it points to people who err alike.
    """
    people = list(annotators)
    pairs = distances[
        distances["rater_true"].isin(people) & distances["rater_pred"].isin(people)
    ].dropna(subset="distance")
    means = pairs.groupby(["rater_true", "rater_pred"], sort=False)["distance"].mean().reset_index()
    try:
        errors = personal_errors(pairs)
    except InputError:
        return np.nan
    explained = means["rater_true"].map(errors) + means["rater_pred"].map(errors)
    free = len(means) - len(errors)
    return float(np.sqrt(((means["distance"] - explained) ** 2).sum() / free)) if free else np.nan


def over_images(rows: pd.DataFrame, value: str, *, confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Average a value over images, for each rater, with an interval for other images.

    Parameters
    ----------
    rows
        One row per image and rater, as `against_annotators` or
        `imc_helpers.decisions.distances.distance_from_mean` returns.
    value
        The column.
    confidence
        Nominal coverage.

    Returns
    -------
    pandas.DataFrame
        One row per rater: ``rater``, ``value``, ``low``, ``high`` (missing with one image).
    """
    if rows.empty:
        return pd.DataFrame(columns=["rater", "value", "low", "high"])
    wide = rows.pivot_table(index="sample", columns="rater", values=value, sort=False)
    found = mean_intervals(wide, wide.index, confidence=confidence)
    found = found.rename_axis("rater").reset_index().rename(columns={"mean": "value"})
    return found[["rater", "value", "low", "high"]]


def attained(cohort: Cohort, samples: Iterable[str] | None = None) -> pd.DataFrame:
    """Score the consensus of the others against each annotator left out.

    A mask that was made, and so a score that can be reached with a person whom it has not seen.

    Parameters
    ----------
    cohort
        Images with masks of three references or more are looked at.
    samples
        Some of the cohort's samples; all of them when not given.

    Returns
    -------
    pandas.DataFrame
        One row per image and annotator left out: ``sample``, ``left_out``, ``soft_ap``, ``ap50``,
        and the same of the others' own masks against that person, on average, ending in
        ``_person``.
    """
    rows = []
    for sample in cohort.ids if samples is None else samples:
        people = cohort.references_of(sample)
        if len(people) < 3:
            continue
        masks = {name: cohort.read_mask(sample, name) for name in people}
        for name, mask in masks.items():
            others = [other for key, other in masks.items() if key != name]
            tables = [contingency_table(mask, consensus(others).labels)]
            tables += [contingency_table(mask, other) for other in others]
            soft = [soft_ap(table) for table in tables]
            hard = [evaluate(table=table, sap=None).ap50 for table in tables]
            means = soft[0], hard[0], np.mean(soft[1:]), np.mean(hard[1:])
            rows.append((sample, name, *means))
    columns = ["sample", "left_out", "soft_ap", "ap50", "soft_ap_person", "ap50_person"]
    return pd.DataFrame(rows, columns=columns)


def truth_score(
    pairs: pd.Series, adjudicated: pd.Series, *, confidence: float = CONFIDENCE
) -> Powered:
    """Estimate what the truth would score with the annotators, from a few crops where it is known.

    Parameters
    ----------
    pairs
        Mean agreement of the annotators in every crop, by crop.
    adjudicated
        Mean score of the truth, or of an adjudicated mask, with the same annotators, in crops that
        were drawn at random; by crop.
    confidence
        Nominal coverage.

    Returns
    -------
    Powered
        Mean over all crops in ``pairs``, with its interval (`powered_mean`).

    Raises
    ------
    InputError
        If a crop was adjudicated of which ``pairs`` says nothing; or as `powered_mean`.
    """
    if missing := [crop for crop in adjudicated.index if crop not in pairs.index]:
        raise InputError(f"adjudicated: {missing[0]} is none of the {len(pairs)} crops in pairs")
    return powered_mean(adjudicated, pairs[adjudicated.index], pairs, confidence=confidence)


def supposed_score(mean_distance: float, correlation: float) -> float:
    """Say what the truth would score, in one minus δ, if errors correlated so much.

    An assumption, and no estimate: nothing in the masks says how much annotators err alike. With
    equal errors that correlate by ρ between two people, the truth's distance from each is ``D̄ / (2
    (1 - ρ))``. Halving the disagreement of annotators is the case of ρ = 0.

    Parameters
    ----------
    mean_distance
        D̄, the mean distance of two annotators.
    correlation
        ρ, 0 to below 1.

    Returns
    -------
    float
        ``1 - D̄ / (2 (1 - ρ))``.

    Raises
    ------
    InputError
        If the correlation is no number from 0 to below 1.
    """
    if not 0 <= correlation < 1:
        raise InputError(f"correlation: expected 0 to below 1, found {correlation}")
    return 1 - mean_distance / (2 * (1 - correlation))
