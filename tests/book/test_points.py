"""Sweeps: what is refused, what runs, what runs again, and what one point's failure leaves."""

import shutil

import nbformat
import pandas as pd
import pytest
import stamp
import yaml
from conftest import COHORT, REPOSITORY, write_tiny_book

import sweeps
from imc_helpers.errors import InputError
from project import Project

POINT = """\
# %% [markdown]
# # A point

# %% tags=["parameters"]
edition: str = "tiny"  # edition
a: int = 0  # a number
b: str = "x"  # a text
seed: int = 0  # a seed
seconds: float = 0.0  # time to take

# %%
import random
import time
from pathlib import Path

from IPython.display import display

import yaml

assert not hasattr(yaml, "touched"), "what another point did to a module is seen here"
yaml.touched = True
with (Path("results") / "points.log").open("a") as log:
    log.write(f"{a} {b} {seed}\\n")
time.sleep(seconds)
while Path("hold").exists():
    time.sleep(0.1)
if Path(f"fail {a}").exists():
    raise RuntimeError(f"{a} is no good")
if Path(f"hang {a}").exists():
    time.sleep(3600)
if Path(f"eat {a}").exists():
    eaten = [bytearray(b"x" * 10**7) for _ in range(60)]
    time.sleep(3600)
if Path(f"die {a}").exists():
    import os
    os.kill(os.getpid(), 9)

# %% tags=["remove-cell"]
rows = {"columns": ["square", "draw"], "data": [[a * a, random.random()], [-a * a, 0.5]]}
display({"application/vnd.imc-book.rows+json": rows, "text/plain": "2 rows"}, raw=True)
"""
SWEEP = {
    "title": "Squares",
    "notebook": "point",
    "pages": ["two"],
    "chunk": 3,
    "minutes": 0.5,
    "memory_mb": 500,
    "editions": {"tiny": [{"grid": {"a": [1, 2, 3], "b": ["x", "y"]}}]},
}


def write_sweep(book, **changed):
    (book.root / "sweeps").mkdir(exist_ok=True)
    (book.root / "sweeps/squares.yml").write_text(yaml.safe_dump({**SWEEP, **changed}))


def add_sweep(book):
    (book.root / "chapters/point.py").write_text(POINT)
    write_sweep(book)
    return book


@pytest.fixture
def project(tmp_path, monkeypatch):
    book = add_sweep(write_tiny_book(tmp_path / "tiny book"))
    monkeypatch.setattr("project.load_edition", lambda name: _edition())
    return Project(book.root)


def _edition():
    from imc_helpers.data.manifest import Edition

    return Edition(title="Tiny", description="", cohorts=(COHORT,))


def values(project, **changed):
    write_sweep(project, **changed)
    return [point.settings for point in sweeps.points(project, "squares", "tiny")]


def tiny(*blocks):
    return {"editions": {"tiny": list(blocks)}}


def test_a_grid_has_every_combination_and_its_first_parameter_changes_slowest(project):
    assert values(project) == [{"a": a, "b": b} for a in (1, 2, 3) for b in ("x", "y")]


def test_lists_are_zipped(project):
    block = {"zip": {"a": [1, 2], "b": ["x", "y"]}}
    assert values(project, **tiny(block)) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_blocks_are_united_and_fill_in_the_notebooks_defaults(project):
    blocks = {"points": [{"a": 1}, {}]}, {"grid": {"b": ["x", "y"]}}, {"points": [{"a": 0}]}
    assert values(project, **tiny(*blocks)) == [
        {"a": 1, "b": "x"},
        {"a": 0, "b": "x"},
        {"a": 0, "b": "y"},
    ]


def test_each_combination_runs_with_each_seed(project):
    found = values(project, seeds=[7, 8], **tiny({"grid": {"a": [1, 2]}}))
    assert found == [{"a": a, "seed": s} for a in (1, 2) for s in (7, 8)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (tiny({"grid": {"c": [1]}}), "unknown parameter `c`; the chapter has a, b"),
        (tiny({"grid": {"a": ["1"]}}), "parameter `a`: expected int, found '1'"),
        (tiny({"grid": {"a": [1], "edition": ["open"]}}), "`edition` is set by the run"),
        (tiny({"grid": {"a": []}}), "no values for a: nothing would run"),
        (tiny({"grid": {}}), "no parameters: nothing would run"),
        (tiny({"points": []}), "no parameters: nothing would run"),
        (tiny(), "no points for the edition `tiny`"),
        (tiny({"zip": {"a": [1, 2], "b": ["x"]}}), "lists of one length"),
        (tiny({"grid": {"a": [1]}, "points": [{"a": 2}]}), "one of `grid`, `zip` and `points`"),
        (tiny({"grid": {"a": 1}}), "valid list"),
        (tiny({"grid": {"seed": [1]}}) | {"seeds": [2]}, "`seed` is set both"),
        ({"editions": {"open": [{"points": [{}]}]}}, "nothing for the edition `tiny`; it has open"),
        ({"max_points": 5}, "6 points for the edition `tiny`, and `max_points` allows 5"),
        ({"notebook": "none"}, "no notebook chapters/none.py"),
        ({"pages": ["none"]}, "`pages` names none, no chapter"),
        ({"grids": []}, "grids"),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(project, changed, message):
    with pytest.raises(InputError, match=message):
        values(project, **changed)


def test_a_huge_grid_is_refused_without_being_made(project):
    many = list(range(10**4))
    block = {"grid": {"a": many, "seed": many}}
    with pytest.raises(InputError, match="100000000 points"):
        values(project, **tiny(block))


def test_a_sweep_that_is_not_there_is_named_with_those_that_are(project):
    with pytest.raises(InputError, match="no file sweeps/cubes.yml; there are: squares"):
        sweeps.points(project, "cubes", "tiny")


def table(book):
    return pd.read_csv(book.root / "results/tiny/sweeps/squares.csv")


def ran(book):
    log = book.root / "results/points.log"
    return log.read_text().splitlines() if log.is_file() else []


ALL = sorted(f"{a} {b} 0" for a in (1, 2, 3) for b in ("x", "y"))


@pytest.mark.slow
def test_a_sweep_from_end_to_end(tiny_book):
    book = add_sweep(tiny_book)
    made = book.sweep()
    assert made.returncode == 0, made.stdout
    assert "sweep squares: 6 of 6 points: results/tiny/sweeps/squares.csv" in made.stdout
    assert sorted(ran(book)) == ALL
    rows = table(book)
    assert list(rows) == ["a", "b", "square", "draw"]
    assert rows["square"].tolist() == [s for a in (1, 1, 2, 2, 3, 3) for s in (a * a, -a * a)]
    assert rows["draw"].nunique() == 7, "six points draw six numbers"
    notebooks = list((book.root / "executed/tiny/sweeps/squares").glob("*.ipynb"))
    assert len(notebooks) == 6
    found = stamp.read(nbformat.read(notebooks[0], as_version=4))
    assert set(found.parameters) == {"edition", "a", "b"}
    assert not (book.root / "results/tiny/sweeps/squares.failed.csv").exists()

    # Nothing changed: nothing runs.
    assert book.sweep().returncode == 0
    assert sorted(ran(book)) == ALL
    # A point is lost: it runs, and only it.
    notebooks[0].unlink()
    assert book.sweep().returncode == 0
    assert len(ran(book)) == 7
    # The grid grows: what is new runs.
    write_sweep(book, **tiny({"grid": {"a": [1, 2, 3, 4], "b": ["x", "y"]}}))
    assert book.sweep().returncode == 0
    assert sorted(ran(book)[7:]) == ["4 x 0", "4 y 0"]
    assert len(table(book)) == 16
    # It shrinks: nothing runs, and the table has only what is asked for.
    write_sweep(book, **tiny({"grid": {"a": [2], "b": ["x"]}}))
    assert book.sweep().returncode == 0
    assert len(ran(book)) == 9
    assert table(book)["a"].tolist() == [2, 2]


@pytest.mark.slow
def test_a_page_shows_any_sweep(tiny_book):
    book = add_sweep(tiny_book)
    for end in (".py", ".ipynb"):
        overview = (REPOSITORY / "chapters/sweeps/overview").with_suffix(end)
        target = book.root / "chapters/sweeps" / overview.name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(overview, target)
    write_sweep(book, **tiny({"grid": {"a": [1, 2], "b": ["x"]}}))
    made = book.sweep()
    assert made.returncode == 0, made.stdout
    page = book.root / "_build/tiny/sweep/squares/html/index.html"
    assert f"its page: {page.as_uri()}" in made.stdout
    text = page.read_text()
    assert "has 2 points and 4 rows" in text
    assert "Mean square goes from 0.000 (a 1) to 0.000 (a 1)" in text
    assert 'alt="A panel a parameter: square of every row' in text
    before = page.stat().st_mtime_ns
    assert book.sweep().returncode == 0
    assert page.stat().st_mtime_ns == before


@pytest.mark.slow
def test_points_that_fail_are_told_and_stop_no_other(tiny_book):
    """One raises, one dies, one hangs for ever, one eats its memory."""
    book = add_sweep(tiny_book)
    write_sweep(book, minutes=0.4, **tiny({"grid": {"a": [1, 2, 3, 4, 5, 6], "b": ["x"]}}))
    faults = {"fail 1": "RuntimeError: 1 is no good", "die 2": "the kernel died"}
    faults |= {"hang 3": "not finished after 0.4 minutes", "eat 5": "more than 500 MB"}
    for name in faults:
        (book.root / name).touch()
    made = book.sweep()
    assert made.returncode == 1, made.stdout
    assert table(book)["a"].tolist() == [4, 4, 6, 6]
    missing = pd.read_csv(book.root / "results/tiny/sweeps/squares.failed.csv")
    assert missing["a"].tolist() == [1, 2, 3, 5]
    for reason, log in zip(faults.values(), missing["log"], strict=True):
        assert reason in (book.root / log).read_text()
        assert reason in made.stdout
    assert "4 failed, `make sweep` again runs only those" in made.stdout
    for name in faults:
        (book.root / name).unlink()
    before = len(ran(book))
    again = book.sweep()
    assert again.returncode == 0, again.stdout
    assert len(ran(book)) == before + 4
    assert sorted(set(table(book)["a"])) == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_a_book_runs_the_sweeps_that_its_pages_read(tiny_book):
    book = add_sweep(tiny_book)
    edition = yaml.safe_load((book.root / "editions/tiny.yml").read_text())
    (book.root / "editions/tiny.yml").write_text(yaml.safe_dump({**edition, "sweeps": ["squares"]}))
    made = book.make()
    assert made.returncode == 0, made.stdout
    assert sorted(ran(book)) == ALL
    assert (book.runs("one"), book.runs("two")) == (1, 1)
    write_sweep(book, **tiny({"grid": {"a": [1], "b": ["x"]}}))
    made = book.make()
    assert made.returncode == 0, made.stdout
    assert (book.runs("one"), book.runs("two")) == (1, 2), "only the page that reads the table"
    (book.root / "fail 9").touch()
    write_sweep(book, **tiny({"grid": {"a": [9]}}))
    made = book.make()
    assert made.returncode
    assert "9 is no good" in made.stdout
    assert "chapters/part/two.py: stale: what it reads was made anew" in made.stdout
    assert "The tiny edition was not made." in made.stdout


@pytest.mark.slow
def test_a_sweep_that_is_refused_runs_nothing(tiny_book):
    book = add_sweep(tiny_book)
    write_sweep(book, **tiny({"grid": {"a": [1], "c": [2]}}))
    made = book.sweep()
    assert made.returncode == 2
    assert made.stdout.strip() == (
        "sweeps/squares.yml: unknown parameter `c`; the chapter has a, b, edition, seconds, seed"
    )
    assert not ran(book)
    assert not book.preparations()
