"""Is a model as good as a person? Its agreement with annotators, against theirs with one another.

Greenwald et al. 2022 (Mesmer, figure 3d) score every pair of annotators, and the model against each
of them, and find no significant difference. That is weaker than it sounds: few data, or noisy ones,
show no difference either (Altman and Bland 1995, doi:10.1136/bmj.311.7003.485). So the question is
asked here as for a new drug: a margin says beforehand which difference would not matter, and a
confidence interval of the difference must lie within it (Schuirmann 1987, doi:10.1007/BF01068419;
Piaggio et al. 2012, doi:10.1001/jama.2012.87802).
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import numpy as np
import pandas as pd

from imc_helpers.agreement.intervals import (
    CONFIDENCE,
    DRAWS,
    bootstrap_means,
    count_images,
    interval,
)
from imc_helpers.agreement.score_table import METRICS
from imc_helpers.agreement.summaries import against, by_unit
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError

MEAN = "mean"
"""In the column ``left_out``: the mean over all annotators that were left out in turn."""
MARGIN = 0.05
"""Difference of scores that is taken not to matter, unless a page says otherwise."""


class Decision(str, Enum):  # noqa: UP042  (DeepCell's kernel is Python 3.10)
    """Where a model stands among annotators."""

    BELOW = "below"
    """The whole interval lies below minus the margin."""
    WITHIN = "within"
    """The whole interval lies between minus the margin and the margin: equivalent."""
    ABOVE = "above"
    """The whole interval lies above the margin."""
    UNDECIDED = "undecided"
    """The interval holds one of the two limits, or there is none (fewer than two images)."""

    __str__ = str.__str__


def decide(low: float, high: float, margin: float = MARGIN) -> Decision:
    """Say where an interval of a difference lies.

    Parameters
    ----------
    low, high
        Confidence interval of a model's agreement less the annotators'; missing where there is
        none.
    margin
        Difference that does not matter, above 0.

    Raises
    ------
    InputError
        If the margin is not above 0.
    """
    if not margin > 0:
        raise InputError(f"margin: expected a difference of scores above 0, found {margin}")
    if high < -margin:
        return Decision.BELOW
    if low > margin:
        return Decision.ABOVE
    if -margin < low and high < margin:
        return Decision.WITHIN
    return Decision.UNDECIDED


def human_equivalence(
    scores: pd.DataFrame,
    models: Iterable[str],
    annotators: Sequence[str],
    *,
    margin: float = MARGIN,
    metrics: Sequence[str] = METRICS,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare each model's agreement with annotators to the annotators' own, person by person.

    Each annotator a is left out in turn. The others judge the model, and judge a:
    ``d_a = mean over b ≠ a of s(model, b) - mean over b ≠ a of s(a, b)``. So model and person are
    compared before the same judges, on the same images. The mean of d_a over a is the answer; each
    d_a is given as well, since a model that copies one annotator beats all others at pleasing that
    one.

    Parameters
    ----------
    scores
        What `summaries.against` returns, of one cohort: models and annotators against
        annotators, every pair of annotators both ways.
    models
        Which models, or other candidates in the column ``rater_pred``.
    annotators
        The judges, two or more: people, or tools where the cohort has tools alone, of whom the
        answer then speaks. Rows of others play no part, so that naming all but one tries
        that one as if it were a model.
    margin
        Difference of scores that does not matter.
    metrics
        Which scores.
    confidence, draws, seed
        As in `imc_helpers.agreement.intervals`.

    Returns
    -------
    pandas.DataFrame
        One row per mode, metric, model and annotator left out (and one with ``left_out`` = `MEAN`):
        ``model_score`` and ``annotator_score`` before the same judges, their difference with
        ``low`` and ``high``, ``images``, ``decision`` by `decide`, and ``not_inferior``: the
        interval lies above minus the margin, whatever its upper end.

    Raises
    ------
    InputError
        If the scores are of several cohorts, fewer than two annotators are named, or one of them
        is among the models.

    Notes
    -----
    Images are drawn, annotators are not: the interval speaks of other images before these people,
    and not of other people. With two annotators each is judged by the other alone. Then one cannot
    tell a poor annotator from a poor model: whoever of the two is off lowers the bar for all.
    """
    models = list(models)
    _check(scores, models, annotators)
    parts = []
    for mode, rows in scores.groupby("mode", sort=False):
        for metric in metrics:
            both = _before_the_same_judges(rows, metric, models, annotators)
            if both is None:
                continue
            images, of_model, of_annotator = both
            columns = {"model_score": of_model, "annotator_score": of_annotator}
            columns["difference"] = of_model - of_annotator
            drawn = {
                name: bootstrap_means(values, images, draws=draws, seed=seed)
                for name, values in columns.items()
            }
            frame = _with_mean(drawn, columns["difference"], images, models, confidence)
            parts.append(frame.assign(mode=mode, metric=metric))
    return _decided(parts, scores, margin)


_COLUMNS = (
    "cohort",
    "mode",
    "metric",
    "model",
    "left_out",
    "model_score",
    "annotator_score",
    "difference",
    "low",
    "high",
    "images",
    "decision",
    "not_inferior",
)


def equivalence_of_cohorts(
    scores: pd.DataFrame,
    cohorts: Mapping[str, Cohort],
    models: Iterable[str],
    *,
    margin: float = MARGIN,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare models with the references of every cohort, and each reference with the others.

    Parameters
    ----------
    scores
        What `score_table.score_cohort` returns, of these cohorts.
    cohorts
        Cohort by key; one without two references is left out. Where it has three or more, each is
        tried once before the others, as if it were a model.
    models
        Which models; those without scores are left out.
    margin, confidence, draws, seed
        As in `human_equivalence`.

    Returns
    -------
    pandas.DataFrame
        What `human_equivalence` returns, cohort after cohort.
    """
    models, parts = list(models), [pd.DataFrame(columns=[*_COLUMNS])]
    for key, cohort in cohorts.items():
        judges = list(cohort.references)
        if len(judges) < 2:
            continue
        judged = against(scores, {key: judges})
        panels = [(models, judges)]
        if len(judges) > 2:
            panels += [([a], [b for b in judges if b != a]) for a in judges]
        parts += [
            human_equivalence(
                judged,
                tried,
                others,
                margin=margin,
                confidence=confidence,
                draws=draws,
                seed=seed,
            )
            for tried, others in panels
        ]
    filled = [part for part in parts if len(part)]
    return pd.concat(filled or parts[:1], ignore_index=True)


def compare_before(
    scores: pd.DataFrame,
    reference: str,
    models: Iterable[str],
    annotators: Sequence[str],
    *,
    margin: float = MARGIN,
    metrics: Sequence[str] = METRICS,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare models with annotators before one reference, the truth of a phantom for instance.

    Parameters
    ----------
    scores
        What `score_table.score_candidates` returns, of one cohort: models and annotators against
        the reference.
    reference
        The name in the column ``rater_true``.
    models, annotators, margin, metrics, confidence, draws, seed
        As in `human_equivalence`.

    Returns
    -------
    pandas.DataFrame
        As `human_equivalence` returns, with ``left_out`` = `MEAN` alone: ``model_score`` less the
        mean score of the annotators, ``annotator_score``.
    """
    _check_one_cohort(scores)
    models, parts = list(models), []
    for mode, rows in scores[scores["rater_true"] == reference].groupby("mode", sort=False):
        for metric in metrics:
            wide = by_unit(rows, metric, ["rater_pred"])
            images = wide.index.get_level_values("sample").to_numpy()
            people = wide.reindex(columns=list(annotators)).mean(axis=1)
            ours = wide.reindex(columns=models)
            differences = ours.sub(people, axis=0)
            estimates, replicates = bootstrap_means(differences, images, draws=draws, seed=seed)
            frame = pd.DataFrame({"model": models, "difference": estimates})
            frame["images"] = count_images(differences, images)
            frame["low"], frame["high"] = interval(
                estimates, replicates, frame["images"], confidence=confidence
            )
            seen = differences.notna().to_numpy()
            frame["model_score"] = ours.where(seen).mean().to_numpy()
            frame["annotator_score"] = frame["model_score"] - frame["difference"]
            parts.append(frame.assign(mode=mode, metric=metric, left_out=MEAN))
    return _decided(parts, scores, margin)


def _decided(parts: Sequence[pd.DataFrame], scores: pd.DataFrame, margin: float) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=[*_COLUMNS])
    table = pd.concat(parts, ignore_index=True).assign(cohort=scores["cohort"].iloc[0])
    table["decision"] = [
        decide(low, high, margin).value
        for low, high in zip(table["low"], table["high"], strict=True)
    ]
    table["not_inferior"] = table["low"] > -margin
    return table[list(_COLUMNS)]


def _check(scores: pd.DataFrame, models: Sequence[str], annotators: Sequence[str]) -> None:
    _check_one_cohort(scores)
    if len(annotators) < 2:
        raise InputError(
            "annotators: a model can be compared with people where two or more have labelled the "
            f"same images; found {', '.join(annotators) or 'none'}"
        )
    if both := set(models) & set(annotators):
        raise InputError(
            f"{', '.join(sorted(both))}: candidate and annotator at once; to try an annotator as "
            "if it were a model, leave it out of `annotators`"
        )


def _check_one_cohort(scores: pd.DataFrame) -> None:
    cohorts = scores["cohort"].unique()
    if len(cohorts) > 1:
        raise InputError(
            f"scores: expected one cohort, found {', '.join(cohorts)}. "
            "Compare each with its own annotators"
        )


def _before_the_same_judges(
    rows: pd.DataFrame, metric: str, models: Sequence[str], annotators: Sequence[str]
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame] | None:
    """Average, image by image, what the judges left give the model and the annotator left out.

    Returns the image of each row, and two frames with a column for each model and annotator left
    out; both are missing where one of them is.
    """
    judged = rows["rater_pred"].isin([*models, *annotators])
    kept = rows[rows["rater_true"].isin(annotators) & judged]
    present = [m for m in models if (kept["rater_pred"] == m).any()]
    if not present or not kept["rater_pred"].isin(annotators).any():
        return None
    wide = by_unit(kept, metric, ["rater_pred", "rater_true"])
    model_columns: dict[tuple[str, str], np.ndarray] = {}
    annotator_columns: dict[tuple[str, str], np.ndarray] = {}
    for model in present:
        for a in annotators:
            judges = [b for b in annotators if b != a]
            ours = wide.reindex(columns=[(model, b) for b in judges]).to_numpy()
            theirs = wide.reindex(columns=[(a, b) for b in judges]).to_numpy()
            # A judge who has not seen both judges neither.
            either = np.isnan(ours) | np.isnan(theirs)
            count = (~either).sum(axis=1)
            for store, values in ((model_columns, ours), (annotator_columns, theirs)):
                total = np.where(either, 0.0, values).sum(axis=1)
                store[model, a] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    images = wide.index.get_level_values("sample").to_numpy()
    return (
        images,
        pd.DataFrame(model_columns, index=wide.index),
        pd.DataFrame(annotator_columns, index=wide.index),
    )


def _with_mean(
    drawn: dict[str, tuple[np.ndarray, np.ndarray]],
    differences: pd.DataFrame,
    images: np.ndarray,
    models: Sequence[str],
    confidence: float,
) -> pd.DataFrame:
    """Give a row for each model and annotator left out, and one for their mean."""
    columns = differences.columns
    n_images = count_images(differences, images)
    parts = []
    for model in [m for m in models if m in columns.get_level_values(0)]:
        mine = np.flatnonzero(columns.get_level_values(0) == model)
        mine = mine[n_images[mine] > 0]
        values = {name: estimates[mine] for name, (estimates, _) in drawn.items()}
        replicates = drawn["difference"][1][:, mine]
        frame = pd.DataFrame(
            {
                "left_out": [*(columns[k][1] for k in mine), MEAN],
                **{name: [*each, each.mean()] for name, each in values.items()},
                "images": [*n_images[mine], n_images[mine].min()],
            }
        )
        both = np.column_stack([replicates, replicates.mean(axis=1)])
        frame["low"], frame["high"] = interval(
            frame["difference"], both, frame["images"], confidence=confidence
        )
        parts.append(frame.assign(model=model))
    return pd.concat(parts, ignore_index=True)
