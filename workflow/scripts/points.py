"""Run the points of a sweep, one after the other, and collect what they found in one table.

The points of a chunk share what was imported, and nothing else: each has a kernel of its own. One
that fails does not stop the others; what is done already is not done again.
"""

import os
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import psutil

import execute
import gpu
import parameters
import sweeps
from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.experiments.sweep_results import rows_of
from kernels import imports_of, kernels
from project import Project, read_chapter
from sweeps import PlannedSweep, Point
from tether import kill

POLL_S = 0.2
"""Seconds between two looks at a point's memory and time."""


def run_points(
    project: Project, sweep: PlannedSweep, chosen: Sequence[Point], memory_mb: int = 0
) -> dict[str, str]:
    """Run points that have no result yet.

    Parameters
    ----------
    project, sweep, chosen
        Which points.
    memory_mb
        Most resident memory that a point may take, MB; what the sweep says where it is 0.

    Returns
    -------
    dict
        Why a point failed, by its id; each also has a log.
    """
    failed: dict[str, str] = {}
    todo = [point for point in chosen if not sweeps.is_there(project, sweep, point)]
    if not todo:
        return failed
    source = project.source(sweep.notebook)
    models = {p.settings[sweeps.MODEL] for p in todo if sweeps.MODEL in p.settings}
    adapters = sorted({model_record(model).adapter for model in models})
    modules = imports_of(read_chapter(source), *adapter_texts(project, adapters))
    limit_mb = memory_mb or sweep.memory_mb
    with gpu.mine(sweep.device), kernels(project, sweep.kernel, sweep.device, modules) as sockets:
        spared = set(psutil.Process().children())
        for number, point in enumerate(todo, start=1):
            print(f"{number} of {len(todo)}: {point.text}", flush=True)
            ended: list[str] = []
            log = sweeps.log_file(project, sweep, point)
            log.unlink(missing_ok=True)
            try:
                with _limits(sweep.minutes, limit_mb, spared, ended):
                    execute.execute(project, _job(project, sweep, point), sockets)
            except (execute.ChapterError, parameters.ParameterError) as error:
                failed[point.id] = "; ".join([*ended, str(error)])
            except Exception:  # whatever it is, the other points still run
                failed[point.id] = "; ".join([*ended, traceback.format_exc()])
            if point.id in failed:
                text = f"{point.text}\n{failed[point.id]}\n"
                print(f"FAILED: {text}", flush=True)
                with suppress(OSError):  # on a full disk
                    log.parent.mkdir(parents=True, exist_ok=True)
                    log.write_text(text, encoding="utf-8")
    return failed


def adapter_texts(project: Project, adapters: Sequence[str]) -> list[str]:
    """Return the texts of adapters' modules, and lines that import those."""
    folder = project.root / "src" / "imc_helpers" / "models" / "adapters"
    texts = [(folder / f"{name}.py").read_text(encoding="utf-8") for name in adapters]
    return [*texts, *(f"import imc_helpers.models.adapters.{name}" for name in adapters)]


def collect(project: Project, sweep: PlannedSweep) -> dict[str, str]:
    """Write the table of a sweep: the parameters of a point in front of each of its rows.

    Points without a result are listed beside it, in ``NAME.failed.csv``, with the reason.

    Returns
    -------
    dict
        Why a point has no result, by its values; of the points that could run here.
    """
    frames, missing, failed = [], [], {}
    for point in sweep.points:
        reason = point.why_not
        if not reason and not sweeps.is_there(project, sweep, point):
            reason = "not run"
        if not reason:
            try:
                file = sweeps.point_file(project, sweep, point)
                rows = rows_of(nbformat.read(file, as_version=4))
                frames.append(_in_front(point.settings, rows))
            except InputError as error:
                reason = str(error)
        if not reason:
            continue
        log = sweeps.log_file(project, sweep, point)
        where = ""
        if log.is_file():
            reason, where = _last_line(log), project.relative(log)
        missing.append({**_as_text(point.settings), "reason": reason, "log": where})
        if not point.why_not:
            failed[point.text] = f"{reason} ({where})" if where else reason
    table = project.sweep_table(sweep.edition, sweep.name)
    table.parent.mkdir(parents=True, exist_ok=True)
    _write(pd.concat(frames, ignore_index=True) if frames else None, table)
    _write(pd.DataFrame(missing) if missing else None, table.with_suffix(".failed.csv"))
    return failed


def _job(project: Project, sweep: PlannedSweep, point: Point) -> execute.Job:
    return execute.Job(
        source=project.source(sweep.notebook),
        target=sweeps.point_file(project, sweep, point),
        parameters={"edition": sweep.edition, **point.settings},
        kernel=sweep.kernel,
        device=sweep.device,
        made_from=point.made_from,
        edition=sweep.edition,
    )


@contextmanager
def _limits(
    minutes: float, memory_mb: int, spared: set[psutil.Process], ended: list[str]
) -> Iterator[None]:
    """End a point's kernel when it takes too long or too much memory, and note why."""
    done = threading.Event()

    def watch() -> None:
        waited = 0.0
        while not done.wait(POLL_S):
            waited += POLL_S
            below = [p for p in psutil.Process().children(recursive=True) if p not in spared]
            if waited > 60 * minutes:
                ended.append(f"ended: not finished after {minutes:g} minutes")
            elif _resident_mb(below) > memory_mb:
                ended.append(f"ended: took more than {memory_mb} MB of memory")
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


def _in_front(values: Mapping[str, Any], rows: pd.DataFrame) -> pd.DataFrame:
    both = [column for column in rows.columns if column in values]
    if both:
        raise InputError(f"its rows have the columns {', '.join(both)}, which are parameters too")
    return pd.concat([pd.DataFrame([_as_text(values)] * len(rows)), rows], axis=1)


def _as_text(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as a table holds them: a list as it is written in a notebook."""
    return {k: parameters.as_literal(v) if isinstance(v, list) else v for k, v in values.items()}


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    return lines[-1].strip()


def _write(frame: pd.DataFrame | None, path: Path) -> None:
    """Put a table in its place, whole; remove it where there is none."""
    if frame is None:
        path.unlink(missing_ok=True)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        frame.to_csv(draft, index=False)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
