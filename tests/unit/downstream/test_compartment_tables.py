"""Comparisons of nuclei and sizes whose outcome is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.data.samples import Cohort
from imc_helpers.data.writers import write_cohort
from imc_helpers.downstream.compartment_tables import (
    found_shares,
    localisation_table,
    matched_ratios,
    nucleus_table,
    pearson,
    size_pairs,
    size_ratios,
    size_tilts,
    with_nuclei,
)
from imc_helpers.errors import InputError
from imc_helpers.phantom.recipes import find_recipe, make_sample


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    recipe = find_recipe("phantom_lymphoid")
    write_cohort(folder / "lab", [make_sample(recipe, (150, 150), k, f"s{k}") for k in (1, 2)])
    return Cohort(folder / "lab")


@pytest.fixture
def masks(cohort):
    return {sample: cohort.read_mask(sample, "truth") for sample in cohort.ids}


def test_a_mask_compared_with_itself(cohort, masks):
    assert with_nuclei(cohort, ["truth", "bo"], cohort.ids) == ["truth"]
    ratios = nucleus_table(cohort, masks, "truth", "truth")
    both = pd.concat([ratios, ratios.assign(rater="again")])
    pairs = matched_ratios(masks, masks, both, reference="truth", rater="again")
    assert len(pairs) == len(ratios) and (pairs["true"] == pairs["pred"]).all()
    found = pearson(pairs)
    assert found["value"] == pytest.approx(1) and found["pairs"] == len(pairs)
    same = size_ratios(size_pairs(masks, masks), [0, 60, 90, 1000])
    assert same["ratio"].tolist() == [1, 1, 1]
    assert same["bin"].tolist() == [0, 1, 2] and same["area"].is_monotonic_increasing


def test_markers_lie_where_the_phantom_puts_them(cohort, masks):
    shares = localisation_table(cohort, masks, "truth", "truth").mean()
    even = nucleus_table(cohort, masks, "truth", "truth")["ratio"].mean()
    assert shares["DNA1"] > even + 0.1
    assert shares["CD20"] < even


def test_nuclei_of_nobody(cohort, masks):
    with pytest.raises(InputError, match="nuclei_bo: no nuclei of sample 's1'.*those of truth"):
        nucleus_table(cohort, masks, "truth", "bo")


def test_doubled_cells_are_twice_as_large():
    true, pred = np.zeros((2, 40, 40), np.uint32)
    for k, (y, x) in enumerate([(2, 2), (2, 20), (20, 2), (20, 20)], start=1):
        true[y : y + 8, x : x + 8] = k
        pred[y : y + 8, x : x + 10] = k
    pairs = size_pairs({"s": true}, {"s": pred})
    one = size_ratios(pairs, [0, 1000])
    assert one["ratio"].tolist() == pytest.approx([80 / 64])
    assert one["low"].isna().all(), "one image has no interval"


def test_cells_without_a_nucleus_are_counted_apart():
    true = np.zeros((10, 40), np.uint32)
    true[0:6, 0:6], true[0:6, 10:16], true[0:6, 20:26] = 1, 2, 3
    mask = np.where(true == 2, 0, true)
    mask[0:6, 23:26] = 0  # half of cell 3: an IoU of .5 is enough
    ratios = pd.DataFrame({"sample": "s", "id": [1, 2, 3], "ratio": [0.5, 0.4, 0.0]})
    found = found_shares({"s": true}, {"bo": {"s": mask}}, ratios)
    assert found.to_dict("records") == [
        {"rater": "bo", "sample": "s", "in plane": 0.5, "out of plane": 1.0}
    ]
    everyone = found_shares({"s": true}, {"bo": {"s": mask}}, ratios.assign(ratio=0.5))
    assert everyone["out of plane"].isna().all()


def test_expansion_makes_cells_larger():
    nuclei = np.zeros((30, 30), np.uint32)
    nuclei[10:18, 10:18] = 1
    pairs = size_pairs({"s": nuclei}, {"s": nuclei}, radius_px=1)
    assert pairs["pred_area"].tolist() == [8 * 8 + 4 * 8]


def test_tilt_is_the_smallest_cells_ratio_over_the_largest_ones():
    pairs = pd.DataFrame(
        {
            "sample": list("ssstt"),
            "true_area": [10, 20, 40, 10, 40],
            "pred_area": [20, 5, 40, 30, 20],
        }
    )
    found = np.exp(size_tilts(pairs, [0, 15, 30, 100]))
    assert found.to_dict() == pytest.approx({"s": 2 / 1, "t": 3 / 0.5})
    assert size_tilts(pairs[pairs["true_area"] < 30], [0, 15, 30, 100]).isna().all()


def test_pearson_is_scipys_and_its_interval_covers():
    rng = np.random.default_rng(0)

    def study(images=6, cells=80):
        x = rng.normal(size=images * cells)
        y = 0.8 * x + 0.6 * rng.normal(size=len(x))
        samples = np.repeat([f"s{k}" for k in range(images)], cells)
        return pd.DataFrame({"true": x, "pred": y, "sample": samples})

    one = study()
    assert pearson(one)["value"] == pytest.approx(stats.pearsonr(one["true"], one["pred"])[0])
    found = [pearson(study()) for _ in range(150)]
    covered = np.mean([one["low"] <= 0.8 <= one["high"] for one in found])
    assert 0.90 <= covered <= 0.99  # .95 within three standard errors
    few = pearson(one.iloc[:2])
    assert np.isnan(few["value"]) and few["pairs"] == 2
    assert np.isnan(pearson(one.assign(true=1.0))["value"])
    assert np.isnan(pearson(one[one["sample"] == "s0"])["low"])
