"""Measure the viewer at its largest: 1000 x 1000 px, 13,000 cells, six raters, ten channels.

Opens the page in the system's Chromium, which renders without a graphics card here, and writes
``benchmarks/results/viewer.csv``: bytes of the page and seconds to make it; seconds from the start
of loading until the tissue and two raters' outlines are painted, and until all six raters are there
(medians of five); frames per second while the tissue is dragged to and fro with all outlines on, at
three zooms. Needs Chromium.
"""

import math
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from playwright.sync_api import Page, sync_playwright
from scipy.spatial import cKDTree

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


def open_seconds(tab: Page, page: Path) -> tuple[float, float]:
    """Open the page; return when the tissue was painted, and when all raters' cells were there.

    Both in seconds after loading began, by the page's own clock.
    """
    tab.goto("about:blank")
    tab.goto(page.as_uri())
    tab.wait_for_selector("html[data-ready=complete]", state="attached")
    marks = tab.evaluate("performance.getEntriesByType('mark').map((mark) => mark.startTime)")
    return marks[0] / 1000, marks[1] / 1000


def frames_per_second(tab: Page) -> tuple[float, float]:
    """Drag the tissue, and return frames per second and the milliseconds of the slowest frame."""
    tab.evaluate(
        "window.times = []; window.going = true;"
        "(function frame(now) { times.push(now); if (going) requestAnimationFrame(frame); })"
        "(performance.now())"
    )
    tab.mouse.move(500, 450)
    tab.mouse.down()
    start = time.monotonic()
    while (past := time.monotonic() - start) < DRAG_S:
        tab.mouse.move(500 + 250 * math.sin(1.5 * past), 450 + 200 * math.sin(2.3 * past))
    tab.mouse.up()
    lengths = np.diff(tab.evaluate("going = false, times"))
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
        with sync_playwright() as driver:
            chromium = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            tab = chromium.new_page(viewport={"width": 1400, "height": 900})
            opened = [open_seconds(tab, target / "crowded.html") for _ in range(OPENINGS)]
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
            tab.evaluate("viewer.setOutlines(viewer.raters.keys())")
            for name, zoom in ZOOMS.items():
                if zoom is not None:
                    tab.evaluate("(z) => void viewer.map.setView([500, 500], z)", zoom)
                time.sleep(1)
                rate, slowest = frames_per_second(tab)
                rows.append((f"frames per second, {name}", round(rate, 1)))
                rows.append((f"milliseconds of the slowest frame, {name}", round(slowest)))
            chromium.close()
    table = pd.DataFrame(rows, columns=["what", "value"])
    table["value"] = table["value"].map("{:g}".format)
    table.to_csv(TABLE, index=False)
    print(table.to_string(index=False))
    print(f"Load of the machine meanwhile: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
