"""Dice-XMBD's students at any size: a teacher of made-up tissue, and who learns from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from imc_helpers.data.manifest import model_record
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.samples import Sample
from imc_helpers.images.merging import Variant
from imc_helpers.images.pipeline_cells import PipelineSettings, cells_from_maps
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters.dice_teacher import label_tissue, split_tissue, teacher_planes
from imc_helpers.models.dice_xmbd import distil, forest_maps, merged_planes, student_maps
from imc_helpers.phantom.recipes import find_recipe, make_sample

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

    from imc_helpers.models.training.active import Labelled
    from imc_helpers.models.training.loop import FitSettings
    from imc_helpers.models.training.patches import Split

STUDENT = "dice_student"
"""Key of the model whose way of finding cells is taken."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a teacher saw, and what it makes of it."""

    samples: dict[str, Sample]
    """Images by name, with the truth among their masks."""
    split: "Split"
    """Which of them the students learn from, which choose the epoch, which score."""
    labelled: "Labelled"
    """What the teacher learned from."""
    forest: "RandomForestClassifier"
    maps: dict[str, np.ndarray]
    """(3, H, W) probabilities of each image."""

    @property
    def tests(self) -> list[Sample]:
        """The images that neither learned from."""
        return [self.samples[name] for name in self.split.test]


def made_tissue(recipe: str, images: int, side_px: int, seed: int) -> list[Sample]:
    """Make images of a phantom's recipe, each with a seed of its own, from this one on."""
    shape, made = (side_px, side_px), find_recipe(recipe)
    return [make_sample(made, shape, seed + k, f"{recipe}_{k}") for k in range(images)]


def teach(samples: Iterable[Sample], seed: int) -> Lesson:
    """Let a simulated person label a forest where it is unsure, and let that see all images.

    Parameters
    ----------
    samples
        Phantom tissue with its truth, all at one pixel size.
    seed
        Of the person, the split and the draws.
    """
    made = {sample.id: sample for sample in samples}
    split = split_tissue(list(made.values()), seed)
    labelled = label_tissue(list(made.values()), split, seed)
    forest = labelled.forest()
    maps = {name: forest_maps(forest, teacher_planes(sample)) for name, sample in made.items()}
    return Lesson(made, split, labelled, forest, maps)


def learn(
    lesson: Lesson,
    settings: "FitSettings",
    *,
    base: int,
    patch_px: int,
    variant: Variant = "paper",
    device: str = "cpu",
) -> Any:
    """Let a student learn from a lesson; the parameters are those of `distil`.

    Returns
    -------
    torch.nn.Module
        The student, on the device that trained it.
    """
    planes = {name: merged_planes(one, variant) for name, one in lesson.samples.items()}
    with TemporaryDirectory() as folder:
        network, _ = distil(
            planes,
            lesson.maps,
            lesson.split,
            settings,
            Path(folder),
            base=base,
            patch_px=patch_px,
            variant=variant,
            device=device,
        )
    return network.to(device)


def score_student(
    network: Any,
    forest: "RandomForestClassifier",
    samples: Iterable[Sample],
    variant: Variant = "paper",
) -> pd.DataFrame:
    """Score a student with its teacher, and both with the truth.

    Parameters
    ----------
    network
        From `learn`.
    forest
        The teacher.
    samples
        Images with their truth.
    variant
        How they are prepared for the student.

    Returns
    -------
    pandas.DataFrame
        One row per image: ``sample``, ``ap50_teacher`` (the student with its teacher),
        ``ap50_truth`` (the student with the truth), ``teacher_ap50_truth`` and ``cells``.
    """
    rows = []
    for sample in samples:
        teachers = _cells(forest_maps(forest, teacher_planes(sample)))
        found = _cells(student_maps(network, merged_planes(sample, variant)))
        with_truth = evaluate(sample.masks[TRUTH], found)
        rows.append(
            {
                "sample": sample.id,
                "ap50_teacher": evaluate(teachers, found).ap50,
                "ap50_truth": with_truth.ap50,
                "teacher_ap50_truth": evaluate(sample.masks[TRUTH], teachers).ap50,
                "cells": with_truth.n_true,
            }
        )
    return pd.DataFrame(rows)


def _cells(maps: np.ndarray) -> np.ndarray:
    settings = PipelineSettings(**model_record(STUDENT).parameters)
    return cells_from_maps(maps[0], maps[1], settings)
