"""The viewer's pages as files: what is in them, and how they are reached."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from imc_helpers.agreement.score_table import score_cohort
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.figures.viewer.gallery import cards, list_samples
from imc_helpers.figures.viewer.library import install_library
from imc_helpers.figures.viewer.links import read_samples, samples_file, viewer_link
from imc_helpers.figures.viewer.pages import write_pages

CONTENT = re.compile(r'<script type="application/json" id="content">(.*?)</script>', re.DOTALL)
SIDE = 40


def mask(*cells: tuple[int, int, int, int, int]) -> np.ndarray:
    """Draw rectangles: id, top, left, height, width."""
    labels = np.zeros((SIDE, SIDE), np.uint32)
    for label, top, left, height, width in cells:
        labels[top : top + height, left : left + width] = label
    return labels


ANNA = mask((5, 2, 2, 6, 6), (6, 2, 20, 6, 12), (300, 20, 20, 8, 8))
BEN = mask((1, 2, 2, 6, 6), (2, 2, 20, 6, 5), (3, 2, 27, 6, 5))


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    rng = np.random.default_rng(0)
    panel = Panel((Channel("Ir191", "DNA1", "nucleus"), Channel("Er170", "CD45", "membrane")))
    samples = [
        Sample(name, rng.poisson(4, (2, SIDE, SIDE)).astype(np.float32), panel, 0.5, masks)
        for name, masks in {"a 1": {"anna": ANNA, "ben": BEN}, "b": {"anna": ANNA}}.items()
    ]
    write_cohort(tmp_path / "mine", samples)
    return Cohort(tmp_path / "mine", raters=["anna", Rater("ben", "tool")])


def content(page: Path) -> dict:
    return json.loads(CONTENT.findall(page.read_text(encoding="utf-8"))[0])


def test_a_page_holds_raters_and_where_they_disagree(cohort, tmp_path):
    pages = write_pages(cohort, [], tmp_path / "out", edition="demo", title="Demo edition.")
    assert pages["sample"].tolist() == ["a 1", "b"]
    assert pages["raters"].tolist() == [2, 1]
    found = content(tmp_path / "out" / "a 1.html")
    assert [(r["name"], r["kind"]) for r in found["raters"]] == [
        ("anna", "annotator"),
        ("ben", "tool"),
    ]
    (pair,) = found["pairs"]
    # Cell 6 has 72 pixels; of its two parts, 30 each, one is agreed on. Cell 300 has 64.
    assert pair["rows"] == [["missed", [300], [], 0.0, 64], ["split", [6], [2, 3], 0.417, 42]]
    assert pair["counts"]["matched"] == 1
    assert (found["um_per_px"], found["width"], found["height"]) == (0.5, SIDE, SIDE)


def test_one_mask_has_nobody_to_disagree_with(cohort, tmp_path):
    write_pages(cohort, [], tmp_path / "out", edition="demo", title="Demo", samples=["b"])
    assert content(tmp_path / "out" / "b.html")["pairs"] == []
    assert not (tmp_path / "out" / "a 1.html").exists()


def test_text_cannot_leave_its_place(cohort, tmp_path):
    write_pages(cohort, [], tmp_path / "out", edition="x", title="<b>&</b>", samples=["b"])
    text = (tmp_path / "out" / "b.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;" in text
    assert "<" not in CONTENT.findall(text)[0]
    assert 'value="a%201.html"' in text


def test_a_page_loads_only_what_the_library_has(cohort, tmp_path):
    write_pages(cohort, [], tmp_path / "viewer" / "mine", edition="x", title="x", samples=["b"])
    install_library(tmp_path)
    page = tmp_path / "viewer" / "mine" / "b.html"
    loaded = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page.read_text(encoding="utf-8"))
    assert len(loaded) == 6
    for name in loaded:
        assert (page.parent / name).is_file(), name


def test_the_address_of_a_cell():
    assert viewer_link("mine", "a 1") == "../../viewer/mine/a%201.html"
    assert viewer_link("mine", "b", rater="dr. ö", cell=300, other="ben") == (
        "../../viewer/mine/b.html#rater=dr.%20%C3%B6&cell=300&with=ben"
    )


def test_the_gallery_shows_most_disagreement_first(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    panel = Panel((Channel("Ir191", "DNA1", "nucleus"),))
    image = rng.poisson(4, (1, SIDE, SIDE)).astype(np.float32)
    masks = {"01": (ANNA, ANNA), "02": (ANNA, BEN), "03": (ANNA, None)}
    samples = [
        Sample(n, image, panel, 1.0, {"anna": one} | ({} if two is None else {"ben": two}))
        for n, (one, two) in masks.items()
    ]
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    write_cohort(tmp_path / "data" / "mine", samples)
    cohort = Cohort(tmp_path / "data" / "mine")
    scores = score_cohort(cohort)
    assert list_samples("x", {"mine": cohort}, scores).empty
    listed = write_pages(cohort, [], tmp_path / "out", edition="x", title="x")
    samples_file("x", "mine").parent.mkdir(parents=True)
    listed.to_csv(samples_file("x", "mine"), index=False)
    assert read_samples("x", "mine")["sample"].tolist() == ["01", "02", "03"]
    rows = list_samples("x", {"mine": cohort}, scores)
    assert rows["sample"].tolist() == ["02", "01", "03"]
    # One pair of 3 and 3 cells matches at IoU .5: 1 / (1 + 2 + 2).
    assert rows["pairs"].tolist()[:2] == ["between annotators"] * 2
    assert rows["ap50"].tolist()[:2] == pytest.approx([0.2, 1.0])
    assert np.isnan(rows["ap50"].tolist()[2])
    shown = cards(rows)
    assert shown.count("<img") == 3
    assert 'href="../../viewer/mine/02.html"' in shown
    assert "ap50 0.20" in shown
