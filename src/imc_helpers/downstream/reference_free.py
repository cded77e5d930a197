"""Scores of a mask that need no other mask: how well the cells that it makes fall into clusters.

Goldsborough 2025, section 6.3: mean counts of cells are z-scored and clustered by Leiden at three
resolutions, and three scores of the clusters are averaged over the resolutions, image by image. The
idea is that cells cut wrongly are mixtures, and blur clusters. Whether such a score ranks masks as
the truth does is another question (`imc_helpers.experiments.without_truth`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

from imc_helpers.agreement.statistics import holm
from imc_helpers.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

RESOLUTIONS = (0.05, 0.10, 0.15)
"""Leiden resolutions of Goldsborough 2025."""
CLUSTER_SCORES: Mapping[str, int] = MappingProxyType(
    {"davies_bouldin": -1, "silhouette": 1, "calinski_harabasz": 1}
)
"""The three scores, and whether more (1) or less (-1) is better."""


@dataclass(frozen=True)
class LeidenSettings:
    """How cells are clustered: all that decides which clusters come out."""

    flavour: str = "igraph"
    """Implementation that Scanpy calls, ``"igraph"`` or ``"leidenalg"``. The thesis does not say
    which; the first takes a tenth of the time."""
    iterations: int = 2
    """How often it goes over the graph; -1 is until nothing changes."""
    neighbours: int = 15
    """Nearest neighbours in the graph: Scanpy's default."""
    seed: int = 0
    """The same seed gives the same clusters."""


def check_counts(means: ArrayLike, source: str) -> np.ndarray:
    """Return mean counts as (N, C) floats, or say what is wrong with them.

    Raises
    ------
    InputError
        If they are no table, or a count is negative or missing.
    """
    values = np.asarray(means, float)
    if values.ndim != 2:
        raise InputError(f"{source}: expected one row per cell, found shape {values.shape}")
    if not np.isfinite(values).all() or (values < 0).any():
        raise InputError(
            f"{source}: expected counts of 0 or more, found negative or missing ones. Use images "
            "that are neither normalised nor background-subtracted"
        )
    return values


def standardised(means: np.ndarray) -> np.ndarray:
    """Z-score each column; one that does not vary is 0.

    Parameters
    ----------
    means
        (N, C) mean counts.
    """
    if not len(means):
        return means
    spread = means.std(axis=0)
    return (means - means.mean(axis=0)) / np.where(spread > 0, spread, 1)


def leiden_clusters(
    features: np.ndarray,
    resolutions: Sequence[float] = RESOLUTIONS,
    settings: LeidenSettings = LeidenSettings(),
) -> dict[float, np.ndarray]:
    """Cluster cells at several resolutions, on one graph of neighbours.

    Parameters
    ----------
    features
        (N, C) z-scored.
    resolutions
        More makes more clusters.
    settings
        See `LeidenSettings`.

    Returns
    -------
    dict
        By resolution: (N,) cluster of each cell. With no more cells than neighbours there is no
        graph, and all are one cluster.
    """
    if len(features) <= settings.neighbours:
        return {resolution: np.zeros(len(features), int) for resolution in resolutions}
    import scanpy  # noqa: PLC0415  (slow to load)

    cells = _with_neighbours(features, settings)
    found = {}
    for resolution in resolutions:
        scanpy.tl.leiden(
            cells,
            resolution=resolution,
            flavor=settings.flavour,
            n_iterations=settings.iterations,
            directed=settings.flavour != "igraph",  # igraph's Leiden knows undirected graphs only
            random_state=settings.seed,
        )
        found[resolution] = cells.obs["leiden"].to_numpy(int)
    return found


def cluster_scores(features: np.ndarray, clusters: ArrayLike) -> dict[str, float]:
    """Score how compact clusters are, and how far apart, by scikit-learn.

    Parameters
    ----------
    features
        (N, C).
    clusters
        (N,) integers.

    Returns
    -------
    dict
        By name in `CLUSTER_SCORES`; missing with one cluster, or as many as cells.
    """
    n_clusters = len(np.unique(clusters))
    if not 1 < n_clusters < len(features):
        return dict.fromkeys(CLUSTER_SCORES, np.nan)
    return {
        "davies_bouldin": float(davies_bouldin_score(features, clusters)),
        "silhouette": float(silhouette_score(features, clusters)),
        "calinski_harabasz": float(calinski_harabasz_score(features, clusters)),
    }


def image_scores(
    means: ArrayLike,
    resolutions: Sequence[float] = RESOLUTIONS,
    settings: LeidenSettings = LeidenSettings(),
) -> dict[str, Any]:
    """Score one mask of one image: means over the resolutions.

    Parameters
    ----------
    means
        (N, C) mean counts of the mask's cells.
    resolutions, settings
        As in `leiden_clusters`.

    Returns
    -------
    dict
        `CLUSTER_SCORES`, each the mean over the resolutions at which there are two clusters or
        more (missing where there are none), and ``clusters``, their number at each resolution.
    """
    features = standardised(check_counts(means, "mean counts"))
    found = leiden_clusters(features, resolutions, settings)
    each = pd.DataFrame([cluster_scores(features, clusters) for clusters in found.values()])
    return {
        **{score: float(each[score].mean()) for score in CLUSTER_SCORES},
        "clusters": {r: len(np.unique(clusters)) for r, clusters in found.items()},
    }


def _with_neighbours(features: np.ndarray, settings: LeidenSettings) -> "AnnData":
    """Build the graph of each cell's neighbours, which clusters and maps start from."""
    import scanpy  # noqa: PLC0415  (slow to load)
    from anndata import AnnData  # noqa: PLC0415

    cells = AnnData(features.astype(np.float32))
    scanpy.pp.neighbors(
        cells, n_neighbors=settings.neighbours, use_rep="X", random_state=settings.seed
    )
    return cells


def embedded(
    means: ArrayLike,
    settings: LeidenSettings = LeidenSettings(),
) -> np.ndarray:
    """Map cells to the plane by UMAP, z-scored together.

    Parameters
    ----------
    means
        (N, C) mean counts, of several masks to compare them.
    settings
        Number of neighbours, and seed.

    Returns
    -------
    numpy.ndarray
        (N, 2); missing with no more cells than neighbours.
    """
    features = standardised(check_counts(means, "mean counts"))
    if len(features) <= settings.neighbours:
        return np.full((len(features), 2), np.nan)
    import scanpy  # noqa: PLC0415  (slow to load)

    cells = _with_neighbours(features, settings)
    scanpy.tl.umap(cells, random_state=settings.seed)
    return cells.obsm["X_umap"]


def paired_wilcoxon(scores: pd.DataFrame, first: str, *, better: int = 1) -> pd.DataFrame:
    """Test whether one mask scores better than each other, image by image, as the thesis does.

    Parameters
    ----------
    scores
        One row per image, one column per mask.
    first
        The column that is compared with the others.
    better
        1 where more is better, -1 where less is.

    Returns
    -------
    pandas.DataFrame
        One row per other mask: ``mask``, ``images`` with both, ``difference`` (the median, positive
        where `first` is better), ``p`` (one-sided, missing below two images that differ) and
        ``p_holm``, over the masks compared.

    Raises
    ------
    InputError
        If there is no such column.
    """
    if first not in scores:
        raise InputError(f"mask {first!r}: expected one of {', '.join(map(str, scores))}")
    rows = []
    for other in scores.columns.drop(first):
        difference = better * (scores[first] - scores[other]).dropna()
        enough = (difference != 0).sum() > 1
        p = stats.wilcoxon(difference, alternative="greater").pvalue if enough else np.nan
        rows.append(
            {
                "mask": other,
                "images": len(difference),
                "difference": difference.median(),
                "p": p,
            }
        )
    table = pd.DataFrame(rows, columns=["mask", "images", "difference", "p"])
    tested = table["p"].notna()
    table["p_holm"] = np.nan
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p"])
    return table
