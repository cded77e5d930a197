"""Run one model on cohorts in one mode, and keep what it found and what it took."""

import math
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from imc_helpers.cells.counts import count_cells
from imc_helpers.data.manifest import ModelRecord, model_record
from imc_helpers.data.paths import project_root
from imc_helpers.data.predictions import (
    RunRecord,
    SampleRun,
    prediction_dir,
    read_progress,
    write_predictions,
)
from imc_helpers.data.samples import Cohort, Sample, label_folder
from imc_helpers.errors import InputError
from imc_helpers.models.adapters.own_masks import published_labels
from imc_helpers.models.device import Device, find_device
from imc_helpers.models.protocol import MERGED, Segmenter
from imc_helpers.models.registry import (
    library_versions,
    load_segmenter,
    version_remark,
    weights_digest,
)
from imc_helpers.patching import STRIDE_PX, WINDOW_PX, Window, cut, windows

_SPARE_BYTES = 100_000_000
_BYTES_PER_PX = 1
"""What a compressed pixel of a mask takes at most: 0.1 to 0.5 in practice."""


def segment_cohort(
    cohort: Cohort,
    model: str,
    mode: str,
    *,
    device: str = "cpu",
    window_px: int = WINDOW_PX,
    stride_px: int = STRIDE_PX,
    made_from: str = "",
) -> RunRecord:
    """Segment every sample of one cohort; see `segment_cohorts`."""
    (run,) = segment_cohorts(
        [cohort],
        model,
        mode,
        device=device,
        window_px=window_px,
        stride_px=stride_px,
        made_from=[made_from],
    )
    return run


def segment_cohorts(
    cohorts: Sequence[Cohort],
    model: str,
    mode: str,
    *,
    device: str = "cpu",
    window_px: int = WINDOW_PX,
    stride_px: int = STRIDE_PX,
    made_from: Sequence[str] = (),
) -> list[RunRecord]:
    """Segment every sample of some cohorts and write masks and records to ``predictions/``.

    What could go wrong is looked for before the first sample. Then each mask is written as it is
    made, so that a run that was killed goes on where it stopped; and the model is loaded once, and
    only if there is a sample left to segment.

    Parameters
    ----------
    cohorts
        The samples; their own masks are not looked at.
    model
        Key in the manifest. Masks that exist already (``source: files``) are copied, and their
        patches cut out of the whole image.
    mode
        ``"whole"``, or ``"patch"``: every window is an image of its own, and all windows of a
        sample reach the model together.
    device
        ``"cpu"`` or ``"cuda"``; models that know no GPU run on the CPU, and so do all where their
        library sees none. The record says so.
    window_px, stride_px
        Edge of a window and step between windows, pixels; for patches only.
    made_from
        For each cohort a digest of all that its masks depend on. Samples that were done under the
        same digest are kept, under another one they are made anew. Without digests, or with an
        empty one, nothing is kept.

    Returns
    -------
    list of RunRecord
        For each cohort, what ran and what it took.

    Raises
    ------
    InputError
        If the model cannot run here, a cohort lacks what it takes, an environment variable is
        malformed or the disk is too small for the masks. Nothing is written, and nothing that was
        there is touched, then.
    """
    digests = list(made_from) or [""] * len(cohorts)
    if len(digests) != len(cohorts):
        raise InputError(
            f"made_from: expected one digest for each of {len(cohorts)} cohorts, or none, found "
            f"{len(digests)}"
        )
    grid = (window_px, stride_px) if mode == "patch" else (0, 0)
    record = model_record(model)
    jobs = [
        _Job(
            cohort,
            prediction_dir(cohort.name, model, mode),
            grid,
            digest,
            cohort.labelled_by(model) if record.stands_in else cohort.ids,
        )
        for cohort, digest in zip(cohorts, digests, strict=True)
    ]
    threads = _threads()
    _check_channels(cohorts, record)
    _check_disk(jobs)
    load = cache(partial(_load, model, mode, device, threads))
    return [_complete(job) or _run(job, load()) for job in jobs]


@dataclass(frozen=True)
class _Job:
    """One cohort to segment."""

    cohort: Cohort
    folder: Path
    """Where its masks go."""
    grid: tuple[int, int]
    """Edge of a window and step between windows, pixels; zeros for whole images."""
    made_from: str
    samples: tuple[str, ...]
    """All of the cohort's; of masks that exist already, those that there are."""

    def windows(self, sample: str) -> list[Window] | None:
        """Return the windows of a sample; None for the whole image."""
        size, stride = self.grid
        return windows(self.cohort.shape(sample), size=size, stride=stride) if size else None


@dataclass(frozen=True)
class _Model:
    """A model that is loaded, and what its records will say of it."""

    key: str
    mode: str
    record: ModelRecord
    segmenter: Segmenter | None
    """None where the masks are files."""
    device: Device
    threads: int
    version: str
    weights: str
    load_seconds: float
    remarks: tuple[str, ...]

    def segment(self, job: _Job, sample: str) -> tuple[np.ndarray, SampleRun]:
        """Segment one sample, and say what it took."""
        where = job.windows(sample)
        if self.segmenter is not None:
            return _segment(self.segmenter, _bare(job.cohort, sample), where)
        labels = published_labels(self.key, job.cohort, sample)
        if where is not None:
            labels = cut(labels, size=job.grid[0], stride=job.grid[1])
        # What stands in a lab's own folder is looked at, and not copied.
        return labels[:0] if self.record.stands_in else labels, SampleRun(
            sample=sample,
            megapixels=labels.size / 1e6,
            cells=_count(labels),
            seconds=0,
            library_seconds=0,
        )

    def report(self, job: _Job, taken: Sequence[SampleRun], before: RunRecord | None) -> RunRecord:
        """Say what ran so far, with what an earlier process did of it."""
        return RunRecord(
            cohort=job.cohort.name,
            model=self.key,
            mode=self.mode,
            version=self.version,
            weights=self.weights,
            parameters=self.record.parameters,
            device=self.device.kind,
            device_name=self.device.name,
            device_uuid=self.device.uuid,
            dtype=self.record.dtype,
            threads=self.threads,
            window_px=job.grid[0],
            stride_px=job.grid[1],
            load_seconds=self.load_seconds,
            peak_memory_mb=max(_peak_memory_mb(), before.peak_memory_mb if before else 0),
            peak_gpu_memory_mb=max(
                _peak_gpu_memory_mb(), before.peak_gpu_memory_mb if before else 0
            ),
            masks_in=self._masks_in(job),
            samples=tuple(taken),
            finished=_now(),
            remarks=self.remarks,
        )

    def _masks_in(self, job: _Job) -> str:
        if not self.record.stands_in:
            return ""
        folder = job.cohort.folder / label_folder("masks", self.key)
        return str(folder.relative_to(project_root()))


def _load(model: str, mode: str, device: str, threads: int) -> _Model:
    record = model_record(model)
    weights = weights_digest(model)
    start = time.perf_counter()
    if record.source == "files":
        segmenter, found, version, remarks = None, Device("", ""), record.version, []
    else:
        found = find_device(device if record.gpu else "cpu", record.packages)
        segmenter, version = load_segmenter(model, found.kind), library_versions(record)
        remarks = [found.remark, version_remark(record.version, version)]
    return _Model(
        key=model,
        mode=mode,
        record=record,
        segmenter=segmenter,
        device=found,
        threads=threads,
        version=version,
        weights=weights,
        load_seconds=time.perf_counter() - start,
        remarks=tuple(remark for remark in remarks if remark),
    )


def _complete(job: _Job) -> RunRecord | None:
    """Write the record of a run whose masks are all there, and need not be made again."""
    before = read_progress(job.folder, job.made_from)
    if before is None or {run.sample for run in before.samples} != set(job.samples):
        return None
    return write_predictions(
        job.folder, (), lambda: before, made_from=job.made_from, keep=job.samples
    )


def _run(job: _Job, model: _Model) -> RunRecord:
    """Segment the samples that are left of a cohort."""
    before = read_progress(job.folder, job.made_from)
    if before is not None and before.device != model.device.kind:
        before = None  # half of the masks on a GPU and half on a CPU would be nobody's result
    done = {run.sample: run for run in before.samples} if before else {}

    def masks() -> Iterator[tuple[str, np.ndarray]]:
        title = f"{model.key} on {job.cohort.name}, {model.mode}"
        for sample in tqdm(job.samples, desc=title, disable=None):
            if sample not in done:
                labels, done[sample] = model.segment(job, sample)
                yield sample, labels

    def report() -> RunRecord:
        taken = [done[sample] for sample in job.samples if sample in done]
        return model.report(job, taken, before)

    return write_predictions(job.folder, masks(), report, made_from=job.made_from, keep=list(done))


def _threads() -> int:
    """Return the number of threads that libraries are told to use.

    Raises
    ------
    InputError
        If the environment names no number.
    """
    named = os.environ.get("OMP_NUM_THREADS", "") or str(os.cpu_count() or 1)
    first = named.split(",")[0].strip()  # a list is for nested threads
    if not first.isdigit() or not int(first):
        raise InputError(
            f"OMP_NUM_THREADS: expected a number of threads, 1 or more, found {named!r}; correct "
            "or unset it"
        )
    return int(first)


def _check_channels(cohorts: Sequence[Cohort], record: ModelRecord) -> None:
    """Refuse cohorts whose panels lack what the model takes."""
    for cohort in cohorts:
        for name in {name.removeprefix(MERGED) for name in record.inputs}:
            if name in ("nucleus", "membrane"):
                cohort.panel.compartment(name)


def _check_disk(jobs: Sequence[_Job]) -> None:
    """Refuse to begin where the masks would not fit on the disk."""
    need = _SPARE_BYTES
    for job in jobs:
        for sample in job.samples:
            where = job.windows(sample)
            pixels = (
                math.prod(job.cohort.shape(sample))
                if where is None
                else (sum(window.size**2 for window in where))
            )
            need += pixels * _BYTES_PER_PX
    root = project_root()
    free = shutil.disk_usage(root).free
    if free < need:
        raise InputError(
            f"{root}: masks may take {need / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free; make "
            "room first"
        )


def _segment(
    segmenter: Segmenter, sample: Sample, where: list[Window] | None
) -> tuple[np.ndarray, SampleRun]:
    """Segment one sample, whole or in windows, and say what it took."""
    parts = [sample] if where is None else [_crop(sample, window) for window in where]
    found = segmenter.run(parts)
    stacked = np.stack(found.labels) if found.labels else np.zeros((0, *sample.shape), np.uint32)
    return stacked[0] if where is None else stacked, SampleRun(
        sample=sample.id,
        megapixels=stacked.size / 1e6,
        cells=_count(stacked),
        seconds=found.seconds,
        library_seconds=found.library_seconds,
    )


def _bare(cohort: Cohort, sample: str) -> Sample:
    """Read a sample without masks: a model must not see them."""
    return Sample(sample, cohort.read_image(sample), cohort.panel, cohort.um_per_px(sample))


def _crop(sample: Sample, window: Window) -> Sample:
    rows, columns = window.slices
    return replace(sample, image=sample.image[:, rows, columns])


def _count(labels: np.ndarray) -> int:
    """Count cells, in each plane of a stack anew."""
    planes = labels.reshape(-1, *labels.shape[-2:])
    return sum(count_cells(plane) for plane in planes)


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if platform.system() == "Darwin" else peak * 1024 / 1e6


def _peak_gpu_memory_mb() -> float:
    """Return the most that PyTorch held on the GPU; 0 where it is not loaded, or there is none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0.0
    return float(torch.cuda.max_memory_allocated() / 1e6)


def _now() -> str:
    # Not datetime.UTC: DeepCell's kernel is Python 3.10.
    return datetime.now(timezone.utc).isoformat(timespec="seconds")  # noqa: UP017
