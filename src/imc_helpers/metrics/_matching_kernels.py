"""Compiled one-to-one matchings on the sparse graph of overlapping objects.

Objects are vertices, overlaps are edges `(i, j)`. All arrays are 1-D; `i` and `j` are int32.
"""

import heapq
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imc_helpers.metrics._jit import kernel

Array: TypeAlias = NDArray[Any]

# IoUs are summed as whole multiples of 2**-40, so that equal sums are equal exactly. The squares
# that decide between equal sums are those of multiples of 2**-24.
IOU_SCALE = 2.0**40
TIE_SCALE = 2.0**24


@kernel
def assignment_weights(iou: Array) -> tuple[Array, Array]:
    """Turn IoUs into the two whole-number weights of a global assignment."""
    first = np.empty(iou.size, np.int64)
    second = np.empty(iou.size, np.int64)
    for edge in range(iou.size):
        first[edge] = max(1, np.int64(np.rint(iou[edge] * IOU_SCALE)))
        second[edge] = np.int64(np.rint(iou[edge] * TIE_SCALE)) ** 2
    return first, second


@kernel
def _adjacency(ends: Array, n_vertices: int) -> tuple[Array, Array]:
    """List the edges of each vertex: those of vertex v are `edges[starts[v]:starts[v + 1]]`."""
    starts = np.zeros(n_vertices + 1, np.int64)
    for end in ends:
        starts[end + 1] += 1
    for vertex in range(n_vertices):
        starts[vertex + 1] += starts[vertex]
    filled = starts[:-1].copy()
    edges = np.empty(ends.size, np.int64)
    for edge in range(ends.size):
        edges[filled[ends[edge]]] = edge
        filled[ends[edge]] += 1
    return starts, edges


@kernel
def _best_other(
    edges: Array, alive: Array, far_end: Array, skipped: int, first: Array, second: Array
) -> tuple[Any, Any, Any]:
    """Give the heaviest edge to a living vertex, one edge skipped, and its two weights."""
    best = -1
    best_first = np.int64(0)
    best_second = np.int64(0)
    for edge in edges:
        if edge == skipped or not alive[far_end[edge]]:
            continue
        if (
            best < 0
            or first[edge] > best_first
            or (first[edge] == best_first and second[edge] > best_second)
        ):
            best = edge
            best_first = first[edge]
            best_second = second[edge]
    return best, best_first, best_second


@kernel
def heaviest_matching(
    i: Array, j: Array, n_true: int, n_pred: int, first: Array, second: Array
) -> Array:
    """Find a one-to-one matching of the largest total weight, exactly.

    Weights are pairs of whole numbers, `first` positive, compared and summed as pairs: `first`
    decides, and `second` where sums of `first` are equal.

    Two steps. *Fix*: an edge that weighs at least as much as the best other edges at its two ends
    together belongs to an optimal matching, so its ends leave the graph; repeat while that pays.
    Between two segmentations that fixes nearly everything. *Augment*: true objects that are
    left enter one by one, each along the alternating path of the largest gain, which keeps the
    matching optimal for those that have entered (the Hungarian method with shortest paths; Jonker
    and Volgenant 1987). Prices of vertices, which add up to an edge's weight or more, make every
    step of a path a loss, so the search goes from the nearest vertex to the next and stops early.

    Returns
    -------
    int64 array
        The chosen edges, in no particular order.
    """
    true_starts, true_edges = _adjacency(i, n_true)
    pred_starts, pred_edges = _adjacency(j, n_pred)
    true_alive = np.ones(n_true, np.bool_)
    pred_alive = np.ones(n_pred, np.bool_)
    chosen = np.empty(min(n_true, n_pred), np.int64)
    n_chosen = 0

    waiting = np.arange(n_true)
    n_waiting = n_true
    while True:
        n_kept = 0
        for position in range(n_waiting):
            u = waiting[position]
            at_u = true_edges[true_starts[u] : true_starts[u + 1]]
            edge, weight, tie = _best_other(at_u, pred_alive, j, -1, first, second)
            if edge < 0:
                true_alive[u] = False
                continue
            v = j[edge]
            at_v = pred_edges[pred_starts[v] : pred_starts[v + 1]]
            _, u_weight, u_tie = _best_other(at_u, pred_alive, j, edge, first, second)
            _, v_weight, v_tie = _best_other(at_v, true_alive, i, edge, first, second)
            others = u_weight + v_weight
            if weight > others or (weight == others and tie >= u_tie + v_tie):
                true_alive[u] = False
                pred_alive[v] = False
                chosen[n_chosen] = edge
                n_chosen += 1
            else:
                waiting[n_kept] = u
                n_kept += 1
        n_left = n_waiting - n_kept
        n_waiting = n_kept
        if 16 * n_left <= n_waiting:  # sweeps have to pay: a long chain may lose one edge in each
            break

    true_edge = np.full(n_true, -1, np.int64)  # the edge by which a vertex is matched
    pred_edge = np.full(n_pred, -1, np.int64)
    true_price = np.zeros((n_true, 2), np.int64)
    pred_price = np.zeros((n_pred, 2), np.int64)
    reached_by = np.full(n_pred, -1, np.int64)  # the edge by which a search reached the vertex
    distance = np.zeros((n_pred, 2), np.int64)
    touched = np.empty(n_pred, np.int64)
    passed = np.empty(n_pred, np.int64)
    heap = [(np.int64(0), np.int64(0), np.int64(0))]
    for root in waiting[:n_waiting]:
        limit = (np.int64(0), np.int64(0))
        for edge in true_edges[true_starts[root] : true_starts[root + 1]]:
            v = j[edge]
            if pred_alive[v]:
                worth = (first[edge] - pred_price[v, 0], second[edge] - pred_price[v, 1])
                if worth > limit:  # noqa: PLR1730  (Numba has no max of tuples)
                    limit = worth
        true_price[root, 0], true_price[root, 1] = limit

        last = -1  # predicted object at the end of the path; none: the root stays alone
        n_touched = 0
        n_passed = 0
        heap.clear()
        u = root
        walked = (np.int64(0), np.int64(0))
        while True:
            alone = (walked[0] + true_price[u, 0], walked[1] + true_price[u, 1])
            if alone < limit:  # the path may end by leaving this true object without its partner
                limit = alone
                last = j[true_edge[u]]
            for edge in true_edges[true_starts[u] : true_starts[u + 1]]:
                v = j[edge]
                if not pred_alive[v] or edge == true_edge[u]:
                    continue
                there = (
                    alone[0] + pred_price[v, 0] - first[edge],
                    alone[1] + pred_price[v, 1] - second[edge],
                )
                if there >= limit:
                    continue
                if reached_by[v] < 0:
                    touched[n_touched] = v
                    n_touched += 1
                elif there >= (distance[v, 0], distance[v, 1]):
                    continue
                reached_by[v] = edge
                distance[v, 0], distance[v, 1] = there
                if pred_edge[v] < 0:
                    limit = there
                    last = v
                else:
                    heapq.heappush(heap, (there[0], there[1], np.int64(v)))
            found = False
            while len(heap) > 0 and not found:
                nearest = heapq.heappop(heap)
                v = nearest[2]
                walked = (nearest[0], nearest[1])
                if walked >= limit:
                    break
                # An entry that is no longer the vertex's distance has been overtaken.
                found = walked == (distance[v, 0], distance[v, 1])
            if not found:
                break
            passed[n_passed] = v
            n_passed += 1
            u = i[pred_edge[v]]

        true_price[root, 0] -= limit[0]
        true_price[root, 1] -= limit[1]
        for v in passed[:n_passed]:
            mate = i[pred_edge[v]]
            for part in range(2):
                slack = limit[part] - distance[v, part]
                pred_price[v, part] += slack
                true_price[mate, part] -= slack
        if last >= 0:
            if pred_edge[last] >= 0:
                true_edge[i[pred_edge[last]]] = -1
            v = last
            while True:
                edge = reached_by[v]
                u = i[edge]
                previous = true_edge[u]
                true_edge[u] = edge
                pred_edge[v] = edge
                if u == root:
                    break
                v = j[previous]
        reached_by[touched[:n_touched]] = -1

    for u in range(n_true):
        if true_edge[u] >= 0:
            chosen[n_chosen] = true_edge[u]
            n_chosen += 1
    return chosen[:n_chosen]


@kernel
def matching_levels(
    i: Array, j: Array, n_true: int, n_pred: int, iou: Array, order: Array
) -> Array:
    """Find the IoUs at which the largest one-to-one matching grows by one, in falling order.

    TP(t), the size of the largest matching among pairs of IoU >= t, is the number of levels >= t.
    Pairs enter in `order`, that of falling IoU; each makes the matching larger by one or not at
    all. It does exactly when both its ends are *even*: reachable from an unmatched object of their
    own side by a path that alternates between pairs outside and inside the matching (Berge 1957;
    Dulmage and Mendelsohn 1958). A forest of such paths, rooted at the unmatched objects, is kept
    up to date: a pair that does not enlarge the matching may let a tree grow, and an enlargement
    takes two trees down and regrows what other trees still reach. At high IoU all trees are single
    objects, and at low IoU trees are many and small, so that each step is local.
    """
    n_vertices = n_true + n_pred  # predicted object j is vertex n_true + j
    mate = np.full(n_vertices, -1, np.int32)
    parent = np.full(n_vertices, -1, np.int32)  # of odd vertices: the even one they hang from
    root = np.arange(n_vertices).astype(np.int32)  # of even vertices; -1 where not even
    sibling = np.full(n_vertices, -1, np.int32)  # the next even vertex of the same tree
    first_half = np.full(n_vertices, -1, np.int32)  # adjacency: half-edge 2e leads to j, 2e+1 to i
    next_half = np.empty(2 * i.size, np.int32)
    stack = np.empty(n_vertices, np.int32)
    fallen = np.empty(n_vertices, np.int32)
    levels = np.empty(min(n_true, n_pred), np.float64)
    n_levels = 0

    for edge in order:
        if n_levels == levels.size:
            break
        u = np.int32(i[edge])
        v = np.int32(n_true + j[edge])
        next_half[2 * edge] = first_half[u]
        first_half[u] = 2 * edge
        next_half[2 * edge + 1] = first_half[v]
        first_half[v] = 2 * edge + 1

        n_stack = 0
        n_fallen = 0
        if root[u] >= 0 and root[v] >= 0:
            levels[n_levels] = iou[edge]
            n_levels += 1
            roots = (root[u], root[v])
            for start, end in ((u, v), (v, u)):
                # Shift the matching along the tree, from the new pair up to the root.
                even = start
                partner = end
                while True:
                    freed = mate[even]
                    mate[even] = partner
                    if freed < 0:
                        break
                    partner = freed
                    even = parent[freed]
                    mate[partner] = even
            for tree in roots:
                vertex = tree
                while vertex >= 0:
                    following = sibling[vertex]
                    root[vertex] = -1
                    sibling[vertex] = -1
                    odd = mate[vertex]
                    if parent[odd] >= 0:
                        parent[odd] = -1
                        fallen[n_fallen] = odd
                        n_fallen += 1
                    vertex = following
        elif root[u] >= 0 and parent[v] < 0:
            parent[v] = u
            stack[0] = v
            n_stack = 1
        elif root[v] >= 0 and parent[u] < 0:
            parent[u] = v
            stack[0] = u
            n_stack = 1

        k = 0
        while True:
            while n_stack > 0:
                n_stack -= 1
                odd = stack[n_stack]
                even = mate[odd]
                tree = root[parent[odd]]
                root[even] = tree
                sibling[even] = sibling[tree]
                sibling[tree] = even
                half = first_half[even]
                while half >= 0:
                    far = np.int32(n_true + j[half // 2] if half % 2 == 0 else i[half // 2])
                    if far != odd and parent[far] < 0:
                        parent[far] = even
                        stack[n_stack] = far
                        n_stack += 1
                    half = next_half[half]
            if k == n_fallen:
                break
            # A vertex of a fallen tree hangs on, if an even vertex of another tree touches it.
            odd = fallen[k]
            k += 1
            if parent[odd] >= 0:
                continue
            half = first_half[odd]
            while half >= 0:
                far = np.int32(n_true + j[half // 2] if half % 2 == 0 else i[half // 2])
                if root[far] >= 0:
                    parent[odd] = far
                    stack[0] = odd
                    n_stack = 1
                    break
                half = next_half[half]
    return levels[:n_levels]
