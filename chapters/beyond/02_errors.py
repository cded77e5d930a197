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
# # Where models err
#
# **Which cells does a model miss, split or merge?**
#
# A score says how many cells went wrong and not how, or which. Here each cell gets the name of what became
# of it ({cite:t}`greenwald2022`): matched, split in several, merged with others, in a tangle of both, missed,
# or spurious.

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort; when empty, the edition's first with several annotators
model: str = ""  # model of the map; when empty, the one that finds most cells
sample: str = ""  # sample of the map; when empty, the first
crop_px: int = 150  # edge of the map, pixels
bins: int = 5  # bins of size and of crowding, with about as many cells each

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
from IPython.display import Markdown, display

from imc_helpers.agreement.outcomes import (
    FOUND_IOU,
    NEIGHBOURHOOD_UM,
    cell_outcomes,
    kind_shares,
    recall_by,
)
from imc_helpers.figures.model_plots import error_map, kind_bars, recall_curves
from imc_helpers.figures.page import show
from imc_helpers.data.manifest import load_edition, source_note
from imc_helpers.metrics import contingency_table
from imc_helpers.metrics.error_types import Kind, mesmer_errors
from imc_helpers.patching import Window
from imc_helpers.data.paths import results_dir
from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.readers.published import open_cohort

record = load_edition(edition)
several = [key for key in record.cohorts if len(open_cohort(key).annotators) > 1]
shown = open_cohort(cohort or several[0])
people = list(shown.annotators)
outcomes = cell_outcomes(shown, record.models)
found = outcomes.groupby("model")["found"].mean().sort_values(ascending=False)
ran = [name for name in found.index if name in record.models]
shares = kind_shares(outcomes).loc[[*ran, *people]]
shares.to_csv(results_dir(edition, "models") / "kinds.csv")
data = source_note([shown.name])
of_people = found[people]
if ran:
    wrong = shares.loc[ran].drop(columns=Kind.MATCHED.value, errors="ignore").idxmax(axis=1)
    listed = ", ".join(f"`{name}`: {wrong[name]}" for name in ran)
    summary = (
        f"Of an annotator's cells, models find {found[ran].min():.0%} to {found[ran].max():.0%} (IoU of "
        f"{FOUND_IOU:g} or more), other annotators {of_people.min():.0%} to {of_people.max():.0%}. What most "
        f"often becomes of the cells that do not match: {listed}."
    )
else:
    summary = f"No model ran on `{shown.name}`; annotators alone are shown."
display(Markdown(f"**In short.** {summary}"))

# %% [markdown]
# ## On the tissue

# %% tags=["hide-input"]
where = sample or shown.ids[0]
runs = find_models(shown.name, record.models, "whole")
seen = model or next((m for m in ran if where in {s.sample for s in runs[m].samples}), people[-1])
height, width = shown.shape(where)
edge = min(crop_px, height, width)
crop = Window((height - edge) // 2, (width - edge) // 2, edge).slices
true = shown.read_mask(where, people[0])
pred = (
    read_prediction(shown.name, seen, "whole", where)
    if seen in ran
    else shown.read_mask(where, seen)
)
# Named on the whole image: a cell cut by the crop is what it is.
errors = mesmer_errors(contingency_table(true, pred))
show(
    error_map(true[crop], pred[crop], errors, titles=(people[0], seen)),
    label="fig-error-map",
    caption=f"Cells of {people[0]} (left) and of `{seen}` (right) in the middle {edge} x {edge} px of "
    f"`{where}`, coloured by what became of them. Matched: IoU of .6 or more. {data}",
    alt="The same piece of tissue twice, each cell filled with the colour of its kind: matched cells in "
    "grey, split, merged, entangled, missed and spurious ones in colour.",
    fmt="png",
)

# %% [markdown]
# ## How often

# %% tags=["hide-input"]
show(
    kind_bars(shares),
    label="fig-kinds",
    caption="What became of the cells of all annotators, by model, and by annotator: each annotator's row is of "
    "the others' cells. Whole images. "
    f"{data}",
    alt="A bar for each model and annotator, divided into the shares of cells matched, split, merged, "
    "entangled and missed.",
)

# %% [markdown]
# A merge loses two cells to one outline, a split one cell to two, and a score counts up to three errors for
# either. It cannot tell them apart, yet they call for opposite changes.

# %% [markdown]
# ## By size

# %% tags=["hide-input"]
rows = ran or people
by_size = recall_by(outcomes, "area_um2", bins=bins)
by_size.to_csv(results_dir(edition, "models") / "recall_by_size.csv", index=False)
lines = (
    "Grey: the annotators, of one another's cells. Blue: the model"
    if ran
    else "Blue: the annotator"
)
show(
    recall_curves(by_size, "area of the cell (µm²)", models=rows, people=people if ran else []),
    label="fig-recall-size",
    caption=f"Share of annotators' cells found (IoU of {FOUND_IOU:g} or more), by the size that the annotator "
    f"gave them; about as many cells in each of {by_size['bin'].nunique()} bins. {lines}, with a 95 % interval "
    f"over images where there are two or more. {data}",
    alt="A panel for each model: the share of cells found against their area, with the curves of the "
    "annotators in grey.",
)

# %% [markdown]
# ## By crowding

# %% tags=["hide-input"]
by_crowd = recall_by(outcomes, "neighbours", bins=bins)
by_crowd.to_csv(results_dir(edition, "models") / "recall_by_crowding.csv", index=False)
show(
    recall_curves(by_crowd, "neighbours per 1000 µm²", models=rows, people=people if ran else []),
    label="fig-recall-crowding",
    caption=f"Share of annotators' cells found, by how many other cells have their centre within "
    f"{NEIGHBOURHOOD_UM:g} µm; cells closer than that to the image's edge are left out. {lines}, with a 95 % "
    f"interval over images where there are two or more. {data}",
    alt="A panel for each model: the share of cells found against the number of neighbours, with the curves "
    "of the annotators in grey.",
)

# %% tags=["hide-input"]
sentences = []
for name in rows:
    for table, small, large in (
        (by_size, "smallest", "largest"),
        (by_crowd, "least crowded", "most crowded"),
    ):
        of = table[table["model"] == name].set_index("bin")["recall"]
        sentences.append(
            f"`{name}` finds {of.iloc[0]:.0%} of the {small} cells and {of.iloc[-1]:.0%} of the {large}."
        )
display(Markdown(" ".join(sentences)))

# %% [markdown]
# ## What this does not show
#
# - Cause. Small cells lie in crowded places, so size and crowding share what either shows.
# - What is true. A cell that an annotator invented is *missed* by every good model.
# - Phenotypes: an error that moves no marker from one cell to another does no harm there.

# %% tags=["remove-cell"]
assert abs(shares.sum(axis=1) - 1).max() < 1e-9, "every true cell has one kind"
assert Kind.SPURIOUS.value not in shares, "a true cell is never spurious"
matched = outcomes["kind"] == Kind.MATCHED.value
assert outcomes.loc[matched, "found"].all(), "IoU of .6 is one of .5"
counted = recall_by(outcomes, "area_um2", bins=1).set_index("model")["recall"]
assert (counted - found[counted.index]).abs().max() < 1e-9, "the bins hold all cells"
assert by_size["recall"].between(0, 1).all()
assert by_crowd["recall"].between(0, 1).all()

# %% [markdown]
# ## Takeaways
#
# - Look at what became of cells before you tune a model: splits and merges call for opposite changes.
# - Ask which cells are lost. A score that is the same for two models may hide that one loses the small ones.
# - Compare with the annotators' own curve: what people do not agree on either is no fault of a model.
