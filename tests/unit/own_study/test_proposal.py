"""From a folder to its edition."""

import shutil

import numpy as np
import pytest
import tifffile
import yaml

from imc_helpers.data import manifest
from imc_helpers.data.manifest import cohort_record, load_edition, model_record
from imc_helpers.errors import InputError
from imc_helpers.own_study import proposal

CELLS = np.kron(np.arange(1, 26).reshape(5, 5), np.ones((8, 8))).astype(np.uint32)
CELLS[::8] = CELLS[:, ::8] = 0


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A steinbock folder with two people, one model and steinbock's own masks."""
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path / "book"))
    editions = tmp_path / "book" / "editions"
    editions.mkdir(parents=True)
    shipped = manifest.shipped
    for module in (manifest, proposal):
        monkeypatch.setattr(
            module, "shipped", lambda name: editions if name == "editions" else shipped(name)
        )
    caches = (manifest._cohorts, manifest._models)
    for cache in caches:
        cache.cache_clear()
    folder = tmp_path / "Lab data"
    for name in ("img", "masks", "masks_anna", "masks_bo", "masks_cellpose", "masks_watershed"):
        (folder / name).mkdir(parents=True)
        for sample in ("s_001", "s_002"):
            content = np.ones((2, 40, 40), np.float32) * (CELLS > 0) if name == "img" else CELLS
            tifffile.imwrite(folder / name / f"{sample}.tiff", content)
    (folder / "panel.csv").write_text("channel,name,keep\nIr191,DNA1,1\nDy161,CD20,1\n")
    yield folder
    for cache in caches:
        cache.cache_clear()


def propose(lab, name="mine"):
    edition, inspections = proposal.propose(lab, name, 1)
    path = proposal.write(edition, name)
    manifest._cohorts.cache_clear()
    manifest._models.cache_clear()
    return edition, inspections, path


def test_people_and_software_are_told_apart_by_their_names(lab):
    edition, _, _ = propose(lab)
    raters = edition["cohorts"]["mine"]["raters"]
    assert {name: one["kind"] for name, one in raters.items()} == {
        "anna": "annotator",
        "bo": "annotator",
        "cellpose": "model",
        "masks": "model",
        "watershed_of_folder": "model",
    }
    assert raters["watershed_of_folder"]["found"] == "watershed", (
        "the book has a model of that name"
    )


def test_software_stands_in_where_there_are_no_people(lab):
    for name in ("anna", "bo"):
        for file in (lab / f"masks_{name}").iterdir():
            file.unlink()
    raters = propose(lab)[0]["cohorts"]["mine"]["raters"]
    assert {one["kind"] for one in raters.values()} == {"tool"}


def test_the_edition_is_one_that_the_book_reads(lab):
    _, _, path = propose(lab)
    assert path.read_text().startswith("# Written by `make study`")
    edition = load_edition("mine")
    assert edition.cohorts == ("mine",)
    assert edition.models[:3] == ("cellpose", "masks", "watershed_of_folder")
    assert edition.models[3:] == proposal.CLASSICAL
    record = cohort_record("mine")
    assert record.own
    assert record.samples == 2
    assert record.channels == {"DNA1": "nucleus", "CD20": "membrane"}
    assert model_record("cellpose").source == "files"
    assert model_record("cellpose").covers("mine")
    assert not model_record("cellpose").covers("spleen_imc")
    assert model_record("watershed").source == "classical"


@pytest.mark.parametrize(
    ("places", "keys", "titles"),
    [
        (["Lymph node", "Spleen"], ["mine_Lymph_node", "mine_Spleen"], ["Lymph node", "Spleen"]),
        (["images/wt", "ome/wt"], ["mine_images_wt", "mine_ome_wt"], ["images/wt", "ome/wt"]),
        (["肝臓", "脾臓"], ["mine_1", "mine_2"], ["肝臓", "脾臓"]),
        (["a b", "a-b"], ["mine_1", "mine_2"], ["a b", "a-b"]),
    ],
)
def test_conditions_keep_their_names_apart(lab, places, keys, titles):
    study = lab.parent / "study"
    for place in places:
        shutil.copytree(lab, study / place)
    cohorts = propose(study)[0]["cohorts"]
    assert [*cohorts] == keys
    assert [one["title"] for one in cohorts.values()] == titles
    assert [one["folder"] for one in cohorts.values()] == [str(study / place) for place in places]


def test_what_was_found_is_said_in_lines(lab):
    edition, inspections, _ = propose(lab)
    text = proposal.describe("mine", edition["cohorts"]["mine"], inspections["mine"])
    assert text.startswith("mine: 2 images, 2 channels, 1 um per pixel\n")
    assert "nucleus: DNA1\nmembrane: CD20" in text
    assert "identical masks of anna (s_001)" not in text
    assert "- identical masks of anna: " in text


def test_it_may_be_written_again_but_never_over_another_edition(lab, tmp_path):
    propose(lab)
    propose(lab)
    other = tmp_path / "book" / "editions" / "theirs.yml"
    other.write_text(yaml.safe_dump({"title": "t", "description": "d", "cohorts": ["spleen_imc"]}))
    with pytest.raises(InputError, match="is an edition of the book; choose another NAME"):
        propose(lab, "theirs")
    with pytest.raises(InputError, match="there is a cohort 'spleen_imc' already"):
        propose(lab, "spleen_imc")
    with pytest.raises(InputError, match="expected letters"):
        propose(lab, "a/b")


def test_two_editions_cannot_have_cohorts_of_one_name(lab, tmp_path):
    _, _, path = propose(lab)
    (path.parent / "again.yml").write_text(path.read_text())
    with pytest.raises(InputError, match=r"its cohort 'mine' has the name of one in .*again.yml"):
        cohort_record("mine")
