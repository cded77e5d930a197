"""Sweeps: how choices compare."""

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, PercentFormatter

from imc_helpers.figures.names import choice_name, rater_name
from imc_helpers.figures.page import (
    BLUE,
    GOLD,
    GREEN,
    NARROW,
    PHONE,
    PURPLE,
    SKY,
    VERMILION,
    in_style,
    legend,
    wrapped,
)

_LOOKS = (
    (BLUE, "o"),
    (VERMILION, "s"),
    (GREEN, "^"),
    (PURPLE, "D"),
    (GOLD, "v"),
    (SKY, "P"),
    ("black", "X"),
)
_BETWEEN = "#777777"
"""Colour of a choice that is neither the best nor the worst."""


@in_style
def choice_dots(table: pd.DataFrame, choice: str, *, label: str, width: float) -> Figure:
    """Draw the difference that every choice makes, the best above, a panel per model.

    The best and the worst of each model are coloured and have their number beside them.

    Parameters
    ----------
    table
        What `imc_helpers.experiments.sweeps.by_choice` returns: differences from a baseline.
    choice
        Its column of choices.
    label
        Title of the horizontal axis.
    width
        Width of the figure, inches.
    """
    parts = []
    for model, rows in table.groupby("model", sort=False):
        best_first = rows.sort_values("mean", ascending=False)
        colours = [BLUE, *[_BETWEEN] * (len(rows) - 2), VERMILION][-len(rows) :]
        names = wrapped(map(choice_name, best_first[choice]), width, wide=24)
        parts.append(_Rows(str(model), best_first, names, colours))
    figure, axes = _panels(parts, width)
    for axis, part in zip(axes, parts, strict=True):
        part.draw(axis)
        part.number(axis, {0, len(part.rows) - 1})
    figure.supxlabel(label)
    return figure


@in_style
def best_and_worst_choices(summary: pd.DataFrame, *, label: str, width: float) -> Figure:
    """Draw, for each question of the sweeps, the best of its choices against the worst, by name.

    Parameters
    ----------
    summary
        What `imc_helpers.experiments.study_limits.best_and_worst` returns.
    label
        Title of the horizontal axis.
    width
        Width of the figure, inches.
    """
    parts = []
    for model, rows in summary.groupby("model", sort=False):
        colours = [BLUE if which == "best" else VERMILION for which in rows["which"]]
        names = wrapped(map(choice_name, rows["choice"]), width, wide=24)
        headings = rows["question"].where(~rows["question"].duplicated())
        parts.append(_Rows(str(model), rows, names, colours, headings.tolist()))
    figure, axes = _panels(parts, width)
    for axis, part in zip(axes, parts, strict=True):
        part.draw(axis)
        part.number(axis, range(len(part.rows)))
    figure.supxlabel(label)
    return figure


class _Rows:
    """The rows of one model's panel, each as high as its name needs."""

    def __init__(
        self,
        model: str,
        rows: pd.DataFrame,
        names: Sequence[str],
        colours: Sequence[str],
        headings: Sequence[object] = (),
    ) -> None:
        self.model, self.rows, self.names, self.colours = model, rows, names, colours
        above = [0.2 if isinstance(heading, str) else 0.0 for heading in headings]
        above = above or [0.0] * len(names)
        heights = [0.15 * (name.count("\n") + 1) + 0.07 for name in names]
        ends = np.cumsum(np.add(above, heights))
        self.at = ends - np.array(heights) / 2
        self.height_in = float(ends[-1])
        self.headings = [
            (str(heading), float(end - height - 0.08))
            for heading, end, height in zip(headings, ends, heights, strict=bool(headings))
            if isinstance(heading, str)
        ]

    def draw(self, axis: Axes) -> None:
        """Draw means with their intervals, one below the other, and a line at no difference."""
        axis.axvline(0, color="#777777", linewidth=0.8, zorder=0)
        for y, (_, row), colour in zip(self.at, self.rows.iterrows(), self.colours, strict=True):
            axis.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2)
            axis.plot(row["mean"], y, "o", color=colour, markersize=5)
        for heading, y in self.headings:
            axis.annotate(
                heading,
                (0, y),
                xycoords=axis.get_yaxis_transform(),
                xytext=(-4, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                weight="bold",
            )
        (title,) = wrapped([rater_name(self.model)], PHONE, narrow=24)
        axis.set_title(title, loc="left", weight="bold")
        axis.set_yticks(self.at, self.names)
        axis.tick_params(axis="y", length=0)
        axis.tick_params(axis="x", labelbottom=True)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.margins(x=0.22)

    def number(self, axis: Axes, which: Iterable[int]) -> None:
        """Write the mean of some rows beside their intervals."""
        for k in which:
            row = self.rows.iloc[k]
            axis.annotate(
                f"{row['mean']:+.3f}".replace("-", "−"),
                (np.nanmax([row["high"], row["mean"]]), self.at[k]),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )


def _panels(parts: Sequence[_Rows], width: float) -> tuple[Figure, list[Axes]]:
    """Make a panel per model, two side by side in a wide figure, with one horizontal axis."""
    columns = min(len(parts), 1 if width < NARROW else 2)
    heights = [
        max(part.height_in for part in parts[k : k + columns])
        for k in range(0, len(parts), columns)
    ]
    figure, axes = plt.subplots(
        len(heights),
        columns,
        figsize=(width, sum(height + 0.75 for height in heights) + 0.3),
        height_ratios=heights,
        sharex=True,
        squeeze=False,
    )
    for row, height in zip(axes, heights, strict=True):
        for axis in row:
            axis.set_ylim(height, 0)  # rows of one height, also where a model has fewer
    for axis in axes.flat[len(parts) :]:
        axis.set_axis_off()
    return figure, list(axes.flat[: len(parts)])


@in_style
def choice_lines(
    table: pd.DataFrame, x: str, lines: str, *, xlabel: str, ylabel: str, width: float
) -> Figure:
    """Draw shares with their intervals along an ordered choice, a panel per model.

    Parameters
    ----------
    table
        ``model``, ``mean``, ``low``, ``high`` and the columns named by the other parameters.
    x
        Column of the ordered choice; its values stand at even steps, in the order they come.
    lines
        Column that tells the lines of a panel apart.
    xlabel, ylabel
        Titles of the axes.
    width
        Width of the figure, inches.
    """
    steps = list(dict.fromkeys(table[x]))
    panels = list(dict.fromkeys(table["model"]))
    names = list(dict.fromkeys(table[lines]))
    columns = min(len(panels), 1 if width < NARROW else 2)
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, 2.3 * rows + 0.7), sharey=True, squeeze=False
    )
    for axis, panel in zip(axes.flat, panels, strict=False):
        for k, name in enumerate(names):
            shown = table[(table["model"] == panel) & (table[lines] == name)]
            shift = 0.06 * (k - (len(names) - 1) / 2)  # intervals side by side
            at = np.array([steps.index(value) for value in shown[x]]) + shift
            colour, marker = _LOOKS[k % len(_LOOKS)]
            axis.vlines(at, shown["low"], shown["high"], color=colour, linewidth=1.4)
            axis.plot(at, shown["mean"], marker=marker, color=colour, markersize=5, label=name)
        axis.set_title(rater_name(panel), loc="left", weight="bold")
        axis.set_xticks(range(len(steps)), [str(step) for step in steps])
        axis.yaxis.set_major_formatter(PercentFormatter(1))
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    figure.supxlabel(xlabel)
    figure.supylabel(ylabel)
    legend(figure, axes[0, 0].get_legend_handles_labels()[0], width)
    return figure
