"""Distances of raters: counts by hand, and a mean that one can know."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.decisions.distances import (
    COLUMNS,
    cohort_distances,
    distance_from_mean,
    mask_distances,
)
from imc_helpers.errors import InputError


def cells(*ids):
    labels = np.zeros((4, 8), np.uint32)
    for i in ids:
        labels[2 * (i // 4) : 2 * (i // 4) + 2, 2 * (i % 4) : 2 * (i % 4) + 2] = i + 1
    return labels


MASKS = {"truth": cells(*range(8)), "a": cells(0, 1, 2, 3), "b": cells(2, 3, 4, 5), "m": cells(2)}


def test_pairs_by_hand():
    found = mask_distances(MASKS, ["a", "b"]).set_index(["rater_true", "rater_pred"])
    assert len(found) == 5, "the truth and the model are not compared: neither is an annotator"
    assert found.loc[("a", "b"), ["squared", "distance", "soft_ap"]].tolist() == [4, 4 / 8, 2 / 6]
    assert found.loc[("truth", "a"), "distance"] == 4 / 8
    assert found.loc[("b", "m"), ["n_true", "n_pred", "squared"]].tolist() == [4, 1, 3]
    without = mask_distances({"a": cells(), "b": cells()}, ["a", "b"])
    assert without["distance"].isna().all()


def test_excess_by_hand():
    distances = pd.concat(
        [
            mask_distances(MASKS, ["a", "b"]).assign(sample="s"),
            mask_distances({"a": cells(0), "c": cells(0)}, ["a", "c"]).assign(sample="t"),
        ],
        ignore_index=True,
    )
    found = distance_from_mean(distances, ["a", "b"]).set_index(["sample", "rater"])
    # The model: (3 + 3) / 2 cells from the annotators, over 8, less half of 1/2.
    assert found.loc[("s", "m"), "excess"] == pytest.approx(3 / 8 - 1 / 4)
    assert ("t", "c") not in found.index, "of these annotators, one alone drew t"
    with pytest.raises(InputError, match="two annotators or more"):
        distance_from_mean(distances[distances["sample"] == "none"], ["a", "b"])


@pytest.mark.parametrize("drawers", [4, 2], ids=["all four", "two of four an image"])
def test_excess_is_unbiased_for_the_distance_from_the_mean_of_people(drawers):
    # People draw each of eight squares with chance 1/2; a square is a direction of its own, so
    # their mean is half of every square, and a mask of all eight lies 8 · (1/2)² = 2 from it.
    rng = np.random.default_rng(0)
    found = []
    for _ in range(150):
        people = rng.choice(list("abcd"), drawers, replace=False).tolist()
        masks = {name: cells(*np.flatnonzero(rng.random(8) < 0.5)) for name in people}
        masks["m"] = cells(*range(8))
        pairs = mask_distances(masks, people)
        # In cells, since the unit of the distance is drawn with the masks.
        pairs["distance"] = pairs["squared"] / 2
        found.append(distance_from_mean(pairs.assign(sample="s"), list("abcd"))["excess"].iloc[0])
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - 2 / 2) < 3 * error
    assert error < 0.06


def test_a_cohort_without_two_masks_has_no_distances():
    class Empty:
        name, ids = "empty", ("s",)

        def references_of(self, sample):
            return ("a",)

    assert cohort_distances(Empty()).columns.tolist() == list(COLUMNS)
