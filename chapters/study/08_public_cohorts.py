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
# # Models on cohorts with one mask
#
# **How close does each model come to a published mask, where there is only one?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
window_px: int = 256  # edge of a patch, pixels
stride_px: int = 128  # step from one patch to the next, pixels
border_px: int = 28  # ignored border of a patch, pixels
strict: bool = False  # match cells when IoU > t; when False, when IoU >= t
alpha: float = 0.05  # level of the checks that choose a test

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

from imc_helpers.agreement.score_table import METRICS, read_scores
from imc_helpers.agreement.study_tests import study_tests
from imc_helpers.agreement.summaries import (
    against,
    best_first,
    between,
    in_words,
    mean_agreement,
    mean_scores,
)
from imc_helpers.figures.model_plots import score_distributions
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.data.manifest import load_edition, published_table
from imc_helpers.models.controls import CONTROLS
from imc_helpers.data.paths import results_dir
from imc_helpers.patching import MODES
from imc_helpers.data.raters import describe_raters, noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.models.run_tables import describe_runs

record = load_edition(edition)
everything = {key: open_cohort(key) for key in record.cohorts}
stored = read_scores(
    edition, window_px=window_px, stride_px=stride_px, border_px=border_px, strict=strict
)
cohorts = {key: cohort for key, cohort in everything.items() if len(cohort.references) == 1}
table = against(stored, {key: cohort.references for key, cohort in cohorts.items()})
pairs = between(stored, everything)
lender = next(iter(pairs["cohort"]), None)  # the first cohort with two masks lends its agreement
lent = mean_agreement(pairs[pairs["cohort"] == lender]).set_index("mode")[list(METRICS)]
lenders = noun(
    rater
    for key in [lender] * bool(lender)
    for rater in everything[key].raters
    if rater.name in everything[key].references
)

means = mean_scores(table)
means.to_csv(results_dir(edition, "models") / "single_mask_means.csv", index=False)
of_models = means[means["model"].isin(record.models)]
names = best_first(means, record.models)
rows = [names, list(CONTROLS)]
rule = "IoU > t" if strict else "IoU ≥ t"
data = source_note([*cohorts, *([lender] if lender else [])])

top = of_models[of_models["mode"] == "whole"].set_index(["model", "cohort"])["ap50"]
if len(top):
    spread = (
        f"On whole images the models' mean ap50 ranges from {top.min():.3f} to {top.max():.3f} ({rater_name(top.idxmax()[0])} "
        f"on {cohort_name(top.idxmax()[1])})."
    )
    unknown = "One mask cannot say whether a model is good, because nobody knows what a second person would have scored"
    if lender:
        limit = lent.loc["whole", "ap50"]
        reached = int((top >= limit).sum())
        summary = (
            f"{unknown}; by the agreement of the {lenders} of {cohort_name(lender)}, {limit:.3f}, which was measured on other "
            f"tissue, {reached or 'none'} of {len(top)} combinations of model and cohort "
            f"{'reaches' if reached < 2 else 'reach'} the yardstick. {spread}"
        )
    else:
        summary = f"{unknown}, and no cohort of this edition has two masks of one image to lend a yardstick. {spread}"
elif cohorts:
    summary = "No model ran on these cohorts."
else:
    summary = "Every cohort of this edition has masks of several raters, or none: there is nothing to show here."
answer(summary)

# %% tags=["hide-input"]
dashed = (
    f"Dashed: the agreement of the {lenders} of {cohort_name(lender)}, borrowed as a yardstick. "
    if lender
    else ""
)
alt = (
    "Scores from 0 to 1: one row per model, below them rows for the controls, with one colour per cohort. A dashed line marks "
    "the agreement in another cohort, if there is one."
)


def distributions(mode, *metrics):
    lines = {"": lent.loc[mode]} if mode in lent.index else None
    part = table[table["mode"] == mode]
    return partial(
        score_distributions, {"": part}, {"": rows}, metrics=metrics, by="cohort", lines=lines
    )


if (table["mode"] == "whole").any():
    show(
        distributions("whole", "ap50"),
        label="fig-public-whole",
        caption=f"ap50 of each model on whole images: one dot per image, or a box for more than twelve. {dashed}{data}",
        alt=alt,
    )
else:
    display(Markdown("*No cohort of this edition has exactly one mask for an image.*"))

# %% [markdown]
# Most public cohorts have one mask per image, which was made as a step in some other analysis. The study scores its
# models against these masks, and borrows the yardstick from its own four experts: it *assumes* that they would have
# agreed equally well on these tissues ({cite:t}`schuiki2025`, section 4.3).

# %% tags=["hide-input"]
if (table["mode"] == "whole").any():
    show(
        distributions("whole", "map", "sap"),
        label="fig-public-whole-others",
        caption=f"map and sap on whole images, drawn as in {{numref}}`fig-public-whole`. {data}",
        alt=alt,
    )

# %% [markdown]
# ## Window by window

# %% tags=["hide-input"]
sides = [min(cohort.shape(s)) for cohort in cohorts.values() for s in cohort.ids]
if (table["mode"] == "patch").any():
    show(
        distributions("patch", "ap50"),
        label="fig-public-patch",
        caption=f"ap50 of each model in windows of {window_px} px: boxes span the middle half of the windows, with the median "
        f"inside. {dashed}{data}",
        alt=alt,
    )
elif sides:
    display(
        Markdown(
            f"*No image is large enough for a window of {window_px} px: the longest shorter side is "
            f"{max(sides)} px.*"
        )
    )

# %% [markdown]
# ## Means

# %% tags=["hide-input"]
shown = of_models.assign(interval=in_words(of_models))
if len(shown):
    show_table(
        shown[["cohort", "mode", "model", "images", "ap50", "interval", "map", "sap"]].rename(
            columns={"interval": "ap50, 95%"}
        ),
        label="tab-public-means",
        caption="Mean over images or patches. *95%*: interval from a bootstrap that draws images, then patches "
        f"within them. {source_note(cohorts)}",
    )
else:
    display(Markdown("*No model ran on these cohorts.*"))

# %% [markdown]
# Scores of different cohorts do not rank the cohorts. Each mask was made in its own way, and part of a
# score reflects how similar that way is to the way the model works.

# %% tags=["hide-input"]
makers = describe_raters({key: cohort.raters for key, cohort in cohorts.items()})
if len(makers):
    show_table(
        makers,
        label="tab-public-makers",
        caption=f"Who or what made these masks, from the manifest. {source_note(cohorts)}",
        merge=["mask of", "cohort"],
    )

# %% [markdown]
# ## The study's tests
#
# The study tests the scores of its Figure 5 like those of its Figure 4 ([](07_models_vs_annotators) explains how the
# test is chosen), without saying which groups it compares. Here they are a model's scores on a cohort, and the
# scores of the raters of the lending cohort with one another.

# %% tags=["hide-input"]
borrowed = [pairs[pairs["cohort"] == lender].assign(cohort=key) for key in cohorts if lender]
tests = study_tests(
    table, record.models, pd.concat(borrowed) if borrowed else pairs.iloc[:0], alpha=alpha
)
tests.to_csv(results_dir(edition, "models") / "single_mask_tests.csv", index=False)
if len(tests):
    of_ap50 = tests[tests["metric"] == "ap50"].drop(columns=["metric", "statistic"])
    of_ap50["p"] = ["–" if pd.isna(p) else f"{p:.2g}" for p in of_ap50["p"]]
    show_table(
        of_ap50.rename(columns={"n_model": "n, model", "n_annotators": f"n, {lenders}"}),
        label="tab-public-tests",
        caption="The study's procedure, for ap50: which test it chose, what decided, and the two-sided p. *n*: "
        f"scores in a group. The checks were made at a level of {alpha:g}, which the study does not state. For map "
        f"and sap see `results/{edition}/models/single_mask_tests.csv`. {data}",
    )
else:
    display(Markdown("*No model ran on these cohorts, or no cohort lends its agreement.*"))

# %% [markdown]
# The two groups come from different images, different tissue and different ways of making masks, so a small p says
# that all of this differs, and nothing about the model alone. Besides, patches of one image overlap, but the tests
# treat them as independent, which makes each p too small.

# %% [markdown]
# ## Measured beside published

# %% tags=["hide-input"]
reaching = published_table("schuiki25_section4_3_reach").set_index("metric")["models"]
best_there = published_table("schuiki25_section4_3_best").iloc[0]
in_patches = of_models[of_models["mode"] == "patch"]
best = in_patches.sort_values("ap50", ascending=False).drop_duplicates("model")
reach = best["ap50"] >= (lent.loc["patch", "ap50"] if "patch" in lent.index else float("nan"))
tested = tests["p"].dropna()
small = published_table("schuiki25_section4")["p"].item()
show_table(
    pd.DataFrame(
        [
            {
                "finding": "models that reach the borrowed agreement in a cohort (ap50, patch)",
                "published": f"{reaching['ap50']} of 4",
                "measured": f"{reach.sum()} of {len(reach)}" if lender else "–",
            },
            {
                "finding": "cohort on which models score highest (ap50, patch)",
                "published": f"{cohort_name(best_there['cohort'])}: {best_there['models']} of 4",
                "measured": ", ".join(
                    f"{cohort_name(key)}: {n}" for key, n in best["cohort"].value_counts().items()
                )
                or "–",
            },
            {
                "finding": f"tests with p < {small:.0e}",
                "published": "all",
                "measured": f"{(tested < small).sum()} of {len(tested)}",
            },
        ]
    ),
    label="tab-public-published",
    caption="What the study finds on its four external cohorts (published, section 4.3) beside this "
    f"edition. {data}",
)

# %% tags=["hide-input"]
runs = describe_runs(cohorts, record.models)
idle = runs[runs["not run"].notna()] if len(runs) else runs
if len(idle) and cohorts:
    show_table(
        idle[["model", "not run"]].rename(columns={"not run": "why, and what would help"}),
        label="tab-public-idle",
        caption="Models of this edition that did not run on all of these cohorts.",
        merge=["model"],
    )
elif record.models and cohorts:
    display(Markdown("*Every model of this edition ran on all of these cohorts that it covers.*"))

# %% [markdown]
# ## What this does not show
#
# - How far a model is from people on these tissues. The dashed line is the agreement of other raters, on another
#   tissue, with another way of making masks; if they are tools, it is not even the agreement of people.
# - Whether a mask is right. It was made for some other analysis, and serves as the reference only because there is no
#   other.

# %% tags=["remove-cell"]
assert table[list(METRICS)].apply(lambda one: one.between(0, 1)).to_numpy().all()
assert (table.loc[table["rater_pred"] == "reference", list(METRICS)] == 1).to_numpy().all()
assert not (table["rater_pred"] == table["rater_true"]).any(), "nobody is scored against themselves"
assert set(table["kind_pred"]) <= {"model", "control", "tool"}
assert set(table["mode"]) <= set(MODES)
assert tested.between(0, 1).all()
assert set(tests["cohort"]) <= set(cohorts), "nobody is tested on the cohort that lends"
if edition == "demo":
    chance = means[means["model"] == "random cells"]
    assert (chance["ap50"].to_numpy() < lent.loc[chance["mode"], "ap50"].to_numpy()).all()

# %% [markdown]
# ## Takeaways
#
# - With one mask per image, a score cannot be called *good* or *bad*: nobody knows what a second person
#   would have scored.
# - A yardstick borrowed from another tissue is an assumption. Say so next to the dashed line.
# - Compare models within a cohort, not cohorts by their scores.
