"""What predicts a score in a crop, and what it buys."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.experiments.crop_predictors import compare_predictors, mask_quality
from imc_helpers.models.adapters.cellprofiler import find_nuclei
from imc_helpers.phantom.recipes import find_recipe, make_sample


def test_each_crop_is_scored_and_one_without_cells_has_no_score():
    sample = make_sample(find_recipe("phantom_lymphoid"), (100, 140), 3, "tissue")
    labels = sample.masks["truth"].copy()
    labels[:64, 64:128] = 0
    nuclei = find_nuclei(sample.image[:2].mean(axis=0), 4.0)
    found = mask_quality(sample.image, labels, nuclei, 1.0, crop_px=64)
    assert found.index.tolist() == [0, 1], "what is left over is in no crop"
    assert found[0] > 0
    assert np.isnan(found[1])


def test_a_predictor_that_goes_along_buys_more_than_one_that_does_not():
    rng = np.random.default_rng(0)
    crops = pd.MultiIndex.from_product([["a", "b"], range(60)], names=["sample", "crop"])
    labels = pd.Series(rng.normal(size=120), crops)
    good = labels + 0.3 * rng.normal(size=120)
    noise = pd.Series(rng.normal(size=120), crops)
    nothing = pd.Series(np.nan, crops)
    table = compare_predictors(
        labels,
        {"good": good.sample(frac=1, random_state=0)[:110], "noise": noise, "nothing": nothing},
        10,
        trials=100,
    ).set_index("predictor")
    assert table["crops"].tolist() == [110, 120, 0]
    filled = good.where(good.index.isin(good.sample(frac=1, random_state=0)[:110].index))
    filled = filled.fillna(filled.mean())
    assert table.loc["good", "r"] == pytest.approx(np.corrcoef(labels, filled)[0, 1])
    assert table.loc["good", "relative"] < 0.8
    assert table.loc["noise", "relative"] > 1
    assert table.loc["nothing", ["r", "relative", "coverage"]].isna().all()
