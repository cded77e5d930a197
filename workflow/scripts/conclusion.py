"""Every page's answer on one page: what an edition found, in the words of its pages."""

import posixpath
import re
from collections.abc import Iterator

import nbformat
from nbformat import NotebookNode

from gate import is_answer
from plan import Page, Plan
from project import CHAPTERS, Project

ANSWERS = "<!-- every page's answer -->"
"""Stands in a text where the answers go."""
LINK = re.compile(r"\]\((?!https?:|#|/)([^)\s]+)\)")
_REPEAT = "yours/", "closing/"
"""Parts that repeat what other pages found."""


def with_answers(text: str, project: Project, plan: Plan) -> str:
    """Put the question and the answer of every page of an edition into a text that has a place.

    Parameters
    ----------
    text
        Markdown of a page at the root of the book.
    project, plan
        The checkout, and the edition whose pages have run.
    """
    if ANSWERS not in text:
        return text
    said = []
    for part, title in project.parts.items():
        pages = [p for p in plan.pages if p.name.startswith(f"{part}/")]
        found = [] if f"{part}/" in _REPEAT else list(_answered(project, plan, pages))
        said += [f"### {title}", *found] if found else []
    return text.replace(ANSWERS, "\n\n".join(said))


def _answered(project: Project, plan: Plan, pages: list[Page]) -> Iterator[str]:
    for page in pages:
        executed = project.executed(plan.edition, page.name)
        notebook = nbformat.read(executed, as_version=4)
        if answer := answer_of(notebook):
            place = f"{CHAPTERS}/{page.name}"
            own = f"**[{question_of(notebook)}]({place})**"
            yield f"{own}\n\n{from_root(answer, place)}"


def question_of(notebook: NotebookNode) -> str:
    """Return the question that stands under a page's title."""
    paragraphs = notebook.cells[0].source.split("\n\n")
    return " ".join(paragraphs[1].strip().strip("*").split()) if len(paragraphs) > 1 else ""


def answer_of(notebook: NotebookNode) -> str:
    """Return the text of a page's answer, without its lead; empty where it gave none."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if is_answer(output):
                return "".join(output["data"]["text/plain"])
    return ""


def from_root(text: str, place: str) -> str:
    """Make the links of a page's text work from the root of the book.

    Parameters
    ----------
    text
        Markdown.
    place
        Path of its page from the root, without suffix.
    """
    folder = posixpath.dirname(place)
    return LINK.sub(lambda m: f"]({posixpath.normpath(posixpath.join(folder, m[1]))})", text)
