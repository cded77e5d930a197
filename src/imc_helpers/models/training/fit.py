"""Train the book's own models, on phantom tissue that no evaluation uses.

The tissue is made from a recipe of the phantom with seeds that no cohort has. Where a model learns
from a person, a simulated expert annotates it: one of typical habits, who annotates no cohort.
"""

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from imc_helpers.cells.counts import count_cells
from imc_helpers.data.manifest import ModelRecord, Training, model_record
from imc_helpers.data.paths import replacing
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.models.registry import TRAINING, weights_dir
from imc_helpers.phantom.drawing import TRUTH, ExpertGroup
from imc_helpers.phantom.experts import N_CROPS, annotate, train_experts
from imc_helpers.phantom.recipes import find_recipe, make_sample

_ANNOTATOR = "annotator1"
_TYPICAL = ExpertGroup(n_experts=1, border_sd_um=0.0, habit_sd=0.0, eye_sd=0.0)


class TrainingNote(BaseModel):
    """What was trained, on what and for how long: ``training.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    """Of the library."""
    recipe: str
    images: int
    side_px: int
    seed: int
    labels: str
    cells: int
    """Labelled cells in all images together."""
    epochs: int
    parameters: dict[str, Any]
    losses: tuple[float, ...]
    """Mean training loss of each epoch, in the library's own units."""
    seconds: float
    """Wall time of the library's training, without the making of the tissue."""
    device: str
    threads: int
    weights: str
    """Name of the weights' file."""
    sha256: str
    """Of the weights' file."""
    finished: str
    """Date and time, UTC, ISO 8601."""


def train_model(key: str, device: str = "cpu") -> Path:
    """Train a model of ``source: trained`` and keep its weights, whole or not at all.

    Returns
    -------
    pathlib.Path
        ``weights/KEY``.

    Raises
    ------
    InputError
        If the model is not one that the build trains.
    """
    record = model_record(key)
    if record.training is None:
        raise InputError(
            f"model {key!r} is not trained by the build, but of source {record.source}"
        )
    module = import_module(f"imc_helpers.models.adapters.{record.adapter}")
    with replacing(weights_dir(key)) as folder:
        module.train(training_samples(record.training), record, device, folder)
    return weights_dir(key)


def training_samples(training: Training) -> list[Sample]:
    """Make the images that a model is trained on, with the truth among their masks.

    Every image has a seed of its own, which no cohort of the manifest shares. Where the model
    learns from an annotator, that one's masks are there as well.
    """
    recipe = find_recipe(training.recipe)
    shape = (training.side_px, training.side_px)
    samples = [
        make_sample(recipe, shape, training.seed + i, f"training_{training.seed + i}")
        for i in range(training.images)
    ]
    if training.labels == "truth":
        return samples
    experts = train_experts(samples[:N_CROPS], _TYPICAL, training.seed)
    return [annotate(sample, experts) for sample in samples]


def training_labels(sample: Sample, labels: str) -> np.ndarray:
    """Return the labels that a model learns from a sample: (H, W).

    Raises
    ------
    InputError
        If the sample lacks them.
    """
    key = TRUTH if labels == "truth" else _ANNOTATOR
    if key not in sample.masks:
        raise InputError(f"sample {sample.id}: no masks {key!r} to train on")
    return sample.masks[key]


def epochs_on(training: Training, device: str) -> int:
    """Return the number of epochs on a device: there may be more of them on a GPU."""
    return (training.gpu_epochs if device == "cuda" else None) or training.epochs


def write_note(
    path: Path,
    record: ModelRecord,
    samples: Sequence[Sample],
    losses: Sequence[float],
    *,
    start: float,
    device: str,
) -> None:
    """Write ``training.json`` beside the weights in ``path``.

    Parameters
    ----------
    path
        The weights' file.
    record
        The model.
    samples
        What it learned from.
    losses
        Mean loss of each epoch.
    start
        When the training began, on the clock of `time.perf_counter`, seconds.
    device
        ``"cpu"`` or ``"cuda"``.
    """
    import torch  # noqa: PLC0415  # those who train have it loaded

    assert record.training is not None
    training = record.training
    cells = sum(count_cells(training_labels(s, training.labels)) for s in samples)
    note = TrainingNote(
        version=record.version,
        recipe=training.recipe,
        images=len(samples),
        side_px=training.side_px,
        seed=training.seed,
        labels=training.labels,
        cells=cells,
        epochs=len(losses),
        parameters=training.parameters,
        losses=tuple(round(float(loss), 5) for loss in losses),
        seconds=round(time.perf_counter() - start, 2),
        device=device,
        threads=torch.get_num_threads(),
        weights=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    (path.parent / TRAINING).write_text(note.model_dump_json(indent=1) + "\n", encoding="utf-8")
