"""Disagreement of masks, carried into cells and into results."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.cells.expression import mean_intensities
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.downstream.uncertainty import (
    carried_cells,
    mask_disagreement,
    pooled_estimate,
    pooled_mean,
)
from imc_helpers.errors import InputError


def strip(*intervals):
    labels = np.zeros((1, 12), np.uint32)
    for begin, end, cell in intervals:
        labels[0, begin:end] = cell
    return labels


MASKS = {
    "a": strip((0, 4, 3), (6, 10, 7), (10, 12, 9)),
    "b": strip((0, 4, 1), (6, 9, 2)),
    "c": strip((0, 3, 5), (10, 11, 6)),
}
IMAGE = np.arange(24, dtype=np.float32).reshape(2, 1, 12)
TYPES = {
    "a": pd.Series({3: "B", 7: "T", 9: "T"}),
    "b": pd.Series({1: "B", 2: "T"}),
    "c": pd.Series({5: "T", 6: "B"}),
}


def disagreement(masks, types=None):
    counts = {name: mean_intensities(IMAGE, labels) for name, labels in masks.items()}
    return mask_disagreement(masks, counts, "a", types)


def test_by_hand():
    found = disagreement(MASKS, TYPES)
    assert found.cells.index.tolist() == [3, 7, 9]
    assert found.cells["support"].tolist() == [1, 0.5, 0.5]
    assert found.cells["mask_iou"].tolist() == pytest.approx([(1 + 3 / 4) / 2, 3 / 4, 1 / 2])
    third = stats.entropy([2 / 3, 1 / 3], base=2)
    assert found.cells["type_entropy"].tolist() == pytest.approx([third, 0, 1])
    # Means of the first channel over pixels 0..3, 0..3 and 0..2.
    assert found.layers["mask_median"][0, 0] == 1.5
    assert found.layers["mask_mean"][0, 0] == pytest.approx((1.5 + 1.5 + 1) / 3)
    assert found.layers["mask_sd"][0, 0] == pytest.approx(np.std([1.5, 1.5, 1], ddof=1))
    assert found.layers["mask_sd"][2, 0] == pytest.approx(np.std([10.5, 10], ddof=1))


def test_the_same_mask_again_changes_nothing():
    found = disagreement({"a": MASKS["a"], "b": MASKS["a"]})
    assert (found.cells[["support", "mask_iou"]] == 1).all(axis=None)
    assert found.cells["type_entropy"].isna().all()
    assert (found.layers["mask_sd"] == 0).all()
    assert (found.layers["mask_median"] == found.layers["mask_mean"]).all()


def test_a_cell_of_one_mask_alone_has_no_second_opinion():
    found = disagreement({"a": MASKS["a"], "b": strip()}, TYPES)
    assert (found.cells["support"] == 0).all()
    assert found.cells[["mask_iou", "type_entropy"]].isna().all(axis=None)
    assert np.isnan(found.layers["mask_sd"]).all()
    assert not np.isnan(found.layers["mask_median"]).any()
    none = disagreement({"a": strip(), "b": MASKS["b"]})
    assert len(none.cells) == 0
    assert none.layers["mask_sd"].shape == (0, 2)


def test_what_does_not_fit_is_named():
    with pytest.raises(InputError, match="masks: expected one of 'a', found b"):
        mask_disagreement({"b": MASKS["b"]}, {}, "a")
    with pytest.raises(InputError, match=r"mask of b: expected the shape of a's, \(1, 12\), found"):
        mask_disagreement(MASKS | {"b": MASKS["b"][:, :5]}, {}, "a")
    with pytest.raises(InputError, match="types of b: no type of cell 2"):
        disagreement(MASKS, TYPES | {"b": TYPES["b"].drop(2)})


def test_pooled_by_hand():
    found = pooled_estimate([1.0, 2.0, 3.0], [0.3, 0.5, 0.7], 10)
    assert found.value == 2
    assert found.within == pytest.approx(0.5)
    assert found.between == pytest.approx((1 + 1 / 3) * 1.0)
    total = 0.5 + 4 / 3
    assert found.share_between == pytest.approx(4 / 3 / total)
    assert found.degrees == pytest.approx(total**2 / (0.5**2 / 9 + (4 / 3) ** 2 / 2))
    half = stats.t.ppf(0.975, found.degrees) * np.sqrt(total)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half))


def test_with_masks_alike_it_is_the_interval_over_images():
    values = np.random.default_rng(0).normal(size=9)
    found = pooled_mean(np.stack([values] * 3, axis=1))
    low, high = stats.t.interval(0.95, 8, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.share_between == 0


def test_one_image_or_one_mask_has_no_interval():
    assert np.isnan(pooled_mean([[1.0, 2.0]]).low)
    assert np.isnan(pooled_mean([[1.0], [2.0]]).low)
    assert pooled_mean([[1.0, 2.0], [3.0, np.nan]]).value == 1.5
    assert np.isnan(pooled_mean([[np.nan, np.nan]]).value)


@pytest.mark.parametrize(("images", "masks", "person"), [(8, 4, 0.3), (16, 4, 0.3), (8, 4, 1.0)])
def test_intervals_hold_what_a_further_mask_gives(images, masks, person):
    rng = np.random.default_rng(0)
    trials, held = 1000, 0
    for _ in range(trials):
        people = person * rng.normal(size=masks + 1)
        values = rng.normal(size=(images, 1)) + people + 0.2 * rng.normal(size=(images, masks + 1))
        found = pooled_mean(values[:, :masks])
        held += found.low <= people[-1] <= found.high
    assert 0.93 <= held / trials <= 0.98


def test_cells_bear_it_in_anndata(tmp_path):
    panel = Panel((Channel("Ir191", "DNA1", "nucleus"), Channel("Nd144", "CD4", "membrane")))
    write_cohort(tmp_path / "lab", [Sample("s", IMAGE, panel, 1.0, MASKS)])
    cohort = Cohort(tmp_path / "lab", name="lab", raters=[Rater(name) for name in MASKS])
    types = {name: pd.concat({"s": own}, names=["sample", "id"]) for name, own in TYPES.items()}
    cells = carried_cells(cohort, {"s": MASKS}, "a", types)
    assert cells.obs["support"].tolist() == [1, 0.5, 0.5]
    assert cells.obs["Object"].tolist() == [3, 7, 9]
    assert set(cells.layers) == {"exprs", "mask_median", "mask_mean", "mask_sd"}
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    assert path.stat().st_size
