"""Dice-XMBD's teacher: a forest of pixels, labelled one by one where it is least sure.

It sees what a person sees in ilastik: nuclei, membranes, and the whole panel, here as three means,
so that it runs on any panel. Its cells are found as the study's were (Xiao et al. 2021, section
2.3).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.images.pipeline_cells import PipelineSettings, cells_from_maps
from imc_helpers.metrics import evaluate
from imc_helpers.models.dice_xmbd import CellsOfMaps, forest_maps
from imc_helpers.models.forest_pixels import forest_features, read_pixels, write_pixels
from imc_helpers.models.protocol import model_input

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

    from imc_helpers.models.training.active import Labelled
    from imc_helpers.models.training.patches import Split

LIBRARIES = ("scikit-learn", "centrosome")
"""Distributions that do the work: run records ask them for their versions."""
INPUTS = ("nucleus", "membrane", "all")
"""Planes that the teacher asks for; those of the whole panel become one."""
CURVE = "labelling.csv"
"""How the forest came along: a table beside its pixels."""
SHARES = (0.75, 0.125, 0.125)
"""Of the training tissue: to learn from, to choose the student's epoch, to be scored on."""


def load(record: ModelRecord, device: str, weights: Path) -> CellsOfMaps:
    """Grow the forest from the labelled pixels under ``weights``; it knows no device.

    Raises
    ------
    InputError
        If there are none, or they are of something else.
    """
    forest, (um_per_px,) = read_pixels(weights, "um_per_px")
    return CellsOfMaps(
        lambda image: forest_maps(forest, _seen(image)),
        PipelineSettings(**record.parameters),
        um_per_px,
    )


def train(samples: Sequence[Sample], record: ModelRecord, device: str, weights: Path) -> None:
    """Let a simulated person label pixels of the samples, and keep what was labelled.

    Parameters
    ----------
    samples
        Phantom tissue with the truth among masks and nuclei, all at one pixel size.
    record
        Gives the seed.
    device
        Written down; the forest grows on the CPU.
    weights
        Folder that the files are written to; made where it is missing.
    """
    if record.training is None:
        raise InputError("record: it has no `training`, so nothing says how to train")
    start = time.perf_counter()
    settings = PipelineSettings(**record.parameters)
    split = split_tissue(samples, record.training.seed)
    kept_apart = next(sample for sample in samples if sample.id in split.test)
    planes = teacher_planes(kept_apart)

    def score(forest: "RandomForestClassifier") -> dict[str, float]:
        nucleus, cytoplasm, _ = forest_maps(forest, planes)
        cells = cells_from_maps(nucleus, cytoplasm, settings)
        return {"ap50": evaluate(kept_apart.masks["truth"], cells).ap50}

    labelled = label_tissue(samples, split, record.training.seed, score=score)
    about = {
        "images": len(samples),
        "labelled_images": len(labelled.images),
        "labelled_pixels": len(labelled.classes),
        "seed": record.training.seed,
        "device": device,
    }
    numbers = {"um_per_px": samples[0].um_per_px}
    write_pixels(weights, labelled.pixels, labelled.classes, numbers, start=start, about=about)
    labelled.curve.round(5).to_csv(weights / CURVE, index=False)


def split_tissue(samples: Sequence[Sample], seed: int) -> "Split":
    """Divide training tissue by image; teacher and student divide it alike."""
    from imc_helpers.models.training.patches import split_images  # noqa: PLC0415

    return split_images([sample.id for sample in samples], SHARES, seed=seed)


def label_tissue(
    samples: Sequence[Sample],
    split: "Split",
    seed: int,
    score: "Callable[[RandomForestClassifier], Mapping[str, Any]] | None" = None,
) -> "Labelled":
    """Let a simulated person label pixels of the images to learn from, always the same ones."""
    # Only training needs the phantom; real images are segmented without it.
    from imc_helpers.models.training.active import drawn_classes, label_actively  # noqa: PLC0415

    learn_from = {sample.id: sample for sample in samples if sample.id in split.train}
    return label_actively(
        {name: forest_features(teacher_planes(sample)) for name, sample in learn_from.items()},
        {name: drawn_classes(sample, seed) for name, sample in learn_from.items()},
        seed,
        score,
    )


def teacher_planes(sample: Sample) -> np.ndarray:
    """Return what the teacher sees of a sample: nucleus, membrane, whole panel, (3, H, W)."""
    return _seen(model_input(sample, INPUTS))


def _seen(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image[:2], image[2:].mean(axis=0, keepdims=True)])
