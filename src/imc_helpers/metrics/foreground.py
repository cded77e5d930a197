"""Scores of masks as pixels, cell or not: blind to which cell a pixel belongs to."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

COUNTS = ("tp", "fp", "fn", "tn")
"""Pixels that are cell in both masks, in the second alone, in the first alone, in neither."""


def count_pixels(true: ArrayLike, pred: ArrayLike) -> dict[str, int]:
    """Count the pixels of two masks of one shape by `COUNTS`; anything not 0 is cell."""
    first, second = np.asarray(true) > 0, np.asarray(pred) > 0
    if first.shape != second.shape:
        raise ValueError(f"true has shape {first.shape}, pred {second.shape}; expected the same")
    both = int((first & second).sum())
    fp, fn = int(second.sum()) - both, int(first.sum()) - both
    return {"tp": both, "fp": fp, "fn": fn, "tn": first.size - both - fp - fn}


def pixel_scores(counts: Mapping[str, float]) -> dict[str, float]:
    """Return Dice, Jaccard index, precision, recall and specificity of counts of pixels.

    Parameters
    ----------
    counts
        By `COUNTS`; sums over images give pooled scores.

    Returns
    -------
    dict
        ``dice``, ``jaccard``, ``precision``, ``recall``, ``specificity``; NaN where nothing could
        have been right.
    """
    tp, fp, fn, tn = (float(counts[name]) for name in COUNTS)
    ratios = {
        "dice": (2 * tp, 2 * tp + fp + fn),
        "jaccard": (tp, tp + fp + fn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "specificity": (tn, tn + fp),
    }
    return {name: part / whole if whole else np.nan for name, (part, whole) in ratios.items()}


def soft_dice_score(true: ArrayLike, probability: ArrayLike) -> float:
    """Return the Dice coefficient of a mask and a map of probabilities, without a threshold."""
    mask, p = np.asarray(true) > 0, np.asarray(probability, float)
    whole = mask.sum() + p.sum()
    return float(2 * p[mask].sum() / whole) if whole else np.nan
