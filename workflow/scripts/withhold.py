"""What a site leaves out: images and masks of cohorts whose licence does not let them be handed on.

Numbers, tables and drawings stay. What shows tissue is replaced: the viewer's pages, pictures in
pages, and the same pictures in the notebooks that the theme offers for download.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image

from imc_helpers.data.manifest import Edition, cohort_record
from imc_helpers.data.sources import in_a_site
from imc_helpers.figures.names import cohort_name
from imc_helpers.figures.viewer.links import FOLDER

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{cohort}: not in this site</title>
</head>
<body>
<main>
<h1>{cohort}: not in this site</h1>
<p>Images and masks of this cohort are not handed on ({why}). Who makes the book on a machine of
their own (<code>make book EDITION={edition}</code>) finds them in this place.</p>
</main>
</body>
</html>
"""
PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 120" width="640" height="120">
<rect width="640" height="120" fill="#333"/>
<text x="320" y="66" fill="#fff" font-family="sans-serif" font-size="18" text-anchor="middle">\
Not in this site: the licence of these images</text></svg>
"""
FIGURE = re.compile(r'<figure class="(?:tissue|front)\b.*?</figure>', re.DOTALL)
"""A picture of tissue, as the book renders one."""
IMAGE, LABEL = re.compile(r'<img [^>]*src="([^"]*)"'), re.compile(r'id="([^"]*)"')
BADGE, REAL = 'class="source ', re.compile(r'class="source real"[^>]*>real: ([^<]*)<')
"""What `imc_helpers.figures.names.source_note` writes into captions."""
_SVG = "image/svg+xml"


def withhold(folder: Path, name: str, edition: Edition) -> None:
    """Take out of an edition's pages what may not be handed on.

    Parameters
    ----------
    folder
        The edition's pages, a copy.
    name, edition
        Which edition.
    """
    records = {cohort: cohort_record(cohort) for cohort in edition.made}
    reasons = {
        cohort: in_a_site(record).removeprefix("no: ")
        for cohort, record in records.items()
        if not record.redistributable
    }
    if not reasons:
        return
    for cohort, why in reasons.items():
        _close_viewer(folder / FOLDER / cohort, cohort=cohort_name(cohort), why=why, edition=name)
    names = frozenset(html.escape(cohort_name(cohort)) for cohort in reasons)
    for page in folder.rglob("*.html"):
        for figure in FIGURE.findall(page.read_text(encoding="utf-8")):
            if _shows(figure, names):
                for image in _images(figure, page, folder):
                    _cover(image)
    for notebook in (folder / "_sources").rglob("*.ipynb"):
        _cover_in_notebook(notebook, names)


def _shows(text: str, names: frozenset[str]) -> bool:
    """Say whether a figure, by its caption's badges, shows any of some cohorts, or does not say."""
    return BADGE not in text or not names.isdisjoint(REAL.findall(text))


def _close_viewer(viewer: Path, **words: str) -> None:
    text = PAGE.format_map({key: html.escape(value) for key, value in words.items()})
    for path in viewer.iterdir() if viewer.is_dir() else ():
        if path.suffix == ".html":
            path.write_text(text, encoding="utf-8")
        else:
            _cover(path)


def _images(figure: str, page: Path, folder: Path) -> Iterator[Path]:
    """Yield the files of a figure: the one for a page, and the one for a telephone."""
    for source in IMAGE.findall(figure):
        yield (page.parent / source).resolve()
    for label in LABEL.findall(figure):
        yield folder / "_static" / "figures" / f"{label}.svg"


def _cover(image: Path) -> None:
    if not image.is_file():
        return
    if image.suffix == ".svg":
        image.write_text(PICTURE, encoding="utf-8")
    else:
        Image.new("L", (640, 120), 51).save(image)


def _cover_in_notebook(path: Path, names: frozenset[str]) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            about: Mapping[str, str] = output.get("metadata", {}).get(_SVG, {})
            if about.get("kind") == "tissue" and _shows(about.get("caption", ""), names):
                output["data"][_SVG] = PICTURE
                output["metadata"][_SVG] = {**about, "phone": PICTURE}
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), encoding="utf-8")
