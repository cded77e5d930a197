"""Data: when they count as made from today's manifest and code, and what a killed job leaves."""

import prepare
import pytest
from conftest import COHORT, TinyBook, write_tiny_book

from project import Project


@pytest.fixture
def book(tmp_path, monkeypatch) -> TinyBook:
    """A tiny book with one prepared cohort."""
    book = write_tiny_book(tmp_path / "tiny book")
    table = book.root / "data" / COHORT / "images.csv"

    def stand_in(key):
        assert key == COHORT
        table.parent.mkdir(parents=True)
        table.touch()
        return table.parent

    monkeypatch.setattr("prepare.prepare", stand_in)
    prepare.make(Project(book.root), COHORT)
    return book


def is_there_after_forgetting(book) -> bool:
    prepare.forget_stale(Project(book.root), COHORT)
    return (book.root / "data" / COHORT / "images.csv").is_file()


def test_data_of_today_stay(book):
    assert is_there_after_forgetting(book)


def test_data_of_another_record_are_forgotten(book):
    manifest = book.root / "data_manifest" / "cohorts.yml"
    text = manifest.read_text()
    assert f"\n{COHORT}:\n" in text
    manifest.write_text(text.replace(f"\n{COHORT}:\n", f"\n{COHORT}:\n  note: new\n"))
    assert not is_there_after_forgetting(book)


def test_data_of_unknown_origin_are_forgotten(book):
    (book.root / "data" / COHORT / prepare.NOTE).unlink()
    assert not is_there_after_forgetting(book)


def test_a_cohort_that_was_never_made_is_no_error(book):
    prepare.forget_stale(Project(book.root), "pancreas_imc")


def test_half_made_cohorts_are_swept_and_nothing_else(book):
    data = book.root / "data"
    half = data / f".{COHORT}.x1y2z3_4"
    kept = [data / ".downloads" / COHORT, data / ".mine.backup", data / COHORT]
    for folder in (half / "new" / "img", *kept):
        folder.mkdir(parents=True, exist_ok=True)
    prepare.sweep(Project(book.root))
    assert not half.exists()
    assert all(folder.is_dir() for folder in kept)
