"""The chapters as they stand in the repository: pairs, guard, parameters, anatomy."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import parameters
import sync
from project import Project, header, read_chapter

ROOT = Path(__file__).resolve().parents[2]
PROJECT = Project(ROOT)
SOURCES = sorted((ROOT / "chapters").rglob("*.py"))
# A notebook that is run as a job, and is no page, says so in its header.
PAGES = [path for path in SOURCES if header(read_chapter(path)).page]


@pytest.fixture(params=SOURCES, ids=lambda path: path.relative_to(ROOT / "chapters").as_posix())
def source(request) -> Path:
    return request.param


@pytest.fixture(params=PAGES, ids=lambda path: path.relative_to(ROOT / "chapters").as_posix())
def page(request) -> Path:
    return request.param


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def headings(notebook):
    lines = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
    ]
    return [line for line in lines if line.startswith("#")]


def test_every_chapter_is_in_the_contents_and_the_other_way_round():
    names = [path.relative_to(ROOT / "chapters").with_suffix("").as_posix() for path in PAGES]
    assert sorted(PROJECT.chapters) == names


def test_every_part_has_a_title_and_pages():
    for part, title in PROJECT.parts.items():
        assert title.strip()
        assert any(chapter.startswith(f"{part}/") for chapter in PROJECT.chapters), part


def test_a_section_stands_under_a_page_of_its_part():
    for page in PAGES:
        if under := header(read_chapter(page)).under:
            assert under in PROJECT.chapters
            assert under.partition("/")[0] == page.parent.name


def test_the_pair_is_in_step(source):
    text, notebook = sync.texts(source, sync.guard(PROJECT))
    assert source.read_text(encoding="utf-8") == text, "run `make sync`"
    paired = source.with_suffix(".ipynb")
    assert paired.read_text(encoding="utf-8") == notebook, "run `make sync`"


def test_the_paired_notebook_is_valid_and_has_no_outputs(source):
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_no_notebook_without_a_text():
    notebooks = {path.with_suffix(".py") for path in (ROOT / "chapters").rglob("*.ipynb")}
    assert notebooks == set(SOURCES)


def test_the_parameters_can_be_read(page):
    declared = parameters.declared(read_chapter(page))
    assert declared["edition"].type == "str"


def test_every_parameter_has_a_comment(source):
    (cell,) = tagged(read_chapter(source), parameters.TAG)
    assert all("#" in line for line in cell.source.splitlines() if line.strip())


def test_the_page_begins_with_its_question(source):
    first, second = read_chapter(source).cells[:2]
    assert first.source.startswith("# ")
    assert "?**" in first.source, "the question stands in bold under the title"
    assert parameters.TAG in second.metadata.get("tags", [])


def test_the_answer_and_the_main_figure_come_before_all_other_text(page):
    head, *others = read_chapter(page).cells
    assert len(head.source.split("\n\n")) == 2, "title and question, nothing else"
    assert "parameters" in others[0].metadata["tags"]
    assert others[1].source.startswith(sync.GUARD_MARK)
    assert "answer(" in others[2].source
    assert "show(" in others[3].source or "cards(" in others[3].source


def test_there_is_one_title(source):
    assert len([line for line in headings(read_chapter(source)) if line.startswith("# ")]) == 1


def test_the_page_says_what_it_does_not_show_and_what_to_take_away(page):
    found = [line.lstrip("# ").lower() for line in headings(read_chapter(page))]
    assert "what this does not show" in found
    assert "takeaways" in found


def test_a_label_belongs_to_one_page():
    pages: dict[str, set[str]] = {}
    for page in PAGES:
        for label in re.findall(r'label="((?:fig|tab)-[^"{]+)"', page.read_text(encoding="utf-8")):
            pages.setdefault(label, set()).add(page.name)
    assert {label: found for label, found in pages.items() if len(found) > 1} == {}


def test_invariants_are_checked_out_of_sight(source):
    hidden = tagged(read_chapter(source), "remove-cell")
    assert any(
        isinstance(node, ast.Assert) for cell in hidden for node in ast.walk(ast.parse(cell.source))
    )


def test_the_guard_follows_the_parameters(source):
    cells = read_chapter(source).cells
    guards = [n for n, cell in enumerate(cells) if cell.source.startswith(sync.GUARD_MARK)]
    (parameter,) = (n for n, c in enumerate(cells) if parameters.TAG in c.metadata.get("tags", []))
    assert guards == [parameter + 1]
    assert cells[guards[0]].metadata["tags"] == ["hide-input"]


def test_the_guard_does_nothing_where_the_package_is():
    guard = sync.guard(PROJECT)
    code = f"import subprocess; subprocess.run = None\n{guard}"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def run_guard_without_the_package(project: Project, folder: Path):
    """Run the guard where no package is found (-I -S), with a pip that prints what it was told."""
    code = "import subprocess; subprocess.run = lambda c, check: print(*c[1:])\n"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code + sync.guard(project)],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )


def a_book(root: Path, address: str) -> Project:
    """Write what a guard is made from."""
    (root / "_config.yml").write_text(f'repository:\n  url: "{address}"\n')
    (root / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    return Project(root)


def test_the_guard_installs_a_release_of_the_repository_alone(tmp_path):
    project = a_book(tmp_path, "https://github.com/lab/book")
    done = run_guard_without_the_package(project, tmp_path)
    asked = done.stdout.split()
    assert asked[:5] == ["-m", "pip", "install", "--quiet", "--no-deps"]
    assert asked[5] == "git+https://github.com/lab/book@v1.2.3"
    assert not {"numpy", "torch"} & set(asked)


def test_the_guard_says_when_there_is_nowhere_to_install_from(tmp_path):
    done = run_guard_without_the_package(a_book(tmp_path, ""), tmp_path)
    assert done.returncode
    assert "no public repository yet" in done.stderr


def test_sync_writes_what_is_missing_and_then_nothing(tmp_path):
    project = a_book(tmp_path, "https://github.com/lab/book")
    chapter = tmp_path / "chapters" / "study" / "one.py"
    chapter.parent.mkdir(parents=True)
    chapter.write_text(
        '# %% [markdown]\n# # One\n\n# %% tags=["parameters"]\nedition: str = "open"\n\n# %%\n1\n'
    )
    assert sync.sync(project) == [chapter, chapter.with_suffix(".ipynb")]
    assert "git+https://github.com/lab/book@v1.2.3" in chapter.read_text()
    assert sync.sync(project) == []
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.3.0"\n')
    assert sync.sync(project) == [chapter, chapter.with_suffix(".ipynb")]
    assert chapter.read_text().count(sync.GUARD_MARK) == 1
    assert "v1.2.3" not in chapter.read_text()
