"""Plots of what masks do to the biology: conclusions, and how far masks agree about them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from imc_helpers.data.raters import TRUTH
from imc_helpers.downstream.conclusions import Kind, Verdict
from imc_helpers.figures.page import (
    GOLD,
    GREEN,
    GREY,
    NARROW,
    VERMILION,
    in_style,
    legend,
    name_rows,
    row_panels,
    wrapped,
)

_OF_VERDICT = {
    Verdict.SAME: (GREEN, "o"),
    Verdict.OPEN: (GOLD, "s"),
    Verdict.CHANGED: (VERMILION, "v"),
}
_OF_KIND = {
    Kind.FRACTION: "Fraction of the cells, relative to the masks' mean",
    Kind.CONTACT: "Contacts, relative to chance",
    Kind.GROUPS: "Fraction in the second group, relative to the first",
}
_REACH = 0.62
"""Height of a row that its masks share."""


@in_style
def conclusion_rows(judged: pd.DataFrame, beside: list[str], *, width: float) -> Figure:
    """Draw what each mask says of each conclusion, coloured by what becomes of it.

    Parameters
    ----------
    judged
        What `imc_helpers.downstream.conclusions.judge` returns, of the conclusions to show.
    beside
        Raters who did not enter the verdict; the truth is drawn as a line, others are not drawn.
    width
        Width of the figure, inches.
    """
    kinds = {kind: rows for kind in _OF_KIND if len(rows := judged[judged["kind"] == kind])}
    counts = [rows["name"].nunique() for rows in kinds.values()]
    row_in = 0.5 if width < NARROW else 0.34
    figure, axes = row_panels(counts, width, row_in=row_in, panel_in=0.55, rest_in=1.1)
    for axis, (kind, rows) in zip(axes, kinds.items(), strict=True):
        axis.axvline(0, color=GREY, linewidth=0.8)
        names = list(dict.fromkeys(rows["name"]))
        for y, name in enumerate(names):
            own = rows[rows["name"] == name]
            masks = own[~own["rater"].isin(beside)]
            colour, marker = _OF_VERDICT[Verdict(own["verdict"].iloc[0])]
            places = y + _REACH * (np.arange(len(masks)) / max(len(masks) - 1, 1) - 0.5)
            for place, row in zip(places, masks.to_dict("records"), strict=True):
                axis.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.4)
                axis.plot(row["value"], place, marker, color=colour, markersize=4)
            true = own.loc[own["rater"] == TRUTH, "value"]
            axis.plot(
                np.repeat(true, 2), y + np.array([-0.42, 0.42])[: 2 * len(true)], color="black"
            )
        name_rows(axis, wrapped(names, width, wide=34))
        (title,) = wrapped([_OF_KIND[kind]], width, wide=80, narrow=24)
        axis.set_title(title, weight="bold", loc="left")
    low, high = np.nanmin(judged[["low", "value"]]), np.nanmax(judged[["high", "value"]])
    ends = min(-0.3, max(low, -3)), max(0.3, min(high, 3))
    axes[-1].set_xlim(ends[0] * 1.08, ends[1] * 1.08)
    ticks = [tick for tick in (-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3) if ends[0] <= tick <= ends[1]]
    if ends[1] - ends[0] > 3:
        ticks = [tick for tick in ticks if tick % (2 if width < NARROW else 1) == 0]
    axes[-1].set_xticks(ticks, [f"× {2.0**tick:.3g}" for tick in ticks])
    handles = [
        Line2D([], [], color=colour, marker=marker, label=verdict.value)
        for verdict, (colour, marker) in _OF_VERDICT.items()
        if (judged["verdict"] == verdict).any()
    ]
    if (judged["rater"] == TRUTH).any():
        handles.append(Line2D([], [], color="black", label="truth"))
    legend(figure, handles, width)
    return figure


@in_style
def dot_rows(
    tables: Mapping[str, pd.DataFrame], colours: Mapping[str, str], xlabel: str, *, width: float
) -> Figure:
    """Draw several numbers for each of some rows as dots on one line.

    Parameters
    ----------
    tables
        By heading, a frame with a row for each line, named by its index, and a column for each
        series; missing values are not drawn.
    colours
        Of the series, in their order.
    xlabel
        What the numbers are.
    width
        Width of the figure, inches.
    """
    markers = dict(zip(colours, "osDv^", strict=False))
    counts = [len(rows) for rows in tables.values()]
    row_in = 0.3 if width < NARROW else 0.24
    figure, axes = row_panels(counts, width, row_in=row_in, panel_in=0.45, rest_in=1.1)
    for axis, (heading, rows) in zip(axes, tables.items(), strict=True):
        values = rows[list(colours)].to_numpy(float)
        known = values[~np.isnan(values).all(axis=1)]
        lines = np.flatnonzero(~np.isnan(values).all(axis=1))
        axis.hlines(lines, np.nanmin(known, axis=1), np.nanmax(known, axis=1), color=GREY, lw=0.8)
        for series, colour in colours.items():
            axis.plot(rows[series], range(len(rows)), markers[series], color=colour, markersize=5)
        name_rows(axis, wrapped(rows.index, width))
        if heading:
            axis.set_title(heading, weight="bold", loc="left")
    (label,) = wrapped([xlabel], width, wide=80, narrow=36)
    axes[-1].set_xlabel(label)
    handles = [
        Line2D([], [], color=colour, marker=markers[series], linestyle="", label=series)
        for series, colour in colours.items()
    ]
    legend(figure, handles, width)
    return figure
