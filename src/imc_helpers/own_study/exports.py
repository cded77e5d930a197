"""What a lab takes home: consensus masks, and the cells of every rater in the forms of other tools.

::

    results/EDITION/export/COHORT/masks_consensus/SAMPLE.tiff      (H, W) uint32
    results/EDITION/export/COHORT/RATER.h5ad                       AnnData, one row per cell
    results/EDITION/export/COHORT/intensities_RATER/SAMPLE.csv     as steinbock writes them,
    results/EDITION/export/COHORT/regionprops_RATER/SAMPLE.csv     of every rater, and of the
    results/EDITION/export/COHORT/neighbors_RATER/SAMPLE.csv       consensus
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import joblib
import numpy as np
import tifffile
from tqdm import tqdm

from imc_helpers.agreement.consensus import consensus
from imc_helpers.data.paths import replacing
from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.samples import Cohort, read_tiff
from imc_helpers.downstream.export import write_measurements

CONSENSUS = "consensus"


class _Masks(Mapping[str, np.ndarray]):
    """Masks by sample, read when they are asked for."""

    def __init__(self, samples: Iterable[str], read: Callable[[str], np.ndarray]) -> None:
        self._samples, self._read = tuple(samples), read

    def __getitem__(self, sample: str) -> np.ndarray:
        return self._read(sample)

    def __iter__(self) -> Iterator[str]:
        return iter(self._samples)

    def __len__(self) -> int:
        return len(self._samples)


def export(cohort: Cohort, models: Iterable[str], folder: Path, *, n_jobs: int = 1) -> None:
    """Write what a lab takes home of a cohort, whole or not at all.

    Parameters
    ----------
    cohort
        Samples with masks, or without.
    models
        Models of the edition; those without masks of whole images are left out.
    folder
        Where to. Consensus masks are of samples that two references or more have outlined.
    n_jobs
        Processes that share the work. The files do not depend on it.
    """
    runs = find_models(cohort.name, models, "whole")
    run = joblib.Parallel(n_jobs, return_as="generator_unordered")
    with replacing(folder) as new:
        masks: dict[str, _Masks] = {
            rater.name: _Masks(
                cohort.labelled_by(rater.name),
                lambda sample, name=rater.name: cohort.read_mask(sample, name),  # type: ignore[misc]
            )
            for rater in cohort.raters
        }
        for model, record in runs.items():
            masks[model] = _Masks(
                [one.sample for one in record.samples],
                lambda sample, name=model: read_prediction(cohort.name, name, "whole", sample),  # type: ignore[misc]
            )
        agreed = cohort.shared_ids
        if agreed:
            place = new / f"masks_{CONSENSUS}"
            place.mkdir()
            work = run(joblib.delayed(_write_consensus)(new, cohort, sample) for sample in agreed)
            _wait(work, len(agreed), f"{cohort.name}: consensus")
            masks[CONSENSUS] = _Masks(agreed, lambda sample: read_tiff(place / f"{sample}.tiff"))
        known = {name: own for name, own in masks.items() if len(own)}
        work = run(joblib.delayed(write_measurements)(new, cohort, *one) for one in known.items())
        _wait(work, len(known), f"{cohort.name}: cells of raters")


def _wait(work: Iterable[object], total: int, about: str) -> None:
    for _ in tqdm(work, desc=about, total=total, disable=None):
        pass


def _write_consensus(folder: Path, cohort: Cohort, sample: str) -> None:
    """Write the consensus of one sample."""
    drawn = [cohort.read_mask(sample, name) for name in cohort.references_of(sample)]
    path = folder / f"masks_{CONSENSUS}" / f"{sample}.tiff"
    tifffile.imwrite(path, consensus(drawn).labels, compression="zlib")
