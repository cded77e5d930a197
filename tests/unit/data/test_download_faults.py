"""Every fault of a network, an archive or a disk: nothing false is kept, a rerun goes on."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile

import archive_server as server
import pytest

from imc_helpers.data import download as downloads
from imc_helpers.data.archives import fetch_order, order
from imc_helpers.data.download import Request, download, unpack
from imc_helpers.data.manifest import ArchiveRecord, WantedFile, cohort_record
from imc_helpers.errors import DownloadError, InputError

CONTENT = bytes(range(256)) * 1000
SHA = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
FILE = "example.org/data/f.bin"
URL = f"https://{FILE}"


@pytest.fixture
def archive(monkeypatch):
    """A server with one file."""
    with server.in_place_of_all_others(monkeypatch) as running:
        running.files[FILE] = CONTENT
        yield running


@pytest.fixture
def get(tmp_path):
    """Download the file, with what the manifest knows of it."""

    def get(**options):
        known = {"size": len(CONTENT), "known_hash": SHA} | options
        return download(URL, tmp_path / "raw", "f.bin", **known)

    get.folder = tmp_path / "raw"
    return get


def visible(folder):
    return sorted(p.name for p in folder.glob("*") if not p.name.startswith("."))


def test_fault_a_cut_connection_goes_on_where_it_broke_off(archive, get):
    archive.faults[FILE] = [server.cut(100_000)]
    assert get().read_bytes() == CONTENT
    assert archive.asked("f.bin") == [None, "bytes=100000-"]
    assert visible(get.folder) == ["f.bin"]
    assert [path.name for path in get.folder.iterdir()] == ["f.bin"], "no parts are left"


def test_fault_a_server_without_ranges_sends_the_whole_again(archive, get):
    archive.ranges = False
    archive.faults[FILE] = [server.cut(100_000)]
    assert get().read_bytes() == CONTENT
    assert archive.asked("f.bin") == [None, "bytes=100000-"]


@pytest.mark.parametrize(
    "reply",
    [
        lambda handler, body: handler.part(body, 50_000),
        lambda handler, body: handler.answer(206, body[100_000:]),  # and does not say from where
        server.status(416),
    ],
    ids=["206 from elsewhere", "206 without a range", "416"],
)
def test_fault_a_range_that_starts_elsewhere(archive, get, reply):
    archive.faults[FILE] = [server.cut(100_000), reply]
    assert get().read_bytes() == CONTENT
    assert archive.asked("f.bin") == [None, "bytes=100000-", None]


def test_fault_broken_off_again_and_again_and_a_rerun_goes_on(archive, get):
    def break_later(handler, body):
        start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
        rest = f"bytes {start}-{len(body) - 1}/{len(body)}"
        handler.answer(206, body[start : start + 1000], len(body) - start, Range=rest)

    archive.faults[FILE] = [server.cut(1000)] + [break_later] * 3
    with pytest.raises(DownloadError, match="broke off after 4000 of 256000 bytes.*goes on from"):
        get()
    assert visible(get.folder) == []
    assert get().read_bytes() == CONTENT
    assert archive.asked("f.bin")[-1] == "bytes=4000-"


def test_fault_a_truncated_body_that_calls_itself_whole(archive, get):
    """With a size it is noticed by the announced length; without one only a hash could tell."""
    archive.faults[FILE] = [server.instead(CONTENT[:-1])]
    with pytest.raises(DownloadError, match="not the file of the manifest.*announces 255999"):
        get()
    assert visible(get.folder) == []
    archive.faults[FILE] = [server.instead(CONTENT[:-1])]
    with pytest.raises(DownloadError, match="not the file of the manifest.*Found sha256"):
        get(size=None)
    assert visible(get.folder) == []


def test_fault_a_wrong_hash(archive, get):
    archive.faults[FILE] = [server.instead(CONTENT[::-1])]
    with pytest.raises(DownloadError, match="Nothing was kept. Found sha256:"):
        get()
    assert not list(get.folder.iterdir())
    assert get().read_bytes() == CONTENT, "the next attempt starts anew"
    assert archive.asked("f.bin") == [None, None]


def test_fault_a_part_of_something_else(archive, get):
    """What is left of an older version fits in length alone: the hash tells, and all is new."""
    archive.faults[FILE] = [
        lambda handler, body: handler.answer(200, bytes(100_000), len(body)),
        *[server.status(404)],
    ]
    with pytest.raises(DownloadError, match="404"):
        get()
    with pytest.raises(DownloadError, match="Found sha256"):
        get()
    assert get().read_bytes() == CONTENT


def test_fault_a_file_without_size_and_hash_is_taken_only_whole(archive, get):
    archive.faults[FILE] = [server.cut(100_000)]
    assert get(size=None, known_hash=None).read_bytes() == CONTENT
    assert archive.asked("f.bin") == [None, None], "nothing says that the rest would fit"


def test_fault_a_file_of_another_size(archive, get):
    with pytest.raises(DownloadError, match="9 bytes.*announces 256000 bytes"):
        get(size=9, known_hash=None)
    assert visible(get.folder) == []


def test_fault_a_web_page_in_place_of_a_file_that_nothing_describes(archive, get):
    """A network that asks to log in answers so, with 200."""

    def log_in(handler, _):
        handler.answer(200, b"<html>Who are you?</html>", Content_Type="text/html; charset=utf-8")

    archive.faults[FILE] = [log_in]
    with pytest.raises(DownloadError, match="web page in its place"):
        get(size=None, known_hash=None)
    assert visible(get.folder) == []


def test_fault_404_says_that_the_name_may_have_changed(archive, get):
    del archive.files[FILE]
    with pytest.raises(DownloadError, match="404.*another name"):
        get()
    assert len(archive.log) == 1, "it is not asked again"


def test_fault_403_says_that_a_permission_is_missing(archive, get):
    archive.faults[FILE] = [server.status(403)]
    with pytest.raises(DownloadError, match="403.*permission"):
        get()


def test_fault_429_waits_as_long_as_it_is_asked_to(archive, get):
    archive.faults[FILE] = [server.status(429, Retry_After="1")]
    began = time.monotonic()
    assert get().read_bytes() == CONTENT
    assert time.monotonic() - began > 0.9
    assert len(archive.log) == 2


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_fault_5xx_is_asked_again(archive, get, code):
    archive.faults[FILE] = [server.status(code)] * 2
    assert get().read_bytes() == CONTENT
    assert len(archive.log) == 3


def test_fault_5xx_that_does_not_end(archive, get):
    archive.faults[FILE] = [server.status(503)] * 20
    with pytest.raises(DownloadError, match="503.*Run it again later"):
        get()
    assert len(archive.log) == 1 + downloads._RETRIES
    assert visible(get.folder) == []


def test_fault_redirects_are_followed(archive, get):
    archive.files["elsewhere.org/f"] = CONTENT
    archive.faults[FILE] = [server.status(302, Location=f"{archive.url}/elsewhere.org/f")]
    assert get().read_bytes() == CONTENT


def test_fault_redirects_in_a_circle(archive, get):
    archive.faults[FILE] = [server.status(302, Location=f"{archive.url}/{FILE}")] * 99
    with pytest.raises(DownloadError, match="redirects"):
        get()


def test_fault_a_slow_trickle(archive, get, monkeypatch):
    monkeypatch.setattr(downloads, "_TIMEOUT_S", 0.5)

    def trickle(handler, body):
        handler.answer(200, b"", len(body))
        for start in range(0, 300, 10):
            handler.wfile.write(body[start : start + 10])
            time.sleep(0.05)

    archive.faults[FILE] = [trickle] * downloads._BROKEN
    archive.ranges = False
    with pytest.raises(DownloadError, match="bytes a second"):
        get()
    assert get().read_bytes() == CONTENT


def test_fault_a_server_that_falls_silent(archive, get, monkeypatch):
    monkeypatch.setattr(downloads, "_TIMEOUT_S", 0.5)

    def fall_silent(handler, body):
        handler.answer(200, body[:1000], len(body))
        time.sleep(1.5)

    archive.faults[FILE] = [fall_silent]
    assert get().read_bytes() == CONTENT
    assert archive.asked("f.bin") == [None, "bytes=1000-"]


def test_fault_a_server_that_cannot_be_reached(get, archive, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_SERVER", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="Check the connection.*IMC_BOOK_MIRROR"):
        get()


def test_fault_a_signed_address_is_asked_for_anew(archive, get):
    """It holds for a while only, so every attempt asks for its own."""
    archive.faults[FILE] = [server.cut(100_000)]
    asked = []

    def request():
        asked.append(len(archive.log))
        return Request(URL)

    assert get(request=request).read_bytes() == CONTENT
    assert asked == [0, 1]


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="only root can mount a small disk"
)
def test_fault_a_full_disk(archive, get):
    """The part that fits is kept, and the download goes on when there is room."""
    get.folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(get.folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this system does not let root mount a small disk")
    try:
        with pytest.raises(DownloadError, match="disk is full.*make room, and run it again"):
            get()
        assert visible(get.folder) == []
        subprocess.run(["mount", "-o", "remount,size=2m", str(get.folder)], check=True)
        assert get().read_bytes() == CONTENT
        assert archive.asked("f.bin")[-1] not in (None, "bytes=0-"), "it started from the beginning"
    finally:
        subprocess.run(["umount", "-l", str(get.folder)], check=True)


def test_fault_another_error_of_the_disk_is_not_called_a_full_one(get, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.delenv("IMC_BOOK_MIRROR", raising=False)
    monkeypatch.setattr(downloads._Download, "run", fail)
    with pytest.raises(OSError, match="broken"):
        get()


PROCESS = """
import sys
from imc_helpers.data.download import download
download(sys.argv[1], sys.argv[2], "f.bin", size=int(sys.argv[3]), known_hash=sys.argv[4])
"""


def start(get):
    arguments = [URL, str(get.folder), str(len(CONTENT)), SHA]
    return subprocess.Popen([sys.executable, "-c", PROCESS, *arguments])


def test_fault_two_processes_fetch_the_same_file(archive, get):
    """One downloads and the other waits for it."""

    def slowly(handler, body):
        time.sleep(3)
        handler.answer(200, body)

    archive.faults[FILE] = [slowly] * 2
    both = [start(get), start(get)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert (get.folder / "f.bin").read_bytes() == CONTENT
    assert len(archive.log) == 1


def test_fault_a_killed_process_leaves_a_part_that_is_used(archive, get):
    def hang(handler, body):
        handler.answer(200, body[:100_000], len(body))
        time.sleep(30)

    archive.faults[FILE] = [hang]
    process = start(get)
    until = time.monotonic() + 60
    while not sum(part.stat().st_size for part in get.folder.glob(".part/*")):
        assert time.monotonic() < until
        time.sleep(0.05)
    process.kill()
    process.wait(10)
    assert visible(get.folder) == []
    assert get().read_bytes() == CONTENT
    assert archive.asked("f.bin")[1] not in (None, "bytes=0-"), "it started from the beginning"


NUMBER = "4607374"
API = f"zenodo.org/api/records/{NUMBER}"
STACKS = "ftp.ebi.ac.uk/stacks/"


def cohort(*, files=("a.zip",), **known):
    wanted = tuple(WantedFile(name=name, **known) for name in files)
    archives = {"data": ArchiveRecord(service="zenodo", record=NUMBER, files=wanted)}
    return cohort_record("jackson20").model_copy(update={"archives": archives})


def test_fault_a_renamed_file_gives_a_sentence(archive, tmp_path):
    archive.zenodo(NUMBER, {"a_v2.zip": CONTENT, "readme.txt": b"x"})
    with pytest.raises(InputError, match=r"should hold 'a\.zip' and does not.*'a_v2\.zip'.*LIST=1"):
        order(cohort(), tmp_path)


def test_fault_another_version_of_a_file(archive, tmp_path):
    archive.zenodo(NUMBER, {"a.zip": CONTENT})
    with pytest.raises(InputError, match=f"expected hash md5:{'0' * 32}, the archive says md5:"):
        order(cohort(hash=f"md5:{'0' * 32}"), tmp_path)
    with pytest.raises(InputError, match="expected size 7, the archive says 256000"):
        order(cohort(size=7), tmp_path)
    (file,) = order(cohort(hash=SHA), tmp_path).files["data"]
    assert file.hash == SHA, "the stronger one counts where both are known"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (server.status(404), "404.*another name or address"),
        (server.instead(b"<html>We are back soon</html>"), "no record"),
        (server.instead(b'{"metadata": {}, "files": [{"key": "a.zip"}]}'), "no record"),
        (
            server.instead(b'{"metadata": {"access_right": "restricted"}, "files": []}'),
            "lists no files .access: restricted",
        ),
    ],
    ids=["404", "maintenance page", "half a record", "restricted"],
)
def test_fault_an_archive_that_answers_with_no_record(archive, tmp_path, fault, message):
    archive.faults[API] = [fault]
    with pytest.raises(DownloadError, match=message):
        order(cohort(), tmp_path)


def test_fault_an_archive_that_counts_requests(archive, tmp_path):
    archive.zenodo(NUMBER, {"a.zip": CONTENT})
    archive.faults[API] = [server.status(429, Retry_After="0")] * 2
    assert order(cohort(), tmp_path).missing(tmp_path)


def test_fault_a_record_whose_file_points_outside(archive, tmp_path):
    archive.zenodo(NUMBER, {"../../a.zip": CONTENT})
    with pytest.raises(InputError, match="points outside"):
        order(cohort(files=["*"]), tmp_path)


def test_fault_an_archive_is_gone_after_everything_is_there(archive, tmp_path):
    archive.zenodo(NUMBER, {"data/x/a.zip": CONTENT, "b.zip": b"b"})
    record = cohort(files=["*.zip"])
    fetch_order(order(record, tmp_path), tmp_path, title="test")
    assert (tmp_path / "data/data/x/a.zip").read_bytes() == CONTENT
    archive.records.clear()
    again = order(record, tmp_path)
    assert not again.missing(tmp_path)
    fetch_order(again, tmp_path, title="test")
    (tmp_path / "data/b.zip").unlink()
    with pytest.raises(DownloadError, match="404"):
        order(record, tmp_path)


def test_fault_a_file_of_many_fails_and_a_rerun_fetches_the_rest(archive, tmp_path):
    archive.zenodo(NUMBER, {f"{n}.mcd": bytes([n]) * 1000 for n in range(5)})
    record = cohort(files=["*.mcd"])
    archive.faults[f"{API}/files/3.mcd/content"] = [server.instead(bytes(1000))]
    with pytest.raises(DownloadError, match="not the file"):
        fetch_order(order(record, tmp_path), tmp_path, title="test")
    assert visible(tmp_path / "data") == ["0.mcd", "1.mcd", "2.mcd"]
    before = len(archive.log)
    fetch_order(order(record, tmp_path), tmp_path, title="test")
    assert visible(tmp_path / "data") == [f"{n}.mcd" for n in range(5)]
    assert len(archive.log) - before == 3, "the record, and the two files that were missing"


def test_fault_a_listing_that_lists_nothing(archive, tmp_path):
    archive.faults[STACKS] = [server.instead(b"<html>moved</html>")]
    wanted = (WantedFile(name="*.tiff"),)
    archives = {
        "images": ArchiveRecord(service="listing", record=f"https://{STACKS}", files=wanted)
    }
    record = cohort().model_copy(update={"archives": archives})
    with pytest.raises(DownloadError, match="no file is listed there"):
        order(record, tmp_path)


def test_fault_a_bomb_that_says_how_large_it_is(tmp_path, monkeypatch):
    """Its members would take more than the disk has: nothing is unpacked."""
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("zeros", bytes(10_000_000))
    assert (tmp_path / "bomb.zip").stat().st_size < 20_000
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as tarred:
        (tmp_path / "zeros").write_bytes(bytes(10_000_000))
        tarred.add(tmp_path / "zeros", "zeros")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5_000_000))
    for name in ("bomb.zip", "bomb.tar.gz"):
        with pytest.raises(InputError, match="unpacks to 10,000,000 bytes; the disk has 5,000,000"):
            unpack(tmp_path / name, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_fault_a_bomb_that_lies_about_its_size(tmp_path):
    """It declares 1000 bytes and holds 10 million: no more than it declares reaches the disk."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("zeros", bytes(10_000_000))
    raw = path.read_bytes()
    real, said = (10_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    assert raw.count(real) == 2
    path.write_bytes(raw.replace(real, said))
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
