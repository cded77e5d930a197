"""Run one model on one cohort: ``python segment.py COHORT MODEL MODE ... --device D --minutes N``.

Each mode is a notebook of its own. The masks and the executed notebook appear whole. A note beside
the masks says what they were made from, and vouches for them.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import execute
import gpu
import parameters
from kernels import KernelError, kernels, modules_of
from project import Project, Run, segment_job
from tether import tether

NOTE = ".made_from"
"""File beside masks or weights: the digest of what they were made from."""


def make(project: Project, runs: Sequence[Run], device: str) -> None:
    """Run the notebook for each of some runs of one model, then write the note.

    They share what was imported, and nothing else.

    Raises
    ------
    execute.ChapterError
        If a cell failed or the gate refused the result.
    """
    jobs = [segment_job(project, run, device) for run in runs]
    asked = jobs[0].expected
    modules = modules_of(project, jobs[0].source, {run.model for run in runs})
    with gpu.mine(asked.device), kernels(project, asked.kernel, asked.device, modules) as sockets:
        for run, job in zip(runs, jobs, strict=True):
            execute.execute(project, job, sockets)
            note = project.masks(run).with_name(NOTE)
            note.write_text(job.expected.package, encoding="utf-8")


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
    parser.add_argument("cohort")
    parser.add_argument("model")
    parser.add_argument("modes", nargs="+", metavar="mode")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--minutes", type=float, required=True)
    arguments = parser.parse_args()
    os.setpgid(0, 0)
    tether(60 * arguments.minutes)
    runs = [Run(arguments.cohort, arguments.model, mode) for mode in arguments.modes]
    try:
        make(Project(Path.cwd()), runs, arguments.device)
    except (execute.ChapterError, KernelError, parameters.ParameterError) as error:
        sys.exit(f"{arguments.model} on {arguments.cohort}: {error}")


if __name__ == "__main__":
    main()
