"""Outline cells at the pixel size that a method was made for, and bring them back."""

from collections.abc import Callable

import numpy as np
from skimage.transform import resize

_LEAST_SIDE_PX = 2
"""A gradient needs two pixels."""


def outline_rescaled(
    image: np.ndarray, zoom: float, outline: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Outline the cells of an image that is first enlarged or made smaller.

    Parameters
    ----------
    image
        (C, H, W) array.
    zoom
        Edge of the image's pixels over that of the pixels that ``outline`` expects.
    outline
        From an image (C, h, w) to labels (h, w).

    Returns
    -------
    numpy.ndarray
        (H, W) uint32.
    """
    shape = image.shape[1:]
    scaled = tuple(max(_LEAST_SIDE_PX, round(side * zoom)) for side in shape)
    if scaled == shape:
        return outline(image).astype(np.uint32, copy=False)
    large = resize(image, (len(image), *scaled), order=1, anti_aliasing=zoom < 1)
    cells = resize(outline(large), shape, order=0, preserve_range=True, anti_aliasing=False)
    return cells.astype(np.uint32)
