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
from imc_helpers.figures.names import choice_name, cohort_name, model_name, source_note
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
    table["steps"] = step_names(table).map(choice_name)
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
        f"of {len(own)} combinations, {int((differ(own) & (own['mean'] > 0)).sum())} surely better and "
        f"{int((differ(own) & (own['mean'] < 0)).sum())} surely worse"
    )
lines = "\n".join(f"- {line}." for line in said)
answer(
    why_not
    or f"{verdict([differences], 'steps', 'no pre-processing')} Scores are {metric} with the annotators."
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
        caption=f"Combinations of cleaning steps, best first: difference in {metric} from no pre-processing. Steps act on "
        f"every channel or, if marked *planes*, on the two planes that the model sees. {bars} {data}",
        alt="One panel per model with one row per combination of steps: its difference in score from none, with an interval.",
    )

# %% [markdown]
# IMC images have blemishes of their own (hot pixels, spillover, shot noise), and there are remedies for each. The
# study used none of them, and names that as a limit ({cite:t}`schuiki2025`, section 4.4). Each combination of steps
# is one run of `chapters/sweeps/preprocessing_point.py`; if you run that notebook by hand, it also draws what the
# model saw.

# %% tags=["hide-input"]
if not why_not:
    display(Markdown(f"Differences in mean {metric}, with 95% intervals:\n\n{lines}"))

# %% [markdown]
# The steps are:
#
# - *Hot pixels*: a pixel more than 50 counts above the mean of the 5 x 5 pixels around it is set to that mean
#   (as in Dice-XMBD, {cite:t}`xiao2021`).
# - *Clip*: values above the given percentile of a channel or plane are set to that percentile; Dice-XMBD uses 99.7.
# - *CLAHE*: contrast-limited adaptive histogram equalisation, as in Mesmer ({cite:t}`greenwald2022`).
# - *Spillover*: compensation between channels by non-negative least squares ({cite:t}`chevrier2018`), with the
#   matrix that was measured on the cohort's own instrument, or the one with which a phantom was made. The study
#   cites {cite:t}`bai2021` here, who correct something else: the signal that a cell receives from its neighbours in
#   space. That correction needs the cells first, so it cannot help to find them.
# - *Gaussian* (1 px), *median* (3 x 3 px), *non-local means* and *wavelet* are denoisers. The last two work on
#   counts whose variance was first stabilised with the transform of {cite:t}`anscombe1948`.

# %% tags=["hide-input"]
if cohort and cohort_spillover(cohort) is None:
    display(
        Markdown(
            f"**No *spillover* here.** {cohort_name(cohort)} was published without a spillover matrix measured on its own "
            "instrument. The matrix of another instrument would remove counts that never spilled over, so the step "
            "is left out. If your cohort has such a matrix, save it as `data/COHORT/spillover.csv`."
        )
    )

# %% [markdown]
# ## Does the rule for hot pixels remove only hot pixels?

# %% tags=["hide-input"]
sample = open_cohort(cohort or load_edition(edition).cohorts[0])[0]
hot = pd.Series(
    (remove_hot_pixels(sample.image) != sample.image).mean(axis=(1, 2)), index=sample.panel.names
)
nuclear = [sample.panel.names[i] for i in sample.panel.compartment("nucleus")]
others = hot[[sample.panel.names[i] for i in sample.panel.compartment("membrane")]]
display(
    Markdown(
        f"No. In `{sample.id}` the rule replaces {hot[nuclear].mean():.2%} of the pixels of the nuclear channels, but only "
        f"{others.median():.3%} of those of a typical membrane channel. Its threshold is a fixed number of counts. In a "
        "bright channel, pixels exceed their surroundings by that much wherever a nucleus borders on a dark gap, so "
        "there the rule *smooths* the image instead of removing hot pixels."
        if hot[nuclear].mean() > 10 * others.median()
        else f"In `{sample.id}` the rule replaces {hot[nuclear].mean():.3%} of the pixels of the nuclear channels and "
        f"{others.median():.3%} of those of a typical membrane channel, so bright channels are not smoothed more than "
        "others."
    )
)

# %% [markdown]
# ## Does compensation restore the true counts?
#
# On a phantom this can be checked, because the same tissue can be imaged with and without spillover.

# %% tags=["hide-input"]
errors = compensation_errors("phantom_lymphoid", side_px=tissue_px, seed=1)
wide = errors.pivot_table(index="channel", columns="image", values="bias", sort=False)
wide.insert(
    0, "without spillover", errors.drop_duplicates("channel").set_index("channel")["without"]
)
worst = wide["as imaged"].drop("ArAr80").idxmax()
show_table(
    wide.reset_index().rename(
        columns={"as imaged": "excess, as imaged", "compensated": "excess, compensated"}
    ),
    label="tab-compensation",
    caption="Mean counts per pixel of cells imaged without spillover, and the excess (or deficit) when they are imaged "
    "with spillover, before and after compensation with the true matrix. Synthetic data, made by this page.",
    decimals=2,
)

# %% tags=["hide-input"]
display(
    Markdown(
        f"{worst} receives the most spillover: {wide.loc[worst, 'as imaged']:+.2f} counts per pixel, on top of a true "
        f"{wide.loc[worst, 'without spillover']:.2f}. Compensation reduces this excess to "
        f"{wide.loc[worst, 'compensated']:+.2f}. It cannot remove all of it: counts below 0 are not allowed, so noise "
        "around 0 is cut off on one side."
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
# - What cleaning does to the *counts* of cells, which may matter more than their borders: spillover creates
#   false cell types, not false cells.
# - How a model trained on cleaned images would do.
# - Whether annotators who saw raw images are right: a step that reveals more than they saw can lower the score.
# - The role of luck. The best of many combinations looks better than it is: the intervals are not corrected for
#   picking the best afterwards.

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
# - A step that corrects counts need not improve borders. Decide for each step which of the two you want it for.
# - Models that rescale their own input undo part of your pre-processing.
