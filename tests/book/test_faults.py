"""Two runs at a time, and runs that are killed in the middle."""

import signal
import time

import psutil
import pytest
from conftest import assert_made

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GONE_S = 20.0
"""Patience with slow shared cores, seconds; what is to end does so in one or two."""


def family_of(process):
    return [process, *process.children(recursive=True)]


def find(processes, word):
    """Return the process whose command has a word in it; the innermost where one starts another."""
    found = []
    for process in processes:
        try:
            if any(word in part for part in process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found[-1] if found else None


def wait_until(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return found


def start_and_hold(book):
    """Start a run and return it with its family when both chapters wait in the middle."""
    book.hold.touch()
    process = book.start()
    before = {name: book.runs(name) for name in ("one", "two")}
    wait_until(lambda: any(book.runs(name) > before[name] for name in before))
    return process, family_of(process)


def assert_gone(family, part):
    _, alive = psutil.wait_procs(family, timeout=GONE_S)
    assert not alive, part


def test_the_second_of_two_runs_is_refused(made_book):
    made_book.edit("chapters/part/one.py", "# Page one", "# Page one, again")
    process, _ = start_and_hold(made_book)
    second = made_book.make()
    assert second.returncode != 0
    assert second.stdout.startswith("Another `make book`, or the set-up of .venv, is at work")
    made_book.hold.unlink()
    assert process.wait(timeout=120) == 0
    assert made_book.runs("one") == 2


def test_whatever_is_killed_nothing_is_left_and_the_next_run_resumes(tiny_book):
    """Run after run is stopped in the middle, each in another way; the last one is not."""
    for part in ("sh", "run.py", "snakemake"):
        process, family = start_and_hold(tiny_book)
        (process if part == "sh" else find(family, part)).kill()
        assert_gone(family, part)
        process.wait()
    for part in ("execute.py", "ipykernel_launcher"):
        # One chapter is lost; the run goes on to the end of the others, and fails.
        process, family = start_and_hold(tiny_book)
        find(family, part).kill()
        tiny_book.hold.unlink()
        assert process.wait(timeout=180) != 0, part
        assert_gone(family, part)
    process, family = start_and_hold(tiny_book)
    find(family, "run.py").send_signal(signal.SIGTERM)
    time.sleep(1)
    tiny_book.hold.unlink()
    assert process.wait(timeout=180) != 0
    assert_gone(family, "SIGTERM")

    made = tiny_book.make()
    assert made.returncode == 0, made.stdout
    assert_made(tiny_book)
