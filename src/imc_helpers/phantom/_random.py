"""Random numbers and random fields that depend on a seed and a purpose, and on nothing else."""

import zlib

import numpy as np
from scipy import ndimage as ndi

from imc_helpers.images.rounding import on_grid


def generator(seed: int, *purpose: str) -> np.random.Generator:
    """Return the generator of one purpose.

    Each purpose has a stream of its own, so that adding a channel or an expert leaves the others as
    they were. The stream is PCG64's, the same on every platform.

    Parameters
    ----------
    seed
        Seed of the sample, 0 or more.
    purpose
        Words that name the purpose.
    """
    key = tuple(zlib.crc32(word.encode()) for word in purpose)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def smooth_field(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> np.ndarray:
    """Return a smooth random field: white noise on a coarse grid, interpolated by cubic splines.

    The cost grows with the number of pixels and not with the scale.

    Parameters
    ----------
    shape
        Height and width, pixels.
    scale_px
        Spacing of the coarse grid: how far apart the field forgets itself, pixels.
    rng
        Source of the noise.

    Returns
    -------
    numpy.ndarray
        (H, W) float64 with mean 0 and standard deviation 1 over the image.
    """
    zoom = max(1, round(scale_px))
    # At least four knots a side: a cubic spline needs them.
    knots = [max(4, -(-side // zoom) + 1) for side in shape]
    noise = rng.standard_normal(knots)
    field = ndi.zoom(noise, zoom, order=3, mode="reflect", grid_mode=True)
    field = field[: shape[0], : shape[1]]
    return on_grid((field - field.mean()) / field.std())
