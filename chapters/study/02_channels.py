# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
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
# # Channels
#
# **Which markers make the nucleus and the membrane channel, and which of them carry the signal?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
field_um: float = 100.0  # edge of the crops shown, µm

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

from imc_helpers.data.channel_tables import channel_shares, marker_availability, membrane_choice
from imc_helpers.figures.names import channel_name, cohort_name, counted, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.tissue_images import aggregate_and_parts, aggregates
from imc_helpers.data.manifest import load_edition, published_table
from imc_helpers.data.paths import results_dir
from imc_helpers.data.readers.published import open_cohort

keys = load_edition(edition).cohorts
cohorts = {key: open_cohort(key) for key in keys}
shares = pd.concat(
    channel_shares(cohort, compartment).assign(cohort=key, compartment=compartment)
    for key, cohort in cohorts.items()
    for compartment in ("nucleus", "membrane")
)
shown = keys[0]
membrane = shares[(shares["cohort"] == shown) & (shares["compartment"] == "membrane")]
top = membrane.loc[membrane["share"].idxmax()]
answer(
    "Bright markers dominate: the plain mean does not scale markers first, so each counts in proportion to its signal. "
    f"In {cohort_name(shown)}, {top['channel']} alone contributes {top['share']:.0%} of the "
    f"membrane channel, which has {counted(len(membrane), 'marker')}."
)

# %% tags=["hide-input"]
sample = cohorts[shown][0]
show(
    partial(aggregate_and_parts, sample, "membrane", field_um=field_um),
    label="fig-membrane",
    caption="The membrane channel (first) and the markers of which it is the mean, each with its own contrast. "
    f"{source_note([shown])}",
    alt="The membrane aggregate, followed by one image for each of its markers.",
)

# %% [markdown]
# An IMC image has dozens of channels, but the models take two: one that shows nuclei and one that shows
# membranes. The study computes each as the plain mean of several markers, pixel by pixel and without
# scaling ({cite:t}`schuiki2025`, section 3.1.4 and Table 2).

# %% tags=["hide-input"]
show(
    partial(aggregate_and_parts, sample, "nucleus", field_um=field_um),
    label="fig-nucleus",
    caption="The nucleus channel (first) and the stains of which it is the mean, each with its own contrast. "
    f"{source_note([shown])}",
    alt="The nucleus aggregate, followed by one image for each of its stains.",
)

# %% [markdown]
# Each image has its own contrast, so all markers look equally bright. In the mean they do not count equally:
# {numref}`tab-shares` gives the share of each.

# %% tags=["hide-input"]
shares = shares[["cohort", "compartment", "channel", "mean", "zeros", "share"]]
shares.to_csv(results_dir(edition, "channels") / "shares.csv", index=False)
with_metal = {
    (key, c.name): channel_name(c) for key, cohort in cohorts.items() for c in cohort.panel.channels
}
named = [with_metal[at] for at in zip(shares["cohort"], shares["channel"], strict=True)]
show_table(
    shares.assign(channel=named).rename(
        columns={
            "mean": "mean value per px",
            "zeros": "share of px that are 0",
            "share": "share of the aggregate",
        }
    ),
    label="tab-shares",
    caption="What each channel contributes to its aggregate. Values are counts in IMC and intensities in CODEX. "
    f"{source_note(keys)}",
    decimals=2,
)

# %% [markdown]
# ## What each cohort has
#
# If a cohort lacks one of the study's markers, its aggregate is made without that marker. If it has none of the
# markers of a compartment, or too few to show cells, other markers take their place; the panel of the cohort says
# which.

# %% tags=["hide-input"]
study = published_table("schuiki25_table2")
availability = pd.concat(
    marker_availability(cohort, study).assign(cohort=key) for key, cohort in cohorts.items()
)
availability.to_csv(results_dir(edition, "channels") / "markers.csv", index=False)
grid = availability.pivot(index=["compartment", "marker"], columns="cohort", values="status")
order = pd.MultiIndex.from_frame(availability[["compartment", "marker"]].drop_duplicates())
grid = grid.reindex(index=order, columns=list(keys)).reset_index()
show_table(
    grid,
    label="tab-markers",
    caption="The study's markers (its Table 2) in this edition's cohorts, and the markers that replace missing ones. "
    f"{source_note(keys)}",
)

# %% [markdown]
# The same target does not mean the same signal: another clone may bind another part of the protein, and another
# dilution gives other counts. {numref}`tab-antibodies` lists what the study used.

# %% tags=["hide-input"]
show_table(
    study.drop(columns="source").rename(columns={"dilution": "dilution (1 to n)"}),
    label="tab-antibodies",
    caption=f"The study's two channels, as published: {study['source'][0]}. Not measured here.",
)

# %% [markdown]
# ## The membrane channel is a choice
#
# The study says that it selected markers that all of its cohorts have, but not what it aggregated in a cohort that
# lacks most of them: of the eleven membrane markers, two of its breast cohorts have only CD68 and CD20, which leave
# tumour cells dark. This book takes the study at its word, and averages whichever of the markers a cohort has.
# {numref}`tab-membrane-choice` shows which these are, and which other membrane markers the panel has. To include
# some of the latter, name them under `channels` of the cohort in `data_manifest/cohorts.yml`:
# `channels: {panCK: membrane, ECadherin: membrane}`.

# %% tags=["hide-input"]
choices = {key: membrane_choice(cohort.panel, study) for key, cohort in cohorts.items()}
of = (study["compartment"] == "membrane").sum()
show_table(
    pd.DataFrame(
        {
            "cohort": key,
            "study's markers present": f"{choice['of_study']} of {of}",
            "in the membrane channel": ", ".join(choice["entering"]),
            "left out": ", ".join(choice["others"]) or "none",
        }
        for key, choice in choices.items()
    ),
    label="tab-membrane-choice",
    caption="The markers that make up the membrane channel, and further membrane markers in the panel that are left out "
    f"of it (by the book's own list of membrane markers). {source_note(keys)}",
)

# %% [markdown]
# ## Both channels of every cohort

# %% tags=["hide-input"]
show(
    partial(
        aggregates,
        {cohort_name(key): cohort[0] for key, cohort in cohorts.items()},
        field_um=field_um,
    ),
    label="fig-aggregates",
    caption="The first sample of each cohort: nucleus channel, membrane channel, and both in colour "
    f"(nucleus blue, membrane gold). {source_note(keys)}",
    alt="A row per cohort: nucleus channel, membrane channel, and the two in colour.",
)

# %% [markdown]
# ## What this does not show
#
# - Whether this choice is a good one. The study names its choice of channels as a limit (section 4.4).
# - Whether a marker lies on the membrane. Some of the study's membrane markers do not: TOMM20 marks
#   mitochondria.
# - Markers under other names. Names are compared as they are written, so a marker with another name counts as
#   missing.

# %% tags=["remove-cell"]
totals = shares.groupby(["cohort", "compartment"])["share"].sum()
assert ((totals - 1).abs() < 1e-9).all()
assert len(totals) == 2 * len(keys)
assert shares["zeros"].between(0, 1).all()
has_marker = availability[availability["status"] != "missing"]
assert set(has_marker["cohort"]) == set(keys)
for key, cohort in cohorts.items():
    entering = len(cohort.panel.compartment("nucleus")) + len(cohort.panel.compartment("membrane"))
    assert (shares["cohort"] == key).sum() == entering
    assert set(choices[key]["entering"]).isdisjoint(choices[key]["others"])

# %% [markdown]
# ## Takeaways
#
# - The mean is not a vote: a marker with few counts hardly changes it.
# - Cohorts aggregate different markers, so their membrane channels do not show the same structures.
#
# Next: [](03_patches).
