"""The methods of CellProfiler that Dice-XMBD was measured against: no training, no weights.

First nuclei (*primary objects*), then from each nucleus a cell (*secondary object*), by one of
three methods (Xiao et al. 2021, "Benchmarked methods"; Carpenter et al. 2006,
doi:10.1186/gb-2006-7-10-r100):

- *distance*: the nucleus grows by a fixed width;
- *watershed*: it grows to the ridges of the membrane image's gradient (Vincent and Soille 1991,
  doi:10.1109/34.87344);
- *propagation*: it grows along the membrane image, by a distance that counts intensity differences
  and length (Jones, Carpenter and Golland 2005, doi:10.1007/11569541_54).

CellProfiler itself needs Java and older versions of numpy, so its steps stand here; propagation is
CellProfiler's own code, from centrosome.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from centrosome.propagate import propagate
from skimage.feature import peak_local_max
from skimage.filters import gaussian, sobel, threshold_li
from skimage.measure import label
from skimage.morphology import remove_small_holes
from skimage.segmentation import expand_labels, watershed

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.errors import InputError

LIBRARIES = ("centrosome", "scikit-image")
"""Distributions that do the work: run records ask them for their versions."""

_THRESHOLD_SIGMA_PX = 1.0
"""CellProfiler smooths before it applies a threshold: its default scale of 1.3488, as a standard
deviation in pixels."""


@dataclass(frozen=True)
class CellProfiler:
    """One of the three methods, with its settings."""

    method: str
    """``"distance"``, ``"watershed"`` or ``"propagation"``."""
    nucleus_um: float
    """Diameter of the smallest nucleus, micrometres; what tells nuclei apart follows from it."""
    expand_um: float
    """Widest growth of a nucleus, micrometres."""
    regularisation: float = 0.05
    """How much propagation minds distance beside intensity; CellProfiler's default."""

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> list[np.ndarray]:
        """Outline the cells of (2, H, W) images: nucleus, membrane."""
        return [self._cells(image[0], image[1], um_per_px) for image in images]

    def _cells(self, nucleus: np.ndarray, membrane: np.ndarray, um_per_px: float) -> np.ndarray:
        nuclei = find_nuclei(nucleus, self.nucleus_um / um_per_px)
        if not nuclei.any():
            return nuclei
        within = expand_labels(nuclei, self.expand_um / um_per_px)
        if self.method == "distance":
            return within
        image = _to_unit(membrane)
        mask = (_foreground(image) | (nuclei > 0)) & (within > 0)
        if self.method == "watershed":
            return watershed(sobel(image), markers=nuclei, mask=mask)
        cells, _ = propagate(image, nuclei, mask, self.regularisation)
        return np.where(mask, cells, 0)


def load(record: ModelRecord, device: str, weights: Path) -> CellProfiler:
    """Return the method that the record's parameters name; device and weights play no part."""
    model = CellProfiler(**record.parameters)
    if model.method not in ("distance", "watershed", "propagation"):
        raise InputError(
            f"method: expected distance, watershed or propagation, found {model.method!r}"
        )
    return model


def find_nuclei(image: np.ndarray, diameter_px: float) -> np.ndarray:
    """Find nuclei as CellProfiler's *IdentifyPrimaryObjects* does by default.

    Threshold by minimum cross-entropy (Li and Tam 1998, doi:10.1016/S0167-8655(98)00057-9), then
    clumps are cut at the valleys of the smoothed image, and what is smaller than the smallest
    nucleus is dropped. Unlike there, nuclei at the border are kept.

    Parameters
    ----------
    image
        (H, W) array: the nuclear channel.
    diameter_px
        Diameter of the smallest nucleus, pixels. Its 3.5th part is the smoothing that tells nuclei
        apart, its two thirds the least distance of two of them, as in CellProfiler.

    Returns
    -------
    numpy.ndarray
        (H, W) int32.
    """
    image = _to_unit(image)
    mask = _foreground(image)
    if not mask.any():
        return np.zeros(image.shape, np.int32)
    area = np.pi / 4 * diameter_px**2
    mask = remove_small_holes(mask, max_size=int(area))
    smooth = gaussian(image, diameter_px / 3.5)
    seeds = np.zeros(image.shape, bool)
    apart = max(1, round(diameter_px / 1.5))
    peaks = peak_local_max(smooth, min_distance=apart, labels=label(mask), exclude_border=False)
    seeds[tuple(peaks.T)] = True
    nuclei = watershed(-smooth, markers=label(seeds), mask=mask)
    large = np.bincount(nuclei.ravel()) >= area
    return np.where(large[nuclei], nuclei, 0).astype(np.int32)


def _foreground(image: np.ndarray) -> np.ndarray:
    """Threshold as CellProfiler does: the level comes from the image, applied to it smoothed."""
    if image.min() == image.max():
        return np.zeros(image.shape, bool)
    above: np.ndarray = gaussian(image, _THRESHOLD_SIGMA_PX) >= threshold_li(image)
    return above


def _to_unit(image: np.ndarray) -> np.ndarray:
    """Scale to 0 … 1, where CellProfiler works; the brightest thousandth is clipped."""
    top = float(np.percentile(image, 99.9)) or float(image.max())
    return np.clip(image / top, 0, 1) if top > 0 else np.zeros(image.shape)
