"""When scores that need no reference rank masks as the truth does.

On a phantom every mask can be scored both ways: against the truth, and by what its cells look like
(`imc_helpers.downstream.reference_free`, `imc_helpers.downstream.cell_quality`). The masks are the
truth, the annotators', the models', and the truth spoilt in known ways by known amounts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy import stats
from skimage.segmentation import expand_labels

from imc_helpers.agreement.weakened import drop_cells
from imc_helpers.cells.counts import count_cells
from imc_helpers.cells.expression import mean_intensities
from imc_helpers.data.raters import TRUTH
from imc_helpers.downstream.cell_quality import QUALITY_METRICS, cell_quality, image_foreground
from imc_helpers.downstream.mask_errors import error_rates
from imc_helpers.downstream.reference_free import CLUSTER_SCORES, LeidenSettings, image_scores
from imc_helpers.errors import InputError
from imc_helpers.experiments.known_quality import merge_cells, shift_cells, shrink_cells
from imc_helpers.metrics import contingency_table, evaluate

SCORES: Mapping[str, int] = MappingProxyType(
    {**CLUSTER_SCORES, **dict.fromkeys(QUALITY_METRICS, 1)}
)
"""All scores that need no reference, and whether more (1) or less (-1) is better."""
AS_FOUND, EQUAL = "as found", "equal numbers"
"""Scored with all cells of a mask; with as many cells of each mask, drawn at random."""
_FLAWS: Mapping[str, tuple[Callable[[np.ndarray, float], np.ndarray], tuple[float, ...]]] = (
    MappingProxyType(
        {
            "eroded": (lambda labels, px: shrink_cells(labels, int(px)), (1, 2)),
            "dilated": (expand_labels, (1, 2)),
            "merged": (merge_cells, (0.1, 0.25, 0.5)),
            "dropped": (drop_cells, (0.1, 0.25, 0.5)),
            "shifted": (lambda labels, px: shift_cells(labels, int(px)), (1, 2, 4)),
        }
    )
)
FLAWS = tuple(_FLAWS)
"""Ways in which the truth is spoilt."""


@dataclass(frozen=True)
class Tried:
    """A mask to score."""

    name: str
    """A rater's key, or words."""
    labels: np.ndarray
    """(H, W), 0 is background."""
    kind: str
    """``"truth"``, ``"people"``, ``"model"``, or one of `FLAWS`."""
    amount: float = 0.0
    """How much of the flaw: pixels, or the share of cells."""


def spoilt(true: np.ndarray) -> list[Tried]:
    """Spoil a truth in every way of `FLAWS`, each by several amounts.

    Parameters
    ----------
    true
        (H, W) uint32.
    """
    made = []
    for flaw, (change, amounts) in _FLAWS.items():
        for amount in amounts:
            words = f"{amount:.0%}" if amount < 1 else f"{amount:g} px"
            made.append(Tried(f"truth, {words} {flaw}", change(true, amount), flaw, amount))
    return made


def score_masks_alone(
    image: np.ndarray,
    masks: Sequence[Tried],
    nuclei: np.ndarray,
    um_per_px: float,
    *,
    equal: bool = True,
    settings: LeidenSettings = LeidenSettings(),  # noqa: B008  (frozen)
    per_column: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Score the masks of one image by what their cells look like; against the truth where known.

    Parameters
    ----------
    image
        (C, H, W) counts.
    masks
        What to score, two or more; with the truth among them if it is known.
    nuclei
        (H, W) nuclei, the same for all masks.
    um_per_px
        Edge of a pixel, µm.
    equal
        Score with equal numbers of cells as well: as many as the mask with fewest has.
    settings
        Of Leiden.
    per_column
        As in `imc_helpers.downstream.cell_quality.standardised_planes`.
    seed
        Of the draw of cells, and of k-means.

    Returns
    -------
    pandas.DataFrame
        One row per mask and way of counting: ``mask``, ``kind``, ``amount``, ``numbers``
        (`AS_FOUND` or `EQUAL`), ``cells``, `SCORES`, and ``clusters`` by resolution. With the
        truth also, of the mask as found, ``ap50``, ``map``, ``sap`` and
        `imc_helpers.downstream.mask_errors.ERROR_RATES`.

    Raises
    ------
    InputError
        If there are fewer than two masks.
    """
    if len(masks) < 2:
        raise InputError(f"masks: expected two or more to compare, found {len(masks)}")
    truth = next((one.labels for one in masks if one.kind == TRUTH), None)
    counts = [count_cells(one.labels) for one in masks]
    foreground = image_foreground(image)
    rows = []
    for one, cells in zip(masks, counts, strict=True):
        about: dict[str, object] = {"mask": one.name, "kind": one.kind, "amount": one.amount}
        if truth is not None:
            scores = evaluate(table=contingency_table(truth, one.labels))
            about |= {metric: getattr(scores, metric) for metric in ("ap50", "map", "sap")}
            about |= error_rates(truth, one.labels)
        ways = {AS_FOUND: one.labels}
        if equal:
            share = 1 - min(counts) / max(cells, 1)
            ways[EQUAL] = drop_cells(one.labels, share, seed)
        for numbers, labels in ways.items():
            quality = cell_quality(
                image,
                labels,
                nuclei,
                um_per_px,
                foreground=foreground,
                per_column=per_column,
                seed=seed,
            )
            clustered = image_scores(mean_intensities(image, labels)[1], settings=settings)
            rows.append(
                {**about, "numbers": numbers, "cells": count_cells(labels)} | clustered | quality
            )
    return pd.DataFrame(rows)


def rank_correlations(table: pd.DataFrame, by: str = "map") -> pd.DataFrame:
    """Correlate ranks of masks by each score with their ranks by the truth, image by image.

    Parameters
    ----------
    table
        What `score_masks_alone` returns, of images with a truth, with ``sample``.
    by
        Score against the truth.

    Returns
    -------
    pandas.DataFrame
        One row per sample, way of counting and score: ``score``, ``rho`` (Spearman; positive where
        the score is right; missing where one of the two is the same for all), ``above`` (how many
        of the other masks it puts above the truth) and ``others`` (how many it scored).
    """
    rows = []
    for (sample, numbers), masks in table.groupby(["sample", "numbers"], sort=False):
        true = (masks["kind"] == TRUTH).to_numpy()
        for score, better in SCORES.items():
            values = better * masks[score].to_numpy(float)
            known = np.isfinite(values)
            own = values[true & known]
            rows.append(
                {
                    "sample": sample,
                    "numbers": numbers,
                    "score": score,
                    "rho": _spearman(values[known], masks[by].to_numpy(float)[known]),
                    "above": int((values[known & ~true] > own[0]).sum()) if len(own) else np.nan,
                    "others": int((known & ~true).sum()),
                }
            )
    return pd.DataFrame(rows)


def _spearman(one: np.ndarray, two: np.ndarray) -> float:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return np.nan
    return float(stats.spearmanr(one, two).statistic)
