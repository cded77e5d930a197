"""The GPU: whether there is one, and one job at a time on it."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FREE_MB = 4000
"""Free GPU memory that a job asks for before it starts; the largest networks here take 3.5 GB."""


def find_device() -> str:
    """Return ``"cuda"`` where there is a GPU, else ``"cpu"``; ``IMC_BOOK_DEVICE`` overrides.

    On a cluster the GPU is where the job will run, not where it is planned.
    """
    if named := os.environ.get("IMC_BOOK_DEVICE"):
        if named not in ("cpu", "cuda"):
            sys.exit(f"IMC_BOOK_DEVICE: expected cpu or cuda, found {named!r}")
        return named
    return "cuda" if _free_mb() else "cpu"


@contextmanager
def mine(device: str) -> Iterator[None]:
    """Hold the machine's GPU while a job runs; nothing on a CPU.

    Jobs of this book wait for one another. Other programs take no notice of the lock, so a GPU
    that they fill is an error, said before anything is loaded. Slurm gives each job GPUs of its
    own, among others that are none of its business.
    """
    if device != "cuda" or "SLURM_JOB_ID" in os.environ:
        yield
        return
    lock = Path(tempfile.gettempdir()) / f"imc-book-gpu-{os.getuid()}.lock"
    with lock.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        free = max(_free_mb(), default=0)
        if free < FREE_MB:
            sys.exit(
                f"the GPU has {free} MB free, and a job needs {FREE_MB}: end what fills it, or set "
                "IMC_BOOK_DEVICE=cpu"
            )
        yield


def _free_mb() -> list[int]:
    """Return the free memory of each GPU, MB; empty where there is none."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(n) for n in found.stdout.split() if n.isdigit()] if not found.returncode else []
