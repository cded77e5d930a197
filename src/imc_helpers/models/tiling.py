"""Segment an image that is larger than a model takes, and leave no cut cells at the seams.

Neighbouring tiles share a strip, the middle of which is their seam; what lies between its seams is
a tile's *core*. A cell narrower than the strip is whole in at least one tile whose core it reaches,
and is taken from there. What is cut in every tile is wider than the strip: its pieces are joined.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imc_helpers.errors import InputError


def segment_tiles(
    image: np.ndarray,
    predict: Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]],
    *,
    tile_px: int,
    overlap_px: int = 64,
) -> np.ndarray:
    """Segment overlapping tiles and stitch their labels by overlap.

    Parameters
    ----------
    image
        (C, H, W) array.
    predict
        Segments images of ``tile_px`` or less: (C, h, w) each in, (h, w) labels each out. It gets
        all tiles in one call.
    tile_px
        Edge of a tile, pixels. An image with a shorter side is not filled up.
    overlap_px
        What two neighbours share at least, pixels; more than a cell is wide.

    Returns
    -------
    numpy.ndarray
        (H, W) uint32, ids from 1 without gaps.

    Raises
    ------
    InputError
        If the overlap is under 2 px or over half a tile: the cores would not fit.
    """
    if not 2 <= overlap_px <= tile_px // 2:
        raise InputError(
            f"overlap_px: expected 2 to half a tile, {tile_px // 2} px, found {overlap_px}"
        )
    _, height, width = image.shape
    spans = product(
        _spans(height, tile_px, overlap_px),
        _spans(width, tile_px, overlap_px),
    )
    places = [_Place(rows, columns) for rows, columns in spans]
    found = predict([image[(slice(None), *place.window)] for place in places])
    return _stitch(
        (height, width),
        [_Tile.of(labels, place) for labels, place in zip(found, places, strict=True)],
    )


class _Span(NamedTuple):
    """Where a tile lies along one axis, pixels of the image; stops are exclusive."""

    start: int
    stop: int
    core_start: int
    core_stop: int

    @property
    def core(self) -> slice:
        """The core in the tile's own pixels."""
        return slice(self.core_start - self.start, self.core_stop - self.start)


class _Place(NamedTuple):
    rows: _Span
    columns: _Span

    @property
    def window(self) -> tuple[slice, slice]:
        return slice(self.rows.start, self.rows.stop), slice(self.columns.start, self.columns.stop)


class _Tile(NamedTuple):
    """What was found in a tile."""

    window: tuple[slice, slice]
    labels: np.ndarray
    """(h, w), ids 0 … n without gaps."""
    area: np.ndarray
    """(n + 1,) pixels of each id."""
    counts: np.ndarray
    """(n + 1,) bool: cells whose rows and columns both reach the core's. Others are left to the
    neighbours, which see more of what is around them."""
    cut: np.ndarray
    """(n + 1,) bool: cells that touch an edge beyond which the image goes on."""

    @classmethod
    def of(cls, labels: np.ndarray, place: _Place) -> "_Tile":
        # Numbers go by first appearance: a 0 in front, and the background stays 0.
        codes, ids = pd.factorize(np.append(0, labels))
        labels = codes[1:].reshape(labels.shape)
        n = len(ids)
        rows, columns = place
        edges = []
        for span, lines in ((rows, labels), (columns, labels.T)):
            edges += [lines[0]] if span.core_start > span.start else []
            edges += [lines[-1]] if span.core_stop < span.stop else []
        counts = _among(n, [labels[rows.core]]) & _among(n, [labels[:, columns.core]])
        return cls(
            place.window, labels, np.bincount(labels.ravel(), minlength=n), counts, _among(n, edges)
        )


def _among(n: int, parts: Iterable[np.ndarray]) -> np.ndarray:
    """Say which of the ids 1 … n - 1 occur in some arrays: (n,) bool, False for background."""
    here = np.zeros(n, bool)
    for part in parts:
        here[part] = True
    here[0] = False
    return here


def _spans(side: int, tile_px: int, overlap_px: int) -> list[_Span]:
    """Spread as few tiles as do along one side, evenly."""
    n = max(1, -(-(side - overlap_px) // (tile_px - overlap_px)))
    starts = [round(i * (side - tile_px) / (n - 1)) for i in range(n)] if n > 1 else [0]
    stops = [min(start + tile_px, side) for start in starts]
    seams = [
        0,
        *((start + stop) // 2 for start, stop in zip(starts[1:], stops[:-1], strict=True)),
        side,
    ]
    return [_Span(*four) for four in zip(starts, stops, seams[:-1], seams[1:], strict=True)]


def _stitch(shape: tuple[int, int], tiles: Sequence[_Tile]) -> np.ndarray:
    """Put the cells of overlapping tiles into one image: whole ones first, then what is cut."""
    labels = np.zeros(shape, np.uint32)
    n_whole = 0
    for tile in tiles:
        n_whole = _add_whole(labels, tile, n_whole)
    n_all, joins = n_whole, [np.empty((0, 2), np.intp)]
    for tile in tiles:
        n_all, pairs = _add_cut(labels, tile, n_whole, n_all)
        joins.append(pairs)
    one, other = np.concatenate(joins).T
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(n_all + 1, n_all + 1))
    _, joined = connected_components(graph, directed=False)
    return joined.astype(np.uint32)[labels]


def _free(tile: _Tile, labels: np.ndarray) -> np.ndarray:
    """Count the pixels of each cell that nobody has taken."""
    return np.bincount(tile.labels[labels[tile.window] == 0], minlength=len(tile.area))


def _paint(tile: _Tile, labels: np.ndarray, chosen: np.ndarray, n: int) -> int:
    """Give chosen cells of a tile ids from n + 1 where nobody has taken the pixels."""
    ids = np.where(chosen, n + np.cumsum(chosen), 0).astype(np.uint32)
    view = labels[tile.window]
    np.copyto(view, ids[tile.labels], where=view == 0)
    return n + int(chosen.sum())


def _add_whole(labels: np.ndarray, tile: _Tile, n: int) -> int:
    """Add the whole cells of a tile but for those that an earlier tile has: half of them or more.

    Copies of a cell are seldom the same to the pixel, so what is left of one is not a cell.
    """
    chosen = tile.counts & ~tile.cut & (2 * _free(tile, labels) > tile.area)
    return _paint(tile, labels, chosen, n)


def _add_cut(labels: np.ndarray, tile: _Tile, n_whole: int, n: int) -> tuple[int, np.ndarray]:
    """Add the cut cells of a tile; returns the ids that are one cell as well, (K, 2).

    A piece is of the same cell as an earlier piece if it covers half or more of what this tile
    sees of that one.
    """
    cut = tile.counts & tile.cut
    before = labels[tile.window]
    earlier = before > n_whole
    seen = np.bincount(before[earlier], minlength=n + 1)
    pairs, shared = np.unique(
        np.stack([tile.labels[earlier], before[earlier]]), axis=1, return_counts=True
    )
    piece, previous = pairs.astype(np.intp)
    same = cut[piece] & (2 * shared >= seen[previous])
    joined = np.zeros_like(cut)
    joined[piece[same]] = True
    chosen = cut & (joined | (2 * _free(tile, labels) > tile.area))
    new_id = n + np.cumsum(chosen)
    return (
        _paint(tile, labels, chosen, n),
        np.stack([new_id[piece[same]], previous[same]], axis=1),
    )
