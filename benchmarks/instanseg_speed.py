"""Time InstanSeg with our post-processing and with the library's own.

Writes `results/instanseg.csv`.

Both run the same network on the same synthetic image, by turns in one process and on one thread.
Seconds are of the processor, so that neighbours on the machine do not count. Run from the
repository's root in the book's environment, with the demo's models trained:

    OMP_NUM_THREADS=1 python benchmarks/instanseg_speed.py
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import pandas as pd

from imc_helpers.data.manifest import model_record
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters.instanseg import InstanSeg, load
from imc_helpers.models.availability import weights_dir
from imc_helpers.models.protocol import model_input
from imc_helpers.phantom.drawing import TRUTH
from imc_helpers.phantom.recipes import find_recipe, make_sample

RESULTS = Path(__file__).parent / "results" / "instanseg.csv"
KEY = "instanseg_phantom"


def measure(side_px: int, runs: int) -> pd.DataFrame:
    """Segment a square phantom image in both ways, after a call of each on a small one.

    Parameters
    ----------
    side_px
        Edge of the image, pixels.
    runs
        Times that each is measured; the median counts.

    Returns
    -------
    pandas.DataFrame
        One row per way: ``way``, ``megapixels``, ``cells``, ``seconds``, ``times_ours``, ``ap50``
        (against the truth) and ``runs``.
    """
    import torch  # noqa: PLC0415  # only where models run

    torch.set_num_threads(1)
    record, recipe = model_record(KEY), find_recipe("phantom_lymphoid")
    ours = load(record, "cpu", weights_dir(KEY))
    library = InstanSeg(ours.library, ours.eval_parameters)
    library.parts = None
    ways = {"ours": ours, "library": library}
    sample = make_sample(recipe, (side_px, side_px), 0, f"square_{side_px}")
    image = model_input(sample, record.inputs)
    for adapter in ways.values():
        adapter.predict([image[:, :128, :128]], sample.um_per_px)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    labels = {}
    for _ in range(runs):
        for way, adapter in ways.items():
            start = time.process_time()
            [labels[way]] = adapter.predict([image], sample.um_per_px)
            seconds[way].append(time.process_time() - start)
    median = {way: statistics.median(each) for way, each in seconds.items()}
    return pd.DataFrame(
        {
            "way": way,
            "megapixels": side_px**2 / 1e6,
            "cells": np.count_nonzero(np.unique(labels[way])),
            "seconds": median[way],
            "times_ours": median[way] / median["ours"],
            "ap50": evaluate(sample.masks[TRUTH], labels[way]).ap50,
            "runs": runs,
        }
        for way in ways
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=1000, help="pixels")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    table = measure(options.side, options.runs)
    print(table.to_string(index=False, float_format="{:.4g}".format))
    table.to_csv(RESULTS, index=False, float_format="%.4g")
    print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
