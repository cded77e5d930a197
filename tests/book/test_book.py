"""Pages of executed notebooks: staged for Jupyter Book, rendered, shown one by one."""

import base64
import os
import shutil
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import COHORT, REPOSITORY, TinyBook, forget, look_at
from nbformat import v4

import book
import gate
from book import configuration, for_myst, with_drawer
from gate import Stamp
from project import Project
from sync import GUARD_MARK

STAMP = Stamp(
    made_from="m",
    edition="tiny",
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
        "figure": {"caption": "One **square**.", "name": "fig-square", "classes": ""},
        "image": {"alt": "A square"},
    }
    assert notebook.cells[0].metadata == {}


def drawing():
    wide = '<svg style="background: white" width="700pt"></svg>'
    declared = {
        "alt": "A line", "caption": "One.", "label": "fig-line", "kind": "drawing",
        "phone": '<svg width="300pt"></svg>',
    }  # fmt: skip
    return v4.new_output(
        "display_data", {"image/svg+xml": wide}, metadata={"image/svg+xml": declared}
    )


def test_a_drawing_lies_on_the_page_and_has_another_form_for_telephones():
    notebook = v4.new_notebook(cells=[v4.new_code_cell("1", outputs=[drawing()])])
    cell, rule = for_myst(notebook).cells
    assert cell.metadata["mystnb"]["figure"]["classes"] == "drawing"
    assert cell.outputs[0].data["image/svg+xml"] == '<svg width="700pt"></svg>'
    assert 'content: url("../../_static/figures/fig-line.svg")' in rule.source
    assert "#fig-line img" in rule.source
    assert list(book.narrow_figures(notebook)) == [("fig-line", '<svg width="300pt"></svg>')]


def test_a_page_by_itself_holds_both_forms_of_a_figure(tmp_path):
    notebook = v4.new_notebook(cells=[v4.new_code_cell("1", outputs=[drawing()])])
    nbformat.write(notebook, tmp_path / "one.ipynb")
    book.write_single_page(tmp_path / "one.ipynb", tmp_path / "one.html", title="One")
    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    narrow = base64.b64encode(b'<svg width="300pt"></svg>').decode()
    assert f'srcset="data:image/svg+xml;base64,{narrow}"' in page
    assert page.index("<picture>") < page.index('<img alt="A line"') < page.index("</picture>")


def test_the_answer_gets_a_box_and_a_table_a_link_to_its_rows():
    text = "**In short.** Two of three."
    answer = v4.new_output(
        "display_data", {"text/markdown": text}, metadata={"text/markdown": {"role": "answer"}}
    )
    other = v4.new_output("display_data", {"text/markdown": text})
    table = v4.new_output("display_data", {"text/markdown": TABLE, "text/csv": "a,b\n1,2\n"})
    notebook = v4.new_notebook(cells=[v4.new_code_cell("1", outputs=[answer, other, table])])
    box, plain, linked = for_myst(notebook).cells[0].outputs
    assert box.data["text/markdown"] == f":::{{div}} answer\n{text}\n:::\n"
    assert plain.data["text/markdown"] == text
    assert linked.data["text/markdown"].startswith(
        ":::{table} Squares of each {download}`CSV <tab-one.csv>`\n:name: tab-one\n:align: left\n"
    )
    assert "text/csv" not in linked.data, "Sphinx warns of what it does not know"
    assert list(book.tables(notebook)) == [("tab-one", "a,b\n1,2\n")]


def test_a_figure_gets_a_link_to_the_table_that_it_was_drawn_from():
    about = {"label": "fig-one", "caption": "One square.", "alt": "A square"}
    drawn = v4.new_output(
        "display_data",
        {"image/svg+xml": SVG, "text/csv": "a\n1\n"},
        metadata={"image/svg+xml": about},
    )
    notebook = v4.new_notebook(cells=[v4.new_code_cell("show(…)", outputs=[drawn])])
    (cell,) = for_myst(notebook).cells
    figure = cell.metadata["mystnb"]["figure"]
    assert figure["caption"] == "One square. {download}`CSV <fig-one.csv>`"
    assert "text/csv" not in cell.outputs[0].data
    assert list(book.tables(notebook)) == [("fig-one", "a\n1\n")]


def test_code_parameters_and_cost_stand_in_a_drawer_at_the_end():
    shown = v4.new_output("display_data", {"text/markdown": "Two squares."})
    handed_over = v4.new_output("display_data", {"text/plain": "rows"})
    cells = [
        v4.new_markdown_cell("# Title\n\n**Why?**"),
        v4.new_code_cell(
            'name: str = "é"  # a name, "quoted"\nsizes: list[int] = [1, 2]  # px\nb: int = 1',
            metadata={"tags": ["parameters"]},
        ),
        v4.new_code_cell('name = "x"', metadata={"tags": ["injected-parameters"]}),
        v4.new_code_cell(f"{GUARD_MARK}: x", metadata={"tags": ["hide-input"]}),
        v4.new_code_cell("fence = '```'\ndraw(fence)", outputs=[shown]),
        v4.new_code_cell("hand_over(1)", metadata={"tags": ["remove-cell"]}, outputs=[handed_over]),
        v4.new_code_cell("assert True", metadata={"tags": ["remove-cell"]}),
        v4.new_markdown_cell("## Takeaways"),
    ]
    stamp = STAMP.model_copy(update={"parameters": {"name": "x", "sizes": [3]}})
    notebook = v4.new_notebook(cells=cells)
    head, figure, end, drawer = with_drawer(notebook, stamp, 98.7).cells
    assert head.source == "# Title\n\n**Why?**"
    assert figure.outputs == [shown]
    assert figure.metadata["tags"] == ["remove-input"]
    assert end.source == "## Takeaways"
    assert (
        drawer.source
        == f"""\
:::::{{dropdown}} Reproduce: parameters, run time and code
:class-container: reproduce

{TOOK}

````python
name: str = "x"  # a name, "quoted"
sizes: list[int] = [3]  # px
b: int = 1
````

````python
fence = '```'
draw(fence)
````

````python
hand_over(1)
````

````python
assert True
````
:::::
"""
    )
    assert notebook.cells[4].metadata == {}, "the notebook that was run stays as it is"


def test_staging_leaves_the_settings_as_they_are(pages):
    settings = pages.tiny.root / "_config.yml"
    before = settings.read_text()
    configuration(pages.project, pages.planner())
    assert settings.read_text() == before


FIGURE = {"alt": "A <red> square", "caption": "One **square** of 9 px.", "label": "fig-one"}
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
TOOK = (
    "Edition `tiny`. This page ran in 12 s on the CPU with 457 MB of memory; the edition's data "
    "take 99 MB."
)
TABLE = """\
:::{table} Squares of each
:name: tab-one
:align: left

| a | b |
|---|--:|
| 1 | 2 |
:::
"""


def executed(name="one", *, figure=FIGURE, text="", **stamped):
    """Return what a page's run leaves: title, parameters, a figure, a table."""
    parameters = v4.new_code_cell('edition: str = "x"', metadata={"tags": ["parameters"]})
    injected = v4.new_code_cell('edition = "tiny"', metadata={"tags": ["injected-parameters"]})
    shown = v4.new_output(
        "display_data", {"image/svg+xml": SVG}, metadata={"image/svg+xml": figure}
    )
    rows = {"text/markdown": TABLE.replace("one", name), "text/csv": "a,b\n1,2\n"}
    table = v4.new_output("display_data", rows)
    hidden = v4.new_code_cell("assert 1 == 1", metadata={"tags": ["remove-cell"]})
    made = v4.new_notebook(
        cells=[
            v4.new_markdown_cell(f"# Page {name}\n\n{text}"),
            parameters,
            injected,
            v4.new_code_cell("draw()", outputs=[shown]),
            v4.new_code_cell("tabulate()", outputs=[table]),
            hidden,
        ]
    )
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "P", "language": "python"}
    made.metadata[gate.KEY] = STAMP.model_copy(update=stamped).model_dump()
    return made


def test_a_page_by_itself_has_all_but_the_code(tmp_path):
    nbformat.write(executed(), tmp_path / "one.ipynb")
    target = tmp_path / "new" / "one.html"
    book.write_single_page(tmp_path / "one.ipynb", target, title="Sweep one")
    page = target.read_text(encoding="utf-8")
    assert "<title>Sweep one</title>" in page
    encoded = base64.b64encode(SVG.encode()).decode()
    assert f'<img alt="A &lt;red&gt; square" src="data:image/svg+xml;base64,{encoded}"' in page
    assert "One <strong>square</strong> of 9 px." in page
    assert "Squares of each" in page
    assert ":::" not in page
    assert ":align:" not in page
    assert "<td" in page
    for code in ("draw()", "tabulate()", "assert 1", "edition"):
        assert code not in page
    assert [path.name for path in target.parent.iterdir()] == ["one.html"]


class Pages:
    """A book whose notebooks are written here instead of run."""

    def __init__(self, tiny: TinyBook, planner) -> None:
        self.tiny, self.project, self.planner = tiny, Project(tiny.root), planner
        self.notebooks = {
            name: executed(name, figure=FIGURE | {"label": f"fig-{name}"})
            for name in ("one", "two")
        }

    @property
    def folder(self) -> Path:
        return self.tiny.root / "_build" / "tiny"

    def write(self, name, **changed):
        self.notebooks[name] = executed(name, **changed)

    def build(self) -> None:
        for name, notebook in self.notebooks.items():
            path = self.tiny.executed(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, path)
        (self.tiny.root / "data" / COHORT).mkdir(parents=True, exist_ok=True)
        book.build(self.project, self.planner())

    def read(self) -> dict[str, int]:
        """Return when Sphinx last read each page."""
        trees = self.folder / "render" / "_build" / ".doctrees"
        return {path.stem: path.stat().st_mtime_ns for path in trees.rglob("*.doctree")}

    def html(self, name="one"):
        return self.tiny.html(f"chapters/part/{name}.html")


@pytest.fixture
def pages(tiny_book, monkeypatch):
    yield Pages(tiny_book, look_at(tiny_book, monkeypatch))
    forget()


def stage(pages):
    """Stage and return the folder of the sources."""
    for name, notebook in pages.notebooks.items():
        path = pages.tiny.executed(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
    folder = pages.tiny.root / "staged"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    book.stage(pages.project, pages.planner(), folder)
    return folder


def write_edition(tiny, **changed):
    edition = {"title": "Tiny edition.", "description": "Two squares.", "cohorts": [COHORT]}
    (tiny.root / "editions/tiny.yml").write_text(yaml.safe_dump({**edition, **changed}))


def test_the_edition_stands_in_the_settings(pages):
    folder = stage(pages)
    staged = yaml.safe_load((folder / "_config.yml").read_text())
    original = yaml.safe_load((pages.tiny.root / "_config.yml").read_text())
    assert staged["title"] == f"{original['title']} (tiny edition)"
    banner = staged["sphinx"]["config"]["html_theme_options"]["announcement"]
    assert "Tiny edition." in banner
    assert "Two squares." in banner
    options = staged["sphinx"]["config"]["html_theme_options"]
    del options["announcement"]
    assert options.pop("logo")["text"] == staged["title"]
    original["sphinx"]["config"].setdefault("html_theme_options", {})
    assert staged["sphinx"] == original["sphinx"], "nothing else is another"


def test_the_rows_of_a_table_lie_beside_its_page(pages):
    part = stage(pages) / "chapters" / "part"
    assert (part / "tab-one.csv").read_text() == "a,b\n1,2\n"
    assert sorted(path.name for path in part.iterdir()) == [
        "one.ipynb",
        "tab-one.csv",
        "tab-two.csv",
        "two.ipynb",
    ]


def test_the_contents_follow_the_parts_and_a_section_follows_its_page(pages):
    root = pages.tiny.root
    for name in ("how_to_run", "glossary"):
        (root / f"{name}.md").write_text("# Text\n")
    source = pages.tiny.source("two")
    source.write_text(
        f"# ---\n# jupyter:\n#   imc_book: {{under: part/one}}\n# ---\n\n{source.read_text()}"
    )
    folder = stage(pages)
    contents = yaml.safe_load((folder / "_toc.yml").read_text())
    assert contents == {
        "format": "jb-book",
        "root": "index",
        "parts": [
            {"chapters": [{"file": "how_to_run"}]},
            {
                "caption": "The only part",
                "chapters": [
                    {
                        "file": "chapters/part/one",
                        "sections": [{"file": "chapters/part/two"}],
                    }
                ],
            },
            {
                "caption": "Conclusion and reference",
                "chapters": [{"file": "glossary"}, {"file": "status"}],
            },
        ],
    }
    write_edition(pages.tiny, pages=["part/two"])
    (_, part, _) = yaml.safe_load((stage(pages) / "_toc.yml").read_text())["parts"]
    assert part["chapters"] == [{"file": "chapters/part/two"}], "its page is left out"


def test_what_is_left_out_is_named_and_nothing_links_to_it(pages):
    text = (
        "[](two.ipynb), [see](two.ipynb#here), [](../part/two.md), [one](one.ipynb), "
        "[far](https://x.org/two.ipynb), {numref}`fig-two`, {ref}`here <tab-two>`, "
        "{numref}`fig-one`"
    )
    figure = FIGURE | {"caption": "As in {numref}`fig-two`."}
    pages.write("one", text=text, figure=figure)
    pages.tiny.edit("chapters/part/two.py", "Page two", "The other page")
    index = "# A tiny book\n\n[Two](chapters/part/two.ipynb) and [](chapters/part/one.ipynb).\n"
    (pages.tiny.root / "index.md").write_text(index)
    write_edition(pages.tiny, pages=["part/one"], because="It is late.")
    folder = stage(pages)
    assert (folder / "index.md").read_text() == (
        "# A tiny book\n\n*Two* (not in this edition) and [](chapters/part/one.ipynb).\n"
        "\n## Not in this edition\n\n- *The other page* (`part/two`): It is late.\n"
    )
    page = nbformat.read(folder / "chapters/part/one.ipynb", as_version=4)
    assert page.cells[0].source.splitlines()[-1] == (
        "*The other page* (not in this edition), *see* (not in this edition), "
        "*The other page* (not in this edition), [one](one.ipynb), "
        "[far](https://x.org/two.ipynb), a figure that this edition lacks, "
        "a table that this edition lacks, {numref}`fig-one`"
    )
    caption = page.cells[1].metadata.mystnb.figure.caption
    assert caption == "As in a figure that this edition lacks."
    assert not (folder / "chapters/part/two.ipynb").exists()


def test_a_whole_book_says_nothing_of_what_is_left_out(pages):
    assert (stage(pages) / "index.md").read_text() == "# A tiny book\n"


def test_the_first_page_of_an_edition_without_scores_has_its_description(pages):
    (pages.tiny.root / "index.md").write_text(f"# A tiny book\n\n{book.FINDINGS}\n\nMore.\n")
    assert (stage(pages) / "index.md").read_text() == "# A tiny book\n\nTwo squares.\n\nMore.\n"


def test_the_first_page_has_a_place_for_the_findings_and_cites_the_version():
    index = (REPOSITORY / "index.md").read_text(encoding="utf-8")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert index.count(book.FINDINGS) == 1
    assert f"version {project['version']}" in index


def test_what_the_theme_leaves_undone_is_mended(tmp_path):
    page = tmp_path / "below" / "page.html"
    page.parent.mkdir()
    arrow = '<span class="toctree-toggle" role="presentation"></span>'
    page.write_text(
        '<link rel="preload" as="font" crossorigin href="fa.woff2" />\n'
        '<link rel="preload" as="script" href="a.js" />\n'
        f"<summary>{arrow}</summary><summary>Words</summary>\n"
        '<div role="list" class="citation-list">é</div>\n',
        encoding="utf-8",
    )
    book.mend(tmp_path)
    mended = (
        '<link rel="preload" as="script" href="a.js" />\n'
        f'<summary aria-label="Pages of this section">{arrow}</summary>'
        "<summary>Words</summary>\n"
        '<div class="citation-list">é</div>\n'
    )
    assert page.read_text(encoding="utf-8") == mended
    book.mend(tmp_path)
    assert page.read_text(encoding="utf-8") == mended, "once is enough"


def test_equal_folders_are_left_alone(tmp_path):
    draft, final = tmp_path / "draft", tmp_path / "final"
    for folder in (draft, final):
        (folder / "a").mkdir(parents=True)
        (folder / "a/same").write_text("same")
        (folder / "a/changed").write_text(folder.name)
    (final / "gone/deep").mkdir(parents=True)
    (final / "gone/deep/file").write_text("")
    (draft / "new").mkdir()
    (draft / "new/file").write_text("new")
    os.utime(final / "a/same", ns=(1, 1))
    book.bring_in_step(draft, final)
    found = {str(p.relative_to(final)): p for p in final.rglob("*") if p.is_file()}
    assert set(found) == {"a/same", "a/changed", "new/file"}
    assert found["a/same"].stat().st_mtime_ns == 1
    assert found["a/changed"].read_text() == "draft"
    assert not (final / "gone").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_was_read_is_kept_and_what_is_wrong_is_never_green(pages):
    """Build after build of one book; each time Sphinx may have read only what it must."""
    pages.build()
    assert "Page one" in pages.html()
    first = pages.read()
    assert {"one", "two", "index", "status"} <= set(first)

    # A text changes: its page is read, and the status page, which says when it ran.
    pages.write("one", text="Another text.", figure=FIGURE, finished="2026-11-22T00:00:00+00:00")
    pages.build()
    assert "Another text." in pages.html()
    second = pages.read()
    assert {name for name in second if second[name] != first[name]} == {"one", "status"}

    # The style changes, and no page does.
    style = pages.tiny.root / "_static" / "book.css"
    style.write_text("p { color: red }\n")
    pages.build()
    assert pages.tiny.html("_static/book.css") == "p { color: red }\n"

    # A page refers to what the other one has no more. That one alone is read, were it not for this.
    pages.write("one", text="See {numref}`fig-two`.", figure=FIGURE)
    pages.build()
    whole = pages.html()
    pages.write("two", figure=FIGURE | {"label": "fig-three"})
    for _ in range(2):
        with pytest.raises(SystemExit):
            pages.build()
        assert pages.html() == whole, "the book of before stays until there is a better one"
    pages.write("one", text="See {numref}`fig-three`.", figure=FIGURE)
    pages.build()
    assert "fig-three" in pages.html()
    assert not list((pages.tiny.root / "_build" / ".scratch").iterdir())
