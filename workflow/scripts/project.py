"""One checkout of the book: where things are, and what its chapters say of themselves."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode
from pydantic import BaseModel, ConfigDict

CHAPTERS = "chapters"
PARTS = "parts.yml"
"""File that names the parts of the book, below `CHAPTERS`."""
SEGMENT = "study/06_segment"
"""The notebook that runs a model; no page of the book."""
OVERVIEW = "sweeps/overview"
"""The notebook that shows any sweep; no page of the book."""
STATUS = "status"
"""Name of the page that the flow itself writes."""
FRONT, BACK = (
    ("your_images", "how_to_run"),
    ("conclusion", "glossary", "references", "for_developers", STATUS),
)
"""Pages of text before and after the parts."""


class Header(BaseModel):
    """What a chapter says of itself, ``imc_book`` in its metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    page: bool = True
    """Whether it is a page of the book; else something that the flow runs."""
    own: bool = False
    """Whether it tells of a lab's own folder, and so stands in no edition without one."""
    under: str = ""
    """Page whose section it is, ``sweeps/channels`` for instance."""
    device: str = "cpu"
    """``"cpu"`` or ``"cuda"``."""
    reads: tuple[str, ...] = ()
    """What it reads beside cohorts: ``scores`` (the tables of scores), ``predictions`` (masks of
    models), ``viewer`` (the viewer's pages), ``sweeps/NAME`` (a sweep's table),
    ``pages/PART/NAME`` (what another page leaves in ``results/``), ``planted`` (the planted
    cohorts, with their masks and scores)."""


@dataclass(frozen=True)
class Project:
    """One checkout of the book."""

    root: Path
    """Folder that holds ``_config.yml``."""

    @property
    def scratch(self) -> Path:
        """Folder for half-made files; on the same file system as what they become."""
        return self.root / "_build" / ".scratch"

    @contextmanager
    def drafts(self) -> Iterator[Path]:
        """Make a folder of one's own for half-made files, which is gone afterwards."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            yield Path(folder)

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the book, ``_config.yml``."""
        return load_mapping(self.root / "_config.yml")

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """Titles of the book's parts by their folders below `CHAPTERS`, in their order."""
        return load_mapping(self.root / CHAPTERS / PARTS)

    @cached_property
    def chapters(self) -> tuple[str, ...]:
        """The pages in the order of the book, ``study/01_datasets`` for instance.

        Those of a part stand in the order of their files' names, a section after its page.
        """
        return tuple(
            str(path.relative_to(self.root / CHAPTERS).with_suffix(""))
            for part in self.parts
            for path in sorted((self.root / CHAPTERS / part).glob("*.py"))
            if header(read_chapter(path)).page
        )

    def source(self, chapter: str) -> Path:
        """Return the text that a notebook is made from."""
        return self.root / CHAPTERS / f"{chapter}.py"

    def front_matter(self) -> tuple[Path, ...]:
        """Return every file but the notebooks that the rendered book is made from."""
        texts = ["index", *FRONT, *(name for name in BACK if name != STATUS)]
        files = [self.root / f"{name}.md" for name in texts]
        names = ["_config.yml", *self.config.get("bibtex_bibfiles", [])]
        static = sorted(p for p in (self.root / "_static").rglob("*") if p.is_file())
        return (*(self.root / n for n in names), *(f for f in files if f.is_file()), *static)

    def plan(self, edition: str) -> Path:
        """Return the file of an edition's plan."""
        return self.root / "_build" / edition / "plan.json"

    def executed(self, edition: str, chapter: str) -> Path:
        """Return a page's notebook as it was run."""
        return self.root / "executed" / edition / f"{chapter}.ipynb"

    def segmented(self, model: str, mode: str) -> Path:
        """Return the notebook of a model's run as it was executed."""
        return self.root / "executed" / "segment" / model / f"{mode}.ipynb"

    def html(self, edition: str) -> Path:
        """Return the folder of the rendered book."""
        return self.root / "_build" / edition / "html"

    def sweep_folder(self, edition: str, sweep: str) -> Path:
        """Return the folder of a sweep's marks of finished chunks, and of its points' logs."""
        return self.root / "_build" / edition / "sweeps" / sweep

    def sweep_table(self, edition: str, sweep: str) -> Path:
        """Return the table of a sweep."""
        return self.root / "results" / edition / "sweeps" / f"{sweep}.csv"

    def sweep_page(self, edition: str, sweep: str) -> Path:
        """Return the page of a sweep that was run by itself."""
        return self.root / "_build" / edition / "sweep" / f"{sweep}.html"

    def relative(self, path: Path) -> str:
        """Return a path as it is below the root."""
        return str(path.relative_to(self.root))


def read_chapter(source: Path) -> NotebookNode:
    """Read a chapter's text as a notebook without outputs.

    The notebook names its kernel: ``python3`` where the text names none. Cell ids follow the cells'
    order, where jupytext draws them at random: the same text gives the same notebook.
    """
    notebook = jupytext.read(source)
    if "kernelspec" not in notebook.metadata:
        notebook.metadata["kernelspec"] = nbformat.from_dict(
            {"display_name": "Python 3", "language": "python", "name": "python3"}
        )
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"
    return notebook


def header(notebook: NotebookNode) -> Header:
    """Return what a chapter says of itself.

    Raises
    ------
    pydantic.ValidationError
        If it says something that the book does not know.
    """
    return Header.model_validate(notebook.metadata.get("imc_book", {}))


def load_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a mapping, found {type(content).__name__}")
    return content
