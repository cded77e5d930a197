"""Plots of what masks tell of the truth, and of what few labels buy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from imc_helpers.agreement.consensus import Consensus
from imc_helpers.figures.names import cohort_name, rater_name
from imc_helpers.figures.page import (
    BLUE,
    GOLD,
    GREY,
    NARROW,
    VERMILION,
    in_dark_style,
    in_style,
    legend,
    name_rows,
    row_panels,
    wrapped,
)
from imc_helpers.figures.tissue_images import (
    cell_edges,
    draw_edges,
    edge_path,
    field_px,
    heading,
    middle,
    scale_bar,
    show_plane,
    square_panels,
    stretch,
)


@dataclass(frozen=True)
class Reach:
    """How far masks get with the annotators of one cohort."""

    rows: pd.DataFrame
    """One row per mask: ``rater`` (a key or words), ``value``, ``low`` and ``high`` (missing
    without several images), ``kind``: one of `LOOKS`."""
    lines: Mapping[str, float]
    """What is drawn as a vertical line, by its name."""
    beyond: float | None = None
    """From where on no mask gets, if anywhere."""


LOOKS = {
    "model": (BLUE, "o", "a model"),
    "people": (GOLD, "D", "people, or made of their masks"),
    "truth": (VERMILION, "s", "the truth: known, since synthetic"),
}
"""Colour, marker and name of each kind of mask."""
_STYLES: tuple[Any, ...] = ("-", "--", ":")


@in_style
def reach_rows(cohorts: Mapping[str, Reach], label: str, *, width: float) -> Figure:
    """Draw where models, people and the truth lie beside what they could reach.

    Parameters
    ----------
    cohorts
        By key, one or more; their lines have the same names.
    label
        What the axis measures.
    width
        Width of the figure, inches.
    """
    counts = [len(reach.rows) for reach in cohorts.values()]
    row_in = 0.4 if width < NARROW else 0.28
    figure, axes = row_panels(counts, width, row_in=row_in, panel_in=0.4, rest_in=1.4)
    kinds: dict[str, None] = {}
    for axis, (cohort, reach) in zip(axes, cohorts.items(), strict=True):
        for y, row in enumerate(reach.rows.to_dict("records")):
            colour, marker, _ = LOOKS[row["kind"]]
            kinds[row["kind"]] = None
            axis.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2)
            axis.plot(row["value"], y, marker, color=colour, markersize=6)
        for (_, x), style in zip(reach.lines.items(), _STYLES, strict=False):
            axis.axvline(x, color=GREY, linestyle=style, linewidth=1.2)
        name_rows(axis, wrapped(map(rater_name, reach.rows["rater"]), width))
        axis.set_title(cohort_name(cohort), weight="bold", loc="left")
    axes[-1].xaxis.set_major_locator(MaxNLocator(5 if width < NARROW else 9))
    for axis, reach in zip(axes, cohorts.values(), strict=True):
        if reach.beyond is not None:
            axis.axvspan(reach.beyond, 2, color=GREY, alpha=0.25, lw=0)
    low, high = axes[-1].dataLim.intervalx
    if any(reach.beyond is not None for reach in cohorts.values()):
        low, high = 0, 1
    axes[-1].set_xlim(low - 0.02, high + 0.02)
    axes[-1].set_xlabel(wrapped([label], width, wide=80, narrow=28)[0])
    handles = [
        Line2D([], [], color=LOOKS[k][0], marker=LOOKS[k][1], linestyle="", label=LOOKS[k][2])
        for k in kinds
    ]
    first = next(iter(cohorts.values()))
    handles += [
        Line2D([], [], color=GREY, linestyle=style, label=name)
        for name, style in zip(first.lines, _STYLES, strict=False)
    ]
    legend(figure, handles, width)
    return figure


@in_style
def supposed_curves(mean_distances: Mapping[str, float], *, width: float) -> Figure:
    """Draw what the truth would score, in one minus δ, if errors correlated so and so much.

    Parameters
    ----------
    mean_distances
        D̄ by cohort.
    width
        Width of the figure, inches.
    """
    figure, axis = plt.subplots(figsize=(width, 2.6))
    correlation = np.linspace(0, 0.9, 91)
    for (cohort, mean), colour in zip(
        mean_distances.items(), (BLUE, VERMILION, GOLD, "black", "#009E73"), strict=False
    ):
        score = 1 - mean / (2 * (1 - correlation))
        axis.plot(correlation, score, color=colour, label=cohort_name(cohort))
        axis.plot(0.5, 1 - mean, "o", color=colour)
    axis.set_ylim(0, 1)
    axis.set_xlabel(wrapped(["supposed correlation of errors, ρ"], width, wide=60, narrow=34)[0])
    axis.set_ylabel("the truth, 1 - δ")
    legend(figure, axis.get_legend_handles_labels()[0], width)
    return figure


@in_style
def calibration_curve(bins: pd.DataFrame, *, width: float) -> Figure:
    """Draw how often cells of each chance were drawn.

    Parameters
    ----------
    bins
        What `imc_helpers.agreement.support.calibration` returns, with ``measure``: a curve for
        each.
    width
        Width of the figure, inches.
    """
    edge = min(width, 3.6)
    figure, axis = plt.subplots(figsize=(width, edge + 0.4))
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    looks = zip(bins.groupby("measure", sort=False), ((BLUE, "o"), (GOLD, "D")), strict=False)
    for (measure, rows), (colour, marker) in looks:
        axis.plot(rows["chance"], rows["drawn"], color=colour, marker=marker, label=measure)
    axis.set_aspect("equal")
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axis.set_xlabel("support, as predicted")
    axis.set_ylabel("share that was drawn")
    legend(figure, axis.get_legend_handles_labels()[0], width)
    return figure


_SUPPORT_COLOURS = mpl.colormaps["plasma"]


@in_dark_style
def support_map(
    image: np.ndarray,
    agreed: Consensus,
    support: np.ndarray,
    masks: Sequence[np.ndarray],
    *,
    um_per_px: float,
    field_um: float,
    width: float,
) -> Figure:
    """Show tissue with everybody's outlines, and the cells of a consensus coloured by support.

    Parameters
    ----------
    image
        (H, W) a channel.
    agreed
        Its consensus.
    support
        (G,) of each of its groups, 0 … 1.
    masks
        (H, W) labels of the annotators.
    um_per_px
        Edge of a pixel, µm.
    field_um
        Edge of the part in the middle that is drawn, µm.
    width
        Width of the figure, inches.
    """
    place = middle(image.shape, field_px(field_um, um_per_px, image.shape))
    columns = 1 if width < NARROW else 2
    figure, axes = square_panels(2, columns, width / columns, lines=1)
    plane = stretch(image)[place]
    show_plane(axes[0], 0.75 * plane)
    for mask in masks:
        draw_edges(axes[0], edge_path(*cell_edges(mask[place])), "#9ecae1", 0.7)
    scale_bar(axes[0], plane.shape, um_per_px)
    heading(axes[0], [(f"all {len(masks)} masks", "#9ecae1")])
    show_plane(axes[1], 0.75 * plane)
    shown = agreed.outlines[place]
    fifths = np.minimum((5 * support).astype(int), 4)
    for fifth in range(5):
        some = np.where(np.r_[False, fifths == fifth][shown], shown, 0)
        colour = mpl.colors.to_hex(_SUPPORT_COLOURS(0.15 + 0.2 * fifth))
        draw_edges(axes[1], edge_path(*cell_edges(some)), colour, 1.2)
    heading(axes[1], [("consensus, by support: dark to light", "white")])
    return figure


@in_style
def trial_curves(
    trials: Mapping[str, pd.DataFrame], label: str = "half-width of the interval", *, width: float
) -> Figure:
    """Draw the half-width of an interval against the number of labels, a panel per quantity.

    Parameters
    ----------
    trials
        By heading, what `imc_helpers.experiments.label_trials.label_trials` or `draw_trials`
        returns.
    label
        What the axis measures.
    width
        Width of the figure, inches.
    """
    columns = 1 if width < NARROW else len(trials)
    lines = len(trials) // columns
    figure, axes = plt.subplots(
        lines, columns, figsize=(width, 2.3 * lines + 0.5), sharex=True, squeeze=False
    )
    for axis, (title, table) in zip(axes.flat, trials.items(), strict=True):
        looks = zip(table.groupby("way", sort=False), ((GOLD, "D"), (BLUE, "o")), strict=False)
        for (way, rows), (colour, marker) in looks:
            axis.plot(rows["labels"], rows["half_width"], color=colour, marker=marker, label=way)
        axis.set_title(wrapped([title], width, wide=24, narrow=34)[0])
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_locator(MaxNLocator(4))
    figure.supxlabel("labelled crops")
    figure.supylabel(label)
    legend(figure, axes.flat[0].get_legend_handles_labels()[0], width)
    return figure
