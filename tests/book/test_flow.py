"""The flow from end to end, on a tiny book: what is run again, what fails, what is left."""

import os
import shutil

import nbformat
import pytest
import stamp
from conftest import COHORT, assert_made

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_made_book(made_book):
    assert_made(made_book)
    page = made_book.html("chapters/part/one.html")
    assert "Tiny edition." in page
    assert "(tiny edition)</title>" in page
    status = made_book.html("status.html")
    assert "Page one" in status
    assert "Page two" in status
    notebook = nbformat.read(made_book.executed("one"), as_version=4)
    found = stamp.read(notebook)
    assert found.parameters == {"edition": "tiny"}
    assert (found.kernel, found.device) == ("python3", "cpu")
    assert found.seconds > 0
    assert 20 < found.peak_memory_mb < 2000
    assert notebook.metadata.papermill.input_path == "chapters/part/one.py"
    assert notebook.metadata.papermill.output_path == "executed/tiny/part/one.ipynb"
    assert str(made_book.root) not in made_book.executed("one").read_text()


def test_nothing_changed_runs_nothing(made_book):
    before = made_book.executed("one").stat().st_mtime_ns
    made = made_book.make()
    assert made.returncode == 0, made.stdout
    index = made_book.root / "_build" / "tiny" / "html" / "index.html"
    assert f"The tiny edition is ready: {index.as_uri()}" in made.stdout
    assert (made_book.runs("one"), made_book.runs("two")) == (1, 1)
    assert made_book.executed("one").stat().st_mtime_ns == before


def test_a_changed_chapter_runs_alone(made_book):
    made_book.edit("chapters/part/one.py", "# Page one", "# Another page")
    made = made_book.make()
    assert made.returncode == 0, made.stdout
    assert (made_book.runs("one"), made_book.runs("two")) == (2, 1)
    assert "Another page" in made_book.html("chapters/part/one.html")


def test_changed_front_matter_renders_only(made_book):
    made_book.edit("index.md", "A tiny book", "A small book")
    made = made_book.make()
    assert made.returncode == 0, made.stdout
    assert (made_book.runs("one"), made_book.runs("two")) == (1, 1)
    assert "A small book" in made_book.html("index.html")


def test_a_changed_package_runs_all(made_book):
    made_book.edit("src/imc_helpers/errors.py", "class ", "# Changed.\nclass ")
    made = made_book.make()
    assert made.returncode == 0, made.stdout
    assert (made_book.runs("one"), made_book.runs("two")) == (2, 2)


def test_data_are_made_again_when_their_record_changed_and_only_then(made_book):
    def clean():
        for name in ("_build", "executed", "results", ".snakemake"):
            shutil.rmtree(made_book.root / name)
        (made_book.root / "results").mkdir()

    def make():
        made = made_book.make()
        assert made.returncode == 0, made.stdout
        return made_book.preparations()

    assert made_book.preparations() == 1
    clean()
    assert make() == 1, "unchanged, after a clean-up"
    made_book.edit("data_manifest/cohorts.yml", "um_per_px: 1.0", "um_per_px: 0.9")
    clean()
    assert make() == 2, "changed, after a clean-up"
    made_book.edit("data_manifest/cohorts.yml", "um_per_px: 0.9", "um_per_px: 1.0")
    assert make() == 3, "changed"
    (made_book.root / "data" / COHORT / ".made_from").unlink()
    assert make() == 4, "of unknown origin"
    assert make() == 4, "unchanged"


def test_an_edition_passes_parameters_to_a_chapter_that_has_them(made_book):
    file = made_book.root / "editions" / "tiny.yml"
    text = file.read_text()
    file.write_text(text + "parameters: {one: {sise: 7}}\n")
    made = made_book.make()
    assert made.returncode != 0
    assert "unknown parameter `sise`; the chapter has edition, size" in made.stdout
    assert made_book.runs("one") == 1
    file.write_text(text + "parameters: {won: {size: 7}}\n")
    made = made_book.make()
    assert made.returncode == 2
    assert made.stdout.startswith("editions/tiny.yml: parameters for `won`"), made.stdout
    file.write_text(text + "parameters: {one: {size: 7}}\n")
    made = made_book.make()
    assert made.returncode == 0, made.stdout
    assert "One of 7 squares" in made_book.html("chapters/part/one.html")
    assert "One of 2 squares" in made_book.html("chapters/part/two.html")


def test_a_failing_chapter_fails_the_run_again_and_again(made_book):
    made_book.edit("chapters/part/one.py", 'assert edition == "tiny"', 'assert edition == "huge"')
    for runs in (2, 3):
        made = made_book.make()
        assert made.returncode != 0
        assert "AssertionError" in made.stdout
        assert "chapters/part/one.py: no executed notebook" in made.stdout
        assert "The tiny edition was not made." in made.stdout
        assert made_book.runs("one") == runs
    made_book.edit("chapters/part/one.py", 'assert edition == "huge"', 'assert edition == "tiny"')
    assert made_book.make().returncode == 0
    assert_made(made_book)
    assert made_book.runs("two") == 1


def test_a_page_that_the_gate_refuses_fails_the_run(made_book):
    made_book.edit("chapters/part/one.py", '"alt": "A square",', '"alt": "",')
    made = made_book.make()
    assert made.returncode != 0
    assert "a figure without alt" in made.stdout
    assert not made_book.executed("one").exists()


def test_a_reference_to_nothing_fails_the_run(made_book):
    made_book.edit("index.md", "A tiny book", "A tiny book {numref}`fig-nowhere`")
    made = made_book.make()
    assert made.returncode != 0
    assert "fig-nowhere" in made.stdout


def test_an_edited_notebook_is_noticed(made_book):
    """Snakemake looks at times; the wrapper looks at what is in the file."""
    file = made_book.executed("one")
    times = file.stat()
    text = file.read_text()
    file.write_text(text.replace('"kernel": "python3"', '"kernel": "python2"'))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    made = made_book.make()
    assert made.returncode != 0
    assert "run on the kernel `python2`" in made.stdout


def test_an_unknown_edition_is_named(made_book):
    made = made_book.make("huge")
    assert made.returncode != 0
    assert "edition 'huge'" in made.stdout
    assert "there are tiny" in made.stdout
