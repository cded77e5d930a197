"""Cells from maps of probability, as the CellProfiler pipeline of Dice-XMBD finds them.

Nuclei first, then from each nucleus a cell by propagation, on maps enlarged twice; settings are
those of the pipeline file that was published with the program (github.com/xmuyulab/Dice-XMBD,
commit cf1ec83, ``2_generate_cellmask.cpproj``; Xiao et al. 2021, section 2.3). CellProfiler itself
is not run: its steps stand here, on the same library, centrosome.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi
from skimage.filters import threshold_li
from skimage.segmentation import relabel_sequential, watershed
from skimage.transform import resize

from imc_helpers.images.rounding import on_grid

_FWHM = 2.35
"""CellProfiler's full width at half maximum of a Gaussian, in standard deviations."""
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class PipelineSettings:
    """Settings of the pipeline; pixels are those of the enlarged maps."""

    enlarge: int = 2
    """Factor by which maps are enlarged before all, and masks made smaller after all."""
    smooth_px: float = 4.0
    """Width of the Gaussian filter of the nuclear map (at half maximum)."""
    correction: float = 1.2
    """What the threshold of nuclei is multiplied by."""
    diameter_px: float = 8.0
    """Of the smallest nucleus; what tells nuclei apart follows from it."""
    largest_px: float = 12.0
    """Diameter of the largest nucleus: holes up to its square are filled before nuclei are cut."""
    least_px: int = 5
    """Area of the smallest nucleus."""
    regularisation: float = 0.05
    """How much propagation minds distance beside the image."""
    keep_border: bool = False
    """Whether cells stay whose nucleus touches the border of the image."""
    gaps: bool = True
    """Whether masks lose the pixels at their borders when they are made smaller, so that no two
    cells touch, as those of the program's plug-in do."""


def cells_from_maps(
    nucleus: np.ndarray, cytoplasm: np.ndarray, settings: PipelineSettings | None = None
) -> np.ndarray:
    """Find cells: nuclei, then propagation.

    Parameters
    ----------
    nucleus, cytoplasm
        (H, W) probabilities, 0 to 1.
    settings
        Of the pipeline; the published ones when not given.

    Returns
    -------
    numpy.ndarray
        (H, W) int32, 1 to the number of cells; 0 is background.

    Raises
    ------
    ValueError
        If the maps differ in shape, or hold anything but probabilities.
    """
    if nucleus.shape != cytoplasm.shape:
        raise ValueError(f"cytoplasm: expected shape {nucleus.shape}, found {cytoplasm.shape}")
    for name, plane in (("nucleus", nucleus), ("cytoplasm", cytoplasm)):
        if plane.size and not (plane.min() >= 0 and plane.max() <= 1):
            raise ValueError(f"{name}: expected probabilities, 0 to 1")
    use = settings or PipelineSettings()
    nuclear, cell = (_enlarged(plane, use.enlarge) for plane in (nucleus, cytoplasm))
    cell = np.minimum(nuclear + cell, 1)
    kept, found = find_nuclei(nuclear, use)
    if not kept.any():
        return np.zeros(nucleus.shape, np.int32)
    # Nuclei at the border take part, so that their cells are not given to their neighbours.
    cells = _grown(cell, found, use.regularisation)
    cells = np.where(np.isin(cells, kept[kept > 0]), cells, 0)
    small = _with_gaps(cells, use.enlarge) if use.gaps else _without_gaps(cells, use.enlarge)
    return relabel_sequential(small)[0].astype(np.int32)


def find_nuclei(nucleus: np.ndarray, use: PipelineSettings) -> tuple[np.ndarray, np.ndarray]:
    """Find nuclei as *IdentifyPrimaryObjects* does, cut by intensity.

    Parameters
    ----------
    nucleus
        (H, W) probability, enlarged.
    use
        Settings.

    Returns
    -------
    kept, found : numpy.ndarray
        (H, W) int32: the nuclei, and all that were found, those at the border among them.
    """
    # centrosome takes a while to import, and only those who find cells need it.
    from centrosome.cpmorphology import (  # noqa: PLC0415
        binary_shrink,
        fill_labeled_holes,
        is_local_maximum,
        strel_disk,
    )

    image = on_grid(ndi.gaussian_filter(nucleus, use.smooth_px / _FWHM, mode="constant"))
    nothing = np.zeros(nucleus.shape, np.int32)
    if image.min() == image.max():
        return nothing, nothing
    mask = image >= min(1, threshold_li(image) * use.correction)
    largest = use.largest_px**2
    mask = fill_labeled_holes(mask.astype(np.int32), size_fn=lambda area, _: area < largest) > 0
    pieces = ndi.label(mask, _EIGHT)[0]
    smooth = _smoothed(image, _FWHM * use.diameter_px / 3.5)
    peaks = is_local_maximum(smooth, pieces, strel_disk(max(1, use.diameter_px / 1.5 - 0.5)))
    markers, count = ndi.label(binary_shrink(peaks), _EIGHT)
    if not count:
        return nothing, nothing
    found = watershed(1 - image, markers, mask=pieces > 0, connectivity=_EIGHT).astype(np.int32)
    kept = found
    if not use.keep_border:
        edge = np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]])
        kept = np.where(np.isin(found, edge), 0, found)
    kept = fill_labeled_holes(kept)
    area = np.bincount(kept.ravel())
    return np.where(area[kept] >= use.least_px, kept, 0), np.where(kept > 0, kept, found)


def _enlarged(plane: np.ndarray, factor: int) -> np.ndarray:
    shape = tuple(factor * side for side in plane.shape)
    return np.clip(resize(plane.astype(float), shape, order=1, mode="symmetric"), 0, 1)


def _smoothed(image: np.ndarray, width_px: float) -> np.ndarray:
    """Smooth as CellProfiler does before it looks for maxima: a Gaussian cut off early."""
    reach = max(int(width_px / 2), 1)
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps * _FWHM / width_px) ** 2)

    def along_both(plane: np.ndarray) -> np.ndarray:
        rows = ndi.convolve1d(plane, kernel, axis=0, mode="constant")
        return ndi.convolve1d(rows, kernel, axis=1, mode="constant")

    return on_grid(along_both(image) / along_both(np.ones_like(image)))


def _grown(image: np.ndarray, nuclei: np.ndarray, regularisation: float) -> np.ndarray:
    """Grow cells as *IdentifySecondaryObjects* does by propagation."""
    from centrosome.cpmorphology import fill_labeled_holes  # noqa: PLC0415
    from centrosome.propagate import propagate  # noqa: PLC0415

    smooth = ndi.gaussian_filter(image, 1.3488 / _FWHM, mode="constant")
    mask = on_grid(smooth) >= threshold_li(image)
    cells, _ = propagate(image, nuclei, mask, regularisation)
    return fill_labeled_holes(cells)


def _without_gaps(cells: np.ndarray, factor: int) -> np.ndarray:
    """Take every so many pixels: cells that touch go on touching."""
    return cells[factor // 2 :: factor, factor // 2 :: factor]


def _with_gaps(cells: np.ndarray, factor: int) -> np.ndarray:
    """Keep the pixels that lie within one cell, as do those above, to the left and above left."""
    height, width = (side // factor for side in cells.shape)
    blocks = cells.reshape(height, factor, width, factor)
    low, high = blocks.min(axis=(1, 3)), blocks.max(axis=(1, 3))
    pure = np.where(low == high, low, 0)
    return np.where(ndi.maximum_filter(pure, 2) == ndi.minimum_filter(pure, 2), pure, 0)
