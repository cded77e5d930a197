"""Two runs at a time, and runs that are stopped or killed in the middle."""

import os
import time

import pytest
from conftest import assert_gone, assert_made, commands, family_of, find, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def start_and_hold(book, *names):
    """Start a run and return it with its family when chapters wait in the middle."""
    book.hold.touch()
    before = {name: book.runs(name) for name in ("one", "two")}
    process = book.start()
    if names:
        wait_until(lambda: all(book.runs(name) > before[name] for name in names))
    else:
        wait_until(lambda: any(book.runs(name) > before[name] for name in before))
    return process, family_of(process)


def kernels_in(family):
    """Return the kernels of notebooks, by their connection files; not what stands for them."""
    forked = {
        p for p, command in commands(family) if "warm.py" in command and "--kernel" not in command
    }
    return [p for p in forked if p.parent() in forked]


def test_whatever_is_killed_nothing_is_left_and_the_next_run_resumes(tiny_book):
    """Run after run is stopped in the middle, each in another way; the last one is not."""
    book = tiny_book
    for part in ("sh", "run.py", "snakemake"):
        process, family = start_and_hold(book)
        if part == "sh":
            second = book.make()
            assert second.returncode != 0
            assert second.stdout.startswith(
                "Another `make book`, or the set-up of .venv, is at work"
            )
        (process if part == "sh" else find(family, part)).kill()
        assert_gone(family, part)
        process.wait()

    # Ctrl-C while a page is made.
    process, family = start_and_hold(book)
    start = time.monotonic()
    book.interrupt(process)
    assert process.wait(timeout=60) != 0
    assert_gone(family, "Ctrl-C")
    assert time.monotonic() - start < 30
    assert "Stopped. The next run goes on from here." in book.said()
    assert not book.executed("one").exists()
    assert not book.executed("two").exists()

    # Of what a run is made of, one part after another: a page is lost, and said to be. A kernel
    # that is killed before it answers for the first time fails in another way, so both pages are
    # waited for where both run at once.
    together = ("one", "two") if (os.cpu_count() or 1) > 1 else ()
    process, family = start_and_hold(book, *together)
    if kernels := kernels_in(family):
        kernels[0].kill()
    else:  # where kernels cannot be forked
        find(family, "ipykernel_launcher").kill()
    wait_until(lambda: "the kernel died" in book.said())
    wait_until(lambda: book.runs("one") and book.runs("two"))
    find(family_of(process), "job.py tiny page").kill()
    book.hold.unlink()
    assert process.wait(timeout=180) != 0
    assert_gone(family, "kernel and job")
    assert "The tiny edition was not made." in book.said()

    made = book.make()
    assert made.returncode == 0, made.stdout
    assert_made(book)
    assert book.preparations() == 1
