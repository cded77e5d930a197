"""Readers of single files: what the field's tools write, and what is refused."""

import bz2
import contextlib
import os
import pickle

import numpy as np
import pytest
import tifffile

from imc_helpers.data.readers.image_files import (
    read_channel_folder,
    read_mcd,
    read_ome_tiff,
    read_txt,
)
from imc_helpers.data.readers.mask_files import (
    read_cellprofiler_mask,
    read_ilastik_objects,
    read_mask,
    read_pickled_mask,
)
from imc_helpers.errors import InputError

LABELS = np.array([[0, 0, 1], [2, 2, 1]], np.uint16)


def write(path, array, **options):
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    return path


def test_ome_tiff(tmp_path):
    image = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    path = tmp_path / "roi_1.ome.tiff"
    metadata = {
        "axes": "CYX",
        "Channel": {"Name": ["DNA1", "CD20"], "Fluor": ["Ir191", "Dy161"]},
        "PhysicalSizeX": 500,
        "PhysicalSizeXUnit": "nm",
    }
    write(path, image, metadata=metadata)
    sample = read_ome_tiff(path)
    assert sample.id == "roi_1"
    assert [(c.channel, c.name) for c in sample.panel.channels] == [
        ("Ir191", "DNA1"),
        ("Dy161", "CD20"),
    ]
    assert sample.um_per_px == 0.5
    assert sample.image.dtype == np.float32
    np.testing.assert_array_equal(sample.image, image)


def test_ome_tiff_with_channels_missing_in_its_description(tmp_path):
    path = tmp_path / "x.ome.tiff"
    write(path, np.zeros((2, 3, 4), np.uint16), metadata={"axes": "ZYX"})
    with pytest.raises(InputError, match=r"x\.ome\.tiff: the OME-XML names 1 channels"):
        read_ome_tiff(path)


def test_a_plain_tiff_is_no_ome_tiff(tmp_path):
    with pytest.raises(InputError, match="no OME-XML"):
        read_ome_tiff(write(tmp_path / "x.tiff", LABELS))


def test_a_folder_of_channels(tmp_path):
    for i, name in enumerate(("b", "a")):
        write(tmp_path / f"{name}.tiff", np.full((2, 3), i, np.uint16))
    image, names = read_channel_folder(tmp_path)
    assert names == ["a", "b"]
    assert image[:, 0, 0].tolist() == [1, 0]
    image, names = read_channel_folder(tmp_path, ["b.tiff", "a.tiff"])
    assert image[:, 0, 0].tolist() == [0, 1]


def test_a_folder_that_lacks_a_channel(tmp_path):
    write(tmp_path / "DNA1_Ir191.tiff", LABELS)
    with pytest.raises(InputError, match=r"CD20_Dy161\.tiff for channel.*there are DNA1_Ir191"):
        read_channel_folder(tmp_path, ["DNA1_Ir191.tiff", "CD20_Dy161.tiff"])


def test_channels_of_different_shape(tmp_path):
    write(tmp_path / "a.tiff", LABELS)
    write(tmp_path / "b.tiff", LABELS.T)
    with pytest.raises(InputError, match=r"b\.tiff: shape \(3, 2\), but a\.tiff has \(2, 3\)"):
        read_channel_folder(tmp_path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="no TIFF files"):
        read_channel_folder(tmp_path)


def test_ilastik_identities_count_down_and_lose_background_objects(tmp_path):
    identities = write(tmp_path / "ids.tif", (65536 - (LABELS.astype(int) + 1)).astype(np.uint16))
    classes = np.array([[1, 1, 2], [2, 2, 2]])
    predictions = write(tmp_path / "classes.tif", (65536 - classes).astype(np.uint16))
    assert read_ilastik_objects(identities).tolist() == [[1, 1, 2], [3, 3, 2]]
    assert read_ilastik_objects(identities, predictions).tolist() == [[0, 0, 2], [3, 3, 2]]


def test_ilastik_files_that_do_not_belong_together(tmp_path):
    identities = write(tmp_path / "ids.tif", (65536 - (LABELS.astype(int) + 1)).astype(np.uint16))
    mixed = np.array([[1, 2, 2], [2, 2, 2]])
    predictions = write(tmp_path / "classes.tif", (65536 - mixed).astype(np.uint16))
    with pytest.raises(InputError, match="1 objects of .* have two classes"):
        read_ilastik_objects(identities, predictions)
    other = write(tmp_path / "other.tif", np.zeros((9, 9), np.uint16))
    with pytest.raises(InputError, match=r"shape \(9, 9\)"):
        read_ilastik_objects(identities, other)


def test_ilastik_probabilities_are_no_identities(tmp_path):
    path = write(tmp_path / "p.tif", np.zeros((3, 3), np.float32))
    with pytest.raises(InputError, match="expected a 2-D uint16 export"):
        read_ilastik_objects(path)


@pytest.mark.parametrize("cells", [1, 2, 300, 20_000])
def test_cellprofiler_labels_come_back_from_16_bit(tmp_path, cells):
    labels = np.arange(cells + 1).reshape(1, -1)
    stored = (labels * 65535 // cells).astype(np.uint16)
    path = write(tmp_path / "Cell_mask.tiff", stored)
    np.testing.assert_array_equal(read_cellprofiler_mask(path), labels)


def test_a_mask_with_fractions(tmp_path):
    path = write(tmp_path / "m.tiff", np.array([[0, 0.25]], np.float32))
    with pytest.raises(InputError, match=r"m\.tiff: a mask holds whole numbers, found 0\.25"):
        read_mask(path)


@pytest.mark.parametrize("compress", [bz2.compress, bytes], ids=["bz2", "plain"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickled_mask(tmp_path, compress, protocol):
    path = tmp_path / "mask.pickle"
    path.write_bytes(compress(pickle.dumps(LABELS, protocol=protocol)))
    np.testing.assert_array_equal(read_pickled_mask(path), LABELS)


class _Evil:
    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_would_run_code(tmp_path):
    evil = _Evil()
    evil.path = str(tmp_path / "owned")
    path = tmp_path / "mask.pickle"
    path.write_bytes(bz2.compress(pickle.dumps(evil)))
    with pytest.raises(
        InputError, match=r"one NumPy array and nothing else \(it names \w+\.mkdir\)"
    ):
        read_pickled_mask(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "content",
    [{"mask": 1}, [LABELS], np.array([LABELS, None], dtype=object), "text", np.float64(1.0)],
    ids=["dict", "list", "objects", "text", "scalar"],
)
def test_a_pickle_with_anything_but_one_array(tmp_path, content):
    path = tmp_path / "mask.pickle"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"mask\.pickle"):
        read_pickled_mask(path)


def test_a_truncated_pickle(tmp_path):
    whole = bz2.compress(pickle.dumps(LABELS))
    (tmp_path / "mask.pickle").write_bytes(whole[:-10])
    with pytest.raises(InputError, match="refused"):
        read_pickled_mask(tmp_path / "mask.pickle")


TXT_HEADER = "Start_push\tEnd_push\tPushes_duration\tX\tY\tZ\tDNA1(Ir191Di)\tCD20(Dy161Di)\n"


def test_a_txt_file(tmp_path):
    rows = [
        f"0\t0\t0\t{x}\t{y}\t{3 * y + x}\t{10 * y + x}\t1\n" for y in range(2) for x in range(3)
    ]
    path = tmp_path / "roi.txt"
    path.write_text(TXT_HEADER + "".join(rows))
    sample = read_txt(path)
    assert sample.id == "roi"
    assert [(c.channel, c.name) for c in sample.panel.channels] == [
        ("Ir191", "DNA1"),
        ("Dy161", "CD20"),
    ]
    assert sample.image[0].tolist() == [[0, 1, 2], [10, 11, 12]]


@pytest.mark.parametrize("content", ["", "not an acquisition\n", TXT_HEADER])
def test_a_file_that_is_no_txt_acquisition(tmp_path, content):
    path = tmp_path / "roi.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=r"roi\.txt"):
        read_txt(path)


def test_a_file_that_is_no_mcd(tmp_path):
    path = tmp_path / "slide.mcd"
    path.write_bytes(b"not an mcd file" * 100)
    with pytest.raises(InputError, match=r"slide\.mcd: not a readable instrument file"):
        list(read_mcd(path))


def test_ilastik_background_stays_background(tmp_path):
    # Without multicut there is an id 0, which counts down to 0 in 16 bits.
    stored = np.array([[0, 65535, 65534]], np.uint16)
    assert read_ilastik_objects(write(tmp_path / "ids.tif", stored)).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">i4", "u1", "<i8", "<f8"])
def test_a_pickled_mask_of_any_number_type(tmp_path, dtype, order):
    path = tmp_path / "mask.pickle"
    path.write_bytes(pickle.dumps(np.array(LABELS, dtype, order=order)))
    np.testing.assert_array_equal(read_pickled_mask(path), LABELS)


def test_no_damage_to_a_pickle_crashes_or_runs(tmp_path):
    whole = pickle.dumps(LABELS, protocol=2)
    path = tmp_path / "mask.pickle"
    for at in range(len(whole)):
        for byte in (0, 0x7F, 0xFF, whole[at] ^ 1):
            path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
            with contextlib.suppress(InputError):
                assert read_pickled_mask(path).dtype == np.uint32


def test_a_pickle_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"mask\.pickle: no such file"):
        read_pickled_mask(tmp_path / "mask.pickle")


def test_an_empty_mcd(tmp_path):
    (tmp_path / "slide.mcd").write_bytes(b"")
    with pytest.raises(InputError, match=r"slide\.mcd: not a readable instrument file"):
        list(read_mcd(tmp_path / "slide.mcd"))


def test_ome_xml_that_is_none(tmp_path):
    path = write(tmp_path / "x.ome.tiff", LABELS, description="<OME broken OME>")
    with pytest.raises(InputError, match=r"x\.ome\.tiff"):
        read_ome_tiff(path)
