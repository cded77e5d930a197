"""Downloads: checked, mirrored, unpacked; `test_download_faults` has what can go wrong."""

import hashlib
import io
import tarfile
import zipfile

import pytest

from imc_helpers.data.download import fetch, mirror_path, unpack
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
