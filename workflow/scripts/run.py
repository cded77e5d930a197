"""Make an edition of the book: ``python run.py [EDITION]``.

Takes the lock, lets Snakemake do what is needed, leaves no process behind, and looks at the result
itself: Snakemake's own verdict is about files and their times.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

import nbformat
import psutil

import execute
import gate
import gpu
import lock
import prepare
import segment
import slurm
import train
from imc_helpers.errors import InputError
from imc_helpers.manifest import model_record
from project import Project, expected
from tether import kill, tether

WORKFLOW = Path(__file__).resolve().parents[1]
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")
WATCH_S = 0.5
"""Seconds between two looks at which processes are there."""


def run(project: Project, edition: str, profile: str) -> int:
    """Make an edition and return the exit status: 0 when the book is there and whole."""
    try:
        record = project.edition(edition)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    on_cluster = profile == "slurm"
    if on_cluster:
        slurm.check()
    with lock.acquire(project.root) as held:
        if on_cluster:
            # Before anything is swept: a job that still runs would miss its folder.
            slurm.cancel(project)
        execute.sweep(project)
        prepare.sweep(project)
        for cohort in record.cohorts:
            prepare.forget_stale(project, cohort)
        runs = project.runs(edition)
        for model in {run.model for run in runs if model_record(run.model).training is not None}:
            train.forget_stale(project, model)
        for one in runs:
            segment.forget_stale(project, one)
        status = _snakemake(project, edition, profile, held.fileno())
        if on_cluster:
            # Snakemake cancels its jobs on Ctrl-C; it cannot when it was killed itself.
            slurm.cancel(project)
        missing = unfit(project, edition)
    for problem in missing:
        print(problem, file=sys.stderr)
    index = project.html(edition) / "index.html"
    if status or missing or not index.is_file():
        print(f"The {edition} edition was not made.", file=sys.stderr)
        return status or 1
    print(f"The {edition} edition is ready: {index.as_uri()}")
    return 0


def unfit(project: Project, edition: str) -> list[str]:
    """Return which chapters lack a notebook made from today's text and code, and why."""
    found = []
    for chapter in project.chapters():
        file = project.executed(edition, chapter)
        if not file.is_file():
            found.append(f"chapters/{chapter}.py: no executed notebook")
            continue
        notebook = nbformat.read(file, as_version=4)
        asked = expected(project, edition, chapter)
        problems = gate.problems(notebook, asked, file.stat().st_size)
        found += [f"chapters/{chapter}.py: {problem}" for problem in problems]
    return found


def environment(project: Project) -> dict[str, str]:
    """Return the environment of the jobs.

    Several jobs share the cores, so each computes with one thread; and threads that wait must not
    spin, which makes busy cores many times slower. Data and results are those of this checkout,
    wherever the user keeps others; a mirror is where it was for the user, in any working directory.
    """
    jobs = {**os.environ, **{f"{library}_NUM_THREADS": "1" for library in THREADS}}
    jobs |= {"OMP_WAIT_POLICY": "PASSIVE", "IMC_BOOK_ROOT": str(project.root)}
    if mirror := os.environ.get("IMC_BOOK_MIRROR"):
        jobs["IMC_BOOK_MIRROR"] = str(Path(mirror).expanduser().resolve())
    return jobs


def _snakemake(project: Project, edition: str, profile: str, lock_file: int) -> int:
    command = [sys.executable, str(WORKFLOW / "scripts" / "tether.py"), "-m", "snakemake"]
    command += ["--snakefile", str(WORKFLOW / "Snakefile")]
    command += ["--profile", str(WORKFLOW / "profiles" / profile)]
    if profile == "slurm":
        command += ["--slurm-jobname-prefix", slurm.job_prefix(project)]
    command += ["--config", f"edition={edition}", f"device={gpu.find_device()}"]
    process = subprocess.Popen(
        command, cwd=project.root, env=environment(project), pass_fds=(lock_file,)
    )

    def pass_on(number: int, _: FrameType | None) -> None:
        process.send_signal(number)

    # Ctrl-C reaches Snakemake from the terminal by itself; this process waits for it to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, pass_on)
    done = threading.Event()
    seen: set[psutil.Process] = set()

    def watch() -> None:
        while not done.wait(WATCH_S):
            seen.update(psutil.Process().children(recursive=True))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    status = process.wait()
    done.set()
    watcher.join()
    # A process whose parent was killed is nobody's child any more, but it was seen before.
    kill(list(seen))
    return status


def main() -> None:
    """Make an edition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edition", nargs="?", default="demo")
    parser.add_argument("--profile", default="local", choices=("local", "slurm"))
    arguments = parser.parse_args()
    tether()
    try:
        sys.exit(run(Project(WORKFLOW.parent), arguments.edition, arguments.profile))
    except slurm.SlurmError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
