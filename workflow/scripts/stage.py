"""Stage an edition: put together the folder that Jupyter Book reads."""

import shutil
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

import gate
import stamp as stamps
import status
from imc_helpers.manifest import load_edition
from project import CHAPTERS, STATUS, Project, expected
from sync import GUARD_MARK


class GateError(Exception):
    """Executed notebooks that may not become pages."""


def stage(project: Project, edition: str, folder: Path) -> None:
    """Write the sources of an edition's pages into an empty folder.

    Raises
    ------
    GateError
        If the gate refuses a notebook.
    """
    refused = []
    stamps_found = {}
    for chapter in project.chapters():
        file = project.executed(edition, chapter)
        notebook = nbformat.read(file, as_version=4)
        asked = expected(project, edition, chapter)
        for problem in gate.problems(notebook, asked, file.stat().st_size):
            refused.append(f"{file.relative_to(project.root)}: {problem}")
        stamps_found[chapter] = stamps.read(notebook)
        target = folder / CHAPTERS / f"{chapter}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(for_myst(notebook), target)
    if refused:
        raise GateError("\n".join(refused))

    for source in project.front_matter():
        target = folder / source.relative_to(project.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    (folder / "_config.yml").write_text(
        yaml.safe_dump(configuration(project, edition), sort_keys=False), encoding="utf-8"
    )
    page = status.page(edition, {k: s for k, s in stamps_found.items() if s is not None})
    (folder / f"{STATUS}.md").write_text(page, encoding="utf-8")


def for_myst(notebook: NotebookNode) -> NotebookNode:
    """Return a copy whose figures are declared where myst-nb looks: in the cells' metadata.

    A chapter declares a figure when it runs, in the metadata of the output, so that a caption can
    name the edition or a number that was measured.
    """
    page = nbformat.from_dict(notebook)
    for cell in page.cells:
        for image in gate.images(cell):
            cell.metadata["mystnb"] = {
                "figure": {"caption": image["caption"], "name": image["label"]},
                "image": {"alt": image["alt"]},
            }
        if "injected-parameters" in cell.metadata.get("tags", []):
            # The cell above says what each parameter means; the values in use fold away.
            cell.metadata["tags"] = [*cell.metadata["tags"], "hide-input"]
        if cell.source.startswith(GUARD_MARK):
            # It matters where the notebook is run, not where it is read.
            cell.metadata["tags"] = ["remove-cell"]
    return page


def configuration(project: Project, edition: str) -> dict[str, Any]:
    """Return the book's settings with the edition's name in the title and on every page."""
    settings = project.config
    record = load_edition(edition)
    settings["title"] = f"{settings['title']} ({edition} edition)"
    theme = settings["sphinx"]["config"].setdefault("html_theme_options", {})
    theme["announcement"] = (
        f"<strong>{record.title}</strong> "
        f'<span class="edition-description">{record.description}</span>'
    )
    return settings
