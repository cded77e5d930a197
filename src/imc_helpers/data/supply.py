"""What an edition's cohorts cost before they are there: downloads, and room on the disk."""

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from imc_helpers.data.archives import ListedFile, Listing, choose, in_words, look_up, order, total
from imc_helpers.data.manifest import CohortRecord, cohort_record, published_size
from imc_helpers.data.paths import raw_dir
from imc_helpers.data.readers.published import cohort_panel
from imc_helpers.errors import DownloadError, InputError

MOST_LISTED = 30
"""Files of a record that are printed of those that are taken, and of those that are left."""
_BYTES_PER_VALUE = 4
"""Of an image's float32 and a mask's uint32, before compression."""


@dataclass(frozen=True)
class Need:
    """What one cohort takes."""

    cohort: str
    files: int
    """To download still."""
    download: int
    """Their size together, bytes, as far as somebody knows it."""
    unknown: int
    """How many of them nobody knows the size of."""
    converted: int
    """Size of the images and masks as the book keeps them, bytes, before compression: at most; 0
    where nobody said how many images there are."""

    def sentence(self) -> str:
        """Say it to a user."""
        if not self.files:
            text = f"{self.cohort}: nothing to download"
        else:
            text = f"{self.cohort}: {_files(self.files)} to download, {in_words(self.download)}"
            text += f" and {self.unknown} of unknown size" if self.unknown else ""
        return f"{text}; converted at most {in_words(self.converted)}" if self.converted else text


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"


def need(cohort: str) -> Need:
    """Find out what a cohort takes; its archives are asked where something is missing.

    Raises
    ------
    DownloadError, InputError
        If an archive cannot be reached, or does not hold what the manifest says.
    """
    record, raw = cohort_record(cohort), raw_dir(cohort)
    files = [file for file in record.files if not (raw / file.path).is_file()]
    size, unknown = sum(file.size for file in files), 0
    number = len(files)
    if record.archives:
        missing = order(record, raw).missing(raw)
        number, (size, unknown) = len(missing), total(missing)
    return Need(cohort, number, size, unknown, converted_size(record))


def converted_size(record: CohortRecord) -> int:
    """Return the size of a cohort of the study as the book keeps it, bytes, before compression.

    The mean height times the mean width of Table 1 stands for the mean area.
    """
    if not (published := published_size(record)):
        return 0
    pixels = published["samples"] * published["height_px"] * published["width_px"]
    layers = len(cohort_panel(record)) + len(record.raters)
    return int(pixels * layers * _BYTES_PER_VALUE)


def room(needs: Iterable[Need], free: int) -> str:
    """Say what all cohorts take together, and whether the disk holds it.

    Parameters
    ----------
    needs
        Of the cohorts that are still to come.
    free
        Bytes on the disk.

    Raises
    ------
    DownloadError
        If the downloads alone are more than the disk holds.
    """
    needs = list(needs)
    downloads, converted = sum(n.download for n in needs), sum(n.converted for n in needs)
    text = f"in all: {in_words(downloads)} to download"
    if unknown := sum(n.unknown for n in needs):
        text += f" and {_files(unknown)} of unknown size"
    text += f", at most {in_words(converted)} converted; the disk has {in_words(free)} free"
    if downloads > free:
        raise DownloadError(f"{text}. Nothing was downloaded: make room, or name one with ONLY=")
    if downloads + converted > free:
        text += (
            ". If compression does not help, that is too little: bring cohorts one by one with "
            "ONLY=, and drop the downloads of each with DROP=1"
        )
    return text


def contents(cohort: str) -> Iterator[str]:
    """Yield, line by line, what the archive records of a cohort hold, and what is taken of it.

    Whatever is wrong with one of them is one of the lines, and begins with ``!``.
    """
    record = cohort_record(cohort)
    yield f"{cohort}: {record.title}; licence in the manifest: {record.license}"
    for folder, archive in record.archives.items():
        try:
            listing = look_up(archive)
        except (DownloadError, InputError) as error:
            yield f"! {folder}: {error}"
            continue
        yield f"  {folder}: {listing.place}, {listing.title or 'without a title'}"
        yield f"    licence: {_licence(record, listing)}"
        wrong = ""
        try:
            taken = {file.name for file in choose(archive, listing)}
        except InputError as error:
            taken, wrong = set(), str(error)
        yield from _lines("taken", [file for file in listing.files if file.name in taken])
        yield from _lines("left", [file for file in listing.files if file.name not in taken])
        if wrong:
            yield f"! {folder}: {wrong}"


def _licence(record: CohortRecord, listing: Listing) -> str:
    """Say what an archive states of a licence, and whether the manifest says the same."""
    if not listing.license:
        return "the archive states none here"
    same = _bare(listing.license) == _bare(record.license)
    return listing.license if same else f"{listing.license}; the manifest says otherwise: mend it"


def _bare(license: str) -> str:
    return re.sub(r"[^a-z0-9]", "", license.lower())


def _lines(mark: str, files: Sequence[ListedFile]) -> Iterator[str]:
    for file in files[:MOST_LISTED]:
        size = "size unknown" if file.about is None else in_words(file.about)
        yield f"    {mark:5}  {size:>12}  {file.hash or 'no hash'}  {file.name}"
    if len(files) > MOST_LISTED:
        yield f"    {mark:5}  … and {len(files) - MOST_LISTED} more"


def drop_downloads(cohort: str) -> int:
    """Remove what was downloaded for a cohort, and return its size in bytes."""
    raw = raw_dir(cohort)
    size = sum(path.stat().st_size for path in raw.rglob("*") if path.is_file())
    if raw.is_dir():
        shutil.rmtree(raw)
    return size
