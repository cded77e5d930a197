"""What models found, on disk: one folder per cohort, model and mode.

::

    predictions/COHORT/MODEL/whole/SAMPLE.tiff    (H, W) uint32
    predictions/COHORT/MODEL/patch/SAMPLE.tiff    (P, h, w) uint32, one plane per window, in the
                                                  order of `imc_helpers.patching.windows`; no file
                                                  where the image is smaller than a window
    predictions/COHORT/MODEL/MODE/.progress.json  what is done so far: `Progress`
    predictions/COHORT/MODEL/MODE/run.json        what ran: `RunRecord`

Masks are written one by one, so that a run that was killed can go on. ``run.json`` is written when
all are there: a folder without it holds no run that anyone may read. Masks that came with a lab's
own folder are not copied here; their run says where they stand.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from pydantic import BaseModel, ConfigDict, ValidationError

from imc_helpers.data.paths import project_root
from imc_helpers.data.samples import read_tiff
from imc_helpers.errors import InputError
from imc_helpers.patching import MODES, cut

RUN = "run.json"
PROGRESS = ".progress.json"
"""File beside the masks; it stays when the run is complete."""


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
    """Of the libraries that ran, as they name it themselves; for masks that came as files, of what
    made them, as the manifest says."""
    weights: str
    """SHA-256 of the weights; empty where there are none."""
    parameters: dict[str, Any]
    device: str
    """``"cpu"`` or ``"cuda"``; empty for masks that came as files."""
    device_name: str
    """Processor or GPU, in its maker's words."""
    device_uuid: str = ""
    """Which GPU of that name; empty on a CPU, and where the library does not say."""
    dtype: str
    """Type of the network's numbers; empty without a network."""
    threads: int
    window_px: int
    stride_px: int
    """Windows of the patch mode, pixels; 0 for whole images."""
    load_seconds: float
    """Import of the library and loading of the weights."""
    peak_memory_mb: float
    """Largest resident memory of the process so far, MB (10**6 bytes)."""
    peak_gpu_memory_mb: float
    masks_in: str = ""
    """Folder of whole masks, below the root, that were not copied; patches are cut out of them."""
    samples: tuple[SampleRun, ...]
    finished: str
    """Date and time, UTC, ISO 8601; of a run that goes on, of its last sample."""
    remarks: tuple[str, ...] = ()
    """Sentences on what differed from what was asked for: another version, another device."""


class Progress(BaseModel):
    """How far a run has come: ``.progress.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    made_from: str
    """Digest of all that the masks depend on; empty where nobody computed one."""
    run: RunRecord
    """The run as it stands; its samples are those that are done."""


def prediction_dir(cohort: str, model: str, mode: str) -> Path:
    """Return the folder of a model's masks, which need not be there."""
    if mode not in MODES:
        raise InputError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
    return project_root() / "predictions" / cohort / model / mode


def write_predictions(
    folder: Path,
    masks: Iterable[tuple[str, np.ndarray]],
    record: Callable[[], RunRecord],
    *,
    made_from: str = "",
    keep: Iterable[str] = (),
) -> RunRecord:
    """Write the masks of a run one at a time, and its record when all are there.

    Parameters
    ----------
    folder
        What `prediction_dir` returns. A finished run in it is void as soon as this begins.
    masks
        Sample and labels, uint32: (H, W), or (P, h, w) for patches. They are taken one at a time,
        so a model may be at work while they are written.
    record
        Says what ran so far; called at the start, and after each mask.
    made_from
        Digest of all that the masks depend on, for `read_progress`.
    keep
        Samples whose masks are there already, and stay. All other masks in the folder are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RUN).unlink(missing_ok=True)
    kept = set(keep)
    for path in [*folder.glob("*.tiff"), *folder.glob(".*.new")]:
        if path.stem not in kept:
            path.unlink()
    run = _write_progress(folder, made_from, record())
    for sample, labels in masks:
        if labels.size:  # else an image smaller than a window; TIFF has no empty images
            new = folder / f".{sample}.new"
            tifffile.imwrite(new, labels, compression="zlib", photometric="minisblack")
            new.replace(folder / f"{sample}.tiff")
        run = _write_progress(folder, made_from, record())
    _write_whole(folder / RUN, run)
    return run


def read_progress(folder: Path, made_from: str) -> RunRecord | None:
    """Return what is done of a run that was made from the same, as far as its masks are there.

    Parameters
    ----------
    folder
        What `prediction_dir` returns.
    made_from
        Digest of all that the masks depend on. Empty: nothing vouches for masks, so nothing counts.

    Returns
    -------
    RunRecord or None
        The run as it stood; None where there is nothing that today's run would repeat.
    """
    path = folder / PROGRESS
    if not made_from or not path.is_file():
        return None
    try:
        progress = Progress.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError:
        return None  # of another release: the run starts anew
    if progress.made_from != made_from:
        return None
    done = tuple(
        sample
        for sample in progress.run.samples
        if not sample.megapixels
        or progress.run.masks_in
        or (folder / f"{sample.sample}.tiff").is_file()
    )
    return progress.run.model_copy(update={"samples": done})


def _write_progress(folder: Path, made_from: str, run: RunRecord) -> RunRecord:
    _write_whole(folder / PROGRESS, Progress(made_from=made_from, run=run))
    return run


def _write_whole(path: Path, content: BaseModel) -> None:
    """Write a record so that a kill leaves the old file or the new one, and nothing between."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(content.model_dump_json(indent=1), encoding="utf-8")
    new.replace(path)


def read_run(cohort: str, model: str, mode: str) -> RunRecord | None:
    """Return what made a folder of masks, or None where there is no finished run."""
    path = prediction_dir(cohort, model, mode) / RUN
    return _read_run(path, path.stat().st_mtime_ns) if path.is_file() else None


@lru_cache(maxsize=64)  # a run of many samples is asked for once for each of them
def _read_run(path: Path, _time: int) -> RunRecord:
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
    run = None if path.is_file() else read_run(cohort, model, mode)
    if run is not None and run.masks_in:
        whole = read_tiff(project_root() / run.masks_in / f"{sample}.tiff").astype(np.uint32)
        return whole if mode == "whole" else cut(whole, size=run.window_px, stride=run.stride_px)
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
