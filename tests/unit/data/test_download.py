"""Downloads: checked, resumed, mirrored, and nothing half-written after a failure."""

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from contextlib import suppress
from functools import partial

import pytest

from imc_helpers.data.download import Request, download, fetch, mirror_path, unpack
from imc_helpers.data.manifest import SourceFile
from imc_helpers.errors import DownloadError, InputError

CONTENT = bytes(range(256)) * 1000


def source(path="a b/file.bin", content=CONTENT):
    digest = hashlib.sha256(content).hexdigest()
    return SourceFile(path=path, size=len(content), hash=f"sha256:{digest}")


def files_below(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    root = tmp_path / "mirror"
    path = root / "github" / "o" / "r" / "c" / "a b" / "file.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    monkeypatch.setenv("IMC_BOOK_MIRROR", str(root))
    return path


BASE = "https://raw.githubusercontent.com/o/r/c"


def test_the_mirror_stands_in_for_the_network(mirror, tmp_path):
    (path,) = fetch(BASE, [source()], tmp_path / "out", title="test")
    assert path.read_bytes() == CONTENT
    assert path == tmp_path / "out" / "a b" / "file.bin"


def test_addresses_in_the_mirror(mirror):
    root = mirror.parents[5]
    assert mirror_path(f"{BASE}/a%20b/file.bin") == mirror
    assert mirror_path("https://zenodo.org/records/1/x.zip") == root / "zenodo.org/records/1/x.zip"


def test_no_mirror_no_path(monkeypatch):
    monkeypatch.delenv("IMC_BOOK_MIRROR", raising=False)
    assert mirror_path(f"{BASE}/x") is None


def test_a_file_that_is_there_is_not_fetched_again(mirror, tmp_path):
    fetch(BASE, [source()], tmp_path / "out", title="test")
    mirror.unlink()
    fetch(BASE, [source()], tmp_path / "out", title="test")


def test_a_wrong_hash_is_refused_and_not_kept(mirror, tmp_path):
    mirror.write_bytes(CONTENT[::-1])
    with pytest.raises(DownloadError, match=r"file\.bin: not the file of the manifest"):
        fetch(BASE, [source()], tmp_path / "out", title="test")
    assert files_below(tmp_path / "out") == []


def test_a_truncated_file_is_refused_and_not_kept(mirror, tmp_path):
    mirror.write_bytes(CONTENT[:-1])
    with pytest.raises(DownloadError, match=f"{len(CONTENT)} bytes"):
        fetch(BASE, [source()], tmp_path / "out", title="test")
    assert files_below(tmp_path / "out") == []


def test_a_file_that_the_mirror_lacks(mirror, tmp_path):
    with pytest.raises(DownloadError, match=r"other\.bin: not in the mirror"):
        fetch(BASE, [source("other.bin")], tmp_path / "out", title="test")


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; honours Range; the first reply breaks off in the middle."""

    def __init__(self, log, ranges, *args):
        self.log, self.ranges = log, ranges
        super().__init__(*args)

    def do_GET(self):
        asked = self.headers.get("Range")
        self.log.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:100_000] if len(self.log) == 1 else body)

    def log_message(self, *args):
        pass


@pytest.fixture(params=[True, False], ids=["ranges", "no ranges"])
def server(request, monkeypatch):
    monkeypatch.delenv("IMC_BOOK_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    log = []
    handler = partial(_Server, log, request.param)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}", log
        httpd.shutdown()


def test_a_broken_download_goes_on_where_it_broke_off(server, tmp_path):
    address, log = server
    with pytest.raises(DownloadError):
        fetch(address, [source()], tmp_path / "out", title="test")
    assert not (tmp_path / "out" / "a b" / "file.bin").exists()
    (path,) = fetch(address, [source()], tmp_path / "out", title="test")
    assert path.read_bytes() == CONTENT
    assert log[0] is None
    assert log[1] == "bytes=65536-"  # the last whole chunk that arrived


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_file_without_a_hash(server, tmp_path, size):
    """It cannot be checked, but it is whole, and goes on only where its size is known."""
    address, log = server
    for attempt in range(2):
        if attempt == 0:
            with pytest.raises(DownloadError):
                download(f"{address}/f", tmp_path, "f", size=size, known_hash=None)
            assert not (tmp_path / "f").exists()
        else:
            path = download(f"{address}/f", tmp_path, "f", size=size, known_hash=None)
    assert path.read_bytes() == CONTENT
    assert log == [None, "bytes=65536-" if size else None]
    assert [found.name for found in tmp_path.iterdir()] == ["f"], "nothing is left of the parts"


def test_a_file_without_a_hash_of_another_size(server, tmp_path):
    address, _ = server
    with pytest.raises(DownloadError):
        download(f"{address}/f", tmp_path, "f", size=9, known_hash=None)
    with pytest.raises(DownloadError, match="not the file of the manifest.*9 bytes"):
        download(f"{address}/f", tmp_path, "f", size=9, known_hash=None)
    assert files_below(tmp_path) == []


def test_a_signed_address_is_asked_for_anew(server, tmp_path):
    """It holds for a while only, so every attempt asks for its own."""
    address, log = server
    asked = []

    def request():
        asked.append(len(log))
        return Request(f"{address}/signed")

    for _ in range(2):
        with suppress(DownloadError):
            download(
                "http://127.0.0.1:9/f", tmp_path, "f", size=None, known_hash=None, request=request
            )
    assert asked == [0, 1]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_that_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.delenv("IMC_BOOK_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DownloadError, match="Check the connection"):
        fetch("http://127.0.0.1:9", [source()], tmp_path / "out", title="test")


def zipped(path, name):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fine.txt", "x")
        archive.writestr(name, "x")


def tarred(path, name):
    with tarfile.open(path, "w:gz") as archive:
        for member in ("fine.txt", name):
            info = tarfile.TarInfo(member)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))


@pytest.mark.parametrize("make", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt"])
def test_an_archive_member_that_points_outside(make, name, tmp_path):
    archive = tmp_path / "archive"
    make(archive, name)
    with pytest.raises(InputError, match="points outside"):
        unpack(archive, tmp_path / "in" / "out")
    assert files_below(tmp_path) == ["archive"]


@pytest.mark.parametrize("make", [zipped, tarred])
def test_an_archive_is_unpacked(make, tmp_path):
    make(tmp_path / "archive", "sub/b.txt")
    unpack(tmp_path / "archive", tmp_path / "out")
    assert files_below(tmp_path / "out") == ["b.txt", "fine.txt"]


@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_truncated_archive(make, tmp_path):
    archive = tmp_path / "archive"
    make(archive, "sub/b.txt")
    archive.write_bytes(archive.read_bytes()[:60])
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out")
    assert files_below(tmp_path) == ["archive"]
