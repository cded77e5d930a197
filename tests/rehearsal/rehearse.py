"""The paper edition, rehearsed: ``make rehearsal``, or ``python rehearse.py [FOLDER]``.

A copy of the book in a folder downloads an imitation of the study's five records from a server on
this machine, which speaks the archives' own interfaces, and makes a book of it: the day somebody
runs ``make book EDITION=paper``, only the data are new.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
for folder in ("tests/book", "tests/unit/data", "tests/rehearsal"):
    sys.path.append(str(REPOSITORY / folder))

from archive_server import ArchiveServer  # noqa: E402  (beside the tests of downloads)
from clones import clone  # noqa: E402
from imitation import RECORDS, WEIGHTS  # noqa: E402

from imc_helpers.data.manifest import cohort_record, load_edition, model_record  # noqa: E402

MODELS = ("distance", "watershed")
"""Models that need no weights, beside those of the paper edition."""


def prepare(root: Path, *, pages: Sequence[str] = (), models: Sequence[str] = MODELS) -> None:
    """Make a copy of the book with an edition ``rehearsal``.

    Parameters
    ----------
    root
        Folder of the copy.
    pages
        Pages that the edition shows; all when not given.
    models
        Models that run beside those of the paper edition.
    """
    clone(root)
    _take_compiled_code_along(root)
    paper = load_edition("paper")
    edition = {
        "title": "Rehearsal",
        "description": "The paper edition on an imitation of its records: synthetic, and small.",
        "cohorts": list(paper.cohorts),
        "models": [*models, *paper.models],
        "pages": list(pages),
    }
    path = root / "editions" / "rehearsal.yml"
    path.write_text(yaml.safe_dump(edition, sort_keys=False), encoding="utf-8")
    # The imitation's files have other hashes than the published ones, and there are few of them.
    # Whatever is made of them is called an imitation, and synthetic.
    path = root / "data_manifest" / "cohorts.yml"
    manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    for cohort in paper.cohorts:
        record = manifest[cohort]
        record |= {"samples": 1, "imitation": True, "modality": "synthetic (imitates IMC)"}
        record["title"] = f"Imitation of {record['title']}"
        for archive in record["archives"].values():
            for wanted in archive["files"]:
                wanted.pop("hash", None)
    path.write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")


def _take_compiled_code_along(root: Path) -> None:
    """Copy what Numba has compiled, good for a source of the same time: it saves a minute."""
    for compiled in (REPOSITORY / "src").rglob("__pycache__/*.nb[ic]"):
        place = root / compiled.relative_to(REPOSITORY)
        place.parent.mkdir(exist_ok=True)
        shutil.copy2(compiled, place)
    for source in (REPOSITORY / "src").rglob("*.py"):
        shutil.copystat(source, root / source.relative_to(REPOSITORY))


def publish(server: ArchiveServer) -> None:
    """Put the imitation where the manifest says that the records are."""
    for cohort, contents in RECORDS.items():
        for role, files in contents().items():
            archive = cohort_record(cohort).archives[role]
            if archive.service == "zenodo":
                server.zenodo(archive.record, dict(files), license={"id": "other-open"})
            else:
                address = urlsplit(archive.record)
                server.folder(f"{address.netloc}{address.path}", dict(files))


def fetch_weights(root: Path, server: ArchiveServer) -> None:
    """Publish random weights of the right shape, and run ``make weights-MODEL`` for each."""
    for model, drawn in WEIGHTS.items():
        for file in model_record(model).weights:
            address = urlsplit(file.url)
            server.files[f"{address.netloc}{address.path}"] = drawn()
    command = [sys.executable, "-m", "imc_helpers.models.weights", *WEIGHTS]
    subprocess.run(command, cwd=root, env=_environment(root, server.url), check=True)


def make(root: Path, server: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``make book EDITION=rehearsal`` in the copy, with a server in place of the internet."""
    return subprocess.run(
        [sys.executable, str(root / "workflow" / "scripts" / "run.py"), "rehearsal"],
        cwd=root,
        env=_environment(root, server),
        text=True,
        check=False,
        **options,
    )


def _environment(root: Path, server: str) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if name != "IMC_BOOK_MIRROR"}
    return {**mine, "PYTHONPATH": str(root / "src"), "IMC_BOOK_SERVER": server}


def main() -> None:
    """Rehearse, and say where the book is."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = REPOSITORY / "_build" / "rehearsal"
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    weights = "let the study's models run on random weights, where their libraries are here"
    parser.add_argument("--weights", action="store_true", help=weights)
    arguments = parser.parse_args()
    root = arguments.folder.resolve()
    prepare(root)
    with ArchiveServer() as server:
        publish(server)
        if arguments.weights:
            fetch_weights(root, server)
        sys.exit(make(root, server.url).returncode)


if __name__ == "__main__":
    main()
