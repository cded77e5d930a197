"""Nuclei and sizes of the cells of several masks, beside those of a reference."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from imc_helpers.agreement.intervals import interval, mean_intervals, resample_images
from imc_helpers.data.samples import Cohort
from imc_helpers.downstream.compartments import (
    compartment_counts,
    expand_nuclei,
    link_nuclei,
    localisation,
    matched_cells,
    nucleus_ratios,
)
from imc_helpers.metrics import contingency_table, matched_pairs

FEWEST = 3
"""Fewest pairs that a correlation is given of."""


def with_nuclei(cohort: Cohort, names: Sequence[str], samples: Sequence[str]) -> list[str]:
    """Return who of several outlined the nuclei of all of some samples, in their order."""
    return [name for name in names if all(name in cohort.nuclei_of(sample) for sample in samples)]


def nucleus_table(
    cohort: Cohort, masks: Mapping[str, np.ndarray], rater: str, nuclei_of: str
) -> pd.DataFrame:
    """Measure N/C, the area of nucleus over that of cell, of every cell of a mask.

    Parameters
    ----------
    cohort
        The images.
    masks
        (H, W) labels by sample.
    rater
        Whose they are.
    nuclei_of
        Whose nuclei are linked to them.

    Returns
    -------
    pandas.DataFrame
        One row per cell: ``rater``, ``sample``, ``id``, ``ratio``; 0 without a nucleus.
    """
    parts = []
    for sample, cells in masks.items():
        linked = _linked(cohort, sample, rater, cells, nuclei_of)
        ratios = nucleus_ratios(cells, linked).rename_axis("id").reset_index()
        parts.append(ratios.assign(rater=rater, sample=sample))
    return pd.concat(parts, ignore_index=True)


def localisation_table(
    cohort: Cohort, masks: Mapping[str, np.ndarray], rater: str, nuclei_of: str
) -> pd.DataFrame:
    """Say where each marker lies: which share of its counts is in the nucleus.

    Returns
    -------
    pandas.DataFrame
        One row per image, one column per channel (`localisation`).
    """
    rows = {}
    for sample, cells in masks.items():
        linked = _linked(cohort, sample, rater, cells, nuclei_of)
        image = cohort.read_image(sample)
        rows[sample] = localisation(compartment_counts(image, cells, linked, cohort.panel.names))
    return pd.DataFrame(rows).T.rename_axis("sample")


def _linked(
    cohort: Cohort, sample: str, rater: str, cells: np.ndarray, nuclei_of: str
) -> np.ndarray:
    nuclei = cohort.read_nuclei(sample, nuclei_of)
    source = f"{cohort.name}, image {sample}, cells of {rater}, nuclei of {nuclei_of}"
    return link_nuclei(cells, nuclei, source=source)


def matched_ratios(
    true: Mapping[str, np.ndarray],
    pred: Mapping[str, np.ndarray],
    ratios: pd.DataFrame,
    *,
    reference: str,
    rater: str,
) -> pd.DataFrame:
    """Set N/C of a mask's cells beside that of the reference's cells that they match.

    Parameters
    ----------
    true, pred
        (H, W) labels by sample, of the reference and of the mask.
    ratios
        What `nucleus_table` returns of both, one after the other.
    reference, rater
        Their names in it.

    Returns
    -------
    pandas.DataFrame
        One row per matched pair: ``sample``, ``true``, ``pred``.
    """
    known = ratios.set_index(["rater", "sample", "id"])["ratio"].sort_index()
    parts = []
    for sample in pred:
        pairs = matched_cells(true[sample], pred[sample])
        values = {
            "true": known.loc[reference, sample].reindex(pairs["true_id"]).to_numpy(),
            "pred": known.loc[rater, sample].reindex(pairs["pred_id"]).to_numpy(),
        }
        parts.append(pd.DataFrame(values).assign(sample=sample))
    return pd.concat(parts, ignore_index=True)


def size_pairs(
    true: Mapping[str, np.ndarray],
    pred: Mapping[str, np.ndarray],
    *,
    radius_px: float | None = None,
) -> pd.DataFrame:
    """List the areas of cells that match one to one.

    Parameters
    ----------
    true
        (H, W) labels by sample.
    pred
        The same of a mask: cells, or nuclei to be expanded.
    radius_px
        By which nuclei are expanded (`expand_nuclei`); cells stay as they are.

    Returns
    -------
    pandas.DataFrame
        One row per pair: ``sample``, ``true_area``, ``pred_area``.
    """
    parts = []
    for sample, labels in pred.items():
        outlined = labels if radius_px is None else expand_nuclei(labels, radius_px)
        parts.append(matched_cells(true[sample], outlined).assign(sample=sample))
    return pd.concat(parts, ignore_index=True)[["sample", "true_area", "pred_area"]]


def found_shares(
    true: Mapping[str, np.ndarray],
    masks: Mapping[str, Mapping[str, np.ndarray]],
    ratios: pd.DataFrame,
) -> pd.DataFrame:
    """Return which share of the true cells masks have, with a nucleus in the plane and without.

    Parameters
    ----------
    true
        (H, W) true labels by sample.
    masks
        The same of each mask, by its maker.
    ratios
        What `nucleus_table` returns of the true cells.

    Returns
    -------
    pandas.DataFrame
        One row per maker and image: ``rater``, ``sample``, ``in plane`` and ``out of plane``, the
        shares of those true cells that match (IoU of .5 or more), missing where there are none.
    """
    without = {
        sample: set(of.loc[of["ratio"] == 0, "id"]) for sample, of in ratios.groupby("sample")
    }
    rows = []
    for rater, own in masks.items():
        for sample, labels in own.items():
            table = contingency_table(true[sample], labels)
            found = np.isin(table.true_ids, matched_pairs(table).true_ids)
            out = np.isin(table.true_ids, list(without.get(sample, ())))
            shares = {
                "in plane": found[~out].mean() if (~out).any() else np.nan,
                "out of plane": found[out].mean() if out.any() else np.nan,
            }
            rows.append({"rater": rater, "sample": sample, **shares})
    return pd.DataFrame(rows, columns=["rater", "sample", "in plane", "out of plane"])


def size_ratios(pairs: pd.DataFrame, edges: ArrayLike) -> pd.DataFrame:
    """Return how many times too large cells are, by true size.

    Parameters
    ----------
    pairs
        What `size_pairs` returns.
    edges
        (K + 1,) borders of the bins of true area, pixels, ascending.

    Returns
    -------
    pandas.DataFrame
        One row per bin that holds a pair: ``bin`` (0 is the smallest cells), ``area`` (median true
        area), ``ratio`` (geometric mean of area over true area: of each image, then over images),
        and ``low`` and ``high``, its 95% interval over images, missing for one image.
    """
    bins = _bins(pairs, edges)
    per_image = _log_ratios(pairs, bins)
    found = mean_intervals(per_image, per_image.index)
    area = pairs["true_area"].groupby(bins).median().rename("area")
    logs = found[["mean", "low", "high"]].set_axis(["ratio", "low", "high"], axis=1)
    return logs.apply(np.exp).join(area).rename_axis("bin").reset_index()


def size_tilts(pairs: pd.DataFrame, edges: ArrayLike) -> pd.Series:
    """Return how much more the smallest cells are overestimated than the largest, by image.

    Parameters
    ----------
    pairs, edges
        As for `size_ratios`.

    Returns
    -------
    pandas.Series
        By sample, the logarithm of the ratio of the smallest bin over that of the largest: 0 where
        size makes no difference, missing where a bin holds no pair.
    """
    last = len(np.asarray(edges)) - 2
    per_image = _log_ratios(pairs, _bins(pairs, edges)).reindex(columns=[0, last])
    return (per_image[0] - per_image[last]).rename("tilt")


def _bins(pairs: pd.DataFrame, edges: ArrayLike) -> np.ndarray:
    return np.searchsorted(np.asarray(edges)[1:-1], pairs["true_area"], side="right")


def _log_ratios(pairs: pd.DataFrame, bins: np.ndarray) -> pd.DataFrame:
    """Return the mean logarithm of area over true area: one row per image, one column per bin."""
    logs = np.log(pairs["pred_area"] / pairs["true_area"])
    table = pd.DataFrame({"sample": pairs["sample"], "bin": bins, "log": logs})
    return table.groupby(["sample", "bin"])["log"].mean().unstack("bin")


def pearson(pairs: pd.DataFrame) -> dict[str, float]:
    """Correlate matched values, with an interval over images.

    Parameters
    ----------
    pairs
        One row per pair: ``sample``, ``true``, ``pred``.

    Returns
    -------
    dict
        ``value``, Pearson's r over all pairs; ``low`` and ``high``, a 95% interval from a
        bootstrap of images, on Fisher's scale, missing for one image; ``pairs``. All missing for
        fewer than `FEWEST` pairs, or where one side is constant.
    """
    x, y = pairs["true"] - pairs["true"].mean(), pairs["pred"] - pairs["pred"].mean()
    ones = np.ones(len(pairs))
    moments = pd.DataFrame({"n": ones, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y})
    per_image = moments.groupby(pairs["sample"].to_numpy()).sum()
    missing = {"value": np.nan, "low": np.nan, "high": np.nan, "pairs": len(pairs)}
    if len(pairs) < FEWEST or not (x.any() and y.any()):
        return missing
    all_images = np.ones((1, len(per_image)))
    estimate = _fisher(all_images @ per_image.to_numpy())
    drawn = _fisher(resample_images(np.arange(len(per_image))) @ per_image.to_numpy())
    low, high = interval(estimate, drawn[:, None], [len(per_image)])
    return missing | {
        "value": float(np.tanh(estimate[0])),
        "low": float(np.tanh(low[0])),
        "high": float(np.tanh(high[0])),
    }


def _fisher(sums: np.ndarray) -> np.ndarray:
    """Return the inverse hyperbolic tangent of r from rows of sums n, x, y, xx, yy, xy."""
    n, x, y, xx, yy, xy = sums.T
    r = (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))
    return np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
