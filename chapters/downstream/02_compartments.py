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
    summary = "This edition cannot tell: it has no masks of nuclei, which are needed in addition to those of cells."
else:
    best = TRUTH if TRUTH in sources else sources[0]
    whole = tilts["outline"] == "whole cells"
    own = tilts[~whole].set_index("rater").loc[best]
    others = tilts[whole & tilts["value"].notna()]
    lead = (
        "Nuclei are no neutral substitute for cells"
        if own["low"] > 1 or own["high"] < 1
        else "These images cannot say whether nuclei are a neutral substitute for cells"
    )
    whose_nuclei = "even the true nuclei" if best == TRUTH else f"the nuclei of {rater_name(best)}"
    within = (
        f" (95% interval over images {own['low']:.2f} to {own['high']:.2f})" if n_images > 1 else ""
    )
    summary = (
        f"{lead}: {whose_nuclei}, expanded by {radius_px:g} px, overestimate the area of the smallest fifth of the cells "
        f"{own['value']:.2f} times as much as that of the largest fifth{within}, compared with {beside} in {several} of "
        f"{cohort_name(key)}. "
    )
    if len(others):
        summary += f"For masks of whole cells this factor is {others['value'].min():.2f} to {others['value'].max():.2f}"
        if n_images > 1:
            # Image by image, against the expanded nuclei: what makes an image hard for both does not enter.
            apart = by_image["whole cells"].sub(by_image[own["outline"], best], axis=0)
            less = (mean_intervals(apart, apart.index)["high"] < 0).sum()
            summary += (
                f", for {less or 'none'} of these {len(others)} masks surely less than for the nuclei (paired 95% intervals over "
                "images)"
            )
        summary += ". "
    summary += "This concerns only cells that match one to one"
    if TRUTH in sources:
        summary += ", on a phantom whose sizes of nuclei are assumptions"
    summary += "."
answer(summary)

# %% tags=["hide-input"]
if not curves.empty:
    band = "Bands: 95% intervals over images. " if n_images > 1 else ""
    show(
        partial(size_curves, curves),
        label="fig-compartments-sizes",
        caption=f"Area of matched cells divided by that of the matching cells of {beside}, for each fifth of the latter by size. "
        f"Left: masks of whole cells. Right: nuclei, expanded by {radius_px:g} px. {band}{data}",
        alt="Two panels of curves against the area of the reference cells: whole-cell masks, and expanded nuclei, each with a line at 1.",
    )

# %% [markdown]
# If no membrane was stained, expanded nuclei often stand in for cells. {cite:t}`greenwald2022` found that this makes
# small cells too large and large cells too small, and that Mesmer's whole cells are unbiased (figure S2h, which gives no
# numbers). A falling curve alone does not prove that nuclei were expanded: anyone who outlines with some error, and smooths,
# makes small cells too large and large ones too small. Cells are matched if their IoU is .6 or more, which by itself keeps
# ratios between .6 and 1.7.

# %% tags=["hide-input"]
if not curves.empty:
    show_table(
        tilts.rename(
            columns={"value": "smallest fifth / largest fifth", "low": "from", "high": "to"}
        ),
        label="tab-compartments-tilts",
        caption=f"Overestimation of the area of the smallest fifth of the cells of {beside}, relative to that of the largest fifth; 1 "
        f"if size makes no difference. *From*, *to*: 95% intervals over images (a dash for one image). {data}",
        decimals=2,
    )

# %% [markdown]
# ## Does the ratio of nucleus to cell depend on the mask?

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
        caption="N/C: area of the nucleus divided by that of the whole cell. Columns: its mean over all cells, the share of cells "
        f"without a nucleus, and the correlation (Pearson's r) of N/C with {beside} over matched cells, with 95% intervals over "
        f"images (a dash for one image). {data}",
        decimals=2,
    )

# %% tags=["hide-input"]
if sources:
    published = published_table("greenwald22_figure4d")["r"].iloc[0]
    text = (
        f"For comparison, the published correlation is {published:.2f} for Mesmer, over all cells of TissueNet's test set "
        "({cite:t}`greenwald2022`, figure 4d). The tissues differ, and so does the spread of N/C. A correlation grows with the "
        "spread, so the two numbers cannot be ranked."
    )
    if reference not in sources:
        text += (
            f" {rater_name(reference)} has no nuclei of its own. Its cells are linked to the nuclei of {rater_name(sources[0])}, so "
            "the two share errors."
        )
    display(Markdown(text))

# %% [markdown]
# A nucleus is assigned to the cell that it overlaps most, and is cut off where the cell ends, as in that study. Matched cells
# are those on which masks agree, so a correlation over them says nothing about cells that one of the masks lacks.

# %% [markdown]
# ## Are cells lost if their nucleus lies out of the plane?

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
            f"The phantom plants {5:g}% of its cells with the nucleus outside the section; on the true masks, "
            f"{planted['no nucleus, % of cells']:.1f}% of cells have no nucleus. Simulated annotators start from the nuclei that "
            "they see, so in their own masks hardly any cell lacks one. The share of such cells in a mask thus says more about "
            "the method than about the tissue."
        )
    )
    show_table(
        pd.DataFrame(per_mask),
        label="tab-compartments-found",
        caption=f"Share of the true cells that a mask contains (IoU of .5 or more), in %, for cells with their nucleus in the plane "
        f"and out of it, and the difference with its 95% interval over images. {data}",
        decimals=1,
    )
elif sources:
    display(
        Markdown(
            "If a cell has no nucleus, either the section missed the nucleus, or whoever outlined nuclei did. Without a known truth, "
            "nobody can say which. A tool that grows cells from nuclei shows no such cells, however many there are."
        )
    )

# %% [markdown]
# {cite:t}`greenwald2022` report the highest share of cells without a nucleus for gastrointestinal tissue, whose cells are
# elongated (figure 4f, which gives no numbers).

# %% [markdown]
# ## Does the location of markers depend on the mask?

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
        caption=f"Share of a marker's counts that lies in the nucleus: mean over cells (without those with the lowest {LOWEST:.0%} of "
        f"the marker) and over {several}"
        + (
            f"; range of the differences of the other {len(others)} masks, and how many of these have an interval over images that excludes 0. "
            if others
            else ". "
        )
        + data,
        decimals=2,
    )
    even = ratios[ratios["rater"] == reference]["ratio"].mean()
    display(
        Markdown(
            f"If a marker is spread evenly over the cell, its nuclear share equals the mean N/C, here {even:.2f}. A marker with a higher "
            "share is enriched in the nucleus, one with a lower share outside it. The share alone says little, because small "
            "cells consist mostly of nucleus."
        )
    )

# %% [markdown]
# Counts are summed in each compartment and divided by the area of the whole cell ({cite:t}`greenwald2022`, figure 4b).

# %% [markdown]
# ## Does it matter how nuclei are assigned to cells?

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
        caption=f"Number of cells as they are, and after uniting them with nuclei: a cell is merged with the nucleus that it overlaps "
        f"most, and a nucleus without a cell becomes a cell of its own. {data}",
        decimals=2,
    )

# %% [markdown]
# Uniting cells with nuclei is the rule of {cite:t}`goldsborough2025` (figure 4.3). If cells were grown from nuclei, it changes
# little, because no nucleus is left over. It makes a difference if cells and nuclei were outlined independently, for
# example by two networks.

# %% [markdown]
# ## What this does not show
#
# - Nuclei found by models. The models in this book return cells, so all statements about nuclei concern annotators and tools.
# - Real sizes of nuclei. On the phantom they are chosen for each cell type, and much of the bias of expanded nuclei
#   follows from that choice.
# - Mesmer. That its whole cells are unbiased is a result of its authors on their data; it does not run here unless the
#   edition has its weights.
# - Unbiasedness relative to a real annotator. Errors of the mask that serves as the reference make all other masks seem to
#   overestimate small cells.
# - Cells that do not match. They have no partner with which to compare sizes.

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
# - Be careful when you compare cell sizes between masks, or between small and large cells in one mask: the bias of an
#   outline depends on the size of the cell.
# - State whose nuclei a ratio was measured with. A mask that starts from nuclei shows no cell without one.
# - Compare a marker's nuclear share with N/C before you call the marker nuclear.
