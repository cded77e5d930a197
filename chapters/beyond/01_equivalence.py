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
loss: float = 0.05  # share of a person's cells whose loss is taken not to matter
alpha: float = 0.025  # error of a decision on one side, of all models together
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
from imc_helpers.agreement.weakened import SEEDS
from imc_helpers.experiments.known_quality import known_candidates, trial, verdicts
from imc_helpers.figures.model_plots import equivalence_rows, trial_rows
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.data.manifest import cohort_record, load_edition
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.predictions import find_models
from imc_helpers.data.raters import noun
from imc_helpers.data.readers.published import open_cohort

record = load_edition(edition)
everything = {key: open_cohort(key) for key in record.cohorts}
cohorts = {key: cohort for key, cohort in everything.items() if len(cohort.annotators) > 1}
of_tools = [key for key, c in everything.items() if len(c.tools) > 1 and key not in cohorts]
scores = read_scores(edition, cohorts, strict=strict)
options = {"loss": loss, "alpha": alpha, "strict": strict}
table = equivalence_of_cohorts(scores, cohorts, record.models, **options)
table.to_csv(results_dir(edition, "models") / "equivalence.csv", index=False)
whose = noun(r for c in cohorts.values() for r in c.raters if r.name in c.annotators)
means = table[table["left_out"] == MEAN]
shown = table[(table["metric"] == metric) & (table["mode"] == mode)]
synthetic = next((key for key in cohorts if cohort_record(key).synthetic), None)
if synthetic:
    cohort = cohorts[synthetic]
    ran = list(find_models(synthetic, record.models, "whole"))
    tried = trial(cohort, known_candidates(cohort), ran, scores=scores, **options)
    tried.to_csv(results_dir(edition, "models") / "trial.csv", index=False)
    now = tried[tried["metric"] == metric].reset_index(drop=True)
of_models = shown[(shown["left_out"] == MEAN) & shown["model"].isin(record.models)]
data = source_note(cohorts)
counts = of_models["decision"].value_counts()
told = ", ".join(f"{counts[d.value]} {d.value}" for d in Decision if d.value in counts)
tools_only = (
    f" {', '.join(map(cohort_name, of_tools))} has the masks of tools alone, so nobody can say what a person would "
    "reach there; models can be compared with one another ([](../decisions/02_models))."
    if of_tools
    else ""
)
if synthetic:
    outcomes = now["outcome"].value_counts().reindex(["right", "wrong", "abstained"], fill_value=0)
    perfect = now[now["model"] == "the truth"].iloc[0]
    checked = (
        f"Whether they are right is known here: of {len(now)} candidates, people and truth decide alike on "
        f"{outcomes['right']}, differently on {outcomes['wrong']}, and one of them abstains on {outcomes['abstained']}. "
        f"A perfect model is called {perfect['decision']} by this one group of people; other groups differ."
    )
else:
    checked = "Whether they are right can be asked only of synthetic tissue; the demo edition does."
summary = (
    f"The yardstick is a person who lost {loss:.0%} of the cells. By it, of {len(of_models)} pairs of model and "
    f"cohort in {metric} ({mode}): {told or 'none, no model ran'} (before these {whose}, on other images like these). "
    f"{checked}"
    if cohorts
    else "No cohort of this edition has the masks of two people, and one alone agrees with nobody: whether a model is "
    "as good as a person cannot be asked here. What the page simulates holds all the same."
)
answer(summary + tools_only)

# %% tags=["hide-input"]
if len(shown):
    show(
        partial(equivalence_rows, shown, raters=whose),
        label="fig-equivalence",
        caption=f"Difference of each model from the {whose} in {metric}, with the {1 - 2 * alpha:.0%} interval of all "
        f"models together where there are several images. Green: what a person loses with {loss:.0%} of the cells, on "
        "average; the decision counts that its size is not known exactly either. Small lines: one of them left out at "
        f"a time. {data}",
        alt="A row for each model, with a mark for its difference from its judges, a line for the "
        "interval, and a band around zero for the margin.",
    )
else:
    display(Markdown("*No model ran on cohorts with the masks of two people.*"))

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
# Leave one annotator out. The others judge the model, judge the one left out, and judge that one's
# {term}`weakened self <weakened annotator>`: the same mask after some of its cells were lost. So all three stand before
# the same judges, on the same images. Do so for each annotator in turn, and average.
#
# - The model is **not inferior** where it is surely ahead of the weakened person.
# - It is **within** where besides it is surely not ahead of the person by as much as the loss costs.
# - It is **below** where it is surely behind the weakened person, **above** where it is surely ahead of the person by
#   more than the loss costs, and **undecided** otherwise.
#
# A fixed difference, such as .05, would be several margins in one: a person who loses the same cells loses far more
# in ap50 than in map, and more where people agree than where they do not.

# %% tags=["hide-input"]
costs = means[means["model"].isin(record.models)].drop_duplicates(["cohort", "mode", "metric"])
costs = costs.pivot_table(index=["cohort", "mode"], columns="metric", values="margin", sort=False)
if len(costs):
    show_table(
        costs.reset_index(),
        label="tab-margins",
        caption=f"What {loss:.0%} of their cells cost the {whose}, on average over {SEEDS} draws of the cells. {data}",
    )

# %% [markdown]
# :::{dropdown} How it is decided
# Let $s$ be the score, $m$ the model, $a$ the person left out, $a^g$ the same who lost the share $g$ of the cells, and
# $b$ the judges. Per image and averaged over $a$ and $b \ne a$,
#
# $$L = s(m, b) - s(a^g, b), \qquad U = \big[s(m, b) - s(a, b)\big] - \big[s(a, b) - s(a^g, b)\big].$$
#
# Not inferior: $L$ surely above 0. Within: besides, $U$ surely below 0. Both are paired $t$ tests over images, one-sided
# at $\alpha$ = .025 (a 95% interval is two such tests, {cite:t}`schuirmann1987`), with Holm's correction over models
# {cite:p}`holm1979`. Both are contrasts of scores that were measured on the same images, so the error of the margin is
# part of the test. With complete data the mean difference is exactly the model's mean score less the mean agreement of
# pairs; where people drew different images it is not, and the same judges matter.
# :::
#
# Where the masks are those of tools, nothing is said about people, and nothing is decided here.

# %% [markdown]
# Where there are three people or more, each stands here too, judged by the others as if a model.
# People themselves spread widely around zero. A model can only be called equivalent to *these* annotators on
# average; where they differ from one another by more than the margin, one of them is always outside it. What other
# people would reach is another question, with a far wider answer ([](../decisions/01_agreement)).

# %% tags=["hide-input"]
listed = means.assign(at=means["metric"] + ", " + means["mode"]).pivot_table(
    index=["cohort", "model"], columns="at", values="decision", aggfunc="first", sort=False
)
if len(listed):
    show_table(
        listed.reset_index(),
        label="tab-equivalence",
        caption=f"The decision for every score and mode, beside people who lost {loss:.0%} of their cells. {data}",
    )
else:
    display(Markdown("*Nothing to decide.*"))

# %% tags=["hide-input"]
pairs_only = [key for key, cohort in cohorts.items() if len(cohort.annotators) == 2]
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
    {"images": n, "patches of each": patches, **coverage(n, patches, confidence=1 - 2 * alpha)}
    for n, patches in ((n_images, 1), (n_images, 9), (3 * n_images, 9))
)
show_table(
    simulated,
    label="tab-coverage",
    caption=f"Share of simulated studies whose {1 - 2 * alpha:.0%} interval holds the true mean. Images differ as "
    "much from one another as the patches of one do. *Widened* by the t distribution, for few images "
    "{cite:p}`hesterberg2015`, as a t interval of the images' means is, which this page takes. Simulated normal scores, "
    "made by this page.",
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
        partial(trial_rows, now),
        label="fig-trial",
        caption=f"Candidates of known quality, judged by annotators and by the truth: {metric} less the annotators' "
        f"own, on whole images. {source_note([synthetic])}",
        alt="Two panels with a row for each candidate: its difference from the annotators when they judge, and when "
        "the truth does, each with its interval and the margin.",
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
        caption=f"Does the annotators' verdict agree with the truth's? {metric}, whole images. *Too harsh*: annotators "
        "call a candidate below where the truth says within or above, or within where it says above. *Abstained*: one of "
        f"the two is undecided. {source_note([synthetic])}",
    )

# %% tags=["hide-input"]
if synthetic:
    by_kind = by_kind.set_index("candidate")
    copies = now[now["model"].str.startswith("copy of")]
    flattered = copies.loc[copies["difference"].idxmax()]
    made = by_kind.iloc[0]
    text = (
        f"**A perfect model.** The truth itself scores {perfect['model_score']:.3f} with the annotators, "
        f"{abs(perfect['difference']):.3f} {'less' if perfect['difference'] < 0 else 'more'} than they score with one "
        f"another, and is called {perfect['decision']}. That holds for this group alone: {{numref}}`tab-many-groups` counts it "
        f"for many. Of {made['tried']} candidates made from the truth the annotators judge {made['too harsh']} too "
        f"harshly, {made['too kind']} too kindly and {made['right']} rightly. **A copy is flattered:** the copy of "
        f"{rater_name(flattered['model'].removeprefix('copy of '))} is called {flattered['decision']}, since it agrees perfectly with "
        f"one of its judges. The least of its differences, with {rater_name(flattered['worst'])} left out, is "
        f"{flattered['worst_difference']:+.3f}: {flattered['worst_decision']}. A copy of a person should come out as that "
        "person does, so look at each annotator left out, and not at the mean alone. "
    )
    for kind, words in (
        ("an annotator, held out", "people held out"),
        ("a model", "models that ran"),
    ):
        if kind in by_kind.index:
            row = by_kind.loc[kind]
            text += (
                f"Of {row['tried']} {words}, people and truth decide alike on {row['right']} and differently on "
                f"{row['too harsh'] + row['too kind']}; one of them abstains on {row['abstained']}. "
            )
    display(Markdown(text))

# %% tags=["hide-input"]
many = pd.read_csv(shipped("benchmarks/results") / "decisions_trial.csv")
show_table(
    many,
    label="tab-many-groups",
    caption="Many groups of simulated annotators, whose errors correlate more and more: how often people and truth "
    "decide alike, differently, or one of them abstains, of people held out and of the truth itself; and how far the "
    "truth's score lies from their agreement (lowest to highest group). ap50, written by `benchmarks/decisions.py`. "
    "Synthetic.",
)

# %% tags=["hide-input"]
counted = many.groupby("who", sort=False)[["right", "wrong", "abstained"]].sum()
people = counted.loc["people held out"]
few, much = (
    many[(many["who"] == "the truth") & (many["correlation"] == c)].iloc[0]
    for c in (many["correlation"].min(), many["correlation"].max())
)
display(
    Markdown(
        f"Over all these groups {people['wrong']} of {people[['right', 'wrong']].sum()} decided verdicts about people are "
        f"wrong, and {people['abstained']} are left undecided: agreeing with the others is not the same as being right even "
        f"among people. **A perfect model** is judged rightly by {few['right']} of {few['tried']} groups whose errors do not "
        f"correlate, and by {much['right']} of {much['tried']} where they correlate most ({much['correlation']:g}), "
        f"{much['wrong']} of which call it wrongly."
    )
)

# %% [markdown]
# So the comparison answers what it asks: *does the model do what these people do?* Among those who err alike
# that mostly follows quality. A model with unusual errors scores low, whether it is better or worse than
# people.

# %% [markdown]
# ## What this does not show
#
# - That a model is right, or wrong. *Below* means unlike these annotators.
# - Other annotators. Images are drawn anew, people are not; two or four are too few to draw from.
# - The right margin. Which loss does not matter is a choice, to be made beforehand; the figure of differences shows how
#   far people lie from one another.
# - Real annotators. How much the errors of simulated ones correlate was chosen ([](../study/05_annotators)), and with
#   it how far agreement is from the truth.

# %% tags=["remove-cell"]
assert table["decision"].isin([d.value for d in Decision]).all()
sure = table["low"].notna()
assert (table.loc[sure, "low"] <= table.loc[sure, "difference"]).all()
assert (table.loc[~sure, "decision"] == Decision.UNDECIDED.value).all()
gap = table["model_score"] - table["annotator_score"] - table["difference"]
assert table.empty or gap.abs().max() < 1e-9, "the difference is that of the two scores"
assert simulated["bootstrap over images, widened"].min() > 1 - 2 * alpha - 0.03, "it covers"
clustered = simulated[simulated["patches of each"] > 1]
assert (clustered["patches as independent"] < 1 - 2 * alpha - 0.1).all(), (
    "patches are not independent"
)
assert table.empty or (table["margin"] > 0).all(), "a loss costs something"
assert (table.loc[table["decision"] == Decision.WITHIN.value, "not_inferior"]).all()
if synthetic:
    assert (now.loc[now["model"] == "the truth", "model_score_truth"] == 1).all()
    judged = by_kind[["right", "too harsh", "too kind", "abstained"]].sum(axis=1)
    assert (judged == by_kind["tried"]).all()
    assert flattered["worst_difference"] <= flattered["difference"], (
        "a judge left out is the least kind"
    )

# %% [markdown]
# ## Takeaways
#
# - Ask for equivalence with a margin that was fixed beforehand. *No significant difference* is not an answer.
# - Say the margin as a loss that everybody understands: one cell in twenty, of a person.
# - Compare model and person before the same judges, on the same images, and show each judge left out.
# - Equivalence to annotators is not correctness. It says that a model errs as they do.
