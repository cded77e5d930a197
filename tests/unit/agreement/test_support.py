"""Chances that the next annotator draws a cell."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.agreement.consensus import consensus
from imc_helpers.agreement.support import (
    calibration,
    calibration_error,
    cell_features,
    cross_fitted,
    fit_support,
    held_out_cells,
)
from imc_helpers.errors import InputError
from imc_helpers.phantom.drawing import ExpertGroup, draw_annotators
from imc_helpers.phantom.recipes import find_recipe, make_sample


def strip(*intervals):
    labels = np.zeros((1, 20), np.uint32)
    for k, (begin, end) in enumerate(intervals, 1):
        labels[0, begin:end] = k
    return labels


def test_features_by_hand():
    masks = [strip((0, 4), (6, 10)), strip((0, 4)), strip((7, 12))]
    agreed = consensus(masks)
    # The first cell by two of three; nobody else is near. The second: 6 to 10 and 7 to 12, whose
    # union is drawn, since one of two is half.
    found = cell_features(agreed, masks)
    assert found["share"].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert found["likeness"].tolist() == pytest.approx([1, (4 / 6 + 5 / 6) / 2])
    assert found["contested"].tolist() == [0, 0]
    assert np.exp(found["log_area"]).tolist() == pytest.approx([4, 6])
    rival = [strip((0, 4)), strip((0, 10)), strip((0, 10))]
    contested = cell_features(consensus(rival), rival)
    assert contested["contested"].max() == 0, "one group: IoU of .4 links them"


def test_the_one_left_out_says_what_they_drew():
    masks = {"a": strip((0, 4), (10, 14)), "b": strip((0, 4)), "c": strip((0, 3), (10, 11))}
    found = held_out_cells(masks)
    assert found.groupby("left_out")["drawn"].apply(list).to_dict() == {
        "a": [True, False],  # c's last cell is a quarter of a's
        "b": [True, False],
        "c": [True, False],
    }
    with pytest.raises(InputError, match="three annotators or more, found 2"):
        held_out_cells({"a": masks["a"], "b": masks["b"]})


def test_calibration_by_hand():
    bins = calibration([0.1, 0.1, 0.8, 0.8], [False, False, True, False], bins=2)
    assert bins["drawn"].tolist() == [0, 0.5]
    assert len(calibration([0.1, 0.2, 0.3, 0.4], [True] * 4, bins=2)) == 2
    assert calibration_error(bins) == pytest.approx((0.1 + 0.3) / 2)


def test_one_image_or_one_outcome_teaches_nothing():
    cells = held_out_cells({"a": strip((0, 4)), "b": strip((0, 4)), "c": strip((0, 4))})
    with pytest.raises(InputError, match="found 3 alike"):
        fit_support(cells)
    assert np.isnan(cross_fitted(cells.assign(sample="s"))).all()


def test_chances_are_calibrated_on_images_not_seen():
    parts = []
    for seed in range(4):
        sample = make_sample(find_recipe("phantom_lymphoid"), (100, 100), seed, f"tissue{seed}")
        people = draw_annotators(sample, ExpertGroup(stratified=False), 1)
        parts.append(held_out_cells(people).assign(sample=sample.id))
    cells = pd.concat(parts, ignore_index=True)
    chance = cross_fitted(cells)
    assert calibration_error(calibration(chance, cells["drawn"], bins=5)) <= 0.05
    # People differ more than that: of a person not learnt from, chances are off by more.
    stranger = cross_fitted(cells, other_people=True)
    assert not np.isnan(stranger).any()
    error = calibration_error(calibration(stranger, cells["drawn"], bins=5))
    assert error > calibration_error(calibration(chance, cells["drawn"], bins=5))
    agreed = consensus([*people.values()])
    support = fit_support(cells).predict(cell_features(agreed, [*people.values()]))
    assert ((support > 0) & (support < 1)).all()
    alone, all_of_them = (support[agreed.support == share].mean() for share in (0.25, 1))
    assert alone < 0.5 < all_of_them
