"""How much of what differs between cells, or images, is the mask.

Every mask measures the same units (matched cells, points, images), so the variance of a quantity
comes apart into images, cells within them, masks, and the two interactions (Searle, Casella and
McCulloch 1992, Variance Components, doi:10.1002/9780470316856). The masks are those at hand;
images are a sample of all that might have been taken, and intervals hold over them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import chndtrinc, ndtri

from imc_helpers.agreement.intervals import CONFIDENCE
from imc_helpers.errors import InputError

COMPONENTS = ("image", "cell", "mask", "image × mask", "cell × mask")
"""What a value depends on. The last holds all that is left of a single value."""
DRAWS = 2000
"""Draws of the mean squares behind an interval."""
_LARGE = 200.0
"""Beyond it the root of a noncentral chi square is normal to three digits, and the exact inverse
takes long."""


@dataclass(frozen=True)
class Shares:
    """Where the variance of a quantity comes from."""

    table: pd.DataFrame
    """One row for each of `COMPONENTS` and one for ``"agreement"``, the share of images and cells
    together: ``component``, ``variance``, ``share`` of the sum, ``low`` and ``high``, the ends of
    its 95 % interval over images. Missing where the units cannot tell: cells where there is one
    unit per image, images and all intervals where there is one image, everything without
    variance."""
    images: int
    """Images that hold a unit."""
    units: int
    """Cells, points or images, each measured by every mask."""

    def share(self, component: str) -> float:
        """Return the share of a component."""
        return float(self.table.set_index("component")["share"][component])


def icc(values: ArrayLike) -> float:
    """Return ICC(2,1): the absolute agreement of single masks about the same units.

    Parameters
    ----------
    values
        (N, k): unit by mask. Units with a missing value are left out.

    Returns
    -------
    float
        1 where all masks give the same; missing with fewer than two units, or without variance
        (Shrout and Fleiss 1979, doi:10.1037/0033-2909.86.2.420).

    Raises
    ------
    InputError
        If there are fewer than two masks.
    """
    table = _complete(values)
    n, k = table.shape
    if n < 2:
        return float("nan")
    rows, columns, rest = _two_way(table)
    below = rows + (k - 1) * rest + k * (columns - rest) / n
    return float((rows - rest) / below) if below > 0 else float("nan")


def variance_shares(
    values: ArrayLike,
    images: Sequence[object] | NDArray[np.generic],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Shares:
    r"""Take the variance of a quantity apart.

    The components are those of the analysis of variance; images with unequal numbers of cells
    enter by their means, as often as each other. Intervals are generalised confidence intervals
    (Weerahandi 1993, doi:10.1080/01621459.1993.10476355): each mean square divided by a draw of
    what it is distributed as, :math:`\chi^2` for images and interactions, noncentral
    :math:`\chi^2` for the masks, which are fixed.

    Parameters
    ----------
    values
        (N, k): unit by mask. Units with a missing value are left out.
    images
        (N,) image of each unit. One unit per image where the quantity is the image's.
    draws, seed
        Of the intervals.

    Raises
    ------
    InputError
        If there are fewer than two masks, or the images are not as many as the values.
    """
    everything = np.asarray(values, float)
    if len(images) != len(everything):
        raise InputError(f"images: {len(everything)} values, but {len(images)} images")
    kept = np.isfinite(everything).all(axis=1) if everything.ndim == 2 else slice(None)
    table = _complete(everything)
    of, names = pd.factorize(pd.Series(np.asarray(images)[kept]))
    squares = _mean_squares(table, of, len(names))
    noise = (squares.masks - 1) * squares.around_masks
    found = _components(squares, squares.mask - noise)
    # A single value has no variance, however masks differ about it.
    total = np.nansum(found) if len(table) > 1 else 0.0
    rows = pd.DataFrame({"component": COMPONENTS, "variance": found})
    shares = np.append(found, _agreement(found)) / total if total > 0 else np.full(6, np.nan)
    low = high = np.full(6, np.nan)
    if total > 0 and squares.images > 1:
        drawn = _components(*_drawn(squares, draws, np.random.default_rng(seed)))
        parts = np.vstack([drawn, _agreement(drawn)]) / np.nansum(drawn, axis=0)
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(parts, [tail, 1 - tail], axis=1)
    together = pd.DataFrame({"component": ["agreement"], "variance": [_agreement(found)]})
    rows = pd.concat([rows, together], ignore_index=True)
    return Shares(rows.assign(share=shares, low=low, high=high), len(names), len(table))


@dataclass(frozen=True)
class _Squares:
    """Mean squares, single numbers or arrays of draws, and what they are made from."""

    image: NDArray[np.float64]
    mask: NDArray[np.float64]
    """Sum of squares, with the noise of the masks' means in it."""
    image_mask: NDArray[np.float64]
    cell: NDArray[np.float64]
    rest: NDArray[np.float64]
    images: int
    masks: int
    per_image: float
    """Harmonic mean of cells per image."""
    within: int
    """Cells beyond the first of each image."""

    @property
    def around_masks(self) -> NDArray[np.float64]:
        """Variance of what one image adds to a mask's mean.

        With one image, what masks differ by is its interaction too: only the cells' noise is known.
        """
        return self.image_mask if self.images > 1 else np.nan_to_num(self.rest) / self.per_image


def _complete(values: ArrayLike) -> NDArray[np.float64]:
    """Check a table of units and masks, and leave units out that a mask does not know."""
    table = np.asarray(values, float)
    if table.ndim != 2 or table.shape[1] < 2:
        raise InputError(
            f"values: expected one column for each of two masks or more, found shape {table.shape}"
        )
    return table[np.isfinite(table).all(axis=1)]


def _two_way(table: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean squares of rows, columns and what is left."""
    n, k = table.shape
    rows, columns, mean = table.mean(axis=1), table.mean(axis=0), table.mean()
    rest = table - rows[:, None] - columns + mean
    return (
        k * ((rows - mean) ** 2).sum() / (n - 1),
        n * ((columns - mean) ** 2).sum() / (k - 1),
        (rest**2).sum() / ((n - 1) * (k - 1)),
    )


def _mean_squares(table: NDArray[np.float64], of: NDArray[np.intp], n: int) -> _Squares:
    k = table.shape[1]
    cells = np.bincount(of, minlength=n)
    by_image = np.stack([np.bincount(of, column, n) / cells for column in table.T], axis=1)
    inner = table - by_image[of]
    own = inner.mean(axis=1)
    within = len(table) - n
    missing = np.float64(np.nan)
    cell = k * (own**2).sum() / within if within else missing
    rest = ((inner - own[:, None]) ** 2).sum() / (within * (k - 1)) if within else missing
    image, _, image_mask = _two_way(by_image) if n > 1 else (missing, missing, missing)
    means = by_image.mean(axis=0) if n else np.full(k, np.nan)
    mask = n * ((means - means.mean()) ** 2).sum()
    per_image = n / (1 / cells).sum() if n else missing
    return _Squares(
        image=np.asarray(image),
        mask=np.asarray(mask),
        image_mask=np.asarray(image_mask),
        cell=np.asarray(cell),
        rest=np.asarray(rest),
        images=n,
        masks=k,
        per_image=float(per_image),
        within=within,
    )


def _components(squares: _Squares, of_masks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variances, none below 0; those that cannot be told are missing.

    `of_masks` is the masks' sum of squares less its noise.
    """
    n, k, cells = squares.images, squares.masks, squares.per_image
    cell = np.maximum(squares.cell - squares.rest, 0) / k
    noise = np.nan_to_num(squares.rest) / cells
    image = (squares.image - squares.image_mask) / k - np.nan_to_num(cell) / cells
    mask = np.maximum(of_masks, 0) / (max(n, 1) * (k - 1))
    parts = [np.maximum(image, 0), cell, mask, np.maximum(squares.image_mask - noise, 0)]
    return np.array([*parts, squares.rest])


def _agreement(found: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.nansum(found[:2], axis=0)


def _drawn(
    squares: _Squares, draws: int, rng: np.random.Generator
) -> tuple[_Squares, NDArray[np.float64]]:
    """Divide each mean square by draws of its distribution, and draw what the masks account for."""
    n, k, within = squares.images, squares.masks, squares.within

    def scaled(square: NDArray[np.float64], degrees: int) -> NDArray[np.float64]:
        if not degrees:
            return np.full(draws, np.nan)
        return square * degrees / rng.chisquare(degrees, draws)

    drawn = replace(
        squares,
        image=scaled(squares.image, n - 1),
        image_mask=scaled(squares.image_mask, (n - 1) * (k - 1)),
        cell=scaled(squares.cell, within),
        rest=scaled(squares.rest, within * (k - 1)),
    )
    noise = drawn.image_mask
    away = np.divide(squares.mask, noise, out=np.zeros(draws), where=noise > 0)
    noncentrality = _noncentrality(away, k - 1, rng.random(draws))
    return drawn, np.where(noise > 0, noncentrality * noise, squares.mask)


def _noncentrality(
    value: NDArray[np.float64], degrees: int, chance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return which noncentral chi square would be below its value by so much chance; 0 if none."""
    large = value > _LARGE
    found = np.empty_like(value)
    found[large] = (np.sqrt(value[large]) - ndtri(chance[large])) ** 2 - (degrees - 1)
    found[~large] = chndtrinc(value[~large], degrees, chance[~large])
    return np.nan_to_num(np.maximum(found, 0))
