"""What an edition costs, against the limits that executable preprints have at NeuroLibre."""

from pathlib import Path

import pandas as pd
from conftest import REPOSITORY

from imc_helpers.data.manifest import load_edition, model_record

CORES, MEMORY_MB, HOURS, DISK_GB = 2, 6000, 8, 5


def size_gb(*folders: Path) -> float:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files) / 1e9


def test_an_edition_is_an_executable_preprint(edition, edition_html):
    """With a job on each core, the largest ones at the same time."""
    jobs = pd.read_csv(REPOSITORY / "results" / edition / "jobs.csv")
    assert jobs["peak_memory_mb"].nlargest(CORES).sum() < MEMORY_MB
    assert jobs["seconds"].sum() < 3600 * HOURS  # one after the other
    record = load_edition(edition)
    trained = [model for model in record.models if model_record(model).training]
    parts = {
        edition: ("results", "executed", "_build"),
        **dict.fromkeys(record.made, ("data", "data/.downloads", "predictions")),
        **dict.fromkeys(trained, ("weights",)),
    }
    made = [REPOSITORY / folder / key for key, folders in parts.items() for folder in folders]
    assert 0 < size_gb(*made) < DISK_GB
