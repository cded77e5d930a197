"""The stamp of a notebook that ran to its end: what it was made from, on what, and what it took."""

from typing import Any

from nbformat import NotebookNode
from pydantic import BaseModel, ConfigDict, ValidationError

KEY = "imc_book_stamp"


class Stamp(BaseModel):
    """Written into an executed notebook's metadata, and only after papermill returned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    """SHA-256 of the chapter's text."""
    package: str
    """SHA-256 of the code it calls."""
    edition: str
    edition_file: str
    """SHA-256 of the edition's file."""
    parameters: dict[str, Any]
    kernel: str
    """Name of the Jupyter kernel that ran it."""
    python: str
    """Version of the kernel's Python."""
    inputs: str = ""
    """SHA-256 of the records of the models' runs that the page read."""
    device: str
    """``"cpu"`` or ``"cuda"``, as seen from inside the kernel."""
    seconds: float
    peak_memory_mb: float
    """Largest resident memory of the kernel, MB (10**6 bytes)."""
    finished: str
    """Date and time, UTC, ISO 8601."""


def write(notebook: NotebookNode, stamp: Stamp) -> None:
    """Put the stamp into a notebook."""
    notebook.metadata[KEY] = stamp.model_dump()


def read(notebook: NotebookNode) -> Stamp | None:
    """Return a notebook's stamp, or None where it has none that this version can read."""
    try:
        return Stamp.model_validate(notebook.metadata.get(KEY))
    except ValidationError:
        return None
