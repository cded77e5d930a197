"""The jobs that a run has on a cluster under Slurm.

They are no children of the run: they outlive it when it is killed. So their names tell whose they
are, and each run cancels what an earlier one left before it touches a file, and what it leaves.
"""

import getpass
import importlib.util
import shutil
import subprocess
import sys
import time

from kernels import socket_prefix
from project import Project

PLUGIN = "snakemake_executor_plugin_slurm"
PATIENCE_S = 300.0
"""How long cancelled jobs may take to end: Slurm ends them by force after half a minute, unless
their node does not answer, which it notices after five minutes at most by default."""


class SlurmError(Exception):
    """Jobs cannot be sent to the cluster, or do not end."""


def check() -> None:
    """Make sure that jobs can be sent from here.

    Raises
    ------
    SlurmError
        If Slurm or Snakemake's plugin for it is missing.
    """
    if importlib.util.find_spec(PLUGIN) is None:
        raise SlurmError(
            "PROFILE=slurm needs Snakemake's plugin for Slurm. Install it with\n"
            "    .venv/bin/pip install -c envs/constraints.txt -e '.[slurm]'"
        )
    if shutil.which("sbatch") is None:
        raise SlurmError("There is no `sbatch` here: start PROFILE=slurm where Slurm takes jobs.")


def job_prefix(project: Project) -> str:
    """Return how the names of this checkout's jobs begin."""
    return socket_prefix(project) + "job"


def jobs(project: Project) -> list[str]:
    """Return the numbers of this checkout's jobs that wait or run.

    Raises
    ------
    SlurmError
        If Slurm does not answer.
    """
    command = ["squeue", "--noheader", "--user", getpass.getuser(), "--format=%A %j"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise SlurmError(f"Slurm does not say which jobs there are: {asked.stderr.strip()}")
    # The name of a job may hold anything, spaces and nothing included.
    lines = [line.partition(" ") for line in asked.stdout.splitlines()]
    return [number for number, _, name in lines if name.startswith(job_prefix(project))]


def cancel(project: Project) -> None:
    """Cancel this checkout's jobs, and wait until none is there.

    Raises
    ------
    SlurmError
        If Slurm does not answer, or a job does not end.
    """
    left = jobs(project)
    if not left:
        return
    print(f"Cancelling {len(left)} jobs that a run left on the cluster", file=sys.stderr)
    subprocess.run(["scancel", *left], check=False)
    deadline = time.monotonic() + PATIENCE_S
    while left := jobs(project):
        if time.monotonic() > deadline:
            raise SlurmError(
                f"Jobs {', '.join(left)} of an earlier run were cancelled and do not end. Their "
                "node may be down; start again when `squeue --me` does not show them any more."
            )
        time.sleep(1)
