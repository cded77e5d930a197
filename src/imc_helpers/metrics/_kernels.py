"""Compiled loops: over pixels, over the graph of overlapping objects, and over both for one crop.

One file for all of them, because a kernel that Numba has kept on disk is renewed when its own file
changes, but not when a kernel of another file does.

Images arrive as three axes (planes, rows, columns), both of one dtype; a 2-D image is one plane. In
the graph, objects are vertices and overlaps are edges `(i, j)`: int32 positions of a true and of a
predicted object.
"""

import heapq
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imc_helpers.metrics._jit import kernel

Array: TypeAlias = NDArray[Any]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: Fibonacci hashing
HALF_WORD = np.uint64(32)
LOW_HALF = 0xFFFFFFFF
ONE = np.uint64(1)


@kernel
def _slot(table: Array, key: Any) -> Any:
    """Find the row of a hash table that holds a key in column 0, or the empty row (0) for it."""
    mask = np.uint64(table.shape[0] - 1)  # tables have a power of 2 of rows
    slot = ((np.uint64(key) * GOLDEN) >> HALF_WORD) & mask
    while table[slot, 0] != key and table[slot, 0] != 0:
        slot = (slot + ONE) & mask
    return slot


@kernel
def _doubled(table: Array) -> Array:
    """Move a hash table to one of twice the rows."""
    larger = np.zeros((2 * table.shape[0], 2), np.int64)
    for row in range(table.shape[0]):
        if table[row, 0] != 0:
            slot = _slot(larger, table[row, 0])
            larger[slot, 0] = table[row, 0]
            larger[slot, 1] = table[row, 1]
    return larger


@kernel
def _power_of_two(least: int) -> int:
    power = 1
    while power < least:
        power *= 2
    return power


@kernel
def _count_label_pairs(true: Array, pred: Array, n_expected: int) -> Array:
    """Count the pixels of every pair of labels, background included.

    Pixels are taken in runs along a row over which neither image changes. Where runs end is found
    first, without a branch: a processor that guesses the ends of short runs mostly guesses wrong.
    A pair is met again within a few rows, while its slot is still in the cache.

    Returns
    -------
    (n, 2) int64 array
        A hash table: key, 1 + 2**32 * true label + predicted label, and count.
    """
    planes, rows, columns = true.shape
    table = np.zeros((_power_of_two(2 * (n_expected + columns)), 2), np.int64)
    mask = np.uint64(table.shape[0] - 1)
    n_keys = 0
    ends = np.empty(columns, np.int64)
    changes = np.empty(columns, np.uint8)
    for plane in range(planes):
        for row in range(rows):
            true_row = true[plane, row]
            pred_row = pred[plane, row]
            for column in range(1, columns):
                changes[column] = (true_row[column] != true_row[column - 1]) | (
                    pred_row[column] != pred_row[column - 1]
                )
            n_runs = 0
            for column in range(1, columns):
                ends[n_runs] = column
                n_runs += changes[column]
            ends[n_runs] = columns
            start = 0
            for end in ends[: n_runs + 1]:
                key = 1 + (np.int64(true_row[start]) << 32) + np.int64(pred_row[start])
                slot = ((np.uint64(key) * GOLDEN) >> HALF_WORD) & mask
                while table[slot, 0] != key:  # `_slot`, spelled out: the hottest line of all
                    if table[slot, 0] == 0:
                        table[slot, 0] = key
                        n_keys += 1
                        break
                    slot = (slot + ONE) & mask
                table[slot, 1] += end - start
                start = end
            # A row may add many keys, so room for one more row is kept free.
            if n_keys + columns > table.shape[0] // 2:
                table = _doubled(table)
                mask = np.uint64(table.shape[0] - 1)
    return table


@kernel
def count_overlaps(
    true: Array, pred: Array, code_true: Array, code_pred: Array
) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    """Count the pixels of every object and of every overlapping pair in one pass.

    Parameters
    ----------
    true, pred : 3-D integer arrays of one dtype, labels below 2**31
    code_true, code_pred : int32 arrays of zeros, longer than the largest label
        Scratch, zero again on return, so that many crops can share them.

    Returns
    -------
    ids_true, area_true, ids_pred, area_pred : int64 arrays
        Ids ascend.
    pair_true, pair_pred : int32 arrays
        Positions in the arrays above; pairs in no particular order.
    intersection : int64 array
    """
    most_true = min(true.size, code_true.size - 1)
    most_pred = min(true.size, code_pred.size - 1)
    # Cells touch about three cells of the other image, and most touch background.
    table = _count_label_pairs(true, pred, 16 + min(true.size // 8, 2 * (most_true + most_pred)))
    ids_true = np.empty(most_true, np.int64)
    ids_pred = np.empty(most_pred, np.int64)
    n_true = 0
    n_pred = 0
    n_pairs = 0
    for row in range(table.shape[0]):
        if table[row, 0] == 0:
            continue
        key = table[row, 0] - 1
        t = key >> 32
        p = key & LOW_HALF
        if t > 0 and code_true[t] == 0:
            code_true[t] = 1
            ids_true[n_true] = t
            n_true += 1
        if p > 0 and code_pred[p] == 0:
            code_pred[p] = 1
            ids_pred[n_pred] = p
            n_pred += 1
        # Move up, over rows that have been read.
        table[n_pairs, 0] = key
        table[n_pairs, 1] = table[row, 1]
        n_pairs += 1
    ids_true = _number(ids_true[:n_true], code_true)
    ids_pred = _number(ids_pred[:n_pred], code_pred)

    area_true = np.zeros(n_true, np.int64)
    area_pred = np.zeros(n_pred, np.int64)
    pair_true = np.empty(n_pairs, np.int32)
    pair_pred = np.empty(n_pairs, np.int32)
    intersection = np.empty(n_pairs, np.int64)
    n_overlaps = 0
    for pair in range(n_pairs):
        i = code_true[table[pair, 0] >> 32] - 1
        j = code_pred[table[pair, 0] & LOW_HALF] - 1
        n_shared = table[pair, 1]
        if i >= 0:
            area_true[i] += n_shared
        if j >= 0:
            area_pred[j] += n_shared
        if i >= 0 and j >= 0:
            pair_true[n_overlaps] = i
            pair_pred[n_overlaps] = j
            intersection[n_overlaps] = n_shared
            n_overlaps += 1
    code_true[ids_true] = 0
    code_pred[ids_pred] = 0
    return (
        ids_true,
        area_true,
        ids_pred,
        area_pred,
        pair_true[:n_overlaps],
        pair_pred[:n_overlaps],
        intersection[:n_overlaps],
    )


@kernel
def _number(ids: Array, codes: Array) -> Array:
    """Sort ids that are marked in `codes`, and write the place of each, from 1, over its mark."""
    if 16 * ids.size < codes.size:
        ids = np.sort(ids)
        for place in range(ids.size):
            codes[ids[place]] = place + 1
        return ids
    place = 0
    for label in range(codes.size):
        if codes[label] != 0:
            ids[place] = label
            place += 1
            codes[label] = place
    return ids


@kernel
def _order(keys: Array, n_keys: int) -> Array:
    """Give the stable order that sorts small whole numbers (a counting sort)."""
    places = np.zeros(n_keys + 1, np.int64)
    for key in keys:
        places[key + 1] += 1
    for key in range(n_keys):
        places[key + 1] += places[key]
    order = np.empty(keys.size, np.int64)
    for position in range(keys.size):
        key = keys[position]
        order[places[key]] = position
        places[key] += 1
    return order


@kernel
def pair_order(pair_true: Array, pair_pred: Array, n_true: int, n_pred: int) -> Array:
    """Give the order that sorts pairs by true object, then by predicted object."""
    by_pred = _order(pair_pred, n_pred)
    return by_pred[_order(pair_true[by_pred], n_true)]


@kernel
def distinct_ids(labels: Array) -> Array:
    """Collect the ids of an image whose ids are too large to index an array, in any order.

    Ids are read as int64, bit for bit, so that one hash table serves them all; background is left
    out.
    """
    table = np.zeros((1024, 2), np.int64)
    n_ids = 0
    previous = np.int64(0)
    for plane in range(labels.shape[0]):
        for row in range(labels.shape[1]):
            for column in range(labels.shape[2]):
                label = np.int64(labels[plane, row, column])
                if label in (previous, 0):
                    continue
                previous = label
                slot = _slot(table, label)
                if table[slot, 0] == 0:
                    table[slot, 0] = label
                    n_ids += 1
                    if 2 * n_ids > table.shape[0]:
                        table = _doubled(table)
    ids = np.empty(n_ids, np.int64)
    position = 0
    for row in range(table.shape[0]):
        if table[row, 0] != 0:
            ids[position] = table[row, 0]
            position += 1
    return ids


@kernel
def compact(labels: Array, ids: Array) -> Array:
    """Replace each id by one plus its position in `ids`; background stays 0. Int32."""
    table = np.zeros((_power_of_two(2 * ids.size + 1), 2), np.int64)
    for position in range(ids.size):
        slot = _slot(table, ids[position])
        table[slot, 0] = ids[position]
        table[slot, 1] = position + 1
    compacted = np.empty(labels.shape, np.int32)
    previous = np.int64(0)
    code = np.int64(0)
    for plane in range(labels.shape[0]):
        for row in range(labels.shape[1]):
            for column in range(labels.shape[2]):
                label = np.int64(labels[plane, row, column])
                if label != previous:
                    previous = label
                    code = table[_slot(table, label), 1]  # an empty slot, 0, for background
                compacted[plane, row, column] = code
    return compacted


@kernel
def _on_border(labels: Array, plane: int, row: int, column: int) -> bool:
    """Tell whether an object's pixel has a face neighbour inside the image that is not its own."""
    label = labels[plane, row, column]
    if label == 0:
        return False
    if column > 0 and labels[plane, row, column - 1] != label:
        return True
    if column + 1 < labels.shape[2] and labels[plane, row, column + 1] != label:
        return True
    if row > 0 and labels[plane, row - 1, column] != label:
        return True
    if row + 1 < labels.shape[1] and labels[plane, row + 1, column] != label:
        return True
    if plane > 0 and labels[plane - 1, row, column] != label:
        return True
    return plane + 1 < labels.shape[0] and labels[plane + 1, row, column] != label


@kernel
def count_borders(true: Array, pred: Array) -> tuple[int, int, int]:
    """Count border pixels of the true image, of the predicted one, and of both at once."""
    n_true = 0
    n_pred = 0
    n_both = 0
    for plane in range(true.shape[0]):
        for row in range(true.shape[1]):
            for column in range(true.shape[2]):
                in_true = _on_border(true, plane, row, column)
                in_pred = _on_border(pred, plane, row, column)
                n_true += in_true
                n_pred += in_pred
                n_both += in_true and in_pred
    return n_true, n_pred, n_both


# IoUs are summed as whole multiples of 1 / IOU_SCALE. The scale is the least common multiple of 1
# to 36, so that fractions with such denominators, 1/3 and 2/6 for instance, are exact and equal
# sums of them are equal: with a power of two, 1/6 + 1/6 would come out larger than 1/3. Other
# fractions are rounded, to less than 1e-14. The squares that decide between equal sums have the
# least common multiple of 1 to 18. Sums of thousands fit into 64 bits.
IOU_SCALE = 144_403_552_893_600.0
TIE_SCALE = 12_252_240.0


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


N_THRESHOLDS = 10  # .50, .55, ..., .95

# Columns of a row. Rows of several image pairs add up to the row of all of them, sap aside.
N_TRUE = 0
N_PRED = 1
N_PIXELS = 2
TP = 3  # ten columns: true positives at each threshold
IOU_50 = TP + N_THRESHOLDS  # summed IoU of the pairs that match at .5
SEG = IOU_50 + 1  # summed IoU of true objects with a prediction that covers more than half of them
AJI_INTERSECTION = SEG + 1
AJI_UNION = AJI_INTERSECTION + 1
FOREGROUND_TRUE = AJI_UNION + 1  # pixels
FOREGROUND_PRED = FOREGROUND_TRUE + 1
FOREGROUND_BOTH = FOREGROUND_PRED + 1
RAND_BOTH = (
    FOREGROUND_BOTH + 1
)  # ordered pairs of pixels joined in both images, true background aside
RAND_TRUE = RAND_BOTH + 1
RAND_PRED = RAND_TRUE + 1
ENTROPY_BOTH = RAND_PRED + 1  # sums of n log2 n over segments, background a segment
ENTROPY_TRUE = ENTROPY_BOTH + 1
ENTROPY_PRED = ENTROPY_TRUE + 1
BORDER_TRUE = ENTROPY_PRED + 1
BORDER_PRED = BORDER_TRUE + 1
BORDER_BOTH = BORDER_PRED + 1
BOTH_EMPTY = BORDER_BOTH + 1
SAP = BOTH_EMPTY + 1  # the score, which does not add up; NaN until it is set
N_COLUMNS = SAP + 1


@kernel
def _n_log_n(n: float) -> float:
    return n * np.log2(n) if n > 1 else 0.0


@kernel
def tally(
    i: Array,
    j: Array,
    intersection: Array,
    area_true: Array,
    area_pred: Array,
    n_pixels: int,
    strict: bool,
) -> Array:
    """Sum up a contingency table.

    Parameters
    ----------
    i, j : int32 arrays
        Pairs, as positions in the areas.
    intersection, area_true, area_pred : int64 arrays
    n_pixels : int
    strict : bool
        A pair matches when IoU > t; when False, when IoU >= t.

    Returns
    -------
    (N_COLUMNS,) float64 array
        Border columns are zero, and sap is NaN.
    """
    row = np.zeros(N_COLUMNS, np.float64)
    row[N_TRUE] = area_true.size
    row[N_PRED] = area_pred.size
    row[N_PIXELS] = n_pixels
    row[SAP] = np.nan
    row[BOTH_EMPTY] = area_true.size == 0 and area_pred.size == 0
    best_iou = np.zeros(area_true.size, np.float64)
    best_shared = np.zeros(area_true.size, np.int64)
    best_union = np.zeros(area_true.size, np.int64)
    halved_true = np.zeros(area_true.size, np.bool_)
    halved_pred = np.zeros(area_pred.size, np.bool_)
    # Background of the other image within each object: what no pair claims.
    bare_true = area_true.copy()
    bare_pred = area_pred.copy()

    for pair in range(i.size):
        t = i[pair]
        p = j[pair]
        shared = intersection[pair]
        union = area_true[t] + area_pred[p] - shared
        iou = shared / union
        bare_true[t] -= shared
        bare_pred[p] -= shared
        row[RAND_BOTH] += float(shared) * (shared - 1)
        row[ENTROPY_BOTH] += _n_log_n(shared)
        if 2 * shared > area_true[t]:
            row[SEG] += iou
        # Equal fractions are equal floats: division rounds the one exact quotient.
        if iou > best_iou[t] or (iou == best_iou[t] and shared > best_shared[t]):
            best_iou[t] = iou
            best_shared[t] = shared
            best_union[t] = union

        if 2 * shared < union:
            continue
        hundredths = 100 * shared // union
        if strict and hundredths * union == 100 * shared:
            hundredths -= 1  # the largest whole number of hundredths that the IoU exceeds
        if hundredths < 50:
            continue
        if 2 * shared == union:
            # Pairs above 1/2 exclude one another. At 1/2 exactly, an object may be made of two
            # halves; one of them matches.
            if halved_true[t] or halved_pred[p]:
                continue
            halved_true[t] = True
            halved_pred[p] = True
        row[IOU_50] += iou
        last = min((hundredths - 50) // 5, N_THRESHOLDS - 1)
        row[TP + last] += 1
    for k in range(N_THRESHOLDS - 1, 0, -1):
        row[TP + k - 1] += row[TP + k]

    # AJI: a prediction counts as used when it is as good a partner of some true object as any.
    used = np.zeros(area_pred.size, np.bool_)
    for pair in range(i.size):
        t = i[pair]
        union = area_true[t] + area_pred[j[pair]] - intersection[pair]
        if intersection[pair] == best_shared[t] and union == best_union[t]:
            used[j[pair]] = True
    for t in range(area_true.size):
        row[AJI_INTERSECTION] += best_shared[t]
        row[AJI_UNION] += best_union[t] if best_union[t] > 0 else area_true[t]
    for p in range(area_pred.size):
        if not used[p]:
            row[AJI_UNION] += area_pred[p]

    bare = np.int64(0)  # true pixels on predicted background
    for t in range(area_true.size):
        area = area_true[t]
        row[FOREGROUND_TRUE] += area
        bare += bare_true[t]
        row[RAND_BOTH] += float(bare_true[t]) * (bare_true[t] - 1)
        row[RAND_TRUE] += float(area) * (area - 1)
        row[ENTROPY_BOTH] += _n_log_n(bare_true[t])
        row[ENTROPY_TRUE] += _n_log_n(area)
    row[RAND_PRED] += float(bare) * (bare - 1)
    for p in range(area_pred.size):
        area = area_pred[p]
        shared = area - bare_pred[p]
        row[FOREGROUND_PRED] += area
        row[FOREGROUND_BOTH] += shared
        row[RAND_PRED] += float(shared) * (shared - 1)
        row[ENTROPY_BOTH] += _n_log_n(bare_pred[p])
        row[ENTROPY_PRED] += _n_log_n(area)
    outside_true = n_pixels - row[FOREGROUND_TRUE]
    outside_pred = n_pixels - row[FOREGROUND_PRED]
    row[ENTROPY_TRUE] += _n_log_n(outside_true)
    row[ENTROPY_PRED] += _n_log_n(outside_pred)
    row[ENTROPY_BOTH] += _n_log_n(outside_true - row[FOREGROUND_PRED] + row[FOREGROUND_BOTH])
    return row


@kernel
def area_under(levels: Array, n_true: float, n_pred: float, steps: bool) -> float:
    """Integrate the AP/IoU curve whose true positives grow by one at each of some falling levels.

    With `steps`, AP is constant between levels, and 0 above the highest. Without, straight lines
    join the levels, and the highest to (1, 0).
    """
    if levels.size == 0:
        return 0.0
    ap = 1 / (n_true + n_pred - 1)
    area = 0.0 if steps else (1 - levels[0]) * ap / 2
    for k in range(levels.size - 1):
        following = (k + 2) / (n_true + n_pred - (k + 2))
        area += (levels[k] - levels[k + 1]) * (ap if steps else (ap + following) / 2)
        ap = following
    return area + levels[-1] * ap  # the last piece, down to IoU 0, is flat


@kernel
def score_crop(
    true: Array,
    pred: Array,
    code_true: Array,
    code_pred: Array,
    strict: bool,
    borders: bool,
    paper: bool,
    steps: bool,
) -> tuple[Array, Array]:
    """Go from the pixels of a crop to its row of sums and its levels of sap without a stop.

    Between kernels a thread waits for the interpreter, which costs many small crops more than
    their pixels do. Borders and sap in one of its forms are left out unless they are asked for.
    """
    _, area_true, _, area_pred, i, j, intersection = count_overlaps(
        true, pred, code_true, code_pred
    )
    row = tally(i, j, intersection, area_true, area_pred, true.size, strict)
    if borders:
        row[BORDER_TRUE], row[BORDER_PRED], row[BORDER_BOTH] = count_borders(true, pred)
    iou = intersection / (area_true[i] + area_pred[j] - intersection)
    if paper:
        first, second = assignment_weights(iou)
        chosen = heaviest_matching(i, j, area_true.size, area_pred.size, first, second)
        levels = np.sort(iou[chosen])[::-1].copy()
    elif steps:
        order = np.argsort(-iou)
        levels = matching_levels(i, j, area_true.size, area_pred.size, iou, order)
    else:
        return row, np.empty(0, np.float64)
    row[SAP] = area_under(levels, area_true.size, area_pred.size, steps)
    return row, levels
