# ---
# jupyter:
#   imc_book:
#     own: true
#     reads:
#     - scores
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
# # Your answer
#
# **How far apart are your annotators, which models may come nearest to them, does the difference matter, and
# what should you look at next?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
loss: float = 0.05  # share of a person's cells whose loss is taken not to matter

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

from IPython.display import Markdown, display

from imc_helpers.agreement.score_table import read_scores
from imc_helpers.agreement.summaries import (
    against,
    best_first,
    between,
    in_words,
    mean_agreement,
    mean_scores,
)
from imc_helpers.data.lab_folder.preparation import read_oddities
from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import results_dir
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.figures.model_plots import score_distributions
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.tissue_images import gallery
from imc_helpers.own_study.answers import METRIC, MODE, answer_of, worst_images

record = load_edition(edition)
cohorts = {key: open_cohort(key) for key in record.cohorts}
scores = read_scores(edition)
oddities = {key: read_oddities(cohort.folder) for key, cohort in cohorts.items()}
answers = {
    key: answer_of(cohort, scores, record.models, oddities[key], loss=loss, named=rater_name)
    for key, cohort in cohorts.items()
}
said = [
    (f"**{cohort_name(key)}.** " if len(answers) > 1 else "")
    + f"{one.agreement}\n\n{one.nearest}\n\n{one.matters}"
    for key, one in answers.items()
]
answer("\n\n".join(said))

# %% tags=["hide-input"]
whole = scores[scores["mode"] == MODE]
judged = against(whole, {key: cohort.references for key, cohort in cohorts.items()})
pairs = between(whole, cohorts)
agreed = mean_agreement(pairs).set_index("cohort") if len(pairs) else None
means = mean_scores(judged)
shown = {key: part for key in cohorts if len(part := judged[judged["cohort"] == key])}
rows = {
    key: [
        best_first(means[means["cohort"] == key], record.models),
        list(cohorts[key].references),
        [],
    ]
    for key in shown
}
data = source_note(cohorts)
if shown:
    lines = {
        key: agreed.loc[key, ["ap50", "map", "sap"]]
        for key in shown
        if agreed is not None and key in agreed.index
    }
    show(
        partial(score_distributions, shown, rows, metrics=("ap50",), lines=lines),
        label="fig-answer",
        caption="ap50 of models and annotators on whole images, each scored against one of the references: one dot per image, or "
        f"a box for more than twelve. Dashed: mean agreement of the references with one another. {data}",
        alt="Scores of models and annotators from 0 to 1, one row each, as dots or boxes.",
    )
else:
    first = {cohort_name(record.cohorts[0]): cohorts[record.cohorts[0]][0]}
    show(
        partial(gallery, first, field_um=120.0),
        label="fig-answer",
        caption=f"The first image: nuclei in blue, membranes in gold. There are no two masks to compare. {data}",
        alt="A crop of the first image.",
    )

# %% [markdown]
# ## What to look at next

# %% tags=["hide-input"]
steps = [
    f"- {f'{cohort_name(key)}: ' if len(answers) > 1 else ''}{step}"
    for key, one in answers.items()
    for step in one.next_steps
]
display(Markdown("\n".join(steps) or "Nothing needs your attention first."))

# %% [markdown]
# ## The images with the least agreement

# %% tags=["hide-input"]
worst = worst_images(pairs)
worst.to_csv(results_dir(edition, "answer") / "images.csv", index=False)
if len(worst):
    show_table(
        worst.head(12).rename(columns={"cells": "cells, mean"}),
        label="tab-answer-images",
        caption="Agreement in each image, lowest first: mean ap50 over pairs of references, and the mean number "
        f"of cells. `results/{edition}/answer/images.csv` lists all images. {data}",
        decimals=2,
    )
else:
    display(Markdown("*No image has the masks of two raters.*"))

# %% [markdown]
# ## Models and their intervals

# %% tags=["hide-input"]
listed = means[means["model"].isin(record.models)].sort_values(
    ["cohort", "ap50"], ascending=[True, False]
)
if len(listed):
    show_table(
        listed.assign(interval=in_words(listed))[["cohort", "model", "images", METRIC, "interval"]],
        label="tab-answer-models",
        caption="Mean ap50 with the references on whole images, with the 95% interval over images (a dash if "
        f"there is only one image). {data}",
        decimals=2,
    )
else:
    display(Markdown("*No model has masks of these images that could be scored.*"))

# %% [markdown]
# ## What this does not show
#
# - Who is right. Scores say how well masks agree; if people share an error, a correct model scores low.
# - What other people would draw, unless an interval says that it includes them. All other intervals are about other
#   images annotated by the same people.
# - What the difference does to your cell types or neighbourhoods.

# %% tags=["remove-cell"]
assert set(answers) == set(record.cohorts)
assert worst.empty or worst["ap50"].between(0, 1).all()
assert worst.empty or worst["ap50"].is_monotonic_increasing
assert all(one.agreement and one.nearest and one.matters for one in answers.values())

# %% [markdown]
# ## Takeaways
#
# - Compare a model's score with the agreement of people on the same images.
# - A few images can decide only a little; the intervals say how much.
