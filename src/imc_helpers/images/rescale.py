"""Scaling of intensities, for models that leave it to whoever calls them."""

import numpy as np


def to_unit(image: np.ndarray, low: float = 1, high: float = 99) -> np.ndarray:
    """Scale each plane between two of its percentiles to 0 … 1, and clip what lies beyond.

    Parameters
    ----------
    image
        (C, H, W) array.
    low, high
        Percentiles of a plane that become 0 and 1. Where they coincide (a signal in less than one
        pixel of a hundred, for instance) the plane's least and largest value take their place.

    Returns
    -------
    numpy.ndarray
        (C, H, W) float32. A plane of one value becomes zeros.
    """
    return np.stack([_plane(plane, low, high) for plane in image])


def _plane(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    bottom, top = np.percentile(plane, (low, high))
    if bottom == top:
        bottom, top = plane.min(), plane.max()
    if bottom == top:
        return np.zeros(plane.shape, np.float32)
    scaled: np.ndarray = np.clip((plane - bottom) / (top - bottom), 0, 1)
    return scaled.astype(np.float32)
