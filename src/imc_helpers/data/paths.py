"""Where the book keeps what it reads and what it makes."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def project_root() -> Path:
    """Return the folder that holds ``data/`` and ``results/``.

    It is the folder named by the environment variable ``IMC_BOOK_ROOT``, else the nearest folder at
    or above the working directory that holds the book's ``_config.yml`` and ``data_manifest``, else
    the working directory (a notebook on Colab, say).
    """
    if named := os.environ.get("IMC_BOOK_ROOT"):
        return Path(named).expanduser().resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "_config.yml").is_file() and (folder / "data_manifest").is_dir():
            return folder
    return here


def data_dir() -> Path:
    """Return the folder of cohorts, one steinbock folder each."""
    return project_root() / "data"


def raw_dir(cohort: str) -> Path:
    """Return the folder of a cohort's files as they were downloaded."""
    return data_dir() / ".downloads" / cohort


def results_dir(edition: str, chapter: str) -> Path:
    """Return the folder for a chapter's tables, made when it is not there.

    Parameters
    ----------
    edition
        Name of the edition, ``"open"`` for instance.
    chapter
        Short name of the chapter, ``"annotators"`` for instance.
    """
    folder = project_root() / "results" / edition / chapter
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shipped(folder: str) -> Path:
    """Return a folder of data that comes with the code.

    These are ``data_manifest``, ``editions`` and ``benchmarks/results``. They stand at the root of
    the repository. In an installed package they stand inside the package.
    """
    inside = _PACKAGE / folder
    return inside if inside.is_dir() else _PACKAGE.parents[1] / folder


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that takes the place of ``folder`` when all went well.

    It stands beside ``folder``, so the last step is a rename; after an error nothing of it is left,
    and what stood there before still does.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        new = work / "new"
        new.mkdir()
        yield new
        put_in_place(new, folder, work / "old")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def put_in_place(new: Path, folder: Path, old: Path) -> None:
    """Let a folder take the place of another by renaming; what stood there goes to ``old``."""
    try:
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
