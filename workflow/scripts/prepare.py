"""Prepare one cohort: ``python prepare.py COHORT``, and note beside the data what made them."""

import argparse
import shutil
import sys
from pathlib import Path

from imc_helpers.data.readers.published import prepare
from imc_helpers.errors import DownloadError, InputError
from project import Project
from tether import tether

NOTE = ".made_from"
"""File in a cohort's folder: the digest of what its data were made from."""


def make(project: Project, cohort: str) -> None:
    """Prepare a cohort and write the note, which vouches for data that are whole.

    Raises
    ------
    DownloadError, InputError
        If a file is not as described.
    """
    # Taken first: what changes while the data are made must count as a change.
    made_from = project.cohort_digest(cohort)
    (prepare(cohort) / NOTE).write_text(made_from, encoding="utf-8")


def forget_stale(project: Project, cohort: str) -> None:
    """Remove the table of images of a cohort that was made from something else than today's files.

    Without it the cohort counts as missing. Data without a note, prepared from within a notebook
    say, are of unknown origin. Snakemake's own notes cannot tell: they are gone after a clean-up.
    """
    folder = project.root / "data" / cohort
    note = folder / NOTE
    if not note.is_file() or note.read_text(encoding="utf-8") != project.cohort_digest(cohort):
        (folder / "images.csv").unlink(missing_ok=True)


def sweep(project: Project) -> None:
    """Remove the half-made cohorts that a killed job left; downloads are kept."""
    for cohort in project.cohorts():
        for folder in (project.root / "data").glob(f".{cohort}.*"):
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Prepare one cohort."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", help="key in data_manifest/cohorts.yml")
    cohort = parser.parse_args().cohort
    tether()
    try:
        make(Project(Path.cwd()), cohort)
    except (DownloadError, InputError) as error:
        sys.exit(f"{cohort}: {error}")


if __name__ == "__main__":
    main()
