"""Cohorts and masks of a user's own, named in the manifest."""

import hashlib

import numpy as np
import pytest
import tifffile

from imc_helpers.data.manifest import CohortRecord
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.readers import published
from imc_helpers.data.samples import Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError

PANEL = Panel((Channel("Ir191", "DNA", "nucleus"), Channel("Dy161", "CD20", "membrane")))
CELLS = np.kron([[1, 2], [3, 4]], np.ones((4, 4))).astype(np.uint32)


@pytest.fixture
def record(tmp_path, monkeypatch):
    """A steinbock folder with the masks of `ann`, and a folder with a mask of `bo`."""
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    image = np.ones((2, 8, 8), np.float32)
    samples = [Sample(name, image, PANEL, 0.5, {"ann": CELLS}) for name in ("one", "two")]
    write_cohort(tmp_path / "lab", samples)
    (tmp_path / "masks of bo").mkdir()
    tifffile.imwrite(tmp_path / "masks of bo" / "one.tiff", CELLS.T)
    who = {"kind": "annotator", "how": "expert", "description": "By hand."}
    made = CohortRecord.model_validate(
        {
            "title": "Lab",
            "modality": "IMC",
            "tissue": "Spleen",
            "citation": "x",
            "doi": "none",
            "license": "unpublished",
            "um_per_px": 0.5,
            "raters": {"ann": who, "bo": {**who, "folder": "masks of bo"}},
            "reader": "lab_folder",
            "folder": "lab",
            "dna_channel": "Ir191",
        }
    )
    monkeypatch.setattr(published, "cohort_record", lambda key: made)
    return made


def hashes(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_labs_folder_and_masks_beside_it_become_a_cohort(record, tmp_path):
    before = hashes(tmp_path)
    cohort = published.open_cohort("lab_spleen")
    assert cohort.folder == tmp_path / "data" / "lab_spleen"
    assert cohort.annotators == ("ann", "bo")
    assert cohort.references_of("one") == ("ann", "bo")
    assert cohort.references_of("two") == ("ann",), "bo left it out"
    assert (cohort.read_mask("one", "ann") == CELLS).all()
    assert (cohort.read_mask("one", "bo") == CELLS.T).all()
    assert cohort.um_per_px("two") == 0.5
    assert {file: h for file, h in hashes(tmp_path).items() if file in before} == before


def test_a_folder_of_masks_that_is_not_there_is_named(record, tmp_path):
    (tmp_path / "masks of bo" / "one.tiff").unlink()
    (tmp_path / "masks of bo").rmdir()
    with pytest.raises(InputError, match="masks of bo: no such folder of masks"):
        published.prepare("lab_spleen")
    assert not (tmp_path / "data" / "lab_spleen").exists()


def test_a_folder_goes_with_its_reader(record):
    with pytest.raises(ValueError, match="`folder` goes with the reader 'lab_folder'"):
        CohortRecord.model_validate({**record.model_dump(), "folder": ""})
