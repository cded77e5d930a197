"""The viewer as a reader uses it: every control in the system's own Chromium, from a folder."""

import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.figures.viewer.library import install_library
from imc_helpers.figures.viewer.pages import write_pages
from imc_helpers.metrics import contingency_table

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in BROWSERS if (path := shutil.which(name))), "")
DRIVER = shutil.which("chromedriver") or ""

pytestmark = [
    pytest.mark.site,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="needs a browser: apt install chromium chromium-driver",
    ),
]

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


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",  # containers, where tests often run, have no user namespaces
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--window-size=1200,800",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


class Viewer:
    """A page of the viewer in a browser."""

    def __init__(self, driver: webdriver.Chrome, page: Path) -> None:
        self.driver = driver
        self.page = page
        self.open()

    def open(self, hash: str = "") -> None:
        self.driver.get("about:blank")  # else a change of the hash alone would load nothing
        self.driver.get(self.page.as_uri() + hash)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 30
        while self.run("return document.documentElement.dataset.ready") != "complete":
            assert time.monotonic() < deadline, self.driver.get_log("browser")
            time.sleep(0.05)

    def run(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def __getitem__(self, name: str):
        return self.driver.find_element(By.ID, name)

    def text(self, name: str) -> str:
        return self[name].text

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def choose(self, name: str, text: str) -> None:
        Select(self[name]).select_by_visible_text(text)

    def enter(self, selector: str, value: str | int) -> None:
        """Set a slider or a colour, which keys set in ways that differ between systems."""
        self.run(
            "const input = document.querySelector(arguments[0]); input.value = arguments[1];"
            "input.dispatchEvent(new Event('input'))",
            selector,
            value,
        )

    def pixels(self) -> np.ndarray:
        """Return what is seen of the tissue, (H, W, 3)."""
        time.sleep(0.2)  # one frame and more, so that the screen has what the page drew
        picture = Image.open(io.BytesIO(self["map"].screenshot_as_png)).convert("RGB")
        return np.asarray(picture).astype(int)

    def orange(self) -> int:
        """Count the pixels with the colour of the second rater's outlines."""
        return int((np.abs(self.pixels() - np.array(ORANGE)).max(axis=-1) < 8).sum())

    def on_screen(self, x: float, y: float) -> tuple[float, float]:
        """Return where a place of the image is shown, from the top left of the tissue."""
        script = "const p = viewer.map.latLngToContainerPoint(arguments[0]); return [p.x, p.y]"
        return tuple(self.run(script, [y, x]))

    def point_at(self, x: float, y: float, *, click: bool = False) -> None:
        """Move the pointer to a place of the image, in its pixels."""
        at = self.on_screen(x, y)
        size = self["map"].size
        offset = [round(at[0] - size["width"] / 2), round(at[1] - size["height"] / 2)]
        moves = ActionChains(self.driver).move_to_element_with_offset(self["map"], *offset)
        (moves.click() if click else moves).perform()

    def here(self, rater: int) -> list[str]:
        """Return cell, IoU and area in a rater's row of the list of raters."""
        cells = self["raters"].find_elements(By.CSS_SELECTOR, "tbody tr")[rater]
        return [cell.text for cell in cells.find_elements(By.TAG_NAME, "td")[1:]]

    def rows(self) -> list[list[str]]:
        """Return the list of disagreements as text."""
        return self.run(
            "return [...document.querySelectorAll('#rows tbody tr')]"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))"
        )

    def middle(self) -> tuple[float, float]:
        """Return the place in the middle of the view: x, y."""
        return tuple(self.run("const c = viewer.map.getCenter(); return [c.lng, c.lat]"))

    def zoom(self) -> float:
        return self.run("return viewer.map.getZoom()")


@pytest.fixture
def viewer(chromium: webdriver.Chrome, folder: Path) -> Iterator[Viewer]:
    opened = Viewer(chromium, folder / "one.html")
    yield opened
    errors = [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"]
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
    viewer.run("viewer.setOutlines([1]); viewer.map.setView([9, 10], 8, {animate: false})")
    scale = viewer.run("return viewer.map.options.crs.scale(viewer.map.getZoom())")
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
    viewer.enter("[aria-label='Colour of channel 3']", "#00ff00")
    tissue = viewer.pixels()
    height = len(tissue)
    assert tissue[height // 4, tissue.shape[1] // 2].max() < 40
    assert tissue[3 * height // 4, tissue.shape[1] // 2][1] > 200
    viewer.choose("slot-0", "DNA1 (Ir191)")
    arcsinh = viewer.pixels()
    viewer.driver.find_element(By.CSS_SELECTOR, "input[value=linear]").click()
    assert np.abs(viewer.pixels() - arcsinh).max() > 20
    viewer.enter("#low", 90)
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
    viewer.point_at(45, 45, click=True)
    viewer.point_at(25, 25)
    assert viewer.here(0) == ["300", "", "100"]
    assert viewer.driver.current_url.endswith("#rater=anna&cell=300&with=ben")


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
        cell = viewer.driver.find_element(By.CSS_SELECTOR, "tr[aria-current] td:nth-child(2)").text
        seen.append(cell)
        assert viewer.middle() == pytest.approx(middles[cell], abs=1.5)
        assert f"cell={cell}&" in viewer.driver.current_url
    assert sorted(seen) == sorted(middles)
    viewer["previous"].click()
    assert viewer.text("position") == "2 of 3"


def test_the_list_is_filtered_and_sorted(viewer):
    viewer.choose("kind", "split (1)")
    assert [row[1] for row in viewer.rows()] == ["6"]
    viewer.choose("kind", "all (3)")
    viewer.driver.find_element(By.CSS_SELECTOR, "[data-order=first]").click()
    assert [row[1] for row in viewer.rows()] == ["6", "7", "300"]
    viewer.driver.find_element(By.CSS_SELECTOR, "[data-order=first]").click()
    assert [row[1] for row in viewer.rows()] == ["300", "7", "6"]


def test_the_other_way_round_a_split_is_a_merge(viewer):
    viewer.choose("first", "ben")
    assert Select(viewer["second"]).first_selected_option.text == "anna"
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
    assert not viewer["rater-1"].is_selected()
    viewer.press("2")
    viewer.press("n")
    assert viewer.text("position") == "1 of 3"
    viewer.press("p")
    assert viewer.text("position") == "3 of 3"
    close = viewer.zoom()
    viewer.press("f")
    time.sleep(0.5)
    assert viewer.zoom() < close
    viewer["map"].click()
    before = viewer.middle()
    viewer.press("+")
    time.sleep(0.5)
    viewer.press(Keys.ARROW_RIGHT)
    time.sleep(0.5)
    assert viewer.middle()[0] > before[0]


def test_every_control_can_be_reached_and_has_a_name(viewer):
    nameless = viewer.run(
        "const label = (e) => (e.labels?.[0]?.textContent ?? '') + (e.ariaLabel ?? '');"
        "return [...document.querySelectorAll('button, select, input, a')]"
        ".filter((e) => !(e.textContent + label(e)).trim()).map((e) => e.outerHTML)"
    )
    assert nameless == []
    reached = set()
    for _ in range(60):
        viewer.press(Keys.TAB)
        reached.add(viewer.run("return document.activeElement.id"))
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
    assert Select(viewer["first"]).first_selected_option.text == "ben"
    viewer.open("#rater=anna&cell=5&with=ben")  # a cell that matches
    assert viewer.middle() == pytest.approx((9, 9), abs=1)
    viewer.open("#rater=anna&cell=99")
    assert viewer.text("where") == "anna has no cell 99 here."
    viewer.open("#rater=nobody&cell=1")
    assert viewer.text("where") == "There is no rater nobody here."


def test_the_way_to_another_sample_and_back_to_the_book(viewer):
    viewer.choose("sample", "two")
    viewer.wait_until_ready()
    assert viewer.driver.title == "two, mine: viewer (test edition)"
    viewer.driver.find_element(By.LINK_TEXT, "← The book").click()
    assert viewer.driver.title == "The book"


def test_on_a_phone_nothing_is_wider_than_the_screen(viewer):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    viewer.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        viewer.open()
        assert viewer.run("return document.documentElement.scrollWidth") <= 390
        assert viewer["map"].size["height"] > 300
        assert viewer.orange() > 200
    finally:
        viewer.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_dark_scheme_is_followed(viewer):
    def ground() -> str:
        return viewer.run("return getComputedStyle(document.body).backgroundColor")

    light = ground()
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    viewer.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    try:
        viewer.open()
        assert (light, ground()) == ("rgb(255, 255, 255)", "rgb(20, 24, 31)")
    finally:
        viewer.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
