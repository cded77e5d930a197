"""The files of a published record: as they were downloaded, inside archives, in archives in those.

Nothing is unpacked whole. An archive is listed, and a file in it is copied out when it is read and
removed afterwards, so that a cohort of 11 GB takes the room of one image. Only an archive inside an
archive is copied out for the time of the conversion: it cannot be read at random where it is.
"""

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from imc_helpers.errors import DownloadError

_CHUNK = 1 << 20  # what is in memory while a file is copied out, bytes


@dataclass(frozen=True)
class RawFile:
    """One file, wherever it is."""

    path: PurePosixPath
    """Path below the folder of downloads; an archive is a folder in it."""
    size: int
    """Bytes, unpacked."""
    on_disk: Callable[[], AbstractContextManager[Path]]
    """Gives a path to read the file from, under its own name; good inside ``with`` only."""

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.name


def list_raw_files(folder: Path, scratch: Path) -> list[RawFile]:
    """List the files of a record, those in zip archives too.

    Parameters
    ----------
    folder
        Where they were downloaded to. Hidden files are passed over.
    scratch
        Folder for what has to be copied out of archives; whoever calls removes it. Archives that an
        earlier call copied out are used again.

    Returns
    -------
    list of RawFile
        Sorted by path.

    Raises
    ------
    DownloadError
        If an archive is damaged, or the disk cannot hold what is copied out of it.
    """
    files: list[RawFile] = []
    for path in sorted(folder.rglob("*")):
        below = PurePosixPath(path.relative_to(folder).as_posix())
        if not path.is_file() or _hidden(below):
            continue
        if path.suffix.lower() == ".zip":
            files += _members(path, below, scratch)
        else:
            files.append(RawFile(below, path.stat().st_size, partial(_where_it_is, path)))
    return sorted(files, key=lambda file: file.path)


@contextmanager
def _where_it_is(path: Path) -> Iterator[Path]:
    yield path


def _members(archive: Path, below: PurePosixPath, scratch: Path) -> Iterator[RawFile]:
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = opened.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise DownloadError(
            f"{below}: not a readable zip archive ({error}). Get it again"
        ) from error
    for info in infos:
        path = below / PurePosixPath(info.filename.replace("\\", "/").lstrip("/"))
        if info.is_dir() or _hidden(path):
            continue
        if path.suffix.lower() == ".zip":
            inner = scratch / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.zip"
            if not inner.is_file() or inner.stat().st_size != info.file_size:
                _copy_out(archive, info, inner, path)
            yield from _members(inner, path, scratch)
        else:
            yield RawFile(path, info.file_size, _reader(archive, info, path, scratch))


def _hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _reader(
    archive: Path, info: zipfile.ZipInfo, path: PurePosixPath, scratch: Path
) -> Callable[[], AbstractContextManager[Path]]:
    @contextmanager
    def on_disk() -> Iterator[Path]:
        scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=scratch) as place:
            # Its own name alone, so that no member can point anywhere else.
            copy = Path(place) / path.name
            _copy_out(archive, info, copy, path)
            yield copy

    return on_disk


def _copy_out(archive: Path, info: zipfile.ZipInfo, target: Path, path: PurePosixPath) -> None:
    """Copy one member of an archive, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if info.file_size > free:
        raise DownloadError(
            f"{path}: {info.file_size:,} bytes unpacked, but the disk has {free:,} left at "
            f"{target.parent}. Make room and run it again; what is converted is kept"
        )
    draft = target.with_name(f".{target.name}.part")
    try:
        # zipfile reads no more than the size that the archive declares, and checks the CRC.
        with (
            zipfile.ZipFile(archive) as opened,
            opened.open(info) as source,
            draft.open("wb") as copy,
        ):
            shutil.copyfileobj(source, copy, _CHUNK)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        draft.unlink(missing_ok=True)
        raise DownloadError(f"{path}: damaged in its archive ({error}). Get it again") from error
    if draft.stat().st_size != info.file_size:
        found = draft.stat().st_size
        draft.unlink()
        raise DownloadError(
            f"{path}: {found:,} bytes, but its archive declares {info.file_size:,}. Get it again"
        )
    draft.replace(target)
