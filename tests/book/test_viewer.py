"""The viewer as a reader uses it: every control in the system's own Chromium, from a folder."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.figures.viewer.library import install_library
from imc_helpers.figures.viewer.pages import write_pages
from imc_helpers.metrics import contingency_table

pytestmark = [pytest.mark.site, pytest.mark.slow]

SIDE = 60
ORANGE = (255, 164, 46)
"""The outlines of the second rater."""


def mask(*cells: tuple[int, int, int, int, int]) -> np.ndarray:
    """Draw rectangles: id, top, left, height, width."""
    labels = np.zeros((SIDE, SIDE), np.uint32)
    for label, top, left, height, width in cells:
        labels[top : top + height, left : left + width] = label
    return labels


ANNA = mask((5, 5, 5, 8, 8), (6, 5, 30, 8, 16), (300, 40, 40, 10, 10), (7, 40, 5, 8, 8))
BEN = mask((1, 5, 6, 8, 8), (2, 5, 30, 8, 7), (3, 5, 39, 8, 7), (4, 43, 8, 8, 8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of two samples, in a folder whose path has a space."""
    root = tmp_path_factory.mktemp("a viewer")
    rng = np.random.default_rng(0)
    panel = Panel(
        (
            Channel("Ir191", "DNA1", "nucleus"),
            Channel("Er170", "CD45", "membrane"),
            Channel("Gd156", "CD4"),
        )
    )
    masks = {"anna": ANNA, "ben": BEN}
    image = rng.poisson(5, (3, SIDE, SIDE)).astype(np.float32)
    image[2] = 0
    image[2, 30:, :] = 20
    samples = [Sample("one", image, panel, 1.0, masks), Sample("two", image, panel, 1.0, masks)]
    write_cohort(root / "data" / "mine", samples)
    cohort = Cohort(root / "data" / "mine")
    write_pages(cohort, [], root / "html" / "viewer" / "mine", edition="test", title="A test.")
    install_library(root / "html")
    (root / "html" / "index.html").write_text("<title>The book</title>", encoding="utf-8")
    return root / "html" / "viewer" / "mine"


class Viewer:
    """A page of the viewer in a browser."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.path = path
        self.open()

    def open(self, hash: str = "") -> None:
        self.page.goto("about:blank")  # else a change of the hash alone would load nothing
        self.page.goto(self.path.as_uri() + hash)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        expect(self.page.locator("html")).to_have_attribute("data-ready", "complete")

    def run(self, script: str, argument: object = None):
        """Return what an expression is worth in the page."""
        return self.page.evaluate(script, argument)

    def __getitem__(self, name: str):
        return self.page.locator(f"#{name}")

    def text(self, name: str) -> str:
        return self[name].inner_text()

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def choose(self, name: str, text: str) -> None:
        self[name].select_option(label=text)

    def chosen(self, name: str) -> str:
        """Return which option of a list is chosen."""
        return self[name].evaluate("(select) => select.selectedOptions[0].textContent")

    def pixels(self) -> np.ndarray:
        """Return what is seen of the tissue, (H, W, 3)."""
        picture = Image.open(io.BytesIO(self["map"].screenshot())).convert("RGB")
        return np.asarray(picture).astype(int)

    def orange(self) -> int:
        """Count the pixels with the colour of the second rater's outlines."""
        return int((np.abs(self.pixels() - np.array(ORANGE)).max(axis=-1) < 8).sum())

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Return where a place of the image is shown, from the top left of the tissue."""
        point = self.run("(place) => viewer.map.latLngToContainerPoint(place)", [y, x])
        return point["x"], point["y"]

    def point_at(self, x: float, y: float) -> None:
        """Move the pointer to a place of the image, in its pixels."""
        self.page.mouse.move(*self._in_window(x, y))

    def click_at(self, x: float, y: float) -> None:
        """Click a place of the image, in its pixels."""
        self.page.mouse.click(*self._in_window(x, y))

    def _in_window(self, x: float, y: float) -> tuple[float, float]:
        box, (left, top) = self["map"].bounding_box(), self.on_screen(x, y)
        return box["x"] + left, box["y"] + top

    def here(self, rater: int) -> list[str]:
        """Return cell, IoU and area in a rater's row of the list of raters."""
        return self.page.locator("#raters tbody tr").nth(rater).locator("td").all_inner_texts()[1:]

    def rows(self) -> list[list[str]]:
        """Return the list of disagreements as text."""
        return self.run(
            "[...document.querySelectorAll('#rows tbody tr')]"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))"
        )

    def middle(self) -> tuple[float, float]:
        """Return the place in the middle of the view: x, y."""
        centre = self.run("viewer.map.getCenter()")
        return centre["lng"], centre["lat"]


@pytest.fixture
def viewer(browser: Browser, folder: Path) -> Iterator[Viewer]:
    """The first sample, without motion, so that nothing has to be waited for."""
    page = browser.new_page(viewport={"width": 1200, "height": 800}, reduced_motion="reduce")
    errors: list[str] = []
    page.on("console", lambda said: said.type == "error" and errors.append(said.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("requestfailed", lambda request: errors.append(f"not loaded: {request.url}"))
    yield Viewer(page, folder / "one.html")
    page.close()
    assert not errors


def iou(one: int, two: int) -> str:
    """Return what the metrics say of a cell of Anna's and one of Ben's."""
    table = contingency_table(ANNA, BEN)
    found = {(table.true_ids[i], table.pred_ids[j]): value for i, j, _, value in table.pairs}
    return f"{found[one, two]:.2f}"


def test_outlines_go_and_come(viewer):
    shown = viewer.orange()
    assert shown > 200
    viewer["rater-1"].click()
    assert viewer.orange() == 0
    viewer["rater-1"].click()
    assert viewer.orange() == shown
    viewer["none"].click()
    assert viewer.orange() == 0
    viewer["every"].click()
    assert viewer.orange() == shown


def test_an_outline_runs_along_the_cells_edge(viewer):
    viewer.run("viewer.setOutlines([1]), viewer.map.setView([9, 10], 8), null")
    scale = viewer.run("viewer.map.options.crs.scale(viewer.map.getZoom())")
    left, top = viewer.on_screen(6, 5)
    pixels = viewer.pixels()
    orange = np.abs(pixels - np.array(ORANGE)).max(axis=-1) < 8
    middle = round(top + 4 * scale)
    columns = np.flatnonzero(orange[middle, : round(left + 10 * scale)])
    # Cell 1 reaches from column 6 to 14; its outline is two pixels of the screen wide.
    expected = [left - 1, left, left + 8 * scale - 1, left + 8 * scale]
    np.testing.assert_allclose(columns, expected, atol=1)


def test_channels_and_contrast_change_the_tissue(viewer):
    viewer["none"].click()
    before = viewer.pixels()
    viewer.choose("slot-0", "none")
    viewer.choose("slot-1", "none")
    assert viewer.pixels()[100:-100, 200:-200].max() < 8
    viewer.choose("slot-2", "CD4 (Gd156)")
    viewer.page.get_by_label("Colour of channel 3").fill("#00ff00")
    tissue = viewer.pixels()
    height = len(tissue)
    assert tissue[height // 4, tissue.shape[1] // 2].max() < 40
    assert tissue[3 * height // 4, tissue.shape[1] // 2][1] > 200
    viewer.choose("slot-0", "DNA1 (Ir191)")
    arcsinh = viewer.pixels()
    viewer.page.get_by_label("linear").click()
    assert np.abs(viewer.pixels() - arcsinh).max() > 20
    viewer["low"].fill("90")
    assert viewer.text("low-value") == "90"
    assert viewer.pixels().mean() < arcsinh.mean()
    assert np.abs(before - arcsinh).max() > 20


def test_pointing_at_a_cell_says_who_else_drew_it(viewer):
    viewer.point_at(7, 7)
    assert viewer.here(0) == ["5", "", "64"]
    assert viewer.here(1) == ["1", iou(5, 1), "64"]
    assert "Cell 5 of anna" in viewer.text("where")
    viewer.point_at(32, 9)
    assert viewer.here(1) == ["2", iou(6, 2), "56"]
    viewer.point_at(45, 45)
    assert viewer.here(0) == ["300", "", "100"]
    assert viewer.here(1) == ["–", "–", "–"]
    viewer.point_at(25, 25)
    assert viewer.here(0) == ["", "", ""]


def test_a_click_keeps_a_cell_and_writes_its_address(viewer):
    viewer.click_at(45, 45)
    viewer.point_at(25, 25)
    assert viewer.here(0) == ["300", "", "100"]
    assert viewer.page.url.endswith("#rater=anna&cell=300&with=ben")


def test_the_list_has_what_the_raters_disagree_about(viewer):
    # Cells 7 and 4 have 64 px each and share 25. Of the 128 px of cell 6, its better half has 56.
    assert viewer.rows() == [
        ["missed", "300", "–", "–", "100 µm²"],
        ["border", "7", "4", iou(7, 4), "78 µm²"],
        ["split", "6", "2, 3", iou(6, 2), "72 µm²"],
    ]


def test_stepping_moves_to_each_cell(viewer):
    middles = {"300": (45, 45), "6": (38, 9), "7": (10.5, 45.5)}
    seen = []
    for number in (1, 2, 3):
        viewer["next"].click()
        assert viewer.text("position") == f"{number} of 3"
        cell = viewer.page.locator("tr[aria-current] td").nth(1).inner_text()
        seen.append(cell)
        assert viewer.middle() == pytest.approx(middles[cell], abs=1.5)
        assert f"cell={cell}&" in viewer.page.url
    assert sorted(seen) == sorted(middles)
    viewer["previous"].click()
    assert viewer.text("position") == "2 of 3"


def test_the_list_is_filtered_and_sorted(viewer):
    viewer.choose("kind", "split (1)")
    assert [row[1] for row in viewer.rows()] == ["6"]
    viewer.choose("kind", "all (3)")
    viewer.page.locator("[data-order=first]").click()
    assert [row[1] for row in viewer.rows()] == ["6", "7", "300"]
    viewer.page.locator("[data-order=first]").click()
    assert [row[1] for row in viewer.rows()] == ["300", "7", "6"]


def test_the_other_way_round_a_split_is_a_merge(viewer):
    viewer.choose("first", "ben")
    assert viewer.chosen("second") == "anna"
    kinds = {row[0]: row[1:3] for row in viewer.rows()}
    assert kinds == {"spurious": ["–", "300"], "merged": ["2, 3", "6"], "border": ["4", "7"]}


def test_keys(viewer):
    shown = viewer.orange()
    viewer.press("o")
    assert viewer.orange() == 0
    viewer.press("o")
    assert viewer.orange() == shown
    viewer.press("2")
    assert viewer.orange() == 0
    assert not viewer["rater-1"].is_checked()
    viewer.press("2")
    viewer.press("p")
    assert viewer.text("position") == "3 of 3"
    viewer.press("n")
    assert viewer.text("position") == "1 of 3"
    before = viewer.middle()
    viewer.press("f")
    assert viewer.middle() == pytest.approx((SIDE / 2, SIDE / 2), abs=0.5)
    assert viewer.middle() != before
    viewer["map"].click()
    viewer.press("+")
    viewer.press("ArrowRight")
    viewer.page.wait_for_function("viewer.map.getCenter().lng > 31")  # it glides there


def test_every_control_can_be_reached_and_has_a_name(viewer):
    nameless = viewer.run(
        "[...document.querySelectorAll('button, select, input, a')].filter((e) => !("
        "e.textContent + (e.labels?.[0]?.textContent ?? '') + (e.ariaLabel ?? '')"
        ").trim()).map((e) => e.outerHTML)"
    )
    assert nameless == []
    reached = set()
    for _ in range(60):
        viewer.press("Tab")
        reached.add(viewer.run("document.activeElement.id"))
    assert {
        "sample",
        "map",
        "rater-0",
        "rater-1",
        "first",
        "kind",
        "next",
        "slot-0",
        "low",
    } <= reached


def test_an_address_opens_at_its_cell(viewer):
    viewer.open("#rater=ben&cell=3")
    assert viewer.here(1) == ["3", "", "56"]
    assert viewer.middle() == pytest.approx((38, 9), abs=1.5)  # with the rest of its merge
    assert viewer.chosen("first") == "ben"
    viewer.open("#rater=anna&cell=5&with=ben")  # a cell that matches
    assert viewer.middle() == pytest.approx((9, 9), abs=1)
    viewer.open("#rater=anna&cell=99")
    assert viewer.text("where") == "anna has no cell 99 here."
    viewer.open("#rater=nobody&cell=1")
    assert viewer.text("where") == "There is no rater nobody here."


def test_a_browser_that_alters_images_is_found_out(viewer):
    assert not viewer["altered"].is_visible()
    viewer.page.add_init_script(
        "const read = CanvasRenderingContext2D.prototype.getImageData;"
        "CanvasRenderingContext2D.prototype.getImageData = function (...where) {"
        "  const image = read.apply(this, where); image.data[0] ^= 1; return image; };"
    )
    viewer.open()
    assert viewer["altered"].is_visible()


def test_the_way_to_another_sample_and_back_to_the_book(viewer):
    viewer.choose("sample", "two")
    viewer.wait_until_ready()
    assert viewer.page.title() == "two, mine: viewer (test edition)"
    viewer.page.get_by_text("← The book").click()
    assert viewer.page.title() == "The book"


def test_on_a_phone_nothing_is_wider_than_the_screen(viewer):
    viewer.page.set_viewport_size({"width": 390, "height": 844})
    viewer.open()
    assert viewer.run("document.documentElement.scrollWidth") <= 390
    assert viewer["map"].bounding_box()["height"] > 300
    assert viewer.orange() > 200


def test_the_dark_scheme_is_followed(viewer):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = viewer.run(ground)
    viewer.page.emulate_media(color_scheme="dark")
    viewer.open()
    assert (light, viewer.run(ground)) == ("rgb(255, 255, 255)", "rgb(20, 24, 31)")
