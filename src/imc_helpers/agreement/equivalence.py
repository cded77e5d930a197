"""Is a model as good as a person? Its agreement with annotators, against theirs with one another.

Greenwald et al. 2022 (Mesmer, figure 3d) score every pair of annotators, and the model against each
of them, and find no significant difference. That is weaker than it sounds: few data, or noisy ones,
show no difference either (Altman and Bland 1995, doi:10.1136/bmj.311.7003.485). So the question is
asked here as for a new drug: a margin says beforehand which difference would not matter, and the
difference must surely be smaller (Schuirmann 1987, doi:10.1007/BF01068419; Piaggio et al. 2012,
doi:10.1001/jama.2012.87802).

The margin is a person who lost some of her cells (`imc_helpers.agreement.weakened`), fixed
beforehand. She is scored on the same images before the same judges, so the margin's own error
counts, and it means the same in every score.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imc_helpers.agreement.score_table import METRICS
from imc_helpers.agreement.statistics import ALPHA, mean_differences
from imc_helpers.agreement.summaries import against, by_unit
from imc_helpers.agreement.weakened import LOSS, weakened_scores
from imc_helpers.data.samples import Cohort, evenly_spread
from imc_helpers.errors import InputError

MOST_IMAGES = 30
"""Images of a cohort that models and people are compared on, unless a page says otherwise."""
MEAN = "mean"
"""In the column ``left_out``: the mean over all annotators that were left out in turn."""


class Decision(str, Enum):  # noqa: UP042  (DeepCell's kernel is Python 3.10)
    """Where a model stands among annotators, of whom each has a weakened self."""

    BELOW = "below"
    """Surely worse than the weakened annotators."""
    WITHIN = "within"
    """Surely better than they are, and surely not ahead of the annotators by what they lost:
    equivalent."""
    ABOVE = "above"
    """Surely ahead of the annotators by more than what their weakened selves lost."""
    UNDECIDED = "undecided"
    """Not sure enough for any of these, or fewer than two images."""

    __str__ = str.__str__


def human_equivalence(
    scores: pd.DataFrame,
    weakened: pd.DataFrame,
    models: Iterable[str],
    annotators: Sequence[str],
    *,
    metrics: Sequence[str] = METRICS,
    alpha: float = ALPHA,
) -> pd.DataFrame:
    """Compare each model's agreement with annotators to the annotators' own, person by person.

    Each annotator a is left out in turn. The others, b, judge the model m, they judge a, and they
    judge a who lost some cells, a'. So all three are compared before the same judges, on the same
    images, by two paired contrasts:

    - the model is *not inferior* where s(m, b) - s(a', b) is surely above 0;
    - it is *within* where besides s(m, b) - s(a, b) is surely less than s(a, b) - s(a', b), what
      the loss cost.

    The mean over a is the answer. Each a is given as well, since a model that copies one annotator
    beats all others at pleasing that one.

    Parameters
    ----------
    scores
        What `summaries.against` returns, of one cohort: models and annotators against
        annotators, every pair of annotators both ways.
    weakened
        What `weakened.weakened_scores` returns, of the same cohort.
    models
        Which models, or other candidates in the column ``rater_pred``.
    annotators
        The judges, two people or more. Rows of others play no part, so that naming all but one
        tries that one as if it were a model.
    metrics
        Which scores.
    alpha
        Error on one side, of all models together (Holm 1979): at .025, the usual 95 % interval,
        each of the two one-sided tests may err in 2.5 of 100 studies.

    Returns
    -------
    pandas.DataFrame
        One row per mode, metric, model and annotator left out (and one with ``left_out`` = `MEAN`):
        ``model_score``, ``annotator_score`` and ``weakened_score`` before the same judges,
        ``difference`` of the first two with ``low`` and ``high`` (of all models together),
        ``margin`` (what the loss cost), ``images``, ``decision``, and ``not_inferior``.

    Raises
    ------
    InputError
        If the scores are of several cohorts, fewer than two annotators are named, one of them
        is among the models, or one is not a person.

    Notes
    -----
    Paired t over images; patches of an image are averaged first. Images are drawn, annotators are
    not: the decision speaks of other images before these people, and not of other people. On
    complete data the mean difference is the model's score less the mean agreement of pairs. With
    two annotators each is judged by the other alone. Then one cannot tell a poor annotator from a
    poor model: whoever of the two is off lowers the bar for all.
    """
    models = list(models)
    _check(scores, models, annotators)
    parts = []
    for mode, rows in scores.groupby("mode", sort=False):
        lost = weakened[weakened["mode"] == mode]
        for metric in metrics:
            judged = _before_the_same_judges(rows, lost, metric, models, annotators)
            parts += [
                _compared(three, alpha).assign(mode=mode, metric=metric, left_out=who)
                for who, three in judged.items()
            ]
    return _in_order(parts, scores, models)


_COLUMNS = (
    "cohort",
    "mode",
    "metric",
    "model",
    "left_out",
    "model_score",
    "annotator_score",
    "weakened_score",
    "difference",
    "low",
    "high",
    "margin",
    "images",
    "decision",
    "not_inferior",
)


def equivalence_of_cohorts(
    scores: pd.DataFrame,
    cohorts: Mapping[str, Cohort],
    models: Iterable[str],
    *,
    loss: float = LOSS,
    alpha: float = ALPHA,
    most_images: int = MOST_IMAGES,
    strict: bool = False,
) -> pd.DataFrame:
    """Compare models with the people of every cohort, and each person with the others.

    Parameters
    ----------
    scores
        What `score_table.score_cohort` returns, of these cohorts and the modes that are asked for.
    cohorts
        Cohort by key; one without two annotators is left out, whatever tools it has. Where it has
        three or more, each is tried once before the others, as if it were a model.
    models
        Which models; those without scores are left out.
    loss
        Share of a person's cells whose loss does not matter.
    alpha
        As in `human_equivalence`.
    most_images
        Of a cohort with more images that two people have drawn, so many are looked at, evenly
        spread: each person is scored several times, with other cells lost.
    strict
        As the scores were made.

    Returns
    -------
    pandas.DataFrame
        What `human_equivalence` returns, cohort after cohort.
    """
    models, parts = list(models), []
    for key, cohort in cohorts.items():
        people = list(cohort.annotators)
        judged = against(scores, {key: people})
        if len(people) < 2 or judged.empty or not cohort.shared_ids:
            continue
        modes = list(judged["mode"].unique())
        looked_at = evenly_spread(cohort.shared_ids, most_images)
        judged = judged[judged["sample"].isin(looked_at)]
        weakened = weakened_scores(cohort, loss=loss, samples=looked_at, modes=modes, strict=strict)
        parts += [
            human_equivalence(judged, weakened, tried, others, alpha=alpha)
            for tried, others in panels(models, people)
        ]
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=[*_COLUMNS])


def panels(
    candidates: Sequence[str], annotators: Sequence[str]
) -> list[tuple[list[str], list[str]]]:
    """List who is tried before whom: candidates before all, and each annotator before the others.

    Parameters
    ----------
    candidates
        Models, for instance.
    annotators
        People; with two, neither can be tried, since one judge is left, who agrees with nobody.
    """
    everybody = [([*candidates], [*annotators])]
    if len(annotators) < 3:
        return everybody
    return everybody + [([a], [b for b in annotators if b != a]) for a in annotators]


def compare_before(
    scores: pd.DataFrame,
    weakened: pd.DataFrame,
    reference: str,
    models: Iterable[str],
    annotators: Sequence[str],
    *,
    metrics: Sequence[str] = METRICS,
    alpha: float = ALPHA,
) -> pd.DataFrame:
    """Compare models with annotators before one reference, the truth of a phantom for instance.

    Parameters
    ----------
    scores
        What `score_table.score_candidates` returns, of one cohort: models and annotators against
        the reference.
    weakened
        What `weakened.weakened_scores` returns, against the reference.
    reference
        The name in the column ``rater_true``.
    models, annotators, metrics, alpha
        As in `human_equivalence`.

    Returns
    -------
    pandas.DataFrame
        As `human_equivalence` returns, with ``left_out`` = `MEAN` alone: ``model_score`` less the
        mean score of the annotators, ``annotator_score``.
    """
    _check_one_cohort(scores)
    models, parts = list(models), []
    ours, lost = (rows[rows["rater_true"] == reference] for rows in (scores, weakened))
    for mode, rows in ours.groupby("mode", sort=False):
        for metric in metrics:
            wide = by_unit(rows, metric, ["rater_pred"])
            weak = by_unit(lost[lost["mode"] == mode], metric, ["rater_pred"])
            people, weaker = (
                pd.DataFrame(dict.fromkeys(models, one[list(annotators)].mean(axis=1)))
                for one in (wide, weak.reindex(wide.index))
            )
            compared = _compared(_Judged(wide.reindex(columns=models), people, weaker), alpha)
            parts.append(compared.assign(mode=mode, metric=metric, left_out=MEAN))
    return _in_order(parts, scores, models)


class _Judged(NamedTuple):
    """Scores before the same judges, one row per unit and one column per model."""

    model: pd.DataFrame
    annotator: pd.DataFrame
    """Of the annotator left out: the same in every column, but for what is missing."""
    weakened: pd.DataFrame
    """Of the same annotator who lost some cells."""


def _compared(judged: _Judged, alpha: float) -> pd.DataFrame:
    """Decide, for each model."""
    images = judged.model.index.get_level_values("sample")
    missing = judged.model.isna() | judged.annotator.isna() | judged.weakened.isna()
    model, annotator, weakened = (one.mask(missing) for one in judged)
    ahead = mean_differences(model - annotator, images, alpha=alpha)
    lower = mean_differences(model - weakened, images, alpha=alpha)
    upper = mean_differences(model - 2 * annotator + weakened, images, alpha=alpha)
    sure = [(one["p_holm"] <= 2 * alpha).to_numpy() for one in (lower, upper)]
    signs = [np.sign(one["difference"].to_numpy()) for one in (lower, upper)]
    not_inferior, ends_above = sure[0] & (signs[0] > 0), sure[1] & (signs[1] > 0)
    decision = np.select(
        [sure[0] & (signs[0] < 0), ends_above, not_inferior & sure[1]],
        [Decision.BELOW.value, Decision.ABOVE.value, Decision.WITHIN.value],
        Decision.UNDECIDED.value,
    )
    frame = pd.DataFrame({"model": model.columns})
    for name, one in (
        ("model_score", model),
        ("annotator_score", annotator),
        ("weakened_score", weakened),
    ):
        frame[name] = one.groupby(images).mean().mean().to_numpy()
    for name in ("difference", "low", "high", "images"):
        frame[name] = ahead[name].to_numpy()
    frame["margin"] = frame["annotator_score"] - frame["weakened_score"]
    frame["decision"], frame["not_inferior"] = decision, not_inferior
    return frame[frame["images"] > 0]


def _in_order(
    parts: Sequence[pd.DataFrame], scores: pd.DataFrame, models: Sequence[str]
) -> pd.DataFrame:
    """Put rows of one mode, metric and model together, models in their order, the mean last."""
    if not parts:
        return pd.DataFrame(columns=[*_COLUMNS])
    table = pd.concat(parts, ignore_index=True).assign(cohort=scores["cohort"].iloc[0])
    for name, order in (
        ("mode", table["mode"].unique()),
        ("metric", table["metric"].unique()),
        ("model", models),
        ("left_out", table["left_out"].unique()),
    ):
        rank: dict[Any, int] = {value: k for k, value in enumerate(order)}
        table[f"by_{name}"] = table[name].map(rank)
    table = table.sort_values([f"by_{name}" for name in ("mode", "metric", "model", "left_out")])
    return table[list(_COLUMNS)].reset_index(drop=True)


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
    judges = scores[scores["rater_true"].isin(annotators)].drop_duplicates("rater_true")
    others = judges[judges["kind_true"] != "annotator"]
    if len(others):
        found = ", ".join(f"{row.rater_true} ({row.kind_true})" for row in others.itertuples())
        raise InputError(
            f"annotators: expected people, found {found}. Whether a model is as good as a person "
            "takes masks by people; models can be compared with one another all the same"
        )


def _check_one_cohort(scores: pd.DataFrame) -> None:
    cohorts = scores["cohort"].unique()
    if len(cohorts) > 1:
        raise InputError(
            f"scores: expected one cohort, found {', '.join(cohorts)}. "
            "Compare each with its own annotators"
        )


def _before_the_same_judges(
    rows: pd.DataFrame,
    weakened: pd.DataFrame,
    metric: str,
    models: Sequence[str],
    annotators: Sequence[str],
) -> dict[str, _Judged]:
    """Average, unit by unit, what the judges left give the model, the person and the weakened one.

    By annotator left out, and for the mean over those. Nothing where a side has no scores.
    """
    judged = rows["rater_pred"].isin([*models, *annotators])
    kept = rows[rows["rater_true"].isin(annotators) & judged]
    present = [m for m in models if (kept["rater_pred"] == m).any()]
    if not present or not kept["rater_pred"].isin(annotators).any() or weakened.empty:
        return {}
    wide = by_unit(kept, metric, ["rater_pred", "rater_true"])
    weak = by_unit(weakened, metric, ["rater_pred", "rater_true"]).reindex(wide.index)
    found = {}
    for a in annotators:
        judges = [b for b in annotators if b != a]
        columns: tuple[dict[str, np.ndarray], ...] = ({}, {}, {})
        for model in present:
            three = np.stack(
                [
                    wide.reindex(columns=[(model, b) for b in judges]).to_numpy(),
                    wide.reindex(columns=[(a, b) for b in judges]).to_numpy(),
                    weak.reindex(columns=[(a, b) for b in judges]).to_numpy(),
                ]
            )
            # A judge who has not seen all three judges none.
            missing = np.isnan(three).any(axis=0)
            count = (~missing).sum(axis=1)
            totals = np.where(missing, 0.0, three).sum(axis=2)
            for own, total in zip(columns, totals, strict=True):
                own[model] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        found[a] = _Judged(*(pd.DataFrame(own, index=wide.index) for own in columns))
    of_all = zip(*found.values(), strict=True)
    means = (pd.concat(one).groupby(level=[0, 1], sort=False).mean() for one in of_all)
    return {**found, MEAN: _Judged(*(mean.reindex(wide.index) for mean in means))}
