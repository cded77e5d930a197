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
# # Models against annotators
#
# **How close does each model come to the annotators?**

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
    JUDGED_NAMES,
    against,
    as_columns,
    best_first,
    between,
    differences_from_agreement,
    in_words,
    mean_agreement,
    mean_scores,
    model_differences,
)
from imc_helpers.agreement.statistics import crossed_interval
from imc_helpers.figures.model_plots import score_distributions
from imc_helpers.figures.names import cohort_name, counted, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.data.manifest import cohort_record, load_edition, model_record, published_table
from imc_helpers.models.controls import CONTROLS
from imc_helpers.data.paths import results_dir
from imc_helpers.patching import MODES
from imc_helpers.data.raters import noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.models.run_tables import describe_runs

record = load_edition(edition)
everything = {key: open_cohort(key) for key in record.cohorts}
stored = read_scores(
    edition, window_px=window_px, stride_px=stride_px, border_px=border_px, strict=strict
)
judged = against(stored, {key: cohort.references for key, cohort in everything.items()})
table = as_columns(judged, JUDGED_NAMES)
table.to_csv(results_dir(edition, "models") / "scores.csv", index=False)

pairs = between(stored, everything)
cohorts = {key: everything[key] for key in pairs["cohort"].unique()}
makers = {key: [r for r in c.raters if r.name in c.references] for key, c in cohorts.items()}
whose = noun([rater for own in makers.values() for rater in own])
agreement = mean_agreement(pairs).set_index(["mode", "cohort"])
scores = judged[judged["cohort"].isin(list(cohorts))]
means = mean_scores(scores)
of_models = means[means["model"].isin(record.models)].set_index(["cohort", "mode", "model"])
rows = {
    key: [
        best_first(means[means["cohort"] == key], record.models),
        [*cohort.annotators, *cohort.tools],
        list(CONTROLS),
    ]
    for key, cohort in cohorts.items()
}
rule = "IoU > t" if strict else "IoU ≥ t"
data = source_note(cohorts)

beside = differences_from_agreement(scores, pairs, record.models).set_index(["cohort", "mode"])
sentences = []
for key, (names, *_) in rows.items():
    limit = agreement.loc[("whole", key), "ap50"]
    sure = crossed_interval(pairs[(pairs["cohort"] == key) & (pairs["mode"] == "whole")], "ap50")
    whom, level = noun(makers[key]), f"{limit:.3f} (mean ap50, whole images"
    if pd.notna(sure.low_images):
        level += (
            f"; {max(sure.low_images, 0):.2f} to {min(sure.high_images, 1):.2f} on other images"
        )
    level += ")"
    ran = [m for m in names if (key, "whole", m) in of_models.index]
    if not ran:
        sentences.append(
            f"In {cohort_name(key)} the {whom} agree with one another at {level}; no model ran on it."
        )
        continue
    own = beside.loc[[(key, "whole")]]
    above, below = int((own["low"] > 0).sum()), int((own["high"] < 0).sum())
    sentences.append(
        f"In {cohort_name(key)}, {above or 'none'} of {counted(len(ran), 'model')} surely agree{'s' * (above < 2)} better with "
        f"the {whom} than these agree with one another, and {below or 'none'} surely agree{'s' * (below < 2)} less well"
        + (
            f"; for {unsure}, these images cannot tell"
            if (unsure := len(ran) - above - below)
            else ""
        )
        + f". The {whom} reach {level}; the highest "
        f"mean of a model is {of_models.loc[(key, 'whole', ran[0]), 'ap50']:.3f}, by {rater_name(ran[0])}."
    )
nobody = (
    "No cohort of this edition has masks by two raters for the same image, so no model can be compared with the "
    "agreement of people or of tools. [](08_public_cohorts) shows cohorts with one mask."
)
if sentences and all(cohort_record(key).synthetic for key in cohorts):
    trained = [m for m in record.models if model_record(m).training]
    if set(trained) & {m for _, _, m in of_models.index}:
        sentences.append(
            "Models trained by this build have an advantage: they learned from labels made in the same way as those of "
            "these simulated annotators."
        )
answer(" ".join(sentences) or nobody)

# %% tags=["hide-input"]
about = "Colours: the rater whose mask is the reference. Dashed: mean agreement of the raters. "
alt = (
    "Scores from 0 to 1: one row per model, below them rows for the raters who made the references and for the controls. A "
    "short line marks the mean of each row, a dashed line the mean agreement."
)


def distributions(mode, *metrics):
    shown = {key: scores[(scores["cohort"] == key) & (scores["mode"] == mode)] for key in cohorts}
    shown = {key: part for key, part in shown.items() if len(part)}
    lines = {key: agreement.loc[(mode, key), list(METRICS)] for key in shown}
    order = {key: rows[key] for key in shown}
    return partial(score_distributions, shown, order, metrics=metrics, lines=lines)


if cohorts:
    show(
        distributions("whole", "ap50"),
        label="fig-models-whole",
        caption=f"ap50 of each model on whole images: one dot per image, or a box for more than twelve. {about}{data}",
        alt=alt,
    )
else:
    display(Markdown("*No image has two masks, so there is no agreement to compare a model with.*"))

# %% [markdown]
# Each model is scored against one annotator at a time, on whole images and window by window
# ({cite:t}`schuiki2025`, section 4.2). A score means little alone, so every plot also shows the annotators in
# rows of their own, and controls whose score is known. If the masks of a cohort were made by tools rather than
# people, the tools take the place of annotators, and are called tools.

# %% [markdown]
# Map and sap also take the quality of the outlines into account.

# %% tags=["hide-input"]
if cohorts:
    show(
        distributions("whole", "map", "sap"),
        label="fig-models-whole-others",
        caption=f"map and sap on whole images, drawn as in {{numref}}`fig-models-whole`. {data}",
        alt=alt,
    )

# %% [markdown]
# ## Window by window
#
# A model that sees only 256 x 256 pixels at a time may work differently: some models scale intensities by what they
# see, and some resize their input. Here each model saw each window alone. The masks of all other raters are cut from
# whole images, and the border of each window is ignored.

# %% tags=["hide-input"]
if (scores["mode"] == "patch").any():
    show(
        distributions("patch", "ap50"),
        label="fig-models-patch",
        caption=f"ap50 of each model in windows of {window_px} px: boxes span the middle half of the windows, with the median "
        f"inside. {about}{data}",
        alt=alt,
    )
else:
    display(Markdown(f"*No image with two masks is large enough for a window of {window_px} px.*"))

# %% [markdown]
# ## Means, and how certain they are

# %% tags=["hide-input"]
kinds = scores.drop_duplicates("rater_pred").set_index("rater_pred")["kind_pred"]
listed = means.assign(
    cohort=pd.Categorical(means["cohort"], list(cohorts)),
    mode=pd.Categorical(means["mode"], list(MODES)),
    kind=pd.Categorical(means["model"].map(kinds), ["model", "annotator", "tool", "control"]),
    interval=in_words(means),
).sort_values(["cohort", "mode", "kind", "ap50"], ascending=[True, True, True, False])
columns = ["cohort", "mode", "model", "kind", "images", "ap50", "interval", "map", "sap"]
if len(listed):
    show_table(
        listed[columns].rename(columns={"model": "mask of", "interval": "ap50, 95%"}),
        label="tab-models-means",
        caption="Mean over references and images or patches. *95%*: interval of each alone, by a bootstrap that draws "
        "images, then patches within them; a dash where there is one image only, which says nothing about "
        f"others. {data}",
    )
else:
    display(Markdown("*Nothing was scored here.*"))

# %% tags=["hide-input"]
paired = model_differences(scores, record.models)
if len(paired):
    columns = {"one": "first", "two": "second", "p_holm": "p (Holm)"}
    show_table(
        paired.rename(columns=columns).drop(columns="p"),
        label="tab-models-paired",
        caption="Difference in ap50, first model minus second, image by image; every image has the same weight. The 95% "
        f"intervals hold for all pairs together. {data}",
    )
else:
    display(
        Markdown("*Fewer than two models ran on these cohorts, so there is no pair to compare.*")
    )

# %% [markdown]
# Differences are more certain than means, because whatever makes an image hard for all models cancels out.
# [](../decisions/02_models) derives from them which ranks each model may have.

# %% [markdown]
# ## The study's tests
#
# The study checks each group of scores with {term}`Shapiro-Wilk <Shapiro-Wilk test>` and
# {term}`Bartlett <Bartlett's test>`, and takes {term}`Student's t <Student's t-test>`,
# {term}`Welch's t <Welch's t-test>` or {term}`Mann-Whitney U <Mann-Whitney U test>` accordingly. It does not state which
# groups it compares. Here they are a model's scores with all references, and the references' scores with one another
# (each pair once).

# %% tags=["hide-input"]
tests = study_tests(scores, record.models, pairs, alpha=alpha)
tests.to_csv(results_dir(edition, "models") / "tests.csv", index=False)
if len(tests):
    shown = tests[tests["metric"] == "ap50"].drop(columns=["metric", "statistic"])
    shown["p"] = ["–" if pd.isna(p) else f"{p:.2g}" for p in shown["p"]]
    show_table(
        shown.rename(columns={"n_model": "n, model", "n_annotators": f"n, {whose}"}),
        label="tab-models-tests",
        caption="The study's procedure, for ap50: which test it chose, what decided, and the two-sided p. *n*: "
        f"scores in a group. The checks were made at a level of {alpha:g}, which the study does not state. "
        f"For map and sap see `results/{edition}/models/tests.csv`. {data}",
    )
else:
    display(Markdown("*No model ran on these cohorts.*"))

# %% [markdown]
# These p-values treat all scores as independent, which they are not: patches of one image overlap, one model is scored
# against several masks of the same image, and pairs share masks. The p-values are therefore too small. Besides, a
# small p says only that two means differ, not that the difference matters; [](../beyond/01_equivalence)
# asks whether it does.

# %% [markdown]
# ## Measured beside published
#
# Section 4.2 of the study has a figure but no table, so only the following can be compared:

# %% tags=["hide-input"]
reaching = published_table("schuiki25_section4_2").set_index(["mode", "metric"])["models"]
ceiling = published_table("schuiki25_table3").set_index(["mode", "metric"])["value"]
tested = tests[tests["p"].notna()]
claims = []
for mode in MODES:
    limits = agreement["ap50"][agreement.index.get_level_values("mode") == mode]
    shown = of_models[of_models.index.get_level_values("mode") == mode]
    reach = [shown.loc[at, "ap50"] >= limits[mode, at[0]] for at in shown.index]
    there = beside.index.get_level_values("mode") == mode
    surely = int((beside.loc[there, "low"] > 0).sum())
    claims.append(
        {
            "finding": f"mean agreement of {whose}, ap50, {mode}",
            "published": f"{ceiling[mode, 'ap50']:.3f}",
            "measured": ", ".join(f"{v:.3f} ({cohort_name(k)})" for (_, k), v in limits.items())
            or "–",
        }
    )
    claims.append(
        {
            "finding": f"models whose mean ap50 reaches it, {mode}",
            "published": f"{reaching[mode, 'ap50']} of 4",
            "measured": f"{sum(reach)} of {len(reach)}; {surely} surely above",
        }
    )
small = published_table("schuiki25_section4")["p"].item()
claims.append(
    {
        "finding": f"tests with p < {small:.0e}",
        "published": "all",
        "measured": f"{(tested['p'] < small).sum()} of {len(tested)}",
    }
)
show_table(
    pd.DataFrame(claims),
    label="tab-models-published",
    caption="The study's findings (published, section 4) beside this edition's: other images, and other models "
    f"or versions of them, so nothing is expected to be equal. {data}",
)

# %% [markdown]
# ## Models that did not run

# %% tags=["hide-input"]
runs = describe_runs(cohorts, record.models)
idle = runs[runs["not run"].notna()] if len(runs) else runs
if len(idle):
    show_table(
        idle[["model", "not run"]].rename(columns={"not run": "why, and what would help"}),
        label="tab-models-idle",
        caption="Models of this edition that did not run on all of these cohorts. Nothing was put in their place.",
        merge=["model"],
    )
elif record.models:
    display(Markdown("*Every model of this edition ran on all cohorts that it covers.*"))
else:
    display(Markdown("*This edition names no model.*"))

# %% [markdown]
# ## What this does not show
#
# - Which model is right. The errors of the reference mask lower a score as well.
# - How a model compares with people, if the references are the masks of tools.
# - What a model could do after training on such images, or with settings tuned to them.
# - A fair comparison, if a model was trained by this build: it learned from labels that were made in the same way as
#   those of the simulated annotators, which favours it ([](06_models)).
# - Other annotators. The intervals are about other images with the same annotators.

# %% tags=["remove-cell"]
assert list(table.columns) == [
    "cohort", "mode", "sample", "patch", "annotator", "model", "n_true", "n_pred", *METRICS,
]  # fmt: skip
assert table[list(METRICS)].apply(lambda one: one.between(0, 1)).to_numpy().all()
assert (table.loc[table["model"] == "reference", list(METRICS)] == 1).to_numpy().all()
empty = (table["model"] == "nothing") & (table["n_true"] > 0)
assert (table.loc[empty, list(METRICS)] == 0).to_numpy().all()
if edition == "demo":
    chance = means[means["model"] == "random cells"].set_index(["mode", "cohort"])["ap50"]
    assert (chance < agreement.loc[chance.index, "ap50"]).all(), "annotators beat chance"
both = scores["kind_pred"] == scores["kind_true"]
assert both.sum() == 2 * len(pairs), "every pair of references both ways"
assert not len(tests) or tests["p"].dropna().between(0, 1).all()

# %% [markdown]
# ## Takeaways
#
# - Compare a model's score with three others: the agreement of annotators, chance, and the next model.
# - State against whose mask a model was scored. Against another mask of the same images its score is different.
# - Report intervals over images: the number of patches is not the number of observations.
