"""What all tests share: where real data are, and when a test that needs them is skipped."""

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
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
