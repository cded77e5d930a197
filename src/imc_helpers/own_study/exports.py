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
from imc_helpers.downstream.measure import measure, read_intensities, read_tables, write_tables
from imc_helpers.downstream.typed_masks import LearnedRule, learn_rule
from imc_helpers.downstream.uncertainty import add_disagreement, mask_disagreement
from imc_helpers.errors import InputError

_T = TypeVar("_T")
CONSENSUS = "consensus"
CARRIED = "mask_sd"
"""Of the layers that tell what other masks say, the one that is exported: files stay small."""
LEARNED_FROM = 100_000
"""Most cells of each mask that the rule for types is learned from, evenly taken from its images."""


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
        work = run(
            joblib.delayed(_measure)(new, cohort, sample, masks, -(-LEARNED_FROM // len(drawn)))
            for sample in drawn
        )
        some = dict(zip(drawn, _wait(work, len(drawn), f"{cohort.name}: cells"), strict=True))
        rule = _learn(cohort, masks, some)
        del some
        work = run(joblib.delayed(_write_cells)(new, cohort, name, masks, rule) for name in masks)
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
    folder: Path, cohort: Cohort, sample: str, masks: Mapping[str, MaskSet], most: int
) -> dict[str, pd.DataFrame]:
    """Write steinbock's tables of all masks of one image; return some cells' counts by mask.

    This is the only time that the image is read: all else is made of the tables.
    """
    image, found = cohort.read_image(sample), {}
    for name, own in masks.items():
        if sample in own:
            source = f"{cohort.name}, image {sample}, mask of {name}"
            tables = measure(image, own[sample], cohort.panel.names, source=source)
            write_tables(folder, name, sample, tables)
            step = max(1, -(-len(tables.intensities) // most))
            found[name] = tables.intensities.iloc[::step].copy()  # lets go of the others
    return found


def _learn(
    cohort: Cohort,
    masks: Mapping[str, MaskSet],
    some: Mapping[str, Mapping[str, pd.DataFrame]],
) -> LearnedRule | None:
    """Learn a rule that types the cells of all masks; None where there are too few, or bad counts.

    Parameters
    ----------
    cohort, masks
        As in `export`.
    some
        Counts of cells to learn from, by image and mask.
    """
    profiles = {name: _profiles({s: some[s][name] for s in own}) for name, own in masks.items()}
    try:
        return learn_rule(cohort, profiles) if profiles else None
    except InputError:
        return None


def _profiles(intensities: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the mean counts of cells of some images together, as `cell_profiles` returns them."""
    return pd.concat(intensities, names=["sample", "id"])


def _write_cells(
    folder: Path,
    cohort: Cohort,
    name: str,
    masks: Mapping[str, MaskSet],
    rule: LearnedRule | None,
) -> None:
    """Write the cells of one mask, with what the others say of each."""
    found = []
    for sample in masks[name]:
        raters = (name, *asked(cohort, masks, name, sample))
        labels = {rater: masks[rater][sample] for rater in raters}
        measured = {rater: read_intensities(folder, rater, sample) for rater in raters}
        counts = {rater: (own.index.to_numpy(), own.to_numpy()) for rater, own in measured.items()}
        types = (
            None
            if rule is None
            else {
                rater: rule.typed(_profiles({sample: own})).droplevel("sample")
                for rater, own in measured.items()
            }
        )
        found.append(mask_disagreement(labels, counts, name, types, [CARRIED]))
    written = ((sample, read_tables(folder, name, sample)) for sample in masks[name])
    cells = as_anndata(written, cohort, name)
    add_disagreement(cells, found)
    write_anndata(folder, name, cells)
