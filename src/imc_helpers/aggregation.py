"""From many channels to the two that segmentation models take.

The study aggregates by the arithmetic mean per pixel, without scaling (Schuiki et al. 2025, section
3.1.4 and Table 2).
"""

from collections.abc import Sequence

import numpy as np


def aggregate(image: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    """Average some channels of an image, pixel by pixel.

    Parameters
    ----------
    image
        (C, H, W) array.
    channels
        Positions of the channels that enter.

    Returns
    -------
    numpy.ndarray
        (H, W) float32, in the image's units.

    Raises
    ------
    ValueError
        If no channel is named, or one that the image lacks.
    """
    if image.ndim != 3:
        raise ValueError(f"image: expected shape (C, H, W), found {image.shape}")
    if not len(channels):
        raise ValueError("channels: expected at least one position, found none")
    if outside := [c for c in channels if not 0 <= c < image.shape[0]]:
        raise ValueError(
            f"channels: no position {outside[0]} in an image of {image.shape[0]} channels"
        )
    return np.mean(image[list(channels)], axis=0, dtype=np.float32)


def nucleus_and_membrane(
    image: np.ndarray, nucleus: Sequence[int], membrane: Sequence[int]
) -> np.ndarray:
    """Return the two-channel image of the study: nucleus first, then membrane.

    Parameters
    ----------
    image
        (C, H, W) array.
    nucleus, membrane
        Positions of the channels of each, as `imc_helpers.samples.Panel.compartment` returns them.

    Returns
    -------
    numpy.ndarray
        (2, H, W) float32.
    """
    return np.stack([aggregate(image, nucleus), aggregate(image, membrane)])
