"""Sliding windows: where they lie, and which part of each is scored.

Schuiki et al. 2025, section 3.1.4: windows of 256 x 256 pixels that overlap by 128. A border of
28 pixels is ignored on every side of each, so that cells cut by the window's edge do not count.
"""

from typing import NamedTuple

import numpy as np

MODES = ("whole", "patch")
"""The study's two modes: the whole image, or sliding windows."""
WINDOW_PX = 256
"""Edge of a window, pixels."""
STRIDE_PX = 128
"""Step from one window to the next, pixels: window less overlap."""
BORDER_PX = 28
"""Width of the ignored border, pixels."""


class Window(NamedTuple):
    """A square window of an image."""

    y: int
    """First row."""
    x: int
    """First column."""
    size: int
    """Edge, pixels."""

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index a (H, W) array."""
        return slice(self.y, self.y + self.size), slice(self.x, self.x + self.size)

    def shrink(self, border: int) -> "Window":
        """Return the window without a border on every side.

        Raises
        ------
        ValueError
            If nothing would remain, or the border is negative.
        """
        if border < 0 or 2 * border >= self.size:
            raise ValueError(
                f"border: expected 0 to {(self.size - 1) // 2} px for a window of {self.size} px, "
                f"found {border}"
            )
        return Window(self.y + border, self.x + border, self.size - 2 * border)


def windows(
    shape: tuple[int, int], *, size: int = WINDOW_PX, stride: int = STRIDE_PX
) -> list[Window]:
    """Cover an image with full windows, from the top left, row by row.

    What lies beyond the last full window is left out, so an image with a side under ``size`` has no
    windows at all. 1000 x 1000 px has 6 x 6.

    Parameters
    ----------
    shape
        Height and width, pixels.
    size, stride
        Edge of a window and step between windows, pixels.

    Raises
    ------
    ValueError
        If size or stride is not positive.
    """
    if size < 1 or stride < 1:
        raise ValueError(f"size and stride: expected 1 px or more, found {size} and {stride}")
    height, width = shape
    return [
        Window(y, x, size)
        for y in range(0, height - size + 1, stride)
        for x in range(0, width - size + 1, stride)
    ]


def cut(labels: np.ndarray, *, size: int = WINDOW_PX, stride: int = STRIDE_PX) -> np.ndarray:
    """Cut the windows out of an (H, W) image: (P, size, size), in the order of `windows`."""
    placed = windows((labels.shape[0], labels.shape[1]), size=size, stride=stride)
    stack = np.zeros((len(placed), size, size), labels.dtype)
    for plane, window in zip(stack, placed, strict=True):
        plane[:] = labels[window.slices]
    return stack


def cover(shape: tuple[int, int], *, size: int) -> list[Window]:
    """Cover an image whole with as few windows as that takes, evenly spread, row by row.

    Neighbours overlap where the sides are no multiples of the window's.

    Parameters
    ----------
    shape
        Height and width, pixels.
    size
        Edge of a window, pixels.

    Raises
    ------
    ValueError
        If the window is not positive, or larger than the image.
    """
    if not 1 <= size <= min(shape):
        raise ValueError(f"size: expected 1 to {min(shape)} px, found {size}")

    def starts(side: int) -> list[int]:
        number = -(-side // size)
        return [int(start) for start in np.linspace(0, side - size, number)]

    return [Window(y, x, size) for y in starts(shape[0]) for x in starts(shape[1])]


def windows_apart(
    shape: tuple[int, int],
    *,
    size: int = WINDOW_PX,
    stride: int = STRIDE_PX,
    border: int = BORDER_PX,
) -> list[int]:
    """Choose windows whose scored squares do not overlap, from the top left.

    Parameters
    ----------
    shape
        Height and width, pixels.
    size, stride, border
        Edge of a window, step between windows, and ignored border, pixels.

    Returns
    -------
    list of int
        Positions in the list of `windows`: with the study's sizes every second row and column.
    """
    apart_px = -(-(size - 2 * border) // stride) * stride
    return [
        k
        for k, window in enumerate(windows(shape, size=size, stride=stride))
        if window.y % apart_px == window.x % apart_px == 0
    ]


def count_windows(
    height: float, width: float, *, size: int = WINDOW_PX, stride: int = STRIDE_PX
) -> int:
    """Count the full windows of an image, without listing them."""

    def along(side: float) -> int:
        return max(0, int((side - size) // stride) + 1)

    return along(height) * along(width)


def covered_share(
    shape: tuple[int, int],
    *,
    size: int = WINDOW_PX,
    stride: int = STRIDE_PX,
    border: int = BORDER_PX,
) -> float:
    """Return the share of an image's pixels that some window scores, 0 … 1.

    Parameters
    ----------
    shape
        Height and width, pixels.
    size, stride, border
        Edge of a window, step between windows, and ignored border, pixels.
    """
    scored = np.zeros(shape, dtype=bool)
    for window in windows(shape, size=size, stride=stride):
        scored[window.shrink(border).slices] = True
    return float(scored.mean())
