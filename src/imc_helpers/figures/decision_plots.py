"""Plots of how sure a number is, and of what makes it differ."""

from collections.abc import Mapping
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

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


@in_style
def agreement_intervals(
    table: pd.DataFrame, images: Mapping[tuple[str, str], np.ndarray], *, width: float
) -> Figure:
    """Draw mean agreement with its interval for other images, and for other people too.

    Parameters
    ----------
    table
        One row per cohort and metric: ``cohort``, ``metric``, ``mean``, and the ends of both
        intervals as `statistics.CrossedInterval` names them.
    images
        Mean agreement on each image, by cohort and metric.
    width
        Width of the figure, inches.
    """
    cohorts = {str(key): rows for key, rows in table.groupby("cohort", sort=False)}
    counts = [len(rows) for rows in cohorts.values()]
    figure, axes = row_panels(counts, width, row_in=0.42, panel_in=0.4, rest_in=1.0)
    for axis, (cohort, rows) in zip(axes, cohorts.items(), strict=True):
        for y, row in enumerate(rows.to_dict("records")):
            both = np.clip([row["low_both"], row["high_both"]], 0, 1)
            same = np.clip([row["low_images"], row["high_images"]], 0, 1)
            axis.plot(both, [y, y], color=GOLD, linewidth=3)
            axis.plot(same, [y, y], color=BLUE, linewidth=7, solid_capstyle="butt")
            dots = images[cohort, row["metric"]]
            axis.plot(dots, np.full(len(dots), y + 0.28), "o", color=GREY, markersize=3)
            axis.plot(row["mean"], y, "o", color="black", markersize=5)
        name_rows(axis, list(rows["metric"]))
        axis.set_xlim(-0.02, 1.02)
        axis.set_title(cohort_name(cohort), weight="bold", loc="left")
    axes[-1].set_xlabel("mean agreement")
    handles = [
        Line2D([], [], color="black", marker="o", linestyle="", label="mean"),
        Line2D([], [], color=BLUE, linewidth=7, label="other images"),
        Line2D([], [], color=GOLD, linewidth=3, label="other people too"),
        Line2D([], [], color=GREY, marker="o", markersize=3, linestyle="", label="an image"),
    ]
    legend(figure, handles, width)
    return figure


@in_style
def rank_bars(table: pd.DataFrame, *, width: float) -> Figure:
    """Draw which ranks each model may have, and where it came out.

    Parameters
    ----------
    table
        What `statistics.rank_sets` returns, with ``cohort``; models in the order of their scores.
    width
        Width of the figure, inches.
    """
    cohorts = {str(key): rows for key, rows in table.groupby("cohort", sort=False)}
    counts = [len(rows) for rows in cohorts.values()]
    row_in = 0.38 if width < NARROW else 0.28
    figure, axes = row_panels(
        counts, width, row_in=row_in, panel_in=0.35, rest_in=1.0, sharex=False
    )
    for axis, (cohort, rows) in zip(axes, cohorts.items(), strict=True):
        for y, row in enumerate(rows.to_dict("records")):
            # A rank is as wide as one place, so that a model with one rank has a bar too.
            colour = VERMILION if row["first"] == row["last"] else BLUE
            ends = [row["first"] - 0.4, row["last"] + 0.4]
            axis.plot(ends, [y, y], color=colour, linewidth=8, alpha=0.6, solid_capstyle="butt")
            axis.plot(y + 1, y, "o", color="black", markersize=5)
        name_rows(axis, wrapped(map(rater_name, rows["model"]), width))
        axis.set_xlim(0.4, len(rows) + 0.6)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_title(cohort_name(cohort), weight="bold", loc="left")
    axes[-1].set_xlabel("rank")
    handles = [
        Line2D([], [], color="black", marker="o", linestyle="", label="by mean score"),
        Line2D([], [], color=BLUE, linewidth=8, alpha=0.6, label="ranks it may have"),
        Line2D([], [], color=VERMILION, linewidth=8, alpha=0.6, label="sure"),
    ]
    legend(figure, handles, width)
    return figure


@in_style
def share_bars(
    tables: Mapping[str, pd.DataFrame], colours: Mapping[str, str], *, width: float
) -> Figure:
    """Draw shares that sum to 1 as bars, a row each.

    Parameters
    ----------
    tables
        By heading, a frame with a row for each bar, named by its index, and a column for each
        part.
    colours
        Of the parts, in their order.
    width
        Width of the figure, inches.
    """
    counts = [len(rows) for rows in tables.values()]
    row_in = 0.4 if width < NARROW else 0.3
    key_in = 0.2 * len(colours) if width < NARROW else 0.5
    figure, axes = row_panels(counts, width, row_in=row_in, panel_in=0.35, rest_in=key_in + 0.6)
    for axis, (heading, rows) in zip(axes, tables.items(), strict=True):
        left = np.zeros(len(rows))
        for part, colour in colours.items():
            values = rows[part].to_numpy(float)
            axis.barh(range(len(rows)), values, left=left, color=colour, height=0.7)
            for y, (start, value) in enumerate(zip(left, values, strict=True)):
                if value >= 0.12:
                    text = f"{value:.0%}"
                    axis.text(start + value / 2, y, text, ha="center", va="center", color="black")
            left += values
        name_rows(axis, wrapped(rows.index, width))
        axis.set_xlim(0, 1)
        axis.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        if heading:
            axis.set_title(heading, weight="bold", loc="left")
    handles = [Patch(color=colour, label=part) for part, colour in colours.items()]
    legend(figure, handles, width)
    return figure


@in_style
def personal_rows(table: pd.DataFrame, *, width: float) -> Figure:
    """Draw each rater's own part of the distances, with its interval.

    Parameters
    ----------
    table
        What `disagreement.profiles` returns, with ``cohort``.
    width
        Width of the figure, inches.
    """
    cohorts = {str(key): rows for key, rows in table.groupby("cohort", sort=False)}
    counts = [len(rows) for rows in cohorts.values()]
    figure, axes = row_panels(counts, width, row_in=0.32, panel_in=0.35, rest_in=1.0)
    for axis, (cohort, rows) in zip(axes, cohorts.items(), strict=True):
        for y, row in enumerate(rows.to_dict("records")):
            axis.plot([row["low"], row["high"]], [y, y], color=BLUE, linewidth=3)
            axis.plot(row["personal"], y, "o", color="black", markersize=5)
            axis.plot(row["distance"], y, "|", color=GREY, markersize=12)
        name_rows(axis, wrapped(map(rater_name, rows["rater"]), width))
        axis.axvline(0, color=GREY, linewidth=0.8)
        axis.set_title(cohort_name(cohort), weight="bold", loc="left")
    axes[-1].xaxis.set_major_locator(MaxNLocator(5))
    (label,) = wrapped(
        ["distance per cell (0: alike; 1: no pixel shared)"], width, wide=80, narrow=34
    )
    axes[-1].set_xlabel(label)
    handles = [
        Line2D([], [], color="black", marker="o", linestyle="", label="own error"),
        Line2D([], [], color=BLUE, linewidth=3, label="interval"),
        Line2D([], [], color=GREY, marker="|", linestyle="", label="mean to others"),
    ]
    legend(figure, handles, width)
    return figure


@in_style
def planned_widths(
    table: pd.DataFrame,
    wanted: Mapping[str, float],
    plans: Mapping[str, tuple[int, float]],
    *,
    width: float,
) -> Figure:
    """Draw how the half-width of an interval falls with images, for several numbers of people.

    Parameters
    ----------
    table
        One row per ``question``, ``people`` and ``images``, with ``half_width``.
    wanted
        By question, the half-width that is asked for.
    plans
        By question, images and half-width of the study with the least work, where there is one.
    width
        Width of the figure, inches.
    """
    questions = list(dict.fromkeys(table["question"]))
    figure, axes = plt.subplots(
        len(questions), 1, figsize=(width, 2.5 * len(questions) + 0.6), sharex=True, squeeze=False
    )
    colours = (VERMILION, GOLD, GREEN, BLUE, PURPLE, SKY)
    levels = sorted(table["people"].unique())
    of_people = dict(zip(levels, cycle(colours), strict=False))
    for axis, question in zip(axes[:, 0], questions, strict=True):
        own = table[table["question"] == question]
        for people, rows in own.groupby("people"):
            axis.plot(rows["images"], rows["half_width"], color=of_people[people], linewidth=2)
        axis.axhline(wanted[question], color=GREY, linestyle=(0, (4, 3)), linewidth=1)
        if question in plans:
            axis.plot(*plans[question], "o", color="black", markersize=6)
        axis.set_ylim(0, min(1.0, 1.1 * float(own["half_width"].max())))
        (title,) = wrapped([question], width, wide=72, narrow=28)
        axis.set_title(title, weight="bold", loc="left")
        axis.set_ylabel("half-width")
    axes[-1, 0].set_xlabel("images")
    handles = [Line2D([], [], color=of_people[n], linewidth=2, label=f"{n} people") for n in levels]
    handles.append(Line2D([], [], color="black", marker="o", linestyle="", label="least work"))
    legend(figure, handles, width)
    return figure
