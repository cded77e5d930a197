"""Measure the phantom: its cost, the agreement of its experts, its likeness to real tissue.

``make phantom-report`` runs this, and rewrites the tables under ``benchmarks/results`` that the
book's pages on the phantom show. The likeness needs real cohorts, which are downloaded; the sweep
on real tissue is the open edition's, so ``make book EDITION=open`` comes first.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from imc_helpers.data.readers.published import open_cohort
from imc_helpers.experiments.likeness import channel_statistics, likeness
from imc_helpers.experiments.shared_errors import mean_scores
from imc_helpers.experiments.sweeps import read_sweep
from imc_helpers.experiments.unfitted import unfitted_statistics
from imc_helpers.models.registry import load_segmenter
from imc_helpers.phantom.imaging import image_tissue
from imc_helpers.phantom.recipes import DEFAULT_SEED, find_recipe, make_sample, phantom_cohort
from imc_helpers.phantom.tissue import make_tissue

RESULTS = Path(__file__).parent / "results"
REAL = "spleen_imc"
OTHER_TISSUE = "pancreas_imc"
QUICK = "distance"
"""Method that finds cells in real and in made images alike."""


def cost(sides_px: Sequence[int] = (250, 500, 1000, 2000, 4000)) -> pd.DataFrame:
    """Time the making of lymphoid tissue, and of its images, on this machine.

    Returns
    -------
    pandas.DataFrame
        One row a size: ``side_px``, ``mpix``, ``cells``, ``tissue_s``, ``tissue_us_per_cell``, and
        ``imaging_s`` (missing beyond 2000 px: the images alone would take a gigabyte and more).
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


def groups(seeds: Sequence[int] = (0, 1, 2, 3, 4)) -> pd.DataFrame:
    """Score groups of four experts against one another, each on the demo's lymphoid cohort.

    Returns
    -------
    pandas.DataFrame
        One row a seed: ``seed``, ``ap50``, ``map``, ``sap``, means over samples and pairs.
    """
    parts = []
    for seed in seeds:
        print(f"group of seed {seed}", flush=True)
        scores = mean_scores(phantom_cohort("phantom_lymphoid", seed=seed))
        parts.append(scores[scores["who"] == "annotators"].drop(columns="who").assign(seed=seed))
    return pd.concat(parts, ignore_index=True)[["seed", "ap50", "map", "sap"]]


def unfitted() -> pd.DataFrame:
    """Measure on real tissue what the phantom was not fitted to; cells by the same quick method.

    Returns
    -------
    pandas.DataFrame
        One row per item: ``cohort``, ``sample``, ``statistic``, ``item``, ``value``.
    """
    segmenter = load_segmenter(QUICK)
    return pd.concat(
        [
            unfitted_statistics(sample, segmenter.segment(sample)).assign(
                cohort=cohort, sample=sample.id
            )
            for cohort in (REAL, OTHER_TISSUE)
            for sample in open_cohort(cohort)
        ]
    )[["cohort", "sample", "statistic", "item", "value"]]


def real_sweep() -> pd.DataFrame:
    """Return the open edition's sweep of channels on real spleen, which that edition's build makes.

    Raises
    ------
    InputError
        If the open edition was not made here: run ``make book EDITION=open`` first.
    """
    columns = ["model", "channels", "aggregation", "nucleus", "sample", "ap50", "map", "sap"]
    return read_sweep("open", "channels")[columns]


def main() -> None:
    """Write every table, and print it."""
    real = channel_statistics(open_cohort(REAL))
    made = channel_statistics(phantom_cohort("phantom_spleen", seed=DEFAULT_SEED))
    tables = {
        "phantom_cost": cost(),
        "phantom_likeness": likeness(made, real).reset_index(),
        f"{REAL}_channels": real,
        "unfitted_real": unfitted(),
        f"{REAL}_sweep_channels": real_sweep(),
        "phantom_groups": groups(),
    }
    RESULTS.mkdir(exist_ok=True)
    for name, table in tables.items():
        print(f"\n{name}\n{table.round(3).to_string(index=False)}")
        table.to_csv(RESULTS / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
