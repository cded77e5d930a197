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
from imc_helpers.figures.names import cohort_name, counted, source_note
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
            f"- {to} **{row['people']} people, {row['images']} images, {row['hours']:,.0f} hours**"
            if row["images"]
            else f"- {to} *out of reach* (with {MOST_PEOPLE} people and {MOST_IMAGES} images: ± {row['largest']:.2f})"
        )
    if told:
        own = [row for row in rows if row["cohort"] == key]
        few = [row for row in own if row["images"]]
        lead = (
            "A small study is enough for every question asked here"
            if len(few) == len(own)
            else "A small study is enough for the people who annotated the pilot, but not to speak about others"
            if all(("other people" in row["question"]) == (not row["images"]) for row in own)
            else f"A study that was considered is enough for {len(few) or 'none'} of {counted(len(own), 'question')}"
        )
        sentences.append(
            f"{lead} (planned from a pilot of {cohort_name(key)}, {own[0]['pilot']} images and people, so that {assurance:.0%} of "
            f"studies like it keep the stated precision, at {minutes:g} minutes per image):\n\n"
            + "\n".join(told)
        )
sentences += [
    f"In {name} this cannot be planned ({'; '.join(questions)}): {why}."
    for (name, why), questions in why_not.items()
]
nobody = (
    "This edition has no pilot from which to plan: no cohort has masks by two people for the same image. Have three people "
    "annotate at least four images, and ask again."
)
answer("\n\n".join(sentences) or nobody)

# %% tags=["hide-input"]
if plans:
    curves = pd.concat(curves, ignore_index=True)
    done = {title: (found.images, found.assured) for title, found in plans.items() if found}
    show(
        partial(planned_widths, curves, wanted, done),
        label="fig-plan",
        caption=f"Half-width of the interval that {assurance:.0%} of studies achieve or improve on, against the number of images, "
        f"if every person annotates all of them. Dashed: the half-width wanted. Dot: the study with the least work. {data}",
        alt="One falling curve per number of people against the number of images, with a dashed line at the half-width "
        "wanted and a dot at the study with the least work.",
    )
else:
    display(Markdown("*There is no pilot, so there is nothing to draw.*"))

# %% [markdown]
# More images reduce one part of the uncertainty, more people the other. Where a curve is flat, another image gains
# nothing, but another person does. Curves may even rise a little: the uncertainty that remains is then due to having few
# people, and can itself be estimated only roughly. The plan is the cheapest combination of images and people that is
# enough, if every person annotates every image and every image takes the same time.

# %% tags=["hide-input"]
if len(planned):
    show_table(
        planned.rename(columns={"pilot": "pilot, images × people"}),
        label="tab-plan",
        caption=f"The studies with the least work. *Wanted*: half-width asked for. *Expected*: half-width that half of such "
        f"studies achieve. *Assured*: half-width that {assurance:.0%} of them achieve. *Largest*: assured half-width of the "
        f"largest study considered. {data}",
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
    caption="500 simulated pilots of each kind, each followed by a study of another size: median ratio of predicted to "
    "achieved half-width, share of predictions within 10% of it, and share of studies that kept the half-width assured to "
    "80% of them. Measured once by `benchmarks/decisions.py`.",
    decimals=2,
)

# %% [markdown]
# On average the prediction is right, but that of a single pilot may not be. Only about one small pilot in six comes
# within 10% of what the study then finds. So plan with the *assured* half-width, and check again halfway.

# %% [markdown]
# ## Which crops to label next
#
# Labels need not cover whole images. Where masks disagree, at least one of them is wrong, so a label there is most
# informative. Crops are therefore drawn at random with a probability that is half uniform and half proportional to the
# disagreement. Every crop can be drawn, and each label is weighted by the inverse of its probability.
# [](07_few_labels) measures how much is gained in this way.

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
        caption=f"{n_crops} crops of {crop_px} x {crop_px} px drawn for each cohort, from up to {most_images} images. *Cells in "
        "dispute*: cells of either of two masks without a match (IoU of .5 or more), mean over pairs. *Weight*: that of a label in a mean "
        f"over all crops. {source_note(next_crops['cohort'].unique())}",
        decimals=2,
    )
else:
    display(
        Markdown(
            "*No image of this edition has two masks, so there is no disagreement to guide the choice.*"
        )
    )

# %% [markdown]
# ## What this does not show
#
# - Tissues or people unlike those of the pilot: the plan extrapolates from what the pilot saw.
# - Cheaper designs, in which not everybody annotates every image. They work too ([](01_agreement)), with wider intervals.
# - Hours of thinking, training and discussion. Only drawing is counted.

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
# - Start with three people and a few images, and let the pilot tell you of which you need more.
# - People come first: with only three of them, the interval for other people stays wide whatever the number of images.
# - Promise the assured half-width, not the expected one.
