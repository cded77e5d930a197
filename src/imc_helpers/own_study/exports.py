"""What a lab takes home: consensus masks, cells of every rater as AnnData, tables for steinbock.

::

    results/EDITION/export/COHORT/masks_consensus/SAMPLE.tiff    (H, W) uint32
    results/EDITION/export/COHORT/RATER.h5ad                     AnnData, one row per cell
    results/EDITION/export/COHORT/intensities/SAMPLE.csv         as steinbock writes them,
    results/EDITION/export/COHORT/regionprops/SAMPLE.csv         of the consensus
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import tifffile
from tqdm import tqdm

from imc_helpers.agreement.consensus import consensus
from imc_helpers.cells.expression import cells_of, mean_intensities
from imc_helpers.cells.properties import cell_shapes
from imc_helpers.data.paths import replacing
from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.samples import Cohort, read_tiff

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
        work = run(joblib.delayed(_write_cells)(new, cohort, *one) for one in known.items())
        _wait(work, len(known), f"{cohort.name}: cells of raters")


def _wait(work: Iterable[None], total: int, about: str) -> None:
    for _ in tqdm(work, desc=about, total=total, disable=None):
        pass


def _write_consensus(folder: Path, cohort: Cohort, sample: str) -> None:
    """Write the consensus of one sample, and steinbock's tables of it."""
    drawn = [cohort.read_mask(sample, name) for name in cohort.references_of(sample)]
    labels = consensus(drawn).labels
    path = folder / f"masks_{CONSENSUS}" / f"{sample}.tiff"
    tifffile.imwrite(path, labels, compression="zlib")
    _write_tables(folder, cohort, sample, labels)


def _write_cells(folder: Path, cohort: Cohort, name: str, masks: _Masks) -> None:
    """Write the cells of one rater as AnnData."""
    cells_of(cohort, masks).write_h5ad(folder / f"{name}.h5ad", compression="gzip")


def _write_tables(folder: Path, cohort: Cohort, sample: str, labels: np.ndarray) -> None:
    """Write steinbock's tables of one sample: a column ``Object`` with the ids comes first."""
    ids, means = mean_intensities(cohort.read_image(sample), labels)
    objects = pd.Index(ids, name="Object")
    props = cell_shapes(labels).rename_axis("Object")
    tables = {
        "intensities": pd.DataFrame(means, index=objects, columns=cohort.panel.names),
        "regionprops": props,
    }
    for name, table in tables.items():
        (folder / name).mkdir(exist_ok=True)
        table.to_csv(folder / name / f"{sample}.csv")
