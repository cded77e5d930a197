# ---
# jupyter:
#   imc_book:
#     reads:
#     - predictions
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: imc_book
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Nucleus and cell
#
# **May nuclei stand for cells, and do sizes of nucleus and cell depend on who outlined them?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort; when empty, the first with nuclei of somebody
most_images: int = 4  # images that are measured, evenly spread over the cohort
radius_px: float = 3.0  # by which nuclei are expanded, px; 3 in the study
bins: int = 5  # bins of true size, with about as many cells each

# %% tags=["hide-input"]
# Colab guard, written by `make sync`: says what to do where the package is missing.
import importlib.util

if importlib.util.find_spec("imc_helpers") is None:
    raise ModuleNotFoundError(
        "The package imc_helpers is not installed, and the book has no public repository yet to "
        "install it from. In a copy of the book, run: pip install --no-deps ."
    )

# %% tags=["hide-input"]
from functools import partial

import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.agreement.intervals import mean_intervals
from imc_helpers.agreement.outcomes import first_to_compare
from imc_helpers.cells.counts import count_cells
from imc_helpers.data.manifest import load_edition, published_table
from imc_helpers.data.paths import results_dir
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread
from imc_helpers.downstream.compartment_tables import (
    found_shares,
    localisation_table,
    matched_ratios,
    nucleus_table,
    pearson,
    size_pairs,
    size_ratios,
    size_tilts,
    with_nuclei,
)
from imc_helpers.downstream.compartments import LOWEST, unite_with_nuclei
from imc_helpers.downstream.mask_sets import MaskSet, mask_sets
from imc_helpers.figures.mask_plots import size_curves
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table

record = load_edition(edition)
opened = {key: open_cohort(key) for key in record.cohorts}
have_nuclei = {key: one for key, one in opened.items() if any(map(one.nuclei_of, one.ids))}
key = cohort or first_to_compare(have_nuclei, record.models) or next(iter(have_nuclei), "")
masks, sources = {}, []
if key:
    shown = opened[key] if key in opened else open_cohort(key)
    looked_at = evenly_spread([s for s in shown.ids if shown.nuclei_of(s)], most_images)
    masks = mask_sets(shown, record.models, samples=looked_at)
    # One set of images for all, so that nothing but the mask differs.
    masks = {name: own for name, own in masks.items() if len(own) == len(looked_at)}
    masks = {
        name: own for name, own in masks.items() if any(labels.any() for labels in own.values())
    }
    sources = with_nuclei(shown, list(masks), looked_at)
curves = pd.DataFrame()
if sources:
    reference = (
        TRUTH if TRUTH in masks else next((n for n in masks if n not in sources), sources[0])
    )
    beside = "the truth" if reference == TRUTH else rater_name(reference)
    # Who outlined no nuclei gets those of the first who did.
    linked_to = {name: name for name in sources} | (
        {} if reference in sources else {reference: sources[0]}
    )
    nuclei = {
        name: MaskSet(looked_at, lambda sample, name=name: shown.read_nuclei(sample, name))
        for name in sources
    }
    true = {sample: masks[reference][sample] for sample in looked_at}
    um2 = shown.um_per_px(looked_at[0]) ** 2
    areas = np.concatenate([np.bincount(labels[labels > 0]) for labels in true.values()])
    edges = np.quantile(areas[areas > 0], np.linspace(0, 1, bins + 1))
    outlines = {
        "whole cells": ({name: own for name, own in masks.items() if name != reference}, None),
        f"nuclei, expanded by {radius_px:g} px": (nuclei, radius_px),
    }
    pairs = {
        (outline, name): size_pairs(true, own, radius_px=radius)
        for outline, (sets, radius) in outlines.items()
        for name, own in sets.items()
    }
    curves = pd.concat(
        size_ratios(of, edges).assign(outline=outline, rater=name)
        for (outline, name), of in pairs.items()
    )
    curves["area"] *= um2
    by_image = pd.DataFrame({of: size_tilts(own, edges) for of, own in pairs.items()})
    tilts = mean_intervals(by_image, by_image.index)[["mean", "low", "high"]].apply(np.exp)
    tilts = tilts.rename(columns={"mean": "value"}).rename_axis(["outline", "rater"]).reset_index()
    curves.to_csv(results_dir(edition, "compartments") / "sizes.csv", index=False)
    tilts.to_csv(results_dir(edition, "compartments") / "tilts.csv", index=False)
    data = source_note([key])
    n_images = len(looked_at)
    several = f"{n_images} images" if n_images > 1 else "one image"

if curves.empty:
    summary = (
        "Nobody outlined nuclei in this edition, so there is no compartment to measure: this needs masks of nuclei beside "
        "those of cells."
    )
else:
    best = TRUTH if TRUTH in sources else sources[0]
    whole = tilts["outline"] == "whole cells"
    own = tilts[~whole].set_index("rater").loc[best]
    others = tilts[whole & tilts["value"].notna()]
    whose_nuclei = "even the true nuclei" if best == TRUTH else f"the nuclei of {rater_name(best)}"
    within = (
        f" (95% interval over images {own['low']:.2f} to {own['high']:.2f})" if n_images > 1 else ""
    )
    summary = (
        f"Sizes depend on the outline: {whose_nuclei}, expanded by {radius_px:g} px, overestimate the smallest fifth of the cells "
        f"of {beside} {own['value']:.2f} times as much as the largest fifth{within}, in {several} of {cohort_name(key)}. "
    )
    if len(others):
        summary += f"Masks of whole cells do so {others['value'].min():.2f} to {others['value'].max():.2f} times"
        if n_images > 1:
            # Image by image, against the expanded nuclei: what makes an image hard for both does not enter.
            apart = by_image["whole cells"].sub(by_image[own["outline"], best], axis=0)
            less = (mean_intervals(apart, apart.index)["high"] < 0).sum()
            summary += f", {less or 'none'} of these {len(others)} demonstrably less (paired 95% intervals over images)"
        summary += ". "
    summary += "All this is of cells that match one to one"
    if TRUTH in sources:
        summary += ", on a phantom whose nuclei have the size that it assumes"
    summary += "."
answer(summary)

# %% tags=["hide-input"]
if not curves.empty:
    band = "Bands: 95% intervals over images. " if n_images > 1 else ""
    show(
        partial(size_curves, curves),
        label="fig-compartments-sizes",
        caption=f"Area of matched cells over that of the cells of {beside} that they match, by the size of the latter, in fifths. "
        f"Left: masks of whole cells. Right: nuclei, expanded by {radius_px:g} px. {band}{data}",
        alt="Two panels of curves against the true area of cells: whole-cell masks, and expanded nuclei, each with a line at 1.",
    )

# %% [markdown]
# Where no membrane was stained, nuclei are expanded to stand for cells. {cite:t}`greenwald2022` found that this makes
# small cells too large and large cells too small, and that Mesmer's whole cells are unbiased (figure S2h); they drew it and
# printed no number. A falling curve alone does not mark expanded nuclei: whoever outlines with any error, and smooths, gives
# small cells too much and large ones too little. Matched are cells with an IoU of .6 or more, which by itself keeps ratios
# between .6 and 1.7.

# %% tags=["hide-input"]
if not curves.empty:
    show_table(
        tilts.rename(columns={"value": "smallest over largest", "low": "from", "high": "to"}),
        label="tab-compartments-tilts",
        caption=f"How many times as much a mask overestimates the smallest fifth of the cells of {beside} as the largest: 1 where "
        f"size makes no difference. Ranges: 95% intervals over images, – for one. {data}",
        decimals=2,
    )

# %% [markdown]
# ## Nucleus over cell

# %% tags=["hide-input"]
ratios = pd.DataFrame()
if sources:
    ratios = pd.concat(
        nucleus_table(shown, masks[name], name, of) for name, of in linked_to.items()
    )
    rows = []
    for name, of in ratios.groupby("rater", sort=False):
        per_image = of.groupby("sample")["ratio"].agg(
            [("ratio", "mean"), ("without", lambda values: (values == 0).mean())]
        )
        mean = mean_intervals(per_image, per_image.index)
        same = {"value": np.nan, "low": np.nan, "high": np.nan, "pairs": np.nan}
        if name != reference:
            same = pearson(
                matched_ratios(true, masks[name], ratios, reference=reference, rater=name)
            )
        rows.append(
            {
                "rater": name,
                "mean N/C, all cells": mean.loc["ratio", "mean"],
                "no nucleus, % of cells": 100 * mean.loc["without", "mean"],
                "lowest": 100 * mean.loc["without", "low"],
                "highest": 100 * mean.loc["without", "high"],
                "matched cells": same["pairs"],
                "r, matched": same["value"],
                "r from": same["low"],
                "r to": same["high"],
            }
        )
    compared = pd.DataFrame(rows)
    compared.to_csv(results_dir(edition, "compartments") / "nuclei.csv", index=False)
    show_table(
        compared,
        label="tab-compartments-nuclei",
        caption=f"N/C, the area of the nucleus over that of the whole cell: of all cells, and its correlation (Pearson's r) with "
        f"{beside} over matched cells; the share of cells without a nucleus. Ranges: 95% intervals over images, – for one. {data}",
        decimals=2,
    )

# %% tags=["hide-input"]
if sources:
    published = published_table("greenwald22_figure4d")["r"].iloc[0]
    text = (
        f"*Published beside measured*: {published:.2f} for Mesmer, over all cells of TissueNet's test part "
        "({cite:t}`greenwald2022`, figure 4d). Other tissues, another spread of N/C: a correlation grows with the spread, so the "
        "two numbers are not a contest."
    )
    if reference not in sources:
        text += (
            f" {rater_name(reference)} has no nuclei of its own; its cells are linked to those of {rater_name(sources[0])}, so "
            "the two share their errors."
        )
    display(Markdown(text))

# %% [markdown]
# A nucleus belongs to the cell that it overlaps most, and is cut where the cell ends; so in the study. Matched cells are
# those that masks agree about, so a correlation over them says nothing of the cells that one mask lacks.

# %% [markdown]
# ## Cells whose nucleus lies out of the plane

# %% tags=["hide-input"]
if TRUTH in sources:
    found = found_shares(
        true, {n: own for n, own in masks.items() if n != TRUTH}, ratios[ratios["rater"] == TRUTH]
    )
    per_mask = []
    for name, of in found.groupby("rater", sort=False):
        wide = of.set_index("sample")[["in plane", "out of plane"]]
        wide["difference"] = wide["in plane"] - wide["out of plane"]
        mean = mean_intervals(100 * wide, wide.index)
        per_mask.append(
            {
                "rater": name,
                **mean["mean"].to_dict(),
                "lowest": mean.loc["difference", "low"],
                "highest": mean.loc["difference", "high"],
            }
        )
    planted = compared.set_index("rater").loc[TRUTH]
    display(
        Markdown(
            f"The phantom plants {5:g}% of its cells with the nucleus outside the section; linked on the true masks, "
            f"{planted['no nucleus, % of cells']:.1f}% have none. Simulated annotators start from nuclei they see, so by their own "
            "masks hardly a cell lacks one: the share that a mask shows is that of its maker's method first."
        )
    )
    show_table(
        pd.DataFrame(per_mask),
        label="tab-compartments-found",
        caption=f"Share of the true cells that a mask has (IoU of .5 or more), %, with their nucleus in and out of the plane, and "
        f"the difference with its 95% interval over images. {data}",
        decimals=1,
    )
elif sources:
    display(
        Markdown(
            "Cells without a nucleus are either cut beside it or missed by who outlined nuclei; without a truth, nobody can say "
            "which. A tool that grows cells from nuclei has none of them, however many there are."
        )
    )

# %% [markdown]
# {cite:t}`greenwald2022` report the highest share for gastrointestinal tissue, whose cells are long, in a figure without
# numbers (4f).

# %% [markdown]
# ## Where markers lie

# %% tags=["hide-input"]
if sources:
    where = {
        name: localisation_table(shown, masks[name], name, of) for name, of in linked_to.items()
    }
    means = pd.DataFrame({name: table.mean() for name, table in where.items()})
    means.rename_axis("channel").to_csv(results_dir(edition, "compartments") / "localisation.csv")
    others = [name for name in linked_to if name != reference]
    listed = pd.DataFrame(
        {
            "channel": means.index,
            "shown in": [c.compartment or "–" for c in shown.panel.channels],
            f"nuclear share, {rater_name(reference)}": means[reference].to_numpy(),
        }
    )
    if others:
        apart = {
            name: mean_intervals(where[name] - where[reference], where[reference].index)
            for name in others
        }
        lowest, highest = (
            pd.DataFrame({n: a["mean"] for n, a in apart.items()}).agg(how, axis=1).to_numpy()
            for how in ("min", "max")
        )
        clear = sum(
            ((a["low"] > 0) | (a["high"] < 0)).to_numpy().astype(int) for a in apart.values()
        )
        listed = listed.assign(
            **{"others, lowest difference": lowest, "highest": highest, "masks that differ": clear}
        )
    show_table(
        listed,
        label="tab-compartments-localisation",
        caption=f"Share of a marker's counts that lies in the nucleus, mean over cells without the lowest {LOWEST:.0%} of each marker, "
        f"and over {several}"
        + (
            f"; differences of the other {len(others)} masks, and how many of them have an interval over images that leaves out 0. "
            if others
            else ". "
        )
        + data,
        decimals=2,
    )
    even = ratios[ratios["rater"] == reference]["ratio"].mean()
    display(
        Markdown(
            f"A marker that is spread evenly has the mean N/C, here {even:.2f}. What lies above is nuclear, what lies below is not; "
            "a share alone says little, since small cells are mostly nucleus."
        )
    )

# %% [markdown]
# Counts are summed in each compartment and divided by the area of the whole cell ({cite:t}`greenwald2022`, figure 4b).

# %% [markdown]
# ## Two rules for nuclei that do not fit

# %% tags=["hide-input"]
if sources:
    rules = []
    for name, of in linked_to.items():
        cells = [masks[name][sample] for sample in looked_at]
        united = [
            unite_with_nuclei(
                labels,
                nuclei[of][sample],
                source=f"{key}, image {sample}, cells of {name}, nuclei of {of}",
            )[0]
            for labels, sample in zip(cells, looked_at, strict=True)
        ]
        rules.append(
            {
                "rater": name,
                "nuclei of": rater_name(of),
                "cells": sum(map(count_cells, cells)),
                "cells, united": sum(map(count_cells, united)),
                "area covered, times": sum((u > 0).sum() for u in united)
                / sum((c > 0).sum() for c in cells),
            }
        )
    show_table(
        pd.DataFrame(rules),
        label="tab-compartments-rules",
        caption=f"Cells as they are, and united with their nuclei: a cell takes in the nucleus with which it overlaps most, and a "
        f"nucleus that is left over becomes a cell. {data}",
        decimals=2,
    )

# %% [markdown]
# The second rule is that of {cite:t}`goldsborough2025` (figure 4.3). Where cells were grown from nuclei, the two agree, since
# no nucleus is left over. They part where cells and nuclei were outlined independently, as by two networks.

# %% [markdown]
# ## What this does not show
#
# - Models' nuclei. The models of this book return cells; what is said of nuclei is about annotators and tools.
# - Real sizes of nuclei. On the phantom they are chosen, per type of cell, and so is much of the bias of expanded nuclei.
# - Mesmer. That its whole cells are unbiased is the study's result on its own data; it is not run here unless the edition
#   has its weights.
# - Unbiasedness against a real annotator: errors of the one taken for true make small cells look overestimated by all others.
# - The cells that do not match: they have no partner to compare a size with.

# %% tags=["remove-cell"]
if sources:
    assert ratios["ratio"].between(0, 1).all(), "no nucleus is larger than its cell"
    assert (means.isna() | ((means >= 0) & (means <= 1))).all(axis=None), "a share is one"
    assert not curves[["bin", "rater", "outline"]].duplicated().any()
    if TRUTH in sources:
        assert 4 <= planted["no nucleus, % of cells"] <= 6, "the planted 5%, within one"

# %% [markdown]
# ## Takeaways
#
# - Do not compare sizes of cells across masks, or across large and small cells of one: neither expanded nuclei nor outlines of
#   whole cells are neutral.
# - Say whose nuclei a ratio was measured with; a mask that starts from nuclei shows no cell without one.
# - Compare a marker's nuclear share with N/C before you call it nuclear.
