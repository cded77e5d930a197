"""Run one notebook: it appears under ``executed/`` whole, stamped and checked, or not at all."""

import json
import shutil
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

import gate
import parameters
from kernels import CORE_KERNEL, socket_prefix
from project import Project, read_chapter

PROBE = """\
import json, platform, resource, sys
_torch, _tf = sys.modules.get("torch"), sys.modules.get("tensorflow")
_gpu = (_torch is not None and _torch.cuda.is_available()) or (
    _tf is not None and bool(_tf.config.list_physical_devices("GPU"))
)
_device = "cuda" if _gpu else "cpu"
_who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
_peak = max(resource.getrusage(who).ru_maxrss for who in _who)
_peak *= 1 if platform.system() == "Darwin" else 1024
print(json.dumps(
    {"prefix": sys.prefix, "python": platform.python_version(), "device": _device, "peak": _peak}
))
"""
"""Last cell of every run, taken out again: what the kernel says that it is."""


class ChapterError(Exception):
    """A notebook does not run to its end, or may not become a page."""


@dataclass(frozen=True)
class Job:
    """One notebook to run: from what, with what, and where it ends."""

    source: Path
    target: Path
    parameters: dict[str, Any]
    kernel: str
    """Name of the Jupyter kernel."""
    device: str
    """``"cpu"`` or ``"cuda"``; empty where either will do."""
    made_from: str
    """SHA-256 of the digest of what it depends on, for the stamp."""
    edition: str = ""
    page: bool = True
    """Whether it becomes a page of the book."""


def execute(project: Project, job: Job, sockets: Path) -> None:
    """Run a notebook and put the result in its place.

    Parameters
    ----------
    project, job
        What to run.
    sockets
        The folder that `kernels.kernels` yields for the job's kernel and device.

    Raises
    ------
    ChapterError
        If a cell failed or the gate refused the result.
    ParameterError
        If the parameters do not fit the notebook.
    """
    notebook = read_chapter(job.source)
    parameters.check(notebook, job.parameters)
    notebook.cells.append(new_code_cell(PROBE, id="probe"))

    with project.drafts() as drafts:
        draft = drafts / "draft.ipynb"
        start = time.monotonic()
        notebook = _run(project, notebook, draft, job, sockets)
        seconds = time.monotonic() - start

        kernel = json.loads(notebook.cells.pop().outputs[0].text)
        if job.kernel == CORE_KERNEL and not Path(kernel["prefix"]).samefile(sys.prefix):
            raise ChapterError("the kernel's Python is not the one that runs the book")
        notebook.metadata[gate.KEY] = gate.Stamp(
            made_from=job.made_from,
            edition=job.edition,
            parameters=job.parameters,
            kernel=job.kernel,
            python=kernel["python"],
            device=kernel["device"],
            seconds=round(seconds, 2),
            peak_memory_mb=round(kernel["peak"] / 1e6, 1),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        ).model_dump()
        # papermill writes the whole input and the name of a temporary file here.
        notebook.metadata.papermill.input_path = project.relative(job.source)
        notebook.metadata.papermill.output_path = project.relative(job.target)
        nbformat.write(notebook, draft)
        size = draft.stat().st_size
        if refused := gate.problems(notebook, device=job.device, size=size, page=job.page):
            raise ChapterError("\n".join(["the page is refused:", *refused]))
        job.target.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(job.target)


def _run(
    project: Project, notebook: NotebookNode, draft: Path, job: Job, sockets: Path
) -> NotebookNode:
    # Slow to load, and most jobs run no notebook.
    import papermill  # noqa: PLC0415
    from nbclient.exceptions import DeadKernelError  # noqa: PLC0415
    from papermill.exceptions import PapermillExecutionError  # noqa: PLC0415
    from traitlets.config import Config  # noqa: PLC0415

    try:
        return papermill.execute_notebook(
            notebook,
            draft,
            parameters=job.parameters,
            kernel_name=job.kernel,
            cwd=project.root,
            progress_bar=False,
            # The draft is written once, when all is done: writing after each cell takes longer.
            request_save_on_cell_execute=False,
            # Parallel kernels collide on TCP ports. Sockets in a folder of their own cannot.
            config=Config(
                KernelManager={
                    "transport": "ipc",
                    "connection_file": str(sockets / f"{uuid.uuid4().hex[:8]}.json"),
                }
            ),
        )
    except PapermillExecutionError as error:
        raise ChapterError(str(error)) from None
    except DeadKernelError:
        raise ChapterError("the kernel died: out of memory, killed, or crashed") from None


def sweep(project: Project) -> None:
    """Remove what a killed run left half-made; only when no other run of this checkout is at work.

    Half-made cohorts and weights stand beside the whole ones, under a name that begins with a dot
    (`imc_helpers.data.paths.replacing`); downloads are kept.
    """
    shutil.rmtree(project.scratch, ignore_errors=True)
    for folder in Path(tempfile.gettempdir()).glob(f"{socket_prefix(project)}*"):
        shutil.rmtree(folder, ignore_errors=True)
    for place in ("data", "weights"):
        for folder in (project.root / place).glob(".*.*"):
            shutil.rmtree(folder, ignore_errors=True)
