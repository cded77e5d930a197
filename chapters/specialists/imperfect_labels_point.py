# ---
# jupyter:
#   imc_book:
#     page: false
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
# # One way of labelling, closely
#
# **How good is a network that learned from labels made worse in this way?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
recipe: str = "phantom_rendeiro21"  # synthetic tissue to learn from
also: str = ""  # other tissue to learn from as well, and to score on; empty: none
with_also: bool = True  # whether the other tissue is learned from, and not only scored on
images: int = 16  # images made of each tissue
side_px: int = 256  # edge of an image, pixels
missing: float = 0.0  # share of the cells that are not labelled
kernel_px: int = 0  # largest square by which borders are moved, pixels: 0, 3, 5, 7 or 9
order: str = "at random"  # which cells are missing: at random, or dim first
unknown: bool = False  # take what is not labelled for unknown, and not for background
whole_validation: bool = False  # images that choose the epoch keep all labels
loss: str = "soft Dice"  # soft Dice, cross-entropy or generalised cross-entropy
rounds: int = 0  # of bootstrapping
base: int = 8  # filters of the network's first level
epochs: int = 8  # rounds through the images
batch: int = 4  # patches of 128 px a step
turned: bool = True  # mirror and turn patches; the paper names no such thing
seed: int = 0  # of tissue, corruption and training

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

from imc_helpers.agreement.intervals import grouped_intervals
from imc_helpers.experiments.imperfect_labels import (
    MARKERS,
    SHARED_MARKERS,
    WAYS,
    Labels,
    Training,
    bootstrapped,
    divided,
    score,
    train,
)
from imc_helpers.experiments.sweep_results import hand_over
from imc_helpers.figures.names import source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.sweep_plots import choice_lines
from imc_helpers.models.device import find_device

tissue = divided(
    [recipe, *([also] if also else [])],
    images,
    side_px,
    seed=60_000 + 1_000 * seed,
    markers=SHARED_MARKERS if also else MARKERS,
    learn_from=(recipe, also) if with_also else (recipe,),
)
training = Training(base=base, epochs=epochs, batch=batch, loss=loss, turned=turned, seed=seed)
labels = Labels(missing, kernel_px, order, unknown, whole_validation)
device = find_device("cuda").kind  # a run on a CPU hides what GPU there is
trained = train(tissue, labels, training, device=device)
parts = [score(trained, tissue).assign(round=0, labelled=trained.labelled, deleted=trained.deleted)]
for k, again in enumerate(
    bootstrapped(
        tissue, trained, training, rounds, whole_validation=whole_validation, device=device
    ),
    1,
):
    parts.append(
        score(again, tissue).assign(round=k, labelled=again.labelled, deleted=again.deleted)
    )
rows = pd.concat(parts, ignore_index=True)
last = rows[rows["round"] == rounds]
answer(
    f"Trained on {trained.labelled} cells of {len(tissue.split.train)} images ({missing:.0%} missing, kernel {kernel_px}, {order}, "
    f"{loss}), on {device}: mean Dice {last['dice'].mean():.3f} on {len(last)} images of synthetic tissue kept apart; ap50 of cells "
    f"grown from nuclei {last['ap50_nuclei'].mean():.3f}."
)

# %% tags=["hide-input"]
names = {"dice": "Dice of pixels"} | {f"ap50_{way}": f"ap50, {name}" for way, name in WAYS.items()}
show(
    partial(
        choice_lines,
        grouped_intervals(rows, ["round"], names).assign(model="Pixels and cells"),
        "round",
        "score",
        xlabel="round of bootstrapping",
        ylabel="score on images kept apart",
    ),
    label="fig-imperfect-point",
    caption=f"Scores of one training; bars: 95% intervals over images. {source_note([also or recipe])}",
    alt="Dice of pixels and three average precisions of cells, by round.",
)

# %% [markdown]
# One *point* of the sweep `sweeps/imperfect_labels.yml`: {cite:t}`bird2024`'s grid, at whatever size.

# %% tags=["hide-input"]
show_table(
    rows[["sample", "round", "dice", "jaccard", "precision", "recall", "specificity"]],
    label="tab-imperfect-point",
    caption=f"Scores of pixels, image by image. {source_note([also or recipe])}",
)

# %% tags=["remove-cell"]
hand_over(rows)

# %% [markdown]
# ## What this does not show
#
# - Whether other labels would have done as well: [](02_imperfect_labels) compares some.

# %% tags=["remove-cell"]
assert rows["dice"].between(0, 1).all()
assert len(rows) == (rounds + 1) * len(tissue.split.test)

# %% [markdown]
# ## Takeaways
#
# - A network is judged on complete labels, whatever it learned from.
