"""What models found, on disk: one folder a cohort, model and mode.

::

    predictions/COHORT/MODEL/whole/SAMPLE.tiff    (H, W) uint32
    predictions/COHORT/MODEL/patch/SAMPLE.tiff    (P, h, w) uint32, one plane a window, in the order
                                                  of `imc_helpers.patching.windows`; no file
                                                  where the image is smaller than a window
    predictions/COHORT/MODEL/MODE/run.json        what ran: `RunRecord`

A folder with a ``run.json`` is whole: it is written last, and all of it at once.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from pydantic import BaseModel, ConfigDict, ValidationError

from imc_helpers.data.paths import project_root, replacing
from imc_helpers.data.samples import read_tiff
from imc_helpers.errors import InputError

MODES = ("whole", "patch")
"""The study's two modes: the whole image, or sliding windows."""
RUN = "run.json"


class SampleRun(BaseModel):
    """What one sample took."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample: str
    megapixels: float
    """Pixels that the model saw, 10**6; overlapping windows count as often as they were seen."""
    cells: int
    """Labels in the image, or in all windows together."""
    seconds: float
    """Wall time of reading nothing and segmenting everything."""
    library_seconds: float
    """Part of it spent in the model's own library."""


class RunRecord(BaseModel):
    """What made the masks of a folder: ``run.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cohort: str
    model: str
    mode: str
    version: str
    """Of the library that ran, or of what made published masks."""
    weights: str
    """SHA-256 of the weights; empty where there are none."""
    parameters: dict[str, Any]
    device: str
    """``"cpu"`` or ``"cuda"``; empty for masks that came as files."""
    device_name: str
    """Processor or GPU, in its maker's words."""
    dtype: str
    """Type of the network's numbers; empty without a network."""
    threads: int
    window_px: int
    stride_px: int
    """Windows of the patch mode, pixels; 0 for whole images."""
    load_seconds: float
    """Import of the library and loading of the weights."""
    peak_memory_mb: float
    """Largest resident memory of the process, MB (10**6 bytes)."""
    peak_gpu_memory_mb: float
    samples: tuple[SampleRun, ...]
    finished: str
    """Date and time, UTC, ISO 8601."""


def prediction_dir(cohort: str, model: str, mode: str) -> Path:
    """Return the folder of a model's masks, which need not be there."""
    if mode not in MODES:
        raise InputError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
    return project_root() / "predictions" / cohort / model / mode


def write_predictions(
    folder: Path, masks: Iterable[tuple[str, np.ndarray]], record: Callable[[], RunRecord]
) -> RunRecord:
    """Write all masks of a run and its record, whole or not at all.

    Parameters
    ----------
    folder
        What `prediction_dir` returns.
    masks
        Sample and labels, uint32: (H, W), or (P, h, w) for patches. They are taken one at a time,
        so a model may be at work while they are written.
    record
        Says what ran; called when all masks are there.
    """
    with replacing(folder) as new:
        for sample, labels in masks:
            if not labels.size:  # an image smaller than a window; TIFF has no empty images
                continue
            tifffile.imwrite(
                new / f"{sample}.tiff", labels, compression="zlib", photometric="minisblack"
            )
        run = record()
        (new / RUN).write_text(run.model_dump_json(indent=1), encoding="utf-8")
    return run


def read_run(cohort: str, model: str, mode: str) -> RunRecord | None:
    """Return what made a folder of masks, or None where there is no finished run."""
    path = prediction_dir(cohort, model, mode) / RUN
    if not path.is_file():
        return None
    try:
        return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise InputError(f"{path}: not a record of a run: {error}. Remove the folder") from None


def read_prediction(cohort: str, model: str, mode: str, sample: str) -> np.ndarray:
    """Return a model's labels of one sample: uint32, (H, W), or (P, h, w) for patches.

    Raises
    ------
    InputError
        If the file is missing or has another number of axes.
    """
    path = prediction_dir(cohort, model, mode) / f"{sample}.tiff"
    if mode == "patch" and not path.is_file():
        run = read_run(cohort, model, mode)
        if run is not None and sample in {s.sample for s in run.samples if not s.megapixels}:
            return np.zeros((0, run.window_px, run.window_px), np.uint32)
    labels = read_tiff(path)
    axes = 2 if mode == "whole" else 3
    if mode == "patch" and labels.ndim == 2:  # one window only: TIFF drops the axis
        labels = labels[None]
    if labels.ndim != axes:
        raise InputError(f"{path}: expected {axes} axes for mode {mode!r}, found {labels.shape}")
    return labels.astype(np.uint32, copy=False)


def find_models(cohort: str, models: Iterable[str], mode: str) -> Mapping[str, RunRecord]:
    """Return the finished runs among some models, in their order."""
    runs = {model: read_run(cohort, model, mode) for model in models}
    return {model: run for model, run in runs.items() if run is not None}
