"""Run one chapter for one edition: ``python execute.py EDITION CHAPTER --minutes N``.

The executed notebook appears under ``executed/`` whole and stamped, or not at all.
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import papermill
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

import gate
import parameters
import stamp as stamps
from project import Expected, Job, Project, chapter_job, read_chapter
from tether import tether

PROBE = """\
import json, platform, sys
_torch, _tf = sys.modules.get("torch"), sys.modules.get("tensorflow")
_gpu = (_torch is not None and _torch.cuda.is_available()) or (
    _tf is not None and bool(_tf.config.list_physical_devices("GPU"))
)
_device = "cuda" if _gpu else "cpu"
print(json.dumps(
    {"prefix": sys.prefix, "python": platform.python_version(), "device": _device}
))
"""
"""Last cell of every run, taken out again: what the kernel says that it is."""
CORE_KERNEL = "python3"


class ChapterError(Exception):
    """A chapter cannot become a page."""


def execute(project: Project, job: Job) -> None:
    """Run a notebook and put the result in its place.

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
    if asked.device == "cpu":
        # A library that finds a GPU would use it.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""

    project.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=project.scratch) as scratch:
        draft = Path(scratch) / "draft.ipynb"
        start = time.monotonic()
        notebook = _run(project, notebook, draft, asked)
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
                peak_memory_mb=round(_peak_memory_bytes() / 1e6, 1),
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


def _run(project: Project, notebook: NotebookNode, draft: Path, asked: Expected) -> NotebookNode:
    with _kernel_folder(project) as folder:
        try:
            return papermill.execute_notebook(
                notebook,
                draft,
                parameters=asked.parameters,
                kernel_name=asked.kernel,
                cwd=project.root,
                progress_bar=False,
                # Parallel kernels collide on TCP ports. Sockets in a folder of their own cannot.
                config=Config(
                    KernelManager={
                        "transport": "ipc",
                        "connection_file": str(folder / "k.json"),
                    }
                ),
            )
        except PapermillExecutionError as error:
            raise ChapterError(str(error)) from None


@contextmanager
def _kernel_folder(project: Project) -> Iterator[Path]:
    """Make a folder for a kernel's sockets, and for the description of the book's own kernel.

    The path of a socket may have about 100 characters, so the folder stands with the system's
    temporary files. A kernel of the same name that the user installed must not take the place of
    the book's own.
    """
    with tempfile.TemporaryDirectory(prefix=socket_prefix(project)) as name:
        folder = Path(name)
        spec = folder / "kernels" / CORE_KERNEL / "kernel.json"
        spec.parent.mkdir(parents=True)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        description = {"argv": command, "display_name": "Python 3", "language": "python"}
        spec.write_text(json.dumps(description), encoding="utf-8")
        others = os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = os.pathsep.join([name, *([others] if others else [])])
        # Start-up files of the user's own IPython are no part of the book.
        os.environ["IPYTHONDIR"] = str(folder / "ipython")
        yield folder


def socket_prefix(project: Project) -> str:
    """Return how the names of this checkout's folders of sockets begin."""
    return f"imcb-{hashlib.sha256(str(project.root).encode()).hexdigest()[:8]}-"


def sweep(project: Project) -> None:
    """Remove what a killed run left; only when no other run of this checkout is under way."""
    shutil.rmtree(project.scratch, ignore_errors=True)
    for folder in Path(tempfile.gettempdir()).glob(f"{socket_prefix(project)}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _peak_memory_bytes() -> int:
    """Return the largest resident memory of any child that has ended: here, of the kernel."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


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
    try:
        execute(project, chapter_job(project, arguments.edition, arguments.chapter))
    except (ChapterError, parameters.ParameterError) as error:
        sys.exit(f"chapters/{arguments.chapter}.py: {error}")


if __name__ == "__main__":
    main()
