"""Plots of masks that are judged by their teacher and by the truth."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from imc_helpers.experiments.distillation import MERGED, NEITHER, SPLIT
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
    wrapped,
)
from imc_helpers.figures.tissue_images import field_px, middle, scale_bar

_LOOKS = ((BLUE, "o"), (GOLD, "s"), (GREEN, "^"))
"""Of the references, the teacher first."""
_OF_VALUE = {MERGED: (PURPLE, "merged"), SPLIT: (GOLD, "split"), NEITHER: (VERMILION, "neither")}


@in_style
def reference_rows(
    table: pd.DataFrame, panel: str, references: Sequence[str], *, label: str, width: float
) -> Figure:
    """Draw means with their intervals, one row per model and one lane per reference.

    Parameters
    ----------
    table
        What `imc_helpers.experiments.distillation.with_intervals` returns.
    panel
        Its column that has a panel for each value.
    references
        Their order in a row; the key above has their names.
    label
        Title of the horizontal axes.
    width
        Width of the figure, inches.
    """
    models = list(dict.fromkeys(table["model"]))
    figure, axes = _grid(list(dict.fromkeys(table[panel])), len(models), width, sharex=True)
    for name, axis in axes.items():
        shown = table[table[panel] == name]
        for row in shown.to_dict("records"):
            lane = references.index(row["reference"])
            colour, marker = _LOOKS[lane]
            y = models.index(row["model"]) + 0.26 * (lane - (len(references) - 1) / 2)
            axis.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.8)
            axis.plot(row["mean"], y, marker, color=colour, markersize=4.5)
        axis.set_title(wrapped([name], width, wide=40, narrow=30)[0], weight="bold", loc="left")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.tick_params(labelbottom=True)
        name_rows(axis, wrapped(map(rater_name, models), width, wide=22))
    figure.supxlabel(label)
    legend(figure, _handles(references), width)
    return figure


def _grid(
    panels: Sequence[str], rows: int, width: float, *, sharex: bool = False
) -> tuple[Figure, dict[str, Axes]]:
    """Make panels of so many rows, two side by side where the figure is wide."""
    columns = min(len(panels), 1 if width < NARROW else 2)
    down = -(-len(panels) // columns)
    height = down * (0.3 * rows + 0.75) + 0.8
    figure, axes = plt.subplots(
        down, columns, figsize=(width, height), sharex=sharex, sharey=True, squeeze=False
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    return figure, dict(zip(panels, axes.flat, strict=False))


def _handles(references: Sequence[str]) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker=marker, label=f"with: {rater_name(name)}")
        for name, (colour, marker) in zip(references, _LOOKS, strict=False)
    ]


@in_style
def count_points(table: pd.DataFrame, references: Sequence[str], *, width: float) -> Figure:
    """Draw numbers of cells per image against those of each reference, a panel per model.

    Parameters
    ----------
    table
        What `imc_helpers.experiments.distillation.score_models` returns.
    references
        Their order in the key.
    width
        Width of the figure, inches.
    """
    models = list(dict.fromkeys(table["model"]))
    columns = min(len(models), 2 if width < NARROW else 4)
    down = -(-len(models) // columns)
    figure, axes = plt.subplots(
        down, columns, figsize=(width, 1.75 * down + 0.8), sharex=True, sharey=True, squeeze=False
    )
    most = 1.05 * table[["cells_true", "cells_pred"]].to_numpy().max()
    for axis in axes.flat[len(models) :]:
        axis.set_axis_off()
    for axis, model in zip(axes.flat, models, strict=False):
        axis.plot([0, most], [0, most], color=GREY, linewidth=0.8)
        for name, (colour, marker) in zip(references, _LOOKS, strict=False):
            shown = table[(table["model"] == model) & (table["reference"] == name)]
            axis.plot(
                shown["cells_true"],
                shown["cells_pred"],
                marker,
                color=colour,
                markersize=4,
                alpha=0.8,
            )
        axis.set_title(wrapped([rater_name(model)], width, wide=20, narrow=14)[0], fontsize=9)
        axis.xaxis.set_major_locator(MaxNLocator(2))
        axis.yaxis.set_major_locator(MaxNLocator(3))
        axis.tick_params(labelbottom=True)
    figure.supxlabel("cells of the reference, per image")
    figure.supylabel("cells of the model")
    legend(figure, _handles(references), width)
    return figure


@in_style
def spread_rows(
    table: pd.DataFrame, panel: str, names: Mapping[str, str], *, label: str, width: float
) -> Figure:
    """Draw how values are distributed: median, middle half and middle nine tenths, by model.

    Parameters
    ----------
    table
        ``model``, ``q5``, ``q25``, ``q50``, ``q75``, ``q95``, and the column of panels.
    panel
        That column.
    names
        Titles of the panels by value, in their order.
    label
        Title of the horizontal axes.
    width
        Width of the figure, inches.
    """
    models = list(dict.fromkeys(table["model"]))
    figure, axes = _grid(list(names), len(models), width)
    for name, axis in axes.items():
        for row in table[table[panel] == name].to_dict("records"):
            y = models.index(row["model"])
            axis.plot([row["q5"], row["q95"]], [y, y], color=BLUE, linewidth=1)
            axis.plot(
                [row["q25"], row["q75"]], [y, y], color=BLUE, linewidth=5, solid_capstyle="butt"
            )
            axis.plot(row["q50"], y, "o", color="white", markeredgecolor=BLUE, markersize=5)
        axis.set_title(names[name], weight="bold", loc="left")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        name_rows(axis, wrapped(map(rater_name, models), width, wide=22))
    figure.supxlabel(label)
    return figure


@in_style
def match_maps(
    maps: Mapping[str, np.ndarray], *, um_per_px: float, field_um: float, width: float
) -> Figure:
    """Colour the cells of some masks by what became of them, as in Figure 2E.

    Parameters
    ----------
    maps
        By model, what `imc_helpers.experiments.distillation.map_of_values` returns.
    um_per_px
        Edge of a pixel, µm.
    field_um
        Edge of the part in the middle that is drawn, µm.
    width
        Width of the figure, inches.
    """
    columns = min(len(maps), 2 if width < NARROW else 3)
    down = -(-len(maps) // columns)
    edge = width / columns
    figure, axes = plt.subplots(
        down, columns, figsize=(width, down * (edge + 0.3) + 1.1), squeeze=False
    )
    shades = mpl.colormaps["Blues"]
    for axis in axes.flat:
        axis.set_axis_off()
    shape = next(iter(maps.values())).shape
    crop = middle(shape, field_px(field_um, um_per_px, shape))
    for axis, (name, values) in zip(axes.flat, maps.items(), strict=False):
        shown = values[crop]
        rgb = shades(np.nan_to_num(shown))[..., :3]
        rgb[np.isnan(shown)] = 1
        for value, (colour, _) in _OF_VALUE.items():
            rgb[shown == value] = mpl.colors.to_rgb(colour)
        axis.imshow(rgb, interpolation="none")
        axis.set_title(wrapped([rater_name(name)], width, wide=26, narrow=20)[0], fontsize=9)
    scale_bar(axes[0, 0], shown.shape, um_per_px, ink="black", rim="white")
    figure.colorbar(
        mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), shades),
        ax=axes,
        location="bottom",
        label="IoU of matched cells",
        shrink=0.6,
        aspect=30,
    )
    legend(figure, [Patch(color=colour, label=name) for colour, name in _OF_VALUE.values()], width)
    return figure


@in_style
def labelling_curve(curve: pd.DataFrame, *, width: float) -> Figure:
    """Draw how a forest came along while its pixels were labelled: uncertainty and score.

    Parameters
    ----------
    curve
        One row per round: ``labelled_pixels``, ``uncertainty`` and ``ap50``.
    width
        Width of the figure, inches.
    """
    shape = (2, 1) if width < NARROW else (1, 2)
    size = (width, 4.4 if width < NARROW else 2.4)
    figure, axes = plt.subplots(*shape, figsize=size)
    for axis, column, title in zip(
        axes,
        ("uncertainty", "ap50"),
        ("Mean uncertainty", "ap50, an image kept apart"),
        strict=True,
    ):
        axis.plot(curve["labelled_pixels"], curve[column], "o-", color=BLUE, markersize=4)
        axis.set_title(title, weight="bold", loc="left")
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.yaxis.set_major_locator(MaxNLocator(4))
    figure.supxlabel("labelled pixels")
    return figure
