"""Dice-XMBD's student: a U-Net that learned a pixel forest's probabilities from two planes.

See `imc_helpers.models.dice_xmbd`. The teacher is labelled again before the student learns from it:
the same seed gives the same teacher, and a folder of weights holds all that its model needs.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imc_helpers.data.manifest import ModelRecord, Training
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.images.pipeline_cells import PipelineSettings
from imc_helpers.models.adapters.dice_teacher import label_tissue, split_tissue, teacher_planes
from imc_helpers.models.checkpoint import load_state
from imc_helpers.models.dice_xmbd import (
    CellsOfMaps,
    distil,
    forest_maps,
    make_network,
    student_maps,
)
from imc_helpers.models.protocol import model_input
from imc_helpers.models.training.notes import epochs_on, write_note

if TYPE_CHECKING:
    from imc_helpers.models.training.loop import FitSettings

LIBRARIES = ("monai", "lightning")
"""Distributions that do the work: run records ask them for their versions."""
SPLIT = "split.json"
"""Which images served for what: a file beside the weights."""
_WEIGHTS = "best.pt"


def load(record: ModelRecord, device: str, weights: Path) -> CellsOfMaps:
    """Load the network under ``weights``.

    Raises
    ------
    InputError
        If the file is missing, or holds another network.
    """
    path = weights / _WEIGHTS
    if not path.is_file():
        raise InputError(f"{path}: no weights here")
    if record.training is None or record.um_per_px is None:
        raise InputError("record: `training` and `um_per_px` say what the network is like")
    network = make_network(record.training.parameters["base"])
    load_state(network, path)
    network = network.to(device).eval()
    return CellsOfMaps(
        lambda image: student_maps(network, image),
        PipelineSettings(**record.parameters),
        record.um_per_px,
    )


def train(samples: Sequence[Sample], record: ModelRecord, device: str, weights: Path) -> None:
    """Label a teacher, and let the student learn its probabilities.

    Parameters
    ----------
    samples
        Phantom tissue with the truth among masks and nuclei, all at one pixel size.
    record
        Its ``training.parameters``: ``base`` (filters of the first level), ``patch_px``, ``batch``
        and ``rate``.
    device
        ``"cpu"`` or ``"cuda"``.
    weights
        Folder for the network, its curve, its split and ``training.json``.
    """
    if record.training is None:
        raise InputError("record: it has no `training`, so nothing says how to train")
    start = time.perf_counter()
    training, options = record.training, record.training.parameters
    split = split_tissue(samples, training.seed)
    forest = label_tissue(samples, split, training.seed).forest()
    used = [sample for sample in samples if sample.id not in split.test]
    _, curve = distil(
        {sample.id: model_input(sample, record.inputs) for sample in used},
        {sample.id: forest_maps(forest, teacher_planes(sample)) for sample in used},
        split,
        student_settings(training, device, training.seed),
        weights,
        base=options["base"],
        patch_px=options["patch_px"],
        device=device,
    )
    (weights / SPLIT).write_text(json.dumps(vars(split), indent=1) + "\n", encoding="utf-8")
    losses = curve["loss"].tolist()
    write_note(weights / _WEIGHTS, record, samples, losses, start=start, device=device)


def student_settings(training: Training, device: str, seed: int) -> "FitSettings":
    """Return how a student is trained: as the program does, but for batch, rate and epochs."""
    # Only those who train need torch and Lightning.
    from imc_helpers.models.training.loop import FitSettings  # noqa: PLC0415

    return FitSettings(
        loss="cross-entropy",
        epochs=epochs_on(training, device),
        batch=training.parameters["batch"],
        rate=training.parameters["rate"],
        augmentation="varied",
        seed=seed,
        chosen_by="loss",
        patience=3,
    )
