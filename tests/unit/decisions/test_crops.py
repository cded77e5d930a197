"""Scores in crops, counted by hand."""

import numpy as np
import pytest

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.decisions.crops import (
    COLUMNS,
    by_crop,
    crop_scores,
    crops_to_label,
    mask_crops,
)

PANEL = Panel((Channel("Ir191", "DNA1", "nucleus"),))


def cells(*ids):
    labels = np.zeros((4, 9), np.uint32)
    for i in ids:
        labels[2 * (i // 4) : 2 * (i // 4) + 2, 2 * (i % 4) : 2 * (i % 4) + 2] = i + 1
    return labels


MASKS = {"a": cells(*range(8)), "b": cells(0, 2, 3, 6), "c": cells()}


def test_crops_lie_side_by_side():
    found = mask_crops(MASKS, [("a", "b"), ("b", "c")], crop_px=4)
    assert found["crop"].tolist() == [0, 1, 0, 1], "the ninth column is in no crop"
    assert found["errors"].tolist() == [3, 1, 1, 3]
    assert found["ap50"].tolist() == [1 / 4, 3 / 4, 0, 0]


def test_crops_of_images_that_both_drew(tmp_path):
    image = np.zeros((1, 4, 9), np.float32)
    masks = {"s": MASKS, "t": {"a": MASKS["a"]}}
    write_cohort(tmp_path / "toy", [Sample(k, image, PANEL, 1.0, m) for k, m in masks.items()])
    cohort = Cohort(tmp_path / "toy", raters=[Rater(name) for name in MASKS])
    found = crop_scores(cohort, [("a", "b"), ("a", "c")], crop_px=4)
    assert set(found["sample"]) == {"s"}
    assert crop_scores(cohort, [("b", "d")]).columns.tolist() == list(COLUMNS)
    means = by_crop(found, "ap50")
    assert means.to_dict() == {("s", 0): pytest.approx(1 / 8), ("s", 1): pytest.approx(3 / 8)}


def test_crops_to_label_lie_where_raters_disagree(tmp_path):
    image, one = np.zeros((1, 8, 12), np.float32), np.zeros((8, 12), np.uint32)
    one[1:3, 1:3], one[5:7, 9:11] = 1, 2
    other = np.where(one == 2, 0, one)  # the crop at the lower right is in dispute
    samples = [Sample("s", image, PANEL, 1.0, {"a": one, "b": other})]
    write_cohort(tmp_path / "toy", samples)
    cohort = Cohort(tmp_path / "toy", raters=[Rater("a"), Rater("b")])
    found = crops_to_label(cohort, ["a", "b"], 60, crop_px=4)
    assert found["times"].sum() == 60
    first = found.iloc[0]
    assert (first["sample"], first["y_px"], first["x_px"]) == ("s", 4, 8)
    # Its chance is half of a sixth and half of all; it is drawn most often, and counts least.
    assert first["weight"] == pytest.approx(1 / (6 * (1 / 12 + 1 / 2)))
    assert first["times"] == found["times"].max()
    assert crops_to_label(cohort, ["a"], 5).empty
