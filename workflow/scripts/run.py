"""Make an edition of the book, or one sweep: ``python run.py [EDITION] [--sweep NAME]``.

Takes the lock, lets Snakemake do what is needed, leaves no process behind, and looks at the result
itself: Snakemake's own verdict is about files and their times.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import nbformat
import psutil

import collect
import execute
import gate
import gpu
import lock
import points
import prepare
import segment
import slurm
import sweep_page
import sweeps
import train
from imc_helpers.data.manifest import Edition, model_record
from imc_helpers.errors import InputError
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
        for name in record.sweeps:
            sweeps.points(project, name, edition)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    with lock.acquire(project.root) as held:
        runs = project.runs(edition)
        _prepare(project, record, {run.model for run in runs}, profile)
        for one in runs:
            segment.forget_stale(project, one)
        status = _snakemake(project, edition, profile, held.fileno(), record.sweeps)
        failed = [name for name in record.sweeps if report_sweep(project, name, edition)]
        missing = unfit(project, edition)
    for problem in missing:
        print(problem, file=sys.stderr)
    index = project.html(edition) / "index.html"
    if status or failed or missing or not index.is_file():
        print(f"The {edition} edition was not made.", file=sys.stderr)
        return status or 1
    print(f"The {edition} edition is ready: {index.as_uri()}")
    return 0


def run_sweep(project: Project, name: str, edition: str, profile: str) -> int:
    """Run a sweep and return the exit status: 0 when all points that can run here are in its table.

    Nothing runs when anything about the sweep is not as it should be.
    """
    try:
        found = sweeps.points(project, name, edition)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    with lock.acquire(project.root) as held:
        models = set(sweeps.needed_weights(project, found))
        _prepare(project, project.edition(edition), models, profile)
        target = str(sweeps.table_file(project, name, edition).relative_to(project.root))
        status = _snakemake(project, edition, profile, held.fileno(), (name,), target)
        status = report_sweep(project, name, edition) or status
        return show_sweep(project, name, edition) or status


def report_sweep(project: Project, name: str, edition: str) -> int:
    """Collect what a sweep has, say what it lacks, and return 1 when points failed."""
    found = sweeps.points(project, name, edition)
    table = sweeps.table_file(project, name, edition)
    note = sweeps.note_file(project, name, edition)
    whole = note.is_file() and note.read_text(encoding="utf-8") == sweeps.made_from(found)
    failed = {} if whole and table.is_file() else collect.collect(project, name, edition)
    idle = sum(bool(point.why_not) for point in found)
    for text, reason in failed.items():
        print(f"sweep {name}, {text}: {reason}", file=sys.stderr)
    done = len(found) - idle - len(failed)
    rest = f"; {idle} cannot run here" if idle else ""
    rest += f"; {len(failed)} failed, `make sweep` again runs only those" if failed else ""
    if table.is_file():
        rest += f": {table.relative_to(project.root)}"
    print(f"sweep {name}: {done} of {len(found)} points{rest}")
    return int(bool(failed))


def show_sweep(project: Project, name: str, edition: str) -> int:
    """Make the page that shows any sweep, and return 0 when it is there, or has nothing to show."""
    notebook, table = project.source(sweep_page.OVERVIEW), sweeps.table_file(project, name, edition)
    if not table.is_file() or not notebook.is_file():
        return 0
    command = [sys.executable, str(WORKFLOW / "scripts" / "sweep_page.py"), edition, name]
    log = project.root / "_build" / edition / "log" / "sweeps" / f"{name}.page.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        made = subprocess.run(
            [*command, "--minutes", "10"],
            cwd=project.root,
            env=environment(project),
            stdout=file,
            stderr=file,
            check=False,
        )
    if made.returncode:
        print(f"its page was not made: {log.relative_to(project.root)}", file=sys.stderr)
    else:
        print(f"its page: {sweep_page.page_file(project, name, edition).as_uri()}")
    return made.returncode


def _prepare(project: Project, record: Edition, models: set[str], profile: str) -> None:
    """Remove what killed runs left, and data and weights made from other than today's files."""
    if profile == "slurm":
        slurm.cancel(project)  # first of all: a job that still runs would miss its folder
    execute.sweep(project)
    prepare.sweep(project)
    for cohort in record.cohorts:
        prepare.forget_stale(project, cohort)
    for model in models:
        if model_record(model).training is not None:
            train.forget_stale(project, model)


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


def _snakemake(
    project: Project,
    edition: str,
    profile: str,
    lock_file: int,
    names: Sequence[str],
    *targets: str,
) -> int:
    """Plan sweeps, let Snakemake make the targets, or all, and leave no process behind."""
    cores = os.cpu_count() or 1 if profile == "local" else 1
    todo = {name: points.plan(project, name, edition, cores) for name in names}
    command = [sys.executable, str(WORKFLOW / "scripts" / "tether.py"), "-m", "snakemake"]
    command += [*targets, "--snakefile", str(WORKFLOW / "Snakefile")]
    command += ["--profile", str(WORKFLOW / "profiles" / profile)]
    if profile == "slurm":
        command += ["--slurm-jobname-prefix", slurm.job_prefix(project)]
    command += ["--config", f"edition={edition}", f"device={gpu.find_device()}"]
    command += [f"sweeps={' '.join(names)}"]
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
        said: dict[str, int] = {}
        while not done.wait(WATCH_S):
            seen.update(psutil.Process().children(recursive=True))
            for name, planned in todo.items():
                there = sum(point.job.target.is_file() for point in planned)
                if there >= said.get(name, 0) + max(1, len(planned) // 20):
                    said[name] = there
                    print(f"sweep {name}: {there} of {len(planned)} points", flush=True)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    status = process.wait()
    done.set()
    watcher.join()
    # A process whose parent was killed is nobody's child any more, but it was seen before.
    kill(list(seen))
    if profile == "slurm":
        # Snakemake cancels its jobs on Ctrl-C; it cannot when it was killed itself.
        slurm.cancel(project)
    return status


def main() -> None:
    """Make an edition, or run a sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edition", nargs="?", default="demo")
    parser.add_argument("--sweep", metavar="NAME", help="run sweeps/NAME.yml instead")
    parser.add_argument("--profile", default="local", choices=("local", "slurm"))
    arguments = parser.parse_args()
    tether()
    project = Project(WORKFLOW.parent)
    try:
        if arguments.profile == "slurm":
            slurm.check()
        if arguments.sweep is None:
            sys.exit(run(project, arguments.edition, arguments.profile))
        sys.exit(run_sweep(project, arguments.sweep, arguments.edition, arguments.profile))
    except slurm.SlurmError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
