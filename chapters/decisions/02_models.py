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
from imc_helpers.figures.names import cohort_name, rater_name, source_note
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


leaders = {}
for key in cohorts:
    own = ranks[ranks["cohort"] == key]
    images = differences.loc[differences["cohort"] == key, "images"].max()
    first = own.loc[own["first"] == 1, "model"]
    among = names(first) if len(first) < len(own) else f"any of {len(own)}"
    leaders[key] = f"{cohort_name(key)}: {among if images > 1 else 'undecidable, one image'}"
sentences = [
    "**Which may come first** on other images like these, all pairs compared together (no other may, surely): "
    + "; ".join(leaders.values())
    + "."
]
for key in verdicts["cohort"].unique():
    own = verdicts[verdicts["cohort"] == key]
    told = [
        f"{words}: {names(named)}"
        for decision, words in (
            (Decision.ABOVE, "surely better by more than the margin"),
            (Decision.WITHIN, "surely as good to within the margin"),
            (Decision.BELOW, "surely worse by more than the margin"),
            (Decision.UNDECIDED, "undecidable"),
        )
        if len(named := own.loc[own["decision"] == decision.value, "model"])
    ]
    if (own["decision"] == Decision.UNDECIDED.value).all():
        told = [f"*undecidable* for all {len(own)}"]
    sentences.append(
        f"**Beside a person** of {cohort_name(key)}, at agreeing with these {whose[key]} on other images like these, "
        + "; ".join(told)
        + "."
    )
unknown = {key: cohort for key, cohort in cohorts.items() if len(cohort.annotators) < 2}
if unknown:
    tools = [key for key, cohort in unknown.items() if cohort.tools and not cohort.annotators]
    sentences.append(
        f"Whether any is as good as a person is *undecidable* in {', '.join(map(cohort_name, unknown))}: it takes the "
        "masks of two people for the same images"
        + (f" ({', '.join(map(cohort_name, tools))}: tools only)." if tools else ".")
    )
nobody = "*Undecidable.* No cohort of this edition has the masks of two models that ran, so there is nothing to compare."
answer("\n\n".join(sentences) if cohorts else nobody)

# %% tags=["hide-input"]
if cohorts:
    show(
        partial(rank_bars, ranks),
        label="fig-ranks",
        caption=f"Ranks that each model may have by its mean {metric} ({mode}), all together with {1 - 2 * alpha:.0%} "
        f"confidence, for other images like these. Dots: the order of the means. {data}",
        alt="A row for each model with a bar over the ranks that it may have; the bars of models that cannot be told "
        "apart overlap.",
    )
else:
    display(Markdown("*With fewer than two models there is nothing to rank.*"))

# %% [markdown]
# A table of means always has a first row. Whether the first is better than the second is another question, and the
# first is the wrong one to compare with: it was chosen because its score came out high. So every model is compared with
# every other, image by image, all comparisons together. A model's {term}`rank set` is what is left: at best one place
# behind all that are surely better, at worst one place before all that are surely worse {cite:p}`mogstad2024`.

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
        "interval": "interval, all together",
        "p": "p (Holm)",
    }
    show_table(
        listed[["cohort", "one", "two", "difference", "interval", "p", "images"]].rename(
            columns=columns
        ),
        label="tab-differences",
        caption=f"Difference in {metric} ({mode}) of the first model from the second, every image counting the same, "
        "with intervals that hold together (Bonferroni), and p corrected by Holm's rule; cohorts with two images or "
        f"more. {data}",
    )

# %% [markdown]
# ## As good as a person?
#
# The yardstick is a {term}`weakened annotator`: a person of these, after a share of the cells was lost. A model is
# *within* where it surely beats the weakened person, and surely does not beat the person herself by as much as the loss
# costs. [](../beyond/01_equivalence) explains the comparison, and checks it on tissue whose truth is known.

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
        caption=f"{metric} ({mode}) of models, of people and of people who lost {loss:.0%} of their cells, before the "
        f"same judges; error {alpha:g} a side, corrected over models by Holm's rule. *Not inferior to*: so many of the "
        "people, one by one. *Winning rate* {cite:p}`calderon2025`: their share, shown from "
        f"{least_images} images on. {data}",
    )
else:
    display(
        Markdown(
            "*Undecidable here: that takes a cohort with the masks of two people, and a model that ran on it.*"
        )
    )

# %% [markdown]
# :::{dropdown} How it is computed
# Paired $t$ over images: for models $j$ and $k$ the mean of $s_{ij}-s_{ik}$ over images $i$, with the quantile of
# $n - 1$ degrees of freedom at $\alpha$ over the number of pairs (Bonferroni), so that all intervals hold together.
# $p$ is corrected by {cite:t}`holm1979`. Rank set of $j$: from 1 + #{surely better} to $K$ − #{surely worse}.
#
# Two ways that were tried and left: ranks of bootstrap draws {cite:p}`wiesenfarth2021` go wrong where models tie
# {cite:p}`hall2010`; sign flips, which need no normal distribution, cannot reach a $p$ below 1/8 with four images.
# :::

# %% [markdown]
# ## Does it err as rarely as it says?

# %% tags=["hide-input"]
simulated = pd.read_csv(shipped("benchmarks/results") / "decisions_models.csv")
show_table(
    simulated,
    label="tab-models-errors",
    caption="Simulated studies of models that are equal (*ahead* 0) or of which one is ahead of the others by so many "
    "standard deviations of the paired difference: how often any pair of equal models is called different; all true ranks "
    "lie inside the rank sets; a pair with the better model is told apart, and all of its pairs are; and how often a "
    "comparison of each model with the one that came out best, model by model, calls equal ones different. Normal and very "
    "skewed (exponential) scores, and differences as skewed as that. Written by `benchmarks/decisions.py`.",
    decimals=2,
)

# %% [markdown]
# With the winner alone one would call equal models different in nearly every second study. All pairs together err about
# as rarely as they say; where *differences* themselves are very skewed (one model fails on few images, and badly), with
# few images they err about twice as often.

# %% [markdown]
# ## What this does not show
#
# - Which model is right. A score against a mask falls by the errors of that mask too ([](../beyond/01_equivalence)).
# - Other people. A model that is as good as these may be better or worse than others.
# - That models are equal where their rank sets overlap: these images cannot tell, and more might.

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
# - Never write *best* of the first row of a table. Write which models may come first.
# - Compare all with all, together, on the same images; a comparison with the winner alone is too sure of itself.
# - *As good as a person* needs people, a loss that was fixed beforehand, and more than a few images.
