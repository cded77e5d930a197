"""Run one chapter for one edition: ``python execute.py EDITION CHAPTER --minutes N``.

The executed notebook appears under ``executed/`` whole and stamped, or not at all.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

import gate
import parameters
import stamp as stamps
from kernels import CORE_KERNEL, KernelError, kernels, socket_prefix
from project import Expected, Job, Project, chapter_job, read_chapter
from tether import tether

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
    """A chapter cannot become a page."""


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
    asked = job.expected
    notebook = read_chapter(job.source)
    parameters.check(notebook, asked.parameters)
    notebook.cells.append(new_code_cell(PROBE, id="probe"))

    project.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=project.scratch) as scratch:
        draft = Path(scratch) / "draft.ipynb"
        start = time.monotonic()
        notebook = _run(project, notebook, draft, asked, sockets)
        seconds = time.monotonic() - start

        kernel = json.loads(notebook.cells.pop().outputs[0].text)
        if asked.kernel == CORE_KERNEL and not Path(kernel["prefix"]).samefile(sys.prefix):
            raise ChapterError("the kernel's Python is not the one that runs the book")
        stamps.write(
            notebook,
            stamps.Stamp(
                source=asked.source,
                package=asked.package,
                edition=asked.edition,
                edition_file=asked.edition_file,
                parameters=asked.parameters,
                inputs=asked.inputs,
                kernel=asked.kernel,
                python=kernel["python"],
                device=kernel["device"],
                seconds=round(seconds, 2),
                peak_memory_mb=round(kernel["peak"] / 1e6, 1),
                finished=datetime.now(UTC).isoformat(timespec="seconds"),
            ),
        )
        # papermill writes the whole input and the name of a temporary file here.
        notebook.metadata.papermill.input_path = str(job.source.relative_to(project.root))
        notebook.metadata.papermill.output_path = str(job.target.relative_to(project.root))
        nbformat.write(notebook, draft)
        if refused := gate.problems(notebook, asked, draft.stat().st_size):
            raise ChapterError("\n".join(["the page is refused:", *refused]))
        job.target.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(job.target)


def _run(
    project: Project, notebook: NotebookNode, draft: Path, asked: Expected, sockets: Path
) -> NotebookNode:
    try:
        return papermill.execute_notebook(
            notebook,
            draft,
            parameters=asked.parameters,
            kernel_name=asked.kernel,
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
    """Remove what a killed run left; only when no other run of this checkout is under way."""
    shutil.rmtree(project.scratch, ignore_errors=True)
    for folder in Path(tempfile.gettempdir()).glob(f"{socket_prefix(project)}*"):
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Run one chapter in a process group of its own, under a wall clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edition")
    parser.add_argument("chapter")
    parser.add_argument("--minutes", type=float, required=True)
    arguments = parser.parse_args()
    os.setpgid(0, 0)
    tether(60 * arguments.minutes)
    project = Project(Path.cwd())
    job = chapter_job(project, arguments.edition, arguments.chapter)
    try:
        with kernels(project, job.expected.kernel, job.expected.device) as sockets:
            execute(project, job, sockets)
    except (ChapterError, KernelError, parameters.ParameterError) as error:
        sys.exit(f"chapters/{arguments.chapter}.py: {error}")


if __name__ == "__main__":
    main()
