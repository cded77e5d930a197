"""Plots of what masks' disagreement means for a cell, and for a result."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from imc_helpers.figures.page import (
    BLUE,
    GOLD,
    GREY,
    NARROW,
    VERMILION,
    in_style,
    legend,
    name_rows,
    row_panels,
    wrapped,
)


@in_style
def support_bars(shares: pd.DataFrame, *, width: float) -> Figure:
    """Draw what is right among the cells that so many other masks have.

    Parameters
    ----------
    shares
        One row per number of other masks that have a cell: ``others``, ``cells`` (the share of all
        cells) and, where the truth is known, ``real`` and ``typed_right`` with ``_low`` and
        ``_high``.
    width
        Width of the figure, inches.
    """
    looks = {
        "cells": (GREY, "share of all cells"),
        "real": (BLUE, "of these, really a cell"),
        "typed_right": (GOLD, "of these, a cell of the right type"),
    }
    drawn = [name for name in looks if name in shares]
    figure, axis = plt.subplots(figsize=(width, 2.9))
    x, bar = range(len(shares)), 0.8 / len(drawn)
    for k, name in enumerate(drawn):
        colour, _ = looks[name]
        at = [one + (k - (len(drawn) - 1) / 2) * bar for one in x]
        axis.bar(at, shares[name], bar, color=colour)
        if f"{name}_low" in shares:
            axis.vlines(at, shares[f"{name}_low"], shares[f"{name}_high"], color="black", lw=1)
    axis.set_xticks(list(x), [str(n) for n in shares["others"]])
    axis.set_ylim(0, 1.02)
    axis.set_yticks([0, 0.5, 1], ["0%", "50%", "100%"])
    axis.set_xlabel("other masks that have the cell")
    handles = [
        Line2D([], [], color=looks[n][0], marker="s", linestyle="", label=looks[n][1])
        for n in drawn
    ]
    legend(figure, handles, width)
    return figure


@in_style
def pooled_rows(table: pd.DataFrame, label: str, *, width: float) -> Figure:
    """Draw a result from one mask after the other, pooled, and the truth.

    Parameters
    ----------
    table
        One row per result and way: ``result``, ``way`` (``"one mask"``, of each mask, and
        ``"pooled"``), ``value``, ``low``, ``high``, and ``truth`` where it is known.
    label
        What the axis measures.
    width
        Width of the figure, inches.
    """
    names = list(dict.fromkeys(table["result"]))
    row_in = 0.5 if width < NARROW else 0.42
    figure, (axis,) = row_panels([len(names)], width, row_in=row_in, panel_in=0.1, rest_in=1.1)
    for y, name in enumerate(names):
        rows = table[table["result"] == name]
        single = rows[rows["way"] == "one mask"]
        for aside, (_, one) in zip(
            [-0.3 + 0.35 * k / max(1, len(single) - 1) for k in range(len(single))],
            single.iterrows(),
            strict=True,
        ):
            axis.plot([one["low"], one["high"]], [y + aside] * 2, color=GREY, linewidth=1.2)
            axis.plot(one["value"], y + aside, ".", color=GREY)
        for _, one in rows[rows["way"] == "pooled"].iterrows():
            axis.plot([one["low"], one["high"]], [y + 0.2] * 2, color=BLUE, linewidth=2.5)
            axis.plot(one["value"], y + 0.2, "o", color=BLUE, markersize=5)
        if rows["truth"].notna().any():
            axis.plot([rows["truth"].iloc[0]] * 2, [y - 0.36, y + 0.32], color=VERMILION, lw=2)
    name_rows(axis, wrapped(names, width))
    axis.set_xlabel(wrapped([label], width, wide=80, narrow=34)[0])
    axis.xaxis.set_major_locator(MaxNLocator(5))
    handles = [
        Line2D([], [], color=GREY, marker=".", label="one mask"),
        Line2D([], [], color=BLUE, marker="o", label="all, pooled"),
    ]
    if table["truth"].notna().any():
        handles.append(Line2D([], [], color=VERMILION, label="the truth"))
    legend(figure, handles, width)
    return figure
