# ---
# jupyter:
#   imc_book:
#     reads:
#     - predictions
#     - viewer
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
# # Where models err
#
# **Which cells does a model miss, split or merge?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort; when empty, the first with several masks of an image
model: str = ""  # model of the map; when empty, the one that finds most cells
sample: str = ""  # sample of the map; when empty, the first
field_um: float = 120.0  # edge of the map, µm
bins: int = 5  # bins of size and of crowding, with about as many cells each
most_images: int = 20  # images whose cells are looked at, evenly spread over the cohort

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

from imc_helpers.agreement.disagreements import find_disagreements
from imc_helpers.agreement.outcomes import (
    FOUND_IOU,
    cell_outcomes,
    first_to_compare,
    kind_shares,
    recall_by,
)
from imc_helpers.figures.model_plots import error_map, kind_bars, recall_curves
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import answer, show
from imc_helpers.figures.viewer.gallery import links_to_largest
from imc_helpers.cells.properties import NEIGHBOURHOOD_UM
from imc_helpers.data.manifest import load_edition
from imc_helpers.metrics import contingency_table
from imc_helpers.metrics.error_types import Kind, mesmer_errors
from imc_helpers.data.paths import results_dir
from imc_helpers.data.predictions import read_prediction
from imc_helpers.data.raters import noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread

record = load_edition(edition)
key = cohort or first_to_compare({k: open_cohort(k) for k in record.cohorts}, record.models)
if key:
    shown = open_cohort(key)
    makers = [rater for rater in shown.raters if rater.name in shown.references]
    whose, one = noun(makers), noun(makers, plural=False)
    looked_at = evenly_spread(shown.ids, most_images)
    outcomes = cell_outcomes(shown, record.models, samples=looked_at)
    found = outcomes.groupby("model")["found"].mean().sort_values(ascending=False)
    ran = [name for name in found.index if name in record.models]
    people = [name for name in shown.references if name in found]
    shares = kind_shares(outcomes).loc[[*ran, *people]]
    shares.to_csv(results_dir(edition, "models") / "kinds.csv")
    data = source_note([key])
    wrong = shares.loc[ran].drop(columns=Kind.MATCHED.value, errors="ignore").idxmax(axis=1)
    if ran:
        listed = ", ".join(f"{rater_name(name)}: {wrong[name]}" for name in ran)
        part = "" if len(looked_at) == len(shown) else f" ({len(looked_at)} of {len(shown)} images)"
        summary = (
            f"Of the cells of {one} in {cohort_name(key)}{part}, models find {found[ran].min():.0%} to {found[ran].max():.0%} (IoU of "
            f"{FOUND_IOU:g} or more)"
        )
        if people:
            of_people = found[people]
            summary += f", the other {whose} {of_people.min():.0%} to {of_people.max():.0%}"
        summary += f". What most often becomes of the cells that do not match: {listed}."
    else:
        summary = f"No model ran on {cohort_name(key)}; the {whose} alone are shown."
else:
    summary = (
        "No cohort of this edition has two masks of one image, or a mask and a model that ran: there is nothing to "
        "compare, and so no error to name."
    )
answer(summary)

# %% tags=["hide-input"]
if key:
    where = sample or outcomes["sample"].iloc[0]
    here = outcomes[outcomes["sample"] == where]
    first = here["annotator"].iloc[0]
    others = list(here.loc[here["annotator"] == first, "model"].unique())
    seen = model or next((name for name in ran if name in others), others[-1])
    true = shown.read_mask(where, first)
    pred = (
        read_prediction(key, seen, "whole", where) if seen in ran else shown.read_mask(where, seen)
    )
    # Named on the whole image: a cell cut by the edge of the map is what it is.
    errors = mesmer_errors(contingency_table(true, pred))
    show(
        partial(
            error_map,
            true,
            pred,
            errors,
            titles=(rater_name(first), rater_name(seen)),
            um_per_px=shown.um_per_px(where),
            field_um=field_um,
        ),
        label="fig-error-map",
        caption=f"The middle {field_um:g} µm of one image: each cell coloured by what became of it. *Matched*: IoU of "
        f"0.6 or more. {data}",
        alt="The same piece of tissue twice, each cell filled with the colour of its kind: matched cells in "
        "grey, split, merged, entangled, missed and spurious ones in colour.",
    )

# %% tags=["hide-input"]
if key:
    differ, _ = find_disagreements(true, pred)
    display(Markdown(links_to_largest(differ, key, where, first=first, second=seen)))

# %% [markdown]
# A score says how many cells went wrong and not how, or which. Here each cell gets the name of what became
# of it ({cite:t}`greenwald2022`): matched, split in several, merged with others, in a tangle of both, missed,
# or spurious.

# %% [markdown]
# ## How often

# %% tags=["hide-input"]
if key:
    show(
        partial(kind_bars, shares),
        label="fig-kinds",
        caption=f"What became of the cells of all {whose} on whole images, by model; the row of {one} is of the "
        f"others' cells. {data}",
        alt="A bar for each model and each maker of a mask, divided into the shares of cells matched, split, "
        "merged, entangled and missed.",
    )

# %% [markdown]
# A merge loses two cells to one outline, a split one cell to two, and a score counts up to three errors for
# either. It cannot tell them apart, yet they call for opposite changes.

# %% [markdown]
# ## By size

# %% tags=["hide-input"]
if key:
    rows = ran or people
    grey = people if ran else []
    by_size = recall_by(outcomes, "area_um2", bins=bins)
    by_size.to_csv(results_dir(edition, "models") / "recall_by_size.csv", index=False)
    band = "Band: 95% interval over images. " if len(shown) > 1 else ""
    show(
        partial(
            recall_curves,
            by_size,
            "area of the cell (µm²)",
            models=rows,
            people=grey,
            whose=whose,
        ),
        label="fig-recall-size",
        caption=f"Share of the cells of the {whose} found (IoU of {FOUND_IOU:g} or more), by their size; each point "
        f"stands for as many cells. {band}{data}",
        alt="A panel for each model: the share of cells found against their area, with the curves of the "
        "makers of the masks in grey.",
    )

# %% [markdown]
# ## By crowding

# %% tags=["hide-input"]
crowded = bool(key) and outcomes["neighbours"].notna().any()
if crowded:
    by_crowd = recall_by(outcomes, "neighbours", bins=bins)
    by_crowd.to_csv(results_dir(edition, "models") / "recall_by_crowding.csv", index=False)
    show(
        partial(
            recall_curves,
            by_crowd,
            "neighbours per 1000 µm²",
            models=rows,
            people=grey,
            whose=whose,
        ),
        label="fig-recall-crowding",
        caption=f"Share of the cells of the {whose} found, by how many cells have their centre within "
        f"{NEIGHBOURHOOD_UM:g} µm of theirs; cells nearer to the image's edge are left out. {band}{data}",
        alt="A panel for each model: the share of cells found against the number of neighbours, with the curves "
        "of the makers of the masks in grey.",
    )

# %% tags=["hide-input"]
tables = [(by_size, "smallest", "largest")] if key else []
tables += [(by_crowd, "least crowded", "most crowded")] if crowded else []
sentences = []
for name in rows if key else []:
    for table, small, large in tables:
        of = table[table["model"] == name].set_index("bin")["recall"]
        sentences.append(
            f"{rater_name(name)} finds {of.iloc[0]:.0%} of the {small} cells and {of.iloc[-1]:.0%} of the {large}."
        )
display(Markdown(" ".join(sentences)))

# %% [markdown]
# ## What this does not show
#
# - Cause. Small cells lie in crowded places, so size and crowding share what either shows.
# - What is true. A cell that an annotator invented is *missed* by every good model.
# - Phenotypes: an error that moves no marker from one cell to another does no harm there.

# %% tags=["remove-cell"]
if key:
    assert abs(shares.sum(axis=1) - 1).max() < 1e-9, "every true cell has one kind"
    assert Kind.SPURIOUS.value not in shares, "a true cell is never spurious"
    matched = outcomes["kind"] == Kind.MATCHED.value
    assert outcomes.loc[matched, "found"].all(), "IoU of .6 is one of .5"
    counted = recall_by(outcomes, "area_um2", bins=1).set_index("model")["recall"]
    assert (counted - found[counted.index]).abs().max() < 1e-9, "the bins hold all cells"
assert all(table["recall"].between(0, 1).all() for table, *_ in tables)

# %% [markdown]
# ## Takeaways
#
# - Look at what became of cells before you tune a model: splits and merges call for opposite changes.
# - Ask which cells are lost. A score that is the same for two models may hide that one loses the small ones.
# - Compare with the curve of other annotators: what people do not agree on either is no fault of a model.
