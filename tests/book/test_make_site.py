"""Several rendered editions become one site."""

import json
import re
import subprocess

import pytest

import make_site
from imc_helpers.figures.names import source_note
from project import Project

SVG = "image/svg+xml"
PAGE = f"<html><body>{make_site.HEADER}<button>Search</button></div></body></html>"
TOOL = "<html><body>A page of its own</body></html>"


@pytest.fixture
def project(tmp_path) -> Project:
    """Two rendered editions: both have an index and a chapter, each has a page of its own."""
    (tmp_path / "_config.yml").write_text("title: A & B\n")
    project = Project(tmp_path)
    for edition, only in (("demo", "chapters/phantom"), ("open", "viewer")):
        for name in ("index", "chapters/one", only):
            page = project.html(edition) / f"{name}.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(TOOL if name == "viewer" else PAGE)
    return project


def menu(site, page):
    """Return the menu of a page: the addresses by title."""
    text = (site / page).read_text()
    return {title: link for link, title in re.findall(r'href="([^"]*)"[^>]*>([^<]*)</a>', text)}


def test_a_page_leads_to_its_namesake_or_to_the_first_page(project):
    site = make_site.assemble(project, ["demo", "open"])
    assert menu(site, "demo/chapters/one.html") == {
        "Demo edition": "one.html",
        "Open edition": "../../open/chapters/one.html",
    }
    assert menu(site, "demo/chapters/phantom.html") == {
        "Demo edition": "phantom.html",
        "Open edition": "../../open/index.html",
    }
    for page in site.rglob("*.html"):
        for link in menu(site, page.relative_to(site)).values():
            assert (page.parent / link).is_file(), (page, link)


def test_the_menu_says_where_one_is(project):
    site = make_site.assemble(project, ["demo", "open"])
    here = re.findall(r'aria-current="true">([^<]*)<', (site / "open/index.html").read_text())
    assert here == ["Open edition"]


def test_the_first_edition_opens(project):
    site = make_site.assemble(project, ["open", "demo"])
    landing = (site / "index.html").read_text()
    assert 'content="0; url=open/index.html"' in landing
    assert "<title>A &amp; B</title>" in landing
    assert menu(site, "index.html") == {
        "Open edition": "open/index.html",
        "Demo edition": "demo/index.html",
    }


def test_a_page_without_the_header_is_copied_as_it_is(project):
    site = make_site.assemble(project, ["demo", "open"])
    assert (site / "open/viewer.html").read_text() == TOOL


def test_the_editions_stay_as_they_are_and_the_site_is_replaced(project):
    site = make_site.assemble(project, ["demo", "open"])
    assert (project.html("demo") / "index.html").read_text() == PAGE
    assert make_site.assemble(project, ["demo"]) == site
    assert sorted(path.name for path in site.iterdir()) == [".nojekyll", "demo", "index.html"]
    assert not list(project.scratch.iterdir())


def test_a_theme_that_has_changed_is_no_reason_for_a_site_without_menus(project):
    for page in project.html("open").rglob("*.html"):
        page.write_text(TOOL)
    with pytest.raises(ValueError, match="no page has the header"):
        make_site.assemble(project, ["demo", "open"])


@pytest.fixture
def command(project, monkeypatch):
    """Call the command, with editions that are made as told; return what was asked for."""

    def call(*editions, status):
        asked = []

        def run(command, **_):
            asked.append(command[2])
            return subprocess.CompletedProcess(command, status[command[2]])

        monkeypatch.setattr(make_site, "SCRIPTS", project.root / "workflow" / "scripts")
        monkeypatch.setattr(make_site, "tether", lambda: None)
        monkeypatch.setattr(make_site.subprocess, "run", run)
        monkeypatch.setattr("sys.argv", ["make_site.py", *editions])
        make_site.main()
        return asked

    return call


def test_each_edition_is_made_before_the_site(command, project, capsys):
    assert command("open", "demo", status={"open": 0, "demo": 0}) == ["open", "demo"]
    index = project.root / "_build" / "site" / "index.html"
    assert index.as_uri() in capsys.readouterr().out
    assert index.is_file()


def test_an_edition_that_fails_leaves_the_site_as_it_was(command, project):
    with pytest.raises(SystemExit) as stopped:
        command("demo", "open", status={"demo": 3, "open": 0})
    assert stopped.value.code == 3
    assert not (project.root / "_build" / "site").exists()


PICTURE = """<figure class="{kind} align-default" id="{label}">
<img alt="x" src="{source}" />
<figcaption><p>A crop. {badges}</p></figcaption></figure>"""


def rendered(project, cohorts, kind="tissue", badges=None):
    """Add to the demo what the book makes of cohorts: viewers, a picture in page and notebook."""
    folder, label = project.html("demo"), "fig-" + "-".join([kind, *cohorts])
    badges = source_note(cohorts) if badges is None else badges
    about = {"kind": kind, "caption": f"A crop. {badges}", "phone": f"pixels of {label}"}
    output = {"data": {SVG: f"pixels of {label}"}, "metadata": {SVG: about}}
    picture = PICTURE.format(
        kind=kind, label=label, source=f"../_images/{label}.svg", badges=badges
    )
    files = {
        f"chapters/{label}.html": PAGE.replace("</body>", f"{picture}</body>"),
        f"_images/{label}.svg": f"pixels of {label}",
        f"_static/figures/{label}.svg": f"pixels of {label}",
        f"_sources/chapters/{label}.ipynb": json.dumps({"cells": [{"outputs": [output]}, {}]}),
    }
    for cohort in cohorts:
        files[f"viewer/{cohort}/a.html"] = files[f"viewer/{cohort}/a.webp"] = f"pixels of {cohort}"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return label


def test_images_that_may_not_be_handed_on_are_in_no_site(project, monkeypatch):
    """Neither under a non-commercial licence nor under one that nobody knows; others are."""
    kept = ["ali20"], ["phantom_ali20", "spleen_imc"]
    gone = ["rendeiro21"], ["jackson20", "hoch22"], ["schuiki25", "ali20"]
    stay = [rendered(project, cohorts) for cohorts in kept]
    stay.append(rendered(project, ["rendeiro21"], kind="drawing"))
    leave = [rendered(project, cohorts) for cohorts in gone]
    leave.append(rendered(project, [], badges=""))  # does not say what it shows
    cohorts = dict.fromkeys(key for group in (*kept, *gone) for key in group)
    edition = make_site.load_edition("demo").model_copy(update={"cohorts": tuple(cohorts)})
    monkeypatch.setattr(make_site, "load_edition", lambda _: edition)
    site = make_site.assemble(project, ["demo"])

    def pixels(folder):
        texts = [p.read_text(errors="ignore") for p in folder.rglob("*") if p.is_file()]
        return {match for text in texts for match in re.findall("pixels of [\\w-]*", text)}

    free = {"ali20", "phantom_ali20", "spleen_imc"}
    assert pixels(site) == {f"pixels of {name}" for name in (*stay, *free)}
    everything = {f"pixels of {name}" for name in (*stay, *leave, *cohorts)}
    assert pixels(project.html("demo")) == everything, "the user's own book stays whole"
    page = (site / "demo/viewer/rendeiro21/a.html").read_text()
    assert "Rendeiro21: not in this site" in page
    assert "(non-commercial)" in page
    assert "Not in this site" in (site / f"demo/_images/{leave[0]}.svg").read_text()
