"""The viewer's pages on their way into the book."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import book
import job
from imc_helpers.figures.viewer.links import samples_file
from project import Project

PLAN = SimpleNamespace(edition="x", viewings=[SimpleNamespace(cohort="mine", chunks=2)])


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pages of two samples, and one of a sample that the cohort no longer has."""
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    listed = samples_file("x", "mine")
    pages = listed.with_suffix("")
    pages.mkdir(parents=True)
    for name in ("001", "002", "gone"):
        (pages / f"{name}.html").write_text(name)
        (pages / f"{name}.webp").write_bytes(b"picture")
    pd.DataFrame({"sample": ["001", "002"], "raters": 2}).to_csv(listed, index=False)
    return tmp_path


def test_the_listed_pages_stand_in_the_book_with_what_they_share(made):
    book.place_viewer(PLAN, made / "html")
    placed = made / "html" / "viewer"
    assert {p.name for p in (placed / "mine").iterdir()} == {
        *("001.html", "001.webp", "002.html", "002.webp")
    }
    assert (placed / "mine" / "001.html").read_text() == "001"
    assert {"leaflet.js", "leaflet.css", "viewer.js"} <= {
        p.name for p in (placed / "library").iterdir()
    }


def test_files_are_copied_where_they_cannot_be_linked(made, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(book.os, "link", refuse)
    book.place_viewer(PLAN, made / "html")
    assert (made / "html" / "viewer" / "mine" / "002.html").read_text() == "002"


def test_without_a_viewer_nothing_is_placed(tmp_path):
    book.place_viewer(SimpleNamespace(edition="x", viewings=[]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_lists_of_several_jobs_become_one(tmp_path):
    folder = tmp_path / "_build" / "x" / "viewer" / "mine"
    folder.mkdir(parents=True)
    for number, names in enumerate((["001", "003"], ["002"])):
        pd.DataFrame({"sample": names}).to_csv(folder / f"{number}.csv", index=False)
    output = tmp_path / "mine.csv"
    job.list_viewer(Project(tmp_path), PLAN, Namespace(names=["mine"], output=output))
    assert output.read_text().split() == ["sample", "001", "002", "003"]
