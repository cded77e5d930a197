"""The cells that most annotators would draw: one mask out of several, and how sure each cell is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import combinations, pairwise
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import Bounds, LinearConstraint, linear_sum_assignment, milp
from scipy.sparse import block_diag, coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from imc_helpers.errors import InputError
from imc_helpers.metrics import contingency_table

LINKING_IOU = 0.1
"""IoU from which two cells may be one."""
INDIFFERENT_IOU = 0.2
"""IoU at which it is a toss-up whether two cells are one: a pair adds its IoU less this to its
group."""
MOST_CANDIDATES = 5_000
"""Possible groups among cells linked to one another, up to which the best are found exactly."""
KEPT = 0.5
"""Support from which a cell is kept."""
_TIE = 1e-9
"""Sums of weights, or of IoU, that differ by less are the same."""
_WHOLE = 1e-6
"""Shares that are so near to 0 or 1 are so."""


@dataclass(frozen=True, eq=False)
class Consensus:
    """Which cells of several annotators are one, and what they look like."""

    labels: np.ndarray
    """(H, W) uint32 of the cells that are kept, numbered 1 … n in the order of `groups`."""
    groups: np.ndarray
    """(G, N) int64, one row per group: the id of each annotator's cell, 0 for who drew none. In the
    order of their first pixels."""
    outlines: np.ndarray
    """(H, W) uint32 of all groups, kept or not: 1 + the row in `groups`."""
    support: np.ndarray
    """(G,) weighted share of the annotators who drew the cell."""
    kept: np.ndarray
    """(G,) bool: the cells in `labels`. Two annotators drew them at least, and their support is
    `KEPT` or more. (What the next annotator is likely to draw, `imc_helpers.agreement.support`, is
    a harsher choice: it leaves out cells that are there and whose borders are disputed.)"""
    gap: float
    """What better groups could gain at most, in summed IoU; 0 where the groups are the best."""


_Gains: TypeAlias = Mapping[tuple[int, int], float]
"""What each linked pair of cells adds to its group; any other pair takes `INDIFFERENT_IOU` away."""


def consensus(masks: Sequence[np.ndarray], weights: ArrayLike | None = None) -> Consensus:
    """Find the cells that several annotators have in common, each as most of its drawers drew it.

    Cells are put into groups, with one cell of an annotator at most, so that the sum over all pairs
    within groups of IoU - `INDIFFERENT_IOU` is largest: exactly where the cells linked to one
    another (IoU of `LINKING_IOU` or more) allow up to `MOST_CANDIDATES` groups, and else by joining
    the two groups that are most alike on average, again and again, with the possible loss reported
    (`Consensus.gap`). A chain of overlaps does not make one cell of two, and neither ids nor the
    order of the masks plays a part.

    A pixel belongs to a group when at least half of its drawers, by weight, gave it to the group;
    where there are two such groups, to the one with the larger share, and what one person alone
    drew gives way. Of a cell in pieces the largest stays. (Half is enough: more than half would
    mean three of four, and small cells shrink so much by it that consensus masks of the phantom
    lose more than .05 in ap50.)

    Parameters
    ----------
    masks
        (H, W) label images of one sample, two or more.
    weights
        (N,) how much each annotator counts, one over the personal error for instance; the same for
        each when not given.

    Returns
    -------
    Consensus
        With two annotators, a cell is kept when both drew it.

    Raises
    ------
    InputError
        If there are fewer than two masks, shapes differ, or a weight is not above 0.
    """
    if len(masks) < 2:
        raise InputError(f"consensus: expected two masks or more, found {len(masks)}")
    if len({np.shape(mask) for mask in masks}) > 1:
        raise InputError("consensus: expected masks of one shape")
    says = np.ones(len(masks)) if weights is None else np.asarray(weights, float)
    if says.shape != (len(masks),) or not (np.isfinite(says) & (says > 0)).all():
        raise InputError(f"weights: expected {len(masks)} numbers above 0, found {weights!r}")
    numbered, ids = zip(*(_by_first_pixel(np.asarray(mask)) for mask in masks), strict=True)
    # What the masks look like decides in which order they are gone through, so theirs does not.
    order = sorted(range(len(masks)), key=lambda k: (says[k], numbered[k].tobytes()))
    members, owner, cell, gap = _group([numbered[k] for k in order])
    groups = np.zeros((len(members), len(masks)), np.int64)
    for row, cells in enumerate(members):
        groups[row, owner[cells]] = cell[cells]
    outlines = _draw([numbered[k] for k in order], groups, says[order])
    outlines, drawn = _by_first_pixel(outlines)
    groups = groups[drawn[1:] - 1][:, np.argsort(order)]
    groups = np.stack([own[column] for own, column in zip(ids, groups.T, strict=True)], axis=1)
    support = (groups > 0) @ says / says.sum()
    kept = ((groups > 0).sum(axis=1) > 1) & (support >= KEPT - _TIE)
    labels = np.r_[0, np.cumsum(kept) * kept][outlines].astype(np.uint32)
    return Consensus(labels, groups, outlines, support, kept, gap)


def _by_first_pixel(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give cells the numbers 1 … n as they begin, row by row; also return their ids, after a 0."""
    inverse, found = pd.factorize(mask.ravel())  # in the order of appearance
    cells = found > 0
    number = np.where(cells, np.cumsum(cells), 0).astype(np.uint32)
    return number[inverse].reshape(mask.shape), np.r_[0, found[cells]].astype(np.int64)


def _group(
    masks: Sequence[np.ndarray],
) -> tuple[list[list[int]], np.ndarray, np.ndarray, float]:
    """Put cells, counted through all masks, into groups.

    Returns the cells of each group, the mask and the number within it of each cell, and what the
    groups may fall short of the best.
    """
    counts = [int(mask.max(initial=0)) for mask in masks]
    owner = np.repeat(np.arange(len(masks)), counts)
    starts = np.cumsum([0, *counts])
    gains: dict[tuple[int, int], float] = {}
    for a, b in combinations(range(len(masks)), 2):
        table = contingency_table(masks[a], masks[b])
        close = table.iou >= LINKING_IOU
        ends = starts[a] + table.i[close], starts[b] + table.j[close]
        pairs = zip(*(end.tolist() for end in ends), strict=True)
        gains |= zip(pairs, (table.iou[close] - INDIFFERENT_IOU).tolist(), strict=True)
    one, two = np.array([*gains], int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(gains)), (one, two)), shape=(len(owner),) * 2)
    part = connected_components(graph, directed=False)[1] if len(owner) else owner
    by_part = np.split(np.argsort(part, kind="stable"), np.cumsum(np.bincount(part))[:-1])
    groups: list[list[int]] = []
    searched: list[list[list[int]]] = []
    gap = 0.0
    whole = _one_group(part, owner, one[[gain > 0 for gain in gains.values()]])
    for cells, is_one in zip(by_part, whole, strict=True) if len(owner) else []:
        if is_one:
            groups.append(cells.tolist())
            continue
        owned = [cells[owner[cells] == a].tolist() for a in range(len(masks))]
        if np.prod([1.0 + len(own) for own in owned]) - 1 <= MOST_CANDIDATES:
            searched.append(owned)
        else:
            joined, lost = _joined(owned, gains)
            groups += joined
            gap += lost
    groups += _exact(searched, gains)
    return groups, owner, np.arange(len(owner)) - starts[owner] + 1, gap


def _one_group(part: np.ndarray, owner: np.ndarray, gaining: np.ndarray) -> np.ndarray:
    """Say of which parts all cells make one group: no two of one annotator, and each pair gains.

    So it is for most cells, and there is nothing to search. ``gaining`` is the first cell of each
    pair that gains.
    """
    n_parts = int(part.max(initial=-1)) + 1
    sizes, pairs = (np.bincount(part[of], minlength=n_parts) for of in (slice(None), gaining))
    once = np.unique(np.stack([part, owner]), axis=1)[0]
    several = np.bincount(once, minlength=n_parts) < sizes
    return ~several & (pairs == sizes * (sizes - 1) // 2)


def _worth(cells: Sequence[int], gains: _Gains) -> float:
    return sum(gains.get(pair, -INDIFFERENT_IOU) for pair in combinations(cells, 2))


def _candidates(owned: Sequence[Sequence[int]], gains: _Gains) -> tuple[np.ndarray, np.ndarray]:
    """List possible groups and what each is worth.

    A group with a cell that adds nothing is left out: it is worth no more than without that cell.

    Returns
    -------
    groups
        (K, N) the cell of each annotator; -1 for none.
    worth
        (K,) above 0.
    """
    cells = np.array([*(cell for own in owned for cell in own), -1])
    gain = np.full((len(cells), len(cells)), -INDIFFERENT_IOU)
    for a, b in combinations(range(len(cells) - 1), 2):
        gain[a, b] = gain[b, a] = gains.get((int(cells[a]), int(cells[b])), -INDIFFERENT_IOU)
    np.fill_diagonal(gain, 0)
    gain[-1] = gain[:, -1] = 0  # the last stands for nobody
    starts = np.cumsum([0, *map(len, owned)])
    choices = [[-1, *range(a, b)] for a, b in pairwise(starts)]
    possible = np.stack(np.meshgrid(*choices, indexing="ij"), -1).reshape(-1, len(owned))
    of_cell = gain[possible[:, :, None], possible[:, None, :]].sum(axis=2)
    good = ((of_cell > 0) | (possible < 0)).all(axis=1) & (possible >= 0).any(axis=1)
    return cells[possible[good]], of_cell[good].sum(axis=1) / 2


def _exact(parts: Sequence[Sequence[Sequence[int]]], gains: _Gains) -> list[list[int]]:
    """Find the disjoint groups of largest worth of each part; a cell left over is a group alone."""
    groups: list[list[int]] = []
    unsolved: list[tuple[np.ndarray, np.ndarray]] = []
    for owned in parts:
        found, worth = _candidates(owned, gains)
        chosen: list[list[int]] = []
        for k in np.argsort(-worth, kind="stable"):
            if not set(found[k]) & {cell for group in chosen for cell in group}:
                chosen.append([int(cell) for cell in found[k] if cell >= 0])
        if sum(_worth(group, gains) for group in chosen) < _bound(owned, gains) - _TIE:
            unsolved.append((found, worth))
        else:
            groups += chosen
    for (found, _), chosen_rows in zip(unsolved, _packed(unsolved), strict=True):
        groups += [[int(cell) for cell in one if cell >= 0] for one in found[chosen_rows]]
    taken = {cell for group in groups for cell in group}
    cells = (cell for owned in parts for own in owned for cell in own)
    return [*groups, *([cell] for cell in cells if cell not in taken)]


def _packed(problems: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Choose disjoint groups of largest worth: bool, one array per problem.

    Where fractions of groups are allowed, all problems are solved at once in the time of one or
    two, and the best fractions are nearly always 0 and 1. Whole numbers are asked for where not.
    """
    if not problems:
        return []
    worth = [own for _, own in problems]
    allowed = [_at_most_once(found) for found, _ in problems]
    relaxed = milp(
        -np.concatenate(worth),
        constraints=LinearConstraint(block_diag(allowed, format="csr"), ub=1),
        bounds=Bounds(0, 1),
    )
    chosen = np.split(relaxed.x, np.cumsum([len(own) for own in worth])[:-1])
    for k, shares in enumerate(chosen):
        if np.abs(shares - shares.round()).max() > _WHOLE:
            chosen[k] = milp(
                -worth[k],
                constraints=LinearConstraint(allowed[k], ub=1),
                integrality=np.ones(len(worth[k])),
                bounds=Bounds(0, 1),
                options={"mip_rel_gap": 0},
            ).x
    return [shares > 0.5 for shares in chosen]


def _at_most_once(groups: np.ndarray) -> coo_array:
    """Return which group, a column, holds which cell, a row: (n_cells, n_groups)."""
    group, which = np.nonzero(groups >= 0)
    row = np.unique(groups[group, which], return_inverse=True)[1]
    return coo_array((np.ones(len(row)), (row, group)), shape=(row.max() + 1, len(groups)))


def _bound(owned: Sequence[Sequence[int]], gains: _Gains) -> float:
    """Add up the best matchings of each two annotators: no groups are worth more."""
    bound = 0.0
    for one, two in combinations(owned, 2):
        table = np.array([[max(gains.get((a, b), 0.0), 0.0) for b in two] for a in one])
        if table.size:
            bound += float(table[linear_sum_assignment(table, maximize=True)].sum())
    return bound


def _joined(owned: Sequence[Sequence[int]], gains: _Gains) -> tuple[list[list[int]], float]:
    """Join groups, the most alike first; also say what better groups could be worth more, at most.

    Groups are as alike as their cells are on average, over all pairs.
    """
    groups = {cell: [cell] for own in owned for cell in own}
    owners = {cell: {a} for a, own in enumerate(owned) for cell in own}
    # By group and linked group: the summed gain of the linked pairs, and how many those are.
    linked: dict[int, dict[int, tuple[float, int]]] = {cell: {} for cell in groups}
    for (one, two), gain in gains.items():
        if one in groups:
            linked[one][two] = linked[two][one] = gain, 1

    def likeness(one: int, two: int) -> float:
        gain, n = linked[one][two]
        pairs = len(groups[one]) * len(groups[two])
        return (gain - INDIFFERENT_IOU * (pairs - n)) / pairs

    queue = [(-likeness(one, two), one, two) for one in linked for two in linked[one] if one < two]
    heapify(queue)
    while queue and queue[0][0] < 0:
        less, one, two = heappop(queue)
        outdated = one not in groups or two not in groups or -less != likeness(one, two)
        if outdated or owners[one] & owners[two]:
            continue
        groups[one] += groups.pop(two)
        owners[one] |= owners.pop(two)
        for other, (gain, n) in linked.pop(two).items():
            del linked[other][two]
            if other != one:
                before, pairs = linked[one].get(other, (0.0, 0))
                linked[one][other] = linked[other][one] = before + gain, pairs + n
        for other in linked[one]:
            low, high = min(one, other), max(one, other)
            heappush(queue, (-likeness(low, high), low, high))
    found = [sorted(group) for group in groups.values()]
    return found, _bound(owned, gains) - sum(_worth(group, gains) for group in found)


def _draw(masks: Sequence[np.ndarray], groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Draw groups, 1 + their row, where at least half of their drawers are, in one piece each."""
    of = np.zeros((len(masks), *masks[0].shape), np.int64)
    for k, (mask, column) in enumerate(zip(masks, groups.T, strict=True)):
        group_of = np.zeros(int(mask.max(initial=0)) + 1, np.int64)
        rows = np.flatnonzero(column)
        group_of[column[rows]] = rows + 1
        of[k] = group_of[mask]
    drawers = np.r_[1.0, (groups > 0) @ weights]
    several = np.r_[False, (groups > 0).sum(axis=1) > 1]
    drawn = np.zeros(of.shape[1:], np.int64)
    best = np.zeros(of.shape[1:])
    for group in of:
        share = np.tensordot(weights, of == group, axes=1) / drawers[group]
        # What one person alone drew gives way to what several did.
        claim = np.where(share >= 0.5 - _TIE, share + several[group], 0)
        better = (group > 0) & (claim > best + _TIE)
        drawn, best = np.where(better, group, drawn), np.where(better, claim, best)
    pieces, n = label(drawn, return_num=True, connectivity=2)
    sizes = np.bincount(pieces.ravel(), minlength=n + 1)
    whose = np.zeros(n + 1, np.int64)
    whose[pieces] = drawn
    order = np.lexsort((np.arange(n + 1), -sizes, whose))
    largest = np.zeros(n + 1, bool)
    largest[order[np.unique(whose[order], return_index=True)[1]]] = True
    return np.where(largest[pieces], drawn, 0)
