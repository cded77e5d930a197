"""What an edition costs, against the limits that executable preprints have at NeuroLibre."""

from pathlib import Path

import pandas as pd
from conftest import REPOSITORY

from imc_helpers.data.manifest import load_edition

CORES, MEMORY_MB, HOURS, DISK_GB = 2, 6000, 8, 5


def size_gb(*folders: Path) -> float:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files) / 1e9


def test_an_edition_is_an_executable_preprint(edition, edition_html):
    """With a job on each core, the largest ones at the same time."""
    jobs = pd.read_csv(REPOSITORY / "results" / edition / "jobs.csv")
    assert jobs["peak_memory_mb"].nlargest(CORES).sum() < MEMORY_MB
    assert jobs["seconds"].sum() < 3600 * HOURS  # one after the other
    made = [REPOSITORY / name / edition for name in ("results", "executed", "_build")]
    used = ("data", "data/.downloads", "predictions")
    made += [REPOSITORY / name / key for name in used for key in load_edition(edition).cohorts]
    assert size_gb(*made, REPOSITORY / "weights") < DISK_GB
