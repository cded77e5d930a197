"""Scores of pairs of raters in crops that do not overlap: the units of which few are labelled."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.samples import Cohort
from imc_helpers.decisions.powered import draw_crops
from imc_helpers.metrics import evaluate_many
from imc_helpers.patching import windows

CROP_PX = 64
"""Edge of a crop, pixels: some 30 to 60 cells of lymphoid tissue at 1 µm per pixel."""
COLUMNS = (
    "sample",
    "crop",
    "rater_true",
    "rater_pred",
    "n_true",
    "n_pred",
    "n_matched",
    "ap50",
    "errors",
)
"""Columns of `crop_scores`."""


def crop_scores(
    cohort: Cohort,
    pairs: Sequence[tuple[str, str]],
    *,
    samples: Iterable[str] | None = None,
    crop_px: int = CROP_PX,
) -> pd.DataFrame:
    """Score pairs of raters in every crop of the images that both outlined.

    Parameters
    ----------
    cohort
        Samples with masks.
    pairs
        Names of raters of the cohort, or keys of models that ran on whole images.
    samples
        Some of the cohort's samples; all of them when not given.
    crop_px
        Edge of a crop, pixels. Crops lie side by side from the top left; what is left over at the
        right and the bottom is in none.

    Returns
    -------
    pandas.DataFrame
        What `mask_crops` returns, image after image, with ``sample``.
    """
    names = {name for pair in pairs for name in pair}
    runs = find_models(cohort.name, [n for n in names if not _is_rater(cohort, n)], "whole")
    parts = []
    for sample in cohort.ids if samples is None else samples:
        masks = {
            name: cohort.read_mask(sample, name)
            for name in names
            if sample in (cohort.labelled_by(name) if _is_rater(cohort, name) else ())
        }
        for model, run in runs.items():
            if any(one.sample == sample for one in run.samples):
                masks[model] = read_prediction(cohort.name, model, "whole", sample)
        here = [(one, two) for one, two in pairs if one in masks and two in masks]
        if here:
            parts.append(mask_crops(masks, here, crop_px=crop_px).assign(sample=sample))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return frame.reindex(columns=list(COLUMNS))


def _is_rater(cohort: Cohort, name: str) -> bool:
    return any(rater.name == name for rater in cohort.raters)


def mask_crops(
    masks: Mapping[str, np.ndarray], pairs: Sequence[tuple[str, str]], *, crop_px: int = CROP_PX
) -> pd.DataFrame:
    """Score pairs of masks of one image in every crop.

    Parameters
    ----------
    masks
        (H, W) labels by rater.
    pairs
        Whom to score against whom, one pair or more.
    crop_px
        Edge of a crop, pixels.

    Returns
    -------
    pandas.DataFrame
        One row per pair and crop: ``crop`` (row by row from 0), ``rater_true``, ``rater_pred``,
        ``n_true``, ``n_pred`` and ``n_matched`` (IoU of .5 or more; a cell that a crop cuts counts
        with the piece inside), ``ap50``, and ``errors``, the cells of either without a match.
    """

    def tiles(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
        height, width = shape
        return [w.slices for w in windows((height, width), size=crop_px, stride=crop_px)]

    table = evaluate_many(((masks[one], masks[two]) for one, two in pairs), windows=tiles, sap=None)
    table["rater_true"] = [pairs[k][0] for k in table["pair"]]
    table["rater_pred"] = [pairs[k][1] for k in table["pair"]]
    table["errors"] = table["n_true"] + table["n_pred"] - 2 * table["n_matched"]
    return table.rename(columns={"window": "crop"})[list(COLUMNS[1:])]


def by_crop(rows: pd.DataFrame, value: str) -> pd.Series:
    """Average a value over pairs: one number per crop.

    Parameters
    ----------
    rows
        Rows of `crop_scores`.
    value
        A column of it.

    Returns
    -------
    pandas.Series
        By ``sample`` and ``crop``.
    """
    return rows.groupby(["sample", "crop"])[value].mean()


def crops_to_label(
    cohort: Cohort,
    raters: Sequence[str],
    n: int,
    *,
    samples: Iterable[str] | None = None,
    crop_px: int = CROP_PX,
    seed: int = 0,
) -> pd.DataFrame:
    """Draw the crops to label next: rather where raters disagree, and none out of reach.

    Parameters
    ----------
    cohort
        Samples with masks.
    raters
        Whose disagreement says where to look: raters of the cohort, or models, two or more.
    n
        How many crops to draw, with replacement.
    samples, crop_px
        As in `crop_scores`.
    seed
        The same seed draws the same crops.

    Returns
    -------
    pandas.DataFrame
        One row per crop that was drawn, where most is expected to be wrong first: ``sample``,
        ``y_px`` and ``x_px`` of its top left corner, ``errors`` (cells without a match, mean over
        pairs of raters), ``times`` (how often it was drawn) and ``weight``, for
        `imc_helpers.decisions.powered.weighted_mean`. Empty where no image has masks of two.
    """
    scores = crop_scores(cohort, [*combinations(raters, 2)], samples=samples, crop_px=crop_px)
    expected = by_crop(scores, "errors")
    if not len(expected):
        return pd.DataFrame(columns=["sample", "y_px", "x_px", "errors", "times", "weight"])
    drawn = draw_crops(expected, n, seed)
    found = drawn.groupby("crop").agg(times=("crop", "size"), weight=("weight", "first"))
    rows = expected.reset_index().iloc[found.index]
    in_a_row = np.array([cohort.shape(sample)[1] // crop_px for sample in rows["sample"]])
    number = rows["crop"].to_numpy(int)
    table = pd.DataFrame(
        {
            "sample": rows["sample"].to_numpy(),
            "y_px": number // in_a_row * crop_px,
            "x_px": number % in_a_row * crop_px,
            "errors": rows["errors"].to_numpy(float),
            "times": found["times"].to_numpy(),
            "weight": found["weight"].to_numpy(),
        }
    )
    return table.sort_values("errors", ascending=False, ignore_index=True)
