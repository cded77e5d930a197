# ---
# jupyter:
#   imc_book:
#     reads:
#     - scores
#     - sweeps/scale
#     - pages/study/04_metrics
#     - pages/study/05_crops
#     - pages/beyond/01_equivalence
#     - pages/decisions/02_models
#     - pages/decisions/06_plan
#     - pages/decisions/07_few_labels
#     - pages/downstream/08_biology
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
# # What should my lab do?
#
# **How many annotators, which model, metric and threshold, when to retrain, and what may be concluded?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/

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
from imc_helpers.agreement.summaries import against, agreement_by_iou, between, mean_scores
from imc_helpers.data.manifest import cohort_record, load_edition, model_record
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.experiments.advice import (
    check_a_model,
    hand_or_software,
    people_and_images,
    read_table,
    when_to_retrain,
    what_masks_change,
    which_metric,
    which_model,
    which_threshold,
)
from imc_helpers.experiments.sweeps import find_sweep
from imc_helpers.figures.agreement_plots import agreement_falls
from imc_helpers.figures.names import cohort_name, model_name, source_note
from imc_helpers.figures.page import answer, show

record = load_edition(edition)
cohorts = {key: open_cohort(key) for key in record.cohorts}
scores = read_scores(edition)
pairs = between(scores, cohorts)
falls = agreement_by_iou(pairs)
judged = against(scores, {key: c.references for key, c in cohorts.items()}, record.models)
means = mean_scores(judged)
# A model that this build trains learned from labels that are made as those of the synthetic cohorts.
synthetic = all(cohort_record(key).synthetic for key in cohorts)
learned = frozenset(m for m in record.models if synthetic and model_record(m).training)
verdicts = read_table(edition, "models/equivalence.csv")
scale, _ = find_sweep(edition, "scale")
models = {"named": model_name, "cohort_named": cohort_name}
advice = [
    people_and_images(read_table(edition, "decisions/plan.csv"), named=cohort_name),
    hand_or_software(read_table(edition, "annotators/crops.csv")),
    which_model(
        read_table(edition, "decisions/models.csv"),
        verdicts,
        read_table(edition, "models/trial.csv"),
        learned,
        **models,
    ),
    which_metric(
        means[means["mode"] == "whole"],
        read_table(edition, "metrics/conventions.csv"),
        named=cohort_name,
    ),
    which_threshold(falls, named=cohort_name),
    check_a_model(read_table(edition, "decisions/few_labels.csv")),
    when_to_retrain(scale, verdicts, named=model_name),
    what_masks_change(
        read_table(edition, "downstream/conclusions.csv"),
        read_table(edition, "downstream/groups.csv"),
    ),
]
whose = (
    "These images are synthetic: learn the method here, and get the numbers from your own images. "
)
answer(
    (whose if synthetic else "")
    + "\n\n"
    + "\n".join(
        f"- *{one.decision}* {one.do or 'This edition cannot tell; see below for what it would take.'}"
        for one in advice
    )
)

# %% tags=["hide-input"]
data = source_note(cohorts)
if len(falls):
    show(
        partial(agreement_falls, falls),
        label="fig-lab-threshold",
        caption="AP of two raters (mean over pairs and images) against the IoU that a pair of cells must reach. Below the "
        f"dashed line, two raters share fewer than half of their cells. {data}",
        alt="One falling line per cohort, from an IoU of 0.50 to 0.95.",
    )
else:
    display(Markdown("*No image has masks by two raters, so there is nothing to draw.*"))

# %% [markdown]
# For each decision, this section gives the numbers of this edition on which it rests, says what they do not cover, and
# names the pages with the details. If you run the book on your own folder ([](../../your_images)), the same section is
# about your images.

# %% tags=["hide-input"]
for one in advice:
    because = "\n".join(f"- {line}" for line in one.because)
    where = ", ".join(f"[](../{page})" for page in one.pages)
    display(
        Markdown(
            f"**{one.decision}**\n\n"
            f"{one.do or '*This edition has no numbers for it.*'}\n\n{because}\n\n"
            f"*But:* {one.caveat}" + (f" More: {where}." if where else "")
        )
    )

# %% [markdown]
# ## What this does not show
#
# - Your tissue. The numbers hold for the images named above, and the advice rests on these numbers.
# - What is right. A comparison with people shows only how close a mask is to theirs.

# %% tags=["remove-cell"]
assert len({one.decision for one in advice}) == len(advice)
assert all(one.caveat and one.pages for one in advice)
assert all(one.because for one in advice if one.do), "no advice without a number"
assert falls.empty or falls["ap"].between(0, 1).all()

# %% [markdown]
# ## Takeaways
#
# - Let a pilot with three people tell you how many people and images you need.
# - Whenever you report how well a model agrees with a person, report how well people agree on the same images.
# - Keep some crops that are drawn by hand and used for nothing but evaluation.
