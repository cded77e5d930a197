"""Bring the notebooks in step with their texts: ``python sync.py``.

Each ``chapters/**/*.py`` is the source. Beside it stands a notebook without outputs, for Colab and
Binder, which open nothing else. Both begin with a cell that installs the package on Colab.

The cell names the address in ``_config.yml``. While that is empty and the repository lies on
GitHub, the address is written there first.
"""

import re
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

import parameters
import repository
from project import CHAPTERS, Project, read_chapter

GUARD_MARK = "# Colab guard, written by `make sync`"
GUARD = """\
{mark}: installs the package where it is missing.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("imc_helpers") is None:
    # A release, without dependencies: the numpy and torch that are there stay as they are.
    packages = [
        "git+{address}@{tag}",
        "centrosome",
        "imagecodecs",
        "pooch",
        "readimc",
    ]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, *packages], check=True)"""
GUARD_WITHOUT_ADDRESS = """\
{mark}: says what to do where the package is missing.
import importlib.util

if importlib.util.find_spec("imc_helpers") is None:
    raise ModuleNotFoundError(
        "The package imc_helpers is not installed, and the book has no public repository yet to "
        "install it from. In a copy of the book, run: pip install --no-deps ."
    )"""
NO_ADDRESS = re.compile(r'(?m)^(repository:\n(?: +.*\n)*? +url: )""$')
"""The place in ``_config.yml`` for the address, while it is empty."""


def guard(project: Project) -> str:
    """Return the Colab cell for the address in ``_config.yml`` and the version of the package."""
    address = repository.setting(project)
    if not address:
        return GUARD_WITHOUT_ADDRESS.format(mark=GUARD_MARK)
    return GUARD.format(mark=GUARD_MARK, address=address, tag=repository.tag(project))


def with_guard(notebook: NotebookNode, cell: str) -> NotebookNode:
    """Return a copy whose one guard cell, after the parameters, reads as given."""
    copy = nbformat.from_dict(notebook)
    copy.cells = [c for c in copy.cells if not c.source.startswith(GUARD_MARK)]
    tagged = [n for n, c in enumerate(copy.cells) if parameters.TAG in c.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise parameters.ParameterError(
            f"expected one cell with the tag `{parameters.TAG}`, found {len(tagged)}"
        )
    copy.cells.insert(tagged[0] + 1, new_code_cell(cell, metadata={"tags": ["hide-input"]}))
    return copy


def texts(source: Path, cell: str) -> tuple[str, str]:
    """Return a chapter's text and its paired notebook as they should be."""
    text = jupytext.writes(with_guard(jupytext.read(source), cell), fmt="py:percent")
    notebook = read_chapter(source)
    notebook.metadata.pop("jupytext", None)
    return text, nbformat.writes(notebook) + "\n"


def sync(project: Project) -> list[Path]:
    """Write what is out of step and return its paths."""
    settings = project.root / "_config.yml"
    text = settings.read_text(encoding="utf-8")
    address = repository.address(project)
    written = _write(settings, NO_ADDRESS.sub(rf'\g<1>"{address}"', text))
    cell = guard(project)
    for source in sorted((project.root / CHAPTERS).rglob("*.py")):
        text, _ = texts(source, cell)
        written += _write(source, text)
        _, notebook = texts(source, cell)
        written += _write(source.with_suffix(".ipynb"), notebook)
    return written


def _write(path: Path, content: str) -> list[Path]:
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return []
    path.write_text(content, encoding="utf-8")
    return [path]


if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    for changed in sync(Project(ROOT)):
        print(f"wrote {changed.relative_to(ROOT)}")
