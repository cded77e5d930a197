"""Sums over tables that one can count by hand."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.downstream.mask_summary import AREA, CELLS, NEIGHBOURS, relative, summarise
from imc_helpers.downstream.measure import measure


def test_the_summary_of_three_cells():
    labels = np.zeros((12, 30), np.uint32)
    labels[0:4, 0:4], labels[0:4, 6:9], labels[0:5, 24:28] = 1, 2, 3
    image = np.where(labels == 3, 7.0, 1.0)[None]
    found = summarise(measure(image, labels, ["CD3"], source="a"), 0.5)
    assert found[CELLS] == 3
    assert found[AREA] == 16 / 4
    assert found[NEIGHBOURS] == pytest.approx(2 / 3)  # cells 1 and 2 of each other
    assert found["CD3"] == 3


def test_an_empty_mask_has_missing_means():
    empty = measure(np.ones((1, 8, 8)), np.zeros((8, 8), np.uint32), ["CD3"], source="a")
    found = summarise(empty, 1.0)
    assert found.pop(CELLS) == 0
    assert all(np.isnan(value) for value in found.values())


def test_ratios_to_a_reference():
    rows = [
        {"rater": r, "sample": s, CELLS: n, AREA: a}
        for r, s, n, a in (
            ("truth", "s", 100, 50.0),
            ("truth", "t", 200, 50.0),
            ("anna", "s", 50, 50.0),
            ("anna", "t", 50, np.nan),
            ("bo", "s", 0, np.nan),
            ("bo", "t", 0, np.nan),
        )
    ]
    found = relative(pd.DataFrame(rows), "truth", (CELLS, AREA)).set_index(["rater", "quantity"])
    assert found.loc[("anna", CELLS), "value"] == pytest.approx(np.sqrt(1 / 2 * 1 / 4))
    assert found.loc[("anna", CELLS), "low"] < 0.35 < found.loc[("anna", CELLS), "high"]
    assert found.loc[("anna", AREA), "value"] == pytest.approx(1)
    assert np.isnan(found.loc[("anna", AREA), "low"]), "one image has no interval"
    assert found.loc["bo", "value"].isna().all() and (found.loc["bo", "images"] == 0).all()
    assert relative(pd.DataFrame(rows[:2]), "truth", (CELLS,)).empty
