"""Make editions and put them together into one site: ``python make_site.py EDITION …``.

Each edition is made as ``make book`` makes it, and rendered no second time: its pages are copied to
``_build/site/EDITION``, each with a menu in its header that leads to the same page of the others.
The site's own first page leads to the first edition that was named. A site is made to be handed on,
so images and masks whose licence does not allow that are left out (`withhold`).
"""

import argparse
import html
import posixpath
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from imc_helpers.data.manifest import Edition, load_edition
from project import Project
from tether import tether
from withhold import withhold

SCRIPTS = Path(__file__).resolve().parent
HEADER = '<div class="header-article-items__end">'
"""What the theme puts before the buttons at the top of a page."""
MENU = """
<div class="header-article-item">
<nav class="dropdown edition-menu" aria-label="Editions">
  <button class="btn dropdown-toggle" type="button" data-bs-toggle="dropdown" aria-expanded="false">
    <span class="visually-hidden">Edition:</span> {name}
    <i class="fas fa-angle-down ms-1" aria-hidden="true"></i>
  </button>
  <ul class="dropdown-menu">
{items}
  </ul>
</nav>
</div>"""
ITEM = '    <li><a class="btn btn-sm dropdown-item" href="{link}"{current}>{title}</a></li>'
LANDING = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={first}/index.html">
<title>{title}</title>
</head>
<body>
<main>
<h1>{title}</h1>
<ul>
{items}
</ul>
</main>
</body>
</html>
"""
LANDING_ITEM = '<li><a href="{name}/index.html">{title}</a>: {description}</li>'


def assemble(project: Project, editions: Sequence[str]) -> Path:
    """Put rendered editions together and return the folder of the site.

    Parameters
    ----------
    project
        The checkout; ``_build/EDITION/html`` is there for each edition.
    editions
        Names of the editions in the order of the menu; the site opens with the first.

    Raises
    ------
    ValueError
        If the pages of an edition have no header that a menu could go into.
    """
    records = {name: load_edition(name) for name in editions}
    pages = {name: _pages(project.html(name)) for name in editions}
    final = project.root / "_build" / "site"
    with project.drafts() as drafts:
        draft = drafts / "site"
        for name in editions:
            shutil.copytree(project.html(name), draft / name)
            withhold(draft / name, name, records[name])
            for page in pages[name]:
                path = draft / name / page
                menu = edition_menu(name, page, records, pages)
                text = path.read_text(encoding="utf-8")
                path.write_text(text.replace(HEADER, HEADER + menu, 1), encoding="utf-8")
        title = project.config["title"]
        (draft / "index.html").write_text(landing(title, records), encoding="utf-8")
        # GitHub Pages leaves out folders that begin with an underscore where this file is missing.
        (draft / ".nojekyll").touch()
        shutil.rmtree(final, ignore_errors=True)
        draft.replace(final)
    return final


def edition_menu(
    edition: str, page: str, records: Mapping[str, Edition], pages: Mapping[str, set[str]]
) -> str:
    """Return the menu of one page: each edition's page of that name, or its first page."""
    items = []
    for other, record in records.items():
        target = f"{other}/{page if page in pages[other] else 'index.html'}"
        link = posixpath.relpath(target, posixpath.dirname(f"{edition}/{page}"))
        current = ' aria-current="true"' if other == edition else ""
        items.append(ITEM.format(link=link, current=current, title=_title(record)))
    return MENU.format(name=html.escape(edition), items="\n".join(items))


def landing(title: str, records: Mapping[str, Edition]) -> str:
    """Return the page that leads to the first edition, and lists all where nothing leads."""
    items = [
        LANDING_ITEM.format(
            name=name, title=_title(record), description=html.escape(record.description)
        )
        for name, record in records.items()
    ]
    first = next(iter(records))
    return LANDING.format(title=html.escape(title), first=first, items="\n".join(items))


def _title(record: Edition) -> str:
    return html.escape(record.title.rstrip("."))


def _pages(folder: Path) -> set[str]:
    """Return the pages of a rendered edition that have the theme's header."""
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.html")
        if HEADER in path.read_text(encoding="utf-8")
    }
    if not found:
        raise ValueError(f"{folder}: no page has the header {HEADER!r} that the menu goes into")
    return found


def main() -> None:
    """Make the editions one by one, and the site when all of them are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("editions", nargs="+", metavar="EDITION")
    parser.add_argument("--profile", default="local")
    arguments = parser.parse_args()
    tether()
    project = Project(SCRIPTS.parents[1])
    for edition in arguments.editions:
        run = [sys.executable, str(SCRIPTS / "run.py"), edition, "--profile", arguments.profile]
        if status := subprocess.run(run, cwd=project.root, check=False).returncode:
            sys.exit(status)
    site = assemble(project, arguments.editions)
    print(f"The site is ready: {(site / 'index.html').as_uri()}")


if __name__ == "__main__":
    main()
