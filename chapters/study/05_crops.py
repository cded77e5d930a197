# ---
# jupyter:
#   imc_book:
#     under: study/05_annotators
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
# # Drawn by hand, extended by software
#
# **Do annotators disagree where they draw, or where software extends what they drew?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
strict: bool = False  # match cells when IoU > t; when False, when IoU >= t
crops: int = 3  # crops in the figure, count

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

import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.agreement.hand_drawn import (
    COMPARISONS,
    DRAWN,
    EXTENDED,
    OWN,
    crop_means,
    crop_scores,
    what_extending_adds,
)
from imc_helpers.agreement.score_table import METRICS
from imc_helpers.data.manifest import cohort_record, load_edition
from imc_helpers.data.paths import results_dir
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.figures.names import cohort_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.tissue_images import drawing_overlays, overlay_panels

opened = {key: open_cohort(key) for key in load_edition(edition).cohorts}
cohorts = {key: cohort for key, cohort in opened.items() if cohort.crops}
scores = {key: crop_scores(cohort, strict=strict) for key, cohort in cohorts.items()}
several = [key for key in cohorts if (scores[key]["comparison"] == DRAWN).any()]
changes = {key: what_extending_adds(scores[key]) for key in several}
data = source_note(cohorts)


def in_sentence(key):
    mean = crop_means(scores[key])["mean"]
    change = changes[key]
    if pd.isna(change["low"]) or change["low"] <= 0 <= change["high"]:
        verdict = "these crops do not settle which way extending changes agreement"
    elif change["high"] < 0:
        verdict = "in these crops, extending adds disagreement"
    else:
        verdict = "in these crops, extending takes disagreement away"
    who = "two simulated annotators" if cohort_record(key).synthetic else "two annotators"
    known = (
        "with one image there is no interval"
        if pd.isna(change["low"])
        else f"95% interval {change['low']:+.3f} to {change['high']:+.3f}, over {change['images']:.0f} images"
    )
    return (
        f"In {cohort_name(key)} what {who} draw by hand agrees at {mean[DRAWN]:.3f} (mean ap50), what "
        f"software extends from their drawings at {mean[EXTENDED]:.3f} in the same crops: {change['mean']:+.3f} "
        f"({known}), so {verdict}."
    )


answer(
    " ".join(in_sentence(key) for key in several)
    or "No cohort of this edition has crops that two annotators drew by hand beside their masks, so drawing and "
    "extending cannot be told apart here. The demo edition asks the question on synthetic tissue."
)

# %% tags=["hide-input"]
if several:
    show(
        partial(overlay_panels, drawing_overlays(cohorts[several[0]], strict=strict, crops=crops)),
        label="fig-drawn",
        caption="Crops that two annotators drew by hand, and their masks of the same crops, extended by software from "
        "other drawings of theirs: DNA channel, the first annotator's cells outlined in blue, the second's in gold, "
        f"white where both lines are the same. {source_note(several[:1])}",
        alt="Small fields of tissue in grey, bare, then with cells as two people drew them, then as software outlined "
        "them for the same two people. The ap50 of each pair stands in the corner.",
    )
else:
    display(Markdown("*No crop was drawn by two: there is nothing to show.*"))

# %% [markdown]
# An annotator of the study drew ten crops of 50 x 50 pixels; ilastik and CellProfiler extended them to whole
# images ({cite:t}`schuiki2025`, section 3.1.2). Its Figure 3 shows what was drawn, its Table 3 scores what was
# extended. Two people's masks can differ for two reasons, then: the people drew cells in other ways, or two
# classifiers made different things of drawings that were much alike. More training of annotators helps against the
# first, and more drawing against the second.

# %% [markdown]
# ## The three comparisons
#
# - **Drawn by two people**: how far people differ.
# - **Extended from two people's drawings**: what ends up in the masks, people and software together.
# - **Drawn and extended, one person**: how far software strays from the person whom it was to imitate.

# %% tags=["hide-input"]
tables = [
    crop_means(part).rename_axis("comparison").reset_index().assign(cohort=key)
    for key, part in scores.items()
    if len(part)
]
means = pd.concat(tables) if tables else pd.DataFrame()
if len(means):
    every = pd.concat(part.assign(cohort=key) for key, part in scores.items())
    folder = results_dir(edition, "annotators")
    every.to_csv(folder / "crops.csv", index=False)
    counts = every.groupby(["cohort", "comparison"])[["n_true", "n_pred"]].sum().sum(axis=1)
    shown = means.assign(
        interval=[
            "–" if pd.isna(low) else f"{max(low, 0):.3f} to {min(high, 1):.3f}"
            for low, high in zip(means["low"], means["high"], strict=True)
        ],
        cells=[counts[at] for at in zip(means["cohort"], means["comparison"], strict=True)],
    )
    show_table(
        shown[["cohort", "comparison", "images", "cells", "mean", "interval"]].rename(
            columns={"mean": "ap50", "interval": "ap50, 95%"}
        ),
        label="tab-drawn",
        caption="Mean ap50 in the drawn crops, over pairs and crops. *Cells*: on both sides of all pairs. *95%*: interval "
        f"by a bootstrap that draws images, then crops within them. {data}",
    )
else:
    display(Markdown("*No cohort of this edition has crops that annotators drew by hand.*"))

# %% [markdown]
# ## Where the crops lie
#
# A crop that a classifier was trained on says too little about extending: there the classifier has seen the answer.
# The simulated annotators draw two sets, one on tissue of its own to train their classifier, and one on the images
# that are scored; only the second is shown here. Published crops, if a cohort has them, are most likely those that
# trained the classifier, and then software looks closer to the person than it is elsewhere.
#
# A cohort has drawn crops when its folder holds `crops.csv` (`sample`, `y`, `x`, `size`, in pixels) and
# `drawn_ANNOTATOR/SAMPLE.tiff`, a label image of the whole sample that is 0 outside the crops.

# %% [markdown]
# ## Measured beside published
#
# The study gives no number for its drawings: its Figure 3 shows six pairs of annotators in one crop, with scores inside
# the picture. What was extended stands in [](05_annotators).

# %% [markdown]
# ## What this does not show
#
# - Who is right. Two people can draw the same and both be wrong.
# - Large cells, and merged or cut ones at full size: a crop of 50 px cuts every cell at its edge, in drawings and masks
#   alike.
# - How people draw, where the annotators are simulated: their hand, their habits and their slips are assumptions
#   ([](../phantom/02_experts)), tuned so that the *extended* masks agree about as the study's do.

# %% tags=["remove-cell"]
for part in scores.values():
    assert part[list(METRICS)].apply(lambda one: one.between(0, 1)).to_numpy().all()
    assert set(part["comparison"]) <= set(COMPARISONS)
    assert ((part["first"] == part["second"]) == (part["comparison"] == OWN)).all()
for key in several:
    assert cohort_record(key).raters, "somebody drew"
    pairs = scores[key].groupby("comparison").size()
    assert pairs[DRAWN] == pairs[EXTENDED], "the same crops and pairs on both sides"

# %% [markdown]
# ## Takeaways
#
# - Agreement of masks made with a trained classifier is agreement of people and of software, in one number.
# - Keep the crops that annotators draw, and draw a few more that no classifier learns from: they tell the two apart.
