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
        by_kind = " or ".join(
            f"{'entangled' if kind == Kind.TANGLE else kind} ({', '.join(map(rater_name, names))})"
            for kind, names in wrong.groupby(wrong, sort=False).groups.items()
        )
        part = "" if len(looked_at) == len(shown) else f" ({len(looked_at)} of {len(shown)} images)"
        summary = (
            f"{'Models fail in different ways: cells' if wrong.nunique() > 1 else 'Cells'} that a model gets wrong are most often "
            f"{by_kind}, in {cohort_name(key)}{part}; whether the same holds for other images was not tested. Models find "
            f"{found[ran].min():.0%} to {found[ran].max():.0%} of the cells of {one} (IoU of {FOUND_IOU:g} or more)"
        )
        if people:
            of_people = found[people]
            summary += f"; the other {whose} find {of_people.min():.0%} to {of_people.max():.0%}"
        summary += "."
    else:
        summary = f"No model ran on {cohort_name(key)}, so only the {whose} are shown."
else:
    summary = (
        "No cohort of this edition has two masks of one image, or a mask and a model that ran, so there is nothing to "
        "compare."
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
        caption=f"The middle {field_um:g} µm of one image, as two raters outlined it: each cell is coloured by the kind of error that "
        f"befell it. *Matched*: IoU of 0.6 or more. {data}",
        alt="The same piece of tissue twice, each cell filled with the colour of its kind of error: matched cells in "
        "grey; split, merged, entangled, missed and spurious ones in colour.",
    )

# %% tags=["hide-input"]
if key:
    differ, _ = find_disagreements(true, pred)
    display(Markdown(links_to_largest(differ, key, where, first=first, second=seen)))

# %% [markdown]
# A score tells how many cells went wrong, but not how, or which. Here each cell is classified by its kind of error
# ({cite:t}`greenwald2022`): matched, split into several, merged with others, entangled (split and merged at once),
# missed, or spurious.

# %% [markdown]
# ## How often each error occurs

# %% tags=["hide-input"]
if key:
    show(
        partial(kind_bars, shares),
        label="fig-kinds",
        caption=f"Share of each kind of error among the cells of all {whose}, for each model on whole images. The row of {one} "
        f"refers to the cells of the others. {data}",
        alt="One bar per model and per rater, divided into the shares of cells that were matched, split, "
        "merged, entangled and missed.",
    )

# %% [markdown]
# A merge turns two cells into one outline, a split turns one cell into two, and a score counts up to three errors for
# either. It cannot tell them apart, although they call for opposite changes to a model.

# %% [markdown]
# ## Are small cells lost more often?

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
        caption=f"Share of the cells of the {whose} that each model finds (IoU of {FOUND_IOU:g} or more), by the area of the "
        f"cell; every point stands for the same number of cells. {band}{data}",
        alt="One panel per model: the share of cells found against their area, with the curves of the "
        "raters who made the masks in grey.",
    )

# %% [markdown]
# ## Are crowded cells lost more often?

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
        caption=f"Share of the cells of the {whose} that each model finds, by local density: the number of cells whose centre "
        f"lies within {NEIGHBOURHOOD_UM:g} µm. Cells closer than that to the edge of the image are left out. {band}{data}",
        alt="One panel per model: the share of cells found against local density, with the curves "
        "of the raters who made the masks in grey.",
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
# - Causes. Small cells tend to lie in crowded places, so the effects of size and of crowding cannot be separated here.
# - What is true. If an annotator drew a cell that does not exist, every good model *misses* it.
# - Effects on phenotypes. An error that moves no signal from one cell to another does no harm there.

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
# - Look at the kinds of errors before you tune a model: splits and merges call for opposite changes.
# - Ask which cells are lost. Two models with the same score may differ in that one of them loses the small cells.
# - Compare with the curves of the other annotators: where people disagree too, the model need not be at fault.
