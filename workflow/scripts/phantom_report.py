"""Write the phantom's report: what it costs, how its experts agree, how like real images it is.

``python workflow/scripts/phantom_report.py [SPLEEN_FOLDER] [-o FOLDER]``

The likeness needs real images: a steinbock folder of the open spleen cohort.
"""

import argparse
import itertools
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from imc_helpers.describe import count_cells
from imc_helpers.metrics import evaluate
from imc_helpers.patching import windows
from imc_helpers.phantom.cohorts import (
    COHORTS,
    DEFAULT_SEED,
    find_recipe,
    make_sample,
    phantom_cohort,
)
from imc_helpers.phantom.drawing import TRUTH
from imc_helpers.phantom.imaging import image_tissue
from imc_helpers.phantom.likeness import likeness
from imc_helpers.phantom.tissue import make_tissue
from imc_helpers.samples import Cohort, Sample


def cost_table(sides_px: Sequence[int] = (250, 500, 1000, 2000, 4000)) -> pd.DataFrame:
    """Time the making of lymphoid tissue, and of its images, on this machine.

    Returns
    -------
    pandas.DataFrame
        One row a size: ``side_px``, ``mpix``, ``cells``, ``tissue_s``, ``imaging_s`` (NaN beyond
        2000 px: the images alone would take a gigabyte and more), ``tissue_us_per_cell``.
    """
    recipe = find_recipe("phantom_lymphoid")
    make_sample(recipe, (64, 64), 0, "warm-up")  # compiles what is compiled
    rows = []
    for side in sides_px:
        start = time.perf_counter()
        tissue = make_tissue((side, side), recipe.tissue, seed=0)
        tissue_s = time.perf_counter() - start
        imaging_s = float("nan")
        if side <= 2000:
            start = time.perf_counter()
            image_tissue(tissue, recipe.panel, recipe.imaging, seed=0)
            imaging_s = time.perf_counter() - start
        rows.append(
            {
                "side_px": side,
                "mpix": side**2 / 1e6,
                "cells": len(tissue.types),
                "tissue_s": tissue_s,
                "imaging_s": imaging_s,
                "tissue_us_per_cell": 1e6 * tissue_s / len(tissue.types),
            }
        )
    return pd.DataFrame(rows)


def cells_per_patch(labels: np.ndarray) -> list[int]:
    """Count the cells in each of the study's patches, cut ones included."""
    return [
        count_cells(labels[window.slices]) for window in windows((labels.shape[0], labels.shape[1]))
    ]


def agreement_table(samples: Iterable[Sample]) -> pd.DataFrame:
    """Compare every two sets of masks of the samples, the truth among them.

    Returns
    -------
    pandas.DataFrame
        One row a pair: ``a``, ``b``, and ``ap50``, ``map``, ``sap`` as means over the samples.
    """
    rows = []
    for sample in samples:
        for a, b in itertools.combinations(sample.masks, 2):
            scores = evaluate(sample.masks[a], sample.masks[b])
            rows.append({"a": a, "b": b, "ap50": scores.ap50, "map": scores.map, "sap": scores.sap})
    return pd.DataFrame(rows).groupby(["a", "b"], sort=False, as_index=False).mean()


def cohort_table(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make every cohort at the demo's scale; returns its numbers and the agreement of its masks."""
    rows, agreements = [], []
    for name, recipe in COHORTS.items():
        start = time.perf_counter()
        samples = list(phantom_cohort(name, seed=seed))
        seconds = time.perf_counter() - start
        counts = {
            annotator: np.mean([n for s in samples for n in cells_per_patch(s.masks[annotator])])
            for annotator in samples[0].masks
        }
        truth = counts.pop(TRUTH)
        rows.append(
            {
                "cohort": name,
                "samples": len(samples),
                "seconds": seconds,
                "cells_per_patch_truth": truth,
                "cells_per_patch_masks": np.mean(list(counts.values())) if counts else np.nan,
                "cells_per_patch_study": recipe.cells_per_patch,
            }
        )
        if counts:
            agreements.append(agreement_table(samples).assign(cohort=name))
    return pd.DataFrame(rows), pd.concat(agreements, ignore_index=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the tables, print them, and write them as CSV where a folder is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spleen", nargs="?", type=Path, help="steinbock folder of the open spleen")
    parser.add_argument("-o", "--output", type=Path, help="folder for the tables, as CSV")
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help="seed of the phantom cohorts"
    )
    options = parser.parse_args(arguments)

    cohorts, agreement = cohort_table(options.seed)
    tables = {"cost": cost_table(), "cohorts": cohorts, "agreement": agreement}
    if options.spleen is not None:
        made = phantom_cohort("phantom_spleen", seed=options.seed)
        tables["likeness"] = likeness(made, Cohort(options.spleen)).reset_index()
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        print(f"\n{name}\n{table.round(3).to_string(index=False)}")
        if options.output is not None:
            table.to_csv(options.output / f"phantom_{name}.csv", index=False)


if __name__ == "__main__":
    main()
