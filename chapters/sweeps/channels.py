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
from imc_helpers.figures.names import choice_name, cohort_name, model_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.sweep_plots import choice_dots
from imc_helpers.experiments.sweeps import (
    OPPOSITE,
    SAME,
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
    """Return how far each aggregation, each single marker and each omission is from the plain mean of all."""
    named = points.assign(model=points["model"].map(model_name), way=way_names(points))
    ways = by_choice(named[named["channels"] == ALL], "way", "mean", metric)
    ways["way"] = ways["way"].map(choice_name)
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
    table["model"] = table["model"].map(model_name)
    table["way"] = way_names(table).map(choice_name)


def sentence(rows, choice):
    """Name the best and the worst choice of each model, and how many differ from the baseline."""
    said = []
    if rows.empty:
        return "not part of this edition's sweep."
    for model, own in rows.groupby("model", sort=False):
        best, worst = own.loc[own["mean"].idxmax()], own.loc[own["mean"].idxmin()]
        said.append(
            f"{model}: best *{best[choice]}*, {in_words(best)}; worst *{worst[choice]}*, {in_words(worst)}; "
            f"{int(differ(own).sum())} of {len(own)} intervals exclude 0"
        )
    return ". ".join(said) + "."


questions = {
    "How they are put together": sentence(ways, "way"),
    "A single marker, or none": sentence(alone, "channels"),
    "All but one": sentence(without, "channels"),
}
lines = "\n".join(f"- *{question}.* {said}" for question, said in questions.items())
# Of a synthetic cohort: how many of its markers were fitted, and what real tissue says.
assumed, together = "", pd.DataFrame()
if not why_not:
    summary = f"{verdict([sides((ways, alone, without))], 'way', baseline)} Scores are {metric} with the annotators."
    if cohort_record(cohort).synthetic:
        folder, spleen = shipped("benchmarks/results"), "spleen_imc"
        fitted = set(pd.read_csv(folder / f"{spleen}_channels.csv")["name"])
        study = published_table("schuiki25_table2")
        membrane = study.loc[study["compartment"] == "membrane", "marker"]
        analogous = [name for name in membrane if name not in fitted]
        assumed = (
            f"The phantom's levels of {len(analogous)} of the study's {len(membrane)} membrane markers are set by "
            "analogy rather than fitted to data, so on synthetic tissue this sweep mostly tests those assumptions"
        )
        points = pd.read_csv(folder / f"{spleen}_sweep_channels.csv")
        real = sides(differences(points))
        names = ("synthetic", f"{cohort_name(spleen)}, real")
        together = beside(sides((ways, alone, without)), real, "way", names)
        summary += f" **{assumed}.**"
        if len(together):
            agree = {what: int((together["together"] == what).sum()) for what in (SAME, OPPOSITE)}
            summary += (
                f" Of {len(together)} choices that were also tried on real spleen ({points['sample'].nunique()} images, scored with "
                f"the masks of two tools), the real tissue confirms {agree[SAME] or 'none'} and contradicts "
                f"{agree[OPPOSITE] or 'none'}; for the others at least one of the two intervals includes 0 "
                "({numref}`tab-sweep-real`)."
            )
answer(why_not or summary)


def left_out():
    """Say why a figure is missing."""
    display(Markdown(f"*{why_not or 'The sweep of this edition did not try this.'}*"))


# %% tags=["hide-input"]
if len(ways):
    show(
        partial(choice_dots, ways, "way", label=f"{metric}, difference from the plain mean"),
        label="fig-sweep-aggregation",
        caption=f"The same membrane markers combined in other ways, best first: difference in {metric} from the plain "
        f"mean. {bars} {data}",
        alt="One panel per model with one row per aggregation: its difference in score from the plain mean, with an interval.",
    )
else:
    left_out()

# %% [markdown]
# The study takes the plain mean of all its membrane markers, and notes that alternatives have not been
# explored ({cite:t}`schuiki2025`, section 4.4). Here each marker is used alone, each is left out once, and
# all are combined in eight ways, including the baselines of {cite:t}`goldsborough2025` (section
# 4.3.5). Each combination is one run of `chapters/sweeps/channels_point.py`; if you run that notebook by hand, it
# also draws what the model saw.

# %% tags=["hide-input"]
if not why_not:
    display(Markdown(f"Differences in mean {metric}, with 95% intervals:\n\n{lines}"))

# %% [markdown]
# - *Sum*, *max* and *median* are taken pixel by pixel.
# - *Scaled mean* first stretches every channel between its 1st and 99th percentiles; *arcsinh mean* first takes the
#   inverse hyperbolic sine.
# - *First principal component* is that of the pixels.
# - *Random colours (RGB)* gives each marker a random colour, as viewers do, and red to the nuclei. A model with two
#   inputs sees red as the nucleus plane, and the mean of green and blue as the membrane plane.
# - *Nuclei by mean*: only the membrane plane was made in this way. The nucleus plane is the plain mean, so any
#   remaining difference is due to the membrane plane.
#
# A sum is a mean times a constant. Where the two give different scores, the model depends on the units of its input.

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
            f"**Is the gain due to the nuclei or to the membrane?** {'. '.join(said)}. The difference between the two is due to "
            "the nucleus plane."
        )
    )

# %% [markdown]
# ## Does real tissue agree?

# %% tags=["hide-input"]
if len(together):
    counts = together["together"].value_counts()
    said = "; ".join(f"{what}: {n}" for what, n in counts.items())
    display(
        Markdown(
            f"{assumed} ({', '.join(analogous)}). Where the two intervals of the {len(together)} choices lie that were tried both on "
            f"synthetic tissue and on real spleen: {said}. A result that real tissue does not confirm says something about the phantom only."
        )
    )
    show_table(
        together.rename(columns={"way": "choice"}),
        label="tab-sweep-real",
        caption=f"Difference in mean {metric} from {baseline}, with 95% intervals over images, on synthetic tissue and "
        "on real spleen (the open edition's sweep, stored with the code; its membrane markers are the four that its "
        "panel shares with the study, and its references are the masks of two tools). *Together*: whether both "
        "intervals lie on the same side of 0.",
    )
elif why_not:
    left_out()
elif assumed:
    display(Markdown("*No choice of this sweep was tried on real spleen as well.*"))
else:
    display(
        Markdown("*The numbers above come from real tissue, so no comparison with it is needed.*")
    )

# %% [markdown]
# ## A single marker

# %% tags=["hide-input"]
if len(alone):
    show(
        partial(choice_dots, alone, "channels", label=f"{metric}, difference from all markers"),
        label="fig-sweep-alone",
        caption="The membrane plane made from a single marker, or left empty (*none*), best first: difference in "
        f"{metric} from the mean of all markers. {bars} {data}",
        alt="One panel per model with one row per marker: its difference in score from all markers, with an interval.",
    )
else:
    left_out()

# %% [markdown]
# ## All markers but one

# %% tags=["hide-input"]
if len(without):
    show(
        partial(choice_dots, without, "channels", label=f"{metric}, difference from all markers"),
        label="fig-sweep-without",
        caption=f"The membrane plane without one of its markers, best first: difference in {metric} from the mean of all "
        f"markers. {bars} {data}",
        alt="One panel per model with one row per marker left out: its difference in score from all markers, with an interval.",
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
        means.rename(columns={"way": "aggregation", "truth_ap50": "ap50 with the truth"}),
        label="tab-sweep-channels",
        caption="Mean scores with the annotators (IoU ≥ t), and with the truth where it is known; a dash where "
        f"it is not. {data}",
    )

# %% [markdown]
# ## What this does not show
#
# - A general rule. The markers, their brightness and the tissue are those of one cohort.
# - How a model *trained* on another aggregate would do. {cite:t}`goldsborough2025` trains one for each.
# - The role of luck. The best of many choices looks better than it is: the intervals are not corrected for picking
#   the best afterwards, and with few images they are wide.

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
# - Report which channels make up each plane, and how they are combined: it is part of the method.
# - Before you choose markers by a score, look at how much the scores differ, and how certain the differences are.
