"""Sweeps: what is refused, what runs, what runs again, and what one point's failure leaves."""

import nbformat
import pandas as pd
import pytest
import yaml
from conftest import COHORT

import gate
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
    "notebook": "part/point",
    "chunk": 3,
    "minutes": 0.5,
    "memory_mb": 500,
    "editions": {"tiny": [{"grid": {"a": [1, 2, 3], "b": ["x", "y"]}}]},
}


def write_sweep(book, **changed):
    (book.root / "sweeps").mkdir(exist_ok=True)
    (book.root / "sweeps/squares.yml").write_text(yaml.safe_dump({**SWEEP, **changed}))


def add_sweep(book):
    header = "# ---\n# jupyter:\n#   imc_book: {page: false}\n# ---\n\n"
    (book.root / "chapters/part/point.py").write_text(header + POINT)
    write_sweep(book)
    return book


@pytest.fixture
def sweeper(planner):
    """A planner of a tiny book that has a sweep."""
    add_sweep(planner.book)
    return planner


def values(planner, **changed):
    write_sweep(planner.book, **changed)
    return [point.settings for point in planner(sweep="squares").sweep("squares").points]


def tiny(*blocks):
    return {"editions": {"tiny": list(blocks)}}


def test_a_grid_has_every_combination_and_its_first_parameter_changes_slowest(sweeper):
    assert values(sweeper) == [{"a": a, "b": b} for a in (1, 2, 3) for b in ("x", "y")]


def test_lists_are_zipped(sweeper):
    block = {"zip": {"a": [1, 2], "b": ["x", "y"]}}
    assert values(sweeper, **tiny(block)) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_blocks_are_united_and_fill_in_the_notebooks_defaults(sweeper):
    blocks = {"points": [{"a": 1}, {}]}, {"grid": {"b": ["x", "y"]}}, {"points": [{"a": 0}]}
    assert values(sweeper, **tiny(*blocks)) == [
        {"a": 1, "b": "x"},
        {"a": 0, "b": "x"},
        {"a": 0, "b": "y"},
    ]


def test_each_combination_runs_with_each_seed(sweeper):
    found = values(sweeper, seeds=[7, 8], **tiny({"grid": {"a": [1, 2]}}))
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
        ({"grids": []}, "grids"),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(sweeper, changed, message):
    with pytest.raises(InputError, match=message):
        values(sweeper, **changed)


def test_a_huge_grid_is_refused_without_being_made(sweeper):
    many = list(range(10**4))
    block = {"grid": {"a": many, "seed": many}}
    with pytest.raises(InputError, match="100000000 points"):
        values(sweeper, **tiny(block))


@pytest.mark.parametrize("name", ["two words", "-o", "", "a/b", "a;b", "squares\n"])
def test_a_name_that_no_command_could_hold_is_refused(sweeper, name):
    with pytest.raises(InputError, match="its name may hold letters, digits"):
        sweeps.load(Project(sweeper.book.root), name)


def test_a_sweep_that_is_not_there_is_named_with_those_that_are(sweeper):
    with pytest.raises(InputError, match="no file sweeps/cubes.yml; there are: squares"):
        sweeper(sweep="cubes")


@pytest.mark.parametrize(
    ("points", "size", "at_a_time", "lengths"),
    [(6, 3, 2, [3, 3]), (7, 3, 2, [1, 2, 2, 2]), (2, 25, 4, [1, 1]), (26, 25, 1, [13, 13])],
)
def test_points_are_divided_evenly_among_as_many_jobs_as_run(
    sweeper, points, size, at_a_time, lengths
):
    write_sweep(sweeper.book, chunk=size, **tiny({"grid": {"a": list(range(points))}}))
    planned = sweeper(sweep="squares", at_a_time=at_a_time).sweep("squares")
    assert [len(ids) for ids in planned.chunks] == lengths
    assert [i for ids in planned.chunks for i in ids] == [point.id for point in planned.points]
    assert planned.chunk_minutes(0) == sweeps.STARTING_MIN + -(-lengths[0] // 2)


def test_a_sweep_that_an_edition_names_is_planned_and_read(sweeper):
    page = sweeper.book.source("two")
    page.write_text(f"{READS}{page.read_text()}")
    plan = sweeper()
    assert plan.sweeps == ()
    assert plan.page("part/two").inputs == (), "an edition without sweeps has the page all the same"
    edition = {"title": "T", "description": "", "cohorts": [COHORT], "sweeps": ["squares"]}
    (sweeper.book.root / "editions/tiny.yml").write_text(yaml.safe_dump(edition))
    plan = sweeper()
    assert plan.page("part/two").inputs == ("results/tiny/sweeps/squares.csv",)
    assert plan.page("part/one").inputs == ()


def digests_of(*names):
    return {f"sweeps/tiny/squares/{name}" for name in names}


@pytest.mark.parametrize(
    ("path", "added", "stale"),
    [
        ("chapters/part/point.py", "\n# %%\n1\n", {0, 1, "table"}),
        ("envs/constraints.txt", "pandas==2\n", {0, 1, "table"}),
        ("workflow/scripts/execute.py", "\nx = 1\n", {0, 1, "table"}),
        ("workflow/scripts/points.py", "\nx = 1\n", {"table"}),
        ("src/imc_helpers/figures/one.py", "\nx = 1\n", set()),
        ("sweeps/squares.yml", "\n# a comment\n", set()),
        ("sweeps/squares.yml", "\ndescription: another\n", set()),
    ],
)
def test_what_a_change_makes_stale_of_sweeps(sweeper, path, added, stale):
    sweeper(sweep="squares")
    with (sweeper.book.root / path).open("a") as file:
        file.write(added)
    found = {name for name in sweeper.changed(sweep="squares") if name.startswith("sweeps")}
    assert found == digests_of(*stale)


def test_a_grid_that_grows_changes_what_is_new(sweeper):
    sweeper(sweep="squares")
    write_sweep(sweeper.book, **tiny({"grid": {"a": [1, 2, 3, 4], "b": ["x", "y"]}}))
    before = {p.id: p.made_from for p in sweeper(sweep="squares").sweep("squares").points}
    write_sweep(sweeper.book, **tiny({"grid": {"a": [4, 2], "b": ["x"]}}))
    after = {p.id: p.made_from for p in sweeper(sweep="squares").sweep("squares").points}
    assert len(after) == 2
    assert after.items() <= before.items(), "a point is its parameters, wherever it stands"


READS = "# ---\n# jupyter:\n#   imc_book: {reads: [sweeps/squares]}\n# ---\n\n"


def table(book):
    return pd.read_csv(book.root / "results/tiny/sweeps/squares.csv")


def ran(book):
    log = book.root / "results/points.log"
    return log.read_text().splitlines() if log.is_file() else []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_from_end_to_end(tiny_book):
    """A book whose page reads a sweep: points fail, are mended, lost, and asked for otherwise."""
    book = add_sweep(tiny_book)
    page = book.source("two")
    page.write_text(f"{READS}{page.read_text()}")
    edition = yaml.safe_load((book.root / "editions/tiny.yml").read_text())
    (book.root / "editions/tiny.yml").write_text(yaml.safe_dump({**edition, "sweeps": ["squares"]}))

    # One raises, one dies, one hangs for ever, one eats the memory that the profile gives it.
    block = {"grid": {"a": [1, 2, 3, 4, 5, 6], "b": ["x"]}}
    write_sweep(book, minutes=0.4, memory_mb=5000, **tiny(block))
    limits = [f"points_squares_{number}:mem_mb=500" for number in range(20)]
    profile = book.root / "workflow/profiles/local/config.yaml"
    profile.write_text(f"{profile.read_text()}set-resources: {limits}\n")
    faults = {"fail 1": "RuntimeError: 1 is no good", "die 2": "the kernel died"}
    faults |= {"hang 3": "not finished after 0.4 minutes", "eat 5": "more than 500 MB"}
    for name in faults:
        (book.root / name).touch()
    made = book.make()
    assert made.returncode, made.stdout
    assert table(book)["a"].tolist() == [4, 4, 6, 6]
    missing = pd.read_csv(book.root / "results/tiny/sweeps/squares.failed.csv")
    assert missing["a"].tolist() == [1, 2, 3, 5]
    for reason, log in zip(faults.values(), missing["log"], strict=True):
        assert reason in (book.root / log).read_text()
        assert reason in made.stdout
    assert "4 failed, `make sweep` again runs only those" in made.stdout
    assert "The tiny edition was not made." in made.stdout
    assert (book.executed("one").is_file(), book.executed("two").is_file()) == (True, False)

    # Mended: only those run, and the page that reads the table.
    for name in faults:
        (book.root / name).unlink()
    before = len(ran(book))
    made = book.make()
    assert made.returncode == 0, made.stdout
    assert "sweep squares: 6 of 6 points: results/tiny/sweeps/squares.csv" in made.stdout
    assert sorted(ran(book)[before:]) == [f"{a} x 0" for a in (1, 2, 3, 5)]
    rows = table(book)
    assert list(rows) == ["a", "b", "square", "draw"]
    assert rows["square"].tolist() == [s for a in range(1, 7) for s in (a * a, -a * a)]
    assert rows["draw"].nunique() == 7, "six points draw six numbers"
    assert not (book.root / "results/tiny/sweeps/squares.failed.csv").exists()
    assert (book.runs("one"), book.runs("two")) == (1, 1)
    notebooks = {
        gate.read_stamp(nbformat.read(path, as_version=4)).parameters["a"]: path
        for path in (book.root / "executed/tiny/sweeps/squares").glob("*.ipynb")
    }
    assert sorted(notebooks) == [1, 2, 3, 4, 5, 6]

    # One is lost, one is new, others are not asked for any more: two run, and who reads the table.
    notebooks[4].unlink()
    write_sweep(book, **tiny({"grid": {"a": [2, 4, 9], "b": ["x"]}}))
    before = len(ran(book))
    made = book.make()
    assert made.returncode == 0, made.stdout
    assert sorted(ran(book)[before:]) == ["4 x 0", "9 x 0"]
    assert table(book)["a"].tolist() == [2, 2, 4, 4, 9, 9]
    assert (book.runs("one"), book.runs("two")) == (1, 2), "only the page that reads the table"
