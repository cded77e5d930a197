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
# # Models against annotators
#
# **How close does each model come to the annotators?**
#
# Each model is scored against one annotator at a time, on whole images and window by window
# ({cite:t}`schuiki2025`, section 4.2). What the scores are worth shows only beside others: so every plot
# has the annotators as rows of their own, and controls whose score is known.

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
window_px: int = 256  # edge of a patch, pixels
stride_px: int = 128  # step from one patch to the next, pixels
border_px: int = 28  # ignored border of a patch, pixels
strict: bool = False  # match cells when IoU > t; when False, when IoU >= t
alpha: float = 0.05  # level of the checks that choose a test

# %% tags=["hide-input"]
# Colab guard, written by `make sync`: installs the package where it is missing.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("imc_helpers") is None:
    # Without dependencies: the numpy and torch that are there stay as they are.
    packages = [
        "git+https://github.com/imc-agreement-book/imc-agreement-book@main",
        "centrosome",
        "imagecodecs",
        "pooch",
        "readimc",
    ]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, *packages], check=True)

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.agreement.pairwise import METRICS, MODES, mean_agreement, pairwise
from imc_helpers.agreement.comparison import differences_from_best, mean_scores, study_tests
from imc_helpers.figures.model_plots import score_distributions
from imc_helpers.figures.page import show, show_table
from imc_helpers.data.manifest import load_edition, published_table, source_note
from imc_helpers.models.controls import CONTROLS
from imc_helpers.data.paths import results_dir
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.models.run_tables import describe_runs
from imc_helpers.agreement.scoring import score_models

record = load_edition(edition)
everything = {key: open_cohort(key) for key in record.cohorts}
grid = {"window_px": window_px, "stride_px": stride_px, "border_px": border_px, "strict": strict}
table = pd.concat(score_models(cohort, record.models, **grid) for cohort in everything.values())
table.to_csv(results_dir(edition, "models") / "scores.csv", index=False)

cohorts = {key: cohort for key, cohort in everything.items() if len(cohort.annotators) > 1}
pairs = pd.concat(pairwise(cohort, **grid) for cohort in cohorts.values())
agreement = mean_agreement(pairs).set_index(["mode", "cohort"])
scores = table[table["cohort"].isin(cohorts)]
means = mean_scores(scores)
of_models = means[means["model"].isin(record.models)].set_index(["cohort", "mode", "model"])
rows = {
    key: [
        [m for m in record.models if (key, "whole", m) in of_models.index],
        list(cohort.annotators),
        list(CONTROLS),
    ]
    for key, cohort in cohorts.items()
}
rows = {
    key: [sorted(names, key=lambda m: -of_models.loc[(key, "whole", m), "ap50"]), *others]
    for key, (names, *others) in rows.items()
}
rule = "IoU > t" if strict else "IoU ≥ t"
data = source_note(cohorts)

sentences = []
for key, (names, *_) in rows.items():
    limit = agreement.loc[("whole", key), "ap50"]
    sentence = f"In `{key}` the annotators agree at {limit:.3f} (mean ap50, whole images)"
    if names:
        best = of_models.loc[(key, "whole", names[0]), "ap50"]
        above = sum(of_models.loc[(key, "whole", m), "ap50"] >= limit for m in names)
        sentence += (
            f"; of {len(names)} models {above or 'none'} reach{'es' if above == 1 else ''} that, and the "
            f"best, `{names[0]}`, scores {best:.3f}"
        )
    sentences.append(sentence + ".")
display(Markdown("**In short.** " + " ".join(sentences)))

# %% [markdown]
# ## Whole images

# %% tags=["hide-input"]
about = (
    "Each line of marks is one annotator, whose mask is the reference: a dot is an image, a box the middle "
    "half of more than twelve images or patches, a black diamond the mean. Rows: models, best first; the "
    "annotators themselves; controls (the reference itself, as many random cells, nothing). "
)
alt = (
    "Scores from 0 to 1 in three panels, ap50, map and sap. Models in rows, below them the annotators and "
    "the controls; a dashed line at the mean agreement of the annotators."
)


def distributions(mode):
    shown = {key: scores[(scores["cohort"] == key) & (scores["mode"] == mode)] for key in cohorts}
    shown = {key: part for key, part in shown.items() if len(part)}
    lines = {key: agreement.loc[(mode, key), list(METRICS)] for key in shown}
    return score_distributions(shown, {key: rows[key] for key in shown}, lines=lines)


show(
    distributions("whole"),
    label="fig-models-whole",
    caption=f"Scores on whole images. {about}A pair of cells matches when {rule}. {data}",
    alt=alt,
)

# %% [markdown]
# ## Window by window
#
# A model that sees 256 x 256 pixels at a time may work differently: some scale intensities by what they
# see, and some resize their input.

# %% tags=["hide-input"]
show(
    distributions("patch"),
    label="fig-models-patch",
    caption=f"Scores in windows of {window_px} px every {stride_px} px, of which {border_px} px on each "
    f"side are ignored. {about}Models saw each window alone; annotators and controls are cut out of "
    f"the whole image. A pair of cells matches when {rule}. {data}",
    alt=alt,
)

# %% [markdown]
# ## Means, and how sure they are

# %% tags=["hide-input"]
kinds = {name: "annotator" for cohort in cohorts.values() for name in cohort.annotators}
kinds |= dict.fromkeys(CONTROLS, "control") | dict.fromkeys(record.models, "model")
kind_order = ["model", "annotator", "control"]
listed = means.assign(
    cohort=pd.Categorical(means["cohort"], list(cohorts)),
    mode=pd.Categorical(means["mode"], list(MODES)),
    kind=pd.Categorical(means["model"].map(kinds), kind_order),
    interval=[
        "–" if pd.isna(low) else f"{max(low, 0):.3f} to {min(high, 1):.3f}"
        for low, high in zip(means["ap50_low"], means["ap50_high"], strict=True)
    ],
).sort_values(["cohort", "mode", "kind", "ap50"], ascending=[True, True, True, False])
columns = ["cohort", "mode", "model", "kind", "images", "ap50", "interval", "map", "sap"]
show_table(
    listed[columns].rename(columns={"interval": "ap50, 95 %"}),
    label="tab-models-means",
    caption="Mean over annotators and images or patches. *95 %*: interval by a bootstrap that draws images, "
    "then patches within them; a dash where there is one image only, which says nothing about others. "
    f"{data}",
)

# %% tags=["hide-input"]
paired = differences_from_best(scores, record.models)
if len(paired):
    show_table(
        paired,
        label="tab-models-paired",
        caption="Difference in ap50 of each model from the best of its cohort and mode, image by image (or "
        f"patch by patch), with its 95 % interval. {data}",
    )
else:
    display(
        Markdown("*Fewer than two models ran on these cohorts, so there is no pair to compare.*")
    )

# %% [markdown]
# Differences are surer than means: what makes an image hard for all models drops out of them.

# %% [markdown]
# ## The study's tests
#
# The study checks each group of scores with {term}`Shapiro-Wilk <Shapiro-Wilk test>` and
# {term}`Bartlett <Bartlett's test>`, and takes {term}`Student's t <Student's t-test>`,
# {term}`Welch's t <Welch's t-test>` or {term}`Mann-Whitney U <Mann-Whitney U test>` as they say. Which
# groups it compares it does not state. Here: a model's scores against all annotators, and the annotators'
# scores against one another, each pair once.

# %% tags=["hide-input"]
tests = study_tests(scores, record.models, pairs, alpha=alpha)
tests.to_csv(results_dir(edition, "models") / "tests.csv", index=False)
if len(tests):
    shown = tests[tests["metric"] == "ap50"].drop(columns=["metric", "statistic"])
    shown["p"] = ["–" if pd.isna(p) else f"{p:.1e}" for p in shown["p"]]
    show_table(
        shown.rename(columns={"n_model": "n, model", "n_annotators": "n, annotators"}),
        label="tab-models-tests",
        caption="The study's procedure, for ap50: which test it chose, what decided, and the two-sided p. *n*: "
        f"scores in a group. The checks were made at a level of {alpha:g}, which the study does not state. "
        f"Map and sap stand in `results/{edition}/models/tests.csv`. {data}",
    )
else:
    display(Markdown("*No model ran on these cohorts.*"))

# %% [markdown]
# These p take every score for independent. It is not: patches of one image overlap, one model is scored
# against several annotators on the same image, and pairs share annotators. So they are too small, and a
# small p says only that two means differ, not that the difference matters. [](../beyond/01_equivalence)
# asks that.

# %% [markdown]
# ## Measured beside published
#
# Of section 4.2 the study gives a figure and no table, so what can be set side by side is this:

# %% tags=["hide-input"]
published = published_table("schuiki25_section4").set_index("finding")
ceiling = published_table("schuiki25_table3").set_index(["mode", "metric"])["value"]
tested = tests[tests["p"].notna()]
claims = []
for mode in MODES:
    shown = of_models[of_models.index.get_level_values("mode") == mode]
    limits = [agreement.loc[(mode, key), "ap50"] for key, *_ in shown.index]
    claims.append(
        {
            "what": f"mean agreement of annotators, ap50, {mode}",
            "published": f"{ceiling[mode, 'ap50']:.3f}",
            "measured": ", ".join(
                f"{v:.3f} (`{k}`)" for k, v in agreement.loc[mode, "ap50"].items()
            ),
        }
    )
    claims.append(
        {
            "what": f"models whose mean ap50 reaches it, {mode}",
            "published": published.loc["models that reach the agreement", "value"],
            "measured": f"{sum(shown['ap50'] >= limits)} of {len(shown)}",
        }
    )
small = float(published.loc["largest p of all tests, below", "value"])
claims.append(
    {
        "what": f"tests with p < {small:.0e}",
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
    )
else:
    display(Markdown("*Every model of this edition ran on all cohorts that it covers.*"))

# %% [markdown]
# ## What this does not show
#
# - Which model is right. A score against an annotator falls by the annotator's errors too.
# - What a model can do after training on such images, or with its settings tuned to them.
# - A fair race, where a model was trained by this build: it learned from labels that were made as the
#   simulated annotators make theirs, which flatters it beside them ([](06_models)).
# - Other annotators: these are the ones there are, and the intervals speak of other images only.

# %% tags=["remove-cell"]
assert list(table.columns) == [
    "cohort", "mode", "sample", "patch", "annotator", "model", "n_true", "n_pred", *METRICS,
]  # fmt: skip
assert table[list(METRICS)].apply(lambda one: one.between(0, 1)).to_numpy().all()
assert (table.loc[table["model"] == "reference", list(METRICS)] == 1).to_numpy().all()
empty = (table["model"] == "nothing") & (table["n_true"] > 0)
assert (table.loc[empty, list(METRICS)] == 0).to_numpy().all()
chance = means[means["model"] == "random cells"].set_index(["mode", "cohort"])["ap50"]
assert (chance < agreement.loc[chance.index, "ap50"]).all(), "annotators agree better than chance"
people = scores[scores["model"].map(kinds) == "annotator"]
swapped = people.rename(columns={"annotator": "model", "model": "annotator"})
both = people.merge(swapped, on=["cohort", "mode", "sample", "patch", "annotator", "model"])
assert len(both) == len(people), "every pair of annotators both ways"
assert (both["ap50_x"] == both["ap50_y"]).all(), "and with the same score"
assert not len(tests) or tests["p"].dropna().between(0, 1).all()

# %% [markdown]
# ## Takeaways
#
# - Read a model's score beside three others: the annotators' own, chance, and the next model's.
# - Say against whom a model was scored. Against another annotator of the same images it has another score.
# - Report intervals over images. The number of patches is not the number of observations.
