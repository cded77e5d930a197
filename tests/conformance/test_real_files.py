"""Real files of other people's tools, read as the book reads them."""

from itertools import pairwise

import numpy as np
import pytest

from imc_helpers.data.manifest import cohort_record, load_edition
from imc_helpers.data.readers.image_files import read_mcd, read_txt
from imc_helpers.data.readers.mask_files import read_pickled_mask
from imc_helpers.data.readers.published import open_cohort, prepare
from imc_helpers.data.readers.stacks import acquisition_ids, mcd_stack
from imc_helpers.data.samples import Cohort
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import DownloadError, InputError
from imc_helpers.metrics import evaluate

pytestmark = pytest.mark.mirror

MOCK = (
    "BodenmillerGroup/TestData/e04bf08af2a050eae657151677070b0e8919ab06/"
    "datasets/210308_ImcTestData/raw"
)
TILE = (
    "murphygroup/CellSegmentationEvaluator/6def33dd172ad9074bd856399535a5deea3e3fd6/"
    "full_pipeline/pipeline/analysis/expert_annotation/R001_X003_Y004"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("book")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMC_BOOK_ROOT", str(root))
        yield root


@pytest.fixture(scope="module")
def cohorts(root):
    return {key: open_cohort(key) for key in load_edition("open").cohorts}


def test_the_cohorts_of_the_open_edition(cohorts):
    assert cohorts["spleen_imc"].ids == ("ROI002", "ROI004", "ROI006", "ROI008")
    assert cohorts["codex_two_experts"].ids == ("R001_X003_Y004",)
    assert cohorts["pancreas_imc"].ids == ("E34", "G01", "J02")
    for key, cohort in cohorts.items():
        assert tuple(r.name for r in cohort.raters) == tuple(cohort_record(key).raters)
        for sample in cohort:
            assert sample.panel.compartment("nucleus")
            assert sample.panel.compartment("membrane")
            assert sample.image.dtype == np.float32
            assert set(sample.masks) == set(cohort.references)
    assert cohorts["spleen_imc"].shape("ROI002") == (501, 500)
    assert cohorts["codex_two_experts"].um_per_px("R001_X003_Y004") == 0.37745


def test_cell_and_nucleus_of_cellprofiler_share_their_ids(cohorts):
    sample = cohorts["spleen_imc"].read("ROI004")
    cells, nuclei = sample.masks["cellprofiler"], sample.nuclei["cellprofiler"]
    inside = nuclei > 0
    assert (cells[inside] == nuclei[inside]).mean() > 0.99


@pytest.mark.parametrize(
    ("cohort", "sample", "cells", "expected"),
    [
        ("spleen_imc", "ROI002", (3992, 2749), (0.277915, 0.093338, 0.268198)),
        ("spleen_imc", "ROI008", (3564, 1684), (0.213972, 0.067155, 0.203557)),
        ("codex_two_experts", "R001_X003_Y004", (3431, 2094), (0.219378, 0.057046, 0.278513)),
    ],
)
def test_scores_of_real_pairs(cohorts, cohort, sample, cells, expected):
    # Expected values were computed independently of this package, with IoU >= t.
    first, second = (cohorts[cohort].read_mask(sample, a) for a in cohorts[cohort].references)
    scores = evaluate(first, second)
    assert (scores.n_true, scores.n_pred) == cells
    assert (scores.ap50, scores.map, scores.sap) == pytest.approx(expected, abs=1e-6)


def test_scores_of_an_expert_and_a_model(mirror):
    expert, model = (
        read_pickled_mask(mirror / TILE / f"mask_{name}.pickle")
        for name in ("expert1", "DeepCell-0.9.0_membrane")
    )
    scores = evaluate(expert, model)
    assert (scores.n_true, scores.n_pred) == (3431, 2745)
    assert [scores.ap50, scores.map, scores.sap] == pytest.approx(
        [0.418466, 0.145479, 0.390228], abs=1e-6
    )


def test_every_mask_of_the_tile_is_an_array_and_nothing_else(mirror):
    pickles = sorted((mirror / TILE).glob("mask_*.pickle"))
    assert len(pickles) == 13
    for path in pickles:
        assert read_pickled_mask(path).shape == (1008, 1344)


def test_preparing_twice_gives_the_same_bytes(root):
    def content():
        return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    folder = prepare("pancreas_imc")
    first = content()
    assert prepare("pancreas_imc") == folder
    assert content() == first


def test_a_file_that_changed_at_its_source(mirror, tmp_path, monkeypatch):
    name = "BodenmillerGroup/cytomapper/a985bd6952ffa9639674c940c702ea4cd627592e/inst/extdata"
    copy = tmp_path / "mirror" / "github" / name
    copy.mkdir(parents=True)
    for path in (mirror / name).iterdir():
        content = bytearray(path.read_bytes())
        content[-1] ^= path.name == "G01_mask.tiff"
        (copy / path.name).write_bytes(content)
    monkeypatch.setenv("IMC_BOOK_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    with pytest.raises(DownloadError, match=r"G01_mask\.tiff: not the file of the manifest"):
        prepare("pancreas_imc")
    assert not (tmp_path / "data" / "pancreas_imc").exists()


def test_mcd_and_txt_hold_the_same_acquisition(mirror):
    for slide in ("20210305_NE_mockData1", "20210305_NE_mockData2"):
        folder = mirror / MOCK / slide
        samples = list(read_mcd(folder / f"{slide}.mcd"))
        assert [s.id for s in samples] == [f"{slide}_{i:03d}" for i in (1, 2, 3)]
        for i, sample in enumerate(samples, 1):
            text = read_txt(folder / f"{slide}_ROI_{i:03d}_{i}.txt")
            assert text.panel == sample.panel
            assert text.panel.index("Yb172") == 4
            # The text file rounds to three decimals.
            np.testing.assert_allclose(text.image, sample.image, atol=5.01e-4)


def test_single_planes_of_an_acquisition_are_those_of_the_instruments_own_text(mirror):
    slide = "20210305_NE_mockData2"
    folder = mirror / MOCK / slide
    numbers = acquisition_ids(folder / f"{slide}.mcd")
    assert numbers == [1, 2, 3]
    for number in numbers:
        text = read_txt(folder / f"{slide}_ROI_{number:03d}_{number}.txt")
        with mcd_stack(folder / f"{slide}.mcd", number) as stack:
            assert stack.shape == text.shape
            wanted = [stack.metals.index(metal) for metal in ("Yb172", "Pr141")]
            planes = stack.read(wanted)
        expected = np.stack([text.channel("Yb172"), text.channel("Pr141")])
        np.testing.assert_allclose(planes, expected, atol=5.01e-4)


def test_a_slide_becomes_a_cohort(mirror, tmp_path):
    slide = mirror / MOCK / "20210305_NE_mockData1" / "20210305_NE_mockData1.mcd"
    write_cohort(tmp_path / "slide", read_mcd(slide))
    cohort = Cohort(tmp_path / "slide")
    assert len(cohort) == 3
    for written, read in zip(cohort, read_mcd(slide), strict=True):
        np.testing.assert_array_equal(written.image, read.image)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_a_truncated_mcd(mirror, tmp_path, kept):
    slide = mirror / MOCK / "20210305_NE_mockData1" / "20210305_NE_mockData1.mcd"
    content = slide.read_bytes()
    path = tmp_path / "slide.mcd"
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=r"slide\.mcd"):
        write_cohort(tmp_path / "cohort", read_mcd(path))
    assert not (tmp_path / "cohort").exists()


def test_a_truncated_txt(mirror, tmp_path):
    text = mirror / MOCK / "20210305_NE_mockData1" / "20210305_NE_mockData1_ROI_001_1.txt"
    lines = text.read_text().splitlines(keepends=True)
    path = tmp_path / "roi.txt"
    path.write_text("".join(lines[:1000]))
    with pytest.raises(InputError, match=r"roi\.txt"):
        read_txt(path)


def test_the_manifest_lists_files_once_and_in_full():
    for key in load_edition("open").cohorts:
        record = cohort_record(key)
        paths = [file.path for file in record.files]
        assert all(a != b for a, b in pairwise(sorted(paths)))
        assert all(file.size > 0 for file in record.files)
