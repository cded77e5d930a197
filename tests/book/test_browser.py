"""The pages as a browser shows them: opened from a folder, wide and on a telephone, light and dark.

Each page is visited once and what was found is kept, so that every question has a test of its own.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import make_site
from imc_helpers.figures.viewer.links import FOLDER
from project import Project

pytestmark = [pytest.mark.site, pytest.mark.slow, pytest.mark.timeout(3600)]

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
SCHEMES = ("light", "dark")
SERIOUS = ("serious", "critical")
EMPTY_IMAGES = """
[...document.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src)
"""
# Styles are not asked for once more: from a folder they cannot be.
AXE = {"resultTypes": ["violations"], "preload": False}


@dataclass
class Visit:
    """What was found on one page."""

    errors: list[str] = field(default_factory=list)
    """What the console said, what the page's scripts raised, what could not be loaded."""
    empty_images: list[str] = field(default_factory=list)
    width_px: dict[str, int] = field(default_factory=dict)
    """Width of the page on a telephone."""
    background: dict[str, float] = field(default_factory=dict)
    """Brightness of the page by scheme, from 0 to 1."""
    barriers: list[str] = field(default_factory=list)
    """What axe calls serious or critical."""


def listen(page: Page, errors: list[str]) -> None:
    """Note whatever goes wrong on a page."""
    page.on("console", lambda said: said.type == "error" and errors.append(said.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda request: errors.append(f"not loaded: {request.url}"))


def look_at(page: Page, path: Path, visit: Visit, scheme: str) -> None:
    """Open a page in a scheme on a telephone, and note what is to be seen."""
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(path.as_uri())
    visit.empty_images += page.evaluate(EMPTY_IMAGES)
    visit.width_px[scheme] = page.evaluate("document.documentElement.scrollWidth")
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    rgb = [float(part) for part in color.partition("(")[2].rstrip(")").split(",")[:3]]
    visit.background[scheme] = sum(rgb) / 3 / 255


def find_barriers(page: Page) -> list[str]:
    """Return what axe finds on a page as a desktop shows it."""
    page.set_viewport_size(DESKTOP)
    found = Axe().run(page, options=AXE).response["violations"]
    return [
        f"{barrier['id']}: {node['html']} ({node['failureSummary']})"
        for barrier in found
        if barrier["impact"] in SERIOUS
        for node in barrier["nodes"]
    ]


def pages_of(html: Path) -> list[Path]:
    """Return the pages of an edition, and of the viewer, where all look alike, one by cohort."""
    book = [path for path in html.rglob("*.html") if not {"_static", FOLDER} & {*path.parts}]
    viewer = {path.parent: path for path in html.glob(f"{FOLDER}/*/*.html")}
    return sorted([*book, *viewer.values()])


@pytest.fixture(scope="module")
def visits(browser: Browser, edition: str, edition_html: Path) -> dict[str, Visit]:
    """What was found, page by page.

    Axe takes a second or two, so each page of the small edition meets it in one scheme only, one
    after the other in light and dark; pages of the full editions in both.
    """
    found: dict[str, Visit] = {}
    in_turn = cycle(SCHEMES)
    for path in pages_of(edition_html):
        visit = found[path.relative_to(edition_html).as_posix()] = Visit()
        with_axe = [next(in_turn)] if edition == "ci" else SCHEMES
        page = browser.new_page()
        listen(page, visit.errors)
        for scheme in SCHEMES:
            look_at(page, path, visit, scheme)
            if scheme in with_axe:
                visit.barriers += find_barriers(page)
        page.close()
    return found


def wrong(visits: dict[str, Visit], what: str) -> dict[str, list[str]]:
    """Return what is listed under a name, by page, where there is anything."""
    return {name: listed for name, visit in visits.items() if (listed := getattr(visit, what))}


def test_no_page_reports_an_error(visits):
    assert not wrong(visits, "errors")


def test_every_image_is_shown(visits):
    assert not wrong(visits, "empty_images")


def test_no_page_scrolls_sideways_on_a_telephone(visits):
    too_wide = {name: visit.width_px for name, visit in visits.items()}
    assert not {n: w for n, w in too_wide.items() if max(w.values()) > PHONE["width"]}


def test_pages_are_light_or_dark_as_the_system_is(visits):
    for name, visit in visits.items():
        assert visit.background["light"] > 0.9, name
        assert visit.background["dark"] < 0.2, name


def test_axe_finds_no_serious_barrier(visits):
    assert not wrong(visits, "barriers")


CHAPTER = "chapters/study/05_annotators.html"
"""A page like others; what is pressed and typed is tried on it."""


@pytest.fixture
def chapter(browser: Browser, edition_html: Path) -> Iterator[Page]:
    """A chapter as a desktop shows it."""
    page = browser.new_page(viewport=DESKTOP, reduced_motion="reduce")
    page.goto((edition_html / CHAPTER).as_uri())
    yield page
    page.close()


def test_the_first_key_leads_past_the_sidebar(chapter):
    chapter.keyboard.press("Tab")
    link = chapter.get_by_role("link", name="Skip to main content")
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()
    chapter.keyboard.press("Enter")
    assert chapter.url.endswith("#main-content")
    chapter.keyboard.press("Tab")
    assert chapter.evaluate("Boolean(document.activeElement.closest('main'))")


def test_the_drawer_with_the_code_opens_by_keyboard(chapter):
    drawer = chapter.locator("details.reproduce")
    code = drawer.locator("pre").first
    expect(code).to_be_hidden()
    drawer.locator("summary").focus()
    chapter.keyboard.press("Enter")
    expect(code).to_be_visible()


def test_the_sidebar_of_a_telephone_opens_by_keyboard(chapter):
    chapter.set_viewport_size(PHONE)
    link = chapter.locator(".bd-sidebar-primary a.reference").first
    expect(link).not_to_be_in_viewport()
    chapter.locator(".primary-toggle").focus()
    chapter.keyboard.press("Enter")
    expect(link).to_be_in_viewport()


def test_a_search_by_keyboard_finds_pages(chapter):
    chapter.keyboard.press("Control+k")
    expect(chapter.locator("#search-input")).to_be_focused()
    chapter.keyboard.type("annotators")
    chapter.keyboard.press("Enter")
    found = chapter.locator("#search-results li a[href*='05_annotators.html']")
    expect(found.first).to_be_visible(timeout=20_000)  # results come one after the other


def test_the_reader_can_choose_light_or_dark(chapter):
    seen = set()
    for _ in range(3):
        chapter.locator(".article-header-buttons .theme-switch-button").click()
        seen.add(chapter.locator("html").get_attribute("data-mode"))
    assert seen == {"light", "dark", "auto"}


@pytest.fixture
def site(edition_html: Path, tmp_path: Path) -> Path:
    """A site of two editions: an edition under two names, and the second lacks a page."""
    project = Project(tmp_path)
    (tmp_path / "_config.yml").write_text("title: A book\n", encoding="utf-8")
    for name in ("demo", "open"):
        heavy = shutil.ignore_patterns("_images", "_sources", "mathjax")
        shutil.copytree(edition_html, project.html(name), ignore=heavy)
    (project.html("open") / "glossary.html").unlink()
    return make_site.assemble(project, ["demo", "open"])


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["telephone", "desktop"])
def test_the_menu_of_editions_leads_to_the_same_page(browser, site, size):
    page = browser.new_page(viewport=size, reduced_motion="reduce")
    page.goto((site / "index.html").as_uri())
    page.wait_for_url("**/demo/index.html")
    for start, end in ((CHAPTER, CHAPTER), ("glossary.html", "index.html")):
        page.goto((site / "demo" / start).as_uri())
        menu = page.get_by_role("navigation", name="Editions")
        menu.get_by_role("button", name="Edition: demo").focus()
        page.keyboard.press("Enter")
        expect(menu.get_by_role("link", name="Demo edition")).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        menu.get_by_role("link", name="Open edition").click()
        page.wait_for_url(f"**/open/{end}")
        expect(page.get_by_role("button", name="Edition: open")).to_be_visible()
    page.close()
