# ---
# jupyter:
#   imc_book:
#     reads:
#     - sweeps/preprocessing
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
# # Does pre-processing help?
#
# **Do models find cells better after the cleaning steps that IMC has?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
metric: str = "ap50"  # score of the figure: ap50, map or sap
tissue_px: int = 256  # edge of the synthetic tissue that compensation is checked on, pixels

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

from imc_helpers.experiments.compensation import compensation_errors
from imc_helpers.figures.names import cohort_name, model_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.sweep_plots import choice_dots
from imc_helpers.data.manifest import load_edition
from imc_helpers.images.clean import remove_hot_pixels
from imc_helpers.images.pipeline import NONE
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.experiments.sweeps import (
    annotated_cohort,
    by_choice,
    cohort_spillover,
    differ,
    find_sweep,
    in_words,
    step_names,
    verdict,
)

cohort = annotated_cohort(edition)
table, why_not = find_sweep(edition, "preprocessing")
bars = "95% intervals over images."
differences = table
if not why_not:
    table["model"] = table["model"].map(model_name)
    table["steps"] = step_names(table)
    images = table["sample"].nunique()
    data = f"{images} images of {cohort_name(cohort)}. {source_note([cohort])}"
    differences = by_choice(table, "steps", NONE, metric)
    if differences.empty:
        why_not = "This edition's sweep has no step to compare with none."
said = []
for model, own in differences.groupby("model", sort=False) if len(differences) else ():
    best, worst = own.loc[own["mean"].idxmax()], own.loc[own["mean"].idxmin()]
    said.append(
        f"{model}: best *{best['steps']}*, {in_words(best)}; worst *{worst['steps']}*, {in_words(worst)}; "
        f"{int((differ(own) & (own['mean'] > 0)).sum())} of {len(own)} ways are better beyond their interval, "
        f"{int((differ(own) & (own['mean'] < 0)).sum())} worse"
    )
lines = "\n".join(f"- {line}." for line in said)
answer(
    why_not
    or f"{verdict([differences], 'steps', 'no pre-processing')} ({metric} with the annotators.)"
)

# %% tags=["hide-input"]
if why_not:
    display(Markdown(f"*{why_not}*"))
else:
    show(
        partial(
            choice_dots,
            differences,
            "steps",
            label=f"{metric}, difference from no pre-processing",
        ),
        label="fig-sweep-preprocessing",
        caption="Steps act on every channel or, where *planes* stands behind them, on the two planes that the model "
        f"sees. {bars} {data}",
        alt="A panel per model, a row per way to pre-process: the difference in score from none, with its interval.",
    )

# %% [markdown]
# Hot pixels, spillover, shot noise: IMC has its own blemishes and its own remedies. The study used none of
# the remedies and names that as a limit ({cite:t}`schuiki2025`, section 4.4). Each combination of steps is one run
# of `chapters/sweeps/preprocessing_point.py`; run by hand, it also draws what the model saw.

# %% tags=["hide-input"]
if not why_not:
    display(Markdown(f"Differences in mean {metric}, with 95% intervals:\n\n{lines}"))

# %% [markdown]
# What the names mean:
#
# - *hot_pixels*: a pixel more than 50 counts above the mean of its 5 x 5 pixels gets that mean
#   ({cite:t}`xiao2021`, Dice-XMBD).
# - *clip*: values above that percentile of the plane are set to it; Dice-XMBD takes 99.7.
# - *clahe*: local equalisation of the histogram with limited contrast, as Mesmer does
#   ({cite:t}`greenwald2022`).
# - *spillover*: compensation between channels by non-negative least squares ({cite:t}`chevrier2018`), with the
#   matrix that was measured on the cohort's own instrument; a phantom has the one that it was made with. The study
#   cites {cite:t}`bai2021` here, who mean another thing: what a cell's neighbours add to its counts, sideways.
#   That needs the cells first, so it cannot help to find them.
# - *gaussian* (1 px), *median* (3 x 3 px), *non_local_means*, *wavelet*: denoisers; the last two work on
#   counts whose noise was made even by the transform of {cite:t}`anscombe1948`.

# %% tags=["hide-input"]
if cohort and cohort_spillover(cohort) is None:
    display(
        Markdown(
            f"**No *spillover* here.** {cohort_name(cohort)} was published without a matrix measured on its instrument. "
            "Another instrument's would take away counts that its channels never got from one another, so the step "
            "is left out. A cohort that has one keeps it at `data/COHORT/spillover.csv`."
        )
    )

# %% [markdown]
# ## What the rule for hot pixels takes for hot

# %% tags=["hide-input"]
sample = open_cohort(cohort or load_edition(edition).cohorts[0])[0]
hot = pd.Series(
    (remove_hot_pixels(sample.image) != sample.image).mean(axis=(1, 2)), index=sample.panel.names
)
nuclear = [sample.panel.names[i] for i in sample.panel.compartment("nucleus")]
others = hot[[sample.panel.names[i] for i in sample.panel.compartment("membrane")]]
display(
    Markdown(
        f"In `{sample.id}` the rule replaces {hot[nuclear].mean():.2%} of the pixels of the nuclear channels, and "
        f"{others.median():.3%} of those of a typical membrane channel. Its threshold is "
        "a number of counts. A channel with many counts exceeds its surroundings by that much wherever a bright "
        "nucleus stands beside a dark gap, so there the rule *smooths*, and its effect is not that of taking hot "
        "pixels away."
        if hot[nuclear].mean() > 10 * others.median()
        else f"In `{sample.id}` the rule replaces {hot[nuclear].mean():.3%} of the pixels of the nuclear channels, "
        f"and {others.median():.3%} of those of a typical membrane channel."
    )
)

# %% [markdown]
# ## Does compensation find what was there?
#
# On a phantom one can look: the same tissue is imaged with spillover and without.

# %% tags=["hide-input"]
errors = compensation_errors("phantom_lymphoid", side_px=tissue_px, seed=1)
wide = errors.pivot_table(index="channel", columns="image", values="bias", sort=False)
wide.insert(
    0, "without spillover", errors.drop_duplicates("channel").set_index("channel")["without"]
)
worst = wide["as imaged"].drop("ArAr80").idxmax()
show_table(
    wide.reset_index().rename(
        columns={"as imaged": "too much, as imaged", "compensated": "too much, compensated"}
    ),
    label="tab-compensation",
    caption="Mean counts per pixel of cells without spillover, and how much more (or less) they have as "
    "imaged and after compensation with the true matrix. Synthetic data, made by this page.",
    decimals=2,
)

# %% tags=["hide-input"]
display(
    Markdown(
        f"{worst} gains most by spillover: {wide.loc[worst, 'as imaged']:+.2f} counts per pixel, on "
        f"{wide.loc[worst, 'without spillover']:.2f}. Compensation leaves "
        f"{wide.loc[worst, 'compensated']:+.2f}. It cannot take away all: a count below 0 is not allowed, so "
        "noise around 0 is cut off on one side."
    )
)

# %% [markdown]
# ## All numbers

# %% tags=["hide-input"]
if table.empty:
    display(Markdown(f"*{why_not}*"))
else:
    scores = ["ap50", "map", "sap", "truth_ap50"]
    means = table.groupby(["model", "before", "after"], sort=False)[scores].mean().reset_index()
    show_table(
        means.rename(columns={"truth_ap50": "ap50 with the truth"}),
        label="tab-sweep-preprocessing",
        caption="Mean scores with the annotators (IoU ≥ t), and with the truth where it is known; a dash where "
        f"it is not. {data}",
    )

# %% [markdown]
# ## What this does not show
#
# - What cleaning does to the *counts* of cells, which may matter more than their borders: spillover makes
#   false cell types, not false cells.
# - What a model would do that had been trained on cleaned images.
# - That annotators who saw raw images are right: a step that shows more than they saw can lose points.
# - Luck. The best of many steps looks better than it is; the intervals are not corrected for the choosing.

# %% tags=["remove-cell"]
if len(table):
    assert table[["ap50", "map", "sap"]].apply(lambda s: s.between(0, 1)).to_numpy().all()
    assert not table.duplicated(["model", "before", "after", "sample"]).any()
    assert (table.groupby(["model", "steps"])["sample"].nunique() == images).all()
assert wide["compensated"].abs().sum() < wide["as imaged"].abs().sum(), "compensation helps in all"
assert wide.loc[worst, "as imaged"] > abs(wide.loc[worst, "compensated"])

# %% [markdown]
# ## Takeaways
#
# - A remedy for the counts is not a remedy for the borders. Ask of each step which of the two it serves.
# - Models that scale their own input undo part of what was done before.
