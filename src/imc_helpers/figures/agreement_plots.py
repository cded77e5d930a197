"""Plots of metrics, and of how raters agree."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imc_helpers.agreement.score_table import METRICS
from imc_helpers.agreement.summaries import agreement_matrix
from imc_helpers.figures.page import BLUE, GOLD, SKY, VERMILION, in_style
from imc_helpers.metrics import (
    THRESHOLDS,
    ContingencyTable,
    ap_curve,
    evaluate,
    global_assignment,
    sap_curve,
)


@in_style
def agreement_matrices(table: pd.DataFrame) -> Figure:
    """Draw the pairwise matrices: a row per cohort and mode, a column per metric (Figure 2).

    Parameters
    ----------
    table
        What `imc_helpers.agreement.summaries.between` returns, one row or more; several cohorts may
        stand in it.
    """
    groups = {
        (str(cohort), str(mode)): part
        for cohort, rows in table.groupby("cohort", sort=False)
        for mode, part in rows.groupby("mode", sort=False)
    }
    raters = max(
        pd.concat([part["rater_true"], part["rater_pred"]]).nunique() for part in groups.values()
    )
    edge = max(2.5, 0.62 * raters + 1.0)
    figure, axes = plt.subplots(
        len(groups), len(METRICS), figsize=(edge * len(METRICS), edge * len(groups)), squeeze=False
    )
    for row, ((cohort, mode), part) in zip(axes, groups.items(), strict=True):
        for axis, metric in zip(row, METRICS, strict=True):
            _heatmap(axis, agreement_matrix(part, metric, mode))
            axis.set_title(f"{metric}, {mode}", fontsize=10)
        row[0].set_ylabel(cohort, fontsize=9)
    return figure


def _heatmap(axis: Axes, matrix: pd.DataFrame) -> None:
    axis.imshow(np.ma.masked_invalid(matrix.to_numpy()), cmap="cividis", vmin=0, vmax=1)
    axis.set_facecolor("#eeeeee")
    ticks = range(len(matrix))
    axis.set_xticks(ticks, [str(name) for name in matrix.columns], rotation=30, ha="right")
    axis.set_yticks(ticks, [str(name) for name in matrix.index])
    axis.tick_params(length=0, labelsize=8)
    axis.spines[:].set_visible(False)
    for (i, j), value in np.ndenumerate(matrix.to_numpy()):
        if np.isfinite(value):
            colour = "white" if value < 0.5 else "black"
            axis.text(j, i, f"{value:.3f}", ha="center", va="center", color=colour, fontsize=9)


@in_style
def ap_areas(table: ContingencyTable) -> Figure:
    """Draw what ap50, map and sap measure on one AP/IoU curve (the study's Figure 1).

    Parameters
    ----------
    table
        Contingency table of a pair of label images; a pair of cells matches when IoU >= t.
    """
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.1), sharex=True, sharey=True)
    exact, smooth = sap_curve(table, "step"), sap_curve(table, "paper")
    heights = ap_curve(table, THRESHOLDS)
    for axis in axes[:2]:
        axis.plot(exact.iou, exact.ap, color="black", linewidth=1.2)
    axes[0].plot([0.5, 0.5, 0], [0, heights[0], heights[0]], color=VERMILION, linestyle="--")
    axes[0].plot(0.5, heights[0], "o", color=VERMILION)
    axes[0].set_title(f"ap50 = {heights[0]:.3f}", fontsize=10)
    axes[1].bar(THRESHOLDS, heights, width=0.05, align="edge", color=GOLD, alpha=0.6, lw=0)
    axes[1].plot(THRESHOLDS, heights, "o", color=GOLD, markersize=4)
    axes[1].set_title(f"map = {heights.mean():.3f}", fontsize=10)
    axes[2].fill_between(smooth.iou, smooth.ap, color=SKY, alpha=0.5, lw=0)
    axes[2].plot(smooth.iou, smooth.ap, color="black", linewidth=1.2)
    axes[2].set_title(f"sap = {evaluate(table=table).sap:.3f}", fontsize=10)
    for axis in axes:
        axis.set_xlabel("IoU threshold")
        axis.set_xlim(0, 1)
        axis.set_ylim(0, None)
    axes[0].set_ylabel("AP")
    return figure


@in_style
def assignment_curves(table: ContingencyTable) -> Figure:
    """Draw AP with the best assignment at each threshold, and with one assignment for all.

    Parameters
    ----------
    table
        Contingency table of a pair of label images.
    """
    figure, axis = plt.subplots(figsize=(5.4, 3.2))
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
    axis.legend(frameon=False)
    return figure


@in_style
def ceiling_curves(sweep: pd.DataFrame) -> Figure:
    """Draw agreement, and the score of the truth, against how much experts' errors correlate.

    Parameters
    ----------
    sweep
        What `imc_helpers.experiments.ceiling.correlation_sweep` returns.
    """
    figure, axes = plt.subplots(1, len(METRICS), figsize=(9.6, 3.2), sharex=True, sharey=True)
    looks = {
        "annotators": {"color": BLUE, "marker": "o", "label": "annotators with one another"},
        "truth": {"color": VERMILION, "marker": "s", "label": "the truth with annotators"},
    }
    for axis, metric in zip(axes, METRICS, strict=True):
        for who, look in looks.items():
            by_correlation = sweep[sweep["who"] == who].groupby("correlation")[metric]
            mean, low, high = by_correlation.mean(), by_correlation.min(), by_correlation.max()
            axis.plot(mean.index, mean, **look)
            axis.fill_between(mean.index, low, high, color=look["color"], alpha=0.2, lw=0)
        axis.set_title(metric, fontsize=10)
        axis.set_xlabel("correlation of errors")
        axis.set_ylim(0, 1)
    axes[0].set_ylabel("mean score")
    axes[0].legend(frameon=False, fontsize=8, loc="lower left")
    return figure


@in_style
def likeness_ranges(table: pd.DataFrame) -> Figure:
    """Draw, a panel a statistic and a row a channel, where a phantom lies among real samples.

    Parameters
    ----------
    table
        What `imc_helpers.experiments.likeness.likeness` returns.
    """
    titles = {
        "median": "median count",
        "p99": "99th percentile",
        "zero": "share of empty pixels",
        "neighbour": "neighbours' correlation",
    }
    figure, axes = plt.subplots(
        1, len(titles), figsize=(10.5, 0.27 * len(table) + 1.2), sharey=True
    )
    rows = np.arange(len(table))
    for axis, (statistic, title) in zip(axes, titles.items(), strict=True):
        low, high = table[f"{statistic}_real_min"], table[f"{statistic}_real_max"]
        axis.hlines(rows, low, high, color="#bbbbbb", linewidth=7)
        axis.plot(low, rows, "|", color="#888888", markersize=9)
        axis.plot(high, rows, "|", color="#888888", markersize=9)
        axis.plot(table[f"{statistic}_phantom"], rows, "o", color=VERMILION, markersize=5)
        if statistic in ("median", "p99"):
            axis.set_xscale("symlog", linthresh=10)
            axis.set_xlim(left=-1)
        axis.set_title(title, fontsize=9)
    axes[0].set_yticks(rows, table["name"])
    axes[0].invert_yaxis()
    return figure
