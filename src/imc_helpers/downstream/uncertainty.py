"""Carry the disagreement between masks along: into each cell, and into the result.

Which outline a cell has is a choice, and another person would have chosen otherwise. With several
masks of an image, each cell can bear how many of them have it, and how far its counts and its type
depend on the outline (`mask_disagreement`). A result that is computed once per mask is pooled as
one from several imputations of missing data is (`pooled_estimate`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from imc_helpers.agreement.statistics import satterthwaite
from imc_helpers.cells.expression import CellCounts, mean_intensities
from imc_helpers.data.samples import Cohort
from imc_helpers.downstream.export import as_anndata
from imc_helpers.downstream.measure import measure
from imc_helpers.downstream.profiles import MATCH_IOU
from imc_helpers.downstream.typed_masks import types_by_image
from imc_helpers.errors import InputError
from imc_helpers.metrics import contingency_table, matched_pairs

LAYERS = ("mask_median", "mask_mean", "mask_sd")


@dataclass(frozen=True, eq=False)
class Disagreement:
    """What the masks of one image say of the cells of one of them."""

    cells: pd.DataFrame
    """One row per cell, by its id: ``support``, the share of the other masks that have it;
    ``mask_iou``, its mean IoU with theirs; ``type_entropy`` over the types that the masks give it,
    its own included, in bits. The last two are missing where no other mask has the cell, and
    ``type_entropy`` without types."""
    layers: Mapping[str, np.ndarray]
    """(N, C) float32 of the cell's mean counts over the masks that have it, its own included:
    ``mask_median``, ``mask_mean``, and ``mask_sd``, missing where no other has the cell."""


def mask_disagreement(
    masks: Mapping[str, np.ndarray],
    counts: Mapping[str, CellCounts],
    base: str,
    types: Mapping[str, pd.Series] | None = None,
    layers: Sequence[str] = LAYERS,
) -> Disagreement:
    """Ask the other masks of an image about each cell of one.

    Parameters
    ----------
    masks
        (H, W) labels by rater. Where `base` is alone, nobody says anything: ``support`` is missing.
    counts
        By rater, what `imc_helpers.cells.expression.mean_intensities` returns for the mask.
    base
        Whose cells are asked about.
    types
        Type of each cell by its id, for each rater.
    layers
        Which of `LAYERS` are computed.

    Returns
    -------
    Disagreement
        See there.

    Raises
    ------
    InputError
        If `base` has no mask, one has another shape than `base`'s, or a cell has no type.
    """
    if base not in masks:
        raise InputError(f"masks: expected one of {base!r}, found {', '.join(masks) or 'none'}")
    for rater, labels in masks.items():
        if labels.shape != masks[base].shape:
            raise InputError(
                f"mask of {rater}: expected the shape of {base}'s, {masks[base].shape}, found "
                f"{labels.shape}. Was it made of another image, or of a crop?"
            )
    ids, own = counts[base]
    others = [rater for rater in masks if rater != base]
    if not others:
        return _unasked(ids, own, layers)
    values = np.full((len(masks), *own.shape), np.nan)
    iou = np.full((len(others), len(ids)), np.nan)
    votes = np.full((len(ids), len(masks)), None, dtype=object)
    values[0] = own
    if types is not None:
        votes[:, 0] = _types_of(types, base, ids)
    for k, rater in enumerate(others):
        theirs, means = counts[rater]
        pairs = matched_pairs(contingency_table(masks[base], masks[rater]), MATCH_IOU)
        rows = np.searchsorted(ids, pairs.true_ids)
        iou[k, rows] = pairs.iou
        values[k + 1, rows] = means[np.searchsorted(theirs, pairs.pred_ids)]
        if types is not None:
            votes[rows, k + 1] = _types_of(types, rater, pairs.pred_ids)
    found = ~np.isnan(iou)
    several = found.any(axis=0)
    cells = pd.DataFrame({"support": found.mean(axis=0)}, index=pd.Index(ids, name="id"))
    likeness = np.nansum(iou, axis=0) / np.maximum(found.sum(axis=0), 1)
    cells["mask_iou"] = np.where(several, likeness, np.nan)
    entropies = np.nan if types is None else _entropies(votes)
    cells["type_entropy"] = np.where(several, entropies, np.nan)
    said = {name: _layer(name, values).astype(np.float32) for name in layers}
    return Disagreement(cells, said)


def _layer(name: str, values: np.ndarray) -> np.ndarray:
    """Return one of `LAYERS` of counts by mask, cell and channel, where not every mask has a cell.

    A cell's own mask has it, so that nothing is missing but the spread of a single value.
    """
    if name == "mask_median":
        return np.nanmedian(values, axis=0) if values.size else values[0]
    drawn = np.isfinite(values).sum(axis=0)
    mean = np.nansum(values, axis=0) / drawn
    if name == "mask_mean":
        return mean
    squares = np.nansum((values - mean) ** 2, axis=0)
    return np.where(drawn > 1, np.sqrt(squares / np.maximum(drawn - 1, 1)), np.nan)


def _unasked(ids: np.ndarray, own: np.ndarray, layers: Sequence[str]) -> Disagreement:
    """Return the cells of a mask that is alone."""
    cells = pd.DataFrame(np.nan, pd.Index(ids, name="id"), ["support", "mask_iou", "type_entropy"])
    return Disagreement(
        cells, {name: _layer(name, own[None]).astype(np.float32) for name in layers}
    )


def _types_of(types: Mapping[str, pd.Series], rater: str, ids: np.ndarray) -> np.ndarray:
    absent = np.setdiff1d(ids, types[rater].index)
    if absent.size:
        raise InputError(f"types of {rater}: no type of cell {absent[0]}, which is in the mask")
    return types[rater].loc[ids].to_numpy(object)


def _entropies(votes: np.ndarray) -> np.ndarray:
    """Entropy of each row's entries, in bits; missing entries are no votes."""
    names = pd.unique(votes[pd.notna(votes)])
    if not len(names):
        return np.full(len(votes), np.nan)
    counts = np.stack([(votes == name).sum(axis=1) for name in names], axis=1)
    return stats.entropy(counts, base=2, axis=1)


def carried_cells(
    cohort: Cohort,
    masks: Mapping[str, Mapping[str, np.ndarray]],
    base: str,
    types: Mapping[str, pd.Series] | None = None,
) -> Any:
    """Collect the cells of one mask, with what the others say of each.

    Parameters
    ----------
    cohort
        The images.
    masks
        By sample, (H, W) labels by rater; `base` has all.
    base
        Whose cells are listed.
    types
        Type of each cell by ``sample`` and ``id``, for each rater.

    Returns
    -------
    anndata.AnnData
        What `imc_helpers.downstream.export.as_anndata` returns, with the columns and layers of
        `Disagreement`.

    Raises
    ------
    InputError
        As `mask_disagreement` does.
    """
    types_here = {rater: types_by_image(own, masks) for rater, own in (types or {}).items()}
    tables, found = {}, []
    for sample, raters in masks.items():
        image, here = cohort.read_image(sample), dict(raters)
        source = f"{cohort.name}, {sample}, mask of {base}"
        tables[sample] = measure(image, here[base], cohort.panel.names, source=source)
        counts = {rater: mean_intensities(image, here[rater]) for rater in here if rater != base}
        counts[base] = tables[sample].counts
        own_types = types and {rater: types_here[rater][sample] for rater in here}
        found.append(mask_disagreement(here, counts, base, own_types))
    cells = as_anndata(tables.items(), cohort, base)
    add_disagreement(cells, found)
    return cells


def add_disagreement(cells: Any, found: Sequence[Disagreement]) -> None:
    """Write what other masks say of each cell into an AnnData.

    Parameters
    ----------
    cells
        Of one mask of some images.
    found
        One per image, in the order of the rows.
    """
    for column in found[0].cells:
        cells.obs[column] = np.concatenate([one.cells[column] for one in found])
    for name in found[0].layers:
        cells.layers[name] = np.concatenate([one.layers[name] for one in found])


@dataclass(frozen=True)
class Pooled:
    """A result over several masks, with its interval."""

    value: float
    """Mean over masks."""
    low: float
    """Lower end of the interval; missing with fewer than two images or masks."""
    high: float
    """Upper end."""
    within: float
    """Variance over images, mean over masks."""
    between: float
    """Variance between masks."""
    degrees: float
    """Of Student's t."""

    @property
    def share_between(self) -> float:
        """Share of the variance that is due to the choice of mask: Rubin's λ, with M + 1 masks."""
        return 1 - self.within / (self.within + self.between) if self.between > 0 else 0.0


def pooled_estimate(
    estimates: ArrayLike, variances: ArrayLike, n_images: int, *, confidence: float = 0.95
) -> Pooled:
    """Pool one result per mask by Rubin's rules.

    The total variance is ``W + (1 + 1/M) B``: W the variance over images, B between the M masks.
    The interval is for what **another mask of this kind** would give in other images. It holds the
    truth as often only where the truth is like one more of these masks: what all of them do wrong
    shifts every one of them, and no pooling shows it.

    Parameters
    ----------
    estimates
        (M,) result with each mask.
    variances
        (M,) squared standard error of each, over images.
    n_images
        Images behind each.
    confidence
        Nominal coverage.

    Returns
    -------
    Pooled
        Degrees of freedom are Satterthwaite's, which are Rubin's where images are many. With few
        images those of Barnard and Rubin 1999 are too small: in the simulation of
        ``tests/unit/downstream/test_uncertainty.py`` their intervals held 99% instead of 95%.
    """
    each, errors = np.asarray(estimates, float), np.asarray(variances, float)
    n_masks = len(each)
    value, within = float(each.mean()), float(errors.mean())
    if n_masks < 2 or n_images < 2:
        return Pooled(value, np.nan, np.nan, within, np.nan, np.nan)
    between = float((1 + 1 / n_masks) * each.var(ddof=1))
    total = within + between
    degrees = float(satterthwaite(within, n_images - 1, between, n_masks - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, degrees) * np.sqrt(total))
    return Pooled(value, value - half, value + half, within, between, degrees)


def pooled_mean(values: ArrayLike, *, confidence: float = 0.95) -> Pooled:
    """Pool the mean over images of what each mask says of each image.

    Parameters
    ----------
    values
        (n, M): one row per image, one column per mask; images with a missing value are left out.
    confidence
        As in `pooled_estimate`.
    """
    table = np.asarray(values, float)
    table = table[np.isfinite(table).all(axis=1)]
    n = len(table)
    if n == 0:
        return Pooled(*[np.nan] * 6)
    variances = table.var(axis=0, ddof=1) / n if n > 1 else np.full(table.shape[1], np.nan)
    return pooled_estimate(table.mean(axis=0), variances, n, confidence=confidence)
