"""Records of archives: what they hold is asked, chosen from, and brought."""

import hashlib

import archive_server as server
import pytest

from imc_helpers.data.archives import choose, fetch_order, in_words, look_up, order
from imc_helpers.data.manifest import ArchiveRecord, WantedFile, cohort_record
from imc_helpers.errors import DownloadError

ZIP, TEXT = b"z" * 2048, b"read me"
STACKS = "ftp.example.org/pub/stacks/"


def zenodo(*files):
    return record("zenodo", "17", *files)


def record(service, number, *files):
    wanted = tuple(WantedFile(name=name) for name in files)
    return ArchiveRecord(service=service, record=number, files=wanted)


def cohort(**archives):
    return cohort_record("jackson20").model_copy(update={"archives": archives})


@pytest.fixture
def archive(monkeypatch):
    with server.in_place_of_all_others(monkeypatch) as running:
        running.zenodo("17", {"a b.zip": ZIP, "data/x/x.mcd": ZIP, "readme": TEXT}, title="Tissue")
        running.folder(
            STACKS, {"MB1_fullstack.tiff": ZIP, "MB 2_fullstack.tiff": ZIP, "n.txt": TEXT}
        )
        yield running


def test_zenodo_says_names_sizes_hashes_and_licence(archive):
    listing = look_up(zenodo("*"))
    assert (listing.place, listing.title, listing.license) == (
        "Zenodo record 17",
        "Tissue",
        "cc-by-4.0",
    )
    assert [(file.name, file.size) for file in listing.files] == [
        ("a b.zip", 2048),
        ("data/x/x.mcd", 2048),
        ("readme", 7),
    ]
    assert listing.files[2].hash == f"md5:{hashlib.md5(TEXT).hexdigest()}"


def test_a_listed_folder_gives_names_and_about_how_large(archive):
    """Apache rounds sizes, so they are no sizes to check a download by."""
    listing = look_up(record("listing", f"https://{STACKS}", "*"))
    assert [(f.name, f.size, f.about) for f in listing.files] == [
        ("MB 2_fullstack.tiff", None, 2048),
        ("MB1_fullstack.tiff", None, 2048),
        ("n.txt", None, 0),
    ]
    assert not listing.title


PAGES = {
    "apache": """<html><head><title>Index of /pub/stacks</title></head><body><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=S;O=A">Size</a></th></tr>
<tr><td><a href="/pub/">Parent Directory</a></td><td>&nbsp;</td><td align="right">  - </td></tr>
<tr><td><a href="old/">old/</a></td><td align="right">2020-01-17 10:00  </td><td>  - </td></tr>
<tr><td><a href="MB1.tiff">MB1.tiff</a></td><td>2020-01-17 10:01  </td><td align="right"> 44M</td>
<td>&nbsp;</td></tr><tr><td><a href="MB%202.tiff">MB 2.tiff</a></td><td>2020-01-17 10:02  </td>
<td align="right">512 </td></tr></table></body></html>""",
    "nginx": """<html><body><h1>Index of /pub/stacks/</h1><hr><pre><a href="../">../</a>
<a href="old/">old/</a>                     17-Jan-2020 10:00                   -
<a href="MB1.tiff">MB1.tiff</a>                 17-Jan-2020 10:01            46137344
<a href="MB%202.tiff">MB 2.tiff</a>                17-Jan-2020 10:02                 512
</pre></body></html>""",
}


@pytest.mark.parametrize(("page", "exact"), [("apache", None), ("nginx", 46137344)])
def test_pages_as_servers_write_them(archive, page, exact):
    archive.faults[STACKS] = [server.instead(PAGES[page].encode())]
    listing = look_up(record("listing", f"https://{STACKS}", "*"))
    assert [(f.name, f.size, f.about) for f in listing.files] == [
        ("MB1.tiff", exact, 46137344),
        ("MB 2.tiff", 512, 512),
    ]
    assert listing.files[1].url == f"https://{STACKS}MB%202.tiff"


def test_a_pattern_takes_what_fits_in_any_folder(archive):
    listing = look_up(zenodo("*"))
    assert [f.name for f in choose(zenodo("*.mcd", "readme"), listing)] == [
        "data/x/x.mcd",
        "readme",
    ]


def test_files_go_to_the_folder_of_their_archive_under_their_own_names(archive, tmp_path):
    both = cohort(
        images=record("listing", f"https://{STACKS}", "MB*.tiff"), masks=zenodo("*.mcd", "a b.zip")
    )
    asked = order(both, tmp_path)
    assert len(asked.missing(tmp_path)) == 4
    fetch_order(asked, tmp_path, title="test")
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert {path.relative_to(tmp_path).as_posix() for path in files} == {
        "images/MB1_fullstack.tiff",
        "images/MB 2_fullstack.tiff",
        "masks/data/x/x.mcd",
        "masks/a b.zip",
        ".listing.json",
    }
    assert (tmp_path / "masks/a b.zip").read_bytes() == ZIP
    requests = len(archive.log)
    fetch_order(order(both, tmp_path), tmp_path, title="test")
    assert len(archive.log) == requests, "what is there is not asked for"


def test_another_entry_of_the_manifest_asks_anew(archive, tmp_path):
    fetch_order(order(cohort(data=zenodo("readme")), tmp_path), tmp_path, title="test")
    missing = order(cohort(data=zenodo("*")), tmp_path).missing(tmp_path)
    assert [file.name for file in missing] == ["a b.zip", "data/x/x.mcd"]


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_fetched(
    archive, tmp_path, monkeypatch
):
    asked = order(cohort(data=zenodo("*")), tmp_path)
    monkeypatch.setattr(
        "shutil.disk_usage", lambda _: type("Usage", (), {"free": 4000, "total": 0, "used": 0})
    )
    requests = len(archive.log)
    with pytest.raises(DownloadError, match=r"needs 4\.1 kB.*the disk has 4\.0 kB"):
        fetch_order(asked, tmp_path, title="test")
    assert len(archive.log) == requests


def test_a_mirror_has_the_files_of_a_record_as_a_browser_saves_them(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_MIRROR", str(tmp_path / "mirror"))
    saved = tmp_path / "mirror/zenodo.org/records/17/files/a.zip"
    listed = tmp_path / "mirror" / STACKS / "MB1.tiff"
    for path in (saved, listed):
        path.parent.mkdir(parents=True)
        path.write_bytes(ZIP)
    both = cohort(images=record("listing", f"https://{STACKS}", "*.tiff"), masks=zenodo("a.zip"))
    fetch_order(order(both, tmp_path / "raw"), tmp_path / "raw", title="test")
    assert (tmp_path / "raw/masks/a.zip").read_bytes() == ZIP
    assert (tmp_path / "raw/images/MB1.tiff").read_bytes() == ZIP
    saved.unlink()
    saved.parent.rmdir()
    with pytest.raises(DownloadError, match="not in the mirror"):
        look_up(zenodo("a.zip"))


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (33e6, "33.0 MB"),
        (1.14e13, "11,400.0 GB"),
    ],
)
def test_sizes_in_words(size, words):
    assert in_words(size) == words
