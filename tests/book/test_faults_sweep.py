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
import stamp
from test_faults import assert_gone, family_of, find, wait_until
from test_points import add_sweep, ran, table, tiny, write_sweep

from kernels import socket_prefix
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def results(book):
    return sorted((book.root / "executed/tiny/sweeps/squares").glob("*.ipynb"))


def assert_whole(book):
    """Check that what is there is complete: each result passes the gate."""
    for file in results(book):
        notebook = nbformat.read(file, as_version=4)
        assert stamp.read(notebook) is not None, file


def start_and_hold(book):
    """Start a sweep; return it and its family when two points are done and another waits."""
    process = book.start("--sweep", "squares")
    wait_until(lambda: len(results(book)) >= 2)
    book.hold.touch()
    # What has passed the place where points are held ends by itself; then nothing more does.
    known = -1
    while known != (known := len(results(book))) or len(ran(book)) <= known:
        assert process.poll() is None, (book.root / "start.log").read_text()
        time.sleep(3)
    return process, family_of(process)


def server_among(family):
    """Return a process that forks kernels. Those have its command; it is the child of a chunk."""
    return next(p for p in family if "points.py" in " ".join(p.parent().cmdline()))


@pytest.fixture
def book(tiny_book):
    add_sweep(tiny_book)
    # Points long enough to be caught in the middle, more of them than are at work at a time.
    points = {"grid": {"a": list(range(12)), "seconds": [1.0]}}
    write_sweep(tiny_book, **tiny(points), chunk=4, minutes=3)
    return tiny_book


@pytest.mark.parametrize("part", ["run.py", "snakemake", "points.py", "warm.py", "kernel"])
def test_whatever_is_killed_nothing_is_lost_and_a_rerun_completes(book, part):
    process, family = start_and_hold(book)
    there = {file: file.stat().st_mtime_ns for file in results(book)}
    if part == "kernel":
        victim = next(p for p in family if p.ppid() == server_among(family).pid)
    else:
        victim = server_among(family) if part == "warm.py" else find(family, part)
    victim.kill()
    if part in ("run.py", "snakemake"):
        assert_gone(family, part)
        assert process.wait() != 0
    book.hold.unlink()
    assert process.wait(timeout=300) != 0, part
    assert_gone(family, part)
    assert_whole(book)
    assert all(file.stat().st_mtime_ns == before for file, before in there.items())
    note = book.root / "results/tiny/sweeps/.squares.made_from"
    assert not note.exists(), "no table counts as whole"

    made = book.sweep()
    assert made.returncode == 0, made.stdout
    assert len(table(book)) == 24
    assert all(file.stat().st_mtime_ns == before for file, before in there.items())
    sockets = socket_prefix(Project(book.root))
    assert not list(Path(tempfile.gettempdir()).glob(f"{sockets}*"))


def test_a_second_sweep_is_refused_while_one_is_at_work(book):
    process, _ = start_and_hold(book)
    for second in (book.sweep(), book.make()):
        assert second.returncode != 0
        assert second.stdout.startswith("Another `make book`")
    book.hold.unlink()
    assert process.wait(timeout=300) == 0
    assert len(table(book)) == 24
    assert len(ran(book)) == 12, "each point ran once"


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="only root can mount a small disk"
)
def test_a_full_disk_leaves_nothing_half_written(book, tmp_path):
    """The results stand on a disk of 40 kB, which a few notebooks fill."""
    small = book.root / "executed"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40k", "none", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this system does not let root mount a small disk")
    scratch = book.root / "_build" / ".scratch"
    assert not scratch.exists()
    try:
        _put_scratch_on(book, small)
        made = book.sweep()
        assert made.returncode == 1, made.stdout
        assert os.strerror(errno.ENOSPC) in made.stdout
        assert_whole(book)
        done = len(results(book))
        assert 0 < done < 12
        missing = pd.read_csv(book.root / "results/tiny/sweeps/squares.failed.csv")
        assert len(missing) == 12 - done
        assert len(table(book)) == 2 * done
        subprocess.run(["mount", "-o", "remount,size=10m", str(small)], check=True)
        made = book.sweep()
        assert made.returncode == 0, made.stdout
        assert len(table(book)) == 24
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def _put_scratch_on(book, disk):
    """Make half-made files lie on the small disk too, as they do where all is one disk."""
    (disk / "scratch").mkdir()
    (book.root / "_build").mkdir(exist_ok=True)
    (book.root / "_build" / ".scratch").symlink_to(disk / "scratch")


def test_forty_kernels_at_once(tiny_book):
    """Forty kernels of one notebook, all at work at the same time, each in a process of its own."""
    book = add_sweep(tiny_book)
    write_sweep(book, **tiny({"grid": {"a": list(range(40))}}), chunk=1, minutes=8)
    book.hold.touch()
    made = subprocess.run(
        [sys.executable, "-c", PLAN], check=False, cwd=book.root, env=_environment(book)
    )
    assert made.returncode == 0
    jobs = [
        psutil.Popen(
            [sys.executable, "workflow/scripts/points.py", "tiny", "squares", str(number)],
            cwd=book.root,
            env=_environment(book),
            stdout=subprocess.DEVNULL,
            stderr=(book.root / f"{number}.log").open("w"),
        )
        for number in range(40)
    ]
    book.started.extend(jobs)
    wait_until(lambda: len(ran(book)) == 40, 600)
    families = [member for job in jobs for member in family_of(job)]
    assert sum("--kernel" in p.cmdline() for p in families) == 40
    book.hold.unlink()
    for number, job in enumerate(jobs):
        assert job.wait(timeout=300) == 0, (book.root / f"{number}.log").read_text()
    assert_gone(families, "kernels")
    assert len(results(book)) == 40


PLAN = """
import sys
from pathlib import Path
sys.path.insert(0, "workflow/scripts")
import points
from project import Project
points.plan(Project(Path.cwd()), "squares", "tiny", 40)
"""


def _environment(book):
    return {**book.environment(), "IMC_BOOK_ROOT": str(book.root), "OMP_NUM_THREADS": "1"}
