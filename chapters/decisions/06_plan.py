# ---
# jupyter:
#   imc_book:
#     reads:
#     - scores
#   jupytext:
#     notebook_metadata_filter: imc_book
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
# ---

# %% [markdown]
# # Plan a study
#
# **How many images, people, hours?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
metric: str = "ap50"  # score: ap50, map or sap
half_width: float = 0.1  # half of the interval's width that the study is to reach
model_half_width: float = 0.05  # the same for the difference of two models
minutes: float = 60.0  # that one person takes to draw one image
assurance: float = 0.8  # share of such studies that shall reach it
alpha: float = 0.025  # error beyond either end of an interval
strict: bool = False  # match cells when IoU > t; when False, when IoU >= t
n_crops: int = 8  # crops to label next that are drawn for each cohort
crop_px: int = 64  # edge of a crop, pixels
most_images: int = 4  # images of a cohort from which crops are drawn, evenly spread
seed: int = 0  # of the draw

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

from imc_helpers.agreement.score_table import read_scores
from imc_helpers.agreement.summaries import against, between
from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread
from imc_helpers.decisions.crops import crops_to_label
from imc_helpers.decisions.planning import (
    MOST_IMAGES,
    MOST_PEOPLE,
    agreement_pilot,
    half_widths,
    models_pilot,
    plan,
)
from imc_helpers.errors import InputError
from imc_helpers.figures.decision_plots import planned_widths
from imc_helpers.figures.names import cohort_name, source_note
from imc_helpers.figures.page import answer, show, show_table

record = load_edition(edition)
everything = {key: open_cohort(key) for key in record.cohorts}
scores = read_scores(edition, strict=strict)
scores = scores[scores["mode"] == "whole"]
# Tools are no pilot for people: another tool is not a person drawn anew.
drawn = {key: cohort for key, cohort in everything.items() if len(cohort.annotators) > 1}
rows, plans, curves, why_not, wanted = [], {}, [], {}, {}
for key, cohort in drawn.items():
    pairs = between(scores, {key: cohort})
    judged = against(scores, {key: cohort.annotators}, record.models)
    for what, read, table, width, others in (
        ("agreement of these people", agreement_pilot, pairs, half_width, False),
        ("agreement of other people", agreement_pilot, pairs, half_width, True),
        (
            "difference of two models, judged by these people",
            models_pilot,
            judged,
            model_half_width,
            False,
        ),
        (
            "difference of two models, judged by other people",
            models_pilot,
            judged,
            model_half_width,
            True,
        ),
    ):
        title = f"{cohort_name(key)}: {what}"
        options = {"other_people": others, "alpha": alpha}
        try:
            pilot = read(table, metric)
            found = plan(pilot, half_width=width, minutes=minutes, assurance=assurance, **options)
        except InputError as error:
            why = str(error).removeprefix("pilot: ")
            why_not.setdefault((cohort_name(key), why), []).append(what)
            continue
        wanted[title], plans[title] = width, found
        rows.append(
            {
                "cohort": key,
                "question": what,
                "pilot": f"{pilot.images} × {pilot.people}",
                "wanted": width,
            }
        )
        rows[-1] |= {
            "images": found and found.images,
            "people": found and found.people,
            "hours": found and found.minutes / 60,
            "expected": found and found.expected,
            "assured": found and found.assured,
            "largest": half_widths(
                pilot,
                MOST_IMAGES,
                MOST_PEOPLE if others else pilot.people,
                share=assurance,
                **options,
            ).item(),
        }
        images = np.arange(2, 41)
        for people in (3, 4, 6, 12, MOST_PEOPLE) if others else (pilot.people,):
            promised = half_widths(pilot, images, people, share=assurance, **options)
            curves.append(
                pd.DataFrame(
                    {"question": title, "people": people, "images": images, "half_width": promised}
                )
            )
planned = pd.DataFrame(rows)
planned.to_csv(results_dir(edition, "decisions") / "plan.csv", index=False)
data = source_note(drawn)
sentences = []
for key in drawn:
    told = []
    for row in (row for row in rows if row["cohort"] == key):
        to = f"{row['question']}, to ± {row['wanted']:g} {metric}:"
        told.append(
            f"{to} **{row['people']} people, {row['images']} images, {row['hours']:,.0f} hours**"
            if row["images"]
            else f"{to} *nobody can promise that* ({MOST_PEOPLE} people and {MOST_IMAGES} images: ± {row['largest']:.2f})"
        )
    if told:
        size = next(row["pilot"] for row in rows if row["cohort"] == key)
        sentences.append(
            f"From the pilot of {cohort_name(key)}, {size} images and people, for {assurance:.0%} of studies like "
            f"it at {minutes:g} minutes an image: " + "; ".join(told) + "."
        )
sentences += [
    f"*Undecidable* in {name}: {'; '.join(questions)}. What is missing: {why}."
    for (name, why), questions in why_not.items()
]
nobody = (
    "*Undecidable: no pilot.* No cohort of this edition has the masks of two people for one image. Have three people draw "
    "four images or more, and ask again."
)
answer("\n\n".join(sentences) or nobody)

# %% tags=["hide-input"]
if plans:
    curves = pd.concat(curves, ignore_index=True)
    done = {title: (found.images, found.assured) for title, found in plans.items() if found}
    show(
        partial(planned_widths, curves, wanted, done),
        label="fig-plan",
        caption=f"Half of the interval's width that {assurance:.0%} of studies undercut, by images and people who draw them "
        f"all. Dashed: what is asked for. {data}",
        alt="A falling curve for each number of people against the number of images, with a dashed line at the width that "
        "is asked for and a dot at the study with the least work.",
    )
else:
    display(Markdown("*Without a pilot there is nothing to draw.*"))

# %% [markdown]
# More images narrow one part of the interval, more people the other. Where the curves lie flat, another image buys
# nothing, and another person does. They may even rise a little: what is left is then the chance of few people, of which
# one knows less than of that of many images. The plan takes the cheapest pair of numbers that is enough, if every person draws every
# image and each takes as long.

# %% tags=["hide-input"]
if len(planned):
    show_table(
        planned.rename(columns={"pilot": "pilot, images × people"}),
        label="tab-plan",
        caption=f"The studies with the least work. *Expected*: the half-width that half of such studies undercut; *assured*: "
        f"that {assurance:.0%} of them undercut; *largest*: that of the largest study looked at. {data}",
        decimals=3,
    )

# %% [markdown]
# :::{dropdown} How it is computed
# A pilot of $n_0$ images and $N_0$ people gives the variance of its mean that comes from images and from people
# ([](01_agreement)), $V_I$ and $V_A$. Another study has $V(n, N)=V_I\,n_0/n+V_A\,N_0/N$, and half-width
# $t_\nu\sqrt{V(n, N)}$ with $\nu$ by {cite:t}`satterthwaite1946`. Both the pilot's estimate of $V$ and the study's own are
# uncertain; their ratio follows $F_{\nu,\nu_0}$, whose 80% quantile makes the promise. For the difference of two models
# the variances are those of paired differences, so that what is hard for both drops out.
# :::

# %% [markdown]
# ## Does the promise hold?

# %% tags=["hide-input"]
simulated = pd.read_csv(shipped("benchmarks/results") / "decisions_plan.csv")
show_table(
    simulated,
    label="tab-plan-check",
    caption="500 simulated pilots of each kind, each followed by a study of another size: the median of predicted over "
    "achieved half-width, how many predictions came within 10 %, and how many studies kept the width that was assured to "
    "80 % of them. Written by `benchmarks/decisions.py`.",
    decimals=2,
)

# %% [markdown]
# On average the prediction is right; a single pilot's is not. Of small pilots only about one in six comes within a tenth
# of what the study then finds, so plan by the *assured* width, and look again halfway.

# %% [markdown]
# ## Which crops to label next
#
# Labels need not cover whole images. Where masks disagree, something is wrong, and a label there tells most. So crops are
# drawn with a chance of which half is spread evenly and half follows the disagreement: none is out of reach, and each label
# is weighed by the chance that it had. [](07_few_labels) measures what that gains, and what the labels then tell.

# %% tags=["hide-input"]
next_crops = []
for key, cohort in everything.items():
    if cohort.shared_ids:
        looked_at = evenly_spread(cohort.shared_ids, most_images)
        chosen = crops_to_label(
            cohort, cohort.references, n_crops, samples=looked_at, crop_px=crop_px, seed=seed
        )
        next_crops.append(chosen.assign(cohort=key))
if next_crops:
    next_crops = pd.concat(next_crops, ignore_index=True)
    next_crops.to_csv(results_dir(edition, "decisions") / "crops_to_label.csv", index=False)
    show_table(
        next_crops[["cohort", "sample", "y_px", "x_px", "errors", "times", "weight"]].rename(
            columns={
                "sample": "image",
                "y_px": "top (px)",
                "x_px": "left (px)",
                "errors": "cells in dispute",
                "times": "drawn",
            }
        ),
        label="tab-next-crops",
        caption=f"{n_crops} crops of {crop_px} x {crop_px} px drawn for each cohort, of up to {most_images} images. *Cells in dispute*: those "
        "of either of two masks without a match (IoU of .5 or more), mean over pairs. *Weight*: what a label counts in a mean "
        f"over all crops. {source_note(next_crops['cohort'].unique())}",
        decimals=2,
    )
else:
    display(
        Markdown("*No image of this edition has two masks, so nothing says where to look first.*")
    )

# %% [markdown]
# ## What this does not show
#
# - Other tissues or other people than those of the pilot: it scales what it saw.
# - Cheaper designs, in which not everybody draws every image. They work too ([](01_agreement)); their intervals are wider.
# - Hours of thinking, training and talking. Only drawing is counted.

# %% tags=["remove-cell"]
for found in plans.values():
    assert found is None or found.expected <= found.assured
if plans:
    at_end = curves[curves["images"] == curves["images"].max()].dropna()
    for _, one in at_end.groupby("question"):
        assert one.sort_values("people")["half_width"].is_monotonic_decreasing, (
            "more people, narrower"
        )
assert len(planned) == len(plans)
assert not len(next_crops) or (next_crops["weight"] <= 2).all(), "no label counts more than twice"
assert simulated["within 10 %"].max() < 0.5, "one pilot cannot promise a tenth"

# %% [markdown]
# ## Takeaways
#
# - Start with three people and a few images, and let the pilot say which of the two is missing.
# - People first: with three of them the interval for other people stays wide whatever the number of images.
# - Promise the assured width, not the expected one.
