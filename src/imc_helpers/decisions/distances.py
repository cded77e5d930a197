"""How far apart the masks of a cohort are, in squared distances that add up as variances do.

Of each pair of raters of an image, ``squared = n_true + n_pred - 2κ``, with κ the cells that they
have in common (`imc_helpers.metrics.shared_cells`). ``distance`` is δ, the same over twice the
annotators' mean number of cells in that image: the share of cells, roughly, on which the two
disagree. With raters as points in space, δ is a squared Euclidean distance. So errors of annotators
who err independently add up: ``D_ab = σ²_a + σ²_b``, where σ²_a is the mean δ of annotator a from
what annotators draw on average.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from tqdm import tqdm

from imc_helpers.cells.counts import count_cells
from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError
from imc_helpers.metrics import contingency_table
from imc_helpers.metrics.shared_cells import soft_ap, squared_distance

COLUMNS = (
    "sample",
    "rater_true",
    "rater_pred",
    "n_true",
    "n_pred",
    "squared",
    "soft_ap",
    "distance",
)
"""Columns of `cohort_distances`."""


def cohort_distances(
    cohort: Cohort, models: Iterable[str] = (), *, samples: Iterable[str] | None = None
) -> pd.DataFrame:
    """Measure how far apart the masks of whole images are, pair by pair.

    Parameters
    ----------
    cohort
        Samples with masks; those with fewer than two references are left out.
    models
        Keys of models; those without a finished run on whole images are left out.
    samples
        Some of the cohort's samples; all of them when not given.

    Returns
    -------
    pandas.DataFrame
        What `mask_distances` returns, image after image, with ``sample``. A phantom's truth is
        among the raters.
    """
    runs = find_models(cohort.name, models, "whole")
    parts = []
    for sample in tqdm(
        cohort.ids if samples is None else tuple(samples),
        desc=f"{cohort.name}: distances",
        disable=None,
    ):
        people = cohort.references_of(sample)
        if len(people) < 2:
            continue
        names = [r.name for r in cohort.raters_of(sample) if r.kind == "truth"]
        masks = {name: cohort.read_mask(sample, name) for name in (*names, *people)}
        for model, run in runs.items():
            if any(one.sample == sample for one in run.samples):
                masks[model] = read_prediction(cohort.name, model, "whole", sample)
        parts.append(mask_distances(masks, people).assign(sample=sample))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return frame.reindex(columns=list(COLUMNS))


def mask_distances(masks: Mapping[str, np.ndarray], annotators: Sequence[str]) -> pd.DataFrame:
    """Measure how far apart masks of one image are, pair by pair.

    Parameters
    ----------
    masks
        (H, W) labels by rater.
    annotators
        Whose mean number of cells is the unit of δ. Pairs without any of them are left out.

    Returns
    -------
    pandas.DataFrame
        One row per pair: ``rater_true``, ``rater_pred`` (in the order of ``masks``), ``n_true``,
        ``n_pred``, ``squared`` (cells), ``distance`` (missing where annotators drew no cell),
        ``soft_ap``.
    """
    rows = []
    for one, two in combinations(masks, 2):
        if one not in annotators and two not in annotators:
            continue
        table = contingency_table(masks[one], masks[two])
        scores = squared_distance(table), soft_ap(table)
        rows.append((one, two, table.n_true, table.n_pred, *scores))
    frame = pd.DataFrame(rows, columns=list(COLUMNS[1:-1]))
    cells = float(np.mean([count_cells(masks[a]) for a in annotators]))
    frame["distance"] = frame["squared"] / (2 * cells if cells else np.nan)
    return frame


def distance_from_mean(distances: pd.DataFrame, annotators: Sequence[str]) -> pd.DataFrame:
    """Estimate how far each mask is from what annotators draw on average: its excess.

    ``excess(R) = mean_a δ(R, a) - D̄ / 2``, with D̄ the mean δ between two annotators: half of the
    generalized energy distance between the mask and the annotators. It is an unbiased estimate of
    the mask's squared distance from the mean of the people of whom these annotators are a sample,
    so it may come out below 0. Its unit is that of δ.

    Parameters
    ----------
    distances
        What `cohort_distances` returns.
    annotators
        Who speaks for people. In each image those count who drew it, two at least.

    Returns
    -------
    pandas.DataFrame
        One row per image and rater that is no annotator: ``sample``, ``rater``, ``mean_distance``,
        ``spread`` (D̄ / 2), ``excess``.

    Raises
    ------
    InputError
        If no image was drawn by two of them.
    """
    people = set(annotators)
    true, pred = (distances[c].isin(people) for c in ("rater_true", "rater_pred"))
    spread = distances[true & pred].groupby("sample", sort=False)["distance"].mean() / 2
    if spread.empty:
        raise InputError("distances: expected an image with two annotators or more, found none")
    one = distances[true != pred]
    one = one.assign(rater=one["rater_pred"].where(true[true != pred], one["rater_true"]))
    means = one.groupby(["sample", "rater"], sort=False)["distance"].mean().rename("mean_distance")
    found = means.reset_index()
    found["spread"] = found["sample"].map(spread)
    found["excess"] = found["mean_distance"] - found["spread"]
    return found.dropna(subset="excess").reset_index(drop=True)
