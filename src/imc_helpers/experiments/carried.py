"""What other masks' support of a cell is worth, where the truth is known."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from imc_helpers.agreement.intervals import mean_intervals
from imc_helpers.cells.counts import count_cells
from imc_helpers.cells.expression import mean_intensities
from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.samples import Cohort
from imc_helpers.downstream.cell_types import (
    TYPE,
    cell_profiles,
    learn_clusters,
    learn_regression,
    true_profiles,
)
from imc_helpers.downstream.profiles import MATCH_IOU
from imc_helpers.downstream.uncertainty import mask_disagreement, pooled_mean
from imc_helpers.metrics import contingency_table, matched_pairs

CLUSTERS = 6
"""Where nobody knows the types: about as many as a panel of a dozen markers tells apart."""
Masks = Mapping[str, Mapping[str, np.ndarray]]
"""By sample, (H, W) labels by rater."""


def read_masks(cohort: Cohort, samples: Sequence[str], models: Sequence[str]) -> Masks:
    """Read the masks of the cohort's annotators (or tools); with fewer than two, the models' too.

    Parameters
    ----------
    cohort, samples
        What to read. Samples that lack one of the masks are left out.
    models
        Those that may stand in.
    """
    raters = list(cohort.references)
    runs = find_models(cohort.name, models, "whole") if len(raters) < 2 else {}
    covered = {model: {one.sample for one in run.samples} for model, run in runs.items()}
    return {
        sample: {
            **{rater: cohort.read_mask(sample, rater) for rater in raters},
            **{model: read_prediction(cohort.name, model, "whole", sample) for model in runs},
        }
        for sample in samples
        if set(raters) <= set(cohort.references_of(sample))
        and all(sample in images for images in covered.values())
    }


def types_by_mask(cohort: Cohort, masks: Masks) -> dict[str, pd.Series]:
    """Type the cells of every mask by one rule, fixed beforehand.

    On a phantom it is learned from the true cells of other images; elsewhere cells get the nearest
    of `CLUSTERS` clusters of the first mask's cells.

    Returns
    -------
    dict
        By rater: type by ``sample`` and ``id``; empty where there are too few cells or images to
        learn a rule from.
    """
    raters = next(iter(masks.values()), {})
    profiles = {
        rater: cell_profiles(cohort, {sample: own[rater] for sample, own in masks.items()})
        for rater in raters
    }
    if cohort.has_truth_table:
        if len(cohort) < 2:
            return {}
        typed = learn_regression(true_profiles(cohort))
    else:
        first = next(iter(profiles.values()), pd.DataFrame())
        if len(first.drop_duplicates()) < CLUSTERS:
            return {}
        typed = learn_clusters(first, CLUSTERS)
    return {rater: typed(own) for rater, own in profiles.items()}


def supported_cells(
    cohort: Cohort, masks: Masks, types: Mapping[str, pd.Series] | None = None
) -> pd.DataFrame:
    """Ask, of each cell of each mask, who else has it, and whether it is right.

    Parameters
    ----------
    cohort
        The images, and the truth where it is known.
    masks
        By sample and rater.
    types
        What `types_by_mask` returns.

    Returns
    -------
    pandas.DataFrame
        One row per cell: ``sample``, ``rater``, ``others`` (other masks that have it),
        ``mask_iou``, ``type_entropy``. With a truth also ``real`` (a true cell has an IoU of
        `MATCH_IOU` with it), ``typed_right`` (and its type), and, of real cells, the root mean
        square over channels of what its counts differ from the true outline's in the same image, on
        arcsinh: ``error_own``, ``error_mean``, ``error_median``.
    """
    parts = []
    for sample, raters in masks.items():
        image = cohort.read_image(sample)
        known = any(one.kind == TRUTH for one in cohort.raters_of(sample))
        if known:
            truth = cohort.read_mask(sample, TRUTH)
            true_ids, true_means = mean_intensities(image, truth)
        own_types = {r: types[r].xs(sample) for r in raters} if types else None
        counts = {rater: mean_intensities(image, labels) for rater, labels in raters.items()}
        for rater, labels in raters.items():
            found = mask_disagreement(raters, counts, rater, own_types)
            rows = found.cells.reset_index().assign(sample=sample, rater=rater)
            rows["others"] = (rows["support"] * (len(raters) - 1)).round().astype(int)
            if known:
                pairs = matched_pairs(contingency_table(labels, truth), MATCH_IOU)
                at = np.searchsorted(found.cells.index, pairs.true_ids)
                rows["real"] = np.isin(np.arange(len(rows)), at).astype(float)
                right = true_means[np.searchsorted(true_ids, pairs.pred_ids)]
                of = {"own": counts[rater][1]}
                of |= {way: found.layers[f"mask_{way}"] for way in ("mean", "median")}
                for way, means in of.items():
                    apart = np.arcsinh(means[at]) - np.arcsinh(right)
                    rows[f"error_{way}"] = np.nan
                    rows.loc[at, f"error_{way}"] = np.sqrt((apart**2).mean(axis=1))
                if own_types and cohort.has_truth_table:
                    actual = cohort.read_truth(sample)[TYPE].reindex(pairs.pred_ids).to_numpy()
                    given = own_types[rater].reindex(pairs.true_ids).to_numpy()
                    rows["typed_right"] = 0.0
                    rows.loc[at, "typed_right"] = (actual == given).astype(float)
            parts.append(rows)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def shares_by_support(cells: pd.DataFrame) -> pd.DataFrame:
    """Say how many cells have so much support, and how many of them are right.

    Parameters
    ----------
    cells
        What `supported_cells` returns.

    Returns
    -------
    pandas.DataFrame
        One row per number of ``others``: ``cells``, their share of all; ``real`` and
        ``typed_right`` where known, with ``_low`` and ``_high``: means over raters and images, with
        95% intervals over images.
    """
    asked = [name for name in ("real", "typed_right") if name in cells]
    counts = cells.groupby(["sample", "rater", "others"]).size().unstack(fill_value=0)
    shares = counts.div(counts.sum(axis=1), axis=0).groupby("sample").mean().mean()
    table = pd.DataFrame({"others": shares.index, "cells": shares.to_numpy()})
    for name in asked:
        each = cells.groupby(["sample", "others"])[name].mean().unstack()
        means = mean_intervals(each, each.index).reindex(table["others"])
        table[name] = means["mean"].to_numpy()
        table[[f"{name}_low", f"{name}_high"]] = means[["low", "high"]].clip(0, 1).to_numpy()
    return table


def results_by_mask(
    cohort: Cohort, masks: Masks, types: Mapping[str, pd.Series]
) -> dict[str, pd.DataFrame]:
    """Compute simple results of each image with each mask: density and shares of types.

    Returns
    -------
    dict
        By result, one row per sample, one column per rater, and `TRUTH` where it is known.
    """
    density: dict[str, dict[str, float]] = {}
    fractions: dict[str, dict[str, pd.Series]] = {}
    for sample, raters in masks.items():
        height, width = cohort.shape(sample)
        mm2 = height * width * (cohort.um_per_px(sample) / 1000) ** 2
        named = {rater: types[rater].xs(sample) for rater in raters} if types else {}
        cells = {rater: count_cells(own) for rater, own in raters.items()}
        if cohort.has_truth_table:
            named[TRUTH] = cohort.read_truth(sample)[TYPE]
            cells[TRUTH] = len(named[TRUTH])
        density[sample] = {rater: count / mm2 for rater, count in cells.items()}
        fractions[sample] = {r: own.value_counts(normalize=True) for r, own in named.items()}
    found = {"cells per mm²": pd.DataFrame(density).T}
    every = sorted({name for of in fractions.values() for own in of.values() for name in own.index})
    for name in every if types else []:
        rows = {
            sample: {rater: own.get(name, 0.0) for rater, own in of.items()}
            for sample, of in fractions.items()
        }
        found[name] = pd.DataFrame(rows).T
    return found


def pool_results(results: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Give each result with one mask after the other, and pooled over all.

    Parameters
    ----------
    results
        What `results_by_mask` returns.

    Returns
    -------
    pandas.DataFrame
        One row per result and way: ``result``, ``way`` (``"one mask"`` or ``"pooled"``), ``mask``,
        ``value``, ``low``, ``high``, ``share_between`` (of the variance, due to the choice of mask)
        and ``truth``, the mean over these images where it is known.
    """
    rows = []
    for name, table in results.items():
        truth = float(table[TRUTH].mean()) if TRUTH in table else np.nan
        masks = table.drop(columns=TRUTH, errors="ignore")
        each = mean_intervals(masks, masks.index)
        for mask, one in each.iterrows():
            own = {"value": one["mean"], "low": one["low"], "high": one["high"]}
            rows.append({"result": name, "way": "one mask", "mask": mask, **own, "truth": truth})
        pooled = pooled_mean(masks)
        rows.append(
            {
                "result": name,
                "way": "pooled",
                "mask": "",
                "value": pooled.value,
                "low": pooled.low,
                "high": pooled.high,
                "truth": truth,
                "share_between": pooled.share_between,
            }
        )
    found = pd.DataFrame(rows)
    found["low"] = found["low"].clip(lower=0)  # counts and shares are not negative
    return found
