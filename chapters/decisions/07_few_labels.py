# ---
# jupyter:
#   imc_book:
#     reads:
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
# # Few labels
#
# **What do ten labels buy?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort; when empty, the first with a mask and two models that ran
model: str = ""  # model that is judged; when empty, the first that ran
annotator: str = ""  # whose masks are the labels; when empty, the first annotator
crop_px: int = 64  # edge of a crop, pixels
most_images: int = 8  # images that are cut into crops, evenly spread
labels: int = 10  # labelled crops of the example
quality_images: int = 2  # images whose crops are also scored without a reference
trials: int = 200  # draws of each number of labels
confidence: float = 0.95  # of the interval of the example
seed: int = 0  # of the draws

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

from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.predictions import find_models
from imc_helpers.data.raters import noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread
from imc_helpers.decisions.crops import by_crop, crop_scores
from imc_helpers.decisions.powered import powered_mean, powered_ratio
from imc_helpers.experiments.crop_predictors import compare_predictors, crop_quality
from imc_helpers.experiments.label_trials import ALONE, EXPECTED, WITH, draw_trials, label_trials
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.truth_plots import trial_curves

SIZES = (5, 8, 10, 15, 20, 30)
record = load_edition(edition)
opened = {key: open_cohort(key) for key in record.cohorts}
ran = {key: [*find_models(key, record.models, "whole")] for key in opened}
able = [key for key, one in opened.items() if one.references and len(ran[key]) > 1]
key = cohort or next(iter(able), "")
crops = pd.DataFrame()
if key:
    shown = opened[key]
    person = annotator or shown.references[0]
    judged = model or ran[key][0]
    others = [name for name in ran[key] if name != judged]
    whose = noun([r for r in shown.raters if r.name == person], plural=False)
    drew = shown.labelled_by(person)
    looked_at = evenly_spread(drew, most_images)
    pairs = [(person, judged), *((judged, other) for other in others)]
    crops = crop_scores(shown, pairs, samples=looked_at, crop_px=crop_px)
    labelled = crops[crops["rater_true"] == person]
    between_models = crops[crops["rater_true"] == judged]
    score, agreement = by_crop(labelled, "ap50"), by_crop(between_models, "ap50")
enough = key and len(score) >= 2 * labels
if enough:
    drawn = score.sample(labels, random_state=seed).index
    with_, alone = (
        powered_mean(score[drawn], agreement[drawn], agreement, slope=slope, confidence=confidence)
        for slope in (None, 0.0)
    )
    r = float(np.corrcoef(score, agreement)[0, 1]) if score.std() and agreement.std() else 0.0
    tables = {"mean ap50 per crop": label_trials(score, agreement, SIZES, trials=trials, seed=seed)}
    cells, guess = by_crop(labelled, "n_true"), by_crop(labelled, "n_pred")
    tables["cells per crop"] = label_trials(cells, guess, SIZES, trials=trials, seed=seed)
    tried = pd.concat([t.assign(quantity=q) for q, t in tables.items()], ignore_index=True)
    tried.to_csv(results_dir(edition, "decisions") / "few_labels.csv", index=False)
    width = tried[(tried["labels"] == labels) & (tried["way"] == WITH)].set_index("quantity")[
        "relative"
    ]
    held = tried[tried["way"] == WITH]["coverage"]

    def half(one):
        return (one.high - one.low) / 2

    unit = "this image only" if len(looked_at) == 1 else f"these {len(looked_at)} images"
    summary = (
        f"**An estimate of a model's score to within ± {half(alone):.2f}**, for {unit} alone: with {labels} labelled crops, {rater_name(judged)} scores "
        f"{alone.value:.2f} in ap50 with {whose} of {cohort_name(key)} ({confidence:.0%} interval); all {len(score)} crops give {score.mean():.2f}. If predictions "
        f"of models for the other crops are used as well, intervals are {width.iloc[0]:.2f} times as wide for the score and {width.iloc[1]:.2f} times for the "
        f"number of cells (median over {trials} draws, of which {held.min():.0%} to {held.max():.0%} contain the mean of all crops)."
    )
elif key:
    summary = (
        f"This edition cannot tell: {cohort_name(key)} has only {len(score)} crops of {crop_px} x {crop_px} px, and {2 * labels} are needed to try "
        f"{labels} labels."
    )
else:
    summary = (
        "This edition cannot tell: no cohort has both a mask and two models that ran. Without a mask there are no labels, and without a "
        "second model nothing predicts how good the first one is."
    )
answer(summary)

# %% tags=["hide-input"]
if enough:
    show(
        partial(trial_curves, tables, "half-width, 95% interval"),
        label="fig-few-labels",
        caption=f"Half-width of the interval by the number of labelled crops ({crop_px} x {crop_px} px): from labels alone, and with predictions for all "
        f"crops. Median of {trials} random draws; all crops are labelled here, so the draws are made up and the labels are not. {source_note([key])}",
        alt="A panel for the mean score and one for the number of cells: falling curves of the half-width against the number of "
        "labels, from labels alone and with predictions.",
    )
else:
    display(Markdown("*There are too few labelled crops to draw.*"))

# %% [markdown]
# Labels are expensive and predictions are cheap. If predictions correlate with labels, they show whether the labelled crops were easier
# than the rest, and the estimate can be corrected for that. The stronger the correlation, the more each label is worth; if there is
# none, intervals become only slightly wider. The unit is the **crop**, never the cell: cells of one crop resemble one another, so a
# thousand cells from ten crops are ten observations.
#
# Here a model's score is predicted by how well it agrees with other models, and the annotator's number of cells by the
# model's number. Any other quantity that is known for every crop could take their place; below, another one does.

# %% tags=["hide-input"]
if enough:
    show_table(
        tried[["quantity", "labels", "way", "half_width", "relative", "coverage"]].rename(
            columns={"half_width": "half-width", "relative": "labels alone = 1"}
        ),
        label="tab-few-labels",
        caption=f"The same with how often intervals held the mean of all crops, over {trials} draws. {source_note([key])}",
    )

# %% [markdown]
# ## When to use it

# %% tags=["hide-input"]
simulated = pd.read_csv(shipped("benchmarks/results") / "decisions_labels.csv")
wide = simulated.pivot(index="labels", columns="correlation", values="relative")
show_table(
    wide.rename(columns=lambda c: f"r = {c:g}").rename_axis(columns=None).reset_index(),
    label="tab-when",
    caption="Width of the interval with predictions, labels alone = 1, by the number of labels and the correlation r of predictions with labels: medians of 2,000 "
    "simulated studies with normal values. Synthetic; `benchmarks/decisions_truth.py`.",
    decimals=2,
)
low, high = simulated["coverage"].min(), simulated["coverage"].max()
normal = simulated.loc[simulated["labels"] <= 8, "coverage_normal"]
display(
    Markdown(
        f"The intervals held the mean in {low:.1%} to {high:.1%} of these studies. With normal quantiles in place of *t* they would have "
        f"held it in {normal.min():.1%} to {normal.max():.1%} with five to eight labels. **So use predictions from eight labels on, and only if you expect "
        "beforehand that they correlate with labels by .5 or more**; do not choose by the correlation in the labels themselves."
        + (f" Here the correlation over all crops is {r:.2f}." if enough else "")
    )
)

# %% [markdown]
# ## Which predictor
#
# Agreement with other models is one of several things that are known of a crop without a label. Another is how a mask looks by
# itself: the overall score of Chen and Murphy, CSQS {cite:p}`chen2023cse`, puts fourteen properties of cells and of what they leave out into one number,
# with weights that the authors fitted to fluorescence.

# %% tags=["hide-input"]
simulated_predictors = pd.read_csv(shipped("benchmarks/results") / "decisions_predictors.csv")
compared = pd.DataFrame(columns=["predictor", "crops", "r", "relative", "coverage"])
if enough:
    few = evenly_spread(looked_at, quality_images)
    tried_on = score[score.index.get_level_values("sample").isin(few)]
    at = min(labels, len(tried_on) // 2)
    if at >= 4:
        predictors = {
            "agreement between models": agreement,
            "CSQS": crop_quality(shown, judged, few, crop_px=crop_px),
        }
        compared = compare_predictors(tried_on, predictors, at, trials=trials, seed=seed)
if len(compared):
    not_run = {"predictor": "STARLING", "crops": 0}
    show_table(
        pd.concat([compared, pd.DataFrame([not_run])], ignore_index=True).rename(
            columns={"crops": "crops with a value", "relative": "width, labels alone = 1"}
        ),
        label="tab-predictors",
        caption=f"What each predictor of the score of {rater_name(judged)} buys with {at} labels, on {len(tried_on)} crops of {len(few)} image"
        f"{'s' if len(few) > 1 else ''}: its correlation r with the score over all crops, the width of the interval, and how often it held the mean, over {trials} "
        f"draws. {source_note([key])}",
        decimals=2,
    )
    if compared["crops"].eq(0).any():
        display(
            Markdown(
                "*CSQS needs a nuclear channel and crops of more than ten cells with nuclei, and there is none here.*"
            )
        )
else:
    display(Markdown("*There are too few labelled crops to try predictors on.*"))
display(
    Markdown(
        "STARLING, which tells from a cell's counts whether it is two, is *not run*: its package (biostarling 0.1.4 at PyPI) asks for NumPy below 2, and the book "
        "has a newer one. What it says of the cells of a crop could be averaged and take the place of CSQS here."
    )
)
worth = simulated_predictors.groupby("predictor")[["r", "relative", "coverage"]].agg(["min", "max"])
show_table(
    pd.DataFrame(
        {
            "predictor": worth.index,
            **{
                heading: [f"{low:.2f} to {high:.2f}" for low, high in worth[column].to_numpy()]
                for heading, column in (
                    ("r", "r"),
                    ("width, labels alone = 1", "relative"),
                    ("coverage", "coverage"),
                )
            },
        }
    ),
    label="tab-predictors-check",
    caption=f"The same on synthetic tissue whose truth is the label: {simulated_predictors['group'].nunique()} groups of eight tissues, of each one half drawn carelessly, with "
    f"{simulated_predictors['labels'].min()} to {simulated_predictors['labels'].max()} labels and 400 draws each; from the lowest to the highest. Synthetic; `benchmarks/decisions_truth.py`.",
)
held_there = simulated_predictors["coverage"]
display(
    Markdown(
        f"Whichever of the two is taken, intervals held the mean there in {held_there.min():.1%} to {held_there.max():.1%} of draws: a poor predictor makes them wider, "
        "and no less honest, as long as it was chosen before the labels were there."
    )
)

# %% [markdown]
# ## Shares of cells
#
# A share of cells, those found for instance or those of one type, is a ratio of two sums. Each crop then counts by how far it is from
# the ratio, and the rest is as before.

# %% tags=["hide-input"]
if enough:
    over = {"labels": labelled, "predicted": between_models}
    sums = {
        name: (by_crop(rows, "n_matched"), by_crop(rows, "n_true")) for name, rows in over.items()
    }
    can = all(total[drawn].sum() > 0 for _, total in sums.values())
if enough and can:
    of_drawn = {name: (found[drawn], total[drawn]) for name, (found, total) in sums.items()}
    share_alone, share = (
        powered_ratio(of_drawn["labels"], of_drawn["predicted"], sums["predicted"], slope=slope)
        for slope in (0.0, None)
    )
    found, total = sums["labels"]
    display(
        Markdown(
            f"By the same {labels} crops, {rater_name(judged)} finds {share_alone.value:.1%} ± {half(share_alone):.1%} of the cells of {whose} by labels alone, and "
            f"{share.value:.1%} ± {half(share):.1%} with predictions. Over all crops it is {found.sum() / total.sum():.1%}."
        )
    )

# %% [markdown]
# ## Which crop to label next
#
# Crops may also be drawn with unequal chances: rather where models disagree, since there something is wrong. Half of the chance is spread
# evenly, so that no crop is out of reach, and each label is weighed by the chance it had. That estimates *how much is wrong*
# without bias, whatever the expectation was worth.

# %% tags=["hide-input"]
if enough:
    errors, expected = by_crop(labelled, "errors"), by_crop(between_models, "errors")
    chosen = draw_trials(errors, expected, SIZES, trials=trials, seed=seed)
    chosen.to_csv(results_dir(edition, "decisions") / "drawn_crops.csv", index=False)
    show(
        partial(trial_curves, {"errors per crop": chosen}, "half-width, 95% interval"),
        label="fig-drawn-crops",
        caption=f"Half-width of the interval of the mean number of errors per crop, cells of either without a match, from crops drawn evenly and drawn by how "
        f"much models disagree. Median of {trials} draws. {source_note([key])}",
        alt="Two falling curves of the half-width against the number of labels.",
    )

# %% tags=["hide-input"]
if enough:
    by = chosen[chosen["way"] == EXPECTED]
    spread = errors.std() / errors.mean() if errors.mean() else 0.0
    display(
        Markdown(
            f"Here crops differ in their errors by {spread:.0%} (standard deviation over mean), and the interval is {by['relative'].min():.2f} to {by['relative'].max():.2f} times as wide; it held the mean in "
            f"{by['coverage'].min():.0%} to {by['coverage'].max():.0%} of draws. The less even the errors, the more is gained; where they are even, nothing is."
        )
    )

# %% tags=["hide-input"]
uneven = pd.read_csv(shipped("benchmarks/results") / "decisions_crops.csv")
uneven = uneven[uneven["way"] == EXPECTED]
display(
    Markdown(
        f"On synthetic tissue in which one half of each image was drawn carelessly, the interval was {uneven['relative'].min():.2f} to {uneven['relative'].max():.2f} times as wide as "
        f"from an even draw, and held the mean in {uneven['coverage'].mean():.1%} of draws (`benchmarks/decisions_truth.py`)."
    )
)

# %% [markdown]
# Within a crop, the cells to adjudicate first are those whose support is nearest to one half. They teach most about borderline cells, and
# nothing about the mean: never estimate from them.

# %% [markdown]
# :::{dropdown} How it is computed
# With $y$ the labels of $m$ crops and $f$ the predictions, the estimate is $\bar y-\lambda(\bar f_m-\bar f)$, where $\bar f$ is over all crops and $\lambda$ the least
# squares slope: prediction-powered inference with a tuned λ {cite:p}`angelopoulos2023,angelopoulos2023ppi`, which for a mean is survey sampling's
# regression estimator {cite:p}`cochran1977`. The variance is the jackknife's, with λ fitted anew without each crop, and the quantile $t_{m-2}$. For labels
# in a few of many images, images are left out in place of crops. A ratio $R$ is linearised: $(y-Rx)/\bar x$.
#
# Crop $c$ of $C$ is drawn with the chance $\pi_c=\tfrac12/C+\tfrac12\,u_c/\sum u$, where $u$ is how much models disagree, and the mean is estimated as that of
# $y_c/(C\pi_c)$ {cite:p}`hansen1943`.
# :::

# %% [markdown]
# ## What this does not show
#
# - Other images. Crops were drawn from these; for other images, draw images.
# - What the labels are worth. A label is what one person drew.
# - Cohorts in which predictions correlate less with labels. How much they are worth in yours, only your own labels can show.

# %% tags=["remove-cell"]
if enough:
    assert len(crops.groupby(["sample", "crop"])) == len(score), "each crop counts once"
    assert (tried.loc[tried["way"] == ALONE, "relative"].dropna() == 1).all()
    assert abs(alone.value - score[drawn].mean()) < 1e-12, "labels alone are their mean"
    assert (expected >= 0).all()
assert simulated_predictors["coverage"].between(0, 1).all()
assert compared["crops"].le(len(score) if enough else 0).all()
assert (simulated["coverage"] > simulated["coverage_normal"]).all(), "t is wider than normal"

# %% [markdown]
# ## Takeaways
#
# - Draw crops at random, label at least eight, and use models to predict the rest.
# - Count crops, not cells.
# - Look where models disagree if you want to know how much is wrong, and weigh what you find.
