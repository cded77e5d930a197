"""Make an edition of the book, or one sweep: ``python run.py [EDITION] [--sweep NAME]``.

Takes the lock, resolves the edition into a plan, lets Snakemake do what is needed, and leaves no
process behind.
"""

import argparse
import contextlib
import csv
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

import execute
import gpu
import kernels
import lock
import plan as plans
import slurm
import sweeps
from imc_helpers.errors import InputError
from plan import Page, Plan
from project import Project
from sweeps import PlannedSweep
from tether import kill, tether

SCRIPTS = Path(__file__).resolve().parent
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")
WATCH_S = 0.5
"""Seconds between two looks at which processes are there."""


def run(project: Project, edition: str, profile: str, sweep: str = "") -> int:
    """Make an edition, or only one of its sweeps, and return the exit status: 0 when it is whole.

    Nothing runs when anything about the edition or the sweep is not as it should be.
    """
    at_a_time = os.cpu_count() or 1 if profile == "local" else 1
    with lock.acquire(project.root) as held, job_environment(project):
        device = gpu.find_device()
        try:
            plan = plans.resolve(project, edition, device=device, at_a_time=at_a_time, sweep=sweep)
        except InputError as error:
            print(error, file=sys.stderr)
            return 2
        if profile == "slurm":
            slurm.cancel(project)  # first of all: a job that still runs would miss its folder
        execute.sweep(project)
        plans.write(project, plan)
        todo = [plan.sweep(sweep)] if sweep else list(plan.sweeps)
        missing = {one.name: _forget_lost(project, one) for one in todo}
        targets = [project.relative(project.sweep_table(edition, sweep))] if sweep else []
        with _kernel_host(project, plan, profile, bool(sweep)):
            status = _snakemake(project, plan, profile, held.fileno(), targets, missing)
            failed = [one.name for one in todo if report(project, one)]
            if sweep:
                return show_sweep(project, plan, todo[0]) or int(bool(failed)) or status
    write_costs(project, edition)
    index = project.html(edition) / "index.html"
    if status or failed or not index.is_file():
        print(f"The {edition} edition was not made.", file=sys.stderr)
        return status or 1
    print(f"The {edition} edition is ready: {index.as_uri()}")
    return 0


def report(project: Project, sweep: PlannedSweep) -> bool:
    """Say what a sweep has and what it lacks, and return whether points failed."""
    able = [point for point in sweep.points if not point.why_not]
    missing = [point for point in able if not sweeps.is_there(project, sweep, point)]
    table = project.sweep_table(sweep.edition, sweep.name)
    failed = {}
    if missing or not table.is_file():
        # Of a sweep that failed in part, Snakemake makes no table: what there is is collected here.
        import points  # noqa: PLC0415  (slow to load, and seldom needed)

        failed = points.collect(project, sweep)
    for text, reason in failed.items():
        print(f"sweep {sweep.name}, {text}: {reason}", file=sys.stderr)
    idle = len(sweep.points) - len(able)
    rest = f"; {idle} cannot run here" if idle else ""
    rest += f"; {len(failed)} failed, `make sweep` again runs only those" if failed else ""
    if table.is_file():
        rest += f": {project.relative(table)}"
    print(f"sweep {sweep.name}: {len(able) - len(failed)} of {len(sweep.points)} points{rest}")
    return bool(failed)


def show_sweep(project: Project, plan: Plan, sweep: PlannedSweep) -> int:
    """Make the page that shows any sweep, and return 0 when it is there, or has nothing to show."""
    table = project.sweep_table(sweep.edition, sweep.name)
    page = project.sweep_page(sweep.edition, sweep.name)
    notebook = project.source(plans.OVERVIEW)
    if not table.is_file() or not notebook.is_file():
        return 0
    made = [page.stat().st_mtime_ns] if page.is_file() else [0]
    if made[0] < max(table.stat().st_mtime_ns, notebook.stat().st_mtime_ns):
        log = project.root / "_build" / sweep.edition / "log" / "sweeps" / f"{sweep.name}.page.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        job = [sys.executable, str(SCRIPTS / "job.py"), sweep.edition, "overview", sweep.name]
        with log.open("w", encoding="utf-8") as file:
            done = subprocess.run(
                [*job, "--minutes", "10"], cwd=project.root, stdout=file, stderr=file, check=False
            )
        if done.returncode:
            print(f"its page was not made: {project.relative(log)}", file=sys.stderr)
            return done.returncode
    print(f"its page: {page.as_uri()}")
    return 0


def write_costs(project: Project, edition: str) -> None:
    """Write what each job of an edition took when it last ran: ``results/EDITION/jobs.csv``.

    Snakemake measures it: wall and processor time in seconds, largest resident memory in MB.
    """
    folder = project.root / "_build" / edition / "cost"
    rows = [["rule", "job", "seconds", "cpu_seconds", "peak_memory_mb"]]
    for path in sorted(folder.rglob("*.tsv")):
        rule, _, name = str(path.relative_to(folder).with_suffix("")).partition("/")
        with path.open(newline="", encoding="utf-8") as file:
            cost = next(csv.DictReader(file, delimiter="\t"))
        rows.append([rule, name, cost["s"], cost["cpu_time"], cost["max_rss"]])
    table = project.root / "results" / edition / "jobs.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def environment(project: Project) -> dict[str, str]:
    """Return what the environment of the jobs has other than this process's.

    Several jobs share the cores, so each computes with one thread; and threads that wait must not
    spin, which makes busy cores many times slower. Data and results are those of this checkout,
    wherever the user keeps others; a mirror is where it was for the user, in any working directory.
    """
    jobs = {f"{library}_NUM_THREADS": "1" for library in THREADS}
    jobs |= {"OMP_WAIT_POLICY": "PASSIVE", "IMC_BOOK_ROOT": str(project.root)}
    if mirror := os.environ.get("IMC_BOOK_MIRROR"):
        jobs["IMC_BOOK_MIRROR"] = str(Path(mirror).expanduser().resolve())
    return jobs


@contextlib.contextmanager
def job_environment(project: Project) -> Iterator[None]:
    """Give this process, and so all that it starts, the environment of the jobs."""
    before = dict(os.environ)
    os.environ.update(environment(project))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _forget_lost(project: Project, sweep: PlannedSweep) -> list[Path]:
    """Remove the marks of chunks that lack a point's result, and return the files to come.

    A point's notebook is no output in Snakemake's eyes: it would remove those of all the points of
    a chunk before it ran one of them again. With the marks goes the table: while it is there, newer
    than its digest, Snakemake asks for no mark.
    """
    by_id = {point.id: point for point in sweep.points}
    missing = []
    for number, ids in enumerate(sweep.chunks):
        lost = [by_id[i] for i in ids if not sweeps.is_there(project, sweep, by_id[i])]
        if lost:
            mark = project.sweep_folder(sweep.edition, sweep.name) / f"{number}.done"
            mark.unlink(missing_ok=True)
        missing += [sweeps.point_file(project, sweep, point) for point in lost]
    if missing:
        project.sweep_table(sweep.edition, sweep.name).unlink(missing_ok=True)
    for path in missing:
        path.unlink(missing_ok=True)  # made from something else
    return missing


@contextlib.contextmanager
def _kernel_host(project: Project, plan: Plan, profile: str, only_sweep: bool) -> Iterator[None]:
    """Start the process that forks the pages' kernels, where there are several pages to run."""
    todo = [page for page in plan.pages if _is_stale(project, plan.edition, page)]
    if profile != "local" or only_sweep or len(todo) < 2:
        yield
        return
    modules = dict.fromkeys(name for page in todo for name in page.imports)
    with kernels.host(project, modules):
        yield


def _is_stale(project: Project, edition: str, page: Page) -> bool:
    """Guess whether a page will run: it is not there, or older than its digest."""
    made, digests = project.executed(edition, page.name), [project.root / d for d in page.digest]
    return not made.is_file() or any(
        digest.stat().st_mtime_ns > made.stat().st_mtime_ns for digest in digests
    )


def _snakemake(
    project: Project,
    plan: Plan,
    profile: str,
    lock_file: int,
    targets: list[str],
    missing: dict[str, list[Path]],
) -> int:
    """Let Snakemake make the targets, or all, and leave no process behind."""
    command = [sys.executable, str(SCRIPTS / "tether.py"), "-m", "snakemake"]
    command += [*targets, "--snakefile", str(SCRIPTS.parent / "Snakefile")]
    command += ["--profile", str(SCRIPTS.parent / "profiles" / profile)]
    if profile == "slurm":
        command += ["--slurm-jobname-prefix", slurm.job_prefix(project)]
    command += ["--config", f"edition={plan.edition}"]
    process = subprocess.Popen(command, cwd=project.root, pass_fds=(lock_file,))
    done = threading.Event()
    seen: set[psutil.Process] = set()

    def watch() -> None:
        said: dict[str, int] = {}
        while not done.wait(WATCH_S):
            seen.update(psutil.Process().children(recursive=True))
            for name, files in missing.items():
                there = sum(file.is_file() for file in files)
                if there >= said.get(name, 0) + max(1, len(files) // 20):
                    said[name] = there
                    print(f"sweep {name}: {there} of {len(files)} points", flush=True)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        return process.wait()
    finally:
        done.set()
        watcher.join()
        # A process whose parent was killed is nobody's child any more, but it was seen before.
        kill(list(seen))
        if profile == "slurm":
            # Snakemake cancels its jobs on Ctrl-C; it cannot when it was killed itself.
            slurm.cancel(project)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    """End the run: every job is whole or not at all, so nothing has to be waited for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("Stopped. The next run goes on from here.", file=sys.stderr)
    sys.exit(128 + number)


def main() -> None:
    """Make an edition, or run a sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edition", nargs="?", default="demo")
    parser.add_argument("--sweep", metavar="NAME", default="", help="run sweeps/NAME.yml instead")
    parser.add_argument("--profile", default="local", choices=("local", "slurm"))
    arguments = parser.parse_args()
    tether()
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    project = Project(SCRIPTS.parents[1])
    try:
        if arguments.profile == "slurm":
            slurm.check()
        status = run(project, arguments.edition, arguments.profile, arguments.sweep)
    except slurm.SlurmError as error:
        sys.exit(str(error))
    except SystemExit:
        kill(psutil.Process().children(recursive=True))
        raise
    sys.exit(status)


if __name__ == "__main__":
    main()
