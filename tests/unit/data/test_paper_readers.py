"""The study's cohorts, from an imitation of their records: which plane is which, and whose mask.

Every plane of the imitation holds the mass number of its metal, so that a plane that was taken for
another one shows.
"""

import io
from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np
import pytest
import tifffile

from imc_helpers.data.conversion import read_unmatched
from imc_helpers.data.manifest import cohort_record
from imc_helpers.data.panels import Panel
from imc_helpers.data.paths import shipped
from imc_helpers.data.readers import published
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError

SHAPE = (40, 52)
CELLS = np.zeros(SHAPE, np.uint32)
CELLS[2:9, 3:9], CELLS[20:33, 30:41] = 1, 2


def mass(metal: str) -> int:
    return int("".join(filter(str.isdigit, metal)))


@pytest.fixture
def imitation(monkeypatch, rehearsal):
    """The imitation with two cells in each image, and planes that tell which they are."""

    panel = Panel.read(shipped("data_manifest") / "panels" / "schuiki25_channels.csv")
    tissue = SimpleNamespace(masks={"truth": CELLS}, panel=panel, shape=SHAPE)

    def planes(_, metals):
        return np.stack([np.full(SHAPE, mass(metal), np.float32) for metal in metals])

    monkeypatch.setattr(rehearsal, "tissue", lambda *_, **__: tissue)
    monkeypatch.setattr(rehearsal, "planes", planes)
    monkeypatch.setattr(rehearsal, "annotated", lambda truth, annotator: truth * annotator)
    monkeypatch.setattr(rehearsal, "LARGE", SHAPE)
    monkeypatch.setattr(rehearsal, "SMALL", SHAPE)
    return rehearsal


@pytest.fixture
def made(imitation, tmp_path, monkeypatch):
    """Makes a cohort from the imitation, as it is or as `mend` leaves the downloaded files."""
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))

    def make(cohort: str, mend=lambda raw: None) -> Cohort:
        raw = tmp_path / "data" / ".downloads" / cohort
        imitation.write_raw(cohort, raw)
        mend(raw)
        published.convert_record(cohort_record(cohort), raw, tmp_path / "data" / cohort)
        return published.open_cohort(cohort)

    return make


def unmatched(cohort: Cohort) -> dict[str, str]:
    return dict(read_unmatched(cohort.folder)[["sample", "reason"]].to_numpy())


EXPECTED = {
    "schuiki25": (["lymph_01", "lymph_02"], 13, 1),
    "ali20": (["MB0002_1_345", "MB0005_1_12", "MB0064_2_7"], 39, 3),
    "rendeiro21": (
        ["20200701_COVID_11_LATE-02", "20200804_NL1933A_RUN2-02", "20200804_NL1933A_RUN2-03"],
        38,
        1,
    ),
    "jackson20": (
        [
            "BaselTMA_SP41_15.475kx12.665ky_10000x8500_5_20170905_100_239_X12Y3_177_a0",
            "ZTMA208_slide_28.23kx22.4ky_7000x7000_5_20171115_108_67_Ay14x4_364_a0",
            "ZTMA208_slide_28.23kx22.4ky_7000x7000_5_20171115_109_68_Ay14x5_365_a0",
        ],
        39,
        3,
    ),
    "hoch22": (
        [
            "20191021_ZTMA256.1_slide3_TH_s0_p9_r1_a1_ac",
            "20191021_ZTMA256.1_slide3_TH_s0_p9_r2_a2_ac",
        ],
        42,
        3,
    ),
}


@pytest.mark.parametrize("cohort", EXPECTED)
def test_planes_are_found_by_metal_and_masks_by_name(made, cohort):
    ids, channels, factor = EXPECTED[cohort]
    found = made(cohort)
    assert list(found.ids) == ids
    assert len(found.panel) == channels
    for sample in found:
        for channel, plane in zip(sample.panel.channels, sample.image, strict=True):
            assert (plane == mass(channel.channel)).all(), channel
        assert sample.um_per_px == 1
        assert list(sample.masks) == list(cohort_record(cohort).raters)
        np.testing.assert_array_equal(sample.masks[found.references[0]], CELLS * factor)
    assert [found.panel.channels[k].channel for k in found.panel.compartment("nucleus")] == [
        "Ir191",
        "Ir193",
    ]


@pytest.mark.parametrize(
    ("cohort", "markers"),
    [
        ("schuiki25", "CD19 TOMM20 CD5 CD4 CD68 CD20 CD8a CD14 CD45RA B2M CD45RO"),
        ("ali20", "CD68 CD20"),
        ("rendeiro21", "CD4 CD68 CD20 CD8a CD14"),
        ("jackson20", "CD68 CD20"),
        ("hoch22", "CD19 CD4 CD68 CD20 CD8a CD45RA CD45RO"),
    ],
)
def test_the_membrane_is_what_a_cohort_has_of_the_studys_markers(cohort, markers):
    panel = published.cohort_panel(cohort_record(cohort))
    found = {panel.names[k] for k in panel.compartment("membrane")}
    assert found == set(markers.split())


def test_other_markers_can_be_let_into_the_membrane_channel():
    record = cohort_record("ali20").model_copy(update={"channels": {"panCK": "membrane"}})
    panel = published.cohort_panel(record)
    assert {panel.names[k] for k in panel.compartment("membrane")} == {"CD68", "CD20", "panCK"}


def test_annotators_are_told_apart(made):
    sample = made("schuiki25").read("lymph_01")
    for k in range(1, 5):
        np.testing.assert_array_equal(sample.masks[f"annotator{k}"], CELLS * k)


def test_what_has_no_partner_is_listed_with_its_reason(made):
    assert unmatched(made("ali20")) == {}
    assert unmatched(made("hoch22")) == {}
    assert unmatched(made("jackson20")) == {
        "BaselTMA_SP41_2_blank_20170905_1_1_Liver_1_a0": "no mask of its name"
    }
    reasons = unmatched(made("rendeiro21"))
    assert reasons.pop("20200804_NL1933A_RUN2-01").startswith("20200804_NL1933A_RUN2.mcd: cannot")
    assert reasons == {
        "20200630_COVID_10_EARLY-01": "no image of its name",
        "20200630_COVID_10_EARLY_RUN2-01": "no mask of its name",
        "20200701_COVID_11_LATE-01": "excluded in the code of the data's authors",
        "20200709_ARDS-01": "the image has 40 x 52 px, the mask of published 52 x 40",
    }


def test_metals_in_another_order_are_found_all_the_same(made):
    def turned_round(name: str, content: bytes) -> bytes:
        if name.endswith("_full.csv"):
            return b"\n".join(reversed(content.split(b"\n")))
        if not name.endswith("_full.tiff"):
            return content
        turned = io.BytesIO()
        image = tifffile.imread(io.BytesIO(content))[::-1]
        tifffile.imwrite(turned, image, photometric="minisblack")
        return turned.getvalue()

    def mend(raw):
        path = raw / "data" / "full_data.zip"
        with ZipFile(path) as packed:
            files = {name: turned_round(name, packed.read(name)) for name in packed.namelist()}
        with ZipFile(path, "w") as packed:
            for name, content in files.items():
                packed.writestr(name, content)

    sample = made("hoch22", mend)[0]
    for channel, plane in zip(sample.panel.channels, sample.image, strict=True):
        assert (plane == mass(channel.channel)).all()


def test_a_stack_with_more_planes_than_the_list_is_listed(made):
    def mend(raw):
        path = raw / "images" / "MB0005_1_12_fullstack.tiff"
        tifffile.imwrite(path, np.zeros((51, *SHAPE), np.float32), photometric="minisblack")

    found = made("ali20", mend)
    assert list(found.ids) == ["MB0002_1_345", "MB0064_2_7"]
    assert unmatched(found) == {
        "MB0005_1_12": "MB0005_1_12_fullstack.tiff: 51 planes of 40 x 52 px, but 50 channels are "
        "named"
    }


def test_other_names_in_the_in_house_record_say_how_to_mend_it(made):
    def mend(raw):
        folder = raw / "masks_of_a_fifth"
        folder.mkdir()
        for name in ("lymph_01", "lymph_02"):
            tifffile.imwrite(folder / f"{name}.tiff", CELLS)

    with pytest.raises(
        InputError, match=r"4 annotators of 2 images.*annotator_4 \(2 masks\), of_a_fifth.*`found:"
    ):
        made("schuiki25", mend)


def test_an_in_house_record_without_images_says_what_is_there(made):
    def mend(raw):
        (raw / "data" / "imc_segmentation.zip").unlink()
        (raw / "readme.csv").write_text("nothing\n")

    with pytest.raises(InputError, match=r"no image among the 1 files.*Found readme\.csv"):
        made("schuiki25", mend)


def test_a_record_of_other_names_says_so(made):
    def mend(raw):
        for path in [*raw.rglob("*.tiff")]:
            path.rename(path.with_name(f"x{path.name}x"))

    with pytest.raises(InputError, match="ali20: no image could be matched"):
        made("ali20", mend)
