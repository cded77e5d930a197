"""The flow from end to end, on a tiny book: what is run again, what fails, what is left.

Each start of Snakemake takes seconds, so a test goes through several states of one book. What
makes which job stale is tested without it, in `test_plan`.
"""

import shutil

import nbformat
import pytest
import yaml
from conftest import COHORT, TinyBook, assert_made

import gate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROFILE = "workflow/profiles/local/config.yaml"


def clean(book):
    """Do what ``make clean`` does."""
    for name in ("_build", "executed", "predictions", "results", ".snakemake"):
        shutil.rmtree(book.root / name, ignore_errors=True)
    (book.root / "results").mkdir()


def write_edition(book, name, **changed):
    edition = {"title": "Tiny edition.", "description": "Two squares.", "cohorts": [COHORT]}
    (book.root / f"editions/{name}.yml").write_text(yaml.safe_dump({**edition, **changed}))


def test_a_made_book(made_book):
    assert_made(made_book)
    page = made_book.html("chapters/part/one.html")
    assert "Tiny edition." in page
    assert "(tiny edition)</title>" in page
    status = made_book.html("status.html")
    assert "Page one" in status
    assert "Page two" in status
    notebook = nbformat.read(made_book.executed("one"), as_version=4)
    found = gate.read_stamp(notebook)
    assert found.parameters == {"edition": "tiny"}
    assert (found.kernel, found.device) == ("python3", "cpu")
    assert found.seconds > 0
    assert 20 < found.peak_memory_mb < 2000
    assert notebook.metadata.papermill.input_path == "chapters/part/one.py"
    assert notebook.metadata.papermill.output_path == "executed/tiny/part/one.ipynb"
    assert str(made_book.root) not in made_book.executed("one").read_text()
    costs = (made_book.root / "results/tiny/jobs.csv").read_text()
    assert costs.splitlines()[0].startswith("rule,job,seconds")
    assert {"book", "data", "page", "score"} == {x.split(",")[0] for x in costs.splitlines()[1:]}


@pytest.mark.skipif("sys.platform != 'linux'", reason="only Linux forks kernels")
def test_the_kernels_of_pages_are_forked_and_share_nothing(made_book):
    """Each page notes its kernel's parent, and what another page left in `sys`."""
    ((one, left), (two, also)) = (
        made_book.lines(f"results/{name}.log")[0].split() for name in ("one", "two")
    )
    assert one == two
    assert (left, also) == ("-", "-")


def test_nothing_runs_twice_and_a_change_runs_its_pages_alone(made_book, tmp_path):
    # What changes nothing: a comment, a docstring, a time.
    made_book.edit("src/imc_helpers/figures/one.py", "SIDE", '"""One."""\n\n# Pixels.\nSIDE')
    made_book.edit("src/imc_helpers/data/readers/published.py", "Stands in", "Stands")
    made_book.source("one").touch()
    before = made_book.executed("one").stat().st_mtime_ns
    made = made_book.make()
    assert made.returncode == 0, made.stdout
    assert "Nothing to be done" in made.stdout
    index = made_book.root / "_build" / "tiny" / "html" / "index.html"
    assert f"The tiny edition is ready: {index.as_uri()}" in made.stdout
    assert made_book.executed("one").stat().st_mtime_ns == before

    # In a copy every file is new, and that counts for nothing; a module counts for its page.
    book = TinyBook(tmp_path / "copy")
    shutil.copytree(made_book.root, book.root, copy_function=shutil.copyfile)
    book.edit("src/imc_helpers/figures/one.py", "SIDE = 9", "SIDE = 8")
    book.edit("index.md", "A tiny book", "A small book")
    made = book.make()
    assert made.returncode == 0, made.stdout
    assert (book.runs("one"), book.runs("two")) == (2, 1)
    assert (book.preparations(), len(book.lines("scored.log"))) == (1, 1)
    assert "A small book" in book.html("index.html")


def test_an_edition_of_some_pages_of_data_that_changed(made_book):
    """Digests stay when all that runs made is removed: data of another record are made again."""
    clean(made_book)
    made_book.edit("data_manifest/cohorts.yml", "um_per_px: 1.0", "um_per_px: 0.9")
    made_book.edit("index.md", "A tiny book", "A tiny book\n\nSee [](chapters/part/two.ipynb).")
    made_book.edit("chapters/part/one.py", "See {", "See {numref}`fig-two`, {")
    chosen = {"pages": ["part/one"], "because": "It is late."}
    write_edition(made_book, "tiny", **chosen, parameters={"part/one": {"size": 7}})
    made = made_book.make()
    assert made.returncode == 0, made.stdout
    assert made_book.preparations() == 2
    assert not made_book.executed("two").exists()
    page, index = made_book.html("chapters/part/one.html"), made_book.html("index.html")
    assert "One of 7 squares" in page
    assert "See a figure that this edition lacks" in page
    assert "<em>Page two</em> (<code" in index
    assert "It is late." in index
    assert "two.html" not in page + index


def test_what_fails_fails_again_until_it_is_mended(made_book):
    """One page raises; the other gets no time, from a profile, and then does not pass the gate."""
    clean(made_book)
    made_book.edit("chapters/part/one.py", 'assert edition == "tiny"', 'assert edition == "huge"')
    limits = 'set-resources: ["page_part_two:runtime=0"]\n'
    profile = made_book.root / PROFILE
    profile.write_text(profile.read_text() + limits)
    made = made_book.make()
    assert made.returncode != 0
    assert "chapters/part/one.py: " in made.stdout
    assert "AssertionError" in made.stdout
    assert "Stopped: not finished after 0 s." in made.stdout
    assert "The tiny edition was not made." in made.stdout
    assert made_book.runs("one") == 1
    assert made_book.preparations() == 1, "data of today's record stay after a clean-up"

    made_book.edit(PROFILE, limits, "")
    made_book.edit("chapters/part/two.py", '"alt": "A square",', '"alt": "",')
    made = made_book.make()
    assert made.returncode != 0
    assert "AssertionError" in made.stdout
    assert made_book.runs("one") == 2
    assert "a figure without alt" in made.stdout
    assert not made_book.executed("one").exists()
    assert not made_book.executed("two").exists()
    assert not (made_book.root / "_build/tiny/html").exists()

    made_book.edit("chapters/part/one.py", 'assert edition == "huge"', 'assert edition == "tiny"')
    made_book.edit("chapters/part/two.py", '"alt": "",', '"alt": "A square",')
    made_book.edit("index.md", "A tiny book", "A tiny book {numref}`fig-nowhere`")
    made = made_book.make()
    assert made.returncode != 0
    assert "fig-nowhere" in made.stdout
    assert (made_book.runs("one"), made_book.executed("two").is_file()) == (3, True)
