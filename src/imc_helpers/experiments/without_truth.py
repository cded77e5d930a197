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

from imc_helpers.agreement.intervals import mean_intervals
from imc_helpers.cells.counts import count_cells
from imc_helpers.cells.expression import mean_intensities
from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import Cohort
from imc_helpers.downstream.cell_quality import QUALITY_METRICS, cell_quality, image_foreground
from imc_helpers.downstream.mask_errors import error_rates
from imc_helpers.downstream.reference_free import CLUSTER_SCORES, LeidenSettings, image_scores
from imc_helpers.errors import InputError
from imc_helpers.experiments.known_quality import merge_cells, shift_cells, shrink_cells
from imc_helpers.images.imperfect_masks import drop_cells
from imc_helpers.metrics import contingency_table, evaluate
from imc_helpers.models.adapters.cellprofiler import find_nuclei

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
            "merged": (merge_cells, (0.1, 0.5)),
            "dropped": (drop_cells, (0.1, 0.5)),
            "shifted": (lambda labels, px: shift_cells(labels, int(px)), (1, 2, 4)),
        }
    )
)
FLAWS = tuple(_FLAWS)
"""Ways in which the truth is spoilt."""
NUCLEUS_UM = 4.0
"""Diameter of the smallest nucleus, µm, by which nuclei are found alike for all masks."""


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


def choose_cohort(cohorts: Sequence[str], models: Sequence[str]) -> str | None:
    """Choose what to score: a cohort with a truth and several annotators, or the next best.

    Parameters
    ----------
    cohorts
        Keys, in the order of preference.
    models
        Whose masks count as well.

    Returns
    -------
    str or None
        The first cohort with a truth and most annotators; without a truth, the first with two masks
        or more of an image; None where there is none.
    """
    opened = {key: open_cohort(key) for key in cohorts}
    with_truth = [
        key for key, one in opened.items() if any(rater.kind == TRUTH for rater in one.raters)
    ]
    if with_truth:
        return max(with_truth, key=lambda key: len(opened[key].annotators))
    several = (
        key
        for key, one in opened.items()
        if len(one.references) + len(find_models(key, models, "whole")) > 1
    )
    return next(several, None)


def masks_of(
    cohort: Cohort, sample: str, models: Sequence[str], crop_px: int = 0
) -> tuple[np.ndarray, list[Tried], np.ndarray, np.ndarray]:
    """Read all masks of the middle of an image, the truth spoilt included where it is known.

    Parameters
    ----------
    cohort, sample
        The image.
    models
        Whose masks to read, of those that ran.
    crop_px
        Edge of the piece in the middle, pixels; 0 for the whole image.

    Returns
    -------
    image : numpy.ndarray
        (C, H, W) counts.
    masks : list of Tried
        Truth, people or tools, models, then the truth spoilt.
    nuclei : numpy.ndarray
        (H, W) nuclei, found in the nuclear channels in the same way for all masks.
    foreground : numpy.ndarray
        (H, W) bool: tissue, told from the whole image.
    """
    whole = cohort.read_image(sample)
    height, width = whole.shape[1:]
    edge = crop_px or max(height, width)
    top, left = max(0, (height - edge) // 2), max(0, (width - edge) // 2)
    piece = slice(top, top + edge), slice(left, left + edge)
    made = [
        Tried(
            rater.name,
            cohort.read_mask(sample, rater.name)[piece],
            TRUTH if rater.kind == TRUTH else "people",
        )
        for rater in sorted(cohort.raters_of(sample), key=lambda rater: rater.kind != TRUTH)
    ]
    for model, run in find_models(cohort.name, models, "whole").items():
        if any(one.sample == sample for one in run.samples):
            labels = read_prediction(cohort.name, model, "whole", sample)
            made.append(Tried(model, labels[piece], "model"))
    if made and made[0].kind == TRUTH:
        made += spoilt(made[0].labels)
    nuclei = nuclei_of(cohort, sample, whole)
    return whole[:, *piece], made, nuclei[piece], image_foreground(whole)[piece]


def nuclei_of(cohort: Cohort, sample: str, image: np.ndarray) -> np.ndarray:
    """Find the nuclei of an image in its nuclear channels, in the same way for all masks.

    Returns
    -------
    numpy.ndarray
        (H, W) nuclei; none where no channel is nuclear.
    """
    nuclear = list(cohort.panel.compartment("nucleus"))
    if not nuclear:
        return np.zeros(image.shape[1:], np.int32)
    return find_nuclei(image[nuclear].mean(axis=0), NUCLEUS_UM / cohort.um_per_px(sample))


def score_masks_alone(
    image: np.ndarray,
    masks: Sequence[Tried],
    nuclei: np.ndarray,
    um_per_px: float,
    *,
    foreground: np.ndarray | None = None,
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
    foreground
        Where the image holds tissue; found in it when not given.
    settings
        Of Leiden.
    per_column
        As in `imc_helpers.downstream.cell_quality.standardised_planes`.
    seed
        Of the draw of cells, and of k-means.

    Returns
    -------
    pandas.DataFrame
        One row per mask and way of counting, all cells or as many as the mask with fewest has:
        ``mask``, ``kind``, ``amount``, ``numbers`` (`AS_FOUND` or `EQUAL`), ``cells``, `SCORES`,
        and ``clusters`` by resolution. With the truth also, of the mask as found, ``ap50``,
        ``map``, ``sap`` and `imc_helpers.downstream.mask_errors.ERROR_RATES`.

    Raises
    ------
    InputError
        If there are fewer than two masks.
    """
    if len(masks) < 2:
        raise InputError(f"masks: expected two or more to compare, found {len(masks)}")
    truth = next((one.labels for one in masks if one.kind == TRUTH), None)
    counts = [count_cells(one.labels) for one in masks]
    tissue = image_foreground(image) if foreground is None else foreground
    fewest = min((cells for cells in counts if cells), default=0)
    rows = []
    for one, cells in zip(masks, counts, strict=True):
        about: dict[str, object] = {"mask": one.name, "kind": one.kind, "amount": one.amount}
        if truth is not None:
            scores = evaluate(table=contingency_table(truth, one.labels))
            about |= {metric: getattr(scores, metric) for metric in ("ap50", "map", "sap")}
            about |= error_rates(truth, one.labels)
        lost = 1 - fewest / max(cells, 1)
        ways = {AS_FOUND: one.labels, EQUAL: drop_cells(one.labels, max(0.0, lost), seed)}
        for numbers, labels in ways.items():
            quality = cell_quality(
                image,
                labels,
                nuclei,
                um_per_px,
                foreground=tissue,
                per_column=per_column,
                seed=seed,
            )
            clustered = image_scores(mean_intensities(image, labels)[1], settings=settings)
            rows.append(
                {**about, "numbers": numbers, "cells": count_cells(labels)} | clustered | quality
            )
    return pd.DataFrame(rows)


def preferred_masks(table: pd.DataFrame) -> dict[str, str]:
    """Name the mask with the best mean in each score of clusters, of those scored in every image.

    A mask whose cells fall into one cluster in some image has no score there. Its mean over the
    other images is of other images than the rest of the masks', so it is not compared.

    Parameters
    ----------
    table
        One row per mask and image, with ``sample``: some rows of what `score_masks_alone` returns.

    Returns
    -------
    dict
        By score in `CLUSTER_SCORES`; without those that fewer than two masks have in every image:
        one alone is preferred to nothing.
    """
    best = {}
    for score, better in CLUSTER_SCORES.items():
        wide = table.pivot(index="sample", columns="mask", values=score).dropna(axis=1)
        if wide.shape[1] > 1:
            best[score] = str(wide.mean().mul(better).idxmax())
    return best


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


def mean_ranks(ranks: pd.DataFrame) -> pd.DataFrame:
    """Average the rank correlations over images, with their intervals.

    Parameters
    ----------
    ranks
        What `rank_correlations` returns.

    Returns
    -------
    pandas.DataFrame
        One row per score and way of counting, the best score (all cells) first: ``score``,
        ``numbers``, ``mean``, ``low``, ``high`` (missing with one image), ``images``. Scores that
        cannot be ranked in more than half of the images are left out: those that are the same for
        all masks, and those of clusters where there is one cluster.
    """
    rows = [
        {
            "score": score,
            "numbers": numbers,
            **mean_intervals(some[["rho"]], some["sample"]).iloc[0],
        }
        for (score, numbers), some in ranks.groupby(["score", "numbers"], sort=False)
        if some["rho"].notna().mean() > 0.5
    ]
    table = pd.DataFrame(rows, columns=["score", "numbers", "mean", "low", "high", "images"])
    table[["low", "high"]] = table[["low", "high"]].clip(-1, 1)
    best = table[table["numbers"] == AS_FOUND].set_index("score")["mean"]
    table["order"] = table["score"].map(best)
    table = table.dropna(subset="order").sort_values(["order", "score"], ascending=[False, True])
    return table.drop(columns="order").reset_index(drop=True)


def changes_by_flaw(table: pd.DataFrame, scores: Sequence[str]) -> pd.DataFrame:
    """Say how scores answer to each flaw, in standard deviations over all masks of the image.

    Parameters
    ----------
    table
        What `score_masks_alone` returns, of images with a truth, with ``sample``.
    scores
        Columns: `SCORES`, or scores against the truth.

    Returns
    -------
    pandas.DataFrame
        One row per flaw and amount, with the truth as amount 0 of each: ``kind``, ``amount``, and
        each score less the truth's, mean over images; more is better.
    """
    found = table[table["numbers"] == AS_FOUND]
    parts = []
    for _, masks in found.groupby("sample", sort=False):
        values = masks[list(scores)] * [SCORES.get(score, 1) for score in scores]
        own = values[(masks["kind"] == TRUTH).to_numpy()].iloc[0]
        parts.append(((values - own) / values.std()).assign(**masks[["kind", "amount"]]))
    every = pd.concat(parts)
    flawed = every[every["kind"].isin(FLAWS)].groupby(["kind", "amount"], sort=False).mean()
    start = pd.DataFrame({"kind": FLAWS, "amount": 0.0, **dict.fromkeys(scores, 0.0)})
    return pd.concat([start, flawed.reset_index()], ignore_index=True)


def _spearman(one: np.ndarray, two: np.ndarray) -> float:
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return np.nan
    return float(stats.spearmanr(one, two).statistic)
