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
# # Sure of agreement
#
# **Would other images, or other people, agree as well?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
mode: str = "whole"  # mode: whole or patch
alpha: float = 0.025  # error beyond either end of an interval
strict: bool = False  # match cells when IoU > t; when False, when IoU >= t

# %% tags=["hide-input"]
# Colab guard, written by `make sync`: says what to do where the package is missing.
import importlib.util

if importlib.util.find_spec("imc_helpers") is None:
    raise ModuleNotFoundError(
        "The package imc_helpers is not installed, and the book has no public repository yet to "
        "install it from. In a copy of the book, run: pip install --no-deps ."
    )

# %% tags=["hide-input"]
from dataclasses import asdict
from functools import partial

import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.agreement.score_table import METRICS, read_scores
from imc_helpers.agreement.statistics import crossed_interval
from imc_helpers.agreement.summaries import between
from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.raters import noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.figures.decision_plots import agreement_intervals
from imc_helpers.figures.names import cohort_name, source_note
from imc_helpers.figures.page import answer, show, show_table

everything = {key: open_cohort(key) for key in load_edition(edition).cohorts}
pairs = between(read_scores(edition, strict=strict), everything)
pairs = pairs[pairs["mode"] == mode]
cohorts = {key: everything[key] for key in pairs["cohort"].unique()}
data = source_note(cohorts)
makers = {key: [r for r in c.raters if r.name in c.references] for key, c in cohorts.items()}
people = {key: bool(cohort.annotators) for key, cohort in cohorts.items()}
rows, of_images = [], {}
for key in cohorts:
    own = pairs[pairs["cohort"] == key]
    for metric in METRICS:
        found = asdict(crossed_interval(own, metric, confidence=1 - 2 * alpha))
        rows.append({"cohort": key, "metric": metric, **found})
        of_images[key, metric] = own.groupby("sample")[metric].mean().to_numpy()
table = pd.DataFrame(rows)
table.to_csv(results_dir(edition, "decisions") / "agreement.csv", index=False)


def ends(low, high):
    """Write an interval, cut where no score lies."""
    return f"{max(low, 0):.2f} to {min(high, 1):.2f}"


sentences = []
for key in cohorts:
    one = table[(table["cohort"] == key) & (table["metric"] == "ap50")].iloc[0]
    text = (
        f"In {cohort_name(key)} {one['raters']} {noun(makers[key])} agree at {one['mean']:.2f} (ap50, "
        f"{one['images']} image{'s' if one['images'] > 1 else ''})."
    )
    if one["images"] > 1:
        text += f" Other images with the same {noun(makers[key])}: {ends(one['low_images'], one['high_images'])}."
    if pd.notna(one["low_both"]):
        text += (
            f" Other people too: **{ends(one['low_both'], one['high_both'])}** (95% intervals; less, if somebody in that crowd "
            "draws very differently and none of these does)."
        )
    else:
        text += f" *Undecidable beyond that:* {one['missing']}."
    if not people[key]:
        text += " These are tools, and say nothing of people."
    sentences.append(text)
nobody = (
    "*Undecidable.* No cohort of this edition has the masks of two raters for one image: nobody's agreement can be "
    "measured, so nobody can say how sure it is. It takes two people, better three, on images that they all draw."
)
answer("\n\n".join(sentences) or nobody)

# %% tags=["hide-input"]
if cohorts:
    show(
        partial(agreement_intervals, table, of_images),
        label="fig-sure-agreement",
        caption="Mean agreement, and where it would lie with other images of the same raters (blue), and with other "
        f"images and other people (gold): {1 - 2 * alpha:.0%} intervals, missing where there are too few. {data}",
        alt="A row for each score of each cohort: a black dot for the mean, a short blue bar for other images, a "
        "long golden line for other people as well, and small grey dots for the images.",
    )
else:
    display(Markdown("*One mask for an image makes no pair: there is nothing to draw.*"))

# %% [markdown]
# Agreement is a yardstick for every model of this book, and a yardstick has an error too. It depends on which images
# were drawn, and on **who** drew them. The first is the smaller part, and the only one that intervals over images
# count. So an interval over images answers *would these people agree as well on other images?* and not *what do
# experts agree?*

# %% tags=["hide-input"]
if cohorts:
    listed = table.assign(
        share=table["variance_raters"] / (table["variance_raters"] + table["variance_images"])
    )
    for name in ("images", "both"):
        listed[f"interval_{name}"] = [
            "–" if pd.isna(low) else ends(low, high)
            for low, high in zip(table[f"low_{name}"], table[f"high_{name}"], strict=True)
        ]
    columns = {
        "interval_images": "other images",
        "interval_both": "other people too",
        "share": "part of people",
        "missing": "what is missing",
    }
    chosen = ["cohort", "metric", "raters", "images", "mean", *columns]
    show_table(
        listed[chosen].rename(columns=columns),
        label="tab-sure-agreement",
        caption=f"Mean agreement with both {1 - 2 * alpha:.0%} intervals, and how much of the variance of the mean comes "
        f"from people rather than images. Images that not everybody drew count as they are. {data}",
        decimals=2,
    )

# %% [markdown]
# :::{dropdown} How it is computed
# Two pairs that share a person are not independent, nor are two scores of one image, so the number of pairs is not the
# number of observations. Agreement $\theta$ is a U-statistic over pairs; what each source of chance adds to its
# variance is found by leaving one out at a time {cite:p}`arvesen1969`:
#
# $$V_I = \frac{n-1}{n}\sum_i (\theta_{-i}-\bar\theta)^2, \qquad
# V_A = \frac{N-1}{N}\sum_a (\theta_{-a}-\bar\theta)^2 .$$
#
# Where everybody drew everything, $V_I$ is the variance of the images' means over $n$. The intervals are
# $\theta \pm t_{n-1}\sqrt{V_I}$ and $\theta \pm t_\nu\sqrt{V_I+V_A}$, with $\nu$ by {cite:t}`satterthwaite1946`. A
# bootstrap that draws people as well is no way out: whoever is drawn twice agrees with herself {cite:p}`owen2007`.
# :::

# %% [markdown]
# ## Do such intervals hold what they promise?
#
# On simulated people one can know. {numref}`tab-agreement-coverage` lets crowds of 24 draw 12 tissues of two kinds, takes
# small studies of these, and counts how often an interval holds what the whole crowd agrees on all tissues.

# %% tags=["hide-input"]
simulated = pd.read_csv(shipped("benchmarks/results") / "decisions_phantom.csv")
show_table(
    simulated,
    label="tab-agreement-coverage",
    caption="Share of simulated studies whose 95% interval holds the agreement of the whole crowd: mean over three crowds, "
    "and that of the worst for it; *too high*: studies whose whole interval lies above. *Correlation*: of the annotators' "
    "errors. *People per image*: fewer than people where not everybody drew every image; then the interval counts some of "
    "the images' part twice, and is too wide rather than too narrow. Written by `benchmarks/decisions.py`; normal scores "
    "instead of the phantom's, which it covers as promised, stand in `decisions_coverage.csv`. Synthetic.",
    decimals=2,
)

# %% [markdown]
# It misses on one side. Most people draw alike and a few draw very differently; a study that has met none of these finds
# more agreement than there is, and cannot know. Where one of 24 is far off, even ten people give too narrow an interval.

# %% [markdown]
# ## What this does not show
#
# - That people are right. Agreement may be sure, and everybody wrong together.
# - Other tissues, other instructions, other software. *Other people* are people like these, as if drawn from the same
#   crowd; four experts of one laboratory speak for that laboratory.
# - Much, with three or four people: the interval is wide because so few say little about all the others, not because
#   the method is weak. [](06_plan) says how many it would take.

# %% tags=["remove-cell"]
if cohorts:
    known = table[table["low_both"].notna()]
    assert (known["high_both"] - known["low_both"] > 0).all()
    assert (known["variance_raters"] >= 0).all()
    assert (table.loc[table["images"] < 2, "low_images"].isna()).all(), "one image decides nothing"
    assert (
        (table["missing"] == "").eq(table["low_both"].notna() & table["low_images"].notna()).all()
    )
assert (simulated["other images and people"] >= simulated["other images"]).all()

# %% [markdown]
# ## Takeaways
#
# - Say of whom an interval speaks. Over images alone it is narrow, and says nothing about other people.
# - A third annotator is worth more than the tenth image: with two, nothing can be said of other people at all.
# - Let every annotator share images with the others, directly or through somebody else; else they cannot be compared.
