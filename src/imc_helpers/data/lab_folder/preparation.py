"""A cohort from a lab's folder: its files are linked to, and nothing of it is changed.

What a cohort cannot use as it is (instrument files, folders of channels, outlines) is converted
into ``data/COHORT``. Beside the panel and the table of images stand ``oddities.csv``, what was odd,
and ``masks.csv``, what was measured on each mask.
"""

import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from tqdm import tqdm

from imc_helpers.data.lab_folder.checks import COLUMNS, about_kinds
from imc_helpers.data.lab_folder.image_headers import ImageHeader, read_pixels
from imc_helpers.data.lab_folder.inspection import Inspection, UsableMask, inspect
from imc_helpers.data.lab_folder.layout import MASKS as MASK_ENDINGS
from imc_helpers.data.lab_folder.layout import MaskFile, find_layout, stem
from imc_helpers.data.manifest import CohortRecord
from imc_helpers.data.paths import project_root, replacing
from imc_helpers.data.readers.label_files import read_labels
from imc_helpers.data.samples import label_folder
from imc_helpers.errors import InputError

ODDITIES, MASKS = "oddities.csv", "masks.csv"
"""Files beside the panel of a cohort that was made from a lab's folder."""


def read_oddities(folder: Path) -> pd.DataFrame:
    """Read what was odd about the folder that a cohort was made from.

    Parameters
    ----------
    folder
        The cohort, ``data/COHORT``.

    Returns
    -------
    pandas.DataFrame
        One row per oddity with `checks.COLUMNS`; none for a cohort of another origin.
    """
    path = folder / ODDITIES
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(path, keep_default_na=False)


def prepare_lab_folder(record: CohortRecord, folder: Path) -> None:
    """Make a cohort from the folder that a record names.

    Parameters
    ----------
    record
        With `folder`, the raters to use and, where the files do not say them, the compartments of
        channels.
    folder
        The cohort, which appears whole or not at all.

    Raises
    ------
    InputError
        If the folder lacks a rater, or a channel that the record names.
    """
    names = {made.found or name: name for name, made in record.raters.items()}
    layout = find_layout(project_root() / record.folder)
    beside = [mask for name, made in record.raters.items() for mask in _beside(name, made.folder)]
    found = inspect(
        replace(layout, masks=(*layout.masks, *beside)),
        um_per_px=record.um_per_px,
        raters=names,
        nucleus=[name for name, what in record.channels.items() if what == "nucleus"],
    )
    have = found.raters()
    if missing := [name for name in names if name not in have]:
        raise InputError(
            f"{record.folder}: no mask of {missing[0]!r} can be used; there are "
            f"{', '.join(f'{rater} ({n})' for rater, n in have.items()) or 'none'}. Correct its "
            "name under `raters`, or take it out"
        )
    panel = found.panel.with_compartments(record.channels)
    with replacing(folder) as new:
        for header in tqdm(found.images, desc="images", disable=None):
            _place_image(header, found, new / "img" / f"{header.file.sample}.tiff")
        shapes = {header.file.sample: header.shape for header in found.images}
        for mask in tqdm(found.masks, desc="masks", disable=None):
            rater = names[mask.file.rater]
            place = new / label_folder(mask.file.kind, rater) / f"{mask.file.sample}.tiff"
            _place_mask(mask, shapes[mask.file.sample], place)
        panel.write(new / "panel.csv")
        _images_table(found).to_csv(new / "images.csv", index=False)
        kinds = {name: made.kind for name, made in record.raters.items()}
        odd = [*about_kinds(kinds), *found.oddities]
        pd.DataFrame(odd, columns=COLUMNS).to_csv(new / ODDITIES, index=False)
        facts = [asdict(mask.facts) | {"file": str(mask.file.path)} for mask in found.masks]
        pd.DataFrame(facts).to_csv(new / MASKS, index=False)


def _beside(rater: str, folder: str) -> Iterator[MaskFile]:
    """List the masks of a rater who keeps them in a folder elsewhere."""
    if not folder:
        return
    place = project_root() / folder
    if not place.is_dir():
        raise InputError(f"{place}: no such folder of masks; expected SAMPLE.tiff in it")
    for file in sorted(place.iterdir()):
        if file.suffix.lower() in MASK_ENDINGS:
            yield MaskFile(rater, stem(file), file)


def _place_image(header: ImageHeader, found: Inspection, place: Path) -> None:
    planes = found.planes(header)
    if header.as_is and planes == list(range(len(header.channels))):
        _link(header.file.path, place)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    image = read_pixels(header)[planes]
    tifffile.imwrite(place, image, compression="zlib", photometric="minisblack")


def _place_mask(mask: UsableMask, shape: tuple[int, int], place: Path) -> None:
    if mask.as_is:
        _link(mask.file.path, place)
        return
    labels = read_labels(mask.file.path, shape, mask.file.kind).astype(np.uint32)
    place.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(place, labels, compression="zlib", photometric="minisblack")


def _link(target: Path, place: Path) -> None:
    """Link to a file; copy it where the system has no links."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(target.resolve())
    except OSError:
        shutil.copyfile(target, place)


def _images_table(found: Inspection) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image": f"{header.file.sample}.tiff",
            "width_px": header.shape[1],
            "height_px": header.shape[0],
            "num_channels": len(found.panel),
            "um_per_px": found.um_per_px,
        }
        for header in found.images
    )
