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

from imc_helpers.figures.names import rater_name, source_note
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
        f"Of {len(runs)} models, {made} ran here"
        + (f", {len(trained)} of them trained by this build on synthetic tissue" if trained else "")
        + (f"; of {len(files)} more there are published masks" if files else "")
        + (f". {len(idle)} did not run, and {{numref}}`tab-not-run` says why" if len(idle) else "")
        + "."
    )
else:
    summary = "This edition names no models. Its `models:` in `editions/` is where to add some."
answer(summary)

# %% tags=["hide-input"]
shown = open_cohort(cohort or record.cohorts[0])
where = sample or shown.ids[0]
annotator = next(iter(shown.references_of(where)), None)
data = source_note([shown.name])
overlays = model_overlays(shown, where, annotator, models, field_um=field_um)
drawn = (
    f"the cells of {rater_name(annotator)} outlined in blue and those of each model in gold, white where "
    "the two lines are the same"
    if annotator
    else "the cells of each model outlined in blue"
)
if overlays:
    show(
        partial(overlay_panels, overlays),
        label="fig-models",
        caption=f"The middle {field_um:g} µm of one image, DNA channel: {drawn}. {data}",
        alt="The same field of tissue bare and then once for every model, with the model's cells outlined in "
        + ("gold and the first rater's in blue." if annotator else "blue."),
    )
else:
    display(Markdown(f"*No model has masks of `{where}` here, so there is nothing to show.*"))

# %% [markdown]
# The study takes four generalist models as they come, without any training on IMC
# ({cite:t}`schuiki2025`, section 3.2). The methods that IMC laboratories used before them stand beside
# them here, and small networks that this book trains itself on synthetic tissue.

# %% [markdown]
# ## What each takes
#
# A model sees one or two planes, not the panel: the mean of the nuclear channels and the mean of the
# membrane channels (see [](02_channels)), in the order that its authors give. The study found no order for VISTA-2D
# in its documentation and chose (zeros, membrane, nucleus) by trial.

# %% tags=["hide-input"]
table = describe_models(models)
if models:
    show_table(
        table[["model", "version", "takes", "made for", "scaling"]],
        label="tab-inputs",
        caption="What goes into each model, from the manifest. *Version*: the one asked for. *Takes*: planes "
        "in the model's own order. *Made for*: the pixel size it expects; a dash where it takes any. "
        "*Scaling*: what is done to intensities before the network or threshold.",
    )
    show_table(
        table[["model", "trained on", "parameters", "licence", "weights"]],
        label="tab-origins",
        caption="Where each model comes from, from the manifest. *Parameters*: trained numbers. *Licence* is "
        "of the code, *weights* of what was trained; a dash where there is nothing of the kind.",
    )

# %% tags=["hide-input"]
own = [key for key in models if model_record(key).training is not None]
if own:
    display(
        Markdown(
            "How the book's own models are trained (labels and settings) was chosen by their scores on "
            "synthetic tissue of seeds that no cohort has, and never on a cohort that they are shown on: "
            "`benchmarks/training_choice.py` wrote the table, `benchmarks/results/training_choice.csv`."
        )
    )

# %% [markdown]
# ## The study's models, setting by setting
#
# A version alone does not fix what a model does. So here are the settings of the study's four models: what the
# study states, and what is done here. Where it states nothing, somebody had to choose, and a difference in scores
# may come from that.

# %% tags=["hide-input"]
settings = describe_study_settings(models)
if len(settings):
    counts = settings["as stated"].value_counts()
    counts = counts.reindex(["yes", "in part", "not stated", "no"], fill_value=0)
    display(
        Markdown(
            f"Of {len(settings)} settings, {counts['yes']} are as stated; of {counts['in part']} the study states a part, "
            f"{counts['not stated']} it does not state, and {counts['no']} {'is' if counts['no'] == 1 else 'are'} known to be another here."
        )
    )
    show_table(
        settings,
        label="tab-study-settings",
        caption="Settings of the study's models (Schuiki et al. 2025, section 3) and of this book, from the manifest. "
        "*In part*: the study leaves a part of it open.",
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
        caption=f"Models with finished masks. *whole* and *patch*: cohorts, of {len(record.cohorts)}, that "
        "were segmented as whole images and window by window. *Cells*: labels in all whole images. "
        f"*files*: published masks, not made here. {source_note(record.cohorts)}",
    )
else:
    display(Markdown("*No model has masks here.*"))
remarks = describe_remarks(record.cohorts, models)
if len(remarks):
    show_table(
        remarks,
        label="tab-remarks",
        caption="What differed in these runs from what was asked for, from their records.",
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
# Each model runs in a notebook of its own, in one mode over all cohorts: `06_segment`. Yours can be one
# too: lay masks in a folder and name it in `data_manifest/models.yml` ([](../../how_to_run)).

# %% [markdown]
# ## What could not be checked
#
# Few publishers give a hash of their weights. Where there is none, the first download is trusted: its hash is
# written down, and the model is never loaded with another file. [](../../status) gives the digest of the weights of
# every run.

# %% tags=["hide-input"]
doubts = describe_doubts(models)
if len(doubts):
    show_table(
        doubts,
        label="tab-doubts",
        caption="Statements of the manifest that rest on less than their source, and what a reader should know of "
        "a model before comparing it.",
        merge=["model"],
    )
else:
    display(Markdown("*The manifest states nothing of these models that could not be checked.*"))

# %% [markdown]
# ## What this does not show
#
# - The study's scores for models whose weights are not here.
# - The best that a model can do: nothing was tuned to these images. But a model that was trained on
#   synthetic tissue has seen tissue of the same kind as the synthetic cohorts.

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
# - Order of planes, pixel size and scaling are part of a model. Change one and it is another model.
# - A model that did not run is a gap in the comparison, not a zero.
