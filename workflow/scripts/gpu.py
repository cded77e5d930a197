"""The GPU: whether there is one, and one job at a time on it."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

FREE_MB = 4000
"""Free GPU memory that a job asks for before it starts; the largest networks here take 3.5 GB."""
VISIBLE = "CUDA_VISIBLE_DEVICES"


class Gpu(NamedTuple):
    """One GPU as ``nvidia-smi`` tells it."""

    number: str
    uuid: str
    free_mb: int


def find_device() -> str:
    """Return ``"cuda"`` where there is a GPU that the core's torch can use, else ``"cpu"``.

    ``IMC_BOOK_DEVICE`` overrides: on a cluster the GPU is where the job will run, not where it is
    planned.
    """
    if named := os.environ.get("IMC_BOOK_DEVICE"):
        if named not in ("cpu", "cuda"):
            sys.exit(f"IMC_BOOK_DEVICE: expected cpu or cuda, found {named!r}")
        return named
    return "cuda" if _usable() and _torch_sees_it() else "cpu"


@contextmanager
def mine(device: str) -> Iterator[None]:
    """Hold a GPU of this machine while a job runs, and let the job see no other; nothing on a CPU.

    Jobs of this book wait for one another. Other programs take no notice of the lock, so a GPU that
    they fill is an error, said before anything is loaded: the one with most free memory is taken.
    Slurm gives each job GPUs of its own, among others that are none of its business.
    """
    if device != "cuda" or "SLURM_JOB_ID" in os.environ:
        yield
        return
    lock = Path(tempfile.gettempdir()) / f"imc-book-gpu-{os.getuid()}.lock"
    with lock.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        best = max(_usable(), key=lambda gpu: gpu.free_mb, default=None)
        if best is None:
            sys.exit("no GPU here that a job may use: set IMC_BOOK_DEVICE=cpu")
        if best.free_mb < FREE_MB:
            sys.exit(
                f"the GPU has {best.free_mb} MB free, and a job needs {FREE_MB}: end what fills "
                "it, or set IMC_BOOK_DEVICE=cpu"
            )
        before = os.environ.get(VISIBLE)
        os.environ[VISIBLE] = best.uuid
        try:
            yield
        finally:
            os.environ.pop(VISIBLE)
            if before is not None:
                os.environ[VISIBLE] = before


def _usable() -> list[Gpu]:
    """Return the GPUs that the user lets jobs see; none without a driver that answers."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [line.split(", ") for line in asked.stdout.splitlines()] if not asked.returncode else []
    gpus = [Gpu(row[0], row[1], int(row[2])) for row in rows if len(row) == 3 and row[2].isdigit()]
    allowed = os.environ.get(VISIBLE)
    if allowed is None:
        return gpus
    names = [name.strip() for name in allowed.split(",")]
    return [gpu for gpu in gpus if gpu.number in names or gpu.uuid in names]


def _torch_sees_it() -> bool:
    """Ask torch, in a process of its own: a build for the CPU sees no GPU that is there."""
    if find_spec("torch") is None:
        return False
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return not subprocess.run([sys.executable, "-c", code], check=False).returncode
