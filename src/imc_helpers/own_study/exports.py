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

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import joblib
import pandas as pd
import tifffile
from tqdm import tqdm

from imc_helpers.agreement.consensus import consensus
from imc_helpers.data.paths import replacing
from imc_helpers.data.samples import Cohort, evenly_spread
from imc_helpers.downstream.cell_types import cell_profiles
from imc_helpers.downstream.export import as_anndata, write_anndata
from imc_helpers.downstream.mask_sets import MaskSet, mask_sets
from imc_helpers.downstream.measure import CellTables, measure, write_tables
from imc_helpers.downstream.typed_masks import LearnedRule, learn_rule
from imc_helpers.downstream.uncertainty import add_disagreement, mask_disagreement
from imc_helpers.errors import InputError

CONSENSUS = "consensus"
CARRIED = "mask_sd"
"""Of the layers that tell what other masks say, the one that is exported: files stay small."""
LEARNED_FROM = 24
"""Most images of each mask, evenly spread, whose cells the rule for types is learned from."""


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
    masks = mask_sets(cohort, models)
    drawn = [sample for sample in cohort.ids if any(sample in own for own in masks.values())]
    rule = _learn_rule(cohort, masks)
    with replacing(folder) as new:
        parts = new / "parts"
        work = run(joblib.delayed(_write_image)(new, parts, cohort, s, masks, rule) for s in drawn)
        for _ in tqdm(work, desc=f"{cohort.name}: images", total=len(drawn), disable=None):
            pass
        names = sorted(path.name for path in parts.glob("*"))
        work = run(joblib.delayed(_write_cells)(new, parts / name, cohort) for name in names)
        for _ in tqdm(work, desc=f"{cohort.name}: raters", total=len(names), disable=None):
            pass
        shutil.rmtree(parts, ignore_errors=True)


def _learn_rule(cohort: Cohort, masks: Mapping[str, MaskSet]) -> LearnedRule | None:
    """Learn how cells get their types; None where there are too few, or bad counts."""
    teachers = [name for name in masks if name in cohort.references] or list(masks)
    profiles = {}
    for name in teachers:
        own = masks[name]
        some = {sample: own[sample] for sample in evenly_spread(list(own), LEARNED_FROM)}
        profiles[name] = cell_profiles(cohort, some)
    try:
        return learn_rule(cohort, profiles) if profiles else None
    except InputError:
        return None


def asked(cohort: Cohort, there: Iterable[str], base: str, sample: str) -> list[str]:
    """Say which of the masks of an image are asked about the cells of one.

    The other references; where there is none, the models: never the consensus, which holds the
    references' masks.
    """
    others = [name for name in there if name not in (base, CONSENSUS)]
    references = cohort.references_of(sample)
    return [name for name in others if name in references] or others


def _write_image(
    folder: Path,
    parts: Path,
    cohort: Cohort,
    sample: str,
    masks: Mapping[str, MaskSet],
    rule: LearnedRule | None,
) -> None:
    """Write the consensus and steinbock's tables of one image, and what goes into each AnnData."""
    image = cohort.read_image(sample)
    labels = {name: own[sample] for name, own in masks.items() if sample in own}
    references = [labels[name] for name in cohort.references_of(sample)]
    if len(references) > 1:
        labels[CONSENSUS] = consensus(references).labels
        path = folder / f"masks_{CONSENSUS}" / f"{sample}.tiff"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, labels[CONSENSUS], compression="zlib")
    tables: dict[str, CellTables] = {}
    for name, own in labels.items():
        source = f"{cohort.name}, image {sample}, mask of {name}"
        tables[name] = measure(image, own, cohort.panel.names, source=source)
        write_tables(folder, name, sample, tables[name])
    types = (
        None if rule is None else {name: _types(rule, sample, own) for name, own in tables.items()}
    )
    counts = {name: own.counts for name, own in tables.items()}
    for name in labels:
        raters = {rater: labels[rater] for rater in (name, *asked(cohort, labels, name, sample))}
        said = mask_disagreement(raters, counts, name, types, [CARRIED])
        (parts / name).mkdir(parents=True, exist_ok=True)
        joblib.dump(tables[name], parts / name / f"{sample}.tables")
        joblib.dump(said, parts / name / f"{sample}.said")


def _types(rule: LearnedRule, sample: str, tables: CellTables) -> pd.Series:
    """Return the type of each cell of one mask of one image, by its id."""
    profiles = pd.concat({sample: tables.intensities}, names=["sample", "id"])
    return rule.typed(profiles).droplevel("sample")


def _write_cells(folder: Path, parts: Path, cohort: Cohort) -> None:
    """Write the AnnData of one mask from its parts, image by image."""
    name = parts.name
    samples = [sample for sample in cohort.ids if (parts / f"{sample}.tables").exists()]
    tables = ((sample, joblib.load(parts / f"{sample}.tables")) for sample in samples)
    cells = as_anndata(tables, cohort, name)
    add_disagreement(cells, [joblib.load(parts / f"{sample}.said") for sample in samples])
    write_anndata(folder, name, cells)
