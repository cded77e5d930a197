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
from imc_helpers.figures.names import cohort_name, counted, source_note
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
    who = noun(makers[key])
    text = f"In {cohort_name(key)}, {one['raters']} {who} agree at {one['mean']:.2f} (ap50, {counted(one['images'], 'image')}). "
    if one["images"] > 1:
        text += f"On other images the same {who} would agree at {ends(one['low_images'], one['high_images'])} (95% interval)"
    if pd.notna(one["low_both"]):
        wide = one["high_both"] - one["low_both"] > 2 * (one["high_images"] - one["low_images"])
        text += (
            f"; what other people would reach is {'far less' if wide else 'less'} certain: "
            f"**{ends(one['low_both'], one['high_both'])}** (95% interval; lower, if some people draw very differently and "
            "none of these does)."
        )
    elif one["images"] > 1:
        text += f"; what others would reach cannot be estimated: {one['missing']}."
    else:
        text += (
            f"What other images or other people would give cannot be estimated: {one['missing']}."
        )
    if not people[key]:
        text += " These are tools, so the numbers say nothing about people."
    sentences.append(text)
nobody = (
    "This edition cannot tell: no cohort has masks by two raters for the same image, so there is no agreement to measure. "
    "It takes two people, or better three, on images that all of them annotate."
)
answer("\n\n".join(sentences) or nobody)

# %% tags=["hide-input"]
if cohorts:
    show(
        partial(agreement_intervals, table, of_images),
        label="fig-sure-agreement",
        caption=f"Mean agreement (black) with {1 - 2 * alpha:.0%} intervals for other images by the same raters (blue) and for "
        "other images by other people (gold). An interval is missing if there are too few images or people. Grey: single "
        f"images. {data}",
        alt="One row per score and cohort: a black dot for the mean, a blue bar for other images, a "
        "golden line for other people as well, and small grey dots for single images.",
    )
else:
    display(Markdown("*No image has two masks, so there is no pair to compare.*"))

# %% [markdown]
# Agreement is the yardstick for every model in this book, and a yardstick has an error too. It depends on which images
# were annotated, and on **who** annotated them. An interval over images covers only the first of the two. It answers
# *would these people agree equally well on other images?*, and not *how well do experts agree?*

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
        "share": "share of variance due to people",
        "missing": "what is missing",
    }
    chosen = ["cohort", "metric", "raters", "images", "mean", *columns]
    show_table(
        listed[chosen].rename(columns=columns),
        label="tab-sure-agreement",
        caption=f"Mean agreement with both {1 - 2 * alpha:.0%} intervals, and the share of the variance of the mean that is due "
        f"to people rather than images. Images that not everybody annotated are included. {data}",
        decimals=2,
    )

# %% [markdown]
# :::{dropdown} How it is computed
# Two pairs that share a person are not independent, and neither are two scores on one image, so the number of pairs is
# not the number of observations. Agreement $\theta$ is a U-statistic over pairs; the contribution of images and of
# people to its variance is estimated by leaving out one at a time {cite:p}`arvesen1969`:
#
# $$V_I = \frac{n-1}{n}\sum_i (\theta_{-i}-\bar\theta)^2, \qquad
# V_A = \frac{N-1}{N}\sum_a (\theta_{-a}-\bar\theta)^2 .$$
#
# If everybody annotated every image, $V_I$ is the variance of the images' means over $n$. The intervals are
# $\theta \pm t_{n-1}\sqrt{V_I}$ and $\theta \pm t_\nu\sqrt{V_I+V_A}$, with $\nu$ by {cite:t}`satterthwaite1946`. A
# bootstrap that also draws people does not work, because whoever is drawn twice agrees perfectly with herself
# {cite:p}`owen2007`.
# :::

# %% [markdown]
# ## Do these intervals keep their promise?
#
# With simulated people this can be checked. For {numref}`tab-agreement-coverage`, crowds of 24 people annotated 12 tissues
# of two kinds. The table counts how often the interval from a small study contains the agreement of the whole crowd on
# all tissues.

# %% tags=["hide-input"]
simulated = pd.read_csv(shipped("benchmarks/results") / "decisions_phantom.csv")
show_table(
    simulated,
    label="tab-agreement-coverage",
    caption="Share of simulated studies whose 95% interval contains the agreement of the whole crowd: mean over three crowds, "
    "and for the worst of them. *Too high*: studies whose whole interval lies above it. *Correlation*: of the annotators' "
    "errors. *People per image*: fewer than all people if not everybody annotated every image; the interval is then too "
    "wide rather than too narrow. Measured once by `benchmarks/decisions.py`. Synthetic. (For normal scores, which the "
    "interval covers as promised, see `decisions_coverage.csv`.)",
    decimals=2,
)

# %% [markdown]
# The intervals err on one side. Most people draw alike, and a few draw very differently; a study that includes none of
# these few finds more agreement than there is, and has no way to know. If one person in 24 is far off, even ten people
# give too narrow an interval.

# %% [markdown]
# ## What this does not show
#
# - Whether people are right. Agreement may be known precisely while everybody makes the same mistake.
# - Other tissues, other instructions, other software. *Other people* means people like these, as if drawn from the same
#   crowd; four experts from one laboratory represent that laboratory.
# - Much, with only three or four people. The interval is wide because so few people say little about all the others,
#   not because the method is weak. [](06_plan) estimates how many it would take.

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
# - State whom an interval is about. An interval over images alone is narrow, and says nothing about other people.
# - A third annotator is worth more than a tenth image: with two, nothing can be said about other people at all.
# - Make sure that every annotator shares images with the others, directly or through somebody else; otherwise they
#   cannot be compared.
