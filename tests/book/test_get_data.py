"""`make data`: what it says before it fetches, what it makes, what `make book` finds."""

import sys
from pathlib import Path

import pytest
import yaml
from conftest import forget

import get_data
from imc_helpers.data.archives import fetch_order, order
from imc_helpers.data.manifest import cohort_record
from imc_helpers.data.paths import data_dir, raw_dir
from imc_helpers.errors import DownloadError, InputError
from project import Project

sys.path.append(str(Path(__file__).parents[1] / "unit" / "data"))
import archive_server as server  # the stand-in that the downloads' own tests use

STACKS = bytes(5000)


@pytest.fixture
def archive(monkeypatch):
    with server.in_place_of_all_others(monkeypatch) as running:
        running.zenodo("17", {"stacks.zip": STACKS, "notes.txt": b"x"}, title="Tissue")
        running.zenodo("18", {"masks.zip": STACKS})
        yield running


@pytest.fixture
def book(planner, archive, monkeypatch):
    """A book whose edition `paper` has two cohorts in archives; their conversion is made up."""
    root = planner.book.root
    manifest = root / "data_manifest/cohorts.yml"
    records = yaml.safe_load(manifest.read_text())
    for name, number, file in (("one", "17", "stacks.zip"), ("two", "18", "masks.zip")):
        archives = {"data": {"service": "zenodo", "record": number, "files": [{"name": file}]}}
        changed = {"panel": "panels/spleen_imc.csv", "archives": archives, "title": name}
        records[name] = {**records["jackson20"], **changed}
    manifest.write_text(yaml.safe_dump(records))
    edition = {"title": "Paper.", "description": "Two.", "cohorts": ["one", "two"]}
    (root / "editions/paper.yml").write_text(yaml.safe_dump(edition))

    def prepare(cohort):
        fetch_order(order(cohort_record(cohort), raw_dir(cohort)), raw_dir(cohort), title=cohort)
        folder = data_dir() / cohort
        folder.mkdir(parents=True)
        (folder / "images.csv").write_text("image\n")
        return folder

    monkeypatch.setattr(get_data, "prepare", prepare)
    planner()
    return Project(root)


def test_it_says_first_what_it_takes_and_then_makes_what_is_not_there(book, capsys, planner):
    get_data.get(book, "paper")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("one: 1 file to download, 5.0 kB; converted at most ")
    assert said[2].startswith("in all: 10.0 kB to download, at most ")
    assert said[3:] == ["one: is ready in data/one", "two: is ready in data/two"]
    assert {f"data/{name}" for name in ("one", "two")}.isdisjoint(planner.changed("paper")), (
        "what `make book` would make again"
    )
    get_data.get(book, "paper")
    assert capsys.readouterr().out.splitlines() == [
        "one: is there already",
        "two: is there already",
    ]


def test_one_cohort_alone_and_its_downloads_dropped(book, capsys):
    get_data.get(book, "paper", only="two", drop=True)
    assert "two: its downloads are removed, " in capsys.readouterr().out
    assert not raw_dir("two").exists()
    assert (data_dir() / "two/images.csv").is_file()
    assert not (data_dir() / "one").exists()
    get_data.get(book, "paper", only="two", drop=True)
    assert capsys.readouterr().out.splitlines() == ["two: is there already"]
    with pytest.raises(InputError, match="ONLY=three: the edition 'paper' has one, two"):
        get_data.get(book, "paper", only="three")


def test_a_disk_that_is_too_small(book, monkeypatch, capsys, archive):
    def shrink(free):
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage)

    shrink(9_999)
    with pytest.raises(DownloadError, match="10.0 kB free. Nothing was downloaded: make room"):
        get_data.get(book, "paper")
    assert not raw_dir("one").exists()
    shrink(10_001)
    get_data.get(book, "paper")
    assert "too little: bring cohorts one by one" in capsys.readouterr().out


def test_the_archives_contents_and_what_is_wrong_with_them(book, capsys, archive):
    assert get_data.print_contents("paper") == 0
    said = capsys.readouterr().out
    assert "one: one; licence in the manifest: unknown" in said
    assert "  data: Zenodo record 17, Tissue\n" in said
    assert said.count("licence: cc-by-4.0; the manifest says otherwise: mend it") == 2
    lines = [line.split() for line in said.splitlines() if "md5:" in line]
    assert [(line[0], line[1], line[-1]) for line in lines] == [
        ("taken", "5.0", "stacks.zip"),
        ("left", "1", "notes.txt"),
        ("taken", "5.0", "masks.zip"),
    ]
    archive.zenodo("17", {"stacks_2.zip": STACKS})
    archive.records.pop("zenodo.org/api/records/18")
    assert get_data.print_contents("paper") == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith("!")]
    assert "should hold 'stacks.zip' and does not" in wrong[0]
    assert "404" in wrong[1]
    assert not raw_dir("one").exists(), "it only looks"


def test_a_long_list_is_cut_and_a_licence_that_agrees_is_only_named(book, archive, capsys):
    archive.zenodo("17", {"stacks.zip": STACKS, **{f"{n:02d}.txt": b"x" for n in range(40)}})
    manifest = book.root / "data_manifest/cohorts.yml"
    manifest.write_text(manifest.read_text().replace("license: unknown", "license: CC BY 4.0"))
    forget()
    assert get_data.print_contents("paper", only="one") == 0
    said = capsys.readouterr().out
    assert "    left   … and 10 more" in said
    assert "    licence: cc-by-4.0\n" in said


def test_a_fault_of_one_cohort_stops_no_other_and_a_rerun_goes_on(book, archive):
    content = "zenodo.org/api/records/17/files/stacks.zip/content"
    archive.faults[content] = [server.instead(bytes(4999) + b"x")]
    with pytest.raises(DownloadError, match="one: .*not the file of the manifest") as raised:
        get_data.get(book, "paper", drop=True)
    assert str(raised.value).endswith("Not brought: one. Run it again")
    assert not (data_dir() / "one").exists()
    assert (data_dir() / "two/images.csv").is_file()
    get_data.get(book, "paper")
    assert (data_dir() / "one/images.csv").is_file()
    assert archive.asked("masks.zip/content") == [None], "what was there is not fetched again"


def test_a_fault_of_an_archive_that_is_down_stops_no_other(book, archive, capsys):
    archive.faults["zenodo.org/api/records/17"] = [server.status(404)]
    with pytest.raises(DownloadError, match="one: .*404"):
        get_data.get(book, "paper")
    assert "one" not in capsys.readouterr().out
    assert (data_dir() / "two/images.csv").is_file()
