"""Shares of variance against a published example, by hand, and by simulation."""

import numpy as np
import pytest

from imc_helpers.downstream.variance import icc, variance_shares
from imc_helpers.errors import InputError

# Shrout and Fleiss 1979, table 2: six targets, four judges; ICC(2,1) = .29.
SHROUT_FLEISS = [
    [9, 2, 5, 8],
    [6, 1, 3, 2],
    [8, 4, 6, 8],
    [7, 1, 2, 6],
    [10, 5, 6, 9],
    [6, 2, 4, 7],
]


def nested(rng, *, images, cells, masks, image, cell, mask, image_mask, rest):
    """Draw values with these standard deviations; the masks' is exact."""
    offsets = rng.standard_normal(masks)
    offsets = mask * (offsets - offsets.mean()) / offsets.std(ddof=1)
    of = np.repeat(np.arange(images), cells)
    values = (
        (image * rng.standard_normal(images))[of, None]
        + (image_mask * rng.standard_normal((images, masks)))[of]
        + cell * rng.standard_normal((len(of), 1))
        + offsets
        + rest * rng.standard_normal((len(of), masks))
    )
    return values, of


def test_icc_is_that_of_shrout_and_fleiss():
    assert icc(SHROUT_FLEISS) == pytest.approx(0.2898, abs=5e-5)


def test_a_unit_that_a_mask_lacks_is_left_out():
    assert icc([*SHROUT_FLEISS, [np.nan, 1, 2, 3]]) == icc(SHROUT_FLEISS)


def test_the_same_mask_twice_agrees_entirely():
    values = np.repeat(np.random.default_rng(0).normal(size=(40, 1)), 2, axis=1)
    assert icc(values) == 1
    found = variance_shares(values, np.repeat(range(4), 10), draws=50)
    assert found.share("mask") == 0
    assert found.share("agreement") == pytest.approx(1)
    row = found.table.set_index("component").loc["mask"]
    assert (row["low"], row["high"]) == (0, 0)


def test_nothing_to_tell_is_missing():
    assert np.isnan(icc([[1, 1]]))
    assert np.isnan(icc(np.ones((5, 2))))
    constant = variance_shares(np.ones((6, 2)), [0, 0, 0, 1, 1, 1]).table
    assert constant[["share", "low", "high"]].isna().all(axis=None)
    for few in (np.empty((0, 2)), np.array([[1.0, 2.0]])):
        found = variance_shares(few, ["a"] * len(few)).table
        assert found[["share", "low", "high"]].isna().all(axis=None)


def test_one_image_has_shares_but_no_interval_and_no_share_between_images():
    rng = np.random.default_rng(3)
    values, of = nested(
        rng, images=1, cells=4000, masks=3, image=0, cell=1, mask=0.5, image_mask=0, rest=0.5
    )
    found = variance_shares(values, of)
    assert found.share("cell") == pytest.approx(1 / 1.5, abs=0.02)
    assert found.share("mask") == pytest.approx(0.25 / 1.5, abs=0.02)
    assert np.isnan(found.share("image"))
    assert found.table[["low", "high"]].isna().all(axis=None)


def test_a_quantity_of_images_has_no_share_of_cells():
    found = variance_shares(SHROUT_FLEISS, range(6))
    assert np.isnan(found.share("cell"))
    assert np.isnan(found.share("cell × mask"))
    # By the mean squares that the paper prints: 11.24 for targets, 32.49 for judges, 1.02 for rest.
    of_image, of_mask, rest = (11.24 - 1.02) / 4, (32.49 - 1.02) / 6, 1.02
    total = of_image + of_mask + rest
    assert found.share("image") == pytest.approx(of_image / total, abs=2e-3)
    assert found.share("mask") == pytest.approx(of_mask / total, abs=2e-3)


def test_planted_shares_are_recovered():
    rng = np.random.default_rng(5)
    planted = {"image": 0.3, "cell": 0.4, "mask": 0.1, "image × mask": 0.05, "cell × mask": 0.15}
    spread = dict(
        zip(("image", "cell", "mask", "image_mask", "rest"), planted.values(), strict=True)
    )
    drawn = [
        nested(
            rng,
            images=30,
            cells=rng.integers(5, 40, 30),
            masks=4,
            **{name: np.sqrt(variance) for name, variance in spread.items()},
        )
        for _ in range(20)
    ]
    found = np.mean(
        [[variance_shares(*one, draws=2).share(name) for name in planted] for one in drawn], axis=0
    )
    assert found == pytest.approx(list(planted.values()), abs=0.02)


def test_intervals_hold_the_planted_shares():
    """The thousand of them: benchmarks/downstream.py."""
    rng = np.random.default_rng(7)
    held = []
    for trial in range(150):
        values, of = nested(
            rng,
            images=8,
            cells=20,
            masks=3,
            image=np.sqrt(0.3),
            cell=np.sqrt(0.4),
            mask=np.sqrt(0.1),
            image_mask=np.sqrt(0.05),
            rest=np.sqrt(0.15),
        )
        rows = variance_shares(values, of, draws=300, seed=trial).table
        planted = np.array([0.3, 0.4, 0.1, 0.05, 0.15, 0.7])
        held.append((rows["low"] <= planted) & (planted <= rows["high"]))
    # Five standard errors of 150 trials around .95.
    assert np.mean(held, axis=0) == pytest.approx(0.95, abs=0.09)


def test_what_cannot_be_taken_apart_is_refused():
    with pytest.raises(InputError, match="two masks"):
        icc([[1], [2]])
    with pytest.raises(InputError, match="3 images"):
        variance_shares(SHROUT_FLEISS, [1, 2, 3])
