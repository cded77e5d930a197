"""Is the agreement of annotators a ceiling for a model? A question that needs the truth.

On a phantom the truth is known, so one can ask what a model that equals it would score against the
annotators, and set that beside what the annotators score against one another.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm

from imc_helpers.agreement.score_table import METRICS, score_masks
from imc_helpers.agreement.summaries import against, agreement_matrix, between
from imc_helpers.data.raters import TRUTH, Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.phantom.experts import correlated_annotations
from imc_helpers.phantom.recipes import find_recipe, make_sample

WHO = ("annotators", "truth")
"""Whose mean score: annotators against one another, or the truth against the annotators."""
_TAUGHT_ON = 1_000_000
"""From a tissue's seed to that of the tissue on which its experts label their crops."""


def mean_scores(samples: Iterable[Sample]) -> pd.DataFrame:
    """Average the scores of annotators against one another, and of the truth against them.

    Parameters
    ----------
    samples
        Phantom samples with the truth and two annotators or more.

    Returns
    -------
    pandas.DataFrame
        One row for each of `WHO`, in the column ``who``, with the mean of each metric over samples
        and pairs (whole images, IoU >= t).
    """
    table = pd.concat(score_masks(_raters(sample.masks)) for sample in samples)
    of_truth = table["kind_true"] == "truth"
    means = [table.loc[rows, list(METRICS)].mean() for rows in (~of_truth, of_truth)]
    return pd.DataFrame({"who": who, **mean} for who, mean in zip(WHO, means, strict=True))


def _raters(masks: Mapping[str, np.ndarray]) -> dict[Rater, np.ndarray]:
    """Say who made which mask; the truth first, so that annotators are scored against it."""
    people = {Rater(name): mask for name, mask in masks.items() if name != TRUTH}
    return {Rater(TRUTH, "truth"): masks[TRUTH], **people}


def copies(scores: pd.DataFrame, cohort: Cohort, metric: str = "ap50") -> pd.DataFrame:
    """Say what a model that copies somebody's masks would score, on whole images.

    Parameters
    ----------
    scores
        What `score_table.score_cohort` returns; other cohorts may stand in it.
    cohort
        A phantom cohort with two annotators or more.
    metric
        One of `METRICS`.

    Returns
    -------
    pandas.DataFrame
        One row per annotator, and a last one for the truth: ``masks of``, ``cells`` (in all
        samples), and the mean scores ``with the truth``, ``with the other annotators``, and of ``a
        copy, with all annotators`` (the copied one included, with whom it scores 1).
    """
    whole = scores[scores["mode"] == "whole"]
    matrix = agreement_matrix(between(whole, {cohort.name: cohort}), metric, "whole")
    truth = against(whole, {cohort.name: [TRUTH]}, cohort.annotators)
    with_truth = truth.groupby("rater_pred", sort=False)
    each = pd.DataFrame(
        {
            "masks of": matrix.index,
            "cells": with_truth["n_pred"].sum()[matrix.index].to_numpy(),
            "with the truth": with_truth[metric].mean()[matrix.index].to_numpy(),
            "with the other annotators": matrix.mean(axis=1).to_numpy(),
            "a copy, with all annotators": matrix.fillna(1).mean(axis=1).to_numpy(),
        }
    )
    cells = truth.drop_duplicates("sample")["n_true"].sum()
    mean = each["with the truth"].mean()
    last = {"masks of": "the truth", "cells": cells, "a copy, with all annotators": mean}
    return pd.concat([each, pd.DataFrame([last])], ignore_index=True)


def correlation_sweep(
    recipe: str, correlations: Sequence[float], *, side_px: int, seeds: Sequence[int]
) -> pd.DataFrame:
    """Let groups of experts whose errors correlate more and more annotate the same tissue.

    Parameters
    ----------
    recipe
        Key in `imc_helpers.phantom.recipes.COHORTS`, of a cohort with several annotators.
    correlations
        Correlation between two experts' habits and slips: 0 independent, 1 the same.
    side_px
        Edge of the square image, pixels.
    seeds
        One tissue and one group of experts per seed; the same at every correlation. The experts
        label their crops on another tissue.

    Returns
    -------
    pandas.DataFrame
        What `mean_scores` returns, with ``correlation`` and ``seed``.
    """
    made = find_recipe(recipe)
    assert made.experts is not None
    parts = []
    for seed in tqdm(seeds, desc="tissues", disable=None):
        sample, taught_on = (
            make_sample(made, (side_px, side_px), of, f"{recipe}_{of}")
            for of in (seed, seed + _TAUGHT_ON)
        )
        for correlation in correlations:
            annotated = correlated_annotations(
                sample, correlation, taught_on=taught_on, group=made.experts, seed=seed
            )
            parts.append(mean_scores([annotated]).assign(correlation=correlation, seed=seed))
    return pd.concat(parts, ignore_index=True)
