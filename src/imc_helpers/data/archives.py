"""Records of public archives: which files they hold, and bringing those that a cohort needs.

An archive is asked at the time what a record holds, with sizes and hashes, so that a file that was
renamed or replaced is noticed before anything large is downloaded.
"""

import difflib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError
from tqdm import tqdm

from imc_helpers.data.download import download, mirror_path, read_page, refuse_outside
from imc_helpers.data.manifest import ArchiveRecord, CohortRecord, WantedFile
from imc_helpers.errors import DownloadError, InputError

ZENODO = "https://zenodo.org"
_LISTED = ".listing.json"
"""What the archives said, beside the files: whole downloads need to ask no more."""
_MEND = "write what is right under `archives` in data_manifest/cohorts.yml"
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"(?:^|\s)(\d+(?:\.\d+)?)([KMGT]?)\s*$")


class ListedFile(BaseModel):
    """A file of a record, as its archive describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """Its name there, with folders."""
    url: str
    size: int | None = None
    """Bytes; None where the archive does not say it to the byte."""
    about: int | None = None
    """Bytes, perhaps rounded; None where the archive says nothing."""
    hash: str | None = None
    """Algorithm and digest; None where the archive publishes none."""


class Listing(BaseModel):
    """What an archive says of a record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    place: str
    """Archive and record, in words: ``"Zenodo record 4607374"``."""
    title: str = ""
    license: str = ""
    """As the archive puts it; empty where it says nothing."""
    files: tuple[ListedFile, ...]


def look_up(archive: ArchiveRecord) -> Listing:
    """Ask an archive what a record holds, or look into the mirror.

    Raises
    ------
    DownloadError
        If the archive cannot be reached, or what it says is no list of files.
    """
    listing = _zenodo(archive.record) if archive.service == "zenodo" else _folder(archive.record)
    for file in listing.files:
        refuse_outside(file.name, listing.place)
    return listing


def _zenodo(number: str) -> Listing:
    """Ask Zenodo's REST API; a mirror has the files in ``zenodo.org/records/NUMBER/files``."""
    place = f"Zenodo record {number}"
    files = f"{ZENODO}/records/{number}/files"
    if mirrored := mirror_path(files):
        return Listing(place=place, files=tuple(_mirrored(mirrored, files)))
    url = f"{ZENODO}/api/records/{number}"
    try:
        said = json.loads(read_page(url))
        about = said["metadata"]
        listing = Listing(
            place=place,
            title=about.get("title", ""),
            license=_license(about.get("license")),
            files=tuple(map(_zenodo_file, said.get("files") or ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownloadError(f"{url}: what {place} answers is no record ({error!r})") from None
    if not listing.files:
        access = about.get("access_right", "unknown")
        raise DownloadError(f"{place}: lists no files (access: {access}); is it open to all?")
    return listing


def _license(said: Any) -> str:
    return str(said.get("id", "")) if isinstance(said, Mapping) else str(said or "")


def _zenodo_file(said: Mapping[str, Any]) -> ListedFile:
    checksum = said["checksum"]
    return ListedFile(
        name=said["key"],
        url=said["links"]["self"],
        size=said["size"],
        about=said["size"],
        hash=checksum if ":" in checksum else f"md5:{checksum}",
    )


def _folder(address: str) -> Listing:
    """Read a web page that lists a folder; a mirror has the folder itself."""
    place = f"the folder {address}"
    if mirrored := mirror_path(address):
        return Listing(place=place, files=tuple(_mirrored(mirrored, address)))
    page = _Index(address)
    page.feed(read_page(address))
    page.close()
    if not page.found:
        raise DownloadError(f"{address}: no file is listed there")
    return Listing(place=place, files=tuple(page.files()))


def _mirrored(folder: Path, address: str) -> Iterator[ListedFile]:
    if not folder.is_dir():
        raise DownloadError(
            f"{folder}: not in the mirror (IMC_BOOK_MIRROR is set, so the network is not asked). "
            f"Put the files of {address} there, or unset IMC_BOOK_MIRROR"
        )
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, size = path.relative_to(folder).as_posix(), path.stat().st_size
        url = f"{address.rstrip('/')}/{quote(name)}"
        yield ListedFile(name=name, url=url, size=size, about=size)


class _Index(HTMLParser):
    """The links of a page to files below its own address, each with the text that follows it."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.found: dict[str, str] = {}
        self._last = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            return
        url = urljoin(self.address, dict(attrs).get("href") or "")
        below = url.startswith(self.address) and not urlsplit(url).query
        self._last = url if below and not url.endswith("/") else ""
        if self._last:
            self.found.setdefault(self._last, "")

    def handle_data(self, data: str) -> None:
        if self._last:
            self.found[self._last] += f" {data.strip()}"

    def files(self) -> Iterator[ListedFile]:
        """Yield the files; Apache rounds sizes to a unit, nginx gives them to the byte."""
        for url, text in self.found.items():
            name = unquote(url.removeprefix(self.address))
            told = _SIZE.search(text)
            about = int(float(told[1]) * _UNITS[told[2]]) if told else None
            exact = about if told and not told[2] else None
            yield ListedFile(name=name, url=url, size=exact, about=about)


def choose(archive: ArchiveRecord, listing: Listing) -> list[ListedFile]:
    """Return the files that a cohort takes of a record, with what the manifest knows of them.

    Raises
    ------
    InputError
        If the record has no such file, or another one of that name.
    """
    return [file for wanted in archive.files for file in _fitting(wanted, listing)]


def _fitting(wanted: WantedFile, listing: Listing) -> list[ListedFile]:
    if wanted.pattern:
        fitting = [file for file in listing.files if fnmatchcase(file.name, wanted.name)]
    else:
        fitting = [file for file in listing.files if file.name == wanted.name]
    if not fitting:
        names = [file.name for file in listing.files]
        near = difflib.get_close_matches(wanted.name, names, n=3) or names[:3]
        raise InputError(
            f"{listing.place} should hold {wanted.name!r} and does not. It holds "
            f"{len(names)} files, {', '.join(map(repr, near))} among them. "
            f"`make data` with LIST=1 prints all; {_MEND}"
        )
    return [_known(wanted, file, listing.place) for file in fitting]


def _known(wanted: WantedFile, file: ListedFile, place: str) -> ListedFile:
    """Hold what an archive says of a file against what the manifest knows of it."""
    comparable = _algorithm(wanted.hash) == _algorithm(file.hash)
    pairs: list[tuple[str, int | str | None, int | str | None]]
    pairs = [("size", wanted.size, file.size)]
    pairs += [("hash", wanted.hash, file.hash)] if comparable else []
    for what, expected, said in pairs:
        if None not in (expected, said) and expected != said:
            raise InputError(
                f"{place}, {file.name!r}: expected {what} {expected}, the archive says {said}. "
                f"That is another version of the file: look at it first, then {_MEND}"
            )
    size = wanted.size or file.size
    changes = {"size": size, "about": size or file.about, "hash": wanted.hash or file.hash}
    return file.model_copy(update=changes)


def _algorithm(digest: str | None) -> str:
    return (digest or "").partition(":")[0]


class Order(BaseModel):
    """What a cohort takes of its archives, and where it goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    archives: dict[str, ArchiveRecord]
    """The manifest's entry that it was made for."""
    files: dict[str, tuple[ListedFile, ...]]
    """By folder below the raw folder."""

    def paths(self, raw: Path) -> Iterator[tuple[Path, ListedFile]]:
        """Yield each file with its place below the raw folder."""
        for folder, files in self.files.items():
            for file in files:
                yield raw / folder / file.name, file

    def missing(self, raw: Path) -> list[ListedFile]:
        """Return the files that are not there in full."""
        return [file for path, file in self.paths(raw) if not _is_there(path, file)]


def _is_there(path: Path, file: ListedFile) -> bool:
    return path.is_file() and file.size in (None, path.stat().st_size)


def order(record: CohortRecord, raw: Path) -> Order:
    """Find out what a cohort takes of its archives; ask them only while something is missing.

    Raises
    ------
    DownloadError, InputError
        If an archive cannot be reached, or does not hold what the manifest says.
    """
    known = _read_order(raw / _LISTED)
    if known and known.archives == record.archives and not known.missing(raw):
        return known
    files = {
        folder: tuple(choose(archive, look_up(archive)))
        for folder, archive in record.archives.items()
    }
    return Order(archives=record.archives, files=files)


def _read_order(path: Path) -> Order | None:
    try:
        return Order.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None  # asked anew


def fetch_order(asked: Order, raw: Path, *, title: str) -> None:
    """Bring all files of an order to ``RAW/FOLDER/NAME``, each whole and checked.

    Raises
    ------
    DownloadError
        If the disk does not hold them, a file cannot be reached, or is not the one described.
        Nothing false is kept.
    """
    raw.mkdir(parents=True, exist_ok=True)
    size, _ = total(asked.missing(raw))
    if size > (free := shutil.disk_usage(raw).free):
        raise DownloadError(
            f"{raw}: {title} needs {in_words(size)} for its downloads, and the disk has "
            f"{in_words(free)}. Nothing was downloaded: make room, and run it again"
        )
    for folder, files in asked.files.items():
        for file in tqdm(files, desc=f"{title}, {folder}", unit="file", disable=None):
            download(file.url, raw / folder, file.name, size=file.size, known_hash=file.hash)
    (raw / _LISTED).write_text(asked.model_dump_json(indent=1), encoding="utf-8")


def total(files: Iterable[ListedFile]) -> tuple[int, int]:
    """Return how large some files are together, in bytes, and of how many nobody knows."""
    sizes = [file.about for file in files]
    return sum(size for size in sizes if size is not None), sizes.count(None)


def in_words(size: float) -> str:
    """Return a number of bytes as people read it: ``"11.4 GB"``."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
