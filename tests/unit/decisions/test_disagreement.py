"""Kinds of disagreement, and whose it is, on masks that can be counted by hand."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.decisions.disagreement import (
    KINDS,
    kinds,
    pairwise_disagreement,
    personal_errors,
    profiles,
)
from imc_helpers.errors import InputError
from imc_helpers.images.imperfect_masks import drop_cells
from imc_helpers.metrics import contingency_table
from imc_helpers.metrics.shared_cells import squared_distance
from imc_helpers.phantom.drawing import ExpertGroup, draw_annotators
from imc_helpers.phantom.recipes import find_recipe, make_sample


def tiles(side=4, n=6, gap=2):
    """A grid of square cells that do not touch."""
    labels = np.zeros((n * (side + gap),) * 2, np.uint32)
    for k in range(n * n):
        y, x = (side + gap) * (k // n), (side + gap) * (k % n)
        labels[y : y + side, x : x + side] = k + 1
    return labels


def test_identical_masks_do_not_disagree():
    assert kinds(tiles(), tiles()).tolist() == [0, 0, 0]
    assert kinds(tiles() * 0, tiles() * 0).tolist() == [0, 0, 0]


def test_a_cell_that_one_lacks_is_a_detection():
    found = kinds(tiles(), drop_cells(tiles(), 0.25))
    assert found.to_dict() == {"detection": 9, "boundary": 0, "partition": 0}
    assert kinds(tiles(), tiles() * 0)["detection"] == 36


def test_a_shifted_border_is_a_boundary():
    shifted = np.roll(tiles(), 1, axis=1)
    # Each cell shares 12 of 16 pixels: 1 - 12² / 16² on either side.
    assert kinds(tiles(), shifted).to_dict() == pytest.approx(
        {"detection": 0, "boundary": 2 * 36 * (1 - (12 / 16) ** 2), "partition": 0}
    )


def test_a_split_and_a_merge_are_a_partition():
    halves = tiles()
    halves[:4, 2:4][halves[:4, 2:4] == 1] = 99
    # The whole: 8² / (16 * 8) twice, so nothing is left. Each half: 8² / (16 * 8) = 1/2.
    expected = {"detection": 0, "boundary": 0, "partition": 1}
    assert kinds(tiles(), halves).to_dict() == pytest.approx(expected)
    assert kinds(halves, tiles()).to_dict() == pytest.approx(expected)


def test_the_kinds_add_up_to_the_squared_distance():
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 6, (2, 12, 12))
    assert kinds(one, two).sum() == pytest.approx(squared_distance(contingency_table(one, two)))


@pytest.mark.parametrize(
    ("slip", "kind"),
    [
        ({"miss": 0.1}, "detection"),
        ({"merge": 0.1}, "partition"),
        ({"split": 0.1}, "partition"),
        ({"wobble_um": 1.0}, "boundary"),
    ],
)
def test_planted_slips_are_named(slip, kind):
    """What simulated experts do wrong in one way alone lies in that kind."""
    nothing = dict.fromkeys(("miss", "merge", "split", "border_sd_um", "wobble_um"), 0.0)
    group = ExpertGroup(2, correlation=0, habit_sd=0, evidence=0, **{**nothing, **slip})
    sample = make_sample(find_recipe("phantom_lymphoid"), (128, 128), 3, "one")
    one, two = draw_annotators(sample, group, 1).values()
    found = kinds(one, two)
    assert found[kind] / found.sum() >= 0.95


def test_shares_are_those_of_the_planted_slips():
    changed = drop_cells(tiles(n=10), 0.1)
    for k in range(40, 60, 2):  # ten cells are cut in half
        y, x = 6 * (k // 10), 6 * (k % 10)
        half = changed[y : y + 4, x + 2 : x + 4]
        half[half > 0] = 200 + k
    cut = len(np.unique(changed)) - 1 - 90
    found = kinds(tiles(n=10), changed)
    assert found.to_dict() == pytest.approx({"detection": 10, "boundary": 0, "partition": cut})


def pairs(distances, images=3, spread=0.0):
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "sample": f"s{i}", "rater_true": a, "rater_pred": b, "n_true": 10, "n_pred": 10,
            "detection": 1.0, "boundary": 2.0, "partition": 1.0,
            "distance": d + spread * rng.normal(), "area_ratio": 1.0,
        }
        for i in range(images)
        for (a, b), d in distances.items()
    )  # fmt: skip


OWN = {"a": 0.1, "b": 0.2, "c": 0.05, "d": 0.4}
SUMS = {(a, b): OWN[a] + OWN[b] for a in OWN for b in OWN if a < b}


def test_the_three_cornered_hat_solves_what_is_each_ones_own():
    assert personal_errors(pairs(SUMS)).to_dict() == pytest.approx(OWN)
    three = {pair: d for pair, d in SUMS.items() if "d" not in pair}
    assert personal_errors(pairs(three)).to_dict() == pytest.approx(
        {name: OWN[name] for name in "abc"}
    )


def test_it_is_the_formula_where_the_distances_do_not_fit():
    rng = np.random.default_rng(2)
    noisy = {pair: d + rng.normal(0, 0.05) for pair, d in SUMS.items()}
    row = {a: sum(d for pair, d in noisy.items() if a in pair) for a in OWN}
    expected = {a: (r - sum(row.values()) / 6) / 2 for a, r in row.items()}
    assert personal_errors(pairs(noisy)).to_dict() == pytest.approx(expected)


def test_not_every_pair_need_have_met_but_three_must():
    some = {pair: d for pair, d in SUMS.items() if pair not in (("a", "d"), ("b", "d"))}
    assert personal_errors(pairs(some)).to_dict() == pytest.approx(OWN)
    chain = {pair: SUMS[pair] for pair in (("a", "b"), ("b", "c"), ("c", "d"))}
    for few in (chain, {("a", "b"): 0.3}):
        with pytest.raises(InputError, match="three people of whom each two drew"):
            personal_errors(pairs(few))


def test_a_profile_has_an_interval_over_images():
    found = profiles(pairs(SUMS, images=5, spread=0.02)).set_index("rater")
    assert list(found.index) == list(OWN)
    assert found["personal"].idxmax() == "d"
    assert ((found["low"] < found["personal"]) & (found["personal"] < found["high"])).all()
    assert found[list(KINDS)].to_numpy().tolist() == [[0.25, 0.5, 0.25]] * 4
    alone = profiles(pairs(SUMS, images=1)).set_index("rater")
    assert alone["personal"].to_dict() == pytest.approx(OWN)
    assert alone["low"].isna().all()
    two = profiles(pairs({("a", "b"): 0.3}))
    assert two[["personal", "low"]].isna().all(axis=None)
    assert two["distance"].tolist() == pytest.approx([0.3, 0.3])


def test_pairs_are_measured_on_what_both_have_drawn(tmp_path):
    image = np.zeros((1, 36, 36), np.float32)
    panel = Panel((Channel("Ir191", "DNA", "nucleus"),))
    small = np.where(np.roll(tiles(), 1, axis=1) == tiles(), tiles(), 0)
    masks = {"a": tiles(), "b": drop_cells(tiles(), 0.5), "c": small}
    samples = [
        Sample("s0", image, panel, 1.0, masks),
        Sample("s1", image, panel, 1.0, {name: masks[name] for name in "ac"}),
    ]
    write_cohort(tmp_path / "toy", samples)
    found = pairwise_disagreement(Cohort(tmp_path / "toy"), "abc")
    found = found.set_index(["sample", "rater_true", "rater_pred"])
    assert list(found.index) == [
        ("s0", "a", "b"), ("s0", "a", "c"), ("s0", "b", "c"), ("s1", "a", "c"),
    ]  # fmt: skip
    assert found.loc[("s0", "a", "b"), "distance"] == pytest.approx(18 / (2 * 30))
    assert found.loc[("s0", "a", "c"), "area_ratio"] == pytest.approx(16 / 12)
    profile = profiles(found.reset_index()).set_index("rater")
    assert profile["images"].to_dict() == {"a": 2, "b": 1, "c": 2}
    assert profile.loc["c", "area_ratio"] == pytest.approx(12 / 16)
