"""Do masks agree about what a cell expresses? In matched cells, and wherever one looks.

Cells that all masks match are those about which they agree anyway. A point drawn at random does not
depend on any matching: it asks each mask for the cell that covers it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imc_helpers.cells.expression import mean_intensities
from imc_helpers.data.samples import Cohort
from imc_helpers.downstream.measure import check_image
from imc_helpers.downstream.variance import icc
from imc_helpers.errors import InputError
from imc_helpers.metrics import contingency_table, matched_pairs

MATCH_IOU = 0.5
"""Cells of this IoU or more with one another, one to one, are matched."""
COFACTOR = 1.0
"""Counts that the inverse hyperbolic sine is scaled by."""
POINTS = 5000
"""Points per image."""


@dataclass(frozen=True)
class Measured:
    """Cells of several masks of an image, with what each expresses."""

    ids: Sequence[NDArray[np.integer]]
    """Of each mask, (N,) ascending."""
    values: Sequence[NDArray[np.float64]]
    """Of each mask, (N, C): inverse hyperbolic sine of mean counts."""

    def at(self, cells: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the values of some cells.

        Parameters
        ----------
        cells
            (N, k) id in each mask; 0 where it has none.

        Returns
        -------
        numpy.ndarray
            (N, k, C); missing where there is no cell.
        """
        channels = self.values[0].shape[1]
        found = np.full((*cells.shape, channels), np.nan)
        for k, (ids, values) in enumerate(zip(self.ids, self.values, strict=True)):
            there = cells[:, k] > 0
            found[there, k] = values[np.searchsorted(ids, cells[there, k])]
        return found


def measure_masks(
    image: NDArray[np.floating],
    masks: Sequence[NDArray[np.integer]],
    channels: Sequence[str],
    *,
    source: str,
) -> Measured:
    """Measure the cells of several masks of one image.

    Parameters
    ----------
    image
        (C, H, W) counts.
    masks
        (H, W) label images.
    channels
        (C,) their names.
    source
        The image, for messages.

    Raises
    ------
    InputError
        If a mask has another shape, two channels have one name, or counts are negative or missing.
    """
    check_image(image, channels, source)
    for k, mask in enumerate(masks):
        if mask.shape != image.shape[1:]:
            raise InputError(
                f"{source}: mask {k + 1} has shape {mask.shape}, the image {image.shape[1:]}. "
                "They must show the same field of view: crop or export one of them again"
            )
    found = [mean_intensities(image, mask) for mask in masks]
    return Measured(
        [ids for ids, _ in found],
        [np.arcsinh(means.astype(float) / COFACTOR) for _, means in found],
    )


def matched_cells(
    masks: Sequence[NDArray[np.integer]], *, iou: float = MATCH_IOU
) -> NDArray[np.integer]:
    """List the cells that every mask has, matched with every other.

    Parameters
    ----------
    masks
        (H, W) label images, two or more.
    iou
        That two cells must reach.

    Returns
    -------
    numpy.ndarray
        (N, k) id in each mask.

    Raises
    ------
    InputError
        If there are fewer than two masks.
    """
    if len(masks) < 2:
        raise InputError(f"masks: two or more are needed to match cells, found {len(masks)}")
    pairs = {
        (a, b): matched_pairs(contingency_table(masks[a], masks[b]), iou)
        for a in range(len(masks))
        for b in range(a + 1, len(masks))
    }
    first = pairs[0, 1]
    cells = np.stack([first.true_ids, first.pred_ids], axis=1).astype(np.int64)
    for b in range(2, len(masks)):
        next_ids = _partners(cells[:, 0], pairs[0, b].true_ids, pairs[0, b].pred_ids)
        agreed = next_ids > 0
        for a in range(1, b):
            theirs = _partners(cells[:, a], pairs[a, b].true_ids, pairs[a, b].pred_ids)
            agreed &= theirs == next_ids
        cells = np.column_stack([cells, next_ids])[agreed]
    return cells


def _partners(
    cells: NDArray[np.integer], true_ids: NDArray[np.integer], pred_ids: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Return the matched cell of each, 0 for none; true ids ascend."""
    partners = np.zeros(len(cells), np.int64)
    there = np.isin(cells, true_ids)
    partners[there] = np.asarray(pred_ids, np.int64)[np.searchsorted(true_ids, cells[there])]
    return partners


def cells_at_points(
    masks: Sequence[NDArray[np.integer]], *, points: int = POINTS, seed: int = 0
) -> NDArray[np.int64]:
    """Ask each mask for the cell at points drawn at random.

    Parameters
    ----------
    masks
        (H, W) label images of one shape.
    points
        How many, drawn with replacement.
    seed
        Of the points.

    Returns
    -------
    numpy.ndarray
        (points, k) id in each mask, 0 where it has no cell.
    """
    at = np.random.default_rng(seed).integers(masks[0].size, size=points)
    return np.stack([mask.ravel()[at] for mask in masks], axis=1).astype(np.int64)


def coverage(cells: NDArray[np.integer]) -> Mapping[str, float]:
    """Say how many points lie in a cell of all masks, of some only, and of none: shares.

    Parameters
    ----------
    cells
        (N, k) what `cells_at_points` returns.
    """
    covered = (cells > 0).sum(axis=1)
    everywhere, nowhere = (covered == cells.shape[1]), covered == 0
    return {
        "in all": float(everywhere.mean()),
        "in some": float((~everywhere & ~nowhere).mean()),
        "in none": float(nowhere.mean()),
    }


@dataclass(frozen=True, eq=False)
class Profiles:
    """What several masks say of the same cells, and of the same points, over some images."""

    channels: tuple[str, ...]
    matched: NDArray[np.float64]
    """(N, k, C): cells that all masks have."""
    matched_images: NDArray[np.str_]
    """(N,) their images."""
    points: NDArray[np.float64]
    """(P, k, C): points drawn at random; missing where a mask has no cell."""
    point_images: NDArray[np.str_]
    """(P,) their images."""
    coverage: Mapping[str, float]
    """Of the points, by `coverage`."""


def collect_profiles(
    cohort: Cohort,
    masks: Sequence[Mapping[str, NDArray[np.integer]]],
    samples: Sequence[str],
    *,
    points: int = POINTS,
    seed: int = 0,
) -> Profiles:
    """Measure matched cells and random points of some images.

    Parameters
    ----------
    cohort
        The images.
    masks
        By rater, labels by sample; two raters or more, with a mask of every sample.
    samples
        The images to look at.
    points
        Points per image.
    seed
        Of the points; each image has its own.
    """
    values, at, covered = [], [], []
    for number, sample in enumerate(samples):
        own = [of_rater[sample] for of_rater in masks]
        measured = measure_masks(
            cohort.read_image(sample), own, cohort.panel.names, source=f"{cohort.name} {sample}"
        )
        values.append(measured.at(matched_cells(own)))
        covered.append(cells_at_points(own, points=points, seed=seed + number))
        at.append(measured.at(covered[-1]))
    names = np.array(samples)
    return Profiles(
        channels=cohort.panel.names,
        matched=np.concatenate(values),
        matched_images=np.repeat(names, [len(own) for own in values]),
        points=np.concatenate(at),
        point_images=np.repeat(names, points),
        coverage=coverage(np.concatenate(covered)),
    )


def profile_agreement(profiles: Profiles) -> pd.DataFrame:
    """Say how well masks agree about each channel, images pooled: ICC(2,1).

    Returns
    -------
    pandas.DataFrame
        One row per ``channel``: ``matched cells``; ``points in all``, points that lie in a cell of
        every mask; ``points in any``, with 0 for what a mask without a cell there says.
    """
    covered = ~np.isnan(profiles.points[:, :, 0])
    anywhere = np.nan_to_num(profiles.points[covered.any(axis=1)])
    return pd.DataFrame(
        {
            "channel": profiles.channels,
            "matched cells": [icc(of) for of in np.moveaxis(profiles.matched, 2, 0)],
            "points in all": [icc(of) for of in np.moveaxis(profiles.points, 2, 0)],
            "points in any": [icc(of) for of in np.moveaxis(anywhere, 2, 0)],
        }
    )
