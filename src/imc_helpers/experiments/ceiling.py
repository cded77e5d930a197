"""Is the agreement of annotators a ceiling for a model? A question that needs the truth.

On a phantom the truth is known, so one can ask what a model that equals it would score against the
annotators, and set that beside what the annotators score against one another.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from tqdm import tqdm

from imc_helpers.agreement.pairwise import METRICS
from imc_helpers.data.samples import Sample
from imc_helpers.metrics import evaluate_many
from imc_helpers.phantom.drawing import TRUTH
from imc_helpers.phantom.experts import correlated_annotations
from imc_helpers.phantom.recipes import find_recipe, make_sample

WHO = ("annotators", "truth")
"""Whose mean score: annotators against one another, or the truth against the annotators."""


def mean_scores(samples: Iterable[Sample]) -> pd.DataFrame:
    """Average the scores of annotators against one another, and of the truth against them.

    Parameters
    ----------
    samples
        Phantom samples with the truth and two annotators or more.

    Returns
    -------
    pandas.DataFrame
        One row each of `WHO`, in the column ``who``, with the mean of each metric over samples and
        pairs (whole images, IoU >= t).
    """
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {who: [] for who in WHO}
    for sample in samples:
        masks = [mask for name, mask in sample.masks.items() if name != TRUTH]
        pairs["annotators"] += combinations(masks, 2)
        pairs["truth"] += [(sample.masks[TRUTH], mask) for mask in masks]
    return pd.DataFrame(
        {"who": who, **evaluate_many(scored)[list(METRICS)].mean()} for who, scored in pairs.items()
    )


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
        One tissue and one group of experts for each; the same at every correlation.

    Returns
    -------
    pandas.DataFrame
        What `mean_scores` returns, with ``correlation`` and ``seed``.
    """
    made = find_recipe(recipe)
    assert made.experts is not None
    parts = []
    for seed in tqdm(seeds, desc="tissues", disable=None):
        sample = make_sample(made, (side_px, side_px), seed, f"{recipe}_{seed}")
        for correlation in correlations:
            annotated = correlated_annotations(sample, correlation, group=made.experts, seed=seed)
            parts.append(mean_scores([annotated]).assign(correlation=correlation, seed=seed))
    return pd.concat(parts, ignore_index=True)
