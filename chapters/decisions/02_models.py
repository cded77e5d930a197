# ---
# jupyter:
#   imc_book:
#     reads:
#     - scores
#   jupytext:
#     notebook_metadata_filter: imc_book
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
# ---

# %% [markdown]
# # Sure of models
#
# **Which model may be called better, or as good as a person?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
metric: str = "ap50"  # score: ap50, map or sap
mode: str = "whole"  # mode: whole or patch
loss: float = 0.05  # share of a person's cells whose loss is taken not to matter
alpha: float = 0.025  # error of a decision on one side, of all models together
strict: bool = False  # match cells when IoU > t; when False, when IoU >= t
least_images: int = 30  # from how many images on the winning rate is shown

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

from imc_helpers.agreement.equivalence import MEAN, Decision, equivalence_of_cohorts
from imc_helpers.agreement.score_table import read_scores
from imc_helpers.agreement.statistics import rank_sets
from imc_helpers.agreement.summaries import against, model_differences
from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.raters import noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.figures.decision_plots import rank_bars
from imc_helpers.figures.names import cohort_name, counted, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table

record = load_edition(edition)
everything = {key: open_cohort(key) for key in record.cohorts}
scores = read_scores(edition, strict=strict)
scores = scores[scores["mode"] == mode]
judged = against(scores, {key: cohort.references for key, cohort in everything.items()})
differences = model_differences(judged, record.models, metric=metric, alpha=alpha)
differences.to_csv(results_dir(edition, "decisions") / "models.csv", index=False)
cohorts = {key: everything[key] for key in differences["cohort"].unique()}
data = source_note(cohorts)
whose = {key: noun(r for r in c.raters if r.name in c.references) for key, c in cohorts.items()}
ranks = [
    rank_sets(rows).assign(cohort=key) for key, rows in differences.groupby("cohort", sort=False)
]
ranks = pd.concat(ranks, ignore_index=True) if ranks else pd.DataFrame(columns=["cohort"])
beside = equivalence_of_cohorts(
    scores, everything, record.models, loss=loss, alpha=alpha, strict=strict
)
beside = beside[(beside["metric"] == metric) & beside["model"].isin(record.models)]
verdicts = beside[beside["left_out"] == MEAN]


def names(models):
    """List models by their names."""
    return ", ".join(map(rater_name, models))


leaders, single = {}, []
for key in cohorts:
    own = ranks[ranks["cohort"] == key]
    images = differences.loc[differences["cohort"] == key, "images"].max()
    first = own.loc[own["first"] == 1, "model"]
    among = names(first) if len(first) < len(own) else f"any of the {len(own)}"
    leaders[key] = f"{cohort_name(key)}: {among if images > 1 else 'one image, so undecidable'}"
    single += [key] if len(first) == 1 and images > 1 else []
if not single:
    lead = "**No single best model** can be named: several may come first"
elif len(single) == len(cohorts):
    lead = "**A single best model** can be named: it surely comes first"
else:
    lead = (
        f"**A single best model** can be named in {len(single)} of {counted(len(cohorts), 'cohort')}; in the others, several may "
        "come first"
    )
sentences = [
    f"{lead} on other images like these (all pairs compared together, by agreement with these raters). These may come first: "
    + "; ".join(leaders.values())
    + "."
]
for key in verdicts["cohort"].unique():
    own = verdicts[verdicts["cohort"] == key]
    told = [
        f"{words}: {names(named)}"
        for decision, words in (
            (Decision.ABOVE, "surely better by more than the margin"),
            (Decision.WITHIN, "surely as good, to within the margin"),
            (Decision.BELOW, "surely worse by more than the margin"),
            (Decision.UNDECIDED, "undecided"),
        )
        if len(named := own.loc[own["decision"] == decision.value, "model"])
    ]
    if (own["decision"] == Decision.UNDECIDED.value).all():
        told = [f"undecided for all {len(own)}"]
    sentences.append(
        f"**Compared with a person** in {cohort_name(key)}, by agreement with these {whose[key]} on other images like these "
        f"(the margin is what a person loses with {loss:.0%} of the cells): {'; '.join(told)}."
    )
unknown = {key: cohort for key, cohort in cohorts.items() if len(cohort.annotators) < 2}
if unknown:
    tools = [key for key, cohort in unknown.items() if cohort.tools and not cohort.annotators]
    sentences.append(
        f"Whether a model is as good as a person cannot be decided in {', '.join(map(cohort_name, unknown))}, because that "
        "takes masks by two people for the same images"
        + (
            f" ({', '.join(map(cohort_name, tools))} {'has' if len(tools) == 1 else 'have'} masks by tools only)."
            if tools
            else "."
        )
    )
nobody = (
    "This edition cannot tell: no cohort has masks by two models, so there is nothing to compare."
)
answer("\n\n".join(sentences) if cohorts else nobody)

# %% tags=["hide-input"]
if cohorts:
    show(
        partial(rank_bars, ranks),
        label="fig-ranks",
        caption=f"Ranks that each model may have by its mean {metric} ({mode}) on other images like these, with "
        f"{1 - 2 * alpha:.0%} confidence for all models together. Dots: order of the means. {data}",
        alt="One row per model with a bar over the ranks that it may have; the bars of models that cannot be "
        "distinguished overlap.",
    )
else:
    display(Markdown("*There are fewer than two models, so there is nothing to rank.*"))

# %% [markdown]
# A table of means always has a first row. Whether the first model is really better than the second is a different
# question, and comparing each model only with the first is misleading, because that one was chosen for its high score.
# So every model is compared with every other, image by image, in a way that holds for all comparisons together. The
# result is a {term}`rank set` for each model: the ranks that it may have, given which models are surely better and
# which are surely worse {cite:p}`mogstad2024`.

# %% tags=["hide-input"]
several = differences[differences["images"] > 1]
if len(several):
    listed = several.assign(
        interval=[
            f"{low:+.3f} to {high:+.3f}"
            for low, high in zip(several["low"], several["high"], strict=True)
        ],
        p=[f"{p:.2g}" for p in several["p_holm"]],
    )
    columns = {
        "one": "first",
        "two": "second",
        "interval": "simultaneous interval",
        "p": "p (Holm)",
    }
    show_table(
        listed[["cohort", "one", "two", "difference", "interval", "p", "images"]].rename(
            columns=columns
        ),
        label="tab-differences",
        caption=f"Difference in {metric} ({mode}), first model minus second; every image has the same weight. The "
        f"{1 - 2 * alpha:.0%} intervals hold for all pairs of a cohort together (Bonferroni), and p is corrected by Holm's "
        f"rule. Cohorts with at least two images. {data}",
    )

# %% [markdown]
# ## As good as a person?
#
# The yardstick is a {term}`weakened annotator`: one of these people, with a share of the cells removed from the mask. A
# model is *within* (the margin) if it surely scores higher than the weakened person, and its lead over the person is
# surely smaller than what the removed cells cost. [](../beyond/01_equivalence) explains the comparison, and checks it
# on tissue whose truth is known.

# %% tags=["hide-input"]
if len(verdicts):
    alone = beside[beside["left_out"] != MEAN].groupby(["cohort", "model"], sort=False)
    rate = alone["not_inferior"].agg(["sum", "size"]).reset_index()
    rate["not inferior to"] = rate["sum"].astype(str) + " of " + rate["size"].astype(str)
    shown = verdicts.merge(rate, on=["cohort", "model"])
    shown.loc[shown["images"] < 2, "not inferior to"] = "–"
    many = shown["images"] >= least_images
    shown["winning rate"] = [
        f"{a / b:.2f}" if enough else "–"
        for a, b, enough in zip(shown["sum"], shown["size"], many, strict=True)
    ]
    columns = ["cohort", "model", "model_score", "annotator_score", "weakened_score", "decision"]
    titles = {
        f"{who}_score": f"{words}"
        for who, words in (
            ("model", "score"),
            ("annotator", "person's"),
            ("weakened", "weakened person's"),
        )
    }
    show_table(
        shown[[*columns, "not inferior to", "winning rate"]].rename(columns=titles),
        label="tab-as-good",
        caption=f"{metric} ({mode}) of models, of people, and of people without {loss:.0%} of their cells, with the same "
        f"judges; error rate {alpha:g} on each side, corrected over models by Holm's rule. *Not inferior to*: number of "
        "people to whom the model is not inferior, one by one. *Winning rate* {cite:p}`calderon2025`: their share, "
        f"shown if there are at least {least_images} images. {data}",
    )
else:
    display(
        Markdown(
            "*This edition cannot tell: that takes a cohort with masks by two people, and a model that ran on it.*"
        )
    )

# %% [markdown]
# :::{dropdown} How it is computed
# Paired $t$ over images: for models $j$ and $k$ the mean of $s_{ij}-s_{ik}$ over images $i$, with the quantile of
# $n - 1$ degrees of freedom at $\alpha$ over the number of pairs (Bonferroni), so that all intervals hold together.
# $p$ is corrected by {cite:t}`holm1979`. Rank set of $j$: from 1 + #{surely better} to $K$ − #{surely worse}.
#
# Two other methods were tried and rejected: ranks of bootstrap draws {cite:p}`wiesenfarth2021` fail if models tie
# {cite:p}`hall2010`; sign flips, which need no normal distribution, cannot give a $p$ below 1/8 with four images.
# :::

# %% [markdown]
# ## Does the method err as rarely as it claims?

# %% tags=["hide-input"]
simulated = pd.read_csv(shipped("benchmarks/results") / "decisions_models.csv")
show_table(
    simulated,
    label="tab-models-errors",
    caption="Simulated studies of models of which one is better than the others by *ahead* standard deviations of the paired "
    "difference (0: all are equal). Share of studies in which any pair of equal models is called different; in which "
    "all true ranks lie inside the rank sets; in which a pair with the better model, or all such pairs, are recognised as "
    "different; and in which comparing each model only with the one that came out best calls equal models different. "
    "Scores are normal or very skewed (exponential), or their differences are. Measured once by `benchmarks/decisions.py`.",
    decimals=2,
)

# %% [markdown]
# Comparing each model only with the winner would call equal models different in nearly every second study. Comparing
# all pairs together errs about as rarely as it claims. The exception is a very skewed distribution of the *differences*
# (one model fails badly on a few images): with few images, errors are then about twice as frequent.

# %% [markdown]
# ## What this does not show
#
# - Which model is right. The errors of the reference mask lower a score as well ([](../beyond/01_equivalence)).
# - Other people. A model that is as good as these people may be better or worse than others.
# - That models are equal if their rank sets overlap. These images cannot distinguish them; more images might.

# %% tags=["remove-cell"]
if cohorts:
    assert (ranks["first"] <= ranks["last"]).all()
    order = ranks.groupby("cohort").cumcount() + 1
    assert ((ranks["first"] <= order) & (order <= ranks["last"])).all(), (
        "the order of means is possible"
    )
    unsure = differences["low"].isna()
    assert (differences.loc[unsure, "images"] < 2).all()
assert verdicts["decision"].isin([d.value for d in Decision]).all()
equal = simulated[(simulated["ahead"] == 0) & (simulated["scores"] == "normal")]
assert (equal["an error, all pairs"] < equal["an error, each with the best"]).all()

# %% [markdown]
# ## Takeaways
#
# - Do not call the first row of a table *best*. State which models may come first.
# - Compare all models with one another, on the same images; comparing them only with the winner is overconfident.
# - To claim *as good as a person* you need several people, a margin that was fixed beforehand, and more than a few
#   images.
