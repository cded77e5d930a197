"""Stage and render an edition: ``python build.py EDITION --minutes N``.

The pages appear under ``_build/EDITION/html`` when all of them were rendered without a warning.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from jupyter_book.cli.main import main as jupyter_book

from project import Project
from stage import GateError, stage
from tether import tether


def build(project: Project, edition: str) -> None:
    """Render an edition.

    Raises
    ------
    GateError
        If the gate refuses a notebook.
    RuntimeError
        If rendering gave a warning.
    """
    project.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=project.scratch) as scratch:
        draft = Path(scratch) / "src"
        draft.mkdir()
        stage(project, edition, draft)
        source = swap(draft, project.staged(edition))
        swap(render(source, Path(scratch)), project.html(edition))


def render(source: Path, scratch: Path) -> Path:
    """Render a folder of sources below a scratch folder and return the folder of the pages.

    Raises
    ------
    RuntimeError
        If rendering gave a warning.
    """
    # -n: a reference without a target is a warning; -W: a warning is an error.
    jupyter_book.main(
        ["build", "-n", "-W", "--keep-going", "--path-output", str(scratch), str(source)],
        standalone_mode=False,
    )
    return scratch / "_build" / "html"


def swap(draft: Path, final: Path) -> Path:
    """Put a finished folder in place of an old one."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        shutil.rmtree(final)
    return draft.replace(final)


def main() -> None:
    """Render an edition under a wall clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edition")
    parser.add_argument("--minutes", type=float, required=True)
    arguments = parser.parse_args()
    os.setpgid(0, 0)
    tether(60 * arguments.minutes)
    try:
        build(Project(Path.cwd()), arguments.edition)
    except GateError as error:
        sys.exit(f"The gate refuses:\n{error}")


if __name__ == "__main__":
    main()
