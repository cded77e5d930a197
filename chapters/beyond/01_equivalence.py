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
below, within, above, undecided = (
    counts.get(d.value, 0)
    for d in (Decision.BELOW, Decision.WITHIN, Decision.ABOVE, Decision.UNDECIDED)
)
as_good = within + above
tools_only = (
    f" {', '.join(map(cohort_name, of_tools))} {'has' if len(of_tools) == 1 else 'have'} only the masks of tools, so nobody "
    "can say what a person would reach there; models can still be compared with one another ([](../decisions/02_models))."
    if of_tools
    else ""
)
if synthetic:
    outcomes = now["outcome"].value_counts().reindex(["right", "wrong", "abstained"], fill_value=0)
    perfect = now[now["model"] == "the truth"].iloc[0]
    checked = (
        "Agreeing with people is not the same as being right: on this synthetic tissue, where the truth can be asked as well, "
        f"the two verdicts are the same for {outcomes['right']} of {len(now)} candidates of known quality and contradict each "
        f"other for {outcomes['wrong']}; a perfect model is called *{perfect['decision']}* by this group of people, and other "
        "groups differ."
    )
else:
    checked = "Whether such verdicts are right can be checked only on synthetic tissue, as in the demo edition."
if not cohorts:
    summary = (
        "No cohort of this edition has masks by two people, so whether a model is as good as a person cannot be answered "
        "here. What the page simulates holds all the same."
    )
elif of_models.empty:
    summary = f"No model ran on a cohort with the masks of two people, so none can be judged here. {checked}"
else:
    summary = (
        f"By agreement with these {whose}, on other images like these, {as_good or 'none'} of {len(of_models)} combinations of "
        f"model and cohort {'is' if as_good < 2 else 'are'} surely at least as good as a person, {below or 'none'} "
        f"{'is' if below < 2 else 'are'} surely worse, and {undecided or 'none'} {'is' if undecided < 2 else 'are'} undecided ({metric}, {mode}; the margin "
        f"is what a person loses with {loss:.0%} of the cells). {checked}"
    )
answer(summary + tools_only)

# %% tags=["hide-input"]
if len(shown):
    show(
        partial(equivalence_rows, shown, raters=whose),
        label="fig-equivalence",
        caption=f"Difference between each model and the {whose} in {metric}, with {1 - 2 * alpha:.0%} intervals that hold for all "
        f"models together (if there are several images). Green: the margin, that is, what a person loses on average with "
        f"{loss:.0%} of the cells; the decision takes into account that the margin is itself an estimate. Small lines: the "
        f"difference with each annotator left out in turn. {data}",
        alt="One row per model: a mark for its difference from the annotators, a line for the "
        "interval, and a band around zero for the margin.",
    )
else:
    display(Markdown("*No model ran on a cohort with the masks of two people.*"))

# %% [markdown]
# A model has been called human-level because there was "no significant difference between model and human"
# ({cite:t}`greenwald2022`). But absence of evidence is not evidence of absence {cite:p}`altman1995`: with few or
# noisy data there is no significant difference either. Drug trials therefore ask the question the other way round: they
# state beforehand which difference would not matter, the {term}`margin`, and then show that the difference is smaller
# {cite:p}`schuirmann1987,piaggio2012`. This page does the same, and then checks, on tissue whose truth is known,
# whether the answer is right.

# %% [markdown]
# ## Model and person before the same judges
#
# Leave one annotator out and let the others judge three masks of the same images: the model's, that of the annotator
# left out, and that of the same annotator's {term}`weakened self <weakened annotator>`, which is the same mask after
# some of its cells were removed. Do this for each annotator in turn, and average.
#
# - The model is **not inferior** if it surely scores higher than the weakened person.
# - It is **within** (the margin) if, in addition, its lead over the person is surely smaller than what the removed cells
#   cost.
# - It is **below** if it surely scores lower than the weakened person, **above** if its lead over the person surely
#   exceeds what the removed cells cost, and **undecided** otherwise.
#
# A fixed margin, such as .05, would mean different things in different places: removing the same cells costs a person
# far more in ap50 than in map, and more where people agree well than where they do not.

# %% tags=["hide-input"]
costs = means[means["model"].isin(record.models)].drop_duplicates(["cohort", "mode", "metric"])
costs = costs.pivot_table(index=["cohort", "mode"], columns="metric", values="margin", sort=False)
if len(costs):
    show_table(
        costs.reset_index(),
        label="tab-margins",
        caption=f"The margins: by how much the scores of the {whose} fall if {loss:.0%} of their cells are removed, on average "
        f"over {SEEDS} random draws of the cells. {data}",
    )

# %% [markdown]
# :::{dropdown} How it is decided
# Let $s$ be the score, $m$ the model, $a$ the person left out, $a^g$ the same person without a share $g$ of the cells,
# and $b$ the judges. For each image, and averaged over $a$ and $b \ne a$,
#
# $$L = s(m, b) - s(a^g, b), \qquad U = \big[s(m, b) - s(a, b)\big] - \big[s(a, b) - s(a^g, b)\big].$$
#
# Not inferior: $L$ is surely above 0. Within: in addition, $U$ is surely below 0. Both are paired $t$ tests over images,
# one-sided at $\alpha$ = .025 (a 95% interval amounts to two such tests, {cite:t}`schuirmann1987`), with Holm's
# correction over models {cite:p}`holm1979`. Both are contrasts of scores measured on the same images, so the uncertainty
# of the margin is part of the test. With complete data, the mean difference is exactly the model's mean score minus the
# mean agreement of pairs; if people annotated different images it is not, and using the same judges matters.
# :::
#
# If the masks were made by tools, they say nothing about people, and nothing is decided here.

# %% [markdown]
# If there are three people or more, each of them is judged by the others as if that person were a model, and has a row
# as well. A model can only be called equivalent to *these* annotators on average: if they differ from one another by
# more than the margin, at least one of them is always outside it. What other people would reach is a different
# question, with a far wider interval ([](../decisions/01_agreement)).

# %% tags=["hide-input"]
listed = means.assign(at=means["metric"] + ", " + means["mode"]).pivot_table(
    index=["cohort", "model"], columns="at", values="decision", aggfunc="first", sort=False
)
if len(listed):
    show_table(
        listed.reset_index(),
        label="tab-equivalence",
        caption=f"The decision for every score and mode; the margin is what a person loses with {loss:.0%} of the cells. {data}",
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
        f"In {names} an image has only two masks. Each annotator is judged by the other alone, so both get "
        "the same score, and a poor mask cannot be distinguished from a poor model: if either annotator is off, the "
        "bar is lower for every model. Nor can one of the two be judged as if that person were a model, because a single "
        "judge has nobody to agree with."
    )
if single:
    names = ", ".join(cohort_name(key) for key in single)
    remarks.append(
        f"{names} {'has' if len(single) == 1 else 'have'} one image each. Its patches show how uniform that image is, but say "
        "nothing about a second image, so there is no interval, and nothing is decided."
    )
if remarks or not cohorts:
    display(Markdown(" ".join(remarks)))
else:
    display(Markdown("*Each cohort here has at least three annotators and at least two images.*"))

# %% [markdown]
# ## Images, not patches
#
# Patches of one image resemble one another, so many patches say little more than a few. {numref}`tab-coverage`
# simulates studies whose true mean is known, and counts how often an interval contains it.

# %% tags=["hide-input"]
n_images = min([len(cohort) for cohort in cohorts.values() if len(cohort) > 1], default=4)
simulated = pd.DataFrame(
    {"images": n, "patches of each": patches, **coverage(n, patches, confidence=1 - 2 * alpha)}
    for n, patches in ((n_images, 1), (n_images, 9), (3 * n_images, 9))
)
show_table(
    simulated,
    label="tab-coverage",
    caption=f"Share of simulated studies whose {1 - 2 * alpha:.0%} interval contains the true mean. Images vary as "
    "much as the patches within one. *Widened*: by the t distribution, to allow for few images "
    "{cite:p}`hesterberg2015`, like the t interval of the images' means that this page uses. Simulated normal scores, "
    "made by this page.",
)

# %% [markdown]
# ## Are the decisions right?
#
# On a phantom the truth is known, so the decisions can be checked. The annotators judge candidates of known quality as
# if they were models: the truth itself; the truth with cells missing, merged or shrunk; a copy of each annotator; the
# cells that most annotators drew; each annotator held out; and the models. Then the same question is asked with the
# truth as the judge: does the candidate score higher with the truth than the annotators do?

# %% tags=["hide-input"]
if synthetic:
    show(
        partial(trial_rows, now),
        label="fig-trial",
        caption=f"Candidates of known quality, judged by the annotators and by the truth: difference in {metric} from the "
        f"annotators' own score, on whole images. {source_note([synthetic])}",
        alt="Two panels with one row per candidate: its difference from the annotators if they judge, and if "
        "the truth judges, each with its interval and the margin.",
    )
else:
    display(
        Markdown(
            "*No cohort of this edition has both several annotators and a known truth, which only synthetic tissue "
            "has. The demo edition answers this question.*"
        )
    )

# %% tags=["hide-input"]
if synthetic:
    by_kind = verdicts(now, record.models)
    show_table(
        by_kind,
        label="tab-verdicts",
        caption=f"How often the annotators' verdict agrees with the truth's ({metric}, whole images). *Too harsh*: the annotators' "
        "verdict ranks lower than the truth's (*below*, *within*, *above*). *Too kind*: it ranks higher. *Abstained*: one of "
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
        f"another, and is called *{perfect['decision']}*. That is the verdict of this group only; {{numref}}`tab-many-groups` "
        f"has those of many groups. Of {made['tried']} candidates made from the truth, the annotators judge "
        f"{made['too harsh']} too harshly, {made['too kind']} too kindly and {made['right']} correctly. **A copy is flattered:** "
        f"the copy of {rater_name(flattered['model'].removeprefix('copy of '))} is called *{flattered['decision']}*, because it "
        f"agrees perfectly with one of its judges. Its lowest difference, with {rater_name(flattered['worst'])} left out, is "
        f"{flattered['worst_difference']:+.3f} (*{flattered['worst_decision']}*). A copy of a person should get the same verdict "
        "as that person, so look at the result with each annotator left out, and not only at the mean. "
    )
    for kind, words in (
        ("an annotator, held out", "people held out"),
        ("a model", "models that ran"),
    ):
        if kind in by_kind.index:
            row = by_kind.loc[kind]
            text += (
                f"For {row['tried']} {words}, the verdicts of people and truth are the same for {row['right']} and differ for "
                f"{row['too harsh'] + row['too kind']}; for {row['abstained']}, one of the two is undecided. "
            )
    display(Markdown(text))

# %% tags=["hide-input"]
many = pd.read_csv(shipped("benchmarks/results") / "decisions_trial.csv")
show_table(
    many,
    label="tab-many-groups",
    caption="Verdicts of many groups of simulated annotators whose errors correlate to different degrees, about people held "
    "out and about the truth itself: how often they are right, wrong, or undecided (*abstained*), and how far the "
    "truth's score lies from the group's agreement (lowest to highest group). ap50; measured once by "
    "`benchmarks/decisions.py`. Synthetic.",
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
        f"Over all these groups, {people['wrong']} of {people[['right', 'wrong']].sum()} decided verdicts about people are "
        f"wrong, and {people['abstained']} remain undecided: even among people, agreeing with the others is not the same as "
        f"being right. **A perfect model** is judged correctly by {few['right']} of {few['tried']} groups whose errors do not "
        f"correlate, and by {much['right']} of {much['tried']} groups whose errors correlate most ({much['correlation']:g}); "
        f"{much['wrong']} of the latter reach a wrong verdict."
    )
)

# %% [markdown]
# The comparison answers exactly one question: *does the model do what these people do?* A model with unusual errors
# scores low, whether it is better or worse than people.

# %% [markdown]
# ## What this does not show
#
# - Whether a model is right or wrong. *Below* means unlike these annotators.
# - Other annotators. The intervals allow for other images, but not for other people; two or four people are too few
#   for that.
# - The right margin. Which loss does not matter is a choice that must be made beforehand; the figure of differences
#   shows how far people are from one another.
# - Real annotators. How much the errors of simulated annotators correlate was chosen ([](../study/05_annotators)), and
#   so was the distance between their agreement and the truth.

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
# - Ask for equivalence within a margin that was fixed beforehand. *No significant difference* is not an answer.
# - State the margin as a loss that everybody understands, such as one cell in twenty of a person's mask.
# - Compare model and person before the same judges, on the same images, and show the result with each judge left out.
# - Equivalence to annotators is not correctness. It says only that the model agrees with them as well as they do with
#   one another.
