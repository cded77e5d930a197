"""Images made small enough to lie inside a page: masks without any loss, channels for the eye."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from imc_helpers.aggregation import aggregate
from imc_helpers.data.panels import Panel
from imc_helpers.figures.names import channel_name

BUDGET_BYTES = 2_980_000
"""What the content of a page may take; with what surrounds it, a page is then below 3 MB."""
TOP_PERCENTILE = 99.9
"""Intensities above this percentile of a channel are as bright as it."""
LARGEST_STRETCH = 50.0
"""A channel's top is at most this many times the intensity up to which its scale is linear."""
_QUALITY, _QUALITY_OF_OTHERS = 50, 25
"""Of WebP, for the two aggregates and for other channels. Nearly all bytes go into the noise of the
counts: at 50 a channel of 1000 x 1000 px takes about 0.35 MB, at 25 a quarter less."""
_METHOD = 2
"""Of WebP, for channels: half the time of its own choice for 1 % more bytes."""
_EFFORT = 25
"""Of WebP, for masks, of 100: two thirds of the time of its own choice for 3 % more bytes."""
_MOST_CHANNELS = 8
_EVERY = 3
"""Of rows and columns, to see how much a channel varies: images may have 50 channels."""
_COLOURS = ((86, 180, 233), (230, 159, 0))
"""Of thumbnails: nuclei sky blue, membranes gold, as in the book's figures."""


@dataclass(frozen=True)
class PackedMask:
    """A mask as a WebP image without loss."""

    image: str
    """Data URI. A pixel's red + 256 green + 65536 blue is 0 for background, or k for the k-th id.

    PNG says the same in 2.4 times the bytes.
    """
    id_runs: list[list[int]]
    """The ids, ascending, as runs without gaps: the first id of each run, and their number."""
    total: int
    """Sum over the pixels of these numbers. Some browsers change a few of the pixels that a page
    reads, against fingerprinting; by this sum the page notices."""


@dataclass(frozen=True)
class PackedChannel:
    """A channel, or the mean of several, in 256 steps."""

    name: str
    image: str
    """Data URI of a grey WebP image: 255 arcsinh(x / cofactor) / arcsinh(top / cofactor)."""
    top: float
    """Intensity at 255, in the image's units."""
    cofactor: float
    """Intensity up to which the scale is about linear: 1, but top / 50 where that is more."""


def pack_mask(labels: np.ndarray) -> PackedMask:
    """Pack a mask of up to 2**24 - 1 cells.

    Parameters
    ----------
    labels
        (H, W) integers, 0 is background.
    """
    numbers, ids = pd.factorize(labels.ravel(), sort=True)
    if len(ids) and ids[0] == 0:
        ids = ids[1:]
    else:
        numbers = numbers + 1  # no pixel is background
    bytes_of = numbers.astype("<u4").view(np.uint8).reshape(*labels.shape, 4)
    rgb = np.ascontiguousarray(bytes_of[..., :3])
    starts = np.flatnonzero(np.diff(ids.astype(np.int64), prepend=-1) != 1)
    lengths = np.diff(starts, append=len(ids))
    runs = np.column_stack([ids[starts], lengths]).tolist()
    return PackedMask(
        _data_uri(_webp(rgb, lossless=True, quality=_EFFORT)), runs, int(numbers.sum())
    )


def pack_channel(name: str, plane: np.ndarray, quality: int = _QUALITY) -> PackedChannel:
    """Pack a (H, W) plane of intensities; below 0 counts as 0."""
    grey, top, cofactor = _in_256_steps(plane)
    return PackedChannel(
        name, _data_uri(_webp(grey, quality=quality, method=_METHOD)), top, cofactor
    )


def _in_256_steps(plane: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return a plane as uint8, its top and its cofactor, as `PackedChannel` explains them."""
    top = float(np.percentile(plane, TOP_PERCENTILE))
    top = top if top > 0 else max(float(plane.max()), 1.0)
    cofactor = max(min(1.0, top), top / LARGEST_STRETCH)
    scaled = np.arcsinh(np.clip(plane, 0, top) / cofactor) / np.arcsinh(top / cofactor)
    return np.round(255 * scaled).astype(np.uint8), top, cofactor


def pack_channels(
    image: np.ndarray, panel: Panel, budget_bytes: float
) -> tuple[list[PackedChannel], list[str]]:
    """Pack as many channels as a budget allows, the two aggregates first.

    These are the means of the nuclear channels and of the membrane channels, then single channels,
    those that vary most first. Two are packed whatever they take, eight at most.

    Parameters
    ----------
    image
        (C, H, W) intensities.
    panel
        Its channels.
    budget_bytes
        Bytes for all of them, as they stand in a page.

    Returns
    -------
    packed : list of PackedChannel
    left_out : list of str
        Names of the channels that did not fit.
    """
    packed: list[PackedChannel] = []
    for name, plane in _planes(image, panel):
        quality = _QUALITY if len(packed) < 2 else _QUALITY_OF_OTHERS
        channel = pack_channel(name, plane, quality)
        budget_bytes -= len(channel.image)
        if len(packed) >= 2 and budget_bytes < 0:
            break
        packed.append(channel)
        if len(packed) == _MOST_CHANNELS:
            break
    shown = {channel.name for channel in packed}
    return packed, [name for name in map(channel_name, panel.channels) if name not in shown]


def _planes(image: np.ndarray, panel: Panel) -> Iterator[tuple[str, np.ndarray]]:
    """Yield planes by name, the most telling first; an aggregate of one channel has its name."""
    alone: set[int] = set()
    for compartment in ("nucleus", "membrane"):
        parts = [i for i, c in enumerate(panel.channels) if c.compartment == compartment]
        if len(parts) == 1:
            alone.add(parts[0])
            yield channel_name(panel.channels[parts[0]]), image[parts[0]]
        elif parts:
            yield f"{compartment} (mean of {len(parts)})", aggregate(image, parts)
    others = [i for i in range(len(panel)) if i not in alone]
    varies = {i: _variation(image[i]) for i in others}
    for i in sorted(others, key=lambda i: -varies[i]):
        yield channel_name(panel.channels[i]), image[i]


def _variation(plane: np.ndarray) -> float:
    """Return how much of a channel is seen: the standard deviation of its square roots.

    The square root of a count has the same noise everywhere, so that what exceeds it is tissue, in
    bright channels and in dim ones.
    """
    some = plane[::_EVERY, ::_EVERY]
    top = float(np.percentile(some, TOP_PERCENTILE))
    return float(np.sqrt(np.clip(some, 0, max(top, 0.0))).std())


def thumbnail(image: np.ndarray, panel: Panel, size_px: int) -> bytes:
    """Colour the first two of the packed channels, blue and gold, as a small WebP file.

    Parameters
    ----------
    image
        (C, H, W) intensities.
    panel
        Its channels.
    size_px
        Longer edge of the picture.
    """
    scale = min(1.0, size_px / max(image.shape[1:]))
    height, width = (max(1, round(side * scale)) for side in image.shape[1:])
    light = np.zeros((height, width, 3))
    for (_, plane), colour in zip(_planes(image, panel), _COLOURS, strict=False):
        small = Image.fromarray(plane.astype(np.float32)).resize(
            (width, height), Image.Resampling.BOX
        )
        light += _in_256_steps(np.asarray(small))[0][..., None] / 255 * np.array(colour)
    return _webp(np.clip(light, 0, 255).astype(np.uint8), quality=70)


def _webp(pixels: np.ndarray, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", **settings)
    return buffer.getvalue()


def _data_uri(webp: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(webp).decode()
