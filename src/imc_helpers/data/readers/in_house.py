"""The study's own images, whose record nobody could open yet: any sensible layout is read.

The files are looked over as a lab's own folder is (`imc_helpers.data.lab_folder`): names are read
as words, so that ``img/roi1.tiff`` goes with ``masks_anna/roi1.tiff`` as well as with
``roi1_anna_mask.tif``.
"""

import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from imc_helpers.data.download import unpack
from imc_helpers.data.lab_folder.image_headers import ImageHeader, read_pixels
from imc_helpers.data.lab_folder.inspection import Inspection, inspect
from imc_helpers.data.lab_folder.layout import find_layout
from imc_helpers.data.manifest import CohortRecord
from imc_helpers.data.metals import metal_and_name
from imc_helpers.data.readers.label_files import read_labels
from imc_helpers.data.readers.pairs import NO_MASK, Pair, Unmatched
from imc_helpers.data.readers.stacks import Stack
from imc_helpers.errors import InputError


def schuiki25(raw: Path, scratch: Path, record: CohortRecord) -> Iterator[Pair | Unmatched]:
    """Images and the masks of each annotator, in any layout that a lab's folder may have.

    Raises
    ------
    InputError
        If no image, no names of channels, or not the record's number of annotators is found; with
        what was found instead, and how to mend it.
    """
    folder = scratch / "unpacked"
    _lay_out(raw, folder)
    found = _look_over(raw, folder, record)
    names = _annotators(found, record)
    for odd in found.oddities:
        if not odd.used:
            source = odd.file and _below(Path(odd.file), folder)
            yield Unmatched(odd.sample, source, odd.what, odd.found)
    masks = {
        (names[mask.file.rater], mask.file.sample): mask.file.path
        for mask in found.masks
        if mask.file.rater in names and mask.file.kind == "masks"
    }
    for header in found.images:
        sample, source = header.file.sample, _below(header.file.path, folder)
        own = {
            rater: partial(_read_mask, masks[rater, sample], header.shape)
            for rater in record.raters
            if (rater, sample) in masks
        }
        if own:
            stack = partial(_open, header, found)
            yield Pair(sample, source, stack, own, record.um_per_px)
        else:
            yield Unmatched(sample, source, *NO_MASK)


def _lay_out(raw: Path, folder: Path) -> None:
    """Unpack archives, and link to what is none, in one folder."""
    files = [path for path in sorted(raw.rglob("*")) if path.is_file()]
    files = [path for path in files if not any(p[0] == "." for p in path.relative_to(raw).parts)]
    archives = [p for p in files if p.suffix.lower() == ".zip" or tarfile.is_tarfile(p)]
    for path in files:
        below = path.relative_to(raw)
        if path in archives:
            # The name of an only archive says nothing of what is in it; those of several may.
            place = folder / ("data" if len(archives) == 1 else below.with_suffix(""))
            if not place.is_dir():
                unpack(path, place)
        elif not (place := folder / below).exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                place.symlink_to(path.resolve())
            except OSError:  # a system without links
                shutil.copyfile(path, place)


def _look_over(raw: Path, folder: Path, record: CohortRecord) -> Inspection:
    """Find images and masks, or say what is there instead."""
    layout = find_layout(folder)
    if not layout.images:
        listed = [_below(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()]
        raise InputError(
            f"{record.title}: no image among the {len(listed)} files of the record. Expected TIFF "
            "stacks of channels, or files of the instrument, and masks in folders or files whose "
            f"names say so (masks_anna/roi1.tiff, roi1_anna_mask.tiff). Found {_some(listed)}. "
            f"Rename or move them below {raw}, and run it again"
        )
    found = inspect(layout, um_per_px=record.um_per_px)
    if not any(header.named for header in found.images) and layout.panel is None:
        raise InputError(
            f"{record.title}: no file names the {len(found.panel)} channels of the images. Write a "
            "panel.csv (columns channel, name; one row per channel, in the images' order) into "
            f"{raw}, and run it again"
        )
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


def _annotators(found: Inspection, record: CohortRecord) -> dict[str, str]:
    """Say which rater of the record each rater of the files is."""
    have = found.raters()
    told = {made.found: name for name, made in record.raters.items() if made.found}
    if told and set(told) <= set(have):
        return told
    if not told and len(have) == len(record.raters):
        return dict(zip(sorted(have), record.raters, strict=True))
    listed = ", ".join(f"{name} ({count} masks)" for name, count in sorted(have.items())) or "none"
    raise InputError(
        f"{record.title}: expected the masks of {len(record.raters)} annotators of "
        f"{len(found.images)} images, named in the masks' folders or files; found {listed}. Say "
        "who is who in data_manifest/cohorts.yml: `found: NAME` under each of the `raters`, with a "
        "name from this list"
    )


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


@contextmanager
def _open(header: ImageHeader, found: Inspection) -> Iterator[Stack]:
    planes = found.planes(header)
    metals = tuple(metal_and_name(channel.channel)[0] for channel in found.panel.channels)

    def read(positions: Sequence[int]) -> np.ndarray:
        return read_pixels(header)[[planes[position] for position in positions]]

    yield Stack(metals, header.shape, read)


def _read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    return read_labels(path, shape)
