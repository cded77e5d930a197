"""What became of every true cell, beside its size and how crowded it lies."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm

from imc_helpers.agreement.intervals import (
    CONFIDENCE,
    DRAWS,
    bootstrap_ratios,
    count_images,
    interval,
)
from imc_helpers.cells.properties import cell_properties
from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError
from imc_helpers.metrics import contingency_table, matched_pairs
from imc_helpers.metrics.error_types import mesmer_errors

FOUND_IOU = 0.5
"""A true cell counts as found when it has a match of this IoU or more."""


def cell_outcomes(
    cohort: Cohort,
    models: Iterable[str],
    *,
    references: Sequence[str] | None = None,
    samples: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Say for every true cell whether each model, and each other reference, found it.

    Parameters
    ----------
    cohort
        Samples with masks.
    models
        Keys of models; those without a finished run on whole images are left out.
    references
        Whose cells; those of all of ``cohort.references`` when not given.
    samples
        Some of the cohort's samples; all of them when not given.

    Returns
    -------
    pandas.DataFrame
        One row per true cell and model: ``cohort``, ``sample``, ``annotator`` (whose cell),
        ``model`` (a model, or another reference), what `cell_properties` gives, ``found`` (IoU of
        `FOUND_IOU` or more, one to one), and ``kind``, Mesmer's name for what became of it. Whole
        images.
    """
    runs = find_models(cohort.name, models, "whole")
    parts = []
    chosen = cohort.ids if samples is None else tuple(samples)
    for sample in tqdm(chosen, desc=f"{cohort.name}: cells", disable=None):
        people = {a: cohort.read_mask(sample, a) for a in cohort.references_of(sample)}
        found = {
            model: read_prediction(cohort.name, model, "whole", sample)
            for model, run in runs.items()
            if any(one.sample == sample for one in run.samples)
        }
        for reference in people if references is None else references:
            true = people[reference] if reference in people else cohort.read_mask(sample, reference)
            properties = cell_properties(true, cohort.um_per_px(sample))
            for model, pred in {**people, **found}.items():
                if model != reference:
                    rows = properties.assign(annotator=reference, model=model, sample=sample)
                    parts.append(rows.assign(**_fates(true, pred)))
    if not parts:
        raise InputError(f"cohort {cohort.name}: nothing to compare: one mask, and no model ran")
    return pd.concat(parts, ignore_index=True).assign(cohort=cohort.name)


def first_to_compare(cohorts: Mapping[str, Cohort], models: Iterable[str]) -> str | None:
    """Return the first cohort of which `cell_outcomes` can say something, or None.

    A cohort with two references or more goes before one where models alone can be compared.

    Parameters
    ----------
    cohorts
        Cohort by key.
    models
        Keys of models.
    """
    models = list(models)
    several = [key for key, cohort in cohorts.items() if len(cohort.references) > 1]
    single = [
        key
        for key, cohort in cohorts.items()
        if cohort.references and find_models(key, models, "whole")
    ]
    return next(iter([*several, *single]), None)


def _fates(true: np.ndarray, pred: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return what became of each true cell, ascending by id: found or not, and its kind."""
    table = contingency_table(true, pred)
    found = np.isin(table.true_ids, matched_pairs(table, FOUND_IOU).true_ids)
    return {"found": found, "kind": mesmer_errors(table).true_kinds}


def recall_by(
    outcomes: pd.DataFrame,
    column: str,
    *,
    bins: int = 5,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """Give the share of true cells found, by bins of a property.

    Parameters
    ----------
    outcomes
        What `cell_outcomes` returns, of one cohort.
    column
        ``"area_um2"`` or ``"neighbours"``.
    bins
        Number of bins, with about as many true cells each; fewer where values repeat.
    confidence, draws, seed
        As in `imc_helpers.agreement.intervals`. Images are drawn, with all their cells.

    Returns
    -------
    pandas.DataFrame
        One row a model and bin: ``from`` and ``to``, ``median`` of the property there, ``recall``
        with ``low`` and ``high``, ``cells``, ``images``.
    """
    known = outcomes[outcomes[column].notna()]
    values = known[column].to_numpy()
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    edges = np.repeat(edges, 2) if len(edges) == 1 else edges  # one value: one bin
    binned = known.assign(bin=(np.searchsorted(edges, values) - 1).clip(0, len(edges) - 2))
    by_image = binned.groupby(["sample", "model", "bin"])["found"]
    found, size = (sums.unstack(["model", "bin"]) for sums in (by_image.sum(), by_image.size()))
    images = found.index.to_numpy()
    estimates, replicates = bootstrap_ratios(found, size, images, draws=draws, seed=seed)
    n_images = count_images(found, images)
    low, high = interval(estimates, replicates, n_images, confidence=confidence)
    frame = found.columns.to_frame(index=False)
    # A share cannot leave 0 … 1, however few the images.
    frame["recall"], frame["low"], frame["high"] = estimates, low.clip(0, 1), high.clip(0, 1)
    frame["cells"], frame["images"] = size.sum().to_numpy(int), n_images
    frame["from"], frame["to"] = edges[frame["bin"]], edges[frame["bin"] + 1]
    frame["median"] = frame["bin"].map(binned.groupby("bin")[column].median())
    return frame.sort_values(["model", "bin"], ignore_index=True)


def kind_shares(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Give the share of true cells of each kind, for every model: one row per model.

    Parameters
    ----------
    outcomes
        What `cell_outcomes` returns, of one cohort.
    """
    return pd.crosstab(outcomes["model"], outcomes["kind"], normalize="index")
