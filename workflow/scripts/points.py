"""Run some points of a sweep, one after the other: ``python points.py EDITION SWEEP CHUNK``.

They share what was imported, and nothing else: every point has a kernel of its own. One that fails
does not stop the others; what is done already is not done again.
"""

import argparse
import json
import math
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

import execute
import gpu
import sweeps
from kernels import kernels, modules_of
from parameters import ParameterError
from project import Project
from sweeps import Point, Sweep
from tether import kill, tether

POLL_S = 0.2
"""Seconds between two looks at a point's memory and time."""
STARTING_S = 300
"""Time for a chunk's own start and imports, seconds; added to that of its points."""
PLAN = "plan.json"


def plan(project: Project, name: str, edition: str, cores: int) -> tuple[Point, ...]:
    """Divide the points without a result among chunks, and write down which goes where.

    Results that no longer count are removed, and a table that was made of others. No other run of
    this checkout may be under way.

    Parameters
    ----------
    project, name, edition
        Which sweep.
    cores
        Number of chunks that run at a time; each gets about as much.

    Returns
    -------
    tuple of Point
        The points that are to run.

    Raises
    ------
    imc_helpers.errors.InputError
        As `sweeps.points`.
    """
    found = sweeps.points(project, name, edition)
    todo = [point for point in found if sweeps.state(point)]
    for point in todo:
        point.job.target.unlink(missing_ok=True)
    todo = [point for point in todo if not point.why_not]
    table = sweeps.table_file(project, name, edition)
    note = sweeps.note_file(project, name, edition)
    if todo or not note.is_file() or note.read_text(encoding="utf-8") != sweeps.made_from(found):
        table.unlink(missing_ok=True)
    ids = [point.id for point in todo]
    folder = sweeps.work_folder(project, name, edition)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*"):
        old.unlink()
    size = sweeps.load(project, name).chunk
    count = min(len(ids), cores * math.ceil(len(ids) / (size * cores)))
    chunks = [ids[len(ids) * i // count : len(ids) * (i + 1) // count] for i in range(count)]
    weights = sweeps.needed_weights(project, todo)
    (folder / PLAN).write_text(json.dumps({"chunks": chunks, "weights": weights}), encoding="utf-8")
    return tuple(todo)


def read_plan(project: Project, name: str, edition: str) -> tuple[list[list[str]], list[str]]:
    """Return the ids of each chunk's points, and the models whose weights they need."""
    path = sweeps.work_folder(project, name, edition) / PLAN
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["chunks"], content["weights"]


def minutes_of(project: Project, name: str, edition: str, number: int) -> int:
    """Return the longest time that a chunk may take, minutes."""
    points = len(read_plan(project, name, edition)[0][number])
    return math.ceil(STARTING_S / 60 + sweeps.load(project, name).minutes * points)


def run_points(
    project: Project, name: str, edition: str, chosen: Sequence[Point]
) -> dict[str, str]:
    """Run points that have no result yet.

    Returns
    -------
    dict
        Why a point failed, by its id; each also has a log.
    """
    sweep = sweeps.load(project, name)
    failed: dict[str, str] = {}
    todo = [point for point in chosen if sweeps.state(point)]
    if not todo:
        return failed
    asked = todo[0].job.expected
    models = {p.settings[sweeps.MODEL] for p in todo if sweeps.MODEL in p.settings}
    modules = modules_of(project, todo[0].job.source, models)
    with gpu.mine(asked.device), kernels(project, asked.kernel, asked.device, modules) as sockets:
        spared = set(psutil.Process().children())
        for number, point in enumerate(todo, start=1):
            print(f"{number} of {len(todo)}: {point.text}", flush=True)
            ended: list[str] = []
            try:
                with _limits(sweep, spared, ended):
                    execute.execute(project, point.job, sockets)
            except (execute.ChapterError, ParameterError) as error:
                failed[point.id] = "; ".join([*ended, str(error)])
            except Exception:  # whatever it is, the other points still run
                failed[point.id] = "; ".join([*ended, traceback.format_exc()])
            if point.id in failed:
                text = f"{point.text}\n{failed[point.id]}\n"
                print(f"FAILED: {text}", flush=True)
                with suppress(OSError):  # on a full disk
                    log = sweeps.log_file(project, name, edition, point)
                    log.write_text(text, encoding="utf-8")
    return failed


@contextmanager
def _limits(sweep: Sweep, spared: set[psutil.Process], ended: list[str]) -> Iterator[None]:
    """End a point's kernel when it takes too long or too much memory, and note why."""
    done = threading.Event()

    def watch() -> None:
        waited = 0.0
        while not done.wait(POLL_S):
            waited += POLL_S
            below = [p for p in psutil.Process().children(recursive=True) if p not in spared]
            if waited > 60 * sweep.minutes:
                ended.append(f"ended: not finished after {sweep.minutes:g} minutes")
            elif _resident_mb(below) > sweep.memory_mb:
                ended.append(f"ended: took more than {sweep.memory_mb} MB of memory")
            else:
                continue
            kill(below)
            return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _resident_mb(processes: Sequence[psutil.Process]) -> float:
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            total = max(total, process.memory_info().rss)
    return total / 1e6


def main() -> None:
    """Run one chunk in a process group of its own, under a wall clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edition")
    parser.add_argument("sweep")
    parser.add_argument("chunk", type=int)
    arguments = parser.parse_args()
    os.setpgid(0, 0)
    project, name, edition = Project(Path.cwd()), arguments.sweep, arguments.edition
    tether(60 * minutes_of(project, name, edition, arguments.chunk))
    ids = set(read_plan(project, name, edition)[0][arguments.chunk])
    chosen = [point for point in sweeps.points(project, name, edition) if point.id in ids]
    if failed := run_points(project, name, edition, chosen):
        sys.exit(f"{len(failed)} of {len(chosen)} points failed")
    (sweeps.work_folder(project, name, edition) / f"{arguments.chunk}.done").touch()


if __name__ == "__main__":
    main()
