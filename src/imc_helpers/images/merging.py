"""Channels of one compartment made one plane, as Dice-XMBD does: in its paper and in its program.

Both remove hot pixels, clip at a percentile and stretch to 0 to 255. The paper treats each channel
so, and averages them (Xiao et al. 2021, section 2.4.1); the program adds the channels, and treats
their sum so (github.com/xmuyulab/Dice-XMBD, commit cf1ec83).
"""

from typing import Literal

import numpy as np
from scipy import ndimage as ndi

from imc_helpers.images.clean import HOT_COUNTS, as_planes, clip, remove_hot_pixels

Variant = Literal["paper", "program"]
CLIP_PERCENTILE = 99.7
"""Of a plane; what is brighter becomes it."""
TOP = 255.0
"""What the brightest pixel becomes."""
_AROUND = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)


def merge_channels(channels: np.ndarray, variant: Variant = "paper") -> np.ndarray:
    """Merge the channels of one compartment.

    Parameters
    ----------
    channels
        (C, H, W) counts, at least one channel.
    variant
        ``"paper"``: every channel is cleaned (5 x 5 px, 50 counts), clipped and stretched, then
        they are averaged. ``"program"``: they are added; a pixel of the sum that exceeds the
        brightest of its eight neighbours by more than 50 takes that one's value; the sum is clipped
        and stretched, and kept in 8 bits.

    Returns
    -------
    numpy.ndarray
        (H, W) float32, 0 to 255. A channel that is the same everywhere adds nothing.
    """
    if variant == "paper":
        clipped = clip(remove_hot_pixels(channels), CLIP_PERCENTILE)
        return _stretched(clipped).mean(axis=0, dtype=np.float32)
    total = as_planes(channels).sum(axis=0, dtype=np.float64)
    brightest = ndi.maximum_filter(total, footprint=_AROUND, mode="reflect")
    calm = np.where(total - brightest > HOT_COUNTS, brightest, total)
    merged: np.ndarray = np.floor(_stretched(clip(calm[None], CLIP_PERCENTILE)))[0]
    return merged


def _stretched(planes: np.ndarray) -> np.ndarray:
    low = planes.min(axis=(1, 2), keepdims=True)
    span = planes.max(axis=(1, 2), keepdims=True) - low
    return ((planes - low) / np.where(span > 0, span, 1) * TOP).astype(np.float32)
