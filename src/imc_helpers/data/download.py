"""Verified downloads, from the network or from a mirror.

``IMC_BOOK_MIRROR=DIR`` makes every address be read from ``DIR`` instead of the network:
``raw.githubusercontent.com/OWNER/REPO/COMMIT/PATH`` from ``DIR/github/OWNER/REPO/COMMIT/PATH``, any
other from ``DIR/HOST/PATH``.
"""

import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

import pooch
import requests
from tqdm import tqdm

from imc_helpers.data.manifest import SourceFile
from imc_helpers.data.paths import replacing
from imc_helpers.errors import DownloadError, InputError

_CHUNK = 1 << 16  # what is lost at most when a download breaks off, bytes
_TIMEOUT_S = 60


def mirror_path(url: str) -> Path | None:
    """Return where the mirror keeps an address; None when no mirror is set."""
    if not (mirror := os.environ.get("IMC_BOOK_MIRROR")):
        return None
    parts = urlsplit(url)
    host = "github" if parts.netloc == "raw.githubusercontent.com" else parts.netloc
    return Path(mirror).expanduser().resolve() / host / unquote(parts.path).lstrip("/")


def fetch(base_url: str, files: Sequence[SourceFile], folder: Path, *, title: str) -> list[Path]:
    """Download files that are not there yet, and check every one.

    Parameters
    ----------
    base_url
        Address that the files' paths continue.
    files
        What to fetch.
    folder
        Where to keep them, under their own paths.
    title
        Name for the progress bar.

    Returns
    -------
    list of pathlib.Path
        One path per file, in order.

    Raises
    ------
    DownloadError
        If a file cannot be reached, or is not the one described. Nothing false is kept.
    """
    return [
        download(
            f"{base_url.rstrip('/')}/{quote(file.path)}",
            folder,
            file.path,
            size=file.size,
            known_hash=file.hash,
        )
        for file in tqdm(files, desc=title, unit="file", disable=None)
    ]


class Request(NamedTuple):
    """What is asked of a server."""

    url: str
    headers: Mapping[str, str] = MappingProxyType({})


def download(
    url: str,
    folder: Path,
    name: str,
    *,
    size: int | None,
    known_hash: str | None,
    request: Callable[[], Request] | None = None,
) -> Path:
    """Download one file that is not there yet, whole, and check it.

    What has arrived when a download breaks off is kept, and the next attempt goes on from there,
    where the file is described well enough to know that it is the same one.

    Parameters
    ----------
    url
        Its address.
    folder, name
        Where to keep it: ``folder/name``.
    size, known_hash
        Bytes, and algorithm and digest (``"sha256:…"``); None where nobody knows.
    request
        Says what to ask for in place of the address, a signed one for instance; called for every
        attempt, and not where a mirror is set.

    Raises
    ------
    DownloadError
        If it cannot be reached, or is not the one described. Nothing false is kept.
    """
    target = Path(folder) / name
    if os.environ.get("IMC_BOOK_MIRROR"):
        downloader: _Mirror | _Http = _Mirror()
    else:
        # Hidden, and not beside the file: readers list its folder.
        part = Path(folder) / ".part" / f".{(known_hash or target.name).replace(':', '-')}"
        downloader = _Http(target, part, size, request)
        if known_hash is None and size is None:
            part.unlink(missing_ok=True)
    pooch.get_logger().setLevel("WARNING")
    described = f"{size or 'unknown'} bytes, {known_hash or 'no known hash'}"
    false = f"{mirror_path(url) or url}: not the file of the manifest ({described})"
    try:
        pooch.retrieve(
            url, known_hash, fname=target.name, path=target.parent, downloader=downloader
        )
    except (DownloadError, InputError):
        raise
    except ValueError as error:  # pooch's word for a wrong hash
        raise DownloadError(f"{false}. Nothing was kept. {error}") from None
    if size is not None and (found := target.stat().st_size) != size:
        target.unlink()
        raise DownloadError(f"{false}. Nothing was kept. Found {found} bytes")
    return target


class _Mirror:
    """A pooch downloader that copies from the mirror."""

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        path = mirror_path(url)
        if path is None or not path.is_file():
            raise DownloadError(
                f"{path}: not in the mirror (IMC_BOOK_MIRROR is set, so the network is not asked). "
                f"Add the file, or unset IMC_BOOK_MIRROR to download {url}"
            )
        shutil.copyfile(path, output_file)


@dataclass(frozen=True)
class _Http:
    """A pooch downloader that goes on where the last attempt broke off.

    pooch writes to a temporary file that it deletes after an error; what arrived is kept here
    instead until it is whole.
    """

    target: Path
    part: Path
    size: int | None
    request: Callable[[], Request] | None

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        self.part.parent.mkdir(parents=True, exist_ok=True)
        have = self.part.stat().st_size if self.part.exists() else 0
        expected = self.size
        if expected is None or have != expected:
            try:
                expected = self._receive(url, have)
            except requests.RequestException as error:
                raise DownloadError(
                    f"{url}: {error}. Check the connection and run it again, or put the file at "
                    f"{self.target} by hand; "
                    "offline, set IMC_BOOK_MIRROR to a folder that holds the files"
                ) from None
        found = self.part.stat().st_size
        if expected is not None and found < expected:
            raise DownloadError(
                f"{url}: broke off after {found} of {expected} bytes. "
                "Run it again: it goes on from there"
            )
        self.part.replace(output_file)
        with suppress(OSError):  # others are still on their way
            self.part.parent.rmdir()

    def _receive(self, url: str, have: int) -> int | None:
        """Receive what is missing; return the size of the whole file where it is known."""
        asked = Request(url) if self.request is None else self.request()
        # Sizes and ranges are those of the file itself.
        headers = {**asked.headers, "Accept-Encoding": "identity"}
        if self.size is not None and 0 < have < self.size:
            headers["Range"] = f"bytes={have}-"
        with requests.get(asked.url, headers=headers, stream=True, timeout=_TIMEOUT_S) as reply:
            reply.raise_for_status()
            resumed = reply.status_code == requests.codes.partial_content
            have = have if resumed else 0
            announced = int(reply.headers.get("Content-Length", 0))
            whole = self.size or (announced or None)
            with (
                self.part.open("ab" if resumed else "wb") as out,
                tqdm(
                    total=whole,
                    initial=have,
                    unit="B",
                    unit_scale=True,
                    desc=self.target.name,
                    leave=False,
                    disable=None,
                ) as bar,
            ):
                for chunk in reply.iter_content(_CHUNK):
                    out.write(chunk)
                    bar.update(len(chunk))
        return whole


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive, only inside ``folder``, whole or not at all.

    Raises
    ------
    InputError
        If a member points outside the folder, or the archive cannot be read.
    """
    try:
        with replacing(folder) as new:
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as zipped:
                    for name in zipped.namelist():
                        _refuse_outside(name, archive)
                    zipped.extractall(new)
            else:
                with tarfile.open(archive) as tarred:
                    for member in tarred.getmembers():
                        _refuse_outside(member.name, archive)
                    tarred.extractall(new, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise InputError(f"{archive}: cannot be unpacked ({error}). Get it again") from error


def _refuse_outside(name: str, archive: Path) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise InputError(
            f"{archive}: member {name!r} points outside the folder it is unpacked into. "
            "Nothing was unpacked; the archive is damaged or hostile"
        )
