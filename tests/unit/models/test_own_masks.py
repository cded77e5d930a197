"""Masks that exist already: published ones, and a user's own."""

import bz2
import hashlib
import pickle

import numpy as np
import pytest
import tifffile

from imc_helpers.data.download import DownloadError
from imc_helpers.data.manifest import MaskFile, ModelRecord
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError
from imc_helpers.models.adapters.own_masks import published_labels

LABELS = np.zeros((20, 30), np.int64)
LABELS[2:5, 2:6] = 1
LABELS[10:15, 20:29] = 7


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    panel = Panel((Channel("Ir191", "DNA1", "nucleus"),))
    samples = [Sample(i, np.ones((1, 20, 30), np.float32), panel, 1.0, {}, {}) for i in ("a", "b")]
    write_cohort(tmp_path / "data/mine", samples)
    return Cohort(tmp_path / "data/mine")


@pytest.fixture
def register(monkeypatch):
    def model(**fields):
        record = ModelRecord(
            title="m",
            source="files",
            version="",
            citation="",
            license="",
            adapter="files",
            **fields,
        )
        monkeypatch.setattr("imc_helpers.models.adapters.own_masks.model_record", lambda _: record)

    return model


@pytest.fixture
def publish(tmp_path, monkeypatch, register):
    """Put content where a mirror of the net has it; register a model whose mask it is."""

    def at(name, content, **claimed):
        path = tmp_path / "mirror/masks.example.org/set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        monkeypatch.setenv("IMC_BOOK_MIRROR", str(tmp_path / "mirror"))
        fields = {
            "size": len(content),
            "hash": f"sha256:{hashlib.sha256(content).hexdigest()}",
        } | claimed
        file = MaskFile(cohort="mine", sample="a", path=name, **fields)
        register(base_url="https://masks.example.org/set", masks=(file,))

    return at


def tiff(path, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, labels)


@pytest.mark.parametrize("name", ["a.tiff", "a.tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_ones_own_masks(tmp_path, cohort, register, name, dtype):
    tiff(tmp_path / "brought" / "mine" / name, LABELS.astype(dtype))
    register(folder="brought")
    found = published_labels("m", cohort, "a")
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, LABELS)


def test_a_mask_of_ones_own_that_is_missing(tmp_path, cohort, register):
    tiff(tmp_path / "brought/mine/a.tiff", LABELS.astype(np.uint16))
    register(folder="brought")
    with pytest.raises(InputError, match="no mask b.tiff; a mask is named as its image"):
        published_labels("m", cohort, "b")


def test_a_mask_of_another_image(tmp_path, cohort, register):
    tiff(tmp_path / "brought/mine/a.tiff", LABELS.T.astype(np.uint16))
    register(folder="brought")
    with pytest.raises(InputError, match=r"shape \(30, 20\), the image of a \(20, 30\)"):
        published_labels("m", cohort, "a")


@pytest.mark.parametrize("pack", [bz2.compress, bytes], ids=["bz2", "plain"])
def test_published_pickles(cohort, publish, pack):
    publish("x.pickle", pack(pickle.dumps(LABELS)))
    found = published_labels("m", cohort, "a")
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, LABELS)


def test_published_tiffs(tmp_path, cohort, publish):
    tiff(tmp_path / "made.tiff", LABELS.astype(np.uint16))
    publish("x.tiff", (tmp_path / "made.tiff").read_bytes())
    np.testing.assert_array_equal(published_labels("m", cohort, "a"), LABELS)


def test_a_pickle_that_would_run_something(tmp_path, cohort, publish):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    publish("x.pickle", pickle.dumps(Evil()))
    with pytest.raises(InputError, match="refused"):
        published_labels("m", cohort, "a")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_not_the_published_one(cohort, publish):
    publish("x.pickle", pickle.dumps(LABELS), hash=f"sha256:{'0' * 64}")
    with pytest.raises(DownloadError):
        published_labels("m", cohort, "a")


def test_a_sample_that_nobody_published_a_mask_of(cohort, publish):
    publish("x.pickle", pickle.dumps(LABELS))
    with pytest.raises(InputError, match="its files hold no mask of mine, b"):
        published_labels("m", cohort, "b")
