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
        verdict = "These crops cannot say whether extending drawings by software changes agreement"
    elif change["high"] < 0:
        verdict = (
            "Both, and software adds to it: extending the drawings lowers agreement in these crops"
        )
    else:
        verdict = (
            "Where they draw: extending the drawings by software raises agreement in these crops"
        )
    who = "two simulated annotators" if cohort_record(key).synthetic else "two annotators"
    known = (
        "one image, so there is no interval"
        if pd.isna(change["low"])
        else f"95% interval {change['low']:+.3f} to {change['high']:+.3f}, over {change['images']:.0f} images"
    )
    return (
        f"{verdict} ({cohort_name(key)}; change in mean ap50 {change['mean']:+.3f}; {known}). What {who} draw by hand agrees "
        f"at {mean[DRAWN]:.3f}, what software extends from their drawings at {mean[EXTENDED]:.3f}."
    )


answer(
    " ".join(in_sentence(key) for key in several)
    or "No cohort of this edition has, beside its masks, crops that two annotators drew by hand, so the effects of drawing "
    "and of extending cannot be separated here. The demo edition answers the question for synthetic tissue."
)

# %% tags=["hide-input"]
if several:
    show(
        partial(overlay_panels, drawing_overlays(cohorts[several[0]], strict=strict, crops=crops)),
        label="fig-drawn",
        caption="The DNA channel of crops, bare, with the cells that two annotators drew by hand, and with their masks of the "
        "same crops, which software extended from other drawings by the same annotators. Blue: first annotator; gold: "
        f"second; white: both. {source_note(several[:1])}",
        alt="Small fields of tissue in grey, bare, then with cells as two people drew them, then as software outlined "
        "them for the same two people. The ap50 of each pair is written in the corner.",
    )
else:
    display(Markdown("*No crop was drawn by two annotators, so there is nothing to show.*"))

# %% [markdown]
# Each annotator of the study drew ten crops of 50 x 50 pixels, and ilastik and CellProfiler extended the drawings to
# whole images ({cite:t}`schuiki2025`, section 3.1.2). The study's Figure 3 shows what was drawn; its Table 3 scores what
# was extended. The masks of two people can therefore differ for two reasons: the people drew cells differently, or two
# classifiers turned similar drawings into different masks. Training the annotators helps against the first, and drawing
# more crops against the second.

# %% [markdown]
# ## The three comparisons
#
# - **Drawn by two people**: how much the people differ.
# - **Extended from two people's drawings**: how much their masks differ, because of people and software together.
# - **Drawn and extended, one person**: how far the software strays from the person whom it was meant to imitate.

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
        caption="Mean ap50 in the drawn crops, over pairs and crops. *Cells*: number of cells in both masks, over all pairs. "
        f"*95%*: interval from a bootstrap that draws images, then crops within them. {data}",
    )
else:
    display(Markdown("*No cohort of this edition has crops that annotators drew by hand.*"))

# %% [markdown]
# ## Which crops are compared
#
# Crops on which the classifier was trained make the software look too good, because it has seen the answer there.
# The simulated annotators therefore draw two sets of crops: one on separate tissue, to train their classifier, and one
# on the images that are scored. Only the second set is used here. Published crops, if a cohort has any, are most likely
# those on which the classifier was trained, and then software looks closer to the person than it is elsewhere.
#
# Drawn crops are stored next to a cohort's masks: `data/COHORT/crops.csv` (`sample`, `y`, `x`, `size`, in pixels) and
# `drawn_ANNOTATOR/SAMPLE.tiff`, a label image of the whole sample that is 0 outside the crops. We have not been able to
# see whether the study's own record contains its crops.

# %% [markdown]
# ## Measured beside published
#
# The study reports no number for its drawings: its Figure 3 shows six pairs of annotators in one crop, with the scores
# written in the picture. [](05_annotators) compares the extended masks.

# %% [markdown]
# ## What this does not show
#
# - Who is right. Two people can draw the same and both be wrong.
# - Large cells and large merges in full: a crop of 50 px cuts every cell at its edge, in drawings and masks
#   alike.
# - How people draw, if the annotators are simulated: their hand, habits and slips are assumptions
#   ([](../phantom/02_experts)), tuned so that the *extended* masks agree about as well as the study's.

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
# - If masks were made with a trained classifier, their agreement mixes the agreement of people with that of software.
# - Keep the crops that annotators draw, and have a few more drawn from which no classifier learns: they separate the
#   two.
