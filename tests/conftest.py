"""What all tests share: the jobs' threads, where real data are, and which tests are left out."""

import os
from pathlib import Path

import pytest

# Tests run as the book's jobs do: with one thread each, whatever the machine. Libraries read this
# when they are loaded, so it stands before any of them.
for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def pytest_collection_modifyitems(config, items):
    if "full" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("full")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
    if os.environ.get("IMC_BOOK_MIRROR"):
        return
    skip = pytest.mark.skip(
        reason="needs real data: set IMC_BOOK_MIRROR to a mirror of the sources"
    )
    for item in items:
        if item.get_closest_marker("mirror"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder of the mirrored GitHub files."""
    return Path(os.environ["IMC_BOOK_MIRROR"]).expanduser().resolve() / "github"
