"""Plots of metrics, and of how raters agree."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imc_helpers.agreement.score_table import METRICS
from imc_helpers.agreement.summaries import agreement_matrix
from imc_helpers.figures.names import cohort_name, rater_name
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
    wrapped,
)
from imc_helpers.metrics import (
    THRESHOLDS,
    ContingencyTable,
    ap_curve,
    evaluate,
    global_assignment,
    sap_curve,
)

_MODES = {"whole": "whole images", "patch": "patches"}


@in_style
def agreement_matrices(
    table: pd.DataFrame, metrics: Sequence[str] = METRICS, *, width: float
) -> Figure:
    """Draw what every pair scores, one triangle per cohort, mode and metric (Figure 2).

    The metrics are symmetric, so the other half of each matrix would repeat this one. Where there
    are two raters, their one pair is a row with a cell per metric.

    Parameters
    ----------
    table
        What `imc_helpers.agreement.summaries.between` returns, one row or more; several cohorts may
        stand in it.
    metrics
        Its columns to draw.
    width
        Width of the figure, inches.
    """
    groups = {
        (str(cohort), str(mode)): {m: agreement_matrix(part, m, str(mode)) for m in metrics}
        for cohort, rows in table.groupby("cohort", sort=False)
        for mode, part in rows.groupby("mode", sort=False)
    }
    columns = 1 if width < NARROW else len(metrics)
    sizes = [len(next(iter(matrices.values()))) for matrices in groups.values()]
    # Names take as much as a cell or two; no cell is wider than its number needs.
    edges = [min(0.8, (width - 0.9) / columns / (size - 0.3)) for size in sizes]
    heights = [
        1.1 if size == 2 else (0.62 * edge * (size - 0.5) + 0.5) * (len(metrics) // columns) + 0.3
        for size, edge in zip(sizes, edges, strict=True)
    ]
    figure = plt.figure(figsize=(width, sum(heights)))
    parts = figure.subfigures(len(groups), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, ((cohort, mode), matrices) in zip(parts, groups.items(), strict=True):
        names = [rater_name(str(name)) for name in next(iter(matrices.values())).index]
        heading = f"{cohort_name(cohort)}, {_MODES[mode]}"
        if len(names) == 2:
            _strip(part.subplots(), matrices)
            heading += f": {' and '.join(names)}"
        else:
            axes = part.subplots(len(metrics) // columns, columns, squeeze=False)
            for axis, (metric, matrix) in zip(axes.flat, matrices.items(), strict=True):
                _triangle(axis, matrix.to_numpy(), names)
                axis.set_title(metric, loc="left")
            for axis in axes[:, 1:].flat:
                axis.set_yticks([])  # rows go on from the triangle to the left
        (title,) = wrapped([heading], width, wide=90, narrow=38)
        part.suptitle(title, x=0.02, ha="left", weight="bold")
    return figure


def _strip(axis: Axes, matrices: Mapping[str, pd.DataFrame]) -> None:
    """Draw what one pair of raters scores, a cell per metric."""
    values = np.array([[matrix.to_numpy()[1, 0] for matrix in matrices.values()]])
    _cells(axis, values, np.ones_like(values, dtype=bool))
    axis.set_xticks(range(len(matrices)), list(matrices))
    axis.set_yticks([])
    axis.xaxis.tick_top()


def _triangle(axis: Axes, matrix: np.ndarray, names: Sequence[str]) -> None:
    """Draw the pairs below the diagonal of a matrix."""
    values = matrix[1:, :-1]
    _cells(axis, values, np.tril(np.ones_like(values, dtype=bool)))
    axis.set_xticks([])
    axis.set_yticks(range(len(names) - 1), names[1:])
    axis.set_ylim(len(names) - 1.5, -1)
    for j, name in enumerate(names[:-1]):  # above its column, where the other half would be
        axis.text(j - 0.45, j - 0.58, name, va="bottom")


def _cells(axis: Axes, values: np.ndarray, shown: np.ndarray) -> None:
    """Draw cells with their numbers: from paper for 0 to ink for 1, in any theme."""
    axis.imshow(
        np.ma.masked_where(~shown | np.isnan(values), values),
        cmap="Blues",
        vmin=0,
        vmax=1,
        aspect=0.62,
        interpolation="none",
    )
    axis.set_anchor("NW")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    for (i, j), value in np.ndenumerate(values):
        if shown[i, j]:
            text, colour = f"{value:.2f}", "white" if value > 0.6 else "black"
            text = text if np.isfinite(value) else "–"
            axis.text(j, i, text, ha="center", va="center", color=colour, fontsize=10)


@in_style
def ap_areas(table: ContingencyTable, *, width: float) -> Figure:
    """Draw what ap50, map and sap measure on one AP/IoU curve (the study's Figure 1).

    Parameters
    ----------
    table
        Contingency table of a pair of label images; a pair of cells matches when IoU >= t.
    width
        Width of the figure, inches.
    """
    figure, axes = _side_by_side(3, width, height_in=2.4)
    exact, smooth = sap_curve(table, "step"), sap_curve(table, "paper")
    heights = ap_curve(table, THRESHOLDS)
    for axis in axes[:2]:
        axis.plot(exact.iou, exact.ap, color="black", linewidth=1.2)
    axes[0].plot([0.5, 0.5, 0], [0, heights[0], heights[0]], color=VERMILION, linestyle="--")
    axes[0].plot(0.5, heights[0], "o", color=VERMILION)
    axes[0].set_title(f"ap50 = {heights[0]:.3f}")
    axes[1].bar(THRESHOLDS, heights, width=0.05, align="edge", color=GOLD, alpha=0.6, lw=0)
    axes[1].plot(THRESHOLDS, heights, "o", color=GOLD, markersize=4)
    axes[1].set_title(f"map = {heights.mean():.3f}")
    axes[2].fill_between(smooth.iou, smooth.ap, color=SKY, alpha=0.5, lw=0)
    axes[2].plot(smooth.iou, smooth.ap, color="black", linewidth=1.2)
    axes[2].set_title(f"sap = {evaluate(table=table).sap:.3f}")
    for axis in axes:
        axis.set_xlim(0, 1)
        axis.set_ylim(0, None)
        axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axis.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    figure.supxlabel("IoU threshold")
    figure.supylabel("AP")
    return figure


def _side_by_side(panels: int, width: float, *, height_in: float) -> tuple[Figure, list[Axes]]:
    """Make panels with the same axes: beside one another, or below on a telephone."""
    rows, columns = (panels, 1) if width < NARROW else (1, panels)
    height = rows * (height_in if width >= NARROW else 0.8 * height_in) + 0.3
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), sharex=True, sharey=True, squeeze=False
    )
    for axis in axes.flat:
        axis.tick_params(labelbottom=True)
    return figure, list(axes.flat)


@in_style
def assignment_curves(table: ContingencyTable, *, width: float) -> Figure:
    """Draw AP with the best assignment at each threshold, and with one assignment for all.

    Parameters
    ----------
    table
        Contingency table of a pair of label images.
    width
        Width of the figure, inches.
    """
    figure, axis = plt.subplots(figsize=(min(width, 5.4), 2.8))
    best = sap_curve(table, "step")
    levels = np.sort(global_assignment(table).iou)
    ious = np.r_[0, np.repeat(levels, 2), 1]
    true_positives = len(levels) - np.repeat(np.arange(len(levels) + 1), 2)
    fixed = true_positives / (table.n_true + table.n_pred - true_positives)
    axis.plot(best.iou, best.ap, color=BLUE, linewidth=2, label="best at each threshold")
    axis.plot(ious, fixed, color=VERMILION, linewidth=2, linestyle="--", label="one for all")
    axis.set_xlabel("IoU threshold")
    axis.set_ylabel("AP")
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.05)
    axis.legend()
    return figure


@in_style
def ceiling_curves(sweep: pd.DataFrame, *, width: float) -> Figure:
    """Draw agreement, and the score of the truth, against how much experts' errors correlate.

    Parameters
    ----------
    sweep
        What `imc_helpers.experiments.shared_errors.correlation_sweep` returns.
    width
        Width of the figure, inches.
    """
    figure, axes = _side_by_side(len(METRICS), width, height_in=2.4)
    looks = {
        "annotators": (BLUE, "o", "annotators with one another"),
        "truth": (VERMILION, "s", "the truth with annotators"),
    }
    for axis, metric in zip(axes, METRICS, strict=True):
        for who, (colour, marker, name) in looks.items():
            by_correlation = sweep[sweep["who"] == who].groupby("correlation")[metric]
            mean, low, high = by_correlation.mean(), by_correlation.min(), by_correlation.max()
            axis.plot(mean.index, mean, color=colour, marker=marker, label=name)
            axis.fill_between(mean.index, low, high, color=colour, alpha=0.2, lw=0)
        axis.set_title(metric)
        axis.set_ylim(0, 1)
        axis.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    figure.supxlabel("correlation of the annotators' errors")
    figure.supylabel("mean score")
    legend(figure, axes[0].get_legend_handles_labels()[0], width)
    return figure


@in_style
def agreement_falls(by_iou: pd.DataFrame, *, width: float) -> Figure:
    """Draw, a line per cohort, how AP between raters falls with the IoU that is asked for.

    Parameters
    ----------
    by_iou
        What `imc_helpers.agreement.summaries.agreement_by_iou` returns.
    width
        Width of the figure, inches.
    """
    figure, axis = plt.subplots(figsize=(width, 2.6))
    colours = (BLUE, VERMILION, GREEN, GOLD, PURPLE, SKY)
    for k, (cohort, rows) in enumerate(by_iou.groupby("cohort", sort=False)):
        name, colour = cohort_name(str(cohort)), colours[k % len(colours)]
        axis.plot(rows["threshold"], rows["ap"], "o-", color=colour, markersize=4, label=name)
    axis.axhline(0.5, color=GREY, linestyle=(0, (4, 3)), linewidth=1)
    axis.set_ylim(0, 1)
    axis.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axis.set_xlabel("IoU that two cells must reach")
    axis.set_ylabel("mean AP")
    legend(figure, axis.get_legend_handles_labels()[0], width)
    return figure


@in_style
def unfitted_pairs(tables: Mapping[str, pd.DataFrame], *, width: float) -> Figure:
    """Draw pairs of channels: their correlation in one set of real regions, and elsewhere.

    Parameters
    ----------
    tables
        By title of the panel, one row per pair: ``aside`` (correlation in the real regions that
        the others are held against), ``others`` (in other real regions) and ``made`` (synthetic).
    width
        Width of the figure, inches.
    """
    lines = len(tables) if width < NARROW else 1
    columns = len(tables) // lines
    figure, axes = plt.subplots(
        lines, columns, figsize=(width, 3.4 * lines), sharex=True, sharey=True, squeeze=False
    )
    for axis, (title, table) in zip(axes.flat, tables.items(), strict=True):
        axis.axline((0, 0), slope=1, color="#bbbbbb", linewidth=1)
        for of, name, style in (
            ("others", "other real regions", {"mfc": "none", "color": "#777777"}),
            ("made", "phantom (synthetic)", {"color": VERMILION}),
        ):
            axis.plot(table["aside"], table[of], "o", markersize=4, label=name, **style)
        axis.set_title(title, fontsize=9)
        axis.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xlabel="real regions kept aside")
        axis.set_xticks([-1, 0, 1])
        axis.set_yticks([-1, 0, 1])
    for axis in axes[:, 0]:
        axis.set_ylabel("elsewhere")
    legend(figure, axes[0, 0].get_legend_handles_labels()[0], width)
    return figure


@in_style
def likeness_ranges(table: pd.DataFrame, *, width: float) -> Figure:
    """Draw, a panel per statistic and a row per channel, where a phantom lies among real samples.

    Parameters
    ----------
    table
        What `imc_helpers.experiments.likeness.likeness` returns.
    width
        Width of the figure, inches.
    """
    titles = {
        "median": "median count",
        "p99": "99th percentile",
        "zero": "empty pixels, share",
        "neighbour": "neighbours' correlation",
    }
    columns = 2 if width < NARROW else 4
    lines = len(titles) // columns
    figure, axes = plt.subplots(
        lines, columns, figsize=(width, lines * (0.22 * len(table) + 0.7)), sharey=True
    )
    rows = np.arange(len(table))
    for axis, (statistic, title) in zip(axes.flat, titles.items(), strict=True):
        low, high = table[f"{statistic}_real_min"], table[f"{statistic}_real_max"]
        axis.hlines(rows, low, high, color="#bbbbbb", linewidth=7)
        axis.plot(low, rows, "|", color="#888888", markersize=9)
        axis.plot(high, rows, "|", color="#888888", markersize=9)
        axis.plot(table[f"{statistic}_phantom"], rows, "o", color=VERMILION, markersize=5)
        if statistic in ("median", "p99"):
            axis.set_xscale("symlog", linthresh=10)
            most = max(high.max(), table[f"{statistic}_phantom"].max())
            ticks = [tick for tick in (0, 10, 1000) if tick <= most] or [0]
            axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks], minor=False)
            axis.set_xticks([], minor=True)
            axis.set_xlim(left=-1)
        else:
            axis.set_xlim(-0.05, 1.05)
            axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        (text,) = wrapped([title], width, wide=24, narrow=14)
        axis.set_title(text, fontsize=9)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="y", color="#eeeeee", linewidth=0.6)
        axis.set_axisbelow(True)
    axes.flat[0].set_yticks(rows, table["name"])
    axes.flat[0].invert_yaxis()
    return figure
