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
# # One student of a pixel forest, closely
#
# **How faithful to its teacher is a network that learned in this way, and how right?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
recipe: str = "phantom_lymphoid"  # synthetic tissue to learn from
also: str = "phantom_ali20"  # other tissue to be scored on
images: int = 16  # images made to learn from, choose the epoch and be scored on
also_images: int = 2  # images made of the other tissue
side_px: int = 256  # edge of an image, pixels
patch_px: int = 128  # edge of a patch, pixels
variant: str = "paper"  # how channels are merged: as the paper or the program does
augmentation: str = "varied"  # none, turned or varied (the paper's)
base: int = 8  # filters of the network's first level
epochs: int = 24  # rounds through the images
batch: int = 8  # patches a step
rate: float = 0.01  # of Adam, at the start
seed: int = 0  # of tissue, person and training

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
from imc_helpers.experiments.dice_students import learn, made_tissue, score_student, teach
from imc_helpers.experiments.sweep_results import hand_over
from imc_helpers.figures.names import cohort_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.sweep_plots import choice_lines
from imc_helpers.models.device import find_device
from imc_helpers.models.training.loop import FitSettings

first = 80_000 + 1_000 * seed
lesson = teach(made_tissue(recipe, images, side_px, first), seed)
device = find_device("cuda").kind  # a run on a CPU hides what GPU there is
settings = FitSettings(
    loss="cross-entropy",
    epochs=epochs,
    batch=batch,
    rate=rate,
    augmentation=augmentation,
    seed=seed,
    chosen_by="loss",
    patience=3,
)
student = learn(lesson, settings, base=base, patch_px=patch_px, variant=variant, device=device)
tests = {recipe: lesson.tests, also: made_tissue(also, also_images, side_px, first + 500)}
rows = pd.concat(
    [
        score_student(student, lesson.forest, samples, variant).assign(tissue=tissue)
        for tissue, samples in tests.items()
    ],
    ignore_index=True,
)
own = rows[rows["tissue"] == recipe]
answer(
    f"Fidelity is not accuracy: with its teacher this student has a mean ap50 of {own['ap50_teacher'].mean():.3f} on "
    f"synthetic tissue kept apart (images: {len(own)}), with the truth {own['ap50_truth'].mean():.3f}, and its teacher with the "
    f"truth {own['teacher_ap50_truth'].mean():.3f}; {len(lesson.labelled.classes)} labelled pixels, trained on {device}."
)

# %% tags=["hide-input"]
names = {
    "ap50_teacher": "Student with teacher",
    "ap50_truth": "Student with truth",
    "teacher_ap50_truth": "Teacher with truth",
}
named = rows.assign(tissue=rows["tissue"].map(cohort_name))
show(
    partial(
        choice_lines,
        grouped_intervals(named, ["tissue"], names).assign(model="Cells"),
        "tissue",
        "score",
        xlabel="tissue",
        ylabel="ap50",
    ),
    label="fig-dice-point",
    caption=f"Cells of a student and of its teacher; bars: 95% intervals over images. {source_note([recipe, also])}",
    alt="Average precision of a student with its teacher, and of both with the truth, on two tissues.",
)

# %% [markdown]
# One *point* of the sweep `sweeps/dice_xmbd.yml`: {cite:t}`xiao2021`'s network, at whatever size.

# %% tags=["hide-input"]
show_table(
    rows.assign(tissue=rows["tissue"].map(cohort_name))[["tissue", "sample", *names]].rename(
        columns=names
    ),
    label="tab-dice-point",
    caption=f"Average precision at an IoU of .5, image by image. {source_note([recipe, also])}",
)

# %% tags=["remove-cell"]
hand_over(rows)

# %% [markdown]
# ## What this does not show
#
# - Whether a student of a real person's labels would do as well: tissue and person are made up.

# %% tags=["remove-cell"]
assert rows[list(names)].apply(lambda scores: scores.between(0, 1)).all(axis=None)
assert len(rows) == len(lesson.split.test) + also_images
assert not set(lesson.split.test) & {*lesson.split.train, *lesson.split.validation}

# %% [markdown]
# ## Takeaways
#
# - A student is judged by the truth as well: with its teacher it may agree for the wrong reasons.
