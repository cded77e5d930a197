"""Verified downloads, from the network, from a stand-in for it, or from a mirror.

``IMC_BOOK_MIRROR=DIR`` makes every address be read from ``DIR`` instead of the network:
``raw.githubusercontent.com/OWNER/REPO/COMMIT/PATH`` from ``DIR/github/OWNER/REPO/COMMIT/PATH``, any
other from ``DIR/HOST/PATH``.

``IMC_BOOK_SERVER=http://127.0.0.1:8000`` makes one server stand in for all others: it is asked for
``/HOST/PATH`` in place of ``https://HOST/PATH``.
"""

import errno
import lzma
import os
import re
import shutil
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

import pooch
import requests
import urllib3
from filelock import FileLock
from requests.adapters import HTTPAdapter
from tqdm import tqdm

from imc_helpers.data.manifest import SourceFile
from imc_helpers.data.paths import replacing
from imc_helpers.errors import DownloadError, InputError

_CHUNK = 1 << 16
"""Most that is taken from the network at a time, bytes."""
_TIMEOUT_S = 60
"""How long a server may say nothing."""
_SLOWEST = 1000
"""Bytes a second, over `_TIMEOUT_S`: whoever sends less is as good as silent."""
_RETRIES = 7
"""How often a busy server is asked again, waiting up to a minute in all or as long as it asks for:
archives count requests by the minute."""
_RECONNECTS = 2
"""How often a server is asked again that cannot be reached."""
_BACKOFF_S = 1.0
_PATIENCE_S = 600
"""The longest wait that a server may ask for."""
_BROKEN = 4
"""Attempts in a row that may break off without having brought `_WORTH` bytes."""
_WORTH = 1 << 20
_BUSY = (429, 500, 502, 503, 504)
_FULL = (errno.ENOSPC, errno.EDQUOT)


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

    A download that breaks off goes on from where it was, at once or in the next call, where the
    file is described well enough to know that it is the same one. Of several processes that want
    files in one folder, one downloads at a time, and the others find what it has brought.

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
        If it cannot be reached, is not the one described, or the disk is full. Nothing false is
        kept.
    """
    folder = Path(folder)
    target = folder / name
    # Hidden, and not beside the file: readers list its folder.
    part = folder / ".part" / f".{(known_hash or target.name).replace(':', '-')}"
    mirrored = mirror_path(url)
    described = f"{size or 'unknown'} bytes, {known_hash or 'no known hash'}"
    false = f"{mirrored or url}: not the file of the manifest ({described}). Nothing was kept."
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")), _disk_errors(target):
        if target.is_file() and not _difference(target, size, known_hash):
            return target
        part.parent.mkdir(exist_ok=True)
        if mirrored:
            _copy(mirrored, part, url)
        else:
            _Download(url, target, part, size, known_hash is not None, request, false).run()
        if difference := _difference(part, size, known_hash):
            part.unlink()
            _remove_empty(part.parent)
            raise DownloadError(f"{false} {difference}")
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        _remove_empty(part.parent)  # unless others are still on their way
    return target


def read_page(url: str) -> str:
    """Return the text at an address, of an archive's interface for instance.

    Raises
    ------
    DownloadError
        If it cannot be reached.
    """
    try:
        with _ask(Request(url)) as reply:
            return reply.text
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise DownloadError(_explain(url, error)) from None


def _ask(asked: Request) -> requests.Response:
    """Ask a server, again where it is busy; the reply's body is still to come."""
    url = asked.url
    if (server := os.environ.get("IMC_BOOK_SERVER")) and not url.startswith(server):
        url = f"{server.rstrip('/')}/{url.partition('://')[2]}"
    reply = _session().get(url, headers=asked.headers, stream=True, timeout=_TIMEOUT_S)
    try:
        reply.raise_for_status()
    except requests.RequestException:
        reply.close()
        raise
    return reply


@cache
def _session() -> requests.Session:
    session = requests.Session()
    retries = urllib3.Retry(
        total=_RETRIES,
        connect=_RECONNECTS,
        status_forcelist=_BUSY,
        backoff_factor=_BACKOFF_S,
        retry_after_max=_PATIENCE_S,
        raise_on_status=False,
    )
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retries))
    return session


def _explain(url: str, error: Exception) -> str:
    """Say what went wrong at an address, and what to do about it."""
    if not (status := _status(error)):
        return f"{url}: {error}. Check the connection and run it again"
    said = f"{url}: the server answers {error}"
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return f"{said}. There is no such file: it may have another name or address by now"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"{said}. It asks for a permission that you do not have, a token for instance"
    return f"{said}. Run it again later: it goes on from where it was"


def _status(error: Exception) -> int:
    """Return the status that a server answered with; 0 when it did not answer."""
    reply = getattr(error, "response", None)
    return 0 if reply is None else int(reply.status_code)


class _BrokeOffError(Exception):
    """A download ended early; what has arrived is kept."""


@dataclass
class _Download:
    """One file on its way from the network."""

    url: str
    target: Path
    part: Path
    """Where it arrives."""
    size: int | None
    checked: bool
    """Whether a hash will tell it from anything else."""
    request: Callable[[], Request] | None
    false: str
    """What to say when the server has another file."""
    ranges: bool = True
    """Whether to ask for the rest of a file; not of a server that sends something else then."""

    def run(self) -> None:
        """Receive the file, going on where an attempt breaks off while attempts bring something."""
        if self.size is None:  # nothing says that what there is belongs to the same file
            self.part.unlink(missing_ok=True)
        broken = 0
        while self.size is None or self._have() != self.size:
            before = self._have()
            try:
                self._attempt()
                return
            except _BrokeOffError as error:
                brought = self._have() - before
                broken = 0 if brought >= _WORTH else broken + 1
                if broken == _BROKEN:
                    raise DownloadError(
                        f"{self.url}: broke off after {self._have()} of {self.size or 'unknown'} "
                        f"bytes ({error}). Check the connection and run it again"
                        + (": it goes on from there" if self.size else "")
                    ) from None
            except requests.RequestException as error:
                raise DownloadError(
                    f"{_explain(self.url, error)}, or put the file at {self.target} by hand; "
                    "offline, set IMC_BOOK_MIRROR to a folder that holds the files"
                ) from None

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self) -> None:
        """Ask for what is missing, and write what comes."""
        asked = Request(self.url) if self.request is None else self.request()
        have = self._have()
        if self.size is None or not self.ranges or have > self.size:
            have = 0
        # Sizes and ranges are those of the file itself.
        headers = {**asked.headers, "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            reply = _ask(Request(asked.url, headers))
        except requests.HTTPError as error:
            if _status(error) != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            self.ranges = False
            raise _BrokeOffError("the server has no such range") from None
        with reply:
            if not self.checked and reply.headers.get("Content-Type", "").startswith("text/html"):
                raise DownloadError(f"{self.false} The server sends a web page in its place")
            start, whole = _extent(reply)
            if start not in (0, have):
                self.ranges = False
                raise _BrokeOffError(f"asked for the rest from {have}, the server sent {start}")
            if self.size is not None and whole not in (None, self.size):
                self.part.unlink(missing_ok=True)
                raise DownloadError(f"{self.false} The server announces {whole} bytes")
            self._write(reply, start, whole)
        if self._have() < (self.size or whole or 0):
            raise _BrokeOffError("the connection ended early")

    def _write(self, reply: requests.Response, start: int, whole: int | None) -> None:
        with (
            self.part.open("r+b" if start else "wb") as out,
            tqdm(
                total=self.size or whole,
                initial=start,
                unit="B",
                unit_scale=True,
                desc=self.target.name,
                leave=False,
                disable=None,
            ) as bar,
        ):
            out.seek(start)
            since, brought = time.monotonic(), 0
            try:
                # What there is, not what fills a chunk: a slow server would hide behind that.
                while chunk := reply.raw.read1(_CHUNK):
                    out.write(chunk)
                    bar.update(len(chunk))
                    brought += len(chunk)
                    if (passed := time.monotonic() - since) > _TIMEOUT_S:
                        if brought < _SLOWEST * passed:
                            raise _BrokeOffError(f"{brought / passed:.0f} bytes a second")
                        since, brought = time.monotonic(), 0
            except urllib3.exceptions.HTTPError as error:
                raise _BrokeOffError(str(error)) from None


def _extent(reply: requests.Response) -> tuple[int, int | None]:
    """Return where a reply starts in its file, and the size of the whole file where it says so."""
    if reply.status_code != HTTPStatus.PARTIAL_CONTENT:
        length = reply.headers.get("Content-Length")
        return 0, None if length is None else int(length)
    told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", reply.headers.get("Content-Range", ""))
    if told is None:
        return -1, None
    return int(told[1]), None if told[2] == "*" else int(told[2])


def _difference(path: Path, size: int | None, known_hash: str | None) -> str:
    """Say in which way a file is not the one described; nothing when it is."""
    if size is not None and (found := path.stat().st_size) != size:
        return f"Found {found} bytes"
    if known_hash is None:
        return ""
    algorithm = known_hash.partition(":")[0]
    digest = f"{algorithm}:{pooch.file_hash(str(path), alg=algorithm)}"
    return "" if digest == known_hash else f"Found {digest}"


def _copy(mirrored: Path, part: Path, url: str) -> None:
    if not mirrored.is_file():
        _remove_empty(part.parent)
        raise DownloadError(
            f"{mirrored}: not in the mirror (IMC_BOOK_MIRROR is set, so the network is not asked). "
            f"Add the file, or unset IMC_BOOK_MIRROR to download {url}"
        )
    shutil.copyfile(mirrored, part)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    """Say what a full disk means for a file."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DownloadError(
            f"{target}: the disk is full ({shutil.disk_usage(target.parent).free} bytes free). "
            "What has arrived is kept: make room, and run it again"
        ) from error


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive, only inside ``folder``, whole or not at all.

    Raises
    ------
    InputError
        If a member points outside the folder, the archive says that it takes more than the disk
        has, a member holds more than the archive says, or it cannot be read.
    """
    try:
        with replacing(folder) as new:
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as zipped:
                    infos = zipped.infolist()
                    _refuse_hostile({info.filename: info.file_size for info in infos}, archive, new)
                    zipped.extractall(new)  # takes no more of a member than was declared
            else:
                with tarfile.open(archive) as tarred:
                    members = tarred.getmembers()
                    _refuse_hostile({member.name: member.size for member in members}, archive, new)
                    tarred.extractall(new, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise InputError(f"{archive}: cannot be unpacked ({error}). Get it again") from error


def _refuse_hostile(sizes: Mapping[str, int], archive: Path, folder: Path) -> None:
    """Refuse members that point outside, or that take more than the disk has; sizes in bytes."""
    for name in sizes:
        refuse_outside(name, archive)
    if (total := sum(sizes.values())) > (free := shutil.disk_usage(folder).free):
        raise InputError(
            f"{archive}: says that it unpacks to {total:,} bytes; the disk has {free:,}. "
            "Nothing was unpacked: make room, or do not trust the archive"
        )


def refuse_outside(name: str, archive: object) -> None:
    """Refuse a member's name that points outside the folder it is unpacked into.

    Parameters
    ----------
    name
        As the archive has it.
    archive
        What to call the archive in the message.

    Raises
    ------
    InputError
        If it is absolute, climbs out, or names a drive.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise InputError(
            f"{archive}: member {name!r} points outside the folder it is unpacked into. "
            "Nothing was unpacked; the archive is damaged or hostile"
        )
