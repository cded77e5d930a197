"""How a lab's own study grows with its images: ``python benchmarks/study_scale.py 50 500``.

Makes steinbock folders of that many images of 1000 x 1000 px, three channels, with the masks of
three people and four models, runs ``make study`` and ``make book`` on each, and writes to
``benchmarks/results/study_scale.csv`` how long both took, and the most memory that one process took
and that all of them took together.

The cells are discs around random seeds, cut where they meet; each rater misses some, moves some by
a pixel, and draws them larger or smaller. That is enough to cost what real masks cost.
"""

import argparse
import shutil
import sys
import threading
import time
from pathlib import Path
from subprocess import run

import numpy as np
import pandas as pd
import psutil
import tifffile
from scipy import ndimage
from skimage.segmentation import expand_labels
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
SIDE_PX = 1000
CELLS = 6000
DIFFERENT = 50
"""Images that are made; beyond, they come again under other names."""
RATERS = {
    "anna": 5,
    "bo": 5,
    "carl": 4,
    "cellpose": 5,
    "mesmer": 6,
    "stardist": 4,
    "instanseg": 5,
}
"""Largest distance of a cell's pixels from its seed, by rater."""
NAME = "study_scale"


def write_study(folder: Path, images: int) -> None:
    """Write a steinbock folder of so many images."""
    for name in ("img", *(f"masks_{rater}" for rater in RATERS)):
        (folder / name).mkdir(parents=True)
    (folder / "panel.csv").write_text(
        "channel,name,keep\nIr191,DNA1,1\nDy161,CD20,1\nYb173,CD45RO,1\n", encoding="utf-8"
    )
    for number in tqdm(range(min(images, DIFFERENT)), desc="images"):
        rng = np.random.default_rng(number)
        seeds = rng.integers(0, SIDE_PX, (CELLS, 2))
        for rater, radius in RATERS.items():
            kept = seeds[rng.random(CELLS) > 0.05]
            moved = np.clip(kept + rng.integers(-1, 2, kept.shape), 0, SIDE_PX - 1)
            labels = np.zeros((SIDE_PX, SIDE_PX), np.uint32)
            labels[tuple(moved.T)] = np.arange(1, len(moved) + 1)
            labels = expand_labels(labels, radius)
            path = folder / f"masks_{rater}" / f"image_{number:04d}.tiff"
            tifffile.imwrite(path, labels, compression="zlib")
        nuclei = np.zeros((SIDE_PX, SIDE_PX), np.float32)
        nuclei[tuple(seeds.T)] = 200
        nuclei = ndimage.gaussian_filter(nuclei, 2)
        image = rng.poisson([nuclei, nuclei / 2, nuclei / 3]).astype(np.float32)
        tifffile.imwrite(folder / "img" / f"image_{number:04d}.tiff", image, compression="zlib")
    for number in range(DIFFERENT, images):
        for path in [*folder.glob(f"*/image_{number % DIFFERENT:04d}.tiff")]:
            path.with_name(f"image_{number:04d}.tiff").hardlink_to(path)


def measure(command: list[str]) -> tuple[float, float, float]:
    """Run a command; return its wall time (s), and memory (MB): of its largest process, of all."""
    start, most, done = time.perf_counter(), [0.0, 0.0], threading.Event()

    def watch() -> None:
        while not done.wait(1):
            each = [memory_mb(process) for process in psutil.Process().children(recursive=True)]
            most[:] = max(most[0], *each, 0), max(most[1], sum(each))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        run(command, cwd=ROOT, check=True)
    finally:
        done.set()
        watcher.join()
    return time.perf_counter() - start, most[0], most[1]


def memory_mb(process: psutil.Process) -> float:
    """Return the memory of a process, where the system says so with its share of what is shared."""
    try:
        found = process.memory_full_info()
    except psutil.Error:  # it has ended
        return 0.0
    return getattr(found, "pss", found.rss) / 1e6


def main() -> None:
    """Measure studies of some sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=int, nargs="+")
    parser.add_argument("--folder", type=Path, default=ROOT / "_build" / NAME)
    arguments = parser.parse_args()
    rows = []
    for images in arguments.images:
        folder = arguments.folder / str(images)
        if not folder.is_dir():
            write_study(folder, images)
        for made in ("data", "predictions", "results", "executed", ".digests/data"):
            shutil.rmtree(ROOT / made / NAME, ignore_errors=True)
        shutil.rmtree(ROOT / "data" / ".inspected", ignore_errors=True)
        proposal = [sys.executable, "-m", "imc_helpers.own_study.proposal", str(folder)]
        study = measure([*proposal, "--name", NAME])
        edition = ROOT / "editions" / f"{NAME}.yml"
        text = edition.read_text(encoding="utf-8").split("models:")[0]  # the folder's models alone
        edition.write_text(text, encoding="utf-8")
        book = measure([sys.executable, "workflow/scripts/run.py", NAME])
        again = measure([sys.executable, "workflow/scripts/run.py", NAME])
        edition.unlink()
        rows.append(
            {
                "images": images,
                "raters": len(RATERS),
                "study_s": round(study[0], 1),
                "book_s": round(book[0], 1),
                "again_s": round(again[0], 1),
                "largest_process_mb": round(max(study[1], book[1])),
                "together_mb": round(max(study[2], book[2])),
            }
        )
        print(rows[-1], flush=True)
    table = ROOT / "benchmarks" / "results" / f"{NAME}.csv"
    pd.DataFrame(rows).to_csv(table, index=False)


if __name__ == "__main__":
    main()
