"""From the output of an InstanSeg network to cells: the library's post-processing, made fast.

The library's TorchScript asks of every pixel in a window around each seed whether it belongs to the
seed, cleans the windows up with max pooling, and compares all seeds with all others in a dense
matrix. Here a mask grows from its seed, so that only what it reaches is looked at, and only masks
that share pixels are compared. What comes out is the same wherever the script comes to an end: it
stops flooding, and passing labels on, after so many steps, and there it says so and cuts off.

The steps, and the settings' names and defaults, are those of instanseg-torch 0.1.2
(``InstanSeg_Torchscript``; Goldsborough et al. 2024, doi:10.1101/2024.09.04.611150). As there,
nothing is dropped for its size.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from imc_helpers.errors import InputError
from imc_helpers.metrics._jit import kernel

_UNSEEN, _MASK, _OUTSIDE, _FAR = 0, 1, 2, 3  # what is known of a pixel in a window
_HOLE_PX = 3  # a hole has no pixel farther than this from its mask; fixed in the library
_MARGIN_PX = _HOLE_PX + 1  # around a mask: the nearest that is far from it on all sides

_Layers: TypeAlias = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Settings:
    """What the library lets a user choose, by its names and with its defaults."""

    mask_threshold: float = 0.53
    """Least probability of a mask's pixel."""
    peak_distance: int = 5
    """A seed is the largest value within this many rows and columns, pixels."""
    seed_threshold: float = 0.7
    """A seed's value lies above this."""
    overlap_threshold: float = 0.3
    """Masks whose intersection over union lies above this are one cell."""
    window_size: int = 32
    """Half the edge of the window around a seed that its mask cannot leave, pixels."""
    cleanup_fragments: bool = True
    """Keep only what is connected to the seed, and fill its holes."""

    def __post_init__(self) -> None:
        for name, least in (("peak_distance", 0), ("overlap_threshold", 0), ("window_size", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name}: expected {least} or more, found {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class PixelClassifier:
    """Three linear layers, a rectifier between each two: the logit of "belongs to this seed".

    Its input is the difference of a pixel's embedding from the seed's, then the pixel's widths.
    """

    layers: _Layers
    """Weights and biases by turns: (n, E + S), (n,), (n, n), (n,), (1, n) and (1,) float32."""


def find_cells(
    embedding: np.ndarray,
    sigma: np.ndarray,
    seed_map: np.ndarray,
    classifier: PixelClassifier,
    settings: Settings,
) -> np.ndarray:
    """Grow a mask from each seed, merge masks that are one cell, and give pixels to the likeliest.

    Parameters
    ----------
    embedding
        (E, H, W) float32: where each pixel's cell has its seed.
    sigma
        (S, H, W) float32: widths, of whatever meaning the network gave them.
    seed_map
        (H, W) float32: highest in the middle of cells.
    classifier
        Says whether a pixel belongs to a seed; takes E + S numbers.
    settings
        Thresholds and the window.

    Returns
    -------
    numpy.ndarray
        (H, W) uint32. A cell's id is the number of its first seed, in reading order from 1: there
        are gaps where masks were merged or are hidden by others.

    Raises
    ------
    InputError
        If the shapes do not fit each other or the classifier.

    Notes
    -----
    In an image smaller than a window, the window is cut to the image. The library's script would
    read pixels from the opposite side of the image there.
    """
    n_inputs = classifier.layers[0].shape[1]
    if len(embedding) + len(sigma) != n_inputs:
        raise InputError(
            f"the classifier takes {n_inputs} numbers per pixel, but there are {len(embedding)} of "
            f"the embedding and {len(sigma)} widths"
        )
    if not embedding.shape[1:] == sigma.shape[1:] == seed_map.shape:
        raise InputError(
            "embedding, sigma and seed_map must be of one size, found "
            f"{embedding.shape[1:]}, {sigma.shape[1:]} and {seed_map.shape}"
        )
    seeds = find_seeds(seed_map, settings.peak_distance, settings.seed_threshold)
    # A pixel's numbers lie together, as they are read together.
    points = np.moveaxis(np.concatenate([embedding, sigma]), 0, -1)
    labels, starts, pixels = _masks(
        np.ascontiguousarray(points, np.float32),
        len(embedding),
        seeds,
        tuple(np.ascontiguousarray(array, np.float32) for array in classifier.layers),
        settings.window_size,
        np.float32(settings.mask_threshold),
        settings.cleanup_fragments,
    )
    first = _merged(starts, pixels, labels.size, np.float32(settings.overlap_threshold))
    ids = np.append(0, first + 1).astype(np.uint32)
    return ids[labels]


def find_seeds(seed_map: np.ndarray, peak_distance: int, seed_threshold: float) -> np.ndarray:
    """Find the peaks of a map; among equals in one neighbourhood, the first in reading order.

    Parameters
    ----------
    seed_map
        (H, W) numbers.
    peak_distance
        Rows and columns on each side over which a peak must be the largest, pixels.
    seed_threshold
        A peak lies above this.

    Returns
    -------
    numpy.ndarray
        (N, 2) int64 rows and columns, in reading order.
    """
    values = np.ascontiguousarray(seed_map, np.float32)
    peaks = np.argwhere(_is_peak(values, peak_distance, np.float32(seed_threshold)))
    return np.ascontiguousarray(peaks)  # one memory layout, so that kernels are compiled once


@kernel
def _is_peak(values: np.ndarray, distance: int, threshold: np.float32) -> np.ndarray:
    """Mark the peaks: (H, W) bool. Beside what is not a number, nothing is one."""
    height, width = values.shape
    found = np.zeros((height, width), np.bool_)
    for r in range(height):
        for c in range(width):
            value = values[r, c]
            if not value > threshold:
                continue
            peak = True
            for i in range(max(r - distance, 0), min(r + distance + 1, height)):
                for j in range(max(c - distance, 0), min(c + distance + 1, width)):
                    before = i < r or (i == r and j < c)
                    if not (values[i, j] < value if before else values[i, j] <= value):
                        peak = False
                        break
                if not peak:
                    break
            found[r, c] = peak
    return found


@kernel
def _masks(
    points: np.ndarray,
    n_embedding: int,
    seeds: np.ndarray,
    layers: _Layers,
    window: int,
    threshold: np.float32,
    cleanup: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make the mask of each seed, and give each pixel to the mask that is surest of it.

    Returns ``labels``, (H, W) int32, the number of a seed from 1, of the first among equals; and
    all masks, one after another: mask k is ``pixels[starts[k]:starts[k + 1]]``, places in the
    flattened image.
    """
    height, width = points.shape[:2]
    rows, columns = min(2 * window, height), min(2 * window, width)
    state = np.zeros((rows, columns), np.uint8)
    sure = np.zeros((rows, columns), np.float32)
    near = np.zeros((rows, columns), np.uint8)
    queue = np.empty((rows * columns + 1, 2), np.int32)
    hidden = (np.empty(len(layers[1]), np.float32), np.empty(len(layers[3]), np.float32))
    labels = np.zeros((height, width), np.int32)
    best = np.full((height, width), -np.inf, np.float32)
    starts = np.zeros(len(seeds) + 1, np.int64)
    pixels = np.empty(height * width, np.int32)
    n = 0
    for k in range(len(seeds)):
        row, column = seeds[k]
        centre = points[row, column, :n_embedding]
        origin_r = min(max(row - window, 0), height - rows)
        origin_c = min(max(column - window, 0), width - columns)
        view = points[origin_r : origin_r + rows, origin_c : origin_c + columns]
        if cleanup:
            place = (row - origin_r, column - origin_c)
            box = _grow(view, centre, place, layers, hidden, threshold, state, sure, queue)
            _fill(box, threshold, state, sure, near, queue)
        else:
            box = (0, rows, 0, columns)
            _threshold(view, centre, layers, hidden, threshold, state, sure)
        top, bottom, left, right = box
        if n + (bottom - top) * (right - left) > len(pixels):
            more = np.empty(2 * len(pixels) + rows * columns, np.int32)
            more[:n] = pixels[:n]
            pixels = more
        for r in range(top, bottom):
            for c in range(left, right):
                if state[r, c] == _MASK:
                    i, j = origin_r + r, origin_c + c
                    pixels[n] = i * width + j
                    n += 1
                    if sure[r, c] > best[i, j]:
                        best[i, j] = sure[r, c]
                        labels[i, j] = k + 1
                state[r, c] = _UNSEEN
        starts[k + 1] = n
    return labels, starts, pixels[:n]


@kernel
def _grow(
    view: np.ndarray,
    centre: np.ndarray,
    place: tuple[int, int],
    layers: _Layers,
    hidden: tuple[np.ndarray, np.ndarray],
    threshold: np.float32,
    state: np.ndarray,
    sure: np.ndarray,
    queue: np.ndarray,
) -> tuple[int, int, int, int]:
    """Mark the pixels of a window that are connected to the seed, diagonals included.

    The seed's neighbours are looked at even where it is none of its own pixels. Returns rows and
    columns (stops exclusive) that hold all that was marked, the mask with `_MARGIN_PX` around it.
    """
    rows, columns = state.shape
    top, left = place
    bottom, right = top, left
    queue[0] = place
    taken, queued = 0, 1
    while taken < queued:
        r, c = queue[taken]
        taken += 1
        top, bottom = min(top, r), max(bottom, r)
        left, right = min(left, c), max(right, c)
        for i in range(max(r - 1, 0), min(r + 2, rows)):
            for j in range(max(c - 1, 0), min(c + 2, columns)):
                if state[i, j] == _UNSEEN:
                    sure[i, j] = _probability(view[i, j], centre, layers, hidden)
                    if sure[i, j] >= threshold:
                        state[i, j] = _MASK
                        queue[queued] = i, j
                        queued += 1
                    else:
                        state[i, j] = _OUTSIDE
    return (
        max(top - _MARGIN_PX, 0),
        min(bottom + _MARGIN_PX + 1, rows),
        max(left - _MARGIN_PX, 0),
        min(right + _MARGIN_PX + 1, columns),
    )


@kernel
def _threshold(
    view: np.ndarray,
    centre: np.ndarray,
    layers: _Layers,
    hidden: tuple[np.ndarray, np.ndarray],
    threshold: np.float32,
    state: np.ndarray,
    sure: np.ndarray,
) -> None:
    """Mark all pixels of a window that are likely enough, wherever they are."""
    rows, columns = state.shape
    for r in range(rows):
        for c in range(columns):
            sure[r, c] = _probability(view[r, c], centre, layers, hidden)
            state[r, c] = _MASK if sure[r, c] >= threshold else _OUTSIDE


@kernel
def _fill(
    box: tuple[int, int, int, int],
    threshold: np.float32,
    state: np.ndarray,
    sure: np.ndarray,
    near: np.ndarray,
    queue: np.ndarray,
) -> None:
    """Add to a mask what the background far from it does not reach, diagonals included.

    Outside the box everything is far, and so is the box's outermost line unless it is the window's:
    what the box cuts off is reached anyway. What is added is as sure as the threshold.
    """
    top, bottom, left, right = box
    near[top:bottom, left:right] = 0
    for r in range(top, bottom):
        for c in range(left, right):
            if state[r, c] == _MASK:
                for j in range(max(c - _HOLE_PX, left), min(c + _HOLE_PX + 1, right)):
                    near[r, j] |= 1
    for r in range(top, bottom):
        for c in range(left, right):
            if near[r, c] & 1:
                for i in range(max(r - _HOLE_PX, top), min(r + _HOLE_PX + 1, bottom)):
                    near[i, c] |= 2
    queued = 0
    for r in range(top, bottom):
        for c in range(left, right):
            if not near[r, c]:
                state[r, c] = _FAR
                queue[queued] = r, c
                queued += 1
    taken = 0
    while taken < queued:
        r, c = queue[taken]
        taken += 1
        for i in range(max(r - 1, top), min(r + 2, bottom)):
            for j in range(max(c - 1, left), min(c + 2, right)):
                if state[i, j] != _MASK and state[i, j] != _FAR:
                    state[i, j] = _FAR
                    queue[queued] = i, j
                    queued += 1
    for r in range(top, bottom):
        for c in range(left, right):
            if state[r, c] != _MASK and state[r, c] != _FAR:
                state[r, c] = _MASK
                sure[r, c] = threshold


@kernel
def _probability(
    point: np.ndarray,
    centre: np.ndarray,
    layers: _Layers,
    hidden: tuple[np.ndarray, np.ndarray],
) -> np.float32:
    """Run the classifier on a pixel's numbers, in single precision like the library."""
    weight1, bias1, weight2, bias2, weight3, bias3 = layers
    first, second = hidden
    for u in range(len(first)):
        total = np.float32(0)
        for v in range(len(centre)):
            total += weight1[u, v] * (point[v] - centre[v])
        for v in range(len(centre), len(point)):
            total += weight1[u, v] * point[v]
        first[u] = max(total + bias1[u], np.float32(0))
    for u in range(len(second)):
        total = np.float32(0)
        for v in range(len(first)):
            total += weight2[u, v] * first[v]
        second[u] = max(total + bias2[u], np.float32(0))
    total = np.float32(0)
    for v in range(len(second)):
        total += weight3[0, v] * second[v]
    return np.float32(1) / (np.float32(1) + math.exp(-(total + bias3[0])))


@kernel
def _merged(
    starts: np.ndarray, pixels: np.ndarray, n_places: int, threshold: np.float32
) -> np.ndarray:
    """Find masks that are one cell, directly or by way of others: (N,) the first of each group.

    Every place keeps a list of the masks so far that hold it, so that each mask meets those that it
    shares pixels with, and no others.
    """
    n = len(starts) - 1
    group = np.arange(n)
    last = np.full(n_places, -1, np.int64)  # entry of `pixels`, and from there
    previous = np.empty(len(pixels), np.int64)  # to the one before it of the same place
    mask_of = np.empty(len(pixels), np.int32)
    shared = np.zeros(n, np.int64)
    met = np.empty(n, np.int64)
    for k in range(n):
        n_met = 0
        for entry in range(starts[k], starts[k + 1]):
            place = pixels[entry]
            other = last[place]
            while other >= 0:
                m = mask_of[other]
                if shared[m] == 0:
                    met[n_met] = m
                    n_met += 1
                shared[m] += 1
                other = previous[other]
            previous[entry] = last[place]
            last[place] = entry
            mask_of[entry] = k
        for m in met[:n_met]:
            union = (starts[k + 1] - starts[k]) + (starts[m + 1] - starts[m]) - shared[m]
            if np.float32(shared[m]) / np.float32(union) > threshold:
                one, other = _first(group, k), _first(group, m)
                group[max(one, other)] = min(one, other)
            shared[m] = 0
    for k in range(n):  # a group's first comes before its others
        group[k] = group[group[k]]
    return group


@kernel
def _first(group: np.ndarray, k: int) -> int:
    """Follow a mask to the first of its group, and shorten the way."""
    while group[k] != k:
        group[k] = group[group[k]]
        k = group[k]
    return k
