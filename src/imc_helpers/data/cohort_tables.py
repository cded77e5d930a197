"""Tables for pages: cohorts in numbers, what enters an aggregate, tools side by side."""

import textwrap

import numpy as np
import pandas as pd

from imc_helpers.data.samples import Cohort
from imc_helpers.patching import STRIDE_PX, WINDOW_PX, windows


def describe(
    cohort: Cohort, *, window_px: int = WINDOW_PX, stride_px: int = STRIDE_PX
) -> dict[str, float]:
    """Measure a cohort as the study's Table 1 does.

    Parameters
    ----------
    cohort
        Samples, with masks or without.
    window_px, stride_px
        Edge of a window and step between windows, pixels.

    Returns
    -------
    dict
        ``samples``; ``height_px`` and ``width_px``, means over samples; ``patches``, the windows of
        all samples; ``samples_without_patches``; ``annotators`` and ``tools`` whose masks there
        are; ``cells``, the mean per mask of the cohort's references;
        ``cells_per_patch``, the mean over masks and windows of the cells with a pixel in the
        window, border included. The last two are missing without masks.
    """
    shapes = [cohort.shape(sample) for sample in cohort.ids]
    placed = [windows(shape, size=window_px, stride=stride_px) for shape in shapes]
    per_mask, per_patch = [], []
    for sample, where in zip(cohort.ids, placed, strict=True):
        for rater in cohort.references_of(sample):
            mask = cohort.read_mask(sample, rater)
            per_mask.append(count_cells(mask))
            per_patch += [count_cells(mask[window.slices]) for window in where]
    return {
        "samples": len(cohort),
        "height_px": float(np.mean([height for height, _ in shapes])),
        "width_px": float(np.mean([width for _, width in shapes])),
        "patches": sum(map(len, placed)),
        "samples_without_patches": sum(not where for where in placed),
        "annotators": len(cohort.annotators),
        "tools": len(cohort.tools),
        "cells": float(np.mean(per_mask)) if per_mask else np.nan,
        "cells_per_patch": float(np.mean(per_patch)) if per_patch else np.nan,
    }


def count_cells(labels: np.ndarray) -> int:
    """Count the ids of a label image, background left out."""
    return int(np.count_nonzero(np.unique(labels)))


def channel_shares(cohort: Cohort, compartment: str) -> pd.DataFrame:
    """Say how much of an aggregate each channel gives.

    The mean is taken without scaling, so a channel's share of the aggregate is its share of all
    counts.

    Parameters
    ----------
    cohort
        Its panel says which channels enter.
    compartment
        ``"nucleus"`` or ``"membrane"``.

    Returns
    -------
    pandas.DataFrame
        One row a channel: ``channel``, ``mean`` (counts a pixel over all samples), ``zeros`` (share
        of pixels without a count), ``share`` (of the aggregate, 0 … 1).
    """
    positions = list(cohort.panel.compartment(compartment))
    total, zero, pixels = np.zeros(len(positions)), np.zeros(len(positions)), 0
    for sample in cohort.ids:
        planes = cohort.read_image(sample)[positions].reshape(len(positions), -1)
        total += planes.sum(axis=1, dtype=np.float64)
        zero += (planes == 0).sum(axis=1)
        pixels += planes.shape[1]
    return pd.DataFrame(
        {
            "channel": [cohort.panel.names[i] for i in positions],
            "mean": total / pixels,
            "zeros": zero / pixels,
            "share": total / total.sum(),
        }
    )


def marker_availability(cohort: Cohort, markers: pd.DataFrame) -> pd.DataFrame:
    """Say which of the study's markers a cohort has, and what stands in.

    Parameters
    ----------
    cohort
        Its panel is compared.
    markers
        The study's Table 2: columns ``compartment``, ``marker``, ``channel``. DNA stains are looked
        for by metal, since their names differ; antibodies by marker, since their metals do.

    Returns
    -------
    pandas.DataFrame
        One row a channel of the study or of the cohort's aggregates: ``compartment``, ``marker``,
        ``status``: ``"present"``, ``"missing"`` or ``"stand-in"``.
    """
    present = {name for c in cohort.panel.channels for name in (c.name, c.channel)}
    by_metal = markers["marker"] == "DNA"
    wanted = markers["channel"].where(by_metal, markers["marker"])
    rows = [
        {"compartment": c, "marker": w, "status": "present" if w in present else "missing"}
        for c, w in zip(markers["compartment"], wanted, strict=True)
    ]
    known = set(wanted)
    rows += [
        {"compartment": c.compartment, "marker": c.name, "status": "stand-in"}
        for c in cohort.panel.channels
        if c.compartment and not {c.name, c.channel} & known
    ]
    return pd.DataFrame(rows)


def compare_tools(measured: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Set the tools of ``make bench`` side by side, a column a size of image.

    Parameters
    ----------
    measured
        The rows that ``make bench`` writes.

    Returns
    -------
    table : pandas.DataFrame
        One row a tool that ran: ``tool``, ``version``, ``work``, and for each size the time a pair
        with, in brackets, how many times that of ours. A tool that scores sap is held against ours
        with sap. Where a tool failed, its note.
    absent : list of str
        Tools that ran on no size.
    """
    ran = measured["seconds_a_pair"].notna().groupby(measured["tool"]).transform("any")
    sap = measured["work"].str.contains("sap on paper")
    times = measured["times_ours_with_sap"].where(sap, measured["times_ours"])
    shown = [
        f"{seconds:.2g} s ({float(f'{ratio:.2g}'):,g}x)"
        if pd.notna(seconds)
        else textwrap.shorten(str(note), 60)
        for seconds, ratio, note in zip(
            measured["seconds_a_pair"], times, measured["note"], strict=True
        )
    ]
    keys = ["tool", "work"]
    table = (
        measured.assign(shown=shown)[ran]
        .pivot_table(index=keys, columns="size", values="shown", aggfunc="first", sort=False)
        .reindex(columns=list(measured["size"].unique()))
    )
    versions = measured[ran].groupby(keys, sort=False)["version"].first()
    table.insert(0, "version", versions)
    return table.reset_index(), sorted(set(measured["tool"]) - set(measured["tool"][ran]))
