"""Staging: what a notebook and the settings look like where Jupyter Book reads them."""

from pathlib import Path

import status
import yaml
from conftest import TinyBook
from nbformat import v4
from stage import configuration, for_myst, with_run
from stamp import Stamp

from project import Project
from sync import GUARD_MARK

STAMP = Stamp(
    source="s",
    package="p",
    edition="tiny",
    edition_file="e",
    parameters={},
    kernel="python3",
    python="3.11.7",
    device="cpu",
    seconds=12.34,
    peak_memory_mb=456.7,
    finished="2026-11-21T00:00:00+00:00",
)


def test_a_figure_is_declared_where_myst_nb_looks():
    declared = {"alt": "A square", "caption": "One **square**.", "label": "fig-square"}
    output = v4.new_output(
        "display_data", {"image/png": "aGVsbG8="}, metadata={"image/png": declared}
    )
    notebook = v4.new_notebook(cells=[v4.new_code_cell("1", outputs=[output])])
    (cell,) = for_myst(notebook).cells
    assert cell.metadata["mystnb"] == {
        "figure": {"caption": "One **square**.", "name": "fig-square"},
        "image": {"alt": "A square"},
    }
    assert notebook.cells[0].metadata == {}


def test_the_injected_parameters_are_not_shown_twice():
    cells = [
        v4.new_code_cell("a: int = 1", metadata={"tags": ["parameters"]}),
        v4.new_code_cell("a = 2", metadata={"tags": ["injected-parameters"]}),
    ]
    first, second = for_myst(v4.new_notebook(cells=cells)).cells
    assert first.metadata["tags"] == ["parameters"]
    assert second.metadata["tags"] == ["remove-cell"]


def test_a_page_says_how_it_was_run():
    cells = [
        v4.new_markdown_cell("# Title\n\nText."),
        v4.new_code_cell(
            'name: str = "é"  # a name, "quoted"\nsizes: list[int] = [1, 2]  # px\nb: int = 1',
            metadata={"tags": ["parameters"]},
        ),
    ]
    stamp = STAMP.model_copy(update={"parameters": {"name": "x", "sizes": [3]}})
    head, parameters = with_run(v4.new_notebook(cells=cells), stamp, 98.7).cells
    assert head.source == (
        "# Title\n\n*Edition `tiny`. Ran in 12 s on the CPU with 457 MB of memory; "
        "the edition's data take 99 MB.*\n\nText."
    )
    assert parameters.source == (
        'name: str = "x"  # a name, "quoted"\nsizes: list[int] = [3]  # px\nb: int = 1'
    )


def test_the_colab_guard_is_not_shown():
    guard = v4.new_code_cell(f"{GUARD_MARK}: x", metadata={"tags": ["hide-input"]})
    (cell,) = for_myst(v4.new_notebook(cells=[guard])).cells
    assert cell.metadata["tags"] == ["remove-cell"]


def test_the_edition_stands_in_the_settings(made_book: TinyBook):
    staged = yaml.safe_load((Project(made_book.root).staged("tiny") / "_config.yml").read_text())
    original = yaml.safe_load((made_book.root / "_config.yml").read_text())
    assert staged["title"] == f"{original['title']} (tiny edition)"
    banner = staged["sphinx"]["config"]["html_theme_options"]["announcement"]
    assert "Tiny edition." in banner
    assert "Two squares." in banner


def test_staging_leaves_the_settings_as_they_are(tmp_path: Path, monkeypatch):
    settings = {"title": "Book", "sphinx": {"config": {"numfig": True}}}
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(settings))
    staged = configuration(Project(tmp_path), "open")
    assert staged["sphinx"]["config"]["numfig"] is True
    assert yaml.safe_load((tmp_path / "_config.yml").read_text()) == settings


def test_the_status_page_lists_every_notebook():
    page = status.page("tiny", {"study/01": STAMP, "study/02": STAMP})
    rows = [line for line in page.splitlines() if line.startswith("| [](")]
    assert rows == [
        f"| [](chapters/study/{n}.ipynb) | 12.3 | 457 | cpu | 3.11.7 | 2026-11-21T00:00:00+00:00 |"
        for n in ("01", "02")
    ]
    assert "Together they ran for 25 s" in page
