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
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
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
        One path a file, in order.

    Raises
    ------
    DownloadError
        If a file cannot be reached, or is not the one described. Nothing false is kept.
    """
    urls = {file.path: f"{base_url.rstrip('/')}/{quote(file.path)}" for file in files}
    store = pooch.create(
        path=folder,
        base_url="",
        registry={file.path: file.hash for file in files},
        urls=urls,
        retry_if_failed=0,
    )
    pooch.get_logger().setLevel("WARNING")
    paths = []
    for file in tqdm(files, desc=title, unit="file", disable=None):
        try:
            paths.append(Path(store.fetch(file.path, downloader=_downloader(file, folder))))
        except DownloadError:
            raise
        except ValueError as error:  # pooch's word for a wrong hash
            found = mirror_path(urls[file.path])
            raise DownloadError(
                f"{found or urls[file.path]}: not the file of the manifest ({file.size} bytes, "
                f"{file.hash}). Nothing was kept. {error}"
            ) from None
    return paths


def _downloader(file: SourceFile, folder: Path) -> "_Mirror | _Http":
    if os.environ.get("IMC_BOOK_MIRROR"):
        return _Mirror()
    # Partial downloads wait here under the hash, so that the next attempt goes on from there.
    return _Http(file, Path(folder) / ".part")


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


class _Http:
    """A pooch downloader that goes on where the last attempt broke off.

    pooch writes to a temporary file that it deletes after an error; what arrived is kept here
    instead until it is whole.
    """

    def __init__(self, file: SourceFile, parts: Path) -> None:
        self.file = file
        self.part = parts / file.hash.replace(":", "-")

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        self.part.parent.mkdir(parents=True, exist_ok=True)
        have = self.part.stat().st_size if self.part.exists() else 0
        if have != self.file.size:
            self._receive(url, have)
        found = self.part.stat().st_size
        if found < self.file.size:
            raise DownloadError(
                f"{url}: broke off after {found} of {self.file.size} bytes. "
                "Run it again: it goes on from there"
            )
        self.part.replace(output_file)

    def _receive(self, url: str, have: int) -> None:
        headers = {"Accept-Encoding": "identity"}  # sizes and ranges are those of the file itself
        if 0 < have < self.file.size:
            headers["Range"] = f"bytes={have}-"
        try:
            with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as reply:
                reply.raise_for_status()
                resumed = reply.status_code == requests.codes.partial_content
                with (
                    self.part.open("ab" if resumed else "wb") as out,
                    tqdm(
                        total=self.file.size,
                        initial=have if resumed else 0,
                        unit="B",
                        unit_scale=True,
                        desc=PurePosixPath(self.file.path).name,
                        leave=False,
                        disable=None,
                    ) as bar,
                ):
                    for chunk in reply.iter_content(_CHUNK):
                        out.write(chunk)
                        bar.update(len(chunk))
        except requests.RequestException as error:
            raise DownloadError(
                f"{url}: {error}. Check the connection and run it again; "
                "offline, set IMC_BOOK_MIRROR to a folder that holds the files"
            ) from None


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
