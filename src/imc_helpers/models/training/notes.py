"""What stands beside trained weights: ``training.json``, what was trained and what it took."""

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from imc_helpers.cells.counts import count_cells
from imc_helpers.data.manifest import ModelRecord, Training
from imc_helpers.data.samples import Sample
from imc_helpers.models.availability import TRAINING
from imc_helpers.models.registry import library_versions
from imc_helpers.models.training.labels import training_labels


class TrainingNote(BaseModel):
    """What was trained, on what and for how long: ``training.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    """Of the libraries, as they name it themselves."""
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
        version=library_versions(record),
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
