"""The gate: what may enter ``executed/``, and with what stamp.

Jupyter Book renders any notebook it is given, tracebacks and all. So each notebook has to pass here
when it was run; what stands in ``executed/`` has passed.

A figure declares itself in the metadata of its output: ``{"image/png": {"alt": …, "caption": …,
"label": …}}``. ``alt`` is where nbconvert looks for it as well.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import nbformat
from nbformat import NotebookNode
from pydantic import BaseModel, ConfigDict

from imc_helpers.data.manifest import token_variables

KEY = "imc_book_stamp"
"""Where an executed notebook's metadata hold its stamp."""

MAX_BYTES = 5_000_000
"""Largest page, bytes of the executed notebook with its figures."""
WIDGET = "application/vnd.jupyter.widget-view+json"
PROGRESS = re.compile(r"\r(?!\n)|\d+%\s*\|[^|\n]*\|\s*\d+/\d+|\d+it \[\d+:\d+")
LEFT_NAME = re.compile(
    r"(?<![$\\^_{}:A-Za-z])\{[A-Za-z_]([\w.]|\[[^\]{}]*\]|\([^(){}]*\))*(:[^{}`]*)?\}(?![`{])"
)
"""A name in braces that is no MyST role (a backtick follows those) and no argument of a formula."""
EMPTY_MARKDOWN_ALT = re.compile(r"!\[\s*\]\(")


class Stamp(BaseModel):
    """What a notebook was made from, on what, and what it took; written when it ran to its end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    made_from: str
    """SHA-256 of the digest of all that the notebook depends on."""
    edition: str
    parameters: dict[str, Any]
    kernel: str
    """Name of the Jupyter kernel that ran it."""
    python: str
    """Version of the kernel's Python."""
    device: str
    """``"cpu"`` or ``"cuda"``, as seen from inside the kernel."""
    seconds: float
    """From the start of the kernel to the end of the last cell."""
    peak_memory_mb: float
    """Largest resident memory of the kernel, MB (10**6 bytes)."""
    finished: str
    """Date and time, UTC, ISO 8601."""


def read_stamp(notebook: NotebookNode) -> Stamp:
    """Return the stamp of an executed notebook."""
    return Stamp.model_validate(notebook.metadata[KEY])


def problems(notebook: NotebookNode, *, device: str, size: int, page: bool = True) -> list[str]:
    """Return why a notebook may not enter ``executed/``; nothing where it may.

    Parameters
    ----------
    notebook
        The executed notebook with its stamp.
    device
        The device that it asked for; empty where either will do.
    size
        Size of its file, bytes.
    page
        Whether it becomes a page; other notebooks may hold what a library wrote to stderr.
    """
    found = [*_unfinished(notebook, device), *_tokens(notebook)]
    for number, cell in enumerate(notebook.cells, start=1):
        found += [f"cell {number}: {problem}" for problem in _cell(cell, page)]
    labels = Counter(label for cell in notebook.cells for label in figure_labels(cell))
    found += [f"label `{label}` is used {n} times" for label, n in labels.items() if n > 1]
    if size > MAX_BYTES:
        found.append(
            f"the page has {size / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:.0f}: "
            "show figures with many pixels as PNG, smaller"
        )
    if notebook.metadata.get("widgets"):
        found.append("widget state in the notebook: a rendered page cannot run widgets")
    return found


def images(cell: NotebookNode) -> Iterator[dict[str, str]]:
    """Yield what each figure of a cell declares about itself: alt, caption, label."""
    for output in cell.get("outputs", []):
        for mime in output.get("data", {}):
            if mime.startswith("image/"):
                yield output.get("metadata", {}).get(mime, {})


def figure_labels(cell: NotebookNode) -> list[str]:
    """Return the labels of the figures of a cell."""
    return [image["label"] for image in images(cell) if "label" in image]


def is_answer(output: NotebookNode) -> bool:
    """Say whether an output is the page's answer, as `imc_helpers.figures.page.answer` marks it."""
    return output.get("metadata", {}).get("text/markdown", {}).get("role") == "answer"


def _unfinished(notebook: NotebookNode, device: str) -> Iterator[str]:
    if notebook.metadata.get("papermill", {}).get("exception"):
        yield "papermill met an exception and stopped"
    if KEY not in notebook.metadata:
        yield "no stamp: the run did not come to its end"
    elif device and (ran := read_stamp(notebook).device) != device:
        yield f"run on the device `{ran}`, the chapter asks for `{device}`"


def _tokens(notebook: NotebookNode) -> Iterator[str]:
    """Name the user's tokens whose values stand in a notebook, without repeating them."""
    text = nbformat.writes(notebook)
    for variable in token_variables():
        if (token := os.environ.get(variable, "")) and token in text:
            yield f"it holds the value of {variable}: a token must not leave this machine"


def _cell(cell: NotebookNode, page: bool) -> Iterator[str]:
    if cell.cell_type == "markdown":
        if EMPTY_MARKDOWN_ALT.search(cell.source):
            yield "an image without alt text"
        yield from _html(cell.source)
    if cell.cell_type != "code":
        return
    papermill = cell.metadata.get("papermill", {})
    if papermill.get("exception") or papermill.get("status") not in (None, "completed"):
        yield "papermill did not complete it"
    for output in cell.outputs:
        yield from _output(output, page)
    yield from _figures(cell)


def _output(output: NotebookNode, page: bool) -> Iterator[str]:
    if output.output_type == "error":
        yield f"{output.ename}: {output.evalue}"
    if output.output_type == "stream" and page:
        if PROGRESS.search(output.text):
            yield "a progress bar was left in the page"
        elif output.name == "stderr":
            yield f"a warning, or other text on stderr: {output.text.strip()[:200]}"
    data = output.get("data", {})
    if WIDGET in data:
        yield "a widget: a rendered page cannot run it"
    if "text/html" in data:
        yield from _html(data["text/html"])
    if name := LEFT_NAME.search(data.get("text/markdown", "")):
        yield f"the text prints `{name[0]}` for a value: is an f missing before the string?"


def _html(text: str) -> Iterator[str]:
    parser = _ImageParser()
    parser.feed(text)
    if any(not alt.strip() for alt in parser.alts):
        yield "an <img> without alt text"


class _ImageParser(HTMLParser):
    """Collects the alt texts of the images of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.alts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.alts.append(dict(attrs).get("alt") or "")


def _figures(cell: NotebookNode) -> Iterator[str]:
    found = list(images(cell))
    if len(found) > 1:
        yield f"{len(found)} figures: show one figure a cell, so that each has its own caption"
    shown = [
        o for o in cell.get("outputs", []) if o.output_type in ("display_data", "execute_result")
    ]
    if len(found) == 1 and len(shown) > 1:
        # The label belongs to the cell, and so to each of its outputs.
        yield "a figure and something else: show the rest in a cell of its own"
    for image in found:
        for field in ("alt", "caption", "label"):
            if not str(image.get(field, "")).strip():
                yield f"a figure without {field}: show it with its alt, caption and label"
        if name := LEFT_NAME.search(image.get("caption", "")):
            yield f"the caption prints `{name[0]}` for a value: is an f missing before the string?"
        label = image.get("label", "")
        if label and not label.startswith("fig-"):
            yield f"the figure's label `{label}` does not start with `fig-`"
