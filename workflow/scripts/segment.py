"""Run one model on one cohort: ``python segment.py COHORT MODEL MODE --device D --minutes N``.

The masks and the executed notebook appear whole. A note beside the masks says what they were made
from, and vouches for them.
"""

import argparse
import os
import sys
from pathlib import Path

import execute
import gpu
import parameters
from kernels import KernelError, kernels
from project import Project, Run, segment_job
from tether import tether

NOTE = ".made_from"
"""File beside masks or weights: the digest of what they were made from."""


def make(project: Project, run: Run, device: str) -> None:
    """Run the notebook, then write the note.

    Raises
    ------
    execute.ChapterError
        If a cell failed or the gate refused the result.
    """
    job = segment_job(project, run, device)
    asked = job.expected
    with gpu.mine(asked.device), kernels(project, asked.kernel, asked.device) as sockets:
        execute.execute(project, job, sockets)
    project.masks(run).with_name(NOTE).write_text(job.expected.package, encoding="utf-8")


def forget_stale(project: Project, run: Run) -> None:
    """Remove the record of a run whose masks were made from something else than today's files.

    Without it they count as missing. Everything under ``predictions/`` is made by runs: a user's
    own masks lie in the folder that their model's entry in the manifest names.
    """
    masks = project.masks(run)
    note = masks.with_name(NOTE)
    if not note.is_file() or note.read_text(encoding="utf-8") != project.run_digest(run):
        masks.unlink(missing_ok=True)


def main() -> None:
    """Run one model in a process group of its own, under a wall clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("cohort", "model", "mode"):
        parser.add_argument(name)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--minutes", type=float, required=True)
    arguments = parser.parse_args()
    os.setpgid(0, 0)
    tether(60 * arguments.minutes)
    run = Run(arguments.cohort, arguments.model, arguments.mode)
    try:
        make(Project(Path.cwd()), run, arguments.device)
    except (execute.ChapterError, KernelError, parameters.ParameterError) as error:
        sys.exit(f"{run.model} on {run.cohort}, {run.mode}: {error}")


if __name__ == "__main__":
    main()
