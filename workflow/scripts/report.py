"""A lab's answer as one file to mail: HTML that needs no other file, and PDF.

The PDF is set by Typst, which comes as a Python package: no browser and no LaTeX is needed.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from markdown_it.token import Token
from nbformat import NotebookNode
from nbformat.v4 import new_notebook

import parameters
from book import ANSWERS, TABLE, write_single_page
from plan import Plan
from project import Project, read_chapter

PAGES = (ANSWERS, "yours/02_oddities")
"""Pages of the report, as far as the edition has them."""
MARKDOWN = "text/markdown"
ROLE = re.compile(r"\{[a-z:]+\}`(?:([^`<]*?)\s*<[^`>]*>|([^`]*))`")
LINK = re.compile(r"\[([^\]\n]*)\]\(((?!https?:)[^)\s]+)\)")
TAG = re.compile(r"<[^>]*>")
SPECIAL = re.compile(r"([\\#$*_`<>@\[\]~])")
HEADER = """#set page(paper: "a4", margin: 2cm, numbering: "1")
#set page(header: align(right, text(8pt)[{head}]))
#set text(size: 10pt)
#set par(justify: true)
#show table.cell: set text(size: 7pt)
#show heading: set block(above: 1.4em, below: 0.8em)
"""


def write_report(project: Project, plan: Plan) -> None:
    """Write ``results/EDITION/report.html`` and ``report.pdf``, where the edition has an answer."""
    names = [page.name for page in plan.pages if page.name in PAGES]
    if ANSWERS not in names:
        return
    folder = project.root / "results" / plan.edition
    notebooks = [nbformat.read(project.executed(plan.edition, name), 4) for name in names]
    cells = [cell for notebook in notebooks for cell in notebook.cells if _shown(cell)]
    titles = {
        chapter.rpartition("/")[2]: read_chapter(project.source(chapter)).cells[0].source
        for chapter in project.chapters
    }
    titles = {name: text.partition("\n")[0].lstrip("# ") for name, text in titles.items()}
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = without_roles(cell.source, titles)
        for output in cell.get("outputs", []):
            for mime, content in output.get("data", {}).items():
                if mime == MARKDOWN:
                    output.data[mime] = without_roles(content, titles)
            for about in output.get("metadata", {}).values():
                if "caption" in about:
                    about["caption"] = without_roles(about["caption"], titles)
    with project.drafts() as drafts:
        whole = drafts / "report.ipynb"
        nbformat.write(new_notebook(cells=cells), whole)
        write_single_page(whole, folder / "report.html", title=plan.title)
        head = _escape(f"{plan.title}. {plan.description}")
        write_pdf(cells, folder / "report.pdf", head=head, scratch=drafts)


def write_pdf(cells: Sequence[NotebookNode], target: Path, *, head: str, scratch: Path) -> None:
    """Set the texts, tables and figures of some cells as a PDF.

    Parameters
    ----------
    cells
        Executed cells; their code is left out.
    target
        Where to.
    head
        Typst markup above each page.
    scratch
        An empty folder for the figures.
    """
    import typst  # noqa: PLC0415  (only for those who have a folder of their own)

    parts = [HEADER.format(head=head)]
    for number, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            parts.append(as_typst(cell.source))
        for place, output in enumerate(cell.get("outputs", [])):
            parts.append(_output(output, scratch / f"figure{number}_{place}"))
    source = scratch / "report.typ"
    source.write_text("\n\n".join(part for part in parts if part), encoding="utf-8")
    draft = scratch / "report.pdf"
    typst.compile(str(source), output=str(draft))
    target.write_bytes(draft.read_bytes())


def without_roles(text: str, titles: Mapping[str, str]) -> str:
    """Replace MyST's roles by their words, and links to other pages by those pages' titles.

    Parameters
    ----------
    text
        Markdown as MyST reads it.
    titles
        Of the pages, by the last part of their names.
    """

    def title(match: re.Match[str]) -> str:
        name = match[2].rpartition("/")[2].removesuffix(".ipynb")
        return match[1] or f"*{titles.get(name, name)}*"

    return LINK.sub(title, ROLE.sub(lambda match: match[1] or match[2] or "", text))


def as_typst(text: str) -> str:
    """Translate Markdown into Typst: headings, paragraphs, lists, emphasis, code."""
    return "".join(_blocks(MarkdownIt().parse(text)))


def _blocks(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "heading_open":
            yield "=" * int(token.tag[1]) + " "
        elif token.type == "list_item_open":
            yield "- "
        elif token.type == "inline":
            yield _inline(token.children or [])
        elif token.type in ("heading_close", "paragraph_close"):
            yield "\n\n"


def _inline(tokens: Sequence[Token]) -> str:
    marks = {"strong_open": "*", "strong_close": "*", "em_open": "_", "em_close": "_"}
    parts = []
    for token in tokens:
        if token.type == "text":
            parts.append(_escape(token.content))
        elif token.type == "code_inline":
            parts.append(f"`{token.content}`")
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        else:
            parts.append(marks.get(token.type, ""))
    return "".join(parts)


def _output(output: NotebookNode, place: Path) -> str:
    data = output.get("data", {})
    for mime, ending in (("image/svg+xml", "svg"), ("image/png", "png")):
        if mime in data:
            raw = data[mime].encode() if ending == "svg" else base64.b64decode(data[mime])
            path = place.with_suffix(f".{ending}")
            path.write_bytes(raw)
            caption = output.metadata.get(mime, {}).get("caption", "")
            return f'#figure(image("{path.name}", width: 100%), caption: [{_caption(caption)}])'
    text = data.get(MARKDOWN, "")
    if match := TABLE.search(text):
        return _table(match[2], match[1])
    return as_typst(TAG.sub("", text))


def _table(body: str, caption: str) -> str:
    rows = [
        [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        for line in body.strip().splitlines()
    ]
    head, _, *lines = rows
    cells = [f"[*{_words(cell)}*]" for cell in head]
    cells += [f"[{_words(cell)}]" for line in lines for cell in line]
    longest = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths = ", ".join("auto" if length < 14 else "1fr" for length in longest)
    table = f"table(columns: ({widths},), stroke: 0.4pt, align: left, {', '.join(cells)})"
    return (
        "#show figure: set block(breakable: true)\n"
        f"#figure({table}, kind: table, caption: [{_caption(caption)}])"
    )


def _caption(text: str) -> str:
    return _words(TAG.sub("", text))


def _words(text: str) -> str:
    return _inline(MarkdownIt().parseInline(TAG.sub("", text))[0].children or [])


def _escape(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text)


def _shown(cell: NotebookNode) -> bool:
    tags = set(cell.metadata.get("tags", []))
    return not tags & {"remove-cell", parameters.TAG, "injected-parameters"}
