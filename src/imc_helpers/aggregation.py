"""From many channels to the few that segmentation models take.

The study aggregates by the arithmetic mean per pixel, without scaling (Schuiki et al. 2025, section
3.1.4 and Table 2), and names other ways as an open question (section 4.4). `METHODS` has seven
that give one plane, among them those of Goldsborough 2025 (thesis, section 4.3.5), which also has
the projection to three planes, `rgb_projection`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import DTypeLike

COFACTOR = 1.0
"""Counts that the inverse hyperbolic sine is scaled by: below, it is linear; above, logarithmic."""
LOW, HIGH = 1.0, 99.0
"""Percentiles of a plane that become 0 and 1 where planes are scaled (the study's for VISTA-2D)."""

_COLOURS = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=np.float32
)
"""Red, green, blue, then cyan, magenta, yellow."""


def aggregate(image: np.ndarray, channels: Sequence[int], method: str = "mean") -> np.ndarray:
    r"""Make one plane of some channels of an image, pixel by pixel.

    Parameters
    ----------
    image
        (C, H, W) array.
    channels
        Positions of the channels that enter.
    method
        What is made of the values :math:`x_1 … x_n` of a pixel:

        - ``"mean"``: their arithmetic mean, without scaling (Schuiki et al. 2025, section 3.1.4);
        - ``"sum"``: their sum (Goldsborough 2025, section 4.3.5);
        - ``"max"``: the largest;
        - ``"median"``: the middle one, or the mean of the two in the middle;
        - ``"scaled_mean"``: the mean after `scale_percentiles` of every channel;
        - ``"arcsinh_mean"``: the mean of :math:`\operatorname{arcsinh}(x_i / c)`, c = `COFACTOR`;
        - ``"first_component"``: the projection on the first principal component of the pixels,
          :math:`\sum_i w_i x_i` with :math:`\sum_i w_i^2 = 1` and :math:`\sum_i w_i ≥ 0`. The
          component is computed from centred values and applied to the values as they are, so a
          pixel without counts gives 0.

    Returns
    -------
    numpy.ndarray
        (H, W) float32; in the image's units for mean, sum, max, median and first component,
        without a unit for the others.

    Raises
    ------
    ValueError
        If no channel is named, or one that the image lacks, or the method is unknown.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r}: expected one of {', '.join(METHODS)}")
    return METHODS[method](_planes(image, channels))


def nucleus_and_membrane(
    image: np.ndarray, nucleus: Sequence[int], membrane: Sequence[int]
) -> np.ndarray:
    """Return the two-channel image of the study: nucleus first, then membrane.

    Parameters
    ----------
    image
        (C, H, W) array.
    nucleus, membrane
        Positions of the channels of each, as a panel of the cohort names them.

    Returns
    -------
    numpy.ndarray
        (2, H, W) float32.
    """
    return np.stack([aggregate(image, nucleus), aggregate(image, membrane)])


def rgb_projection(
    image: np.ndarray, nucleus: Sequence[int], others: Sequence[int], seed: int
) -> np.ndarray:
    """Colour the channels and add them up as light: three planes, with the nuclei in red.

    Every plane is scaled by `scale_percentiles`. The mean of the nuclear ones is red. Each other
    channel gets one of the three primary and three secondary colours at random, and the mean over
    those channels of colour times value is added (Goldsborough 2025, section 4.3.5; the scaling is
    ours, as viewers do it).

    Parameters
    ----------
    image
        (C, H, W) array.
    nucleus, others
        Positions of the nuclear channels, and of the others.
    seed
        Draws the colours; they do not depend on the image.

    Returns
    -------
    numpy.ndarray
        (3, H, W) float32: red, green, blue, each 0 to 2, not clipped.

    Raises
    ------
    ValueError
        As for `aggregate`.
    """
    light = np.zeros((3, *image.shape[1:]), np.float32)
    light[0] = aggregate(image, nucleus, "scaled_mean")
    planes = scale_percentiles(_planes(image, others))
    colours = _COLOURS[np.random.default_rng(seed).integers(len(_COLOURS), size=len(planes))]
    return light + np.einsum("nk,nhw->khw", colours, planes) / np.float32(len(planes))


def scale_percentiles(
    planes: np.ndarray, low: float = LOW, high: float = HIGH, *, dtype: DTypeLike = np.float32
) -> np.ndarray:
    """Scale every plane linearly so that two of its percentiles become 0 and 1, and clip there.

    Where the two are equal (a plane that is nearly empty), its smallest and largest value take
    their place; a constant plane becomes 0.

    Parameters
    ----------
    planes
        (N, H, W) array.
    low, high
        Percentiles of the plane's values, 0 to 100.
    dtype
        Type of the result.

    Returns
    -------
    numpy.ndarray
        (N, H, W) in 0 to 1.
    """
    flat = planes.reshape(len(planes), -1)
    dark, bright = np.percentile(flat, [low, high], axis=1)
    equal = bright <= dark
    dark = np.where(equal, flat.min(axis=1), dark)
    bright = np.where(equal, flat.max(axis=1), bright)
    span = np.where(bright > dark, bright - dark, 1.0)
    scaled = (planes - dark[:, None, None]) / span[:, None, None]
    return np.clip(scaled, 0, 1).astype(dtype, copy=False)


def _planes(image: np.ndarray, channels: Sequence[int]) -> np.ndarray:
    if image.ndim != 3:
        raise ValueError(f"image: expected shape (C, H, W), found {image.shape}")
    if not len(channels):
        raise ValueError("channels: expected at least one position, found none")
    if outside := [c for c in channels if not 0 <= c < image.shape[0]]:
        raise ValueError(
            f"channels: no position {outside[0]} in an image of {image.shape[0]} channels"
        )
    return image[list(channels)]


def _mean(planes: np.ndarray) -> np.ndarray:
    return np.mean(planes, axis=0, dtype=np.float32)


def _sum(planes: np.ndarray) -> np.ndarray:
    return np.sum(planes, axis=0, dtype=np.float32)


def _max(planes: np.ndarray) -> np.ndarray:
    return planes.max(axis=0).astype(np.float32)


def _median(planes: np.ndarray) -> np.ndarray:
    return np.median(planes, axis=0).astype(np.float32)


def _scaled_mean(planes: np.ndarray) -> np.ndarray:
    return _mean(scale_percentiles(planes))


def _arcsinh_mean(planes: np.ndarray) -> np.ndarray:
    return _mean(np.arcsinh(planes / np.float32(COFACTOR)))


def _first_component(planes: np.ndarray) -> np.ndarray:
    pixels = planes.reshape(len(planes), -1).astype(np.float64)
    covariance = np.atleast_2d(np.cov(pixels, bias=True))
    weights = np.linalg.eigh(covariance)[1][:, -1]
    weights *= -1.0 if weights.sum() < 0 else 1.0  # an eigenvector's sign is arbitrary
    return (weights @ pixels).reshape(planes.shape[1:]).astype(np.float32)


METHODS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {
        "mean": _mean,
        "sum": _sum,
        "max": _max,
        "median": _median,
        "scaled_mean": _scaled_mean,
        "arcsinh_mean": _arcsinh_mean,
        "first_component": _first_component,
    }
)
"""The ways to make one plane of several, by name; `aggregate` says what each does."""
