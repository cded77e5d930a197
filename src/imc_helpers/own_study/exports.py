"""What a lab takes home: consensus masks, and the cells of every rater in the forms of other tools.

::

    results/EDITION/export/COHORT/masks_consensus/SAMPLE.tiff      (H, W) uint32
    results/EDITION/export/COHORT/RATER.h5ad                       AnnData, one row per cell
    results/EDITION/export/COHORT/intensities_RATER/SAMPLE.csv     as steinbock writes them,
    results/EDITION/export/COHORT/regionprops_RATER/SAMPLE.csv     of every rater, and of the
    results/EDITION/export/COHORT/neighbors_RATER/SAMPLE.csv       consensus
"""

from collections.abc import Iterable
from pathlib import Path

import joblib
import tifffile
from tqdm import tqdm

from imc_helpers.agreement.consensus import consensus
from imc_helpers.data.paths import replacing
from imc_helpers.data.samples import Cohort, read_tiff
from imc_helpers.downstream.export import write_measurements
from imc_helpers.downstream.mask_sets import MaskSet, mask_sets

CONSENSUS = "consensus"


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
    run = joblib.Parallel(n_jobs, return_as="generator_unordered")
    with replacing(folder) as new:
        masks = mask_sets(cohort, models)
        agreed = cohort.shared_ids
        if agreed:
            place = new / f"masks_{CONSENSUS}"
            place.mkdir()
            work = run(joblib.delayed(_write_consensus)(new, cohort, sample) for sample in agreed)
            _wait(work, len(agreed), f"{cohort.name}: consensus")
            masks[CONSENSUS] = MaskSet(agreed, lambda sample: read_tiff(place / f"{sample}.tiff"))
        work = run(joblib.delayed(write_measurements)(new, cohort, *one) for one in masks.items())
        _wait(work, len(masks), f"{cohort.name}: cells of raters")


def _wait(work: Iterable[object], total: int, about: str) -> None:
    for _ in tqdm(work, desc=about, total=total, disable=None):
        pass


def _write_consensus(folder: Path, cohort: Cohort, sample: str) -> None:
    """Write the consensus of one sample."""
    drawn = [cohort.read_mask(sample, name) for name in cohort.references_of(sample)]
    path = folder / f"masks_{CONSENSUS}" / f"{sample}.tiff"
    tifffile.imwrite(path, consensus(drawn).labels, compression="zlib")
