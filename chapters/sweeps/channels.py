# ---
# jupyter:
#   imc_book:
#     reads:
#     - sweeps/channels
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
# # Which channels, and how aggregated?
#
# **Does it matter which markers make the membrane plane, and how they are put together?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
metric: str = "ap50"  # score of the figures: ap50, map or sap

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

from imc_helpers.data.manifest import cohort_record, published_table
from imc_helpers.data.paths import shipped
from imc_helpers.figures.names import cohort_name, model_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.sweep_plots import choice_dots
from imc_helpers.experiments.sweeps import (
    annotated_cohort,
    beside,
    by_choice,
    differ,
    find_sweep,
    in_words,
    verdict,
    way_names,
)
from imc_helpers.experiments.model_inputs import ALL, ONLY, WITHOUT

cohort = annotated_cohort(edition)
table, why_not = find_sweep(edition, "channels")
bars = "95% intervals over images."
baseline = "the plain mean of all membrane markers"


def differences(points):
    """Return how much each way, each marker alone and each left out differ from the plain mean of all."""
    named = points.assign(model=points["model"].map(model_name), way=way_names(points))
    ways = by_choice(named[named["channels"] == ALL], "way", "mean", metric)
    against_all = by_choice(named[named["way"] == "mean"], "channels", ALL, metric)
    names = against_all["channels"].astype(str)
    alone = names.str.startswith(ONLY) | (names == "none")
    return ways, against_all[alone], against_all[names.str.startswith(WITHOUT)]


def sides(parts):
    """Put the tables of `differences` together, the choice in a column of one name."""
    named = [part.rename(columns={"channels": "way"}) for part in parts]
    return pd.concat([part for part in named if len(part)] or named[:1])


ways = alone = without = table
if not why_not:
    images = table["sample"].nunique()
    data = f"{images} images of {cohort_name(cohort)}. {source_note([cohort])}"
    ways, alone, without = differences(table)
    table["model"], table["way"] = table["model"].map(model_name), way_names(table)


def sentence(rows, choice):
    """Name the best and the worst choice of each model, and how many differ from the baseline."""
    said = []
    if rows.empty:
        return "not part of this edition's sweep."
    for model, own in rows.groupby("model", sort=False):
        best, worst = own.loc[own["mean"].idxmax()], own.loc[own["mean"].idxmin()]
        said.append(
            f"{model}: best *{best[choice]}*, {in_words(best)}; worst *{worst[choice]}*, {in_words(worst)}; "
            f"{int(differ(own).sum())} of {len(own)} intervals leave out 0"
        )
    return ". ".join(said) + "."


questions = {
    "How they are put together": sentence(ways, "way"),
    "One marker alone, or none": sentence(alone, "channels"),
    "All but one": sentence(without, "channels"),
}
lines = "\n".join(f"- *{question}.* {said}" for question, said in questions.items())
# Of a synthetic cohort: how many of its markers were fitted, and what real tissue says.
assumed, real_says, together = "", "", pd.DataFrame()
if not why_not:
    summary = f"{verdict([sides((ways, alone, without))], 'way', baseline)} ({metric} with the annotators.)"
    if cohort_record(cohort).synthetic:
        folder, spleen = shipped("benchmarks/results"), "spleen_imc"
        fitted = set(pd.read_csv(folder / f"{spleen}_channels.csv")["name"])
        study = published_table("schuiki25_table2")
        membrane = study.loc[study["compartment"] == "membrane", "marker"]
        analogous = [name for name in membrane if name not in fitted]
        assumed = (
            f"The phantom's levels of {len(analogous)} of the study's {len(membrane)} membrane markers are "
            "set by analogy and not fitted to anything, so on synthetic tissue this sweep measures mostly those "
            "assumptions"
        )
        points = pd.read_csv(folder / f"{spleen}_sweep_channels.csv")
        real = sides(differences(points))
        real_says = verdict([real], "way", baseline)
        names = ("synthetic", f"{cohort_name(spleen)}, real")
        together = beside(sides((ways, alone, without)), real, "way", names)
        summary += (
            f" **{assumed}.** On real spleen ({points['sample'].nunique()} images, scored with two tools' "
            f"masks; {{numref}}`tab-sweep-real`): {real_says[0].lower()}{real_says[1:]}"
        )
answer(why_not or summary)


def left_out():
    """Say why a figure is missing."""
    display(Markdown(f"*{why_not or 'No point of this sweep asks this.'}*"))


# %% tags=["hide-input"]
if len(ways):
    show(
        partial(choice_dots, ways, "way", label=f"{metric}, difference from the plain mean"),
        label="fig-sweep-aggregation",
        caption=f"The same membrane markers put together in another way, best first. {bars} {data}",
        alt="A panel per model, a row per way to aggregate: the difference in score from the mean, with its interval.",
    )
else:
    left_out()

# %% [markdown]
# The study takes the plain mean of all its membrane markers, and says that nobody has tried what else one
# could do ({cite:t}`schuiki2025`, section 4.4). Here each marker is used alone, each is left out once, and
# all are put together in eight ways, among them the thesis's baselines ({cite:t}`goldsborough2025`, section
# 4.3.5). Each combination is one run of `chapters/sweeps/channels_point.py`; run by hand, it also draws what the
# model saw.

# %% tags=["hide-input"]
if not why_not:
    display(Markdown(f"Differences in mean {metric}, with 95% intervals:\n\n{lines}"))

# %% [markdown]
# *sum*, *max* and *median* are taken per pixel. *scaled_mean* first stretches every channel between its 1st
# and 99th percentile, *arcsinh_mean* first takes the inverse hyperbolic sine. *first_component* is the first
# principal component of the pixels. *rgb* colours each marker at random, as viewers do, and gives red to the
# nuclei: a model with two inputs sees red as nucleus, and the mean of green and blue as membrane. A sum is a
# mean times a number: where the two differ, the model depends on the unit of its input. *nuclei by mean*: only
# the membrane plane was made in that way, so what is left of a difference is due to the membrane.

# %% tags=["hide-input"]
said = []
for model, own in ways.groupby("model", sort=False) if len(ways) else ():
    gains = own.set_index("way")
    apart = [way for way in gains.index if f"{way}, nuclei by mean" in gains.index]
    if not apart:
        continue
    best = gains.loc[apart, "mean"].idxmax()
    rest = gains.loc[f"{best}, nuclei by mean"]
    said.append(
        f"{model}: *{best}* for both planes {in_words(gains.loc[best])}, for the membrane plane alone "
        f"{in_words(rest)}"
    )
if said:
    display(
        Markdown(
            f"**Nuclei or membrane?** {'. '.join(said)}. The rest is the nuclear plane's part."
        )
    )

# %% [markdown]
# ## Beside real tissue

# %% tags=["hide-input"]
if len(together):
    counts = together["together"].value_counts()
    said = ", ".join(f"{n} {what}" for what, n in counts.items())
    display(
        Markdown(
            f"{assumed}: {', '.join(analogous)}. Choices that were tried on both, on synthetic tissue and "
            f"on real spleen: {said}. A choice that real tissue does not confirm is a finding about the phantom."
        )
    )
    show_table(
        together.rename(columns={"way": "choice"}),
        label="tab-sweep-real",
        caption=f"Difference in mean {metric} from {baseline}, with 95% intervals over images: synthetic, and "
        f"on real spleen (the open edition's sweep, kept with the code; its membrane markers are the four of "
        "the study's that its panel has, and it is scored with two tools' masks). *together*: whether the two "
        "intervals lie on one side of 0.",
    )
elif why_not:
    left_out()
elif assumed:
    display(Markdown("*No choice of this sweep was tried on real spleen as well.*"))
else:
    display(
        Markdown("*The numbers above come from real tissue: nothing is to be set beside them.*")
    )

# %% [markdown]
# ## One marker alone

# %% tags=["hide-input"]
if len(alone):
    show(
        partial(choice_dots, alone, "channels", label=f"{metric}, difference from all markers"),
        label="fig-sweep-alone",
        caption="One channel alone makes the membrane plane, or none does and the plane is empty; best first. "
        f"{bars} {data}",
        alt="A panel per model, a row per marker: the difference in score from all markers, with its interval.",
    )
else:
    left_out()

# %% [markdown]
# ## All but one

# %% tags=["hide-input"]
if len(without):
    show(
        partial(choice_dots, without, "channels", label=f"{metric}, difference from all markers"),
        label="fig-sweep-without",
        caption=f"One membrane marker left out, best first. {bars} {data}",
        alt="A panel per model, a row per marker left out: the difference in score from all, with its interval.",
    )
else:
    left_out()

# %% [markdown]
# ## All numbers

# %% tags=["hide-input"]
if why_not:
    left_out()
else:
    scores = ["ap50", "map", "sap", "truth_ap50"]
    means = table.groupby(["model", "channels", "way"], sort=False)[scores].mean().reset_index()
    show_table(
        means.rename(columns={"truth_ap50": "ap50 with the truth"}),
        label="tab-sweep-channels",
        caption="Mean scores with the annotators (IoU ≥ t), and with the truth where it is known; a dash where "
        f"it is not. {data}",
    )

# %% [markdown]
# ## What this does not show
#
# - A general rule. The markers, their brightness and the tissue are those of one cohort.
# - What a model would do that had been *trained* on another aggregate. The thesis trains one for each.
# - Luck. The best of many choices looks better than it is; the intervals are not corrected for the choosing,
#   and with few images they are wide.

# %% tags=["remove-cell"]
if not why_not:
    assert table[["ap50", "map", "sap"]].apply(lambda s: s.between(0, 1)).to_numpy().all()
    assert not table.duplicated(["model", "channels", "way", "sample"]).any()
    per_point = table.groupby(["model", "channels", "way"])["sample"].nunique()
    assert (per_point == images).all(), "every point scored the same images"
    assert bool(assumed) == cohort_record(cohort).synthetic
    if assumed:
        assert 0 < len(analogous) < len(membrane)
    shown = [rows for rows in (ways, alone, without) if len(rows)]
    for rows in shown if images > 1 else []:
        assert ((rows["low"] <= rows["mean"]) & (rows["mean"] <= rows["high"])).all()

# %% [markdown]
# ## Takeaways
#
# - Report which channels made the planes, and how: it is part of the method.
# - Before choosing markers by a score, look at how far apart the scores are, and how sure.
