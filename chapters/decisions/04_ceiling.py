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
from imc_helpers.figures.names import cohort_name, counted, source_note
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
        f"**No mask can score above {bound:.2f}** (soft AP) with these {noun(makers[key])} of {cohort_name(key)}, not even the "
        f"truth, because they disagree with one another: they agree at {agreement:.2f}."
    )
    ran = scores.loc[scores["kind"] == "model", "value"]
    if len(ran):
        text += f" The {counted(len(ran), 'model')} score{'s' if len(ran) == 1 else ''} " + (
            f"{ran.min():.2f} to {ran.max():.2f}." if len(ran) > 1 else f"{ran.iloc[0]:.2f}."
        )
    if len(made[key]):
        by_image = made[key].groupby("sample", as_index=False)["soft_ap"].mean()
        own = over_images(
            by_image.assign(rater="consensus of the others"), "soft_ap", confidence=confidence
        )
        scores = pd.concat([own.assign(kind="people"), scores], ignore_index=True)
        text += f" The consensus of all but one of them scores {own['value'].iloc[0]:.2f} with the one left out."
    known = scores.loc[scores["kind"] == "truth", "value"]
    text += (
        f" A perfect model would score {known.iloc[0]:.2f} here, which is known only because the tissue is synthetic."
        if len(known)
        else " What a perfect model would score *cannot be identified* from these masks."
    )
    if not cohort.annotators:
        text += " These are the masks of tools: the bound holds for scores with *them*, and says nothing about people."
    sentences.append(text)
    scores = scores.sort_values("value", ascending=False, ignore_index=True)
    reach[key] = Reach(
        scores,
        {f"two {noun(makers[key])} with each other": agreement, "no mask scores higher": bound},
        bound,
    )
answer(
    "\n\n".join(sentences)
    or "This edition cannot tell: no cohort has masks by two raters for the same image, and a single mask sets no bound on "
    "the score of a perfect model."
)

# %% tags=["hide-input"]
if cohorts:
    show(
        partial(reach_rows, reach, "mean soft AP with those who made the masks"),
        label="fig-reach",
        caption=f"Mean soft AP with the raters who made the masks. Grey: scores that no mask can reach. Lines: {confidence:.0%} "
        f"intervals over images, if there are several. {data}",
        alt="One row per model, one for the consensus of the others and, if it is known, one for the truth, with a mark for the "
        "mean score. A dashed line and a grey area mark the bound.",
    )
else:
    display(Markdown("*No image here has two masks, so there is nothing to draw.*"))

# %% [markdown]
# *Soft AP* counts a matched pair of cells by its IoU, whereas AP counts it as 1 if the IoU is above a threshold. One
# minus soft AP obeys the triangle inequality: a mask cannot be close to two annotators who are far from each other.
# Hence half of what two annotators disagree about is lost for **every** mask, right or wrong. AP at a threshold has no
# such bound: of three concentric cells of 100, 160 and 250 pixels, the middle one scores 1 in ap50 with each of the
# others, although these score 0 with each other.

# %% [markdown]
# ## What can be learnt from these masks

# %% tags=["hide-input"]
if cohorts:
    told = pd.concat([identifiable(c).assign(cohort=key) for key, c in cohorts.items()])
    told["identifiable"] = np.where(told["identifiable"], "yes", "not identifiable")
    show_table(
        told[["cohort", "question", "identifiable", "because"]],
        label="tab-identifiable",
        caption=f"Which questions the masks of each cohort can answer, and why. {data}",
    )
else:
    told = pd.DataFrame(columns=["identifiable"])

# %% tags=["hide-input"]
left_over = {key: misfit(distances[key], cohort.references) for key, cohort in cohorts.items()}
told_apart = [
    f"In {cohort_name(key)}, a model with one independent error per rater explains the distances between the {noun(makers[key])} to "
    f"within {value:.3f} (root mean square); the distances are {limits[key]['distance'].mean():.3f} on average."
    for key, value in left_over.items()
    if np.isfinite(value)
]
display(
    Markdown(
        " ".join(told_apart)
        + " The more remains unexplained, the more some of them make the same errors."
        if told_apart
        else "*Whether some raters make the same errors can be asked only of images with four masks.*"
    )
)

# %% [markdown]
# ## How far from what people draw
#
# Agreement with annotators mixes two things: how far a model is from what people draw *on average*, and how far
# each of these people is from that average. The distance δ separates them, because it adds up as variances do. Roughly,
# δ is the share of cells on which two masks disagree. A model's **excess** is its squared distance from the mean of
# people like these; that of a single person is half of the mean distance between two people. A model with a
# lower excess is closer to the people's mean than one of them is, but not necessarily closer to the truth. If the masks
# were made by tools, all of this holds for tools like these, and not for people.

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
        caption=f"Squared distance of masks from the mean of people (0). Dashed: a single person. Estimates can fall below 0. "
        f"Lines: {confidence:.0%} intervals over images. {data}",
        alt="One row per mask with a mark for its excess, a line at zero and one for a single person.",
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
            f"In {cohort_name(key)}, a single one of the {noun(makers[key])} has an excess of {spread:.3f}. "
            + (
                "With one image there is no interval, so whether any model is closer to the mean *cannot be decided*."
                if len(undecided)
                else f"{len(closer) or 'None'} of {counted(len(models), 'model')} {'is' if len(closer) < 2 else 'are'} surely "
                f"closer to the mean (each interval by itself, for other images and the same {noun(makers[key])})."
            )
        )
    if TRUTH in rows.index:
        value = rows.loc[TRUTH, "value"]
        lines.append(
            f"The truth itself has an excess of {value:.3f} and is thus {'farther from' if value > spread else 'closer to'} the "
            "mean of people than a single person is. Two things keep it away from that mean: the errors that all people "
            "share, and its sharp borders, which the mean of unsteady hands blurs."
        )
display(Markdown(" ".join(lines)))

# %% [markdown]
# ## How a few adjudicated crops would help
#
# To know what a perfect model would score, one needs the truth, but not everywhere. It is enough that experts
# settle together what is there in a few crops, drawn at random; the annotators' agreement in the other crops then
# completes the estimate. On synthetic tissue the truth can be looked up, and the estimate can be checked.

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
            f"In {cohort_name(synthetic)}, {adjudicated} of {len(agreed)} crops of {crop_px} x {crop_px} px were drawn. From "
            f"these, the truth is estimated to score {found.value:.3f} in ap50 with the annotators ({confidence:.0%} interval "
            f"{found.low:.3f} to {found.high:.3f}); its actual score over all crops is {perfect.mean():.3f}. The annotators score "
            f"{agreed.mean():.3f} with one another; halving their disagreement would predict {(1 + agreed.mean()) / 2:.3f}."
        )
    )
else:
    display(
        Markdown(
            "*Nobody adjudicated these images, so what the truth would score remains unknown. The demo edition tries the "
            "method on synthetic tissue, and the table below on many groups of simulated people.*"
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
            "correlation": "correlation of errors",
            "labels": "adjudicated crops",
            "bias": "largest bias",
            "least": "lowest coverage",
            "width": "width (labels alone: 1)",
        }
    ),
    label="tab-truth-trials",
    caption="The method tried on synthetic tissue, with 400 draws of crops for each group of four simulated people: largest "
    "bias in any group, and how often 95% intervals contained the truth's score. Measured once by "
    "`benchmarks/decisions_truth.py`.",
)

# %% [markdown]
# ## Why not simply halve the disagreement?
#
# Two people differ by the errors of both, the truth and a person by the errors of one. The truth should therefore score
# half as far from 1 as two people do; {cite:t}`pachitariu2025` estimate a bound for models in this way. But this
# holds only if people share no errors, and even then not for ap50, as {numref}`tab-halving` shows. The masks cannot
# tell whether people share errors, because an error that everybody makes causes no difference between them.
# {numref}`fig-supposed` shows what the truth would score under different assumptions; it is **not an estimate**.

# %% tags=["hide-input"]
means = {key: limits[key]["distance"].mean() for key in cohorts}
means = {key: value for key, value in means.items() if np.isfinite(value)}
if means:
    show(
        partial(supposed_curves, means),
        label="fig-supposed",
        caption=f"What the truth would score (one minus δ) if the errors of two people had a correlation of ρ: an assumption, not "
        f"an estimate. At ρ = 0 the disagreement is halved; at ρ = 0.5 (dots) the truth scores as people do. {data}",
        alt="One falling curve per cohort, with a dot where it meets the agreement of people.",
    )

# %% tags=["hide-input"]
halved = pd.read_csv(shipped("benchmarks/results") / "decisions_halving.csv")
over = halved.groupby(["evidence", "correlation"])["overstated"].agg(["mean", "min", "max"])
show_table(
    over.reset_index().rename(
        columns={
            "evidence": "ambiguity of the image",
            "correlation": "correlation of errors",
            "mean": "overstated by (mean)",
            "min": "lowest",
            "max": "highest",
        }
    ),
    label="tab-halving",
    caption="By how much halving the disagreement overstates the truth's ap50: mean, lowest and highest value over six groups "
    "of four simulated people who draw by hand. *Ambiguity of the image*: how far the image leads everybody to the same slip. "
    "Measured once by `benchmarks/decisions_truth.py`.",
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
# - Whether a model is right. Excess measures the distance from people like these annotators, including the errors that
#   they all share.
# - The bound for other people. It holds for the masks at hand; other annotators have their own.
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
# - Half of what annotators disagree about is out of reach for every mask. Look at the bound before you blame a model.
# - The masks of people cannot reveal errors that all of them make. To learn what a perfect model would score, have a
#   dozen random crops adjudicated.
# - Do not halve the disagreement to estimate that score: this assumes that no two people share an error.
