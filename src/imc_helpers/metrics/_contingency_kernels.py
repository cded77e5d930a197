"""Compiled loops over pixels: count overlaps, put them in order, compact ids, find borders.

Images arrive as three axes (planes, rows, columns), both of one dtype; a 2-D image is one plane.
"""

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
