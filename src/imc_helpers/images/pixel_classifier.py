"""Cells from a random forest of pixels: the way of ilastik, then CellProfiler.

A few labelled pixels train a forest (Berg et al. 2019, doi:10.1038/s41592-019-0582-9); the nuclei
that it sees are seeds; from each a cell grows by propagation (Jones, Carpenter and Golland 2005,
doi:10.1007/11569541_54). It is how the annotators of Schuiki et al. (2025, section 3.1.2) made
their masks.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import ndimage as ndi
from sklearn.ensemble import RandomForestClassifier

from imc_helpers.images.rounding import on_grid

BACKGROUND, CYTOPLASM, NUCLEUS = 0, 1, 2
"""The classes of pixels."""

_SCALES_PX = (0.7, 1.0, 1.6, 3.5)
"""Scales of the features: ilastik's own defaults, without those wider than a small cell."""
_TREES = 30
_DEPTH = 12
_MIN_LEAF_PX = 8
_TREE_SHARE = 0.4
"""Part of the labelled pixels that each tree sees."""
_SEED_PROBABILITY = 0.3
"""Least probability of nucleus at a seed."""
_REGULARISATION = 0.05
"""How much propagation minds distance beside the image: CellProfiler's default."""
_MIN_OBJECT_PX = 12
"""Smaller objects are discarded."""
_BAND_ROWS = 64
"""Rows that are classified at once."""


def multiscale_features(planes: Sequence[np.ndarray]) -> np.ndarray:
    """Compute the features of a pixel classifier, as ilastik does.

    Parameters
    ----------
    planes
        (H, W) float32 each.

    Returns
    -------
    numpy.ndarray
        (H, W, F) float32: of each plane, at every scale, Gaussian, gradient magnitude and the two
        eigenvalues of the Hessian.
    """
    features = []
    for plane in planes:
        for scale in _SCALES_PX:
            smooth = ndi.gaussian_filter(plane, scale)
            dy, dx = np.gradient(smooth)
            dyy, dyx = np.gradient(dy)
            dxx = np.gradient(dx, axis=1)
            half_trace = (dyy + dxx) / 2
            root = np.hypot((dyy - dxx) / 2, dyx)
            features += [smooth, np.hypot(dy, dx), half_trace + root, half_trace - root]
    return on_grid(np.stack(features, axis=-1), 4096).astype(np.float32)


def grow_forest(pixels: np.ndarray, classes: np.ndarray, n_jobs: int = 1) -> RandomForestClassifier:
    """Train a pixel classifier; the same pixels give the same classifier.

    Parameters
    ----------
    pixels
        (N, F) float32: features of the labelled pixels.
    classes
        (N,) integers: `BACKGROUND`, `CYTOPLASM` or `NUCLEUS`.
    n_jobs
        Threads. The classifier does not depend on it.
    """
    # Everybody runs the same software with the same settings, its random numbers included.
    return RandomForestClassifier(
        n_estimators=_TREES,
        max_depth=_DEPTH,
        min_samples_leaf=_MIN_LEAF_PX,
        max_samples=_TREE_SHARE,
        random_state=0,
        n_jobs=n_jobs,
    ).fit(pixels, classes)


def class_probabilities(forest: RandomForestClassifier, features: np.ndarray) -> np.ndarray:
    """Return the probability of each class at each pixel.

    Parameters
    ----------
    forest
        From `grow_forest`.
    features
        (H, W, F) float32.

    Returns
    -------
    numpy.ndarray
        (H, W, 3) float64: background, cytoplasm, nucleus.
    """
    x = np.ascontiguousarray(features.reshape(-1, features.shape[-1]), dtype=np.float32)
    # The forest's own predict_proba adds the trees in whichever order its threads finish, and with
    # the order the last bit of a sum changes.
    votes = sum(tree.predict_proba(x, check_input=False) for tree in forest.estimators_)
    full = np.zeros((len(x), 3))
    full[:, forest.classes_] = votes / len(forest.estimators_)  # a class never drawn keeps 0
    return on_grid(full).reshape(*features.shape[:2], 3)


def find_seeds(nucleus: np.ndarray, sigma_px: float) -> np.ndarray:
    """Give each maximum of a smoothed probability of nucleus a number.

    Parameters
    ----------
    nucleus
        (H, W) float, 0 to 1.
    sigma_px
        Smoothing that tells nuclei apart, pixels.

    Returns
    -------
    numpy.ndarray
        (H, W) int32: the seeds, 1 and up; 0 elsewhere.
    """
    smooth = on_grid(ndi.gaussian_filter(nucleus, sigma_px))
    peak = (smooth == ndi.maximum_filter(smooth, 3)) & (smooth > _SEED_PROBABILITY)
    return ndi.label(peak, np.ones((3, 3)))[0]


def grow_cells(
    features: np.ndarray,
    forest: RandomForestClassifier,
    threshold: float,
    seed_sigma_px: float,
    n_jobs: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Classify the pixels, then grow cells from the nuclei.

    Parameters
    ----------
    features
        (H, W, F) float32.
    forest
        From `grow_forest`.
    threshold
        Probability of cell (nucleus or cytoplasm) at which a pixel counts as cell.
    seed_sigma_px
        Smoothing that tells nuclei apart, pixels.
    n_jobs
        Threads. The cells do not depend on it.

    Returns
    -------
    cells, nuclei : numpy.ndarray
        (H, W) uint32 each, nuclei with the ids of their cells.
    """
    # centrosome takes a while to import, and only those who grow cells need it.
    from centrosome.propagate import propagate  # noqa: PLC0415

    # Bands of rows are classified apart and put together in order, so that the number of threads
    # cannot change a sum.
    bands = [features[top : top + _BAND_ROWS] for top in range(0, len(features), _BAND_ROWS)]
    with ThreadPoolExecutor(n_jobs) as pool:
        parts = pool.map(lambda band: class_probabilities(forest, band), bands)
        probability = np.concatenate(list(parts))

    seeds = find_seeds(probability[..., NUCLEUS], seed_sigma_px)
    is_cell = 1 - probability[..., BACKGROUND] >= threshold
    cells, _ = propagate(probability[..., NUCLEUS], seeds, is_cell | (seeds > 0), _REGULARISATION)
    area = np.bincount(cells.ravel())
    keep = area >= _MIN_OBJECT_PX
    keep[0] = False
    new_id = np.where(keep, np.cumsum(keep), 0).astype(np.uint32)
    cells = new_id[cells]
    nuclei = np.where(probability.argmax(axis=-1) == NUCLEUS, cells, 0).astype(np.uint32)
    return cells, nuclei
