"""What all tests share: threads, real data, a browser, and which tests are left out."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    _spread(items)
    if os.environ.get("IMC_BOOK_MIRROR"):
        return
    skip = pytest.mark.skip(
        reason="needs real data: set IMC_BOOK_MIRROR to a mirror of the sources"
    )
    for item in items:
        if item.get_closest_marker("mirror"):
            item.add_marker(skip)


def _spread(items: list[pytest.Item]) -> None:
    """Order the files so that two processes hardly wait: they are handed out from the first on.

    One file that needs a whole edition begins, which takes long to make; the others that need it
    come last, when it is there.
    """
    need = [item.path for item in items if "edition_html" in getattr(item, "fixturenames", ())]
    first = need[:1]
    items.sort(key=lambda item: (item.path not in first) * (1 + (item.path in need)))


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder of the mirrored GitHub files."""
    return Path(os.environ["IMC_BOOK_MIRROR"]).expanduser().resolve() / "github"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """This machine's Chromium without a window, a `playwright.sync_api.Browser`."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.skip("needs a browser: apt install chromium")
    from playwright.sync_api import sync_playwright  # slow to load, and for few tests

    with sync_playwright() as driver:
        # Without its sandbox, in which root cannot run it; it opens the book's own pages only.
        yield driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
