"""Measure what the book adds to a model's own time; write `results/models.csv`.

Everything that is not the library's own call counts as ours: choosing and averaging channels,
tiling, checking labels. Run from the repository's root in the book's environment, with the demo's
models trained:

    python benchmarks/models.py
"""

import argparse
import statistics
from pathlib import Path

import pandas as pd

from imc_helpers.cells.counts import count_cells
from imc_helpers.data.manifest import load_edition, model_record
from imc_helpers.errors import InputError
from imc_helpers.models.availability import CORE_KERNEL, why_not
from imc_helpers.models.registry import load_segmenter
from imc_helpers.phantom.recipes import find_recipe, make_sample

RESULTS = Path(__file__).parent / "results" / "models.csv"


def measure(keys: list[str], sides_px: list[int], runs: int) -> pd.DataFrame:
    """Segment square phantom images, and split the time into the library's part and ours.

    Parameters
    ----------
    keys
        Models that can run in this process.
    sides_px
        Edges of the images, pixels.
    runs
        Times that each is measured, after one call on a small image; the median counts.

    Returns
    -------
    pandas.DataFrame
        One row a model and size: ``model``, ``device``, ``megapixels``, ``cells``, ``seconds``,
        ``ours_s``, ``ours_share``, ``runs``.
    """
    recipe = find_recipe("phantom_lymphoid")
    rows = []
    for side in sides_px:
        sample = make_sample(recipe, (side, side), 0, f"square_{side}")
        small = make_sample(recipe, (128, 128), 0, "small")
        for key in keys:
            try:
                segmenter = load_segmenter(key, _device())
            except InputError as error:
                print(f"left out: {error}", flush=True)
                continue
            segmenter.segment(small)
            found = [segmenter.run([sample]) for _ in range(runs)]
            seconds = statistics.median(run.seconds for run in found)
            ours = statistics.median(run.seconds - run.library_seconds for run in found)
            rows.append(
                {
                    "model": key,
                    "device": segmenter.device,
                    "megapixels": side**2 / 1e6,
                    "cells": count_cells(found[0].labels[0]),
                    "seconds": seconds,
                    "ours_s": ours,
                    "ours_share": ours / seconds,
                    "runs": runs,
                }
            )
            print(
                f"{side} x {side} px, {key}: {seconds:.1f} s, ours {ours / seconds:.1%}", flush=True
            )
    return pd.DataFrame(rows)


def _device() -> str:
    import torch  # noqa: PLC0415  # only where models run

    return "cuda" if torch.cuda.is_available() else "cpu"


def main() -> None:
    """Measure the demo edition's models that run in this environment."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[1000, 2000], help="pixels")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    keys = [
        key
        for key in load_edition("demo").models
        if model_record(key).kernel == CORE_KERNEL
        and model_record(key).source != "files"
        and not why_not(key)
    ]
    table = measure(keys, options.sides, options.runs)
    table.to_csv(RESULTS, index=False, float_format="%.4g")
    print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
