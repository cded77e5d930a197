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
# # The models
#
# **Which models outline cells here, what does each take, and what did it find?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort of the overlays; when empty, the edition's first
sample: str = ""  # its sample; when empty, the first
field_um: float = 40.0  # edge of the field with outlines, µm

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

from IPython.display import Markdown, display

from imc_helpers.figures.names import counted, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.tissue_images import model_overlays, overlay_panels
from imc_helpers.data.manifest import load_edition, model_record
from imc_helpers.patching import MODES
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.models.run_tables import (
    describe_doubts,
    describe_models,
    describe_remarks,
    describe_runs,
    describe_study_settings,
)

record = load_edition(edition)
models = list(record.models)
runs = describe_runs(record.cohorts, models)
ran = runs[runs[list(MODES)].sum(axis=1) > 0]
idle = runs[runs["not run"].notna() & ~runs.index.isin(ran.index)]
sources = {model_record(key).title: model_record(key).source for key in models}
trained = [title for title in ran["model"] if sources[title] == "trained"]
files = [title for title in ran["model"] if sources[title] == "files"]
made = len(ran) - len(files)
if models:
    summary = (
        f"Of {counted(len(runs), 'model')} that this edition names, {made or 'none'} ran here"
        + (
            f", {len(trained)} of which {'was' if len(trained) == 1 else 'were'} trained by this build on synthetic tissue"
            if trained
            else ""
        )
        + (f"; for {len(files)} more, published masks are used" if files else "")
        + (f". {{numref}}`tab-not-run` says why {len(idle)} did not run" if len(idle) else "")
        + ". A model is fixed not by its name alone, but also by its input planes, pixel size and scaling."
    )
else:
    summary = "This edition names no models. To add some, list them under `models:` in its file in `editions/`."
answer(summary)

# %% tags=["hide-input"]
shown = open_cohort(cohort or record.cohorts[0])
where = sample or shown.ids[0]
annotator = next(iter(shown.references_of(where)), None)
data = source_note([shown.name])
overlays = model_overlays(shown, where, annotator, models, field_um=field_um)
drawn = (
    f"the cells of {rater_name(annotator)} outlined in blue and those of each model in gold, white where "
    "the outlines coincide"
    if annotator
    else "the cells of each model outlined in blue"
)
if overlays:
    show(
        partial(overlay_panels, overlays),
        label="fig-models",
        caption=f"The DNA channel in the middle {field_um:g} µm of one image: {drawn}. {data}",
        alt="The same field of tissue, bare and then once for every model, with the model's cells outlined in "
        + ("gold and the first rater's in blue." if annotator else "blue."),
    )
else:
    display(Markdown(f"*No model has masks of `{where}` here, so there is nothing to show.*"))

# %% [markdown]
# The study uses four generalist models as published, without any training on IMC
# ({cite:t}`schuiki2025`, section 3.2). This book adds the methods that IMC laboratories used before them, and small
# networks that it trains itself on synthetic tissue.

# %% [markdown]
# ## What each model takes as input
#
# A model sees one or two planes, not the whole panel: the mean of the nuclear channels and the mean of the
# membrane channels (see [](02_channels)), in the order that its authors give. The study found no order documented for
# VISTA-2D, and chose (zeros, membrane, nucleus) by trial.

# %% tags=["hide-input"]
table = describe_models(models)
if models:
    show_table(
        table[["model", "version", "takes", "made for", "scaling"]],
        label="tab-inputs",
        caption="What goes into each model, from the manifest. *Version*: the one requested. *Takes*: planes "
        "in the model's own order. *Made for*: the pixel size that it expects (a dash if it takes any). "
        "*Scaling*: what is done to intensities before the network or threshold.",
    )
    show_table(
        table[["model", "trained on", "parameters", "licence", "weights"]],
        label="tab-origins",
        caption="Where each model comes from, from the manifest. *Parameters*: how many numbers were trained. *Licence*: that "
        "of the code. *Weights*: the licence of the trained weights. A dash means that there is none.",
    )

# %% tags=["hide-input"]
own = [key for key in models if model_record(key).training is not None]
if own:
    display(
        Markdown(
            "The labels and settings with which the book's own models are trained were chosen by their scores on separate "
            "synthetic tissue, never on a cohort on which the book reports them (`benchmarks/training_choice.py`, with "
            "results in `benchmarks/results/training_choice.csv`)."
        )
    )

# %% [markdown]
# ## The study's models, setting by setting
#
# A version number alone does not determine what a model does. This section lists the settings of the study's four
# models: what the study states, and what is done here. Where the study states nothing we had to choose, and a
# difference in scores may be due to that choice.

# %% tags=["hide-input"]
settings = describe_study_settings(models)
if len(settings):
    counts = settings["as stated"].value_counts()
    counts = counts.reindex(["yes", "in part", "not stated", "no"], fill_value=0)
    display(
        Markdown(
            f"Of {len(settings)} settings, {counts['yes']} {'is' if counts['yes'] == 1 else 'are'} as the study states; "
            f"{counts['in part']} {'is' if counts['in part'] == 1 else 'are'} stated only in part, {counts['not stated']} not at "
            f"all, and {counts['no']} {'is' if counts['no'] == 1 else 'are'} known to differ here."
        )
    )
    show_table(
        settings,
        label="tab-study-settings",
        caption="Settings of the study's models (Schuiki et al. 2025, section 3) and of this book, from the manifest. "
        "*In part*: the study leaves part of the setting open.",
        merge=["model"],
    )
else:
    display(Markdown("*This edition names none of the study's four models.*"))

# %% [markdown]
# ## What ran here

# %% tags=["hide-input"]
if len(ran):
    show_table(
        ran.drop(columns="not run"),
        label="tab-ran",
        caption=f"Models with finished masks. *Whole* and *patch*: number of cohorts (of {len(record.cohorts)}) that "
        "were segmented as whole images and window by window. *Cells*: number of labels in all whole images. "
        f"*Files*: published masks, not made here. {source_note(record.cohorts)}",
    )
else:
    display(Markdown("*No model has masks here.*"))
remarks = describe_remarks(record.cohorts, models)
if len(remarks):
    show_table(
        remarks,
        label="tab-remarks",
        caption="How these runs differed from what was requested, from their records.",
    )

# %% tags=["hide-input"]
if len(idle):
    show_table(
        idle[["model", "not run"]].rename(columns={"not run": "why, and what would help"}),
        label="tab-not-run",
        caption="Models of this edition that did not run. Nothing was put in their place.",
        merge=["model"],
    )
elif models:
    display(Markdown("*Every model of this edition ran.*"))

# %% [markdown]
# Each model runs in its own notebook, `06_segment`, in one mode and over all cohorts. To add your own model, put its
# masks in a folder and name the folder in `data_manifest/models.yml` ([](../../how_to_run)).

# %% [markdown]
# ## What could not be checked
#
# Few publishers give a hash of their weights. If there is none, the first download is trusted: its hash is
# recorded, and the model is never loaded from a different file. [](../../status) gives the digest of the weights of
# every run.

# %% tags=["hide-input"]
doubts = describe_doubts(models)
if len(doubts):
    show_table(
        doubts.rename(columns={"what": "statement", "why": "what to know"}),
        label="tab-doubts",
        caption="Statements in the manifest that could not be checked at their source, and what you should know about "
        "a model before you compare it.",
        merge=["model"],
    )
else:
    display(Markdown("*Everything that the manifest states about these models was checked.*"))

# %% [markdown]
# ## What this does not show
#
# - The study's scores for models whose weights are not available here.
# - The best that a model can do: nothing was tuned to these images. A model that was trained on
#   synthetic tissue, however, has seen the same kind of tissue as the synthetic cohorts.

# %% tags=["remove-cell"]
assert len(runs) == len(models), "every model of the edition has a row"
assert set(ran["model"]) | set(runs.loc[runs["not run"].notna(), "model"]) == set(runs["model"]), (
    "a model ran, or it says why not"
)
assert runs[list(MODES)].le(len(record.cohorts)).all(axis=None)
assert len(overlays) <= len(ran), "an overlay belongs to a model that ran"
assert settings.loc[settings["as stated"] != "yes", "why"].notna().all(), "a choice has its reason"

# %% [markdown]
# ## Takeaways
#
# - The order of planes, the pixel size and the scaling are part of a model. If you change one of them, it is a
#   different model.
# - A model that did not run is a gap in the comparison, not a score of zero.
