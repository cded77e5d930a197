"""The study's four public cohorts, as their authors published them.

A reader takes the files of the records and yields one `Pair` per image that has a mask of its name,
and one `Unmatched` for whatever has no partner. Nothing is left out for any other reason: no
patient's metadata are looked at.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from imc_helpers.data.manifest import CohortRecord
from imc_helpers.data.paths import shipped
from imc_helpers.data.readers.mask_files import read_mask
from imc_helpers.data.readers.pairs import NO_IMAGE, NO_MASK, Pair, Unmatched, match
from imc_helpers.data.readers.raw_files import RawFile, list_raw_files
from imc_helpers.data.readers.stacks import (
    Stack,
    acquisition_ids,
    mcd_stack,
    read_metal_list,
    tiff_stack,
)
from imc_helpers.errors import InputError

MASKS_OF = "published"
"""The rater of the four public cohorts: whoever made the masks that came with the images."""

_LEFT_OUT_BY_AUTHORS = (
    "20200701_COVID_11_LATE-01",
    "20200701_COVID_11_LATE-09",
    "20200701_COVID_11_LATE-10",
)
"""Regions that the authors of Rendeiro21 exclude themselves (``src/config.py`` of their code)."""
_LEFT_OUT = ("left out by its authors", "excluded in the code of the data's authors")


def ali20(raw: Path, scratch: Path, record: CohortRecord) -> Iterator[Pair | Unmatched]:
    """Stacks without names of channels: the panel lists them in the stacks' order.

    ``MB0000_1_345_fullstack.tiff`` goes with ``MB0000_1_345_cellmask.tiff``.
    """
    files = list_raw_files(raw, scratch)
    listed = pd.read_csv(shipped("data_manifest") / record.panel, dtype=str)["channel"]
    images = _by_sample(files, "_fullstack.tiff")
    masks = _by_sample(files, "_cellmask.tiff")
    return _pairs(images, masks, record, lambda _: tuple(listed))


def jackson20(raw: Path, scratch: Path, record: CohortRecord) -> Iterator[Pair | Unmatched]:
    """OME-TIFF stacks in an archive in an archive, masks in its sibling.

    ``ome.zip/…_full.tiff`` goes with ``Basel_Zuri_masks.zip/…_full_maks.tiff``; the spelling is the
    authors'.
    """
    files = list_raw_files(raw, scratch)
    images = _by_sample(files, "_full.tiff")
    masks = _by_sample(files, "_full_maks.tiff")
    return _pairs(images, masks, record, lambda _: ())


def hoch22(raw: Path, scratch: Path, record: CohortRecord) -> Iterator[Pair | Unmatched]:
    """Raw stacks of the protein panel, beside each a list of its metals without a header.

    ``protein/tiffs/STEM_full.tiff`` and ``STEM_full.csv`` go with ``protein/cpout/
    STEM_ilastik_s2_Probabilities_equalized_cellmask.tiff``. The same stacks are there a second
    time, corrected for spillover; the raw ones are what the other cohorts have.
    """
    files = [file for file in list_raw_files(raw, scratch) if "protein" in file.path.parts]
    images = _by_sample(files, "_full.tiff")
    masks = _by_sample(files, "_ilastik_s2_Probabilities_equalized_cellmask.tiff")
    lists = _by_sample(files, "_full.csv")

    def metals(sample: str) -> tuple[str, ...]:
        if sample not in lists:
            return ()
        with lists[sample].on_disk() as path:
            return read_metal_list(path)

    return _pairs(images, masks, record, metals)


def _by_sample(files: Iterable[RawFile], ending: str) -> dict[str, RawFile]:
    """Return the files with an ending, by what stands before it."""
    found: dict[str, RawFile] = {}
    for file in files:
        if not file.name.endswith(ending):
            continue
        sample = file.name.removesuffix(ending)
        if sample in found:
            raise InputError(
                f"{file.path}: {found[sample].path} has the same name, so it cannot be said which "
                "of them belongs to it. Keep one of them"
            )
        found[sample] = file
    return found


def _pairs(
    images: Mapping[str, RawFile],
    masks: Mapping[str, RawFile],
    record: CohortRecord,
    metals: Callable[[str], Sequence[str]],
) -> Iterator[Pair | Unmatched]:
    """Match stacks and masks; `metals` says what is listed of a sample's planes."""
    both, alone = match(
        {sample: str(file.path) for sample, file in images.items()},
        {sample: str(file.path) for sample, file in masks.items()},
    )
    yield from alone
    for sample in both:
        stack = partial(_open_tiff, images[sample], partial(metals, sample))
        mask = partial(_read_mask, masks[sample])
        yield Pair(sample, str(images[sample].path), stack, {MASKS_OF: mask}, record.um_per_px)


@contextmanager
def _open_tiff(file: RawFile, metals: Callable[[], Sequence[str]]) -> Iterator[Stack]:
    with file.on_disk() as path, tiff_stack(path, metals()) as stack:
        yield stack


def _read_mask(file: RawFile) -> np.ndarray:
    with file.on_disk() as path:
        return read_mask(path)


def rendeiro21(raw: Path, scratch: Path, record: CohortRecord) -> Iterator[Pair | Unmatched]:
    """Instrument files, and masks that are numbered by the acquisitions' places in them.

    ``NAME.mcd`` holds ``NAME-01``, ``NAME-02``, …: the place in the file's list, which has gaps in
    its own numbers, and where an acquisition that was broken off counts too. ``NAME_2.mcd`` goes on
    where ``NAME.mcd`` ends. The mask of ``NAME-01`` is ``NAME-01_full_mask.tiff``. The record has
    no stacks of raw counts.
    """
    files = list_raw_files(raw, scratch)
    masks = _by_sample(files, "_full_mask.tiff")
    without = dict(masks)
    instrument = _by_sample(files, ".mcd")
    counted: dict[str, int] = {}
    # ``NAME`` sorts before ``NAME_2``.
    for name in sorted(instrument):
        first = name.removesuffix("_2") if name.removesuffix("_2") in counted else name
        with instrument[name].on_disk() as path:
            for acquisition in acquisition_ids(path):
                counted[first] = counted.get(first, 0) + 1
                sample, source = f"{first}-{counted[first]:02d}", f"{instrument[name].path}"
                mask = without.pop(sample, None)
                if sample in _LEFT_OUT_BY_AUTHORS:
                    yield Unmatched(sample, source, *_LEFT_OUT)
                elif mask is None:
                    yield Unmatched(sample, source, *NO_MASK)
                else:
                    yield Pair(
                        sample,
                        source,
                        partial(mcd_stack, path, acquisition),
                        {MASKS_OF: partial(_read_mask, mask)},
                        record.um_per_px,
                    )
    for sample, mask in without.items():
        yield Unmatched(sample, str(mask.path), *NO_IMAGE)
