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
from typing import TypeVar

import joblib
import pandas as pd
import tifffile
from tqdm import tqdm

from imc_helpers.agreement.consensus import consensus
from imc_helpers.data.paths import replacing
from imc_helpers.data.samples import Cohort, read_tiff
from imc_helpers.downstream.export import as_anndata, write_anndata
from imc_helpers.downstream.mask_sets import MaskSet, mask_sets
from imc_helpers.downstream.measure import measure, read_counts, read_tables, write_tables
from imc_helpers.downstream.typed_masks import type_profiles, types_by_image
from imc_helpers.downstream.uncertainty import add_disagreement, mask_disagreement
from imc_helpers.errors import InputError

_T = TypeVar("_T")
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
    run = joblib.Parallel(n_jobs, return_as="generator")
    with replacing(folder) as new:
        masks = mask_sets(cohort, models)
        agreed = cohort.shared_ids
        if agreed:
            place = new / f"masks_{CONSENSUS}"
            place.mkdir()
            work = run(joblib.delayed(_write_consensus)(new, cohort, sample) for sample in agreed)
            _wait(work, len(agreed), f"{cohort.name}: consensus")
            masks[CONSENSUS] = MaskSet(agreed, lambda sample: read_tiff(place / f"{sample}.tiff"))
        drawn = [sample for sample in cohort.ids if any(sample in own for own in masks.values())]
        work = run(joblib.delayed(_measure)(new, cohort, sample, masks) for sample in drawn)
        counts = dict(zip(drawn, _wait(work, len(drawn), f"{cohort.name}: cells"), strict=True))
        types = _types(cohort, masks, counts)
        del counts
        work = run(joblib.delayed(_write_cells)(new, cohort, name, masks, types) for name in masks)
        _wait(work, len(masks), f"{cohort.name}: files of raters")


def asked(cohort: Cohort, masks: Mapping[str, MaskSet], base: str, sample: str) -> list[str]:
    """Say whose masks of an image are asked about the cells of one.

    The other references; where there is none, the models: never the consensus, which holds the
    references' masks.
    """
    there = [name for name, own in masks.items() if sample in own and name not in (base, CONSENSUS)]
    references = cohort.references_of(sample)
    return [name for name in there if name in references] or there


def _wait(work: Iterable[_T], total: int, about: str) -> list[_T]:
    return list(tqdm(work, desc=about, total=total, disable=None))


def _write_consensus(folder: Path, cohort: Cohort, sample: str) -> None:
    """Write the consensus of one sample."""
    drawn = [cohort.read_mask(sample, name) for name in cohort.references_of(sample)]
    path = folder / f"masks_{CONSENSUS}" / f"{sample}.tiff"
    tifffile.imwrite(path, consensus(drawn).labels, compression="zlib")


def _measure(
    folder: Path, cohort: Cohort, sample: str, masks: Mapping[str, MaskSet]
) -> dict[str, pd.DataFrame]:
    """Write steinbock's tables of all masks of one image; return the mean counts by mask.

    This is the only time that the image is read: all else is made of the tables.
    """
    image, found = cohort.read_image(sample), {}
    for name, own in masks.items():
        if sample in own:
            source = f"{cohort.name}, image {sample}, mask of {name}"
            tables = measure(image, own[sample], cohort.panel.names, source=source)
            write_tables(folder, name, sample, tables)
            found[name] = tables.intensities
    return found


def _types(
    cohort: Cohort,
    masks: Mapping[str, MaskSet],
    counts: Mapping[str, Mapping[str, pd.DataFrame]],
) -> dict[str, dict[str, pd.Series]] | None:
    """Type the cells of all masks by one rule; None where there are too few, or bad counts.

    Parameters
    ----------
    cohort, masks
        As in `export`.
    counts
        By image and mask.

    Returns
    -------
    dict
        By mask and image: the type of each cell, by its id.
    """
    profiles = {
        name: pd.concat({s: counts[s][name] for s in own}, names=["sample", "id"])
        for name, own in masks.items()
    }
    try:
        types = type_profiles(cohort, profiles)[0] if masks else {}
    except InputError:
        return None
    return {name: types_by_image(types[name].astype("category"), masks[name]) for name in masks}


def _write_cells(
    folder: Path,
    cohort: Cohort,
    name: str,
    masks: Mapping[str, MaskSet],
    types: Mapping[str, Mapping[str, pd.Series]] | None,
) -> None:
    """Write the cells of one mask, with what the others say of each."""
    tables, found = {}, []
    for sample in masks[name]:
        others = asked(cohort, masks, name, sample)
        labels = {rater: masks[rater][sample] for rater in (name, *others)}
        tables[sample] = read_tables(folder, name, sample, labels[name])
        counts = {rater: read_counts(folder, rater, sample) for rater in others}
        counts[name] = tables[sample].counts
        own_types = None if types is None else {rater: types[rater][sample] for rater in labels}
        found.append(mask_disagreement(labels, counts, name, own_types))
    cells = as_anndata(tables, cohort, name)
    add_disagreement(cells, found, [CARRIED])
    write_anndata(folder, name, cells)
