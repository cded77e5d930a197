# ---
# jupyter:
#   imc_book:
#     reads:
#     - scores
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
# # Trust in rankings
#
# **May one believe this ranking? Would the first come first again, on other images of the same kind?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
metric: str = "ap50"  # score by which this book's own models are ranked: ap50, map or sap

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

from imc_helpers.agreement.score_table import read_scores
from imc_helpers.agreement.summaries import against
from imc_helpers.decisions.claims import (
    CORRELATIONS,
    LEVEL,
    Verdict,
    audit,
    claim_of,
    published_claims,
    scores_of_images,
)
from imc_helpers.figures.claim_plots import claim_rows
from imc_helpers.figures.names import cohort_name, source_note
from imc_helpers.figures.page import answer, number, show, show_table
from imc_helpers.data.manifest import cohort_record, load_edition
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.readers.published import open_cohort

record = load_edition(edition)
references = {key: open_cohort(key).references for key in record.cohorts}
judged = against(read_scores(edition), references)
own, spreads = [], []
for key in record.cohorts:
    rows = judged[judged["cohort"] == key]
    scores = scores_of_images(rows, record.models, metric)
    if scores.shape[1] > 1 and len(scores):
        own.append(claim_of(scores, key))
    if len(scores) > 2 and scores.shape[1]:
        spreads += [*scores_of_images(rows, record.models, "f1_mean").std()]
        spreads += [*scores_of_images(rows, record.models, "f1_50").std()]
assumed = tuple(pd.Series(spreads).quantile([0.25, 0.75])) if spreads and max(spreads) > 0 else None
ours = audit(pd.concat(own)) if own else pd.DataFrame()
printed = published_claims()
theirs = audit(printed, sds=assumed)
level = f"{LEVEL:.0%}"
_CHANCES = {"chance": "false", "formula": "formula"}


def chance(row, name="false"):
    if pd.isna(row["false_high"]):
        return "–"
    low, high = (number(100 * row[f"{name}_{end}"], 1) for end in ("low", "high"))
    return f"{low} %" if low == high else f"{low} to {high} %"


def as_text(audits):
    chances = {
        name: [chance(row, of) for _, row in audits.iterrows()] for name, of in _CHANCES.items()
    }
    return audits.assign(**chances)


sentences = []
if own:
    held, unsure, open_ = (
        [cohort_name(row["claim"]) for _, row in ours.iterrows() if row["verdict"] == verdict]
        for verdict in (Verdict.HOLDS, Verdict.UNCERTAIN, Verdict.NO_ANSWER)
    )
    if held:
        sentences.append(
            f"The model ranked first by mean {metric} would very likely stay first on other images like these, by agreement with "
            f"the same references, in {', '.join(held)}: there the chance that another model is better is below {level}."
        )
    if unsure:
        sentences.append(
            f"{'In' if not held else 'Not so in'} {', '.join(unsure)}"
            + (", the model ranked first may well lose its place" if not held else "")
            + f": there the chance that another model is better is {level} or more."
        )
    if open_:
        sentences.append(f"In {', '.join(open_)}, one image cannot tell.")
else:
    sentences.append(
        "No cohort of this edition has scores of two models, so there is no ranking to examine."
    )
counts = theirs["verdict"].value_counts()
if assumed:
    alike = all(cohort_record(key).synthetic for key in record.cohorts)
    sentences.append(
        f"Of {len(theirs)} published rankings whose tables give the number of images but not how much scores vary between "
        f"them, {counts.get(Verdict.HOLDS, 0)} would hold if scores varied as much as in this edition"
        + (" (synthetic images, which vary little)" if alike else "")
        + f", {counts.get(Verdict.UNCERTAIN, 0)} would not, and for {counts.get(Verdict.DEPENDS, 0)} the answer depends on how much exactly."
    )
answer(" ".join(sentences))

# %% tags=["hide-input"]
answered = [
    frame[frame["verdict"] != Verdict.NO_ANSWER].assign(group=group)
    for frame, group in (
        (
            ours.assign(claim=[cohort_name(key) for key in ours["claim"]]) if own else ours,
            "this edition's models",
        ),
        (theirs, "published rankings, spread and correlation assumed"),
    )
    if len(frame)
]
answered = pd.concat([frame for frame in answered if len(frame)] or [pd.DataFrame()])
ranked = [row["claim"] for _, row in ours.iterrows() if row["verdict"] != Verdict.NO_ANSWER]
if len(answered):
    show(
        partial(claim_rows, answered),
        label="fig-claims",
        caption=f"Chance that the method ranked first is not the best on other images of the same kind; a claim holds if it is "
        f"below {level} (green). Bars: range of the chance over assumptions about what was not published. {source_note(ranked)} "
        "Published: Goldsborough 2025, Tables 3.2 and 4.2.",
        alt="One row per ranking, with a point or a bar on an axis from 0.1% to 100%; a green band marks "
        "the chances below the level.",
    )

# %% [markdown]
# A ranking by mean scores is a claim: the first method is better than the others. How often such claims are false has
# been estimated for medical imaging {cite:p}`christodoulou2025`. It depends on four things: the lead of the first
# method, how much scores vary from image to image, whether the methods find the same images hard, and the number of
# images. Most papers report only the first and the last.
#
# ## This edition's models

# %% tags=["hide-input"]
folder = results_dir(edition, "decisions")
columns = {
    "methods": "models",
    "images": "images",
    "best": "best",
    "next": "second",
    "lead": "lead",
    "chance": "chance that another is better",
    "formula": "chance by the formula (second only)",
    "verdict": "claim",
}
if own:
    ours.to_csv(folder / "claims.csv", index=False)
    show_table(
        as_text(ours)
        .rename(columns={"claim": "cohort"})[["cohort", *columns]]
        .rename(columns=columns),
        label="tab-own-claims",
        caption=f"The model with the highest mean {metric} on whole images of each cohort, averaged over the references, and "
        f"the chance that another one is better on other images of the same kind. *Holds*: the chance is below {level}. "
        f"{source_note(ours['claim'])}",
    )
else:
    display(
        Markdown(
            "*No cohort of this edition has scores of two models, so there is nothing to rank.*"
        )
    )

# %% [markdown]
# This chance concerns one ranking at a time. [](02_models) is stricter: there, at most one study in twenty may contain
# any wrong comparison of two models. A claim can therefore hold here although several models may come first there.
#
# ## Published rankings

# %% tags=["hide-input"]
theirs.to_csv(folder / "published_claims.csv", index=False)
if assumed:
    low, high = (number(value, 3) for value in assumed)
    first, last = (f"{r:g}" for r in CORRELATIONS)
    display(
        Markdown(
            "The published tables report neither how much scores vary between images nor how they correlate between methods. "
            f"Each ranking is therefore judged with every combination of a standard deviation of {low} or {high} (the quartiles "
            f"of the standard deviations of F1 scores in this edition) and a correlation of {first} or {last}."
        )
    )
    show_table(
        as_text(theirs)[["claim", *columns]].rename(
            columns={"claim": "ranking", **columns, "methods": "methods", "verdict": "claim"}
        ),
        label="tab-published-claims",
        caption="Published: Goldsborough 2025, Tables 3.1 and 3.2 (nuclei, retrained on each data set) and 4.1 and 4.2 "
        "(TissueNet). *Depends*: whether the claim holds depends on what is assumed.",
    )
else:
    display(
        Markdown(
            "*The published tables do not report how much scores vary between images. This book would substitute the variation of "
            "its own models, but no cohort of this edition has at least three images on which a model ran.*"
        )
    )

# %% [markdown]
# ## How the chance is computed, and whether it is right

# %% [markdown]
# The usual formula compares the first two methods, and gives the tail of Student's t distribution beyond the lead
# divided by its standard error {cite:p}`christodoulou2025`. But the winner was chosen because it came first, so part of
# its lead is luck. Here the true means are assumed to come from one normal distribution, whose spread is estimated from
# the data: if methods differ by little more than the noise, all estimates are shrunk towards their mean, and the
# winner's most.
#
# :::{dropdown} Formulas
# *The formula*: two methods A and B with means apart by $\Delta$, standard deviations $s_A$, $s_B$ and correlation $r$ over $n$ images:
# $P = T_{n-1}\left(-\sqrt{n}\,\Delta \big/ \sqrt{s_A^2 + s_B^2 - 2 r s_A s_B}\right)$.
#
# *Here*: means $y \sim N(\theta, w V)$ with $V_{ij} = r s_i s_j / n$, $V_{ii} = s_i^2 / n$, $w \sim (n - 1) / \chi^2_{n-1}$;
# $\theta_k \sim N(\mu, \tau^2)$ with flat priors on $\mu$ and $\tau$ {cite:p}`gelman2006`. $P$ is the posterior chance that
# the $\theta$ of the winner is not the largest.
# :::

# %% tags=["hide-input"]
checked = pd.read_csv(shipped("benchmarks/results") / "decisions_claims.csv")
gaps = checked.assign(
    ours=(checked["stated"] - checked["false"]).abs(),
    formulas=(checked["formula"] - checked["false"]).abs(),
)
by = gaps.groupby(["methods", "spread"], as_index=False).agg(
    studies=("studies", "sum"),
    false=("false", "mean"),
    stated=("stated", "mean"),
    ours=("ours", "max"),
    formula=("formula", "mean"),
    formulas=("formulas", "max"),
)
show_table(
    by.rename(
        columns={
            "spread": "spread of the true means",
            "false": "false claims",
            "stated": "stated chance",
            "ours": "largest gap",
            "formula": "stated by the formula",
            "formulas": "largest gap of the formula",
        }
    ),
    label="tab-claims-check",
    caption="Simulated studies whose true ranking is known: share of winners that are not the best (*false claims*), and the "
    "chance that is stated, here and by the formula for two methods named beforehand. *Spread of the true means*: in standard "
    "errors. *Largest gap*: largest difference between the two, in any tenth of the studies when sorted by the stated chance. "
    "Measured once by `benchmarks/claims.py`.",
)
near, apart = by[by["spread"] <= 2], by[by["spread"] > 2]
display(
    Markdown(
        f"If methods differ by more than the noise of a mean (by up to {' or '.join(f'{s:g}' for s in apart['spread'].unique())} "
        f"standard errors), the stated chance is within {apart['ours'].max():.3f} of the share of false claims in every tenth. "
        f"If they hardly differ, it is up to {near['ours'].max():.3f} too optimistic, because a ranking alone does not tell how "
        f"similar the methods are. The formula is too optimistic everywhere, by up to {by['formulas'].max():.3f}, because it "
        "ignores that the winner was chosen for its score. All of this holds for scores that are close to normal."
    )
)

# %% [markdown]
# ## What this does not show
#
# - Other *kinds* of images. A ranking that holds for images like these may not hold for another tissue or instrument.
# - Whether the references are right. A model may come first because it makes the same errors.
# - Anything about the published methods today, or on IMC: their scores are for nuclei in stained sections, or for
#   TissueNet, and the variation between images is assumed to be that of this book.
# - Papers that average over cells or pool images: here a score is a mean over images.

# %% tags=["remove-cell"]
for frame in (ours, theirs):
    for _, row in frame.iterrows():
        if row["verdict"] == Verdict.NO_ANSWER:
            assert pd.isna(row["false_high"])
        else:
            assert 0 <= row["false_low"] <= row["false_high"] <= 1
            assert (row["verdict"] == Verdict.HOLDS) == (row["false_high"] < LEVEL)
        assert row["lead"] >= 0, "the first leads"
assert (by["formula"] < by["false"]).all(), (
    "the formula trusts more than it should: the text says so"
)
assert near["ours"].max() > apart["ours"].max(), "and where methods hardly differ, so do we"

# %% [markdown]
# ## Takeaways
#
# - A lead means little unless you know how much scores vary between images, and how many images there are.
# - Report the score of every image, or at least the standard deviation of the *differences*, so that nobody has to
#   make assumptions.
# - The more methods are compared, the less the lead of the first one means.
