"""Show a sweep's table on a page of its own: ``python sweep_page.py EDITION SWEEP --minutes N``."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
import yaml

import build
import execute
import stage
import stamp as stamps
import sweeps
from gate import problems
from kernels import kernels
from parameters import ParameterError
from project import Expected, Job, Project, digest, read_chapter
from tether import tether

OVERVIEW = "sweeps/overview"
"""The notebook that shows any sweep; no page of the book."""


def page_file(project: Project, name: str, edition: str) -> Path:
    """Return the page of a sweep."""
    return project.root / "_build" / edition / "sweep" / name / "html" / "index.html"


def make(project: Project, name: str, edition: str) -> Path:
    """Run the notebook that shows any sweep, render it alone, and return the page.

    Nothing is done when it was made of today's table.

    Raises
    ------
    execute.ChapterError
        If a cell failed or the gate refused the result.
    """
    job, page = _job(project, name, edition), page_file(project, name, edition)
    if job.target.is_file() and page.is_file():
        notebook = nbformat.read(job.target, as_version=4)
        if not problems(notebook, job.expected, job.target.stat().st_size):
            return page
    with kernels(project, job.expected.kernel, job.expected.device) as sockets:
        execute.execute(project, job, sockets)
    project.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=project.scratch) as scratch:
        folder = Path(scratch) / "src"
        folder.mkdir()
        _write_sources(project, edition, job, folder)
        html = build.render(folder, Path(scratch))
        return build.swap(html, page.parent) / page.name


def _job(project: Project, name: str, edition: str) -> Job:
    source = project.source(OVERVIEW)
    found = sweeps.points(project, name, edition)
    asked = Expected(
        source=digest(source),
        package=project.package_digest(),
        edition=edition,
        edition_file=digest(project.edition_file(edition)),
        parameters={"edition": edition, "sweep": name, "swept": list(found[0].settings)},
        kernel=read_chapter(source).metadata.kernelspec.name,
        device="cpu",
        inputs=digest(sweeps.table_file(project, name, edition)),
    )
    return Job(source, project.root / "executed" / edition / "sweep" / f"{name}.ipynb", asked)


def _write_sources(project: Project, edition: str, job: Job, folder: Path) -> None:
    """Write a book of one page into an empty folder."""
    notebook = nbformat.read(job.target, as_version=4)
    stamp = stamps.read(notebook)
    assert stamp is not None
    shown = stage.with_run(stage.for_myst(notebook), stamp, stage.data_mb(project, edition))
    nbformat.write(shown, folder / "index.ipynb")
    settings = stage.configuration(project, edition)
    # Links to Colab and Binder need the page's place in the repository, which it has not.
    settings.pop("launch_buttons", None)
    (folder / "_config.yml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: index\n", encoding="utf-8")
    for name in ("_static", *project.config.get("bibtex_bibfiles", [])):
        source = project.root / name
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, folder / name)


def main() -> None:
    """Make the page of one sweep under a wall clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edition")
    parser.add_argument("sweep")
    parser.add_argument("--minutes", type=float, required=True)
    arguments = parser.parse_args()
    os.setpgid(0, 0)
    tether(60 * arguments.minutes)
    try:
        make(Project(Path.cwd()), arguments.sweep, arguments.edition)
    except (execute.ChapterError, ParameterError) as error:
        sys.exit(f"page of the sweep {arguments.sweep}: {error}")


if __name__ == "__main__":
    main()
