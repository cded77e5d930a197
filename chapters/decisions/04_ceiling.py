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
# # The ceiling
#
# **What would a perfect model score here?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
most_images: int = 4  # images of a cohort that are looked at, evenly spread
adjudicated: int = 12  # crops in which the truth is looked up, where it is known
crop_px: int = 64  # edge of a crop, pixels
confidence: float = 0.95  # of the intervals
seed: int = 0  # of the crops that are drawn

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
from imc_helpers.data.raters import TRUTH, noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread
from imc_helpers.decisions.ceiling import (
    against_annotators,
    attained,
    bounds,
    identifiable,
    misfit,
    over_images,
    supposed_score,
    truth_score,
)
from imc_helpers.decisions.crops import by_crop, crop_scores
from imc_helpers.decisions.distances import cohort_distances, distance_from_mean
from imc_helpers.figures.names import cohort_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.truth_plots import Reach, reach_rows, supposed_curves

record = load_edition(edition)
everything = {key: open_cohort(key) for key in record.cohorts}
cohorts = {key: cohort for key, cohort in everything.items() if cohort.shared_ids}
looked_at = {key: evenly_spread(c.shared_ids, most_images) for key, c in cohorts.items()}
makers = {key: [r for r in c.raters if r.name in c.references] for key, c in cohorts.items()}
distances = {
    key: cohort_distances(cohort, record.models, samples=looked_at[key])
    for key, cohort in cohorts.items()
}
limits = {key: bounds(distances[key], cohort.references) for key, cohort in cohorts.items()}
reached = {
    key: against_annotators(distances[key], cohort.references) for key, cohort in cohorts.items()
}
made = {key: attained(cohort, looked_at[key]) for key, cohort in cohorts.items()}
data = source_note(cohorts)

sentences, reach = [], {}
for key, cohort in cohorts.items():
    scores = over_images(reached[key], "soft_ap", confidence=confidence)
    scores["kind"] = np.where(scores["rater"] == TRUTH, "truth", "model")
    agreement, bound = limits[key][["agreement", "bound"]].mean()
    text = (
        f"In {cohort_name(key)} {len(makers[key])} {noun(makers[key])} agree at {agreement:.2f} (soft AP). With these "
        f"masks **no mask can score above {bound:.2f}**, the truth included."
    )
    ran = scores.loc[scores["kind"] == "model", "value"]
    if len(ran):
        text += f" Of {len(ran)} models the scores are {ran.min():.2f} to {ran.max():.2f}."
    if len(made[key]):
        by_image = made[key].groupby("sample", as_index=False)["soft_ap"].mean()
        own = over_images(
            by_image.assign(rater="consensus of the others"), "soft_ap", confidence=confidence
        )
        scores = pd.concat([own.assign(kind="people"), scores], ignore_index=True)
        text += f" The consensus of the others reaches {own['value'].iloc[0]:.2f} with the person left out."
    known = scores.loc[scores["kind"] == "truth", "value"]
    text += (
        f" The tissue is synthetic, so the truth's own score is known: {known.iloc[0]:.2f}."
        if len(known)
        else " What the truth itself would score is *not identifiable* from these masks."
    )
    if not cohort.annotators:
        text += " These are tools: their masks bound what scores with *them*, and say nothing of people."
    sentences.append(text)
    scores = scores.sort_values("value", ascending=False, ignore_index=True)
    reach[key] = Reach(
        scores,
        {f"two {noun(makers[key])} with each other": agreement, "no mask scores higher": bound},
        bound,
    )
answer(
    "\n\n".join(sentences)
    or "*Not identifiable.* No cohort of this edition has masks of two raters for one image. One mask alone agrees with "
    "nobody, so it bounds nothing: what a perfect model would score here cannot be asked."
)

# %% tags=["hide-input"]
if cohorts:
    show(
        partial(reach_rows, reach, "mean soft AP with those who made the masks"),
        label="fig-reach",
        caption=f"Mean soft AP with the makers of the masks, and where no mask gets (grey). Lines: {confidence:.0%} interval "
        f"over images, where there are several. {data}",
        alt="A row for each model, for the consensus of others and, where it is known, the truth, with a mark for the "
        "mean score. A dashed line and a grey field mark the bound.",
    )
else:
    display(Markdown("*No image here has two masks, so there is nothing to draw.*"))

# %% [markdown]
# *Soft AP* counts a matched pair of cells by its IoU, where AP counts it as 1 above a threshold. One minus soft AP obeys
# the triangle inequality: a mask cannot be near to two annotators who are far from each other. So half of what they
# disagree about is lost to **every** mask, right or wrong. AP at a threshold has no such bound: of three concentric cells
# of 100, 160 and 250 pixels the middle one scores 1 in ap50 with the two others, which score 0 with each other.

# %% [markdown]
# ## What these masks can tell

# %% tags=["hide-input"]
if cohorts:
    told = pd.concat([identifiable(c).assign(cohort=key) for key, c in cohorts.items()])
    told["identifiable"] = np.where(told["identifiable"], "yes", "not identifiable")
    show_table(
        told[["cohort", "question", "identifiable", "because"]],
        label="tab-identifiable",
        caption=f"What can be learnt from the masks of each cohort, and why the rest cannot. {data}",
    )
else:
    told = pd.DataFrame(columns=["identifiable"])

# %% tags=["hide-input"]
left_over = {key: misfit(distances[key], cohort.references) for key, cohort in cohorts.items()}
told_apart = [
    f"In {cohort_name(key)} one error for each explains the distances of the {noun(makers[key])} to within {value:.3f} (root mean square), where the "
    f"distances are {limits[key]['distance'].mean():.3f} on average."
    for key, value in left_over.items()
    if np.isfinite(value)
]
display(
    Markdown(
        " ".join(told_apart) + " The more is left over, the more some of them err alike."
        if told_apart
        else "*Whether some err alike takes four masks of an image.*"
    )
)

# %% [markdown]
# ## How far from what people draw
#
# Agreement with each annotator mixes two things: how far a model is from what people draw *on average*, and how far
# each of them is from that. A distance that adds up as variances do takes them apart. δ counts, roughly, the share of cells
# on which two masks disagree; a model's **excess** is its squared distance from the mean of people like these, whoever they
# are. A single person lies at half of the mean distance between two people. An excess below that line means closer to
# the people's mean than one of them is; it does not mean closer to the truth. Where the masks are those of tools, all of
# this holds for tools like these, and for nobody else.

# %% tags=["hide-input"]
if cohorts:
    excess, tables = {}, []
    for key, cohort in cohorts.items():
        found = distance_from_mean(distances[key], cohort.references)
        rows = over_images(found, "excess", confidence=confidence)
        rows["kind"] = np.where(rows["rater"] == TRUTH, "truth", "model")
        rows = rows.sort_values("value", ignore_index=True)
        tables.append(rows.assign(cohort=key))
        if len(rows):
            spread = found.drop_duplicates("sample")["spread"].mean()
            excess[key] = Reach(rows, {"the mean of people": 0.0, "a single person": spread})
    excesses = pd.concat(tables, ignore_index=True)
    excesses.to_csv(results_dir(edition, "decisions") / "excess.csv", index=False)
if cohorts and excess:
    show(
        partial(reach_rows, excess, "excess: squared distance from what people draw on average, δ"),
        label="fig-excess",
        caption=f"How far masks are from the mean of people: 0 is that mean, the dashed line a single person. An estimate may lie below 0. "
        f"Lines: {confidence:.0%} interval over images. {data}",
        alt="A row for each mask with a mark for its excess, a line at zero and one for a single person.",
    )
else:
    display(Markdown("*No model ran on images with two masks, and no truth is known.*"))

# %% tags=["hide-input"]
lines = []
for key in cohorts:
    rows = excesses[excesses["cohort"] == key].set_index("rater")
    spread = limits[key]["distance"].mean() / 2
    models = rows[rows["kind"] == "model"]
    closer = models[models["high"] < spread]
    undecided = models[models["low"].isna()]
    if len(models):
        lines.append(
            f"In {cohort_name(key)} a single one of the {noun(makers[key])} lies at {spread:.3f}. "
            + (
                "With one image there is no interval, so whether any model lies nearer is *undecidable*."
                if len(undecided)
                else f"{len(closer)} of {len(models)} models lie nearer than that by their intervals (each by itself, "
                f"for other images and these same {noun(makers[key])})."
            )
        )
    if TRUTH in rows.index:
        value = rows.loc[TRUTH, "value"]
        lines.append(
            f"The truth itself lies at {value:.3f}, {'further out than' if value > spread else 'nearer than'} a single "
            "person: what all of them do wrong, and borders that are sharp where the mean of unsteady hands is not, keep "
            "it away from their mean."
        )
display(Markdown(" ".join(lines)))

# %% [markdown]
# ## What a few adjudicated crops would tell
#
# Only the truth tells what the truth scores. It need not be known everywhere: in a few crops, drawn at random, experts
# settle together what is there, and what the annotators' agreement says of the other crops does the rest. Where tissue is synthetic
# the truth can be looked up, and so can the answer.

# %% tags=["hide-input"]
synthetic = next((k for k, c in cohorts.items() if any(r.kind == "truth" for r in c.raters)), None)
if synthetic:
    cohort, people = cohorts[synthetic], cohorts[synthetic].references
    pairs = [(a, b) for k, a in enumerate((TRUTH, *people)) for b in (TRUTH, *people)[k + 1 :]]
    crops = crop_scores(cohort, pairs, samples=looked_at[synthetic], crop_px=crop_px)
    of_truth = crops["rater_true"] == TRUTH
    perfect, agreed = by_crop(crops[of_truth], "ap50"), by_crop(crops[~of_truth], "ap50")
if synthetic and len(agreed) >= 2 * adjudicated:
    drawn = perfect.sample(adjudicated, random_state=seed)
    found = truth_score(agreed, drawn, confidence=confidence)
    display(
        Markdown(
            f"In {cohort_name(synthetic)}, {adjudicated} of {len(agreed)} crops of {crop_px} x {crop_px} px were drawn. By them "
            f"the truth scores {found.value:.3f} in ap50 with the annotators ({confidence:.0%} interval {found.low:.3f} "
            f"to {found.high:.3f}); over all crops it scores {perfect.mean():.3f}. The annotators score {agreed.mean():.3f} "
            f"with one another, of which halving the disagreement would make {(1 + agreed.mean()) / 2:.3f}."
        )
    )
else:
    display(
        Markdown(
            "*Nobody adjudicated these images, so what the truth would score stays open. The demo edition tries the "
            "method on synthetic tissue, and the table below on many groups of people.*"
        )
    )

# %% tags=["hide-input"]
trials = pd.read_csv(shipped("benchmarks/results") / "decisions_truth.csv")
summary = trials[trials["way"] == "with predictions"].groupby(["correlation", "labels"])
summary = summary.agg(
    groups=("group", "nunique"),
    bias=("error", lambda e: e.abs().max()),
    coverage=("coverage", "mean"),
    least=("coverage", "min"),
    width=("relative", "mean"),
).reset_index()
show_table(
    summary.rename(
        columns={
            "correlation": "errors correlate by",
            "labels": "crops adjudicated",
            "bias": "largest bias",
            "least": "least coverage",
            "width": "width, labels alone = 1",
        }
    ),
    label="tab-truth-trials",
    caption="The method tried on synthetic tissue, 400 draws of crops for each group of four people: largest bias of any "
    "group, and how often 95% intervals held the truth's score. Synthetic; `benchmarks/decisions_truth.py`.",
)

# %% [markdown]
# ## Why not simply halve the disagreement?
#
# Two people differ by the errors of both, the truth and a person by those of one. So the truth should score
# half as far from 1 as two people do; {cite:t}`pachitariu2025` estimate a bound for models in this way. It holds only where
# errors have nothing in common, and even then not in ap50, as {numref}`tab-halving` shows. Nothing in the masks says whether they have: errors that all make are in no difference between them. {numref}`fig-supposed`
# shows what the truth would score under one assumption after another; it is **not an estimate**.

# %% tags=["hide-input"]
means = {key: limits[key]["distance"].mean() for key in cohorts}
means = {key: value for key, value in means.items() if np.isfinite(value)}
if means:
    show(
        partial(supposed_curves, means),
        label="fig-supposed",
        caption=f"An assumption, not an estimate: one minus δ of the truth, if the errors of two people correlate by ρ. "
        f"At ρ = 0 the disagreement is halved; at ρ = 0.5 (dots) the truth scores as people do. {data}",
        alt="A falling curve for each cohort, with a dot where it meets the agreement of people.",
    )

# %% tags=["hide-input"]
halved = pd.read_csv(shipped("benchmarks/results") / "decisions_halving.csv")
over = halved.groupby(["evidence", "correlation"])["overstated"].agg(["mean", "min", "max"])
show_table(
    over.reset_index().rename(
        columns={
            "evidence": "doubt in the image",
            "correlation": "errors correlate by",
            "mean": "overstated by",
            "min": "least",
            "max": "most",
        }
    ),
    label="tab-halving",
    caption="By how much halving overstates the truth's ap50: means, least and most of six groups of four people who draw by "
    "hand. *Doubt in the image* is how much of a slip the image decides for everybody. Synthetic; `benchmarks/decisions_truth.py`.",
)

# %% [markdown]
# :::{dropdown} How it is computed
# Divide each cell by the root of its area. Two cells then have the inner product $|a\cap b|/\sqrt{|a||b|}$, a mask is the
# projection on the space of its cells, and with $\kappa=\sum|a_i\cap b_j|^2/(|a_i||b_j|)$
#
# $$\delta(A,B)=\frac{n_A+n_B-2\kappa}{2\bar n}$$
#
# is a squared Euclidean distance; $\bar n$ is the annotators' mean number of cells in the image. For a mask $R$,
# $\mathrm{excess}(R)=\overline{\delta(R,a)}-\bar D/2$, with $\bar D$ the mean δ between two annotators, is unbiased for its squared
# distance from the mean of the people of whom the annotators are a sample: half of the generalized energy distance
# {cite:p}`szekely2013`. The truth scores below agreement in δ exactly when its excess is above $\bar D/2$.
#
# *Soft AP* is $S/(n+m-S)$ with $S$ the largest summed IoU of a one-to-one assignment. $n+m-2S$ is a metric of point sets (GOSPA,
# {cite:t}`rahmathullah2017`), and $1-S/(n+m-S)$ its Steinhaus transform, so a metric too.
#
# The truth's score is estimated as $\bar y-\lambda(\bar f_m-\bar f)$: $y$ its score in the adjudicated crops, $f$ the annotators'
# agreement there and everywhere, $\lambda$ the least squares slope; jackknife variance, $t_{m-2}$ (*What do ten labels buy?*). Latent-class
# models that estimate a truth from raters alone fit well and mislead when errors depend on each other
# {cite:p}`albert2004`; none is used here.
# :::

# %% [markdown]
# ## What this does not show
#
# - Whether a model is right. Excess measures the distance from people like these annotators, errors that all share included.
# - Other people's bound. It holds for the masks at hand; other annotators have their own.
# - A bound for ap50, map or sap. There is none.

# %% tags=["remove-cell"]
for key in cohorts:
    merged = reached[key].merge(limits[key], on="sample", suffixes=("", "_pair"))
    assert (merged["soft_ap"] <= merged["bound"] + 1e-9).all(), "no mask scores above the bound"
    assert (limits[key]["bound"] <= 1).all()
    assert supposed_score(means.get(key, 0.0), 0.5) == 1 - means.get(key, 0.0)
assert not len(told) or (told["identifiable"] != "yes").any(), "something is never identifiable"
assert trials["coverage"].between(0, 1).all()

# %% [markdown]
# ## Takeaways
#
# - Half of what annotators disagree about is out of reach of every mask. Look at the bound before you blame a model.
# - Masks of people never tell what they all do wrong. Whoever wants the truth's score has to adjudicate; a dozen random crops
#   go far.
# - Do not halve the disagreement: it supposes that nobody shares an error.
