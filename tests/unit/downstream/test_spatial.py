"""Graphs and contacts: small ones by hand, chance by permutation."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from imc_helpers.downstream.spatial import (
    contact_counts,
    cross_l,
    delaunay,
    enrichment,
    expanded,
    expected_counts,
    geometry_and_types,
    interactions,
    morans_i,
    nearest,
    permutation_z,
    types_from,
    within,
)
from imc_helpers.errors import InputError

LINE = np.array([[0.0, 0], [0, 1], [0, 3], [0, 7]])
A_PATH = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]])


def path():
    """Give four cells in a row, each joined to the next."""
    return within(np.array([[0.0, 0], [0, 1], [0, 2], [0, 3]]), 1.0)


def test_graphs_of_a_line():
    assert (path().toarray() == A_PATH).all()
    towards = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert (nearest(LINE, 1).toarray() == towards).all()
    assert nearest(LINE, 9).nnz == 12, "no more neighbours than there are"
    assert delaunay(LINE).nnz == 0, "a line has no triangles"


def test_cells_with_one_centre_are_neighbours_and_not_their_own():
    graph = nearest(np.zeros((3, 2)), 2).toarray()
    assert (graph == 1 - np.eye(3)).all()


def test_delaunay_of_a_square_with_its_middle():
    corners = np.array([[0.0, 0], [0, 2], [2, 0], [2, 2], [1, 1]])
    graph = delaunay(corners).toarray()
    assert graph[4, :4].sum() == 4
    assert (graph == graph.T).all()
    assert graph.sum() == 2 * 8


def test_expansion_joins_cells_over_a_gap():
    labels = np.zeros((3, 20), int)
    labels[:, 0:2], labels[:, 6:8], labels[:, 19] = 7, 3, 5
    graph = expanded(labels).toarray()  # rows: ids 3, 5, 7
    assert graph.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("n", [0, 1])
def test_no_cell_and_one_cell_have_no_neighbours(n):
    centres = np.zeros((n, 2))
    for graph in (nearest(centres), delaunay(centres), within(centres)):
        assert graph.shape == (n, n)
        assert graph.nnz == 0
        assert np.isnan(enrichment(graph, np.zeros(n, int), 2)).all()
        assert np.isnan(morans_i(graph, np.zeros(n)))
        assert np.isnan(permutation_z(graph, np.zeros(n, int), 2, permutations=3)).all()
    assert expanded(np.zeros((4, 4), int)).shape == (0, 0)


def test_contacts_by_hand():
    counts = contact_counts(path(), [0, 0, 1, 0], 3)
    assert counts.tolist() == [[2, 2, 0], [2, 0, 0], [0, 0, 0]]


def test_expected_contacts_are_the_mean_over_all_ways_to_deal_types():
    from itertools import permutations

    types = [0, 0, 1, 0]
    every = [contact_counts(path(), list(p), 2) for p in permutations(types)]
    assert expected_counts(path(), types, 2) == pytest.approx(np.mean(every, axis=0))


def test_enrichment_does_not_grow_with_cells_but_z_does():
    rng = np.random.default_rng(2)
    few = rng.uniform(0, 100, (300, 2))
    many = np.concatenate([few, few + np.array([0, 1000])])
    types = (few[:, 0] > 50).astype(int)
    small, large = within(few, 10.0), within(many, 10.0)
    both = np.concatenate([types, types])
    assert enrichment(large, both, 2)[0, 0] == pytest.approx(
        enrichment(small, types, 2)[0, 0], abs=0.02
    )
    z_small = permutation_z(small, types, 2, permutations=200)[0, 0]
    z_large = permutation_z(large, both, 2, permutations=200)[0, 0]
    assert z_large > 1.2 * z_small > 0


def test_types_without_order_are_neither_enriched_nor_depleted():
    rng = np.random.default_rng(4)
    graph = nearest(rng.uniform(0, 500, (2000, 2)))
    types = rng.integers(0, 3, 2000)
    assert np.abs(enrichment(graph, types, 3)).max() < 0.15
    assert np.abs(permutation_z(graph, types, 3, permutations=300)).max() < 4


def test_absent_types_are_missing():
    found = enrichment(path(), [0, 0, 1, 0], 3)
    assert np.isnan(found[2]).all()
    assert np.isnan(found[1, 1]), "a single cell has no other of its type"
    assert np.isfinite(found[:2, 0]).all()


def test_interactions_by_hand():
    found = interactions(path(), [0, 0, 1, 0], 2, patch=1)
    assert found["classic"].tolist() == pytest.approx(np.array([[2 / 3, 2 / 3], [2, 0]]))
    assert found["histocat"][0].tolist() == [1, 1]
    assert np.isnan(found["histocat"][1, 1])
    assert found["patch"].tolist() == pytest.approx(np.array([[2 / 3, 2 / 3], [1, 0]]))


def test_cross_l_is_zero_for_independent_cells_and_high_for_pairs():
    rng = np.random.default_rng(1)
    shape, radii = (400.0, 300.0), np.array([5.0, 10, 20])
    first, second = (rng.uniform(0, 1, (3000, 2)) * shape for _ in range(2))
    assert np.abs(cross_l(first, second, radii, shape)).max() < 0.5
    assert np.abs(cross_l(first, first, radii, shape, same=True)).max() < 0.5
    beside = np.clip(first + rng.normal(0, 1, first.shape), 0, shape)
    # Every cell has one more neighbour than chance gives it: K grows by the area per cell.
    expected = np.sqrt(5.0**2 + 400 * 300 / 3000 / np.pi) - 5
    assert cross_l(first, beside, radii, shape)[0] == pytest.approx(expected, abs=0.15)
    assert np.isnan(cross_l(first[:1], first[:1], radii, shape, same=True)).all()


def test_cross_l_counts_pairs_by_hand():
    first, second = np.array([[5.0, 5]]), np.array([[5.0, 7], [5, 9.5]])
    # One pair 2 apart: weight 100 / (10 * 8), K = 100 * weight / 2 pairs.
    expected = np.sqrt(100 * (100 / 80) / 2 / np.pi) - 3
    assert cross_l(first, second, [1.0, 3.0], (10.0, 10.0)) == pytest.approx([-1.0, expected])


def test_morans_i_by_hand():
    values = np.array([1.0, 2, 3, 4])
    weights = A_PATH / A_PATH.sum(axis=1, keepdims=True)
    away = values - values.mean()
    by_hand = (weights * np.outer(away, away)).sum() / (away**2).sum()
    assert morans_i(path(), values) == pytest.approx(by_hand)
    assert np.isnan(morans_i(path(), np.ones(4)))


def test_nearest_agrees_with_all_distances():
    centres = np.random.default_rng(8).uniform(0, 50, (60, 2))
    apart = cdist(centres, centres)
    np.fill_diagonal(apart, np.inf)
    graph = nearest(centres, 4).toarray().astype(bool)
    for row, own in zip(apart, graph, strict=True):
        assert set(np.flatnonzero(own)) == set(np.argsort(row)[:4])


def test_types_come_from_the_other_mask_where_it_has_cells():
    labels = np.array([[1, 1, 1, 2, 2, 0, 3]])
    other = np.array([[8, 8, 9, 9, 0, 9, 0]])
    own = pd.Series(["T", "T", "B"], index=[1, 2, 3])
    theirs = pd.Series(["M", "B"], index=[8, 9])
    assert types_from(labels, own, other, theirs).to_dict() == {1: "M", 2: "B", 3: "B"}


def test_geometry_and_types_add_up():
    statistic = np.random.default_rng(0).normal(size=(2, 2, 3, 3))
    geometry, types = geometry_and_types(statistic)
    assert geometry + types == pytest.approx(statistic[1, 1] - statistic[0, 0])
    same_cells = statistic.copy()
    same_cells[1] = same_cells[0]
    assert (geometry_and_types(same_cells)[0] == 0).all()
    with pytest.raises(InputError, match="two masks"):
        geometry_and_types(np.zeros((2, 3)))


def tissue(rng):
    """Cells of 6 x 6 px on a grid, a fifth of them macrophages (type 1)."""
    labels = np.kron(np.arange(1, 401).reshape(20, 20), np.ones((6, 6), int))
    types = pd.Series((rng.random(400) < 0.2).astype(int), index=np.arange(1, 401))
    return labels, types


def homotypic(labels, types):
    ids = np.unique(labels[labels > 0])
    rows, columns = np.nonzero(labels)
    of = np.searchsorted(ids, labels[rows, columns])
    n = np.bincount(of)
    centres = np.stack([np.bincount(of, rows) / n, np.bincount(of, columns) / n], axis=1)
    return enrichment(within(centres, 6.5), types.loc[ids].to_numpy(), 2)[1, 1]


def test_split_macrophages_look_like_friends_until_their_pieces_are_joined():
    rng = np.random.default_rng(6)
    labels, types = tissue(rng)
    before = homotypic(labels, types)
    macrophages = types.index[types == 1].to_numpy()
    chosen = rng.choice(macrophages, len(macrophages) // 5, replace=False)
    split, split_types = labels.copy(), types.copy()
    for new, cell in enumerate(chosen, start=401):
        rows, columns = np.nonzero(labels == cell)
        right = columns >= columns.min() + 3
        split[rows[right], columns[right]] = new
        split_types[new] = 1
    assert homotypic(split, split_types) > before + 0.2
    joined = split.copy()
    for new, cell in enumerate(chosen, start=401):
        joined[split == new] = cell
    assert homotypic(joined, types) == before
