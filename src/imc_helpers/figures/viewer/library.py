"""The files that all pages of the viewer share: its scripts and styles, and Leaflet's."""

from importlib import resources
from pathlib import Path

from imc_helpers.figures.viewer.links import FOLDER

SITE = resources.files("imc_helpers.figures.viewer") / "site"
"""Folder of the page's template, and of the scripts and styles."""
_SHARED = (".js", ".css")


def install_library(html: Path) -> None:
    """Write the shared files into a rendered book, once for all pages: ``viewer/library/``.

    Leaflet comes from the package XStatic-Leaflet, which holds nothing but Leaflet's own files.

    Parameters
    ----------
    html
        Folder of the rendered book.
    """
    folder = html / FOLDER / "library"
    folder.mkdir(parents=True, exist_ok=True)
    leaflet = resources.files("xstatic.pkg.leaflet") / "data"
    own = [file for file in SITE.iterdir() if file.name.endswith(_SHARED)]
    for file in [*own, leaflet / "leaflet.js", leaflet / "leaflet.css"]:
        (folder / file.name).write_bytes(file.read_bytes())
