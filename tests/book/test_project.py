"""Where things are, and what the chapters say of themselves."""

import pytest
from conftest import TinyBook, write_tiny_book
from pydantic import ValidationError

from project import Project, header, read_chapter


@pytest.fixture
def book(tmp_path) -> TinyBook:
    return write_tiny_book(tmp_path / "tiny book")


def test_the_pages_stand_in_the_order_of_parts_and_names(book):
    assert Project(book.root).chapters == ("part/one", "part/two")
    (book.root / "chapters/first").mkdir()
    (book.root / "chapters/parts.yml").write_text("first: First\npart: Second\n")
    (book.root / "chapters/first/three.py").write_text(book.source("one").read_text())
    assert Project(book.root).chapters == ("first/three", "part/one", "part/two")


def test_what_is_no_page_is_no_chapter(book):
    source = book.source("one")
    source.write_text(
        "# ---\n# jupyter:\n#   imc_book: {page: false}\n# ---\n" + source.read_text()
    )
    assert Project(book.root).chapters == ("part/two",)


def test_the_front_matter_is_every_text_and_setting(book):
    names = {p.relative_to(book.root).as_posix() for p in Project(book.root).front_matter()}
    static = {path.relative_to(book.root).as_posix() for path in book.root.glob("_static/*")}
    assert "_static/book.css" in static
    assert names == {"_config.yml", "references.bib", "index.md"} | static


def test_the_same_text_gives_the_same_notebook(book):
    source = book.source("one")
    assert read_chapter(source) == read_chapter(source)
    assert read_chapter(source).metadata.kernelspec.name == "python3"


def test_a_header_that_the_book_does_not_know_is_refused(book):
    source = book.source("one")
    source.write_text("# ---\n# jupyter:\n#   imc_book: {raeds: []}\n# ---\n" + source.read_text())
    with pytest.raises(ValidationError, match="raeds"):
        header(read_chapter(source))
