"""Sweeps: what one point saw and found, and how choices compare."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imc_helpers.figures.page import BLUE, GOLD, GREEN, PURPLE, SKY, VERMILION, in_style
from imc_helpers.figures.tissue_images import borders, stretch

_LOOKS = (
    (BLUE, "o"),
    (VERMILION, "s"),
    (GREEN, "^"),
    (PURPLE, "D"),
    (GOLD, "v"),
    (SKY, "P"),
    ("black", "X"),
)


@in_style
def seen_and_found(
    planes: Mapping[str, np.ndarray], reference: np.ndarray, labels: np.ndarray, *, crop_px: int
) -> Figure:
    """Draw the planes that a model saw, and what it found over the first of them.

    Parameters
    ----------
    planes
        (H, W) plane by title; each is stretched on its own.
    reference, labels
        (H, W) label images of an annotator and of the model.
    crop_px
        Edge of the part from the top left that is drawn, pixels.
    """
    figure, axes = plt.subplots(1, len(planes) + 1, figsize=(3.1 * (len(planes) + 1), 3.4))
    part = (slice(crop_px), slice(crop_px))
    shown = {name: stretch(plane[part]) for name, plane in planes.items()}
    first = next(iter(shown.values()))
    for axis, (name, plane) in zip(axes, shown.items(), strict=False):
        axis.imshow(plane, cmap="gray", interpolation="nearest")
        axis.set_title(name, fontsize=9)
    axes[-1].imshow(borders(reference[part], labels[part], first), interpolation="nearest")
    axes[-1].set_title("annotator and model", fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    return figure


@in_style
def choice_dots(
    table: pd.DataFrame, choice: str, *, label: str, zero: bool = False, columns: str = "model"
) -> Figure:
    """Draw a mean with its interval for every choice, a panel a model.

    Parameters
    ----------
    table
        What `imc_helpers.experiments.sweeps.by_choice` returns.
    choice
        Its column of choices; they keep the order in which they come.
    label
        Title of the horizontal axis.
    zero
        Draw a line at 0, for differences.
    columns
        Column that tells the panels apart.
    """
    names = list(dict.fromkeys(table[choice].astype(str)))
    panels = list(dict.fromkeys(table[columns]))
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(3.2 * len(panels) + 0.075 * max(map(len, names)), 0.28 * len(names) + 1.1),
        sharey=True,
        sharex=True,
        squeeze=False,
    )
    for axis, panel in zip(axes.flat, panels, strict=True):
        rows = table[table[columns] == panel]
        y = [names.index(name) for name in rows[choice].astype(str)]
        axis.hlines(y, rows["low"], rows["high"], color=BLUE, linewidth=2)
        axis.plot(rows["mean"], y, "o", color=BLUE, markersize=5)
        if zero:
            axis.axvline(0, color="0.4", linewidth=0.8, zorder=0)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_title(panel, fontsize=9)
        axis.set_xlabel(label)
        axis.grid(axis="y", color="0.9", linewidth=0.6)
        axis.set_axisbelow(True)
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].invert_yaxis()
    return figure


@in_style
def choice_lines(
    table: pd.DataFrame,
    x: str,
    lines: str,
    *,
    xlabel: str,
    ylabel: str,
    columns: str = "model",
) -> Figure:
    """Draw means with their intervals along an ordered choice, a panel a model.

    Parameters
    ----------
    table
        ``mean``, ``low``, ``high`` and the columns named by the other parameters.
    x
        Column of the ordered choice; its values stand at even steps, in the order they come.
    lines
        Column that tells the lines of a panel apart.
    xlabel, ylabel
        Titles of the axes.
    columns
        Column that tells the panels apart.
    """
    steps = list(dict.fromkeys(table[x]))
    panels = list(dict.fromkeys(table[columns]))
    names = list(dict.fromkeys(table[lines]))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.6 * len(panels) + 0.6, 3.3), sharey=True, squeeze=False
    )
    for axis, panel in zip(axes.flat, panels, strict=True):
        for k, name in enumerate(names):
            rows = table[(table[columns] == panel) & (table[lines] == name)]
            shift = 0.06 * (k - (len(names) - 1) / 2)  # intervals side by side
            at = np.array([steps.index(value) for value in rows[x]]) + shift
            colour, marker = _LOOKS[k % len(_LOOKS)]
            axis.vlines(at, rows["low"], rows["high"], color=colour, linewidth=1.4)
            axis.plot(at, rows["mean"], marker=marker, color=colour, markersize=5, label=name)
        axis.set_title(panel, fontsize=9)
        axis.set_xticks(range(len(steps)), [str(step) for step in steps])
        axis.set_xlabel(xlabel)
    axes[0, 0].set_ylabel(ylabel)
    handles, titles = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, titles, loc="outside right center", frameon=False, fontsize=8)
    return figure
