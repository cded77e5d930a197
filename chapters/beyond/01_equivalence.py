# ---
# jupyter:
#   imc_book:
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
# # Human equivalence
#
# **Is a model as good as a person?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
metric: str = "ap50"  # score of the figures: ap50, map or sap
mode: str = "whole"  # mode of the figures: whole or patch
margin: float = 0.05  # difference of scores that is taken not to matter
confidence: float = 0.95  # of the intervals
draws: int = 2000  # bootstrap draws
seed: int = 0  # of the bootstrap
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
from functools import partial

import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.agreement.score_table import read_scores
from imc_helpers.agreement.equivalence import MEAN, Decision, equivalence_of_cohorts
from imc_helpers.agreement.intervals import coverage
from imc_helpers.experiments.known_quality import known_candidates, trial, verdicts
from imc_helpers.figures.model_plots import equivalence_rows, trial_rows
from imc_helpers.figures.names import cohort_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.data.manifest import cohort_record, load_edition
from imc_helpers.data.paths import results_dir
from imc_helpers.data.predictions import find_models
from imc_helpers.data.raters import noun
from imc_helpers.data.readers.published import open_cohort

record = load_edition(edition)
cohorts = {key: open_cohort(key) for key in record.cohorts}
cohorts = {key: cohort for key, cohort in cohorts.items() if len(cohort.references) > 1}
scores = read_scores(edition, cohorts, strict=strict)
options = {"margin": margin, "confidence": confidence, "draws": draws, "seed": seed}
table = equivalence_of_cohorts(scores, cohorts, record.models, **options)
table.to_csv(results_dir(edition, "models") / "equivalence.csv", index=False)
whose = noun(r for c in cohorts.values() for r in c.raters if r.name in c.references)
means = table[table["left_out"] == MEAN]
shown = table[(table["metric"] == metric) & (table["mode"] == mode)]
synthetic = next((key for key in cohorts if cohort_record(key).synthetic), None)
if synthetic:
    cohort = cohorts[synthetic]
    ran = list(find_models(synthetic, record.models, "whole"))
    tried = trial(cohort, known_candidates(cohort), ran, scores=scores, strict=strict, **options)
    tried.to_csv(results_dir(edition, "models") / "trial.csv", index=False)
    now = tried[tried["metric"] == metric].reset_index(drop=True)
of_models = shown[(shown["left_out"] == MEAN) & shown["model"].isin(record.models)]
data = source_note(cohorts)
counts = of_models["decision"].value_counts()
told = ", ".join(f"{counts[d.value]} {d.value}" for d in Decision if d.value in counts)
checked = (
    f"Whether they are right is known here: of {len(now)} candidates, the truth gives {now['right'].sum()} the same "
    f"verdict. A perfect model they call "
    f"{now.loc[now['model'] == 'the truth', 'decision'].iloc[0]}."
    if synthetic
    else "Whether they are right can be asked only of synthetic tissue; the demo edition does."
)
summary = (
    f"By a margin of {margin:g} in {metric} ({mode}), of {len(of_models)} pairs of model and "
    f"cohort: {told or 'none, no model ran'}. So say the {whose}. {checked}"
    if cohorts
    else "No cohort of this edition has masks of two raters, and one alone agrees with nobody: whether a model is "
    "as good as a person cannot be asked here. What the page simulates holds all the same."
)
answer(summary)

# %% tags=["hide-input"]
if len(shown):
    show(
        partial(equivalence_rows, shown, margin, raters=whose),
        label="fig-equivalence",
        caption=f"Difference of each model from the {whose} in {metric}, with its {confidence:.0%} interval where "
        f"there are several images. Small lines: one of them left out at a time. {data}",
        alt="A row for each model, with a mark for its difference from its judges, a line for the "
        "interval, and a band around zero for the margin.",
    )
else:
    display(Markdown("*No model ran on cohorts with several masks of an image.*"))

# %% [markdown]
# "No significant difference between model and human" is how a model came to be called human-level
# ({cite:t}`greenwald2022`). But absence of evidence is no evidence of absence {cite:p}`altman1995`: few or
# noisy data show no difference either. Trials of drugs ask it the other way round: say beforehand which
# difference would not matter, the {term}`margin`, and show that the difference is smaller
# {cite:p}`schuirmann1987,piaggio2012`. This page asks so, and then checks on tissue whose truth is known
# whether the answer is right.

# %% [markdown]
# ## Model and person before the same judges
#
# Leave one annotator out. The others judge the model, and judge the one left out. The difference is the
# model's distance from that person, before the same judges, on the same images. Do so for each annotator in
# turn, and average:
#
# $$d = \operatorname*{mean}_a \Big[ \operatorname*{mean}_{b \ne a} s(\text{model}, b)
# - \operatorname*{mean}_{b \ne a} s(a, b) \Big]$$
#
# The interval of $d$ comes from a {term}`bootstrap` that draws images, and then patches within them
# {cite:p}`saravanan2020`. Where it lies decides: *below* or *above* when all of it is beyond the margin,
# *within* when all of it is inside, *undecided* otherwise. Where the masks are those of tools, the same
# comparison is with tools, and says nothing about people.

# %% [markdown]
# Where there are three people or more, each stands here too, judged by the others as if a model.
# People themselves spread widely around zero. A model can only be called equivalent to *these* annotators on
# average; where they differ from one another by more than the margin, one of them is always outside it.

# %% tags=["hide-input"]
listed = means.assign(at=means["metric"] + ", " + means["mode"]).pivot_table(
    index=["cohort", "model"], columns="at", values="decision", aggfunc="first", sort=False
)
if len(listed):
    show_table(
        listed.reset_index(),
        label="tab-equivalence",
        caption=f"The decision at a margin of {margin:g}, for every score and mode. {data}",
    )
else:
    display(Markdown("*Nothing to decide.*"))

# %% tags=["hide-input"]
pairs_only = [key for key, cohort in cohorts.items() if len(cohort.references) == 2]
single = [key for key, cohort in cohorts.items() if len(cohort) == 1]
remarks = []
if pairs_only:
    names = ", ".join(cohort_name(key) for key in pairs_only)
    remarks.append(
        f"In {names} there are two masks of an image. The maker of each is judged by the other alone, so both get "
        "the same score, and nobody can tell a poor mask from a poor model: whichever of the two is off lowers the "
        "bar for every model. Nor can one of the two be tried as if a model: one judge is left, and no agreement."
    )
if single:
    names = ", ".join(cohort_name(key) for key in single)
    remarks.append(
        f"{names} has one image. Its patches say how even that image is and nothing about a second one, so "
        "there is no interval, and nothing is decided."
    )
if remarks or not cohorts:
    display(Markdown(" ".join(remarks)))
else:
    display(Markdown("*Each cohort here has three annotators or more, and two images or more.*"))

# %% [markdown]
# ## Images, not patches
#
# Patches of one image are alike, so many of them say little more than a few. {numref}`tab-coverage` simulates
# studies whose true mean is known, and counts how often an interval holds it.

# %% tags=["hide-input"]
n_images = min([len(cohort) for cohort in cohorts.values() if len(cohort) > 1], default=4)
simulated = pd.DataFrame(
    {"images": n, "patches of each": patches, **coverage(n, patches, confidence=confidence)}
    for n, patches in ((n_images, 1), (n_images, 9), (3 * n_images, 9))
)
show_table(
    simulated,
    label="tab-coverage",
    caption=f"Share of simulated studies whose {confidence:.0%} interval holds the true mean. Images differ as "
    "much from one another as the patches of one do. *Widened* by the t distribution, for few images "
    "{cite:p}`hesterberg2015`: the interval of this page. Simulated normal scores, made by this page.",
)

# %% [markdown]
# ## Does it decide rightly?
#
# On a phantom the truth is known. So let the annotators judge candidates of known quality as if they were
# models: the truth itself; the truth with cells missing, merged or shrunk; a copy of each annotator; the
# cells that most annotators drew; each annotator held out; and the models. Then ask the truth the same
# question: does the candidate score higher with the truth than the annotators do?

# %% tags=["hide-input"]
if synthetic:
    show(
        partial(trial_rows, now, margin),
        label="fig-trial",
        caption=f"Candidates of known quality, judged by annotators and by the truth: {metric} less the annotators' "
        f"own, on whole images. {source_note([synthetic])}",
        alt="Two panels with a row for each candidate. The truth and its flawed copies lie left of the "
        "margin when annotators judge, and right of it when the truth does.",
    )
else:
    display(
        Markdown(
            "*No cohort of this edition has both several annotators and a known truth: that takes synthetic "
            "tissue. The demo edition asks the question here.*"
        )
    )

# %% tags=["hide-input"]
if synthetic:
    by_kind = verdicts(now, record.models)
    show_table(
        by_kind,
        label="tab-verdicts",
        caption=f"Does the annotators' verdict agree with the truth's? {metric}, whole images, margin "
        f"{margin:g}. *Too harsh*: annotators call a candidate below where the truth says within or above, or "
        f"within where it says above. {source_note([synthetic])}",
    )

# %% tags=["hide-input"]
if synthetic:
    by_kind = by_kind.set_index("candidate")
    perfect = now[now["model"] == "the truth"].iloc[0]
    copies = now[now["model"].str.startswith("copy of")]
    flattered = copies.loc[copies["difference"].idxmax()]
    text = (
        f"**A perfect model is called {perfect['decision']}.** The truth itself scores "
        f"{perfect['model_score']:.3f} with the annotators, {abs(perfect['difference']):.3f} "
        f"{'less' if perfect['difference'] < 0 else 'more'} than they score with one another. Of "
        f"{by_kind['tried'].iloc[0]} candidates made from the truth the annotators judge "
        f"{by_kind['annotators too harsh'].iloc[0]} too harshly and {by_kind['annotators too kind'].iloc[0]} too "
        f"kindly. **A copy is flattered:** the copy of {flattered['model'].removeprefix('copy of ')} is called "
        f"{flattered['decision']}, since it agrees perfectly with one of its judges. The least of its "
        f"differences, with {flattered['worst']} left out, is {flattered['worst_difference']:+.3f}: "
        f"{flattered['worst_decision']}, which is what a copy of a person should be. So look at each annotator "
        "left out, and not at the mean alone. "
    )
    if "an annotator, held out" in by_kind.index:
        row = by_kind.loc["an annotator, held out"]
        text += (
            f"**About people it decides rightly** in {row['same verdict']} of {row['tried']} cases"
            + (
                ": an annotator held out errs as the others err, and then agreement does measure quality. "
                if row["same verdict"] == row["tried"]
                else ". "
            )
        )
    if "a model" in by_kind.index:
        row = by_kind.loc["a model"]
        text += (
            f"Of {row['tried']} models that ran, {row['same verdict']} get the same verdict from both, "
            f"{row['annotators too harsh']} too harsh a one, {row['annotators too kind']} too kind a one."
        )
    display(Markdown(text))

# %% [markdown]
# So the comparison answers what it asks: *does the model do what these people do?* It is a fair measure of
# quality among those who err alike. A model with unusual errors scores low, whether it is better or worse than
# people.

# %% [markdown]
# ## What this does not show
#
# - That a model is right, or wrong. *Below* means unlike these annotators.
# - Other annotators. Images are drawn anew, people are not; two or four are too few to draw from.
# - The right margin. It is a choice; the figure of differences shows how far people lie from one another.
# - More than one group of simulated annotators: how much their errors correlate was chosen
#   ([](../study/05_annotators)), and with it how far agreement is from the truth. Another group may give the
#   truth another verdict.

# %% tags=["remove-cell"]
assert table["decision"].isin([d.value for d in Decision]).all()
sure = table["low"].notna()
assert (table.loc[sure, "low"] <= table.loc[sure, "difference"]).all()
assert (table.loc[~sure, "decision"] == Decision.UNDECIDED.value).all()
gap = table["model_score"] - table["annotator_score"] - table["difference"]
assert table.empty or gap.abs().max() < 1e-9, "the difference is that of the two scores"
assert simulated["bootstrap over images, widened"].min() > confidence - 0.03, "it covers"
clustered = simulated[simulated["patches of each"] > 1]
assert (clustered["patches as independent"] < confidence - 0.1).all(), "patches are not independent"
if synthetic:
    assert (now.loc[now["model"] == "the truth", "model_score_truth"] == 1).all()
    judged = by_kind[["same verdict", "annotators too harsh", "annotators too kind"]].sum(axis=1)
    assert (judged <= by_kind["tried"]).all()
    assert flattered["worst_difference"] <= flattered["difference"], (
        "a judge left out is the least kind"
    )

# %% [markdown]
# ## Takeaways
#
# - Ask for equivalence with a margin and an interval. *No significant difference* is not an answer.
# - Compare model and person before the same judges, on the same images, and show each judge left out.
# - Equivalence to annotators is not correctness. It says that a model errs as they do.
