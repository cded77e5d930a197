"""Who lies next to whom: graphs of cells, and what they say of contacts between types.

A graph is a sparse (N, N) matrix of zeros and ones: row i holds the neighbours of cell i. Squidpy
counts contacts in the same way (Palla et al. 2022, doi:10.1038/s41592-021-01358-2).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.spatial import Delaunay, QhullError, cKDTree

from imc_helpers.cells.contacts import near_pairs
from imc_helpers.errors import InputError

NEAREST = 6
"""Neighbours of each cell in the graph of nearest ones, as squidpy has it by default."""
RADIUS_UM = 15.0
"""Centres within this distance are neighbours."""
PERMUTATIONS = 1000
PATCH = 3
"""Neighbours of one type that make a patch, for `patch_enrichment`."""


def nearest(centres: NDArray[np.floating], k: int = NEAREST) -> sparse.csr_array:
    """Join each cell to the `k` cells whose centres are nearest; the graph is directed.

    Parameters
    ----------
    centres
        (N, 2), any unit.
    k
        Neighbours of each cell; all others where there are fewer.
    """
    n = len(centres)
    k = min(k, n - 1)
    if k < 1:
        return _graph(np.empty((0, 2), np.intp), n)
    _, found = cKDTree(centres).query(centres, k + 1)
    # A cell is among its own nearest ones, unless too many others have the same centre: it goes
    # last, and the last is left out.
    itself = found == np.arange(n)[:, None]
    others = np.take_along_axis(found, np.argsort(itself, axis=1, kind="stable"), axis=1)[:, :k]
    return _graph(np.stack([np.repeat(np.arange(n), k), others.ravel()], axis=1), n)


def delaunay(centres: NDArray[np.floating]) -> sparse.csr_array:
    """Join cells whose centres share an edge of the Delaunay triangulation.

    Parameters
    ----------
    centres
        (N, 2), any unit. Fewer than three, or all on one line, have no triangles and no edges.
    """
    try:
        corners = Delaunay(centres).simplices if len(centres) > 2 else np.empty((0, 3), np.intp)
    except QhullError:
        corners = np.empty((0, 3), np.intp)
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    return _both_ways(edges, len(centres))


def within(centres: NDArray[np.floating], radius: float = RADIUS_UM) -> sparse.csr_array:
    """Join cells whose centres are no farther apart than a radius, in the unit of the centres."""
    pairs = cKDTree(centres).query_pairs(radius, output_type="ndarray") if len(centres) else None
    return _both_ways(np.empty((0, 2), np.intp) if pairs is None else pairs, len(centres))


def expanded(labels: NDArray[np.integer]) -> sparse.csr_array:
    """Join cells that touch once all have grown by 4 px, as in steinbock (`contacts.near_pairs`).

    Parameters
    ----------
    labels
        (H, W), 0 is background. Rows of the graph are its ids, ascending.
    """
    ids = np.unique(labels)
    ids = ids[ids > 0]
    return _both_ways(np.searchsorted(ids, near_pairs(labels)), len(ids))


GRAPHS: Mapping[str, Callable[[NDArray[np.integer], NDArray[np.floating]], sparse.csr_array]] = (
    MappingProxyType(
        {
            "nearest": lambda labels, centres: nearest(centres),
            "delaunay": lambda labels, centres: delaunay(centres),
            "radius": lambda labels, centres: within(centres),
            "expansion": lambda labels, centres: expanded(labels),
        }
    )
)
"""The four graphs, each from a mask and its cells' centres, µm, in the order of ids."""


def contact_counts(graph: sparse.csr_array, types: ArrayLike, n_types: int) -> NDArray[np.int64]:
    """Count edges from type to type.

    Parameters
    ----------
    graph
        (N, N).
    types
        (N,) number of each cell's type, 0 to `n_types` - 1.
    n_types
        Number of types, those that no cell has included.

    Returns
    -------
    numpy.ndarray
        (T, T): entry (a, b) counts the edges from a cell of type a to one of type b. An edge that
        goes both ways counts twice.
    """
    of = np.asarray(types, np.intp)
    edges = graph.tocoo()
    codes = of[edges.row] * n_types + of[edges.col]
    return np.bincount(codes, minlength=n_types**2).reshape(n_types, n_types)


def expected_counts(graph: sparse.csr_array, types: ArrayLike, n_types: int) -> NDArray[np.float64]:
    """Return the mean of `contact_counts` over all ways to deal the types out again: exact."""
    of = np.asarray(types, np.intp)
    sizes = np.bincount(of, minlength=n_types).astype(float)
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    return graph.nnz * pairs / max(len(of) * (len(of) - 1), 1)


def enrichment(graph: sparse.csr_array, types: ArrayLike, n_types: int) -> NDArray[np.float64]:
    """Compare contacts between types with chance: log2 of observed over expected.

    Unlike a z-score, it does not grow with the number of cells.

    Returns
    -------
    numpy.ndarray
        (T, T). Half an edge is added on both sides, so that types which never meet have a number;
        missing where no contact is possible: an absent type, a single cell with itself.
    """
    expected = expected_counts(graph, types, n_types)
    observed = contact_counts(graph, types, n_types)
    return np.where(expected > 0, np.log2((observed + 0.5) / (expected + 0.5)), np.nan)


def permutation_z(
    graph: sparse.csr_array,
    types: ArrayLike,
    n_types: int,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return the z-scores of contacts, from types dealt out again at random.

    Returns
    -------
    numpy.ndarray
        (T, T); missing where permutations do not differ.
    """
    of = np.asarray(types, np.intp)
    rng = np.random.default_rng(seed)
    edges = graph.tocoo()
    drawn = np.empty((permutations, n_types**2))
    for k in range(permutations):
        mixed = rng.permutation(of)
        codes = mixed[edges.row] * n_types + mixed[edges.col]
        drawn[k] = np.bincount(codes, minlength=n_types**2)
    spread = drawn.std(axis=0)
    away = contact_counts(graph, of, n_types).ravel() - drawn.mean(axis=0)
    z = np.divide(away, spread, out=np.full(n_types**2, np.nan), where=spread > 0)
    return z.reshape(n_types, n_types)


def interactions(
    graph: sparse.csr_array, types: ArrayLike, n_types: int, *, patch: int = PATCH
) -> Mapping[str, NDArray[np.float64]]:
    """Count contacts in imcRtools' three ways (Windhager et al. 2023, `testInteractions`).

    Parameters
    ----------
    graph, types, n_types
        As for `contact_counts`.
    patch
        Neighbours of type b that a cell of type a needs to count in ``"patch"``.

    Returns
    -------
    Mapping
        Three (T, T) arrays, from type a (row) to type b: ``"classic"``, the mean number of
        neighbours of type b, over the cells of type a; ``"histocat"``, the same over those that
        have one; ``"patch"``, the share of the cells of type a with `patch` of them or more.
        Missing where there is no such cell.
    """
    of = np.asarray(types, np.intp)
    one_hot = np.eye(n_types)[of]
    around = graph @ one_hot
    size = one_hot.sum(axis=0)[:, None]
    total, some = one_hot.T @ around, one_hot.T @ (around > 0)
    many = one_hot.T @ (around >= patch)

    def over(count: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.broadcast_to(count, total.shape)

    def ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(above, below, out=np.full(total.shape, np.nan), where=below > 0)

    return {
        "classic": ratio(total, over(size)),
        "histocat": ratio(total, some),
        "patch": ratio(many, over(size)),
    }


def cross_l(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    radii: ArrayLike,
    shape: tuple[float, float],
    *,
    same: bool = False,
) -> NDArray[np.float64]:
    r"""Return Ripley's :math:`L_{ab}(r) - r` of two types of cells.

    :math:`L = \sqrt{K / π}`, with pairs weighted by the part of the image in which they could lie
    (translation correction: Ohser 1983), so that 0 is what independent cells have.

    Parameters
    ----------
    first, second
        (N, 2) and (M, 2) centres, in the unit of `shape`.
    radii
        (R,) at which to look, ascending.
    shape
        Height and width of the image.
    same
        Whether `second` is `first`: a cell is then no neighbour of itself.

    Returns
    -------
    numpy.ndarray
        (R,); missing where a type has no cell, or fewer than two with itself.
    """
    radii = np.asarray(radii, float)
    pairs = len(first) * (len(second) - int(same))
    if pairs <= 0:
        return np.full(len(radii), np.nan)
    near = cKDTree(first).sparse_distance_matrix(
        cKDTree(second), float(radii.max()), output_type="coo_matrix"
    )
    keep = near.row != near.col if same else slice(None)
    step = np.abs(first[near.row[keep]] - second[near.col[keep]])
    area = shape[0] * shape[1]
    weight = area / ((shape[0] - step[:, 0]) * (shape[1] - step[:, 1]))
    bins = np.searchsorted(radii, near.data[keep])
    summed = np.cumsum(np.bincount(bins, weight, len(radii) + 1)[: len(radii)])
    return np.sqrt(area * summed / pairs / np.pi) - radii


def morans_i(graph: sparse.csr_array, values: ArrayLike) -> float:
    """Return Moran's I of a quantity on a graph whose rows are scaled to sum to 1, as in squidpy.

    Returns
    -------
    float
        About 0 where neighbours have nothing in common, 1 at most in practice; missing where all
        cells have the same, or none has a neighbour.
    """
    away = np.asarray(values, float)
    away = away - away.mean() if len(away) else away
    neighbours = np.asarray(graph.sum(axis=1), float).ravel()
    total, spread = (neighbours > 0).sum(), (away**2).sum()
    if not total or spread == 0:
        return float("nan")
    around = np.divide(graph @ away, neighbours, out=np.zeros_like(away), where=neighbours > 0)
    return float(len(away) / total * (away @ around) / spread)


def types_from(
    labels: NDArray[np.integer], types: pd.Series, other: NDArray[np.integer], theirs: pd.Series
) -> pd.Series:
    """Give the cells of one mask the types that another mask found in their place.

    Parameters
    ----------
    labels, types
        (H, W) mask, and the type of each of its cells by id.
    other, theirs
        The other mask and its types.

    Returns
    -------
    pandas.Series
        By id of `labels`: the type of most of the cell's pixels, of those that the other mask
        covers; its own type where that mask has no cell.
    """
    both = (labels > 0) & (other > 0)
    seen = pd.DataFrame({"id": labels[both], "type": theirs.reindex(other[both]).to_numpy()})
    if seen.empty:
        return types.copy()
    counts = seen.value_counts(sort=False).rename("pixels").reset_index()
    # The first type by name where two have as many pixels.
    most = counts.sort_values(["id", "pixels", "type"], ascending=[True, False, True])
    found = most.drop_duplicates("id").set_index("id")["type"]
    return found.reindex(types.index).fillna(types)


def geometry_and_types(statistic: NDArray[np.floating]) -> tuple[NDArray, NDArray]:
    """Divide the difference between two masks between where cells lie and what they are.

    Parameters
    ----------
    statistic
        (2, 2, ...): entry (g, t) is computed from the cells of mask g with the types that mask t
        gives them.

    Returns
    -------
    geometry, types : numpy.ndarray
        Their parts, each the mean over both orders of exchange; their sum is
        ``statistic[1, 1] - statistic[0, 0]``.
    """
    s = np.asarray(statistic, float)
    if s.shape[:2] != (2, 2):
        raise InputError(f"statistic: expected two masks by two sources of types, found {s.shape}")
    geometry = ((s[1, 0] - s[0, 0]) + (s[1, 1] - s[0, 1])) / 2
    types = ((s[0, 1] - s[0, 0]) + (s[1, 1] - s[1, 0])) / 2
    return geometry, types


def _graph(edges: NDArray[np.integer], n: int) -> sparse.csr_array:
    """Make a graph of directed edges, each once."""
    edges = np.unique(edges, axis=0)
    ones = np.ones(len(edges))
    return sparse.csr_array((ones, (edges[:, 0], edges[:, 1])), shape=(n, n))


def _both_ways(edges: NDArray[np.integer], n: int) -> sparse.csr_array:
    return _graph(np.concatenate([edges, edges[:, ::-1]]), n)
