"""Plots of what cells come to under each mask."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from imc_helpers.figures.names import rater_name
from imc_helpers.figures.page import (
    BLUE,
    GOLD,
    GREEN,
    GREY,
    NARROW,
    PURPLE,
    SKY,
    VERMILION,
    in_style,
    legend,
    name_rows,
    row_panels,
    wrapped,
)

_COLOURS = (GOLD, VERMILION, GREEN, PURPLE, BLUE, SKY)
_LOOKS: tuple[dict[str, Any], ...] = (
    {"linestyle": "-", "marker": "o"},
    {"linestyle": "--", "marker": "s"},
    {"linestyle": ":", "marker": "^"},
)
"""Of the first masks, and of those for which there are no colours left."""


@in_style
def mask_rows(
    table: pd.DataFrame, *, people: Sequence[str], line: float, label: str, width: float
) -> Figure:
    """Draw one value per mask, with its interval, in a panel for each quantity.

    Parameters
    ----------
    table
        One row per mask and quantity: ``rater``, ``quantity``, ``value``, ``low`` and ``high``
        (missing where there is no interval).
    people
        Raters drawn in another colour than the rest: annotators, tools.
    line
        Where masks stand that make no difference.
    label
        What the axes measure.
    width
        Width of the figure, inches.
    """
    panels = dict(list(table.groupby("quantity", sort=False)))
    row_in = 0.34 if width < NARROW else 0.24
    counts = [len(panel) for panel in panels.values()]
    figure, axes = row_panels(counts, width, row_in=row_in, panel_in=0.4, rest_in=0.7)
    for axis, (quantity, panel) in zip(axes, panels.items(), strict=True):
        for y, row in enumerate(panel.to_dict("records")):
            colour = GOLD if row["rater"] in people else BLUE
            axis.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2)
            axis.plot(row["value"], y, "o", color=colour, markersize=5)
        axis.axvline(line, color=GREY, linestyle="--", linewidth=1.2)
        name_rows(axis, wrapped(map(rater_name, panel["rater"]), width))
        axis.set_title(str(quantity), weight="bold", loc="left")
    axes[-1].xaxis.set_major_locator(MaxNLocator(5 if width < NARROW else 9))
    axes[-1].set_xlabel(wrapped([label], width, wide=80, narrow=30)[0])
    return figure


@in_style
def size_curves(table: pd.DataFrame, *, width: float) -> Figure:
    """Draw how many times too large cells are, by their true size, a panel per kind of outline.

    Parameters
    ----------
    table
        One row per mask and bin: ``outline`` (the panel), ``rater``, ``area`` (square micrometres),
        ``ratio``, ``low``, ``high`` (missing where there is no interval).
    width
        Width of the figure, inches.
    """
    panels = dict(list(table.groupby("outline", sort=False)))
    raters = list(table["rater"].unique())
    looks = {
        name: _LOOKS[k // len(_COLOURS) % 3]
        | {"color": _COLOURS[k % len(_COLOURS)], "markersize": 4}
        for k, name in enumerate(raters)
    }
    narrow = width < NARROW
    shape = (len(panels), 1) if narrow else (1, len(panels))
    key = 0.25 * (len(raters) if narrow else 1 + len(raters) // 4)
    size = (width, (2.4 * len(panels) if narrow else 2.7) + key)
    figure, axes = plt.subplots(*shape, figsize=size, sharey=True, squeeze=False)
    for axis, (outline, panel) in zip(axes.ravel(), panels.items(), strict=True):
        for rater, own in panel.groupby("rater", sort=False):
            look = looks[rater]
            axis.plot(own["area"], own["ratio"], **look)
            axis.fill_between(own["area"], own["low"], own["high"], color=look["color"], alpha=0.15)
        axis.axhline(1, color=GREY, linewidth=1)
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(0.6, 0.8, 1, 1.25, 1.6)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.set_title(outline, weight="bold", loc="left")
    low, high = np.nanmin(table["ratio"]), np.nanmax(table["ratio"])
    axes[0, 0].set_ylim(min(0.75, low / 1.1), max(1.35, high * 1.1))
    for axis in axes[-1]:
        axis.set_xlabel("true area of the cell (µm²)")
    for axis in axes[:, 0]:
        axis.set_ylabel("area / true area")
    handles = [Line2D([], [], label=rater_name(name), **looks[name]) for name in raters]
    legend(figure, handles, width)
    return figure
