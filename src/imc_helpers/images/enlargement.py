"""Enlarge an image for a model that likes larger cells, and bring its labels back.

Whole factors only: then a pixel becomes a block of pixels, and the way back is exact.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

INTERPOLATIONS: Mapping[str, Image.Resampling] = MappingProxyType(
    {
        "nearest": Image.Resampling.NEAREST,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
        "lanczos": Image.Resampling.LANCZOS,
    }
)
"""Ways to fill in the new pixels, as Pillow has them; Lanczos has three lobes."""


def enlarge(image: np.ndarray, factor: int, interpolation: str) -> np.ndarray:
    """Enlarge every plane of an image by a whole factor.

    Parameters
    ----------
    image
        (C, H, W) array.
    factor
        1 or more; 1 returns the values as they are.
    interpolation
        A key of `INTERPOLATIONS`. Bicubic and Lanczos overshoot at edges; what falls outside the
        plane's own range is clipped to it, since there are no counts below 0.

    Returns
    -------
    numpy.ndarray
        (C, factor H, factor W) float32.

    Raises
    ------
    ValueError
        If the factor is below 1 or the interpolation is unknown.
    """
    _check(factor)
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"interpolation {interpolation!r}: expected one of {', '.join(INTERPOLATIONS)}"
        )
    if image.ndim != 3:
        raise ValueError(f"image: expected shape (C, H, W), found {image.shape}")
    channels, height, width = image.shape
    large = np.empty((channels, factor * height, factor * width), np.float32)
    for new, plane in zip(large, image.astype(np.float32), strict=True):
        resized = Image.fromarray(plane).resize(
            (factor * width, factor * height), INTERPOLATIONS[interpolation]
        )
        new[:] = np.clip(np.asarray(resized), plane.min(), plane.max())
    return large


def shrink_labels(labels: np.ndarray, factor: int) -> np.ndarray:
    """Bring the labels of an enlarged image back: a pixel gets the label that most of it has.

    Of labels that share a pixel evenly, the first in reading order is taken. Labels that were
    enlarged by repeating pixels come back as they were. A cell that nowhere has the most of a pixel
    is gone.

    Parameters
    ----------
    labels
        (factor H, factor W) integers.
    factor
        1 or more.

    Returns
    -------
    numpy.ndarray
        (H, W), of the same type.

    Raises
    ------
    ValueError
        If the factor is below 1 or does not divide the sides.
    """
    _check(factor)
    height, width = labels.shape
    if height % factor or width % factor:
        raise ValueError(f"labels: sides {height} and {width} are no multiples of {factor}")
    blocks = labels.reshape(height // factor, factor, width // factor, factor)
    parts = blocks.transpose(0, 2, 1, 3).reshape(height // factor, width // factor, factor**2)
    votes = np.stack(
        [(parts == parts[..., k : k + 1]).sum(axis=-1) for k in range(factor**2)], axis=-1
    )
    return np.take_along_axis(parts, votes.argmax(axis=-1)[..., None], axis=-1)[..., 0]


def _check(factor: int) -> None:
    if factor < 1:
        raise ValueError(f"factor: expected 1 or more, found {factor}")
