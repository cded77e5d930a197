"""Plots of models beside other raters and controls.

Rows are models, so that their names stay readable on a narrow screen however many there are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from skimage.segmentation import find_boundaries

from imc_helpers.agreement.equivalence import MEAN, Decision
from imc_helpers.agreement.score_table import METRICS
from imc_helpers.figures.page import BLUE, GOLD, GREEN, PURPLE, SKY, VERMILION, in_style
from imc_helpers.metrics.error_types import CellErrors, Kind

_COLOURS = (BLUE, GOLD, GREEN, VERMILION, PURPLE, SKY)
_WIDTH = 6.0  # inches: letters stay legible when a phone shows it 390 px wide
_FEW = 12
"""Up to so many scores are drawn one by one, more as a box."""
_OF_DECISION = {
    Decision.BELOW: (VERMILION, "v"),
    Decision.WITHIN: (GREEN, "o"),
    Decision.ABOVE: (BLUE, "^"),
    Decision.UNDECIDED: ("#777777", "s"),
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
    by: str = "rater_true",
    lines: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """Draw how the scores of models lie, beside other raters and controls (Figures 4 and 5).

    Parameters
    ----------
    tables
        What `summaries.against` returns, of one mode, by the title of a block; one block or more.
    groups
        Rows of each block in their order, in groups that a line parts: models, annotators or tools,
        controls.
    by
        Column whose values get a colour and a line each: ``"rater_true"`` or ``"cohort"``.
    lines
        Mean agreement by metric, drawn dashed, for blocks that have one.
    """
    lines = lines or {}
    levels = {title: list(dict.fromkeys(table[by])) for title, table in tables.items()}
    rows = {title: [name for names in groups[title] for name in names] for title in tables}
    heights = [
        max(0.34, 0.085 * len(levels[title]) + 0.14) * len(rows[title]) + 1.5 for title in tables
    ]
    figure = plt.figure(figsize=(_WIDTH, sum(heights)))
    blocks = figure.subfigures(len(tables), 1, height_ratios=heights, squeeze=False)
    for block, (title, table) in zip(blocks[:, 0], tables.items(), strict=True):
        axes = block.subplots(1, len(METRICS), sharex=True, sharey=True)
        if len(tables) > 1:
            block.suptitle(title, fontsize=10)
        for axis, metric in zip(axes, METRICS, strict=True):
            _score_rows(axis, table, metric, by, levels[title], rows[title])
            if title in lines:
                axis.axvline(lines[title][metric], color="black", linestyle="--", linewidth=1.2)
            for end in np.cumsum([len(names) for names in groups[title] if names])[:-1]:
                axis.axhline(end - 0.5, color="#999999", linewidth=0.6)
        axes[0].set_yticks(range(len(rows[title])), rows[title])
        axes[0].set_ylim(len(rows[title]) - 0.5, -0.5)
        handles: list[Any] = [
            Patch(color=_COLOURS[k % len(_COLOURS)], label=str(level))
            for k, level in enumerate(levels[title])
        ]
        if title in lines:
            handles.append(Line2D([], [], color="black", linestyle="--", label="mean agreement"))
        _legend(block, handles)
    return figure


def _score_rows(
    axis: Axes,
    table: pd.DataFrame,
    metric: str,
    by: str,
    levels: Sequence[str],
    rows: Sequence[str],
) -> None:
    step = 0.8 / len(levels)
    scores = {str(key): part[metric] for key, part in table.groupby(["rater_pred", by], sort=False)}
    for y, name in enumerate(rows):
        for k, level in enumerate(levels):
            if (key := str((name, level))) in scores:
                values = scores[key].dropna().to_numpy()
                colour = _COLOURS[k % len(_COLOURS)]
                _distribution(axis, values, y - 0.4 + (k + 0.5) * step, 0.75 * step, colour)
    axis.set_title(metric, fontsize=10)
    axis.set_xlim(-0.03, 1.03)
    axis.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    axis.grid(axis="x", color="#e5e5e5", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", length=0)


def _distribution(axis: Axes, values: np.ndarray, y: float, width: float, colour: str) -> None:
    if len(values) > _FEW:
        axis.boxplot(
            values,
            positions=[y],
            widths=width,
            orientation="horizontal",
            manage_ticks=False,
            patch_artist=True,
            flierprops={"marker": ".", "markersize": 2, "markeredgecolor": colour},
            boxprops={"facecolor": colour, "edgecolor": colour, "alpha": 0.45},
            medianprops={"color": colour, "linewidth": 1.2},
            whiskerprops={"color": colour, "linewidth": 0.9},
            capprops={"linewidth": 0},
        )
    else:
        axis.plot(values, np.full(len(values), y), "o", color=colour, markersize=3.2, alpha=0.55)
    if len(values):
        axis.plot(values.mean(), y, "D", color="black", markersize=2.2)


def _legend(figure: FigureBase, handles: Sequence[Any], columns: int = 3) -> None:
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(columns, len(handles)),
        frameon=False,
        fontsize=9,
        handlelength=1.4,
    )


@in_style
def equivalence_rows(table: pd.DataFrame, margin: float, *, raters: str = "annotators") -> Figure:
    """Draw each model's difference from its judges, with its interval and the margin.

    Parameters
    ----------
    table
        What `equivalence.human_equivalence` returns, of one mode and metric; several
        cohorts may stand in it.
    margin
        Difference that does not matter.
    raters
        What the judges are called, ``"tools"`` for instance.
    """
    means = table[table["left_out"] == MEAN]
    each = table[table["left_out"] != MEAN]
    several = len(means["cohort"].unique()) > 1
    models = [
        f"{model}\n({cohort})" if several else str(model)
        for model, cohort in zip(means["model"], means["cohort"], strict=True)
    ]
    figure, axis = plt.subplots(figsize=(_WIDTH, 0.4 * len(models) + 1.5))
    axis.axvspan(-margin, margin, color=GREEN, alpha=0.15, lw=0)
    axis.axvline(0, color="#777777", linewidth=0.8)
    for y, (_, row) in enumerate(means.iterrows()):
        colour, marker = _OF_DECISION[Decision(row["decision"])]
        same = (each["model"] == row["model"]) & (each["cohort"] == row["cohort"])
        alone = each.loc[same, "difference"]
        axis.plot(alone, np.full(len(alone), y), "|", color="#777777", markersize=8)
        axis.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2.2)
        axis.plot(row["difference"], y, marker, color=colour, markersize=7)
    axis.set_yticks(range(len(models)), models)
    axis.set_ylim(len(models) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(f"model's agreement less that among {raters}")
    _legend(figure, [*_decision_handles(), _alone_handle(), _margin_handle(margin)])
    return figure


def _decision_handles() -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=decision.value)
        for decision, (colour, marker) in _OF_DECISION.items()
    ]


def _alone_handle() -> Line2D:
    return Line2D([], [], color="#777777", marker="|", linestyle="", label="one left out")


def _margin_handle(margin: float) -> Patch:
    return Patch(color=GREEN, alpha=0.15, label=f"margin ± {margin:g}")


@in_style
def trial_rows(table: pd.DataFrame, margin: float) -> Figure:
    """Draw what annotators say of candidates, beside what the truth says.

    Parameters
    ----------
    table
        What `imc_helpers.experiments.known_quality.trial` returns, of one mode and metric.
    margin
        Difference that does not matter.
    """
    figure, axes = plt.subplots(
        1, 2, figsize=(_WIDTH, 0.27 * len(table) + 1.5), sharex=True, sharey=True
    )
    for axis, ending, title in zip(axes, ("", "_truth"), ("annotators", "the truth"), strict=True):
        axis.axvspan(-margin, margin, color=GREEN, alpha=0.15, lw=0)
        axis.axvline(0, color="#777777", linewidth=0.8)
        for y, (_, row) in enumerate(table.iterrows()):
            colour, marker = _OF_DECISION[Decision(row[f"decision{ending}"])]
            ends = [row[f"low{ending}"], row[f"high{ending}"]]
            axis.plot(ends, [y, y], color=colour, linewidth=2)
            axis.plot(row[f"difference{ending}"], y, marker, color=colour, markersize=6)
        axis.set_title(f"judged by {title}", fontsize=10)
        axis.set_xlabel("less the annotators' score")
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(table)), table["model"])
    axes[0].set_ylim(len(table) - 0.4, -0.6)
    _legend(figure, [*_decision_handles(), _margin_handle(margin)])
    return figure


@in_style
def error_map(
    true: np.ndarray, pred: np.ndarray, errors: CellErrors, *, titles: tuple[str, str]
) -> Figure:
    """Colour every cell by what became of it: true cells on the left, predicted on the right.

    Parameters
    ----------
    true, pred
        (H, W) label images.
    errors
        What `error_types.mesmer_errors` says of them, or of the images that they are
        cut out of.
    titles
        Whose the two are.
    """
    figure, axes = plt.subplots(1, 2, figsize=(_WIDTH, 3.9))
    sides = (
        (true, errors.true_ids, errors.true_kinds, titles[0]),
        (pred, errors.pred_ids, errors.pred_kinds, titles[1]),
    )
    for axis, (labels, ids, kinds, title) in zip(axes, sides, strict=True):
        axis.imshow(colour_kinds(labels, ids, kinds), interpolation="nearest")
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    _legend(figure, [Patch(color=colour, label=kind.value) for kind, colour in _OF_KIND.items()])
    return figure


def colour_kinds(labels: np.ndarray, ids: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Colour cells by kind, black borders, white background; (H, W, 3) float64.

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
    rgb[find_boundaries(labels, mode="inner", connectivity=1)] *= 0.35
    return rgb


@in_style
def kind_bars(shares: pd.DataFrame) -> Figure:
    """Draw what became of true cells, a row a model.

    Parameters
    ----------
    shares
        What `imc_helpers.agreement.outcomes.kind_shares` returns.
    """
    figure, axis = plt.subplots(figsize=(_WIDTH, 0.36 * len(shares) + 1.2))
    left = np.zeros(len(shares))
    kinds = [kind for kind in _OF_KIND if kind.value in shares]
    for kind in kinds:
        widths = shares[kind.value].to_numpy()
        axis.barh(range(len(shares)), widths, left=left, color=_OF_KIND[kind], height=0.7)
        left += widths
    axis.set_yticks(range(len(shares)), [str(name) for name in shares.index])
    axis.set_ylim(len(shares) - 0.5, -0.5)
    axis.set_xlim(0, 1)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("share of true cells")
    _legend(figure, [Patch(color=_OF_KIND[kind], label=kind.value) for kind in kinds])
    return figure


@in_style
def recall_curves(
    table: pd.DataFrame, xlabel: str, *, models: Sequence[str], people: Sequence[str]
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
    """
    columns = min(3, len(models))
    rows = -(-len(models) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(max(3.6, 2 * columns), 2.0 * rows + 0.5),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    of = {name: part.sort_values("bin") for name, part in table.groupby("model", sort=False)}
    for axis in axes.flat[len(models) :]:
        axis.set_axis_off()
    for axis, name in zip(axes.flat, models, strict=False):
        for person in (person for person in people if person in of):
            axis.plot(of[person]["median"], of[person]["recall"], color="#aaaaaa", linewidth=1)
        part = of[name]
        axis.fill_between(part["median"], part["low"], part["high"], color=SKY, alpha=0.4, lw=0)
        axis.plot(part["median"], part["recall"], "o-", color=BLUE, markersize=4)
        axis.set_title(name, fontsize=9)
        axis.set_ylim(0, 1.02)
    figure.supxlabel(xlabel, fontsize=10)
    figure.supylabel("share found", fontsize=10)
    return figure
