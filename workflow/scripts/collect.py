"""Collect a sweep's points in one tidy table: ``python collect.py EDITION SWEEP``."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

import parameters
import sweeps
from imc_helpers.errors import InputError
from imc_helpers.experiments.sweep_results import rows_of
from project import Project
from tether import tether


def collect(project: Project, name: str, edition: str) -> dict[str, str]:
    """Write the table of a sweep: the parameters of a point in front of each of its rows.

    Points without a result are listed beside it, in ``NAME.failed.csv``, with the reason.

    Returns
    -------
    dict
        Why a point has no result, by its values; of the points that could run here.
    """
    found = sweeps.points(project, name, edition)
    frames, missing, failed = [], [], {}
    for point in found:
        reason = sweeps.state(point)
        if not reason:
            try:
                rows = rows_of(nbformat.read(point.job.target, as_version=4))
                frames.append(_in_front(point.settings, rows))
            except InputError as error:
                reason = str(error)
        if not reason:
            continue
        log = sweeps.log_file(project, name, edition, point)
        where = ""
        if log.is_file():
            reason, where = _last_line(log), str(log.relative_to(project.root))
        missing.append({**_as_text(point.settings), "reason": reason, "log": where})
        if not point.why_not:
            failed[point.text] = f"{reason} ({where})" if where else reason
    table = sweeps.table_file(project, name, edition)
    table.parent.mkdir(parents=True, exist_ok=True)
    _write(pd.concat(frames, ignore_index=True) if frames else None, table)
    _write(pd.DataFrame(missing) if missing else None, sweeps.failed_file(project, name, edition))
    note = sweeps.note_file(project, name, edition)
    note.unlink(missing_ok=True)
    if not failed:
        note.write_text(sweeps.made_from(found), encoding="utf-8")
    return failed


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


def main() -> None:
    """Collect one sweep; fails when a point that can run here has no result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edition")
    parser.add_argument("sweep")
    arguments = parser.parse_args()
    tether()
    failed = collect(Project(Path.cwd()), arguments.sweep, arguments.edition)
    if failed:
        sys.exit("\n".join(f"{text}: {reason}" for text, reason in failed.items()))


if __name__ == "__main__":
    main()
