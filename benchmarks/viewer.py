"""Measure the viewer at its largest: 1000 x 1000 px, 13,000 cells, six raters, ten channels.

Opens the page in the system's Chromium, which renders without a graphics card here, and writes
``benchmarks/results/viewer.csv``: bytes of the page and seconds to make it; seconds from the start
of loading until the tissue and two raters' outlines are painted, and until all six raters are there
(medians of five); frames per second while the tissue is dragged to and fro with all outlines on, at
three zooms. Needs ``chromium`` and ``chromedriver``.
"""

import math
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.figures.viewer.library import install_library
from imc_helpers.figures.viewer.pages import write_pages

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "benchmarks" / "results" / "viewer.csv"
SIDE, CELLS, RATERS, CHANNELS = 1000, 13_000, 6, 10
REACH_PX = 5.2
"""Cells end this far from their centres, or where the next one begins."""
WOBBLE_PX = 1.2
"""How far raters put the centres of cells from one another, standard deviation."""
DRAG_S = 4.0
OPENINGS = 5
ZOOMS = {"whole image": None, "4 screen pixels per pixel": 4, "16 screen pixels per pixel": 8}
"""Steps of the viewer's zoom; two of them double the size."""


def sample() -> Sample:
    """Make crowded cells with noise in every channel: neither masks nor images are easy to pack."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, SIDE, (CELLS, 2))
    pixels = np.stack(np.mgrid[:SIDE, :SIDE], axis=-1).reshape(-1, 2)
    masks = {}
    for k in range(RATERS):
        placed = centres + rng.normal(0, WOBBLE_PX, centres.shape)
        distance, nearest = cKDTree(placed).query(pixels)
        masks[f"rater{k + 1}"] = np.where(distance <= REACH_PX, nearest + 1, 0).reshape(SIDE, SIDE)
    distance, nearest = cKDTree(centres).query(pixels)
    core = np.exp(-((distance / 2.2) ** 2)).reshape(SIDE, SIDE)
    bright = rng.random((CHANNELS - 2, CELLS))[:, nearest].reshape(-1, SIDE, SIDE)
    means = np.concatenate([[30 * core + 1, 15 * (1 - core) + 0.5], 6 * bright * core + 0.3])
    names = ("nucleus", "membrane", *[""] * (CHANNELS - 2))
    panel = Panel(tuple(Channel(f"C{k}", f"C{k}", name) for k, name in enumerate(names)))
    image = rng.poisson(means).astype(np.float32)
    return Sample("crowded", image, panel, 1.0, {k: v.astype(np.uint32) for k, v in masks.items()})


def browser(profile: str) -> webdriver.Chrome:
    """Start Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,900")
    for argument in (*flags, "--disable-background-networking", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def open_seconds(driver: webdriver.Chrome, page: Path) -> tuple[float, float]:
    """Open the page; return when the tissue was painted, and when all raters' cells were there.

    Both in seconds after loading began, by the page's own clock.
    """
    driver.get("about:blank")
    driver.get(page.as_uri())
    while driver.execute_script("return document.documentElement.dataset.ready") != "complete":
        time.sleep(0.1)
    marks = driver.execute_script(
        "return performance.getEntriesByType('mark').map((mark) => mark.startTime)"
    )
    return marks[0] / 1000, marks[1] / 1000


def frames_per_second(driver: webdriver.Chrome) -> tuple[float, float]:
    """Drag the tissue, and return frames per second and the milliseconds of the slowest frame."""
    driver.execute_script(
        "window.frames_ = []; window.going = true;"
        "(function frame(now) { frames_.push(now); if (going) requestAnimationFrame(frame); })"
        "(performance.now())"
    )

    def mouse(kind: str, x: float, y: float, buttons: int) -> None:
        event = {
            "type": kind,
            "x": x,
            "y": y,
            "buttons": buttons,
            "button": "left",
            "clickCount": 1,
        }
        driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    mouse("mousePressed", 500, 450, 1)
    start = time.monotonic()
    while (past := time.monotonic() - start) < DRAG_S:
        x, y = 500 + 250 * math.sin(1.5 * past), 450 + 200 * math.sin(2.3 * past)
        mouse("mouseMoved", x, y, 1)
    mouse("mouseReleased", 500, 450, 0)
    times = driver.execute_script("going = false; return frames_")
    lengths = np.diff(times)
    return float(1000 / lengths.mean()), float(lengths.max())


def main() -> None:
    """Make the page, measure it, and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        html = Path(folder) / "html"
        write_cohort(Path(folder) / "data", [sample()])
        cohort, target = Cohort(Path(folder) / "data"), html / "viewer" / "data"
        for _ in range(2):  # the first compiles the metrics
            start = time.perf_counter()
            pages = write_pages(cohort, [], target, edition="benchmark", title="Benchmark")
            seconds = time.perf_counter() - start
        install_library(html)
        driver = browser(str(Path(folder) / "profile"))
        try:
            opened = [open_seconds(driver, target / "crowded.html") for _ in range(OPENINGS)]
            seen, complete = (sorted(times) for times in zip(*opened, strict=True))
            rows = [
                ("bytes of the page", int(pages["bytes"].iloc[0])),
                ("seconds to make it", round(seconds, 2)),
                ("seconds until the tissue is seen, median", round(statistics.median(seen), 2)),
                ("seconds until the tissue is seen, slowest", round(seen[-1], 2)),
                (
                    "seconds until all raters are there, median",
                    round(statistics.median(complete), 2),
                ),
            ]
            driver.execute_script("viewer.setOutlines(viewer.raters.keys())")
            for name, zoom in ZOOMS.items():
                if zoom is not None:
                    script = "viewer.map.setView([500, 500], arguments[0], {animate: false})"
                    driver.execute_script(script, zoom)
                time.sleep(1)
                rate, slowest = frames_per_second(driver)
                rows.append((f"frames per second, {name}", round(rate, 1)))
                rows.append((f"milliseconds of the slowest frame, {name}", round(slowest)))
        finally:
            driver.quit()
    table = pd.DataFrame(rows, columns=["what", "value"])
    table["value"] = table["value"].map("{:g}".format)
    table.to_csv(TABLE, index=False)
    print(table.to_string(index=False))
    print(f"Load of the machine meanwhile: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
