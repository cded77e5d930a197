"""What a lab takes home: consensus masks, and the cells of every rater in the forms of other tools.

::

    results/EDITION/export/COHORT/masks_consensus/SAMPLE.tiff      (H, W) uint32
    results/EDITION/export/COHORT/RATER.h5ad                       AnnData, one row per cell
    results/EDITION/export/COHORT/intensities_RATER/SAMPLE.csv     as steinbock writes them,
    results/EDITION/export/COHORT/regionprops_RATER/SAMPLE.csv     of every rater, and of the
    results/EDITION/export/COHORT/neighbors_RATER/SAMPLE.csv       consensus

Each cell in an AnnData bears what the other masks of its image say of it: ``support``,
``mask_iou``, ``type_entropy`` in ``obs``, and the layer ``mask_sd``
(`imc_helpers.downstream.uncertainty.Disagreement`).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import tifffile
from tqdm import tqdm

from imc_helpers.agreement.consensus import consensus
from imc_helpers.data.paths import replacing
from imc_helpers.data.samples import Cohort, read_tiff
from imc_helpers.downstream.cell_types import cell_profiles
from imc_helpers.downstream.export import as_anndata, write_anndata, write_steinbock
from imc_helpers.downstream.mask_sets import MaskSet, mask_sets
from imc_helpers.downstream.typed_masks import type_profiles
from imc_helpers.downstream.uncertainty import cohort_disagreement
from imc_helpers.errors import InputError

CONSENSUS = "consensus"
CARRIED = "mask_sd"
"""Of the layers that tell what other masks say, the one that is exported: files stay small."""


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
        types = _types(cohort, masks, n_jobs)
        work = run(joblib.delayed(_write_cells)(new, cohort, name, masks, types) for name in masks)
        _wait(work, len(masks), f"{cohort.name}: cells of raters")


def asked(cohort: Cohort, masks: Mapping[str, MaskSet], base: str, sample: str) -> list[str]:
    """Say whose masks of an image are asked about the cells of one.

    The other references; where there is none, the models: never the consensus, which holds the
    references' masks.
    """
    there = [name for name, own in masks.items() if sample in own and name not in (base, CONSENSUS)]
    references = cohort.references_of(sample)
    return [name for name in there if name in references] or there


def _wait(work: Iterable[object], total: int, about: str) -> None:
    for _ in tqdm(work, desc=about, total=total, disable=None):
        pass


def _write_consensus(folder: Path, cohort: Cohort, sample: str) -> None:
    """Write the consensus of one sample."""
    drawn = [cohort.read_mask(sample, name) for name in cohort.references_of(sample)]
    path = folder / f"masks_{CONSENSUS}" / f"{sample}.tiff"
    tifffile.imwrite(path, consensus(drawn).labels, compression="zlib")


def _types(
    cohort: Cohort, masks: Mapping[str, MaskSet], n_jobs: int
) -> dict[str, pd.Series] | None:
    """Type the cells of all masks by one rule; None where there are too few, or bad counts."""
    run = joblib.Parallel(n_jobs)
    profiles = run(joblib.delayed(cell_profiles)(cohort, own) for own in masks.values())
    try:
        return type_profiles(cohort, dict(zip(masks, profiles, strict=True)))[0] if masks else None
    except InputError:
        return None


def _write_cells(
    folder: Path,
    cohort: Cohort,
    name: str,
    masks: Mapping[str, MaskSet],
    types: Mapping[str, pd.Series] | None,
) -> None:
    """Write the cells of one mask, with what the others say of each."""
    own = masks[name]
    cells = as_anndata(write_steinbock(folder, cohort, name, own), cohort, name)
    found = []
    for sample in own:
        raters = (name, *asked(cohort, masks, name, sample))
        here = {rater: masks[rater][sample] for rater in raters}
        found.append(cohort_disagreement(cohort, {sample: here}, name, types))
    about = pd.concat([one.cells for one in found])
    cells.obs[about.columns] = about.to_numpy()
    cells.layers[CARRIED] = np.concatenate([one.layers[CARRIED] for one in found])
    write_anndata(folder, name, cells)
