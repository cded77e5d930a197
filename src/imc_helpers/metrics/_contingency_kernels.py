"""Compiled loops over pixels: count overlaps, put them in order, compact ids, find borders.

Images arrive as three axes (planes, rows, columns), both of one dtype; a 2-D image is one plane.
"""

import numpy as np

from imc_helpers.metrics._jit import kernel


@kernel
def _grown(array, size):  # type: ignore[no-untyped-def]
    """Copy into a new array of `size`; what lies past the old end is left unset."""
    larger = np.empty(size, array.dtype)
    larger[: array.size] = array
    return larger


@kernel
def count_overlaps(true, pred, code_true, code_pred):  # type: ignore[no-untyped-def]
    """Count the pixels of every object and of every overlapping pair in one pass.

    Pixels are taken in runs along a row over which neither image changes. An overlap sits in two
    linked lists, its true object's and its predicted object's, and is looked up in the shorter one:
    a cell touches few others, and even a single object that covers everything costs no more.

    Parameters
    ----------
    true, pred : 3-D integer arrays of one dtype
    code_true, code_pred : int32 arrays of zeros, longer than the largest id
        Scratch, zero again on return, so that many crops can share them.

    Returns
    -------
    ids_true, area_true, ids_pred, area_pred : int64 arrays
        In the order in which the objects are first met.
    pair_true, pair_pred : int32 arrays
        Positions in the arrays above.
    intersection : int64 array
    """
    most_true = min(true.size, code_true.size - 1)
    most_pred = min(true.size, code_pred.size - 1)
    ids_true = np.empty(most_true, np.int64)
    ids_pred = np.empty(most_pred, np.int64)
    area_true = np.empty(most_true, np.int64)
    area_pred = np.empty(most_pred, np.int64)
    first_true = np.empty(most_true, np.int32)  # head of the object's list of overlaps
    first_pred = np.empty(most_pred, np.int32)
    degree_true = np.empty(most_true, np.int32)
    degree_pred = np.empty(most_pred, np.int32)

    capacity = 64 + min(true.size, 4 * max(most_true, most_pred)) // 8
    pair_true = np.empty(capacity, np.int32)
    pair_pred = np.empty(capacity, np.int32)
    next_true = np.empty(capacity, np.int32)
    next_pred = np.empty(capacity, np.int32)
    intersection = np.empty(capacity, np.int64)

    n_true = 0
    n_pred = 0
    n_pairs = 0
    planes, rows, columns = true.shape
    for plane in range(planes):
        for row in range(rows):
            true_row = true[plane, row]
            pred_row = pred[plane, row]
            column = 0
            while column < columns:
                t = true_row[column]
                p = pred_row[column]
                start = column
                column += 1
                while column < columns and ((true_row[column] ^ t) | (pred_row[column] ^ p)) == 0:
                    column += 1
                length = column - start
                i = -1
                j = -1
                if t != 0:
                    i = code_true[t] - 1
                    if i < 0:
                        i = n_true
                        n_true += 1
                        code_true[t] = n_true
                        ids_true[i] = t
                        area_true[i] = 0
                        first_true[i] = -1
                        degree_true[i] = 0
                    area_true[i] += length
                if p != 0:
                    j = code_pred[p] - 1
                    if j < 0:
                        j = n_pred
                        n_pred += 1
                        code_pred[p] = n_pred
                        ids_pred[j] = p
                        area_pred[j] = 0
                        first_pred[j] = -1
                        degree_pred[j] = 0
                    area_pred[j] += length
                if i < 0 or j < 0:
                    continue
                if degree_true[i] <= degree_pred[j]:
                    pair = first_true[i]
                    while pair >= 0 and pair_pred[pair] != j:
                        pair = next_true[pair]
                else:
                    pair = first_pred[j]
                    while pair >= 0 and pair_true[pair] != i:
                        pair = next_pred[pair]
                if pair < 0:
                    if n_pairs == capacity:
                        capacity *= 2
                        pair_true = _grown(pair_true, capacity)
                        pair_pred = _grown(pair_pred, capacity)
                        next_true = _grown(next_true, capacity)
                        next_pred = _grown(next_pred, capacity)
                        intersection = _grown(intersection, capacity)
                    pair = n_pairs
                    n_pairs += 1
                    pair_true[pair] = i
                    pair_pred[pair] = j
                    intersection[pair] = 0
                    next_true[pair] = first_true[i]
                    first_true[i] = pair
                    degree_true[i] += 1
                    next_pred[pair] = first_pred[j]
                    first_pred[j] = pair
                    degree_pred[j] += 1
                intersection[pair] += length

    for i in range(n_true):
        code_true[ids_true[i]] = 0
    for j in range(n_pred):
        code_pred[ids_pred[j]] = 0
    return (
        ids_true[:n_true],
        area_true[:n_true],
        ids_pred[:n_pred],
        area_pred[:n_pred],
        pair_true[:n_pairs],
        pair_pred[:n_pairs],
        intersection[:n_pairs],
    )


@kernel
def _stable_order(keys, n_keys):  # type: ignore[no-untyped-def]
    """Give the stable order that sorts small integer keys (a counting sort)."""
    starts = np.zeros(n_keys + 1, np.int64)
    for key in keys:
        starts[key + 1] += 1
    for key in range(n_keys):
        starts[key + 1] += starts[key]
    order = np.empty(keys.size, np.int64)
    for position in range(keys.size):
        key = keys[position]
        order[starts[key]] = position
        starts[key] += 1
    return order


@kernel
def sort_pairs(pair_true, pair_pred, intersection, rank_true, rank_pred):  # type: ignore[no-untyped-def]
    """Renumber the objects of each pair by rank, and sort pairs by true object, then by predicted."""
    new_true = rank_true[pair_true]
    new_pred = rank_pred[pair_pred]
    order = _stable_order(new_pred, rank_pred.size)
    order = order[_stable_order(new_true[order], rank_true.size)]
    return new_true[order], new_pred[order], intersection[order]


@kernel
def distinct_ids(labels):  # type: ignore[no-untyped-def]
    """Collect the ids of an image whose ids are too large to index an array, in any order.

    An open-addressing hash table, doubled when half full. Background is left out.
    """
    slots = np.zeros(1024, labels.dtype)
    n_ids = 0
    previous = labels.dtype.type(0)
    for plane in range(labels.shape[0]):
        for row in range(labels.shape[1]):
            for column in range(labels.shape[2]):
                label = labels[plane, row, column]
                if label == previous or label == 0:
                    continue
                previous = label
                slot = _slot(slots, label)
                if slots[slot] == 0:
                    slots[slot] = label
                    n_ids += 1
                    if 2 * n_ids > slots.size:
                        larger = np.zeros(2 * slots.size, labels.dtype)
                        for kept in slots:
                            if kept != 0:
                                larger[_slot(larger, kept)] = kept
                        slots = larger
    ids = np.empty(n_ids, labels.dtype)
    position = 0
    for kept in slots:
        if kept != 0:
            ids[position] = kept
            position += 1
    return ids


@kernel
def _slot(slots, label):  # type: ignore[no-untyped-def]
    """Find the slot that holds a label, or the empty one where it belongs (Fibonacci hashing)."""
    mask = slots.size - 1
    mixed = np.uint64(label) * np.uint64(0x9E3779B97F4A7C15)
    slot = np.int64(mixed >> np.uint64(32)) & mask
    while slots[slot] != 0 and slots[slot] != label:
        slot = (slot + 1) & mask
    return slot


@kernel
def compact(labels, sorted_ids):  # type: ignore[no-untyped-def]
    """Replace each id by one plus its position in `sorted_ids`; background stays 0. Int32."""
    size = 16
    while size < 2 * sorted_ids.size:
        size *= 2
    slots = np.zeros(size, labels.dtype)
    codes = np.empty(size, np.int32)
    for position in range(sorted_ids.size):
        slot = _slot(slots, sorted_ids[position])
        slots[slot] = sorted_ids[position]
        codes[slot] = position + 1
    compacted = np.empty(labels.shape, np.int32)
    previous = labels.dtype.type(0)
    code = np.int32(0)
    for plane in range(labels.shape[0]):
        for row in range(labels.shape[1]):
            for column in range(labels.shape[2]):
                label = labels[plane, row, column]
                if label != previous:
                    previous = label
                    code = np.int32(0) if label == 0 else codes[_slot(slots, label)]
                compacted[plane, row, column] = code
    return compacted


@kernel
def _on_border(labels, plane, row, column):  # type: ignore[no-untyped-def]
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
def count_borders(true, pred):  # type: ignore[no-untyped-def]
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
