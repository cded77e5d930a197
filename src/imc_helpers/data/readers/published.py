"""The manifest's cohorts: from the files of those who made them to steinbock folders."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from imc_helpers.data.archives import fetch_order, order
from imc_helpers.data.conversion import convert
from imc_helpers.data.download import fetch
from imc_helpers.data.lab_folder.preparation import prepare_lab_folder
from imc_helpers.data.manifest import CohortRecord, cohort_record
from imc_helpers.data.panels import Panel
from imc_helpers.data.paths import data_dir, project_root, raw_dir, shipped
from imc_helpers.data.raters import TRUTH, Rater
from imc_helpers.data.readers.image_files import read_channel_folder
from imc_helpers.data.readers.in_house import schuiki25
from imc_helpers.data.readers.mask_files import (
    read_cellprofiler_mask,
    read_ilastik_objects,
    read_mask,
    read_pickled_mask,
)
from imc_helpers.data.readers.pairs import Pair, Unmatched
from imc_helpers.data.readers.paper_cohorts import ali20, hoch22, jackson20, rendeiro21
from imc_helpers.data.samples import Cohort, Sample, read_tiff
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError


def prepare(key: str) -> Path:
    """Make ``data/KEY`` from the published files, downloaded when not there, or from a recipe.

    Parameters
    ----------
    key
        Cohort in the manifest.

    Returns
    -------
    pathlib.Path
        The steinbock folder, whole.

    Raises
    ------
    DownloadError, InputError
        If a file is not as described; nothing half-written is left.
    """
    record = cohort_record(key)
    readers = (*_READERS, *_PAIRS)
    if not record.own and record.reader not in readers:
        raise InputError(
            f"cohort {key!r}: no reader {record.reader!r}; there are {', '.join(readers)}"
        )
    folder = data_dir() / key
    if record.own:
        prepare_lab_folder(record, folder)
        return folder
    raw = raw_dir(key)
    if record.files:
        fetch(record.base_url, record.files, raw, title=key)
    if record.archives:
        fetch_order(order(record, raw), raw, title=key)
    if record.reader in _PAIRS:
        convert_record(record, raw, folder)
    else:
        samples = _READERS[record.reader](raw, record)
        write_cohort(folder, _with_own_masks(samples, record), overwrite=True)
    return folder


def convert_record(record: CohortRecord, raw: Path, folder: Path) -> None:
    """Make a cohort of the study from the files of its records, one image at a time.

    Parameters
    ----------
    record
        Its reader says which image goes with which mask.
    raw
        Where the files are, as they were downloaded.
    folder
        The cohort, which appears whole or not at all; `imc_helpers.data.conversion` says where it
        grows, and what it lists of files that could not be matched.
    """
    pairs = partial(_PAIRS[record.reader], raw, record=record)
    convert(
        lambda scratch: _pairs_with_own_masks(pairs(scratch), record),
        cohort_panel(record),
        folder,
        made_from=_digest(raw, record),
    )


def _digest(raw: Path, record: CohortRecord) -> str:
    """Digest what a record's cohort is made from: entry, panel, files by size, and this code."""
    counts = {"reader", "raters", "channels", "um_per_px"}
    total = hashlib.sha256(record.model_dump_json(include=counts).encode())
    total.update((shipped("data_manifest") / record.panel).read_bytes())
    for path in sorted(raw.rglob("*")):
        below = path.relative_to(raw)
        if path.is_file() and not any(part.startswith(".") for part in below.parts):
            total.update(f"{below} {path.stat().st_size}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def open_cohort(key: str) -> Cohort:
    """Return a cohort of the manifest, prepared first when it is not there.

    The raters stand in the manifest's order; a phantom's truth is the last of them.
    """
    record = cohort_record(key)
    folder = data_dir() / key
    if not (folder / "images.csv").is_file():
        prepare(key)
    raters = [
        Rater(name, **made.model_dump(include={"kind", "how", "description"}))
        for name, made in record.raters.items()
        if made.kind != "model"
    ]
    if record.synthetic:
        raters.append(Rater(TRUTH, "truth", "What the tissue was made from."))
    return Cohort(folder, name=key, raters=raters)


def cohort_panel(record: CohortRecord) -> Panel:
    """Return the panel of a cohort, without its images."""
    if record.phantom is not None:
        panel: Panel = _phantom_recipes().find_recipe(record.phantom.recipe).panel
        return panel
    return Panel.read(shipped("data_manifest") / record.panel).with_compartments(record.channels)


def _spectre(raw: Path, record: CohortRecord) -> Iterator[Sample]:
    """Spectre's example ROIs: a folder of channels, ilastik objects, CellProfiler masks."""
    panel = cohort_panel(record)
    files = [f"{channel.name}_{channel.channel}.tiff" for channel in panel.channels]
    objects, cells = raw / "Spatial - advanced" / "masks", raw / "Spatial - simple" / "masks"
    for folder in sorted((raw / "Spatial - advanced" / "ROIs").iterdir()):
        roi = folder.name
        image, _ = read_channel_folder(folder, files)
        yield Sample(
            id=roi,
            image=image,
            panel=panel,
            um_per_px=record.um_per_px,
            masks={
                "ilastik": read_ilastik_objects(
                    objects / f"{roi}_ilastik_s2_Object Identities.tif",
                    objects / f"{roi}_ilastik_s2_Object Predictions.tif",
                ),
                "cellprofiler": read_cellprofiler_mask(cells / f"{roi}_Cell_mask.tiff"),
            },
            nuclei={"cellprofiler": read_cellprofiler_mask(cells / f"{roi}_Nuclei_mask.tiff")},
        )


def _codex_tile(raw: Path, record: CohortRecord) -> Iterator[Sample]:
    """Tiles of CellSegmentationEvaluator: three named planes, numbered ones, pickled masks."""
    panel = cohort_panel(record)
    for tile in sorted(path for path in raw.iterdir() if path.is_dir() and path.name[0] != "."):
        files = [f"{name}.tif" for name in panel.names]
        named, _ = read_channel_folder(tile, [f for f in files if not f.startswith("CH_")])
        numbered, _ = read_channel_folder(
            tile / "channels", [f for f in files if f.startswith("CH_")]
        )
        yield Sample(
            id=tile.name,
            image=np.concatenate([named, numbered]),
            panel=panel,
            um_per_px=record.um_per_px,
            masks={a: read_pickled_mask(tile / f"mask_{a}.pickle") for a in record.raters},
        )


def _cytomapper(raw: Path, record: CohortRecord) -> Iterator[Sample]:
    """Crops of cytomapper: one stack and one mask each."""
    panel = cohort_panel(record)
    for path in sorted(raw.glob("*_imc.tiff")):
        name = path.stem.removesuffix("_imc")
        yield Sample(
            id=name,
            image=read_tiff(path),
            panel=panel,
            um_per_px=record.um_per_px,
            masks={"published": read_mask(raw / f"{name}_mask.tiff")},
        )


def _with_own_masks(samples: Iterable[Sample], record: CohortRecord) -> Iterator[Sample]:
    """Add the masks of raters who have a folder; a sample that they left out has none."""
    folders = _own_folders(record)
    for sample in samples:
        own = {name: read() for name, read in _own_masks(folders, sample.id).items()}
        yield replace(sample, masks={**sample.masks, **own})


def _pairs_with_own_masks(
    pairs: Iterable[Pair | Unmatched], record: CohortRecord
) -> Iterator[Pair | Unmatched]:
    """Do the same before anything is read."""
    folders = _own_folders(record)
    for one in pairs:
        if isinstance(one, Pair):
            yield replace(one, masks={**one.masks, **_own_masks(folders, one.sample)})
        else:
            yield one


def _own_folders(record: CohortRecord) -> dict[str, Path]:
    folders = {name: project_root() / r.folder for name, r in record.raters.items() if r.folder}
    for folder in folders.values():
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of masks; expected SAMPLE.tiff in it")
    return folders


def _own_masks(folders: Mapping[str, Path], sample: str) -> dict[str, Callable[[], np.ndarray]]:
    files = {name: folder / f"{sample}.tiff" for name, folder in folders.items()}
    return {name: partial(read_mask, file) for name, file in files.items() if file.is_file()}


def _phantom(_: Path, record: CohortRecord) -> Iterator[Sample]:
    """Make tissue, images and annotators; the truth is a mask like the others."""
    assert record.phantom is not None
    recipe = record.phantom
    samples: Iterator[Sample] = _phantom_recipes().phantom_cohort(
        recipe.recipe, scale=recipe.scale, seed=recipe.seed
    )
    return samples


def _phantom_recipes() -> Any:
    """Load the phantom, by name and only for a cohort that is one: real cohorts do without it."""
    return import_module("imc_helpers.phantom.recipes")


_READERS: dict[str, Callable[[Path, CohortRecord], Iterator[Sample]]] = {
    "spectre": _spectre,
    "codex_tile": _codex_tile,
    "cytomapper": _cytomapper,
    "phantom": _phantom,
}

_PAIRS: dict[str, Callable[..., Iterator[Pair | Unmatched]]] = {
    "schuiki25": schuiki25,
    "ali20": ali20,
    "rendeiro21": rendeiro21,
    "jackson20": jackson20,
    "hoch22": hoch22,
}
"""Readers of large records, which are converted one image at a time."""
