"""What two masks disagree about, cell by cell, and who of several people stands apart.

The disagreement of two masks is measured by shared pixels, κ = Σ |a ∩ b|² / (|a| |b|) over pairs of
cells: a cell that both drew alike adds 1. What is missing to it adds up over cells, so it can be
told where it lies.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from imc_helpers.agreement.statistics import ALPHA
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError
from imc_helpers.metrics import ContingencyTable, contingency_table
from imc_helpers.metrics.error_types import Kind, dice_xmbd_errors
from imc_helpers.metrics.shared_cells import overlap_shares

KINDS = ("detection", "boundary", "partition")
"""Somebody drew a cell where the other drew none; both drew one, with other borders; one drew
several where the other drew one, or several others."""
_KIND_OF = {
    Kind.MISSED: "detection",
    Kind.SPURIOUS: "detection",
    Kind.MATCHED: "boundary",
    Kind.SPLIT: "partition",
    Kind.MERGED: "partition",
    Kind.TANGLE: "partition",
}


def kinds(one: np.ndarray, two: np.ndarray) -> pd.Series:
    """Say how much of the disagreement of two masks is of each kind.

    Cell i of one mask disagrees by 1 - Σⱼ |aᵢ ∩ bⱼ|² / (|aᵢ| |bⱼ|), between 0 and 1, and so does
    each cell of the other. Its kind is Dice-XMBD's (Xiao et al. 2021, section 2.5).

    Parameters
    ----------
    one, two
        (H, W) labels of two raters.

    Returns
    -------
    pandas.Series
        By kind, the disagreement of its cells in both masks, in cells; the sum is
        n_one + n_two - 2 κ. Over that sum they are shares.
    """
    return _amounts(contingency_table(one, two))


def _amounts(table: ContingencyTable) -> pd.Series:
    shared = overlap_shares(table)
    errors = dice_xmbd_errors(table)
    amounts = dict.fromkeys(KINDS, 0.0)
    for cells, n_cells, of_cells in (
        (table.i, table.n_true, errors.true_kinds),
        (table.j, table.n_pred, errors.pred_kinds),
    ):
        # Two cells that lie on each other to the pixel leave rounding, and no disagreement.
        left = np.maximum(1 - np.bincount(cells, shared, minlength=n_cells), 0.0)
        for kind, name in _KIND_OF.items():
            amounts[name] += float(left[of_cells == kind].sum())
    return pd.Series(amounts)


def pairwise_disagreement(
    cohort: Cohort, raters: Iterable[str], samples: Iterable[str] | None = None
) -> pd.DataFrame:
    """Measure the disagreement of every pair of raters on every sample that both have drawn.

    Parameters
    ----------
    cohort
        Samples with masks.
    raters
        Whose masks.
    samples
        Some of the cohort's samples; all of them when not given.

    Returns
    -------
    pandas.DataFrame
        One row per sample and pair: ``sample``, ``rater_true``, ``rater_pred``, their numbers of
        cells ``n_true`` and ``n_pred``, the three `KINDS` (in cells, as `kinds` returns them),
        ``distance`` (their sum over twice the mean number of cells of all raters of the sample,
        a squared Euclidean distance), and ``area_ratio`` (the median over cells that both drew one
        to one, of the first one's area over the second's).
    """
    parts, raters = [pd.DataFrame(columns=[*_COLUMNS])], list(raters)
    for sample in cohort.ids if samples is None else samples:
        drawn = [name for name in raters if sample in cohort.labelled_by(name)]
        masks = {name: cohort.read_mask(sample, name) for name in drawn}
        parts.append(disagreement_of_masks(masks, sample=sample))
    filled = [part for part in parts if len(part)]
    return pd.concat(filled or parts[:1], ignore_index=True)


def disagreement_of_masks(masks: Mapping[str, np.ndarray], *, sample: str = "") -> pd.DataFrame:
    """Measure the disagreement of every pair of masks of one sample.

    Parameters
    ----------
    masks
        (H, W) labels by rater.
    sample
        What stands in the column.

    Returns
    -------
    pandas.DataFrame
        As `pairwise_disagreement` returns.
    """
    tables = {
        (one, two): contingency_table(masks[one], masks[two]) for one, two in combinations(masks, 2)
    }
    counts = {one: table.n_true for (one, _), table in tables.items()}
    counts |= {two: table.n_pred for (_, two), table in tables.items()}
    mean = np.mean([*counts.values()]) if counts else 0.0
    rows = []
    for (one, two), table in tables.items():
        amounts = _amounts(table)
        distance = amounts.sum() / (2 * mean) if mean > 0 else 0.0
        about = (sample, one, two, table.n_true, table.n_pred, *amounts)
        rows.append((*about, distance, _area_ratio(table)))
    return pd.DataFrame(rows, columns=[*_COLUMNS])


_COLUMNS = (
    "sample",
    "rater_true",
    "rater_pred",
    "n_true",
    "n_pred",
    *KINDS,
    "distance",
    "area_ratio",
)


def _area_ratio(table: ContingencyTable) -> float:
    errors = dice_xmbd_errors(table)
    alone = (errors.true_kinds[table.i] == Kind.MATCHED) & (
        errors.true_groups[table.i] == errors.pred_groups[table.j]
    )
    ratios = table.true_areas[table.i[alone]] / table.pred_areas[table.j[alone]]
    return float(np.median(ratios)) if len(ratios) else float("nan")


def personal_errors(pairs: pd.DataFrame) -> pd.Series:
    """Tell how much of the distances between people is each one's own.

    Where errors are independent, two people's distance is the sum of what is each one's own. Of
    three people or more, that can be solved: the three-cornered hat (Gray and Allan 1974), and with
    more people its least-squares form, σ²ₐ = (rₐ - Σr / (2 (N - 1))) / (N - 2) with rₐ = Σ_b D_ab.

    Parameters
    ----------
    pairs
        What `pairwise_disagreement` returns. Not every pair need have an image in common.

    Returns
    -------
    pandas.Series
        By rater, in units of ``distance``; noise may make one negative. What all share, an error
        that everybody makes, is in none of them.

    Raises
    ------
    InputError
        If the pairs cannot tell people apart: it takes three who share images, two and two.
    """
    distances = pairs.groupby(["rater_true", "rater_pred"], sort=False)["distance"].mean()
    raters = list(dict.fromkeys([*pairs["rater_true"], *pairs["rater_pred"]]))
    design = np.zeros((len(distances), len(raters)))
    for row, names in enumerate(distances.index):
        for name in names:
            design[row, raters.index(name)] = 1
    if not raters or np.linalg.matrix_rank(design) < len(raters):
        raise InputError(
            "pairs: whose error is whose takes three people of whom each two drew an image in "
            f"common; found {len(distances)} pairs of {len(raters)} people"
        )
    solution = np.linalg.lstsq(design, distances.to_numpy(float), rcond=None)[0]
    return pd.Series(solution, index=raters)


def profiles(pairs: pd.DataFrame, *, alpha: float = ALPHA) -> pd.DataFrame:
    """Describe each rater beside the others.

    Parameters
    ----------
    pairs
        What `pairwise_disagreement` returns.
    alpha
        Error beyond either end of an interval, of all raters together.

    Returns
    -------
    pandas.DataFrame
        One row per rater: ``rater``, ``images``, ``cells`` (mean per image), ``area_ratio`` (her
        cells' area over the others', geometric mean over them), the share of each of `KINDS` in
        what she and the others disagree about, ``distance`` (mean over the others), ``personal``
        (`personal_errors`; missing where it cannot be told) with ``low`` and ``high``, from leaving
        out one image at a time.
    """
    raters = list(dict.fromkeys([*pairs["rater_true"], *pairs["rater_pred"]]))
    personal, low, high = _personal_interval(pairs, raters, alpha)
    rows = []
    for name in raters:
        first, second = pairs["rater_true"] == name, pairs["rater_pred"] == name
        own = pairs[first | second]
        amounts = own[list(KINDS)].sum()
        ratios = np.concatenate(
            [pairs.loc[first, "area_ratio"], 1 / pairs.loc[second, "area_ratio"]]
        )
        cells = pd.concat(
            [
                pairs.loc[first, ["sample", "n_true"]].set_axis(["sample", "n"], axis=1),
                pairs.loc[second, ["sample", "n_pred"]].set_axis(["sample", "n"], axis=1),
            ]
        ).drop_duplicates("sample")
        total = amounts.sum()
        rows.append(
            {
                "rater": name,
                "images": len(cells),
                "cells": cells["n"].mean(),
                "area_ratio": float(np.exp(np.nanmean(np.log(ratios)))),
                **(amounts / total if total > 0 else amounts),
                "distance": own.groupby(["rater_true", "rater_pred"])["distance"].mean().mean(),
                "personal": personal.get(name, np.nan),
                "low": low.get(name, np.nan),
                "high": high.get(name, np.nan),
            }
        )
    columns = ["rater", "images", "cells", "area_ratio", *KINDS, "distance", "personal"]
    return pd.DataFrame(rows, columns=[*columns, "low", "high"])


def _personal_interval(
    pairs: pd.DataFrame, raters: list[str], alpha: float
) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Give the personal errors and their jackknife intervals over images."""
    nothing = pd.Series(np.nan, index=raters)
    try:
        personal = personal_errors(pairs)
    except InputError:
        return nothing, nothing, nothing
    images = pairs["sample"].unique()
    try:
        without = [personal_errors(pairs[pairs["sample"] != image]) for image in images]
    except InputError:  # an image on which a pair hangs
        return personal, nothing, nothing
    n = len(images)
    if n < 2:
        return personal, nothing, nothing
    error = np.sqrt((n - 1) * pd.concat(without, axis=1).reindex(raters).var(axis=1, ddof=0))
    half = stats.t.isf(alpha / len(raters), n - 1) * error
    return personal, personal - half, personal + half
