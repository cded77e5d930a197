"""Plots of models beside other raters and controls.

Rows are models, so that their names stay readable on a narrow screen however many there are.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, PercentFormatter

from imc_helpers.agreement.equivalence import MEAN, Decision
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
    name_rows,
    row_panels,
    wrapped,
)
from imc_helpers.figures.tissue_images import cell_edges, edge_path, field_px, middle, scale_bar
from imc_helpers.metrics.error_types import CellErrors, Kind

_COLOURS = (BLUE, GOLD, GREEN, VERMILION, PURPLE, SKY)
_FEW = 12
"""Up to so many scores are drawn one by one, more as a box."""
_LANE_IN = 0.13
"""Height of the lane of one reference in the row of a model, inches."""
_OF_DECISION = {
    Decision.BELOW: (VERMILION, "v"),
    Decision.WITHIN: (GREEN, "o"),
    Decision.ABOVE: (BLUE, "^"),
    Decision.UNDECIDED: (GREY, "s"),
}
_OF_KIND = {
    Kind.MATCHED: "#bbbbbb",
    Kind.SPLIT: GOLD,
    Kind.MERGED: BLUE,
    Kind.TANGLE: PURPLE,
    Kind.MISSED: VERMILION,
    Kind.SPURIOUS: GREEN,
}


@in_style
def score_distributions(
    tables: Mapping[str, pd.DataFrame],
    groups: Mapping[str, Sequence[Sequence[str]]],
    *,
    metrics: Sequence[str],
    by: str = "rater_true",
    lines: Mapping[str, Mapping[str, float]] | None = None,
    width: float,
) -> Figure:
    """Draw how the scores of models lie, beside other raters and controls (Figures 4 and 5).

    Parameters
    ----------
    tables
        What `summaries.against` returns, of one mode, by cohort; one or more. An empty name where
        the rows are of several cohorts.
    groups
        Rows of each table in their order, in groups that a line parts: models, annotators or tools,
        controls. What nobody made, the last group, has all its scores in one lane.
    metrics
        Columns of the tables, a panel each.
    by
        Column whose values get a colour and a lane each: ``"rater_true"`` or ``"cohort"``.
    lines
        Mean agreement by metric, drawn dashed, for tables that have one.
    width
        Width of the figure, inches.
    """
    blocks = [
        _ScoreBlock(title, table, groups[title], by, (lines or {}).get(title, {}))
        for title, table in tables.items()
    ]
    stacked = len(metrics) if width < NARROW else 1
    named = width >= NARROW and len(metrics) == 1
    heights = [stacked * (block.height_in + 0.75) + 0.5 for block in blocks]
    figure = plt.figure(figsize=(width, sum(heights)))
    parts = figure.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, block in zip(parts, blocks, strict=True):
        axes = part.subplots(
            stacked, len(metrics) // stacked, sharex=True, sharey=True, squeeze=False
        )
        for axis, metric in zip(axes.flat, metrics, strict=True):
            block.draw(axis, metric)
            axis.set_xlabel(metric)
            axis.tick_params(labelbottom=True)
        if named:
            block.name_lanes(axes[0, 0], metrics[0])
        for axis in axes[:, 0]:
            axis.set_yticks(block.rows, wrapped(map(rater_name, block.names), width))
        title = cohort_name(block.title) if len(blocks) > 1 else ""
        legend(part, block.handles(with_lanes=not named), width, title=title)
    return figure


class _ScoreBlock:
    """The rows of one table: where each stands, and what is drawn in it."""

    def __init__(
        self,
        title: str,
        table: pd.DataFrame,
        groups: Sequence[Sequence[str]],
        by: str,
        agreement: Mapping[str, float],
    ) -> None:
        self.title, self.table, self.by, self.agreement = title, table, by, agreement
        self.levels = [str(level) for level in dict.fromkeys(table[by])]
        self.names = [name for names in groups for name in names]
        made = [name for names in groups[:-1] for name in names] if len(groups) > 1 else self.names
        self.lanes = [len(self.levels) if name in made else 1 for name in self.names]
        # A row is as high as its lanes, and never lower than its name.
        heights = np.maximum(np.array(self.lanes) * _LANE_IN, 0.2) + 0.12
        ends = np.cumsum(heights)
        self.height_in = float(ends[-1])
        self.rows = ends - heights / 2
        counts = np.cumsum([len(names) for names in groups if names])[:-1]
        self.partings = ends[counts - 1]

    def draw(self, axis: Axes, metric: str) -> None:
        """Draw every score of one metric."""
        for y, name, lanes in zip(self.rows, self.names, self.lanes, strict=True):
            own = self.table[self.table["rater_pred"] == name]
            for k, level in enumerate(self.levels):
                values = own.loc[own[self.by] == level, metric].dropna().to_numpy()
                lane = k % lanes - (lanes - 1) / 2
                _distribution(axis, values, y + lane * _LANE_IN, _COLOURS[k % len(_COLOURS)])
            for mean, low, high in self._means(own, metric, lanes):
                # Behind the scores and longer than their lane: it hides none of them.
                ends = [y + low, y + high]
                axis.plot([mean, mean], ends, color="#444444", linewidth=1.4, zorder=1)
        if metric in self.agreement:
            value = self.agreement[metric]
            axis.axvline(value, color="black", linestyle=(0, (4, 3)), linewidth=1)
            axis.annotate(
                f"agreement {value:.2f}",
                (value, 0),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
            )
        for end in self.partings:
            axis.axhline(end, color="#bbbbbb", linewidth=0.8)
        axis.set_xlim(-0.03, 1.03)
        axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        axis.set_ylim(self.height_in, 0)
        axis.grid(axis="x", color="#e5e5e5", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(axis="y", length=0)

    def _means(
        self, own: pd.DataFrame, metric: str, lanes: int
    ) -> Iterable[tuple[float, float, float]]:
        """Yield a mean and where its line starts and ends: over all references, or per cohort."""
        means = own.groupby(self.by, sort=False)[metric].mean()
        if self.by != "cohort" or lanes == 1:
            half = lanes * _LANE_IN / 2 + 0.03
            yield float(means.mean()), -half, half
            return
        for level, mean in means.items():
            lane = (self.levels.index(str(level)) - (lanes - 1) / 2) * _LANE_IN
            yield float(mean), lane - _LANE_IN / 2, lane + _LANE_IN / 2

    def name_lanes(self, axis: Axes, metric: str) -> None:
        """Write the name of each lane beside its scores, in the first row that has it."""
        rim = [withStroke(linewidth=2.5, foreground="white")]
        for k, level in enumerate(self.levels):
            own = self.table[self.table[self.by] == level].groupby("rater_pred")[metric]
            there = [i for i, name in enumerate(self.names) if name in own.groups]
            first = there[0]
            scores, name = own.get_group(self.names[first]), self.level_name(level)
            left = scores.max() + 0.013 * len(name) > 1
            axis.annotate(
                name,
                (
                    scores.min() if left else scores.max(),
                    self.rows[first] + (k - (len(self.levels) - 1) / 2) * _LANE_IN,
                ),
                xytext=(-5 if left else 5, 0),
                textcoords="offset points",
                ha="right" if left else "left",
                va="center",
                fontsize=8.5,
                path_effects=rim,
            )

    def level_name(self, level: str) -> str:
        """Return the name of a lane."""
        return cohort_name(level) if self.by == "cohort" else rater_name(level)

    def handles(self, *, with_lanes: bool) -> list[Any]:
        """Return what the legend shows; not the lanes where they bear their names."""
        lanes = [
            Line2D([], [], color=colour, marker="o", linestyle="", label=self.level_name(level))
            for level, colour in zip(self.levels, cycle(_COLOURS), strict=False)
        ]
        mean = Line2D([], [], color="#444444", marker="|", markersize=11, mew=1.4, linestyle="")
        mean.set_label("mean")
        return [*(lanes if with_lanes else []), mean]


def _distribution(axis: Axes, values: np.ndarray, y: float, colour: str) -> None:
    if len(values) > _FEW:
        axis.boxplot(
            values,
            positions=[y],
            widths=0.8 * _LANE_IN,
            orientation="horizontal",
            manage_ticks=False,
            patch_artist=True,
            flierprops={"marker": ".", "markersize": 2, "markeredgecolor": colour},
            boxprops={"facecolor": colour, "edgecolor": colour, "alpha": 0.6},
            medianprops={"color": colour, "linewidth": 1.4},
            whiskerprops={"color": colour, "linewidth": 0.9},
            capprops={"linewidth": 0},
        )
    else:
        at = np.full(len(values), y)
        axis.plot(values, at, "o", color=colour, markersize=4.5, alpha=0.75, markeredgewidth=0)


@in_style
def equivalence_rows(table: pd.DataFrame, *, raters: str = "annotators", width: float) -> Figure:
    """Draw each model's difference from its judges, with its interval and the margin.

    Parameters
    ----------
    table
        What `equivalence.human_equivalence` returns, of one mode and metric; several
        cohorts may stand in it.
    raters
        What the judges are called, ``"experts"`` for instance.
    width
        Width of the figure, inches.
    """
    cohorts = {str(key): rows for key, rows in table.groupby("cohort", sort=False)}
    models = [rows.loc[rows["left_out"] == MEAN, "model"].nunique() for rows in cohorts.values()]
    figure, axes = row_panels(models, width, row_in=_row_in(width), panel_in=0.35, rest_in=1.1)
    for axis, (cohort, rows) in zip(axes, cohorts.items(), strict=True):
        means = rows[rows["left_out"] == MEAN].sort_values("difference", ascending=False)
        _margins(axis, means["margin"])
        for y, (_, row) in enumerate(means.iterrows()):
            alone = rows[(rows["model"] == row["model"]) & (rows["left_out"] != MEAN)]["difference"]
            axis.plot(alone, np.full(len(alone), y), "|", color=GREY, markersize=8)
            _verdict(axis, row, y)
        name_rows(axis, wrapped(map(rater_name, means["model"]), width))
        if len(cohorts) > 1:
            axis.set_title(cohort_name(cohort), weight="bold")
    axes[-1].xaxis.set_major_locator(MaxNLocator(5 if width < NARROW else 9))
    (label,) = wrapped([f"agreement with the {raters}, less theirs"], width, wide=80, narrow=36)
    axes[-1].set_xlabel(label)
    handles = [*_decision_handles(), _alone_handle(), _margin_handle()]
    legend(figure, handles, width)
    return figure


def _row_in(width: float) -> float:
    """Return the height of a row, inches: in a narrow figure its name may take two lines."""
    return 0.38 if width < NARROW else 0.3


def _margins(axis: Axes, margins: pd.Series) -> None:
    """Draw the margin of each row: it is the loss of the judges of that row."""
    axis.barh(
        range(len(margins)), 2 * margins, left=-margins, height=1, color=GREEN, alpha=0.15, lw=0
    )
    axis.axvline(0, color=GREY, linewidth=0.8)


def _verdict(axis: Axes, row: pd.Series, y: float, ending: str = "") -> None:
    """Draw a difference and its interval in the colour of the decision."""
    colour, marker = _OF_DECISION[Decision(row[f"decision{ending}"])]
    ends = [row[f"low{ending}"], row[f"high{ending}"]]
    axis.plot(ends, [y, y], color=colour, linewidth=2.2)
    axis.plot(row[f"difference{ending}"], y, marker, color=colour, markersize=6.5)


def _decision_handles() -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=decision.value)
        for decision, (colour, marker) in _OF_DECISION.items()
    ]


def _alone_handle() -> Line2D:
    return Line2D([], [], color=GREY, marker="|", linestyle="", label="one left out")


def _margin_handle() -> Patch:
    return Patch(color=GREEN, alpha=0.15, label="margin")


@in_style
def trial_rows(table: pd.DataFrame, *, width: float) -> Figure:
    """Draw what annotators say of candidates, beside what the truth says.

    Parameters
    ----------
    table
        What `imc_helpers.experiments.known_quality.trial` returns, of one mode and metric.
    width
        Width of the figure, inches.
    """
    figure, axes = plt.subplots(
        1, 2, figsize=(width, 0.25 * len(table) + 1.4), sharex=True, sharey=True
    )
    for axis, ending, title in zip(axes, ("", "_truth"), ("annotators", "the truth"), strict=True):
        _margins(axis, table[f"margin{ending}"])
        for y, (_, row) in enumerate(table.iterrows()):
            _verdict(axis, row, y, ending)
        axis.set_title(f"judged by {title}" if width >= NARROW else f"by {title}")
        axis.xaxis.set_major_locator(MaxNLocator(3 if width < NARROW else 6))
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(table)), [_candidate(name) for name in table["model"]])
    axes[0].set_ylim(len(table) - 0.4, -0.6)
    figure.supxlabel("score, less the annotators' own")
    handles = [*_decision_handles(), _margin_handle()]
    legend(figure, handles, width)
    return figure


def _candidate(name: str) -> str:
    """Name a candidate of the trial: ``copy of annotator1`` is of Annotator 1."""
    copy, _, original = name.partition("copy of ")
    if original:
        return f"Copy of {rater_name(original)}"
    rater, comma, rest = copy.removeprefix("the ").partition(", ")
    known = rater_name(rater) + comma + rest
    return known[:1].upper() + known[1:]


@in_style
def error_map(
    true: np.ndarray,
    pred: np.ndarray,
    errors: CellErrors,
    *,
    titles: tuple[str, str],
    um_per_px: float,
    field_um: float,
    width: float,
) -> Figure:
    """Colour every cell by what became of it: true cells beside predicted ones.

    Parameters
    ----------
    true, pred
        (H, W) label images.
    errors
        What `error_types.mesmer_errors` says of them.
    titles
        Whose the two are.
    um_per_px
        Edge of a pixel, µm.
    field_um
        Edge of the part in the middle that is drawn, µm.
    width
        Width of the figure, inches.
    """
    crop = middle(true.shape, field_px(field_um, um_per_px, true.shape))
    rows, columns = (2, 1) if width < NARROW else (1, 2)
    edge = width / columns
    figure, axes = plt.subplots(rows, columns, figsize=(width, rows * (edge + 0.25) + 0.5))
    sides = (
        (true[crop], errors.true_ids, errors.true_kinds, titles[0]),
        (pred[crop], errors.pred_ids, errors.pred_kinds, titles[1]),
    )
    for axis, (labels, ids, kinds, title) in zip(axes, sides, strict=True):
        axis.imshow(colour_kinds(labels, ids, kinds), interpolation="none")
        path = edge_path(*cell_edges(labels))
        axis.add_patch(mpl.patches.PathPatch(path, fill=False, edgecolor="#333333", linewidth=0.7))
        axis.set_title(title)
        axis.set_axis_off()
    scale_bar(axes[0], true[crop].shape, um_per_px, ink="black", rim="white")
    handles = [Patch(color=colour, label=kind.value) for kind, colour in _OF_KIND.items()]
    legend(figure, handles, width)
    return figure


def colour_kinds(labels: np.ndarray, ids: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Colour cells by kind on white; (H, W, 3) float64.

    Parameters
    ----------
    labels
        (H, W) integers.
    ids, kinds
        (n,) ids, and a `Kind` for each.
    """
    rgb = np.ones((*labels.shape, 3))
    for kind, colour in _OF_KIND.items():
        rgb[np.isin(labels, ids[kinds == kind])] = mpl.colors.to_rgb(colour)
    return rgb


@in_style
def kind_bars(shares: pd.DataFrame, *, width: float) -> Figure:
    """Draw what became of true cells, a row per model.

    Parameters
    ----------
    shares
        What `imc_helpers.agreement.outcomes.kind_shares` returns.
    width
        Width of the figure, inches.
    """
    figure, axis = plt.subplots(figsize=(width, _row_in(width) * len(shares) + 1.3))
    left = np.zeros(len(shares))
    kinds = [kind for kind in _OF_KIND if kind.value in shares]
    for kind in kinds:
        widths = shares[kind.value].to_numpy()
        axis.barh(range(len(shares)), widths, left=left, color=_OF_KIND[kind], height=0.7)
        left += widths
    axis.set_yticks(range(len(shares)), wrapped(map(rater_name, shares.index), width))
    axis.set_ylim(len(shares) - 0.5, -0.5)
    axis.set_xlim(0, 1)
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("share of true cells")
    handles = [Patch(color=_OF_KIND[kind], label=kind.value) for kind in kinds]
    legend(figure, handles, width)
    return figure


@in_style
def recall_curves(
    table: pd.DataFrame,
    xlabel: str,
    *,
    models: Sequence[str],
    people: Sequence[str],
    whose: str,
    width: float,
) -> Figure:
    """Draw the share of true cells found against a property of theirs.

    Parameters
    ----------
    table
        What `imc_helpers.agreement.outcomes.recall_by` returns.
    xlabel
        The property and its unit.
    models
        Rows of the table to draw in colour, one panel each.
    people
        Rows that every panel shows in grey.
    whose
        What those are called, ``"annotators"`` for instance.
    width
        Width of the figure, inches.
    """
    columns = min(2 if width < NARROW else 4, len(models))
    rows = -(-len(models) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(max(3.4, width * columns / (2 if width < NARROW else 4)), 1.75 * rows + 0.8),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    of = {name: part.sort_values("bin") for name, part in table.groupby("model", sort=False)}
    for axis in axes.flat[len(models) :]:
        axis.set_axis_off()
    for axis, name in zip(axes.flat, models, strict=False):
        for person in (person for person in people if person in of):
            axis.plot(of[person]["median"], of[person]["recall"], color="#999999", linewidth=1)
        part = of[name]
        axis.fill_between(part["median"], part["low"], part["high"], color=SKY, alpha=0.4, lw=0)
        axis.plot(part["median"], part["recall"], "o-", color=BLUE, markersize=4)
        (title,) = wrapped([rater_name(name)], width, wide=24)
        axis.set_title(title, fontsize=9)
        axis.set_ylim(0, 1.03)
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.set_yticks([0, 0.5, 1])
        axis.xaxis.set_major_locator(MaxNLocator(3))
        axis.xaxis.set_tick_params(labelbottom=True)
    figure.supxlabel(xlabel)
    figure.supylabel("share found")
    shown = [Line2D([], [], color=BLUE, marker="o", markersize=4, label="the one named above")]
    if any(person in of for person in people):
        shown.append(Line2D([], [], color="#999999", linewidth=1, label=whose))
    legend(figure, shown, width)
    return figure
