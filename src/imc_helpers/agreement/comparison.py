"""Compare models by their scores: means, differences from the best, and the study's own tests."""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import pandas as pd

from imc_helpers.agreement.pairwise import METRICS
from imc_helpers.agreement.scoring import by_unit
from imc_helpers.agreement.statistics import (
    ALPHA,
    CONFIDENCE,
    DRAWS,
    mean_intervals,
    paired_differences,
    study_test,
)

_KEYS = ["cohort", "mode"]


def mean_scores(
    table: pd.DataFrame, *, confidence: float = CONFIDENCE, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """Average scores over annotators, then over images or patches, with intervals over images.

    Parameters
    ----------
    table
        What `imc_helpers.agreement.scoring.score_models` returns; several cohorts may stand in it.
    confidence, draws, seed
        As in `imc_helpers.agreement.statistics`.

    Returns
    -------
    pandas.DataFrame
        One row a cohort, mode and model: ``images``, and of each metric the mean, under its name,
        with ``_low`` and ``_high``.
    """
    parts = []
    for cohort, mode, rows in _groups(table):
        found = None
        for metric in METRICS:
            wide = _over_annotators(rows, metric)
            one = mean_intervals(wide, _images(wide), confidence=confidence, draws=draws, seed=seed)
            columns = {"mean": metric, "low": f"{metric}_low", "high": f"{metric}_high"}
            one = one.rename(columns=columns)
            found = one if found is None else found.join(one.drop(columns="images"))
        assert found is not None
        parts.append(found.reset_index().assign(cohort=cohort, mode=mode))
    scores = [name for metric in METRICS for name in (metric, f"{metric}_low", f"{metric}_high")]
    return pd.concat(parts, ignore_index=True)[[*_KEYS, "model", "images", *scores]]


def differences_from_best(
    table: pd.DataFrame,
    models: Iterable[str],
    *,
    metric: str = "ap50",
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Tell each model from the best of its cohort and mode, image by image.

    Parameters
    ----------
    table
        What `imc_helpers.agreement.scoring.score_models` returns; several cohorts may stand in it.
    models
        Which models; a cohort and mode with fewer than two of them is left out.
    metric
        The score.
    confidence, draws, seed
        As in `imc_helpers.agreement.statistics`.

    Returns
    -------
    pandas.DataFrame
        One row a cohort, mode and model but the best: ``best``, ``difference`` (mean of model less
        best), ``low``, ``high``, ``images``.
    """
    columns = [*_KEYS, "model", "best", "difference", "low", "high", "images"]
    parts = [pd.DataFrame(columns=columns)]
    ours = table[table["model"].isin(list(models))]
    for cohort, mode, rows in _groups(ours):
        wide = _over_annotators(rows, metric)
        if wide.shape[1] < 2:
            continue
        best = str(wide.mean().idxmax())
        found = paired_differences(
            wide, _images(wide), best, confidence=confidence, draws=draws, seed=seed
        )
        found = found.reset_index().rename(columns={"mean": "difference"})
        parts.append(found.assign(cohort=cohort, mode=mode, best=best)[columns])
    return pd.concat(parts[1:] or parts, ignore_index=True)


def study_tests(
    table: pd.DataFrame,
    models: Iterable[str],
    agreement: pd.DataFrame,
    *,
    alpha: float = ALPHA,
) -> pd.DataFrame:
    """Run the study's procedure for every model: its scores against the annotators' own.

    Parameters
    ----------
    table
        What `imc_helpers.agreement.scoring.score_models` returns; several cohorts may stand in it.
    models
        Which models; those without scores are left out.
    agreement
        What `pairwise.pairwise` returns: the scores of annotators, each pair once. A
        mode and cohort that it lacks is left out.
    alpha
        Level of the checks.

    Returns
    -------
    pandas.DataFrame
        One row a cohort, mode, metric and model: ``n_model``, ``n_annotators`` (scores in each
        group), ``test``, ``why``, ``statistic``, ``p``.
    """
    rows: list[dict[str, Any]] = []
    people = {(cohort, mode): part for cohort, mode, part in _groups(agreement)}
    for cohort, mode, ours in _groups(table[table["model"].isin(list(models))]):
        if (cohort, mode) not in people:
            continue
        for metric, (model, part) in product(METRICS, ours.groupby("model", sort=False)):
            theirs = people[cohort, mode][metric]
            result = study_test(part[metric], theirs, alpha=alpha)
            rows.append(
                {
                    "cohort": cohort,
                    "mode": mode,
                    "metric": metric,
                    "model": model,
                    "n_model": len(part),
                    "n_annotators": len(theirs),
                    "test": result.test,
                    "why": result.why,
                    "statistic": result.statistic,
                    "p": result.p,
                }
            )
    return pd.DataFrame(rows, columns=_TEST_COLUMNS)


_TEST_COLUMNS = [
    *_KEYS,
    "metric",
    "model",
    "n_model",
    "n_annotators",
    "test",
    "why",
    "statistic",
    "p",
]


def _groups(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    for (cohort, mode), rows in table.groupby(_KEYS, sort=False):
        yield str(cohort), str(mode), rows


def _over_annotators(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Average over annotators: one row a sample and patch, one column a model."""
    keys = ["sample", "patch", "model"]
    mean = rows.groupby(keys, sort=False, dropna=False)[metric].mean().reset_index()
    return by_unit(mean, metric, ["model"])


def _images(wide: pd.DataFrame) -> pd.Index:
    return wide.index.get_level_values("sample")
