"""Conversion of large records: one image at a time, resumed where it stopped; bad archives."""

import io
import struct
import tracemalloc
import zipfile
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imc_helpers.data.conversion import convert, read_unmatched
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.readers import raw_files
from imc_helpers.data.readers.pairs import Pair, Unmatched, match
from imc_helpers.data.readers.raw_files import list_raw_files
from imc_helpers.data.readers.stacks import Stack, tiff_stack
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import DownloadError, InputError

SHAPE = (6, 9)
PANEL = Panel(
    (
        Channel("Ir191", "DNA1", "nucleus"),
        Channel("Dy161", "CD20", "membrane"),
        Channel("Sm152", "CD45"),
    )
)


def test_partners_and_those_without():
    both, alone = match({"b": "B", "a": "A", "c": "C"}, {"a": "1", "b": "2", "d": "4"})
    assert both == ["a", "b"]
    assert alone == [
        Unmatched("c", "C", "image without mask", "no mask of its name"),
        Unmatched("d", "4", "mask without image", "no image of its name"),
    ]


class Record:
    """Pairs made on the spot; counts what is opened, and may break off."""

    def __init__(self, names, metals=("Sm152", "Ir191", "Dy161"), shape=SHAPE):
        self.names, self.metals, self.shape = list(names), metals, shape
        self.opened, self.breaks_at = [], None
        self.odd_metals, self.odd_mask = {}, {}

    def __call__(self, scratch):
        for name in self.names:
            if name == self.breaks_at:
                raise KeyboardInterrupt
            yield Pair(name, f"{name}.tiff", lambda n=name: self.open(n), {"a": self.mask(name)}, 1)

    @contextmanager
    def open(self, name):
        self.opened.append(name)
        metals = self.odd_metals.get(name, self.metals)

        def read(positions):
            return np.stack([np.full(self.shape, p, np.float32) for p in positions])

        yield Stack(tuple(metals), self.shape, read)

    def mask(self, name):
        return lambda: self.odd_mask.get(name, np.ones(self.shape, np.uint16))


def reasons(folder):
    return read_unmatched(folder)[["sample", "what", "reason"]].to_numpy().tolist()


def test_a_conversion_goes_on_after_the_last_finished_image(tmp_path):
    folder, record = tmp_path / "data" / "c", Record("abcde")
    record.breaks_at = "d"
    with pytest.raises(KeyboardInterrupt):
        convert(record, PANEL, folder, made_from="1")
    assert not folder.exists()
    record.breaks_at, record.opened = None, []
    convert(record, PANEL, folder, made_from="1")
    assert record.opened == ["d", "e"]
    assert Cohort(folder).ids == tuple("abcde")
    assert [p.name for p in tmp_path.glob("data/.converting/*/*")] == []
    table = pd.read_csv(folder / "images.csv")
    assert table["image"].tolist() == [f"{name}.tiff" for name in "abcde"]


def test_nothing_is_kept_of_what_was_made_from_something_else(tmp_path):
    folder, record = tmp_path / "data" / "c", Record("abc")
    record.breaks_at = "c"
    with pytest.raises(KeyboardInterrupt):
        convert(record, PANEL, folder, made_from="1")
    record.breaks_at, record.opened = None, []
    convert(record, PANEL, folder, made_from="2")
    assert record.opened == ["a", "b", "c"]


def test_an_image_that_was_lost_is_made_again(tmp_path):
    folder, record = tmp_path / "data" / "c", Record("abc")
    record.breaks_at = "c"
    with pytest.raises(KeyboardInterrupt):
        convert(record, PANEL, folder, made_from="1")
    (tmp_path / "data/.converting/c/new/img/a.tiff").unlink()
    record.breaks_at, record.opened = None, []
    convert(record, PANEL, folder, made_from="1")
    assert record.opened == ["a", "c"]


def test_fault_what_a_kill_left_half_written_is_no_part_of_the_cohort(tmp_path):
    folder, record = tmp_path / "data" / "c", Record("abc")
    record.breaks_at = "c"
    with pytest.raises(KeyboardInterrupt):
        convert(record, PANEL, folder, made_from="1")
    new = tmp_path / "data/.converting/c/new"
    (new / "masks_a" / "c.tiff").write_bytes(b"II*")
    (new / "img" / ".c.tiff").write_bytes(b"II*")
    (tmp_path / "data/.converting/c/.progress.json").write_text("{")
    record.breaks_at = None
    convert(record, PANEL, folder, made_from="1")
    cohort = Cohort(folder)
    assert cohort.ids == ("a", "b", "c")
    assert (cohort.read("c").masks["a"] == 1).all()
    assert [path for path in folder.rglob(".*") if path.is_file()] == []


def test_a_cohort_takes_the_place_of_an_older_one_whole(tmp_path):
    folder = tmp_path / "data" / "c"
    convert(Record("ab"), PANEL, folder, made_from="1")
    broken = Record("xy")
    broken.breaks_at = "y"
    with pytest.raises(KeyboardInterrupt):
        convert(broken, PANEL, folder, made_from="2")
    assert Cohort(folder).ids == ("a", "b")
    convert(Record("xy"), PANEL, folder, made_from="2")
    assert Cohort(folder).ids == ("x", "y")


def test_a_mask_of_another_shape_and_an_image_without_a_marker_are_listed(tmp_path):
    record = Record("abcd")
    record.odd_mask["b"] = np.ones((9, 6), np.uint16)
    record.odd_mask["c"] = np.full(SHAPE, 0.5)
    record.odd_metals["d"] = ("Ir191", "Sm152")
    folder = tmp_path / "c"
    convert(record, PANEL, folder, made_from="1")
    assert Cohort(folder).ids == ("a",)
    shape, fractions, marker = reasons(folder)
    assert shape == ["b", "other shape", "the image has 6 x 9 px, the mask of a 9 x 6"]
    assert fractions[1] == "cannot be read"
    assert fractions[2].startswith("a: a mask holds whole numbers, found 0.5")
    assert marker == ["d", "missing channel", "the image has no channel CD20 (Dy161)"]


def test_a_channel_outside_the_aggregates_may_be_missing_from_all(tmp_path):
    record = Record("ab", metals=("Dy161", "Ir191"))
    record.odd_metals["b"] = ("Ir191", "Sm152", "Dy161")
    folder = tmp_path / "c"
    convert(record, PANEL, folder, made_from="1")
    cohort = Cohort(folder)
    assert cohort.panel.names == ("DNA1", "CD20")
    assert [sample.image[:, 0, 0].tolist() for sample in cohort] == [[1, 0], [0, 2]]
    assert reasons(folder) == [["", "channel left out", "the image has no channel CD45 (Sm152)"]]


def test_two_images_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="a second image is called 'a'"):
        convert(Record("aa"), PANEL, tmp_path / "c", made_from="1")


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    shape, channels = (200, 250), 50
    metals = [f"X{100 + k}" for k in range(channels)]
    panel = Panel(tuple(Channel(m, m, "nucleus" if k < 2 else "") for k, m in enumerate(metals)))
    one_image = 4 * channels * shape[0] * shape[1]
    buffer = io.BytesIO()
    pages = [Image.fromarray(np.full(shape, k, np.float32)) for k in range(channels)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])

    def cells():
        return np.ones(shape, np.uint16)

    def peak(count):
        raw = tmp_path / f"raw{count}"
        raw.mkdir()
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as packed:
            for k in range(count):
                packed.writestr(f"{k}_full.tiff", buffer.getvalue())
        with zipfile.ZipFile(raw / "outer.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("ome.zip", inner.getvalue())
        del inner

        def pairs(scratch):
            for file in list_raw_files(raw, scratch):

                @contextmanager
                def opened(file=file):
                    with file.on_disk() as path, tiff_stack(path, metals) as stack:
                        yield stack

                yield Pair(
                    file.path.stem,
                    str(file.path),
                    opened,
                    {"a": lambda: np.ones(shape, np.uint16)},
                    1,
                )

        tracemalloc.start()
        convert(pairs, panel, tmp_path / f"cohort{count}", made_from="1")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(2), peak(12)
    assert many < few + 0.2 * one_image
    assert many < 4 * one_image


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def test_files_in_archives_in_archives(tmp_path):
    raw, scratch = tmp_path / "raw", tmp_path / "scratch"
    raw.mkdir()
    inner = zipped(tmp_path / "inner.zip", {"ome/b.tiff": b"22"}).read_bytes()
    zipped(raw / "outer.zip", {"deep/inner.zip": inner, "__MACOSX/._x": b"-", "c.csv": b"333"})
    (raw / "a.tiff").write_bytes(b"1")
    (raw / ".part").mkdir()
    (raw / ".part" / "half.tiff").write_bytes(b"-")
    files = {str(file.path): file for file in list_raw_files(raw, scratch)}
    assert {name: file.size for name, file in files.items()} == {
        "a.tiff": 1,
        "outer.zip/c.csv": 3,
        "outer.zip/deep/inner.zip/ome/b.tiff": 2,
    }
    with files["outer.zip/deep/inner.zip/ome/b.tiff"].on_disk() as path:
        assert path.name == "b.tiff"
        assert path.read_bytes() == b"22"
    assert not path.exists()
    assert [p.suffix for p in scratch.iterdir()] == [".zip"]


def test_fault_a_member_that_points_outside_is_read_where_nothing_is_overwritten(tmp_path):
    raw, scratch = tmp_path / "raw", tmp_path / "scratch"
    raw.mkdir()
    (tmp_path / "victim.tiff").write_bytes(b"mine")
    zipped(raw / "x.zip", {"../../victim.tiff": b"theirs", "/victim.tiff": b"theirs"})
    for file in list_raw_files(raw, scratch):
        with file.on_disk() as path:
            assert scratch in path.parents
            assert path.read_bytes() == b"theirs"
    assert (tmp_path / "victim.tiff").read_bytes() == b"mine"


def test_fault_a_bomb_gives_no_more_than_the_size_it_declares(tmp_path):
    raw, scratch = tmp_path / "raw", tmp_path / "scratch"
    raw.mkdir()
    path = zipped(raw / "x.zip", {"bomb.tiff": bytes(1 << 20)})
    content = bytearray(path.read_bytes())
    # The uncompressed size, in the member's own header and in the list at the end.
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, 1000)
    path.write_bytes(content)
    (file,) = list_raw_files(raw, scratch)
    with pytest.raises(DownloadError, match=r"bomb\.tiff: damaged in its archive"):
        file.on_disk().__enter__()
    assert sum(p.stat().st_size for p in scratch.rglob("*") if p.is_file()) == 0


def test_fault_a_damaged_member_stops_the_conversion_and_is_not_listed_as_odd(tmp_path):
    raw, scratch = tmp_path / "raw", tmp_path / "scratch"
    raw.mkdir()
    path = zipped(raw / "x.zip", {"a.tiff": np.random.default_rng(0).bytes(4000)})
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    (file,) = list_raw_files(raw, scratch)
    with pytest.raises(DownloadError, match=r"x\.zip/a\.tiff: damaged in its archive"):
        file.on_disk().__enter__()


def test_fault_no_archive_at_all(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"<html>404</html>")
    with pytest.raises(DownloadError, match=r"x\.zip: not a readable zip archive"):
        list_raw_files(tmp_path, tmp_path / "scratch")


def test_fault_a_disk_that_is_too_full(tmp_path, monkeypatch):
    raw, scratch = tmp_path / "raw", tmp_path / "scratch"
    raw.mkdir()
    zipped(raw / "x.zip", {"a.tiff": bytes(5000)})
    (file,) = list_raw_files(raw, scratch)
    usage = type("Usage", (), {"free": 4999})
    monkeypatch.setattr(raw_files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadError, match="5,000 bytes unpacked, but the disk has 4,999 left"):
        file.on_disk().__enter__()
