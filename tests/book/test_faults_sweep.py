"""Sweeps that are killed, starved or crowded: nothing lost, nothing finished that is not."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pandas as pd
import psutil
import pytest
from conftest import REPOSITORY, assert_gone, commands, family_of, find, wait_until
from test_points import add_sweep, ran, table, tiny, write_sweep

import gate
import plan as plans
import points
from kernels import socket_prefix
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HOLD_PAGE = """

# %% tags=["remove-cell"]
import time
from pathlib import Path

with (Path("results") / "overview.log").open("a") as log:
    log.write("run\\n")
while Path("hold page").exists():
    time.sleep(0.1)
"""


def results(book):
    return sorted((book.root / "executed/tiny/sweeps/squares").glob("*.ipynb"))


def assert_whole(book):
    """Check that what is there is complete: each result has the stamp of one that ran."""
    for file in results(book):
        assert gate.read_stamp(nbformat.read(file, as_version=4)).parameters


def servers_in(family):
    """Return the processes that fork kernels, which are children of jobs of points."""
    return [p for p, command in commands(family) if "warm.py" in command and "job.py" in _parent(p)]


def _parent(process):
    return " ".join(process.parent().cmdline())


@pytest.fixture
def book(tiny_book):
    add_sweep(tiny_book)
    overview = (REPOSITORY / "chapters/sweeps/overview.py").read_text()
    (tiny_book.root / "chapters/sweeps").mkdir()
    (tiny_book.root / "chapters/sweeps/overview.py").write_text(overview + HOLD_PAGE)
    # Several jobs on a machine with one core, too.
    write_sweep(tiny_book, **tiny({"grid": {"a": list(range(12)), "b": ["x"]}}), chunk=2, minutes=3)
    return tiny_book


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks kernels")
def test_whatever_is_killed_nothing_is_lost_and_a_rerun_completes(book):
    book.hold.touch()
    process = book.start("--sweep", "squares")
    wait_until(lambda: ran(book))
    second = book.sweep()
    assert second.returncode != 0
    assert second.stdout.startswith("Another `make book`")

    # A kernel, the process that forks kernels, a whole job: each time other points go on.
    for part in ("kernel", "warm.py", "job.py"):
        family = family_of(process)
        if part == "job.py":
            victim = find(family, "job.py tiny points")
        else:
            server = servers_in(family)[0]
            victim = server if part == "warm.py" else wait_until(server.children)[0]
        started = len(ran(book))
        victim.kill()
        wait_until(lambda started=started: len(ran(book)) > started, 180)

    # Then Ctrl-C, with points done and points in the middle.
    book.hold.unlink()
    wait_until(lambda: len(results(book)) >= 2)
    book.hold.touch()
    family = family_of(process)
    start = time.monotonic()
    book.interrupt(process)
    assert process.wait(timeout=60) != 0
    assert_gone(family, "Ctrl-C")
    assert time.monotonic() - start < 30
    assert_whole(book)
    there = {file: file.stat().st_mtime_ns for file in results(book)}
    assert 2 <= len(there) < 12
    assert not (book.root / "results/tiny/sweeps/squares.csv").exists(), "no table counts as whole"

    # The next run does the rest, and its page is interrupted.
    book.hold.unlink()
    hold_page = book.root / "hold page"
    hold_page.touch()
    process = book.start("--sweep", "squares")
    wait_until(lambda: book.lines("results/overview.log"), 300)
    assert len(table(book)) == 24
    assert all(file.stat().st_mtime_ns == before for file, before in there.items())
    family = family_of(process)
    book.interrupt(process)
    assert process.wait(timeout=60) != 0
    assert_gone(family, "Ctrl-C, page")
    assert "Stopped. The next run goes on from here." in book.said()
    shown = book.root / "_build/tiny/sweep/squares.html"
    assert not shown.exists()

    hold_page.unlink()
    points_run = len(ran(book))
    made = book.sweep()
    assert made.returncode == 0, made.stdout
    assert f"its page: {shown.as_uri()}" in made.stdout
    text = shown.read_text()
    assert "Over the 12 points of the sweep" in text
    assert "mean square ranges from 0.000 (a 0) to 0.000 (a 0)" in text
    assert 'alt="A panel per parameter: square of every row' in text
    assert "matplotlib" not in text
    assert not (book.root / "executed/tiny/part").exists(), "a sweep makes no page of the book"
    assert len(ran(book)) == points_run, "every point was there"
    sockets = socket_prefix(Project(book.root))
    assert not list(Path(tempfile.gettempdir()).glob(f"{sockets}*"))


def run_here(planner):
    """Run the points that lack a result in this process, and collect; return what has none."""
    project = Project(planner.book.root)
    sweep = planner(sweep="squares").sweep("squares")
    failed = points.run_points(project, sweep, sweep.points)
    return failed, points.collect(project, sweep)


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="only root can mount a small disk"
)
def test_a_full_disk_leaves_nothing_half_written(planner):
    """The results stand on a disk of 40 kB, which a few notebooks fill."""
    book = add_sweep(planner.book)
    write_sweep(book, **tiny({"grid": {"a": list(range(12))}}), minutes=3)
    small = book.root / "executed"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40k", "none", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this system does not let root mount a small disk")
    try:
        # Half-made files lie on the small disk too, as they do where all is one disk.
        (small / "scratch").mkdir()
        (book.root / "_build").mkdir()
        (book.root / "_build" / ".scratch").symlink_to(small / "scratch")
        failed, missing = run_here(planner)
        assert any(os.strerror(errno.ENOSPC) in reason for reason in failed.values())
        assert_whole(book)
        done = len(results(book))
        assert 0 < done < 12
        assert len(missing) == len(failed) == 12 - done
        listed = pd.read_csv(book.root / "results/tiny/sweeps/squares.failed.csv")
        assert len(listed) == 12 - done
        assert len(table(book)) == 2 * done
        subprocess.run(["mount", "-o", "remount,size=10m", str(small)], check=True)
        assert run_here(planner) == ({}, {})
        assert len(table(book)) == 24
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_eight_kernels_at_once(planner):
    """Kernels of one notebook, all at work at the same time, each in a process of its own."""
    book = add_sweep(planner.book)
    write_sweep(book, **tiny({"grid": {"a": list(range(8))}}), chunk=1, minutes=8)
    plans.write(Project(book.root), planner(sweep="squares", at_a_time=8))
    book.hold.touch()
    jobs = []
    for number in range(8):
        command = [sys.executable, "workflow/scripts/job.py", "tiny", "points", "squares"]
        with (book.root / f"{number}.log").open("w") as log:
            jobs.append(
                psutil.Popen(
                    [*command, str(number), "--minutes", "10"],
                    cwd=book.root,
                    env=book.environment(),
                    stdout=log,
                    stderr=log,
                )
            )
    book.started.extend(jobs)
    wait_until(lambda: len(ran(book)) == 8, 300)
    families = [member for job in jobs for member in family_of(job)]
    kernels = {
        p.pid for job in jobs for server in servers_in(family_of(job)) for p in server.children()
    }
    assert len(kernels) == 8
    book.hold.unlink()
    for number, job in enumerate(jobs):
        assert job.wait(timeout=300) == 0, (book.root / f"{number}.log").read_text()
    assert_gone(families, "kernels")
    assert len(results(book)) == 8
    assert_whole(book)
