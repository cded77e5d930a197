"""The fourteen metrics of a segmentation without a reference of Chen and Murphy 2023.

Their Table 2 (doi:10.1091/mbc.E22-08-0364): eight of the cells of a mask and of what it leaves out,
and three of how uniform cells are, for nuclei and for the rest of the cell. What the paper leaves
open follows version 1.5.19 of their program, save for three things. Theirs standardises each column
of pixels of an image by itself, which depends on how the image lies; here a channel is standardised
as a whole, and theirs is an option. Theirs counts one cluster as a silhouette of 1; here the mean
goes over 2 to 10 clusters, as the paper has it. And cells are matched to nuclei by the best share
first, where theirs goes by the order of ids.

Their overall score (`quality_score`) weighs the metrics by principal components of their own images
and methods: fluorescence at their pixel sizes. So its values say little of a mask in IMC; whether
they go up and down with something that is known can be looked at.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from scipy.ndimage import binary_fill_holes
from scipy.spatial.distance import pdist, squareform
from skimage.morphology import isotropic_closing, isotropic_opening, remove_small_objects
from skimage.segmentation import find_boundaries, morphological_geodesic_active_contour
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from imc_helpers.cells.counts import count_cells
from imc_helpers.cells.expression import mean_intensities
from imc_helpers.errors import InputError
from imc_helpers.metrics import contingency_table

MOST_CLUSTERS = 10
"""Cells are put into 1 to as many clusters."""
QUALITY_METRICS: Mapping[str, str] = MappingProxyType(
    {
        "NC": "cells per 100 µm²",
        "FFC": "share of the foreground in cells",
        "1-FBC": "share of the background outside cells",
        "FCF": "share of the cells in the foreground",
        "1/(ln(CSSD)+1)": "uniform size of cells",
        "FMCN": "share of cells and nuclei that match",
        "1/(ACVF+1)": "uniform foreground outside cells",
        "FPCF": "first component of the foreground outside cells",
        "1/(ACVC+1), nuclei": "uniform nuclei within clusters",
        "FPCC, nuclei": "first component of nuclei within clusters",
        "AS, nuclei": "silhouette of nuclei",
        "1/(ACVC+1), rest": "uniform rest of cells within clusters",
        "FPCC, rest": "first component of the rest within clusters",
        "AS, rest": "silhouette of the rest of cells",
    }
)
"""The fourteen by the paper's abbreviations, in words. More is better in each."""
_CENTRES = (
    *(0.24670323, 0.22761458, 0.77619797, 0.81844031, 0.13839755, 0.52565821, 0.40882963),
    *(0.47843721, 0.6369653, 0.48012444, -0.03933201, 0.65830348, 0.47392855, 0.02017161),
)
"""Of the metrics, in the order of `QUALITY_METRICS`: these and the next two are the model "2Dv1.5"
in version 1.5.19 of the authors' program (MIT licence)."""
_SCALES = (
    *(0.50052366, 0.29282845, 0.37274236, 0.326852, 0.06640284, 0.46528876, 0.23297468),
    *(0.29162715, 0.26499123, 0.25330019, 0.45668672, 0.27270701, 0.2439245, 0.47084118),
)
_COMPONENTS = (
    (
        *(0.09924839, 0.0969933, 0.25437275, 0.31304311, 0.26480891, 0.14801793, 0.2932504),
        *(0.28673252, 0.31817261, 0.29997623, 0.28617296, 0.31957945, 0.30848302, 0.29561606),
    ),
    (
        *(0.49432047, 0.5929928, -0.29784797, -0.06378808, -0.09963801, 0.44910386, 0.02220557),
        *(-0.00938788, -0.14312166, -0.09237176, 0.15979289, -0.13594118, -0.08102384, 0.13937814),
    ),
)
_EXPLAINED = (0.57297763, 0.14307601)
"""Shares of the variance of their two components, which weigh them in the score."""
_SHARE_OF_CHANNELS = 0.1
_CONTOUR_STEPS = 5
_LARGEST_HOLE_PX, _SMALLEST_PIECE_PX = 20_000, 1_000


def image_foreground(image: np.ndarray) -> np.ndarray:
    """Find where there is tissue, from all channels.

    Parameters
    ----------
    image
        (C, H, W) counts.

    Returns
    -------
    numpy.ndarray
        (H, W) bool.

    Notes
    -----
    A pixel counts where more than a tenth of the channels exceed their mean. These are joined into
    regions (closed by 1, opened by 2, closed by 20, opened by 10 px; holes up to 20,000 px filled),
    and a contour moves in from their borders for five steps, to the pixels that count. Radii are
    the program's, in pixels; pieces up to 1,000 px are dropped. Background at the image's edge is
    no hole: the program fills it too, and so finds nothing but tissue in a small image.
    """
    above = (image > image.mean(axis=(1, 2), keepdims=True)).sum(axis=0)
    bright = above > round(_SHARE_OF_CHANNELS * len(image))
    region = isotropic_opening(isotropic_closing(bright, 1), 2)
    region = isotropic_opening(isotropic_closing(region, 20), 10)
    holes = binary_fill_holes(region) & ~region
    region |= holes & ~remove_small_objects(holes, max_size=_LARGEST_HOLE_PX)
    background = morphological_geodesic_active_contour(
        (~bright).astype(float), _CONTOUR_STEPS, ~region, smoothing=1, threshold=0.5, balloon=0.8
    )
    return remove_small_objects(background == 0, max_size=_SMALLEST_PIECE_PX)


def match_nuclei(labels: np.ndarray, nuclei: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each cell its nucleus: the one of which most lies in the cell, off its border.

    Parameters
    ----------
    labels, nuclei
        (H, W) integers, 0 is background.

    Returns
    -------
    nuclei, rest : numpy.ndarray
        (H, W) ids of cells: where the nucleus of each matched cell is, and where the rest of it
        is. Cells without a nucleus are in neither. What sticks out of the cell is cut off.
    """
    inside = np.where(find_boundaries(labels, mode="inner"), 0, labels)
    table = contingency_table(inside, nuclei)
    cell, nucleus = table.true_ids[table.i], table.pred_ids[table.j]
    share = table.intersection / table.pred_areas[table.j]
    taken_cells: dict[int, int] = {}
    taken_nuclei: set[int] = set()
    for k in np.lexsort((nucleus, cell, -share)).tolist():
        if cell[k] not in taken_cells and nucleus[k] not in taken_nuclei:
            taken_cells[cell[k]] = nucleus[k]
            taken_nuclei.add(nucleus[k])
    own = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    own[list(taken_cells)] = list(taken_cells.values())
    nuclear = (own[inside] > 0) & (own[inside] == nuclei)
    matched = own[labels] > 0
    return np.where(nuclear, inside, 0), np.where(matched & ~nuclear, labels, 0)


def standardised_planes(image: np.ndarray, *, per_column: bool = False) -> np.ndarray:
    """Z-score the pixels of each channel.

    Parameters
    ----------
    image
        (C, H, W).
    per_column
        Each column of pixels by itself, as the authors' program does in two dimensions.

    Returns
    -------
    numpy.ndarray
        (C, H, W) float64; 0 where nothing varies.
    """
    axes = 1 if per_column else (1, 2)
    values = image.astype(float)
    spread = values.std(axis=axes, keepdims=True)
    return (values - values.mean(axis=axes, keepdims=True)) / np.where(spread > 0, spread, 1)


def cell_quality(
    image: np.ndarray,
    labels: np.ndarray,
    nuclei: np.ndarray,
    um_per_px: float,
    *,
    foreground: np.ndarray | None = None,
    per_column: bool = False,
    seed: int = 0,
) -> dict[str, float]:
    """Compute the fourteen metrics of one mask.

    Parameters
    ----------
    image
        (C, H, W) counts.
    labels
        (H, W) cells.
    nuclei
        (H, W) nuclei, of the same maker or found alike for all masks that are compared.
    um_per_px
        Edge of a pixel, µm.
    foreground
        What `image_foreground` returns of the image; found here when not given.
    per_column
        As in `standardised_planes`.
    seed
        Of k-means.

    Returns
    -------
    dict
        By name in `QUALITY_METRICS`; missing where it cannot be told: with no cell that has a
        nucleus, or fewer cells than clusters.

    Raises
    ------
    InputError
        If shapes differ.
    """
    for name, other in (("labels", labels), ("nuclei", nuclei)):
        if other.shape != image.shape[1:]:
            raise InputError(
                f"{name}: expected the image's shape {image.shape[1:]}, found {other.shape}"
            )
    found = dict.fromkeys(QUALITY_METRICS, np.nan)
    nuclear, rest = match_nuclei(labels, nuclei)
    cells = np.where(nuclear > 0, nuclear, rest)
    if not cells.any():
        return found
    planes = standardised_planes(image, per_column=per_column)
    tissue = image_foreground(image) if foreground is None else foreground
    covered = cells > 0
    areas = np.unique(cells[covered], return_counts=True)[1]
    matched, missed = len(areas), tissue & ~covered
    spread = areas.std()
    found["NC"] = 100 * matched / (cells.size * um_per_px**2)
    found["FFC"] = _share(covered, tissue)
    found["1-FBC"] = 1 - _share(covered, ~tissue) if not tissue.all() else 1.0
    found["FCF"] = _share(tissue, covered)
    # The formula has a pole at a spread of 1/e px, and below it says the opposite.
    found["1/(ln(CSSD)+1)"] = float(1 / (np.log(spread) + 1)) if spread > np.exp(-1) else np.nan
    n_cells, n_nuclei = (count_cells(each) for each in (labels, nuclei))
    found["FMCN"] = matched / (n_cells + n_nuclei - matched)
    if missed.any():
        found["1/(ACVF+1)"] = 1 / (_pixel_variation(image, missed) + 1)
        found["FPCF"] = _first_component(planes[:, missed].T)
    clusters = _clusters(mean_intensities(planes, cells)[1], seed)
    for name, part in (("nuclei", nuclear), ("rest", rest)):
        ids, means = mean_intensities(image, part)
        _, scaled = mean_intensities(planes, part)
        of_part = np.isin(np.unique(cells[covered]), ids)  # a nucleus may fill its cell
        labelled = [one[of_part] for one in clusters]
        if not labelled:
            continue
        varied = np.mean([_by_cluster(means, one, _variation) for one in labelled])
        found[f"1/(ACVC+1), {name}"] = float(1 / (varied + 1))
        first = np.mean([_by_cluster(scaled, one, _first_component) for one in labelled])
        found[f"FPCC, {name}"] = float(first)
        apart = squareform(pdist(scaled))
        found[f"AS, {name}"] = float(np.mean([_silhouette(apart, one) for one in labelled[1:]]))
    return found


def quality_score(metrics: Mapping[str, float]) -> float:
    """Put the fourteen metrics together as Chen and Murphy 2023 do: their overall quality score.

    Parameters
    ----------
    metrics
        What `cell_quality` returns.

    Returns
    -------
    float
        The exponential of the metrics' first two principal components, fitted by the authors to
        their own images, each weighed by its share of the variance. More is better; missing where
        a metric is.
    """
    values = np.array([metrics[name] for name in QUALITY_METRICS])
    components = np.array(_COMPONENTS) @ ((values - _CENTRES) / _SCALES)
    return float(np.exp(components @ _EXPLAINED))


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part[whole].mean()) if whole.any() else np.nan


def _pixel_variation(image: np.ndarray, where: np.ndarray) -> float:
    """Spread of some pixels over the mean of the whole channel, averaged over channels."""
    means = image.mean(axis=(1, 2), dtype=float)
    there = means > 0
    return float(np.mean(image[:, where].std(axis=1, dtype=float)[there] / means[there]))


def _clusters(features: np.ndarray, seed: int) -> list[np.ndarray]:
    """K-means with 1 to ten clusters; none where there are no more cells than that."""
    if len(features) <= MOST_CLUSTERS:
        return []
    one = np.zeros(len(features), int)
    more = [
        KMeans(k, n_init=1, random_state=seed).fit_predict(features)
        for k in range(2, MOST_CLUSTERS + 1)
    ]
    return [one, *more]


def _by_cluster(
    values: np.ndarray, clusters: np.ndarray, measure: Callable[[np.ndarray], float]
) -> float:
    """Average what is measured of each cluster, by its cells."""
    names, sizes = np.unique(clusters, return_counts=True)
    return float(np.average([measure(values[clusters == name]) for name in names], weights=sizes))


def _variation(values: np.ndarray) -> float:
    """Coefficient of variation, averaged over channels; 0 for a channel that does not vary."""
    means, spread = values.mean(axis=0), values.std(axis=0)
    return float((spread / np.where(means > 0, means, 1)).mean())


def _first_component(values: np.ndarray) -> float:
    """Share of the variance along the first principal component; 1 where nothing varies."""
    centred = np.asarray(values, float) - values.mean(axis=0)
    variances = np.linalg.eigvalsh(centred.T @ centred)
    return float(variances[-1] / variances.sum()) if variances.sum() > 0 else 1.0


def _silhouette(apart: np.ndarray, clusters: np.ndarray) -> float:
    """Mean silhouette from the distances between all cells; missing with one cluster."""
    if not 1 < len(np.unique(clusters)) < len(clusters):
        return np.nan
    return float(silhouette_score(apart, clusters, metric="precomputed"))
