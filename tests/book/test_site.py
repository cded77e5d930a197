"""The rendered book as its files are, page by page; `test_browser` looks at what is shown."""

import os
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from conftest import TOKEN
from nbformat import read

import gate
import plan as plans
import repository
from imc_helpers.data.manifest import load_edition, token_variables
from project import Project

ROOT = Path(__file__).resolve().parents[2]
PROJECT = Project(ROOT)
MAX_PAGE_BYTES = 5_000_000


pytestmark = [pytest.mark.site, pytest.mark.slow, pytest.mark.timeout(3600)]


class Page(HTMLParser):
    """What a page links to, loads and names."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.alts: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.ids.update(found[key] for key in ("id", "name") if key in found)
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "link" and found.get("rel") != "canonical":
            self.loads.append(found.get("href", ""))
        if tag in ("img", "script") and "src" in found:
            self.loads.append(found["src"])
        if tag == "img":
            self.alts.append(found.get("alt", ""))


@pytest.fixture(scope="module")
def pages(edition_html: Path) -> dict[str, Page]:
    """Every page of an edition by its name."""
    # Below _static lie files of the theme.
    found = [p for p in edition_html.rglob("*.html") if "_static" not in p.parts]
    return {p.relative_to(edition_html).as_posix(): Page(p) for p in found}


def chapters_of(edition: str) -> list[str]:
    """Return the pages of an edition that are made of notebooks; some stand only in a lab's own."""
    return [page.name for page in plans.read(PROJECT, edition).pages]


def local(page: Page, link: str) -> Iterator[tuple[Path, str]]:
    """Yield the file and the place in it that a link within the book points to."""
    parts = urlsplit(link)
    if not parts.scheme and not parts.netloc:
        target = page.path.parent / unquote(parts.path) if parts.path else page.path
        yield target.resolve(), unquote(parts.fragment)


def test_every_page_of_the_contents_is_there(pages, edition):
    names = {f"chapters/{chapter}.html" for chapter in chapters_of(edition)}
    names |= {f"{p.stem}.html" for p in PROJECT.front_matter() if p.suffix == ".md"}
    assert names | {"status.html"} <= set(pages)


def test_every_launch_link_names_a_file_of_the_release(pages, edition):
    address = repository.address(PROJECT)
    settings = repository.with_buttons(PROJECT, PROJECT.config)
    owner_and_name, tag = urlsplit(address).path.strip("/"), repository.tag(PROJECT)
    launch = settings.get("launch_buttons", {})
    colab = f"/github/{owner_and_name}/blob/{tag}/"
    binder = f"/v2/gh/{owner_and_name}/{tag}"
    for chapter in chapters_of(edition):
        page = pages[f"chapters/{chapter}.html"]
        links = [urlsplit(link) for link in page.links]
        on_colab = [x.path for x in links if x.netloc == "colab.research.google.com"]
        on_binder = [x for x in links if x.netloc == "mybinder.org"]
        assert bool(on_colab) == bool(launch.get("colab_url"))
        assert bool(on_binder) == bool(launch)
        files = [path.removeprefix(colab) for path in on_colab]
        for link in on_binder:
            assert link.path == binder
            (place,) = parse_qs(link.query)["urlpath"]
            files.append(place.removeprefix("lab/tree/"))
        notebook = PROJECT.source(chapter).with_suffix(".ipynb")
        assert {ROOT / file for file in files} <= {notebook}
        assert notebook.is_file()


def test_every_link_within_the_book_arrives(pages):
    places = {page.path.resolve(): page.ids for page in pages.values()}
    for page in pages.values():
        for link in page.links:
            for target, place in local(page, link):
                assert target.exists(), f"{page.path.name}: {link}"
                # What has an equals sign tells the viewer where to look, and is no anchor.
                if place and "=" not in place and target in places:
                    assert place in places[target], f"{page.path.name}: {link}"


def test_pages_load_nothing_from_elsewhere(pages):
    for page in pages.values():
        for address in page.loads:
            assert not urlsplit(address).netloc, f"{page.path.name}: {address}"
            for target, _ in local(page, address):
                assert target.is_file(), f"{page.path.name}: {address}"


def test_every_image_has_alt_text(pages):
    assert any(page.alts for page in pages.values())
    for page in pages.values():
        assert all(alt.strip() for alt in page.alts), page.path.name


def test_every_page_names_the_edition(pages, edition):
    title = load_edition(edition).title
    for page in pages.values():
        assert f"({edition} edition)</title>" in page.text, page.path.name
        assert title in page.text, page.path.name


def test_every_figure_and_table_has_its_number(pages, edition):
    for chapter in chapters_of(edition):
        notebook = read(PROJECT.executed(edition, chapter), as_version=4)
        page = pages[f"chapters/{chapter}.html"]
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                for mime, declared in output.get("metadata", {}).items():
                    if mime.startswith("image/"):
                        assert declared["label"] in page.ids
    everything = "".join(page.text for page in pages.values())
    assert everything.count('caption-number">Fig. ') >= 5
    assert everything.count('caption-number">Table ') >= 5


def test_no_page_is_too_heavy(pages):
    for page in pages.values():
        shown = {t for load in page.loads for t, _ in local(page, load) if "_images" in t.parts}
        total = page.path.stat().st_size + sum(path.stat().st_size for path in shown)
        assert total <= MAX_PAGE_BYTES, f"{page.path.name}: {total} bytes"


def test_no_token_stands_in_anything_that_was_made(edition_html, edition):
    """Editions are made here with a token in every variable that the manifest knows."""
    made = [PROJECT.root / "executed" / edition, PROJECT.root / "executed" / "segment"]
    logs = [PROJECT.root / "_build" / edition, PROJECT.root / "results" / edition]
    own = [os.environ[name] for name in token_variables() if os.environ.get(name)]
    for folder in (*made, *logs, edition_html):
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                for token in (TOKEN, *own):
                    assert token.encode() not in content, path


def test_the_status_page_lists_what_ran(pages, edition):
    for chapter in chapters_of(edition):
        notebook = read(PROJECT.executed(edition, chapter), as_version=4)
        found = gate.read_stamp(notebook)
        assert found.finished in pages["status.html"].text
