"""Where the counts of a phantom's cells come from."""

import numpy as np
import pandas as pd
import pytest
from skimage.morphology import dilation, disk

from imc_helpers.downstream.true_spill import PARTS, spill_by_mask, spill_shares
from imc_helpers.phantom.imaging import ImagingParameters
from imc_helpers.phantom.origins import light_of
from imc_helpers.phantom.recipes import find_recipe
from imc_helpers.phantom.tissue import make_tissue


def test_shares_sum_to_one_over_cells():
    counts = pd.DataFrame(
        {
            "channel": ["CD3", "CD3", "CD20"],
            "own": [6.0, 2.0, 0.0],
            "blur": [1.0, 1.0, 0.0],
            "mask_error": [0.0, 0.0, 0.0],
        }
    )
    found = spill_shares(counts).set_index("channel")
    assert found.loc["CD3"].tolist() == [0.8, 0.2, 0]
    assert found.loc["CD20"].isna().all()


def test_a_true_mask_has_no_error_and_a_larger_one_takes_from_its_neighbours():
    recipe = find_recipe("phantom_lymphoid")
    tissue = make_tissue((70, 70), recipe.tissue, 3)
    light = light_of(tissue, recipe.panel, ImagingParameters(), 3)
    masks = {"truth": {"a": tissue.cells}, "larger": {"a": dilation(tissue.cells, disk(2))}}
    found = spill_by_mask(masks, {"a": light})
    totals = found.groupby("rater")[list(PARTS)].mean()
    assert (found.loc[found["rater"] == "truth", "mask_error"].dropna() == 0).all()
    assert totals.loc["larger", "mask_error"] > 0.05
    assert totals.loc["truth", "blur"] > 0.05, "a perfect mask has its neighbours' light"
    sums = found[list(PARTS)].sum(axis=1, min_count=3).dropna()
    assert sums.to_numpy() == pytest.approx(np.ones(len(sums)))
