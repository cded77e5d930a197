"""Run one model on one cohort in one mode, and keep what it found and what it took."""

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from tqdm import tqdm

from imc_helpers.cells.counts import count_cells
from imc_helpers.data.manifest import model_record
from imc_helpers.data.predictions import RunRecord, SampleRun, prediction_dir, write_predictions
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.models.adapters.own_masks import published_labels
from imc_helpers.models.protocol import Segmenter
from imc_helpers.models.registry import load_segmenter, weights_digest
from imc_helpers.patching import STRIDE_PX, WINDOW_PX, Window, windows


def segment_cohort(
    cohort: Cohort,
    model: str,
    mode: str,
    *,
    device: str = "cpu",
    window_px: int = WINDOW_PX,
    stride_px: int = STRIDE_PX,
) -> RunRecord:
    """Segment every sample of a cohort and write masks and record to ``predictions/``.

    Parameters
    ----------
    cohort
        The samples; their own masks are not looked at.
    model
        Key in the manifest. Masks that exist already (``source: files``) are copied, and their
        patches cut out of the whole image.
    mode
        ``"whole"``, or ``"patch"``: every window is an image of its own, and all windows of a
        sample reach the model together.
    device
        ``"cpu"`` or ``"cuda"``; models that know no GPU run on the CPU.
    window_px, stride_px
        Edge of a window and step between windows, pixels; for patches only.

    Returns
    -------
    RunRecord
        What ran, and what it took.

    Raises
    ------
    InputError
        If the model cannot run here, or the cohort lacks what it takes. Nothing is written then.
    """
    record = model_record(model)
    folder = prediction_dir(cohort.name, model, mode)
    grid = (window_px, stride_px) if mode == "patch" else (0, 0)
    start = time.perf_counter()
    segmenter = None if record.source == "files" else load_segmenter(model, device)
    load_seconds = time.perf_counter() - start
    taken: list[SampleRun] = []

    def masks() -> Iterator[tuple[str, np.ndarray]]:
        for sample in tqdm(cohort.ids, desc=f"{model} on {cohort.name}, {mode}", disable=None):
            where = windows(cohort.shape(sample), size=grid[0], stride=grid[1]) if grid[0] else None
            if segmenter is None:
                labels = _cut(published_labels(model, cohort, sample), where)
                run = SampleRun(
                    sample=sample,
                    megapixels=labels.size / 1e6,
                    cells=_count(labels),
                    seconds=0,
                    library_seconds=0,
                )
            else:
                labels, run = _segment(segmenter, _bare(cohort, sample), where)
            taken.append(run)
            yield sample, labels

    def finished() -> RunRecord:
        return RunRecord(
            cohort=cohort.name,
            model=model,
            mode=mode,
            version=record.version,
            weights=weights_digest(model),
            parameters=record.parameters,
            device="" if segmenter is None else segmenter.device,
            device_name="" if segmenter is None else device_name(segmenter.device),
            dtype=record.dtype,
            threads=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
            window_px=grid[0],
            stride_px=grid[1],
            load_seconds=load_seconds,
            peak_memory_mb=_peak_memory_mb(),
            peak_gpu_memory_mb=_peak_gpu_memory_mb(),
            samples=tuple(taken),
            finished=_now(),
        )

    return write_predictions(folder, masks(), finished)


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


def _cut(labels: np.ndarray, where: list[Window] | None) -> np.ndarray:
    if where is None:
        return labels
    cut = [labels[window.slices] for window in where]
    return np.stack(cut) if cut else np.zeros((0, *labels.shape), np.uint32)


def _count(labels: np.ndarray) -> int:
    """Count cells, in each plane of a stack anew."""
    planes = labels.reshape(-1, *labels.shape[-2:])
    return sum(count_cells(plane) for plane in planes)


def device_name(device: str) -> str:
    """Return the processor's or the GPU's name, in its maker's words."""
    if device == "cuda":
        # Not torch: TensorFlow's kernels have none.
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        return found.stdout.splitlines()[0].strip()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


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
