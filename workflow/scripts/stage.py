"""Stage an edition: put together the folder that Jupyter Book reads."""

import shutil
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

import gate
import parameters
import stamp as stamps
import status
from imc_helpers.data.manifest import load_edition
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
    size = data_mb(project, edition)
    stamps_found = {}
    for chapter in project.chapters():
        file = project.executed(edition, chapter)
        notebook = nbformat.read(file, as_version=4)
        asked = expected(project, edition, chapter)
        for problem in gate.problems(notebook, asked, file.stat().st_size):
            refused.append(f"{file.relative_to(project.root)}: {problem}")
        stamp = stamps.read(notebook)
        if stamp is None:
            continue  # the gate has just refused it
        stamps_found[chapter] = stamp
        target = folder / CHAPTERS / f"{chapter}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(with_run(for_myst(notebook), stamp, size), target)
    if refused:
        raise GateError("\n".join(refused))

    for source in project.front_matter():
        target = folder / source.relative_to(project.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    (folder / "_config.yml").write_text(
        yaml.safe_dump(configuration(project, edition), sort_keys=False), encoding="utf-8"
    )
    page = status.page(edition, stamps_found)
    (folder / f"{STATUS}.md").write_text(page, encoding="utf-8")


def data_mb(project: Project, edition: str) -> float:
    """Return the size of an edition's cohorts on disk, MB (10**6 bytes)."""
    folders = [project.root / "data" / cohort for cohort in load_edition(edition).cohorts]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def with_run(notebook: NotebookNode, stamp: stamps.Stamp, size_mb: float) -> NotebookNode:
    """Return a copy that says how it was run: parameters as they were set, and what it took.

    Parameters
    ----------
    notebook
        Executed notebook, with its title in the first line of its first cell.
    stamp
        Its stamp.
    size_mb
        Size of the edition's data, MB.
    """
    page = nbformat.from_dict(notebook)
    for cell in page.cells:
        if parameters.TAG in cell.metadata.get("tags", []):
            cell.source = parameters.with_values(cell.source, stamp.parameters)
    title, _, rest = page.cells[0].source.partition("\n")
    line = (
        f"*Edition `{stamp.edition}`. Ran in {stamp.seconds:.0f} s on the {stamp.device.upper()} "
        f"with {stamp.peak_memory_mb:.0f} MB of memory; the edition's data take {size_mb:.0f} MB.*"
    )
    page.cells[0].source = f"{title}\n\n{line}\n{rest}"
    return page


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
        injected = "injected-parameters" in cell.metadata.get("tags", [])
        if injected or cell.source.startswith(GUARD_MARK):
            # The parameters' own cell shows the values in use; the Colab guard matters where the
            # notebook is run, not where it is read.
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
