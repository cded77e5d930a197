"""Plots of scores that need no reference: how they rank masks, and how they answer to flaws."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from imc_helpers.downstream.cell_quality import QUALITY_METRICS
from imc_helpers.experiments.without_truth import AS_FOUND, EQUAL
from imc_helpers.figures.names import rater_name
from imc_helpers.figures.page import (
    BLUE,
    GOLD,
    GREEN,
    GREY,
    NARROW,
    PURPLE,
    VERMILION,
    in_style,
    legend,
    name_rows,
    row_panels,
    wrapped,
)

SCORE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "davies_bouldin": "Davies–Bouldin",
        "silhouette": "Silhouette",
        "calinski_harabasz": "Calinski–Harabasz",
        **{key: words[0].upper() + words[1:] for key, words in QUALITY_METRICS.items()},
    }
)
"""What readers see in place of a score's key."""
_WAYS = {AS_FOUND: (BLUE, "o", -0.14), EQUAL: (GOLD, "D", 0.14)}
_COLOURS = (VERMILION, BLUE, GOLD, GREEN, PURPLE)


@in_style
def rank_rows(correlations: pd.DataFrame, *, width: float) -> Figure:
    """Draw how each score's ranks go with the truth's.

    Parameters
    ----------
    correlations
        One row per score and way of counting: ``score``, ``numbers``, ``mean``, ``low``, ``high``;
        in the order of the rows.
    width
        Width of the figure, inches.
    """
    names = list(dict.fromkeys(correlations["score"]))
    narrow = width < NARROW
    figure, (axis,) = row_panels(
        [len(names)], width, row_in=0.42 if narrow else 0.27, panel_in=0.1, rest_in=1.1
    )
    for numbers, rows in correlations.groupby("numbers", sort=False):
        colour, marker, aside = _WAYS[str(numbers)]
        y = [names.index(score) + aside for score in rows["score"]]
        axis.hlines(y, rows["low"], rows["high"], color=colour, linewidth=2)
        axis.plot(rows["mean"], y, marker, color=colour, markersize=5)
    axis.axvline(0, color=GREY, linewidth=1)
    name_rows(axis, wrapped([SCORE_NAMES[n] for n in names], width, wide=48, narrow=22))
    axis.set_xlim(-1.02, 1.02)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.set_xlabel(
        wrapped(["rank correlation with the score against the truth"], width, wide=80, narrow=28)[0]
    )
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=label)
        for (colour, marker, _), label in zip(
            _WAYS.values(), ("all cells of each mask", "as many cells of each"), strict=True
        )
    ]
    legend(figure, handles, width)
    return figure


@in_style
def flaw_curves(changes: pd.DataFrame, scores: Sequence[str], *, width: float) -> Figure:
    """Draw what a growing flaw does to scores, a panel per flaw.

    Parameters
    ----------
    changes
        One row per flaw and amount, with amount 0 for the truth: ``kind``, ``amount``, and a column
        for each score, more being better.
    scores
        Columns to draw, five at most.
    width
        Width of the figure, inches.
    """
    flaws = list(dict.fromkeys(changes["kind"]))
    columns = 2 if width < NARROW else 3
    lines = -(-len(flaws) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(width, 1.9 * lines + 0.9), sharey=True, squeeze=False
    )
    for axis in axes.flat[len(flaws) :]:
        axis.set_axis_off()
    for axis, flaw in zip(axes.flat, flaws, strict=False):
        rows = changes[changes["kind"] == flaw].sort_values("amount")
        share = rows["amount"].max() < 1
        x = 100 * rows["amount"] if share else rows["amount"]
        for score, colour in zip(scores, _COLOURS, strict=False):
            axis.plot(x, rows[score], "o-", color=colour, markersize=3, linewidth=1.5)
        axis.axhline(0, color=GREY, linewidth=1)
        axis.set_title(flaw)
        axis.set_xlabel("% of cells" if share else "px")
        axis.xaxis.set_major_locator(MaxNLocator(4))
    figure.supylabel("change, in SD over masks" if width < NARROW else "better →  (SD over masks)")
    handles = [
        Line2D([], [], color=colour, marker="o", markersize=3, label=SCORE_NAMES.get(score, score))
        for score, colour in zip(scores, _COLOURS, strict=False)
    ]
    legend(figure, handles, width)
    return figure


@in_style
def score_rows(table: pd.DataFrame, scores: Sequence[str], *, width: float) -> Figure:
    """Draw scores of masks: a dot per image and a bar for the mean, a panel per score.

    Parameters
    ----------
    table
        One row per image and mask: ``mask`` and the scores.
    scores
        Columns, a panel each.
    width
        Width of the figure, inches.
    """
    names = list(dict.fromkeys(table["mask"]))
    narrow = width < NARROW
    row_in = 0.4 if narrow else 0.26
    columns = 1 if narrow else len(scores)
    lines = len(scores) // columns
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(width, lines * (row_in * len(names) + 0.9)),
        sharey=not narrow,
        squeeze=False,
    )
    for axis, score in zip(axes.flat, scores, strict=True):
        y = table["mask"].map(names.index)
        axis.plot(table[score], y, "o", color=GREY, markersize=3, alpha=0.7)
        axis.plot(
            table.groupby("mask", sort=False)[score].mean(),
            range(len(names)),
            "|",
            color=BLUE,
            markersize=14,
            markeredgewidth=2.5,
        )
        name_rows(axis, wrapped(map(rater_name, names), width))
        axis.set_title(wrapped([SCORE_NAMES[score]], width, wide=24, narrow=30)[0])
        axis.xaxis.set_major_locator(MaxNLocator(4))
    return figure


@in_style
def map_of_cells(
    places: np.ndarray, masks: Sequence[str], shown: Sequence[str], *, width: float
) -> Figure:
    """Draw a map of the cells of several masks, each mask's over those of all.

    Parameters
    ----------
    places
        (N, 2) of the cells of all masks.
    masks
        (N,) whose each is.
    shown
        Masks with a panel.
    width
        Width of the figure, inches.
    """
    columns = 2 if width < NARROW else 4
    lines = -(-len(shown) // columns)
    edge = width / columns
    figure, axes = plt.subplots(lines, columns, figsize=(width, lines * edge), squeeze=False)
    whose = np.asarray(masks)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, mask in zip(axes.flat, shown, strict=False):
        # As pixels: thousands of dots as shapes would swell the page.
        axis.scatter(*places.T, s=3, color=GREY, alpha=0.25, linewidths=0, rasterized=True)
        axis.scatter(*places[whose == mask].T, s=3, color=BLUE, linewidths=0, rasterized=True)
        axis.set_title(wrapped([rater_name(mask)], width, wide=20, narrow=18)[0])
        axis.set_aspect("equal", "datalim")
    return figure
