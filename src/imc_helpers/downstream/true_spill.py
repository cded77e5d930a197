"""Which of a phantom's counts a cell has from others: by their light, or by its outline."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imc_helpers.phantom.origins import Light, split_counts

PARTS = ("own", "blur", "mask_error")
"""Of the owner; other cells' light inside the owner's true outline; what lies outside of it."""


def spill_shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Divide the counts of each channel by where they come from, over all cells of a mask.

    Parameters
    ----------
    counts
        What `imc_helpers.phantom.origins.split_counts` returns, of one image or of several.

    Returns
    -------
    pandas.DataFrame
        One row per ``channel``: the shares ``own``, ``blur`` (light of other cells inside the true
        outline) and ``mask_error`` (what the mask took from outside it), which sum to 1; missing
        where a channel has no counts.
    """
    parts = counts.groupby("channel", sort=False)[list(PARTS)].sum()
    total = parts.sum(axis=1)
    return parts.div(total.where(total > 0), axis=0).reset_index()


def spill_by_mask(
    masks: Mapping[str, Mapping[str, NDArray[np.integer]]], lights: Mapping[str, Light]
) -> pd.DataFrame:
    """Divide the counts of a phantom's cells by where they come from, mask by mask.

    Parameters
    ----------
    masks
        By rater, (H, W) labels by sample.
    lights
        By sample, what its true cells emit; other samples are not looked at.

    Returns
    -------
    pandas.DataFrame
        What `spill_shares` gives, over all images, for each ``rater``.
    """
    parts = []
    for rater, own in masks.items():
        counts = [split_counts(own[sample], light) for sample, light in lights.items()]
        parts.append(spill_shares(pd.concat(counts)).assign(rater=rater))
    return pd.concat(parts, ignore_index=True)
