"""Verdicts on conclusions: planted ones, and the rates at which they err."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.downstream.conclusions import (
    Kind,
    Verdict,
    confounded_studies,
    count_verdicts,
    describe_image,
    group_study,
    judge,
    say_verdicts,
    worth_showing,
)
from imc_helpers.downstream.typed_masks import TypedMask
from imc_helpers.errors import InputError

NAMES = ["B", "T"]
MASKS = ["anna", "bo"]


def grid(types):
    """Give touching cells of 10 x 10 px with these types, row by row."""
    types = np.atleast_2d(types)
    labels = np.kron(np.arange(1, types.size + 1).reshape(types.shape), np.ones((10, 10), int))
    return TypedMask(labels, pd.Series(types.ravel(), np.arange(1, types.size + 1)), 1.0)


def described(values, kind=Kind.FRACTION, name="B"):
    """Give one quantity of images (rows) by masks (columns) as `describe_image` would."""
    wide = pd.DataFrame(np.asarray(values, float), columns=MASKS[: np.shape(values)[1]])
    long = wide.rename_axis("sample").reset_index().melt("sample", var_name="rater")
    return long.assign(kind=str(kind), name=name)


def verdict(values, kind=Kind.FRACTION, **options):
    found = judge(described(values, kind), MASKS, **options)
    asked = Kind.GROUPS if options.get("groups") else kind
    (one,) = found.loc[found["kind"] == asked, "verdict"].unique()
    return one


def test_an_image_by_hand():
    found = describe_image(grid(["B", "B", "T"]), NAMES, "radius").set_index(["kind", "name"])
    value = found["value"]
    assert value["fraction", "B"] == pytest.approx(np.log2(2.5 / 4))
    assert value["log-ratio", "T"] == pytest.approx(np.log2(1.5 / np.sqrt(2.5 * 1.5)))
    assert value["density", "T"] == pytest.approx(np.log2(1.5 / (300 / 1e6)))
    # Edges: B-B both ways, B-T both ways; expected 4 * 2 / 6 each.
    assert value["contact", "B – B"] == pytest.approx(np.log2(2.5 / (8 / 6 + 0.5)))
    assert value["contact", "B – T"] == pytest.approx(np.log2(1.5 / (8 / 6 + 0.5)))
    assert np.isnan(value["contact", "T – T"])


def test_an_image_without_cells_says_nothing():
    empty = TypedMask(np.zeros((5, 5), int), pd.Series(dtype=object), 1.0)
    for graph in ("nearest", "delaunay", "radius", "expansion"):
        assert describe_image(empty, NAMES, graph)["value"].isna().all()


def test_some_cells_alone():
    whole = grid([["B", "T"], ["T", "B"]])
    some = whole.only([1, 4])
    assert some.types.to_dict() == {1: "B", 4: "B"}
    assert set(np.unique(some.labels)) == {0, 1, 4}
    assert some.centres_um.tolist() == [[5, 5], [15, 15]]


def test_bad_types_are_named():
    labels = np.array([[1, 2]])
    with pytest.raises(InputError, match="cell 3 is not in the mask"):
        TypedMask(labels, pd.Series(["B", "B", "T"], [1, 2, 3]), 1.0)
    with pytest.raises(InputError, match="1 types for 2 cells"):
        TypedMask(labels, pd.Series(["B"], [1]), 1.0)
    with pytest.raises(InputError, match="unknown type 'NK'"):
        describe_image(grid(["B", "NK"]), NAMES, "radius")


def test_the_same_mask_twice_changes_nothing():
    rng = np.random.default_rng(0)
    image = rng.normal(1.0, 0.1, (6, 1))
    values = np.repeat(image, 2, axis=1)
    assert verdict(values) == Verdict.SAME
    assert verdict(values, Kind.CONTACT) == Verdict.SAME
    groups = dict(enumerate(["a"] * 3 + ["b"] * 3))
    values = values + np.repeat([[0], [2]], 3, axis=0)
    assert verdict(values, groups=groups) == Verdict.SAME


def test_fractions_within_the_margin_are_the_same_and_beyond_it_have_changed():
    noise = np.random.default_rng(1).normal(0, 0.01, (8, 2))
    assert verdict(noise + np.array([0, np.log2(1.03)])) == Verdict.SAME
    assert verdict(noise + np.array([0, np.log2(1.3)])) == Verdict.CHANGED
    assert verdict(noise + np.array([0, np.log2(1.1)])) == Verdict.OPEN
    assert verdict(noise[:1]) == Verdict.OPEN


def test_a_contact_has_changed_where_masks_differ_in_what_they_are_sure_of():
    noise = np.random.default_rng(2).normal(0, 0.05, (8, 2))
    assert verdict(noise + np.array([0.5, 0.7]), Kind.CONTACT) == Verdict.SAME
    assert verdict(noise + np.array([0.5, 0.0]), Kind.CONTACT) == Verdict.CHANGED
    assert verdict(noise + np.array([0.5, -0.5]), Kind.CONTACT) == Verdict.CHANGED
    assert verdict(noise, Kind.CONTACT) == Verdict.OPEN


def test_a_difference_between_groups_is_welchs():
    values = np.random.default_rng(3).normal(0, 0.2, (10, 2)) + np.array([0, 0.1])
    groups = dict(enumerate("aaaabbbbbb"))
    found = judge(described(values), MASKS, groups=groups)
    row = found[(found["kind"] == Kind.GROUPS) & (found["rater"] == "anna")].iloc[0]
    welch = stats.ttest_ind(values[4:, 0], values[:4, 0], equal_var=False).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((welch.low, welch.high))
    changed = values + np.outer([0] * 4 + [1] * 6, [2, 0])
    assert verdict(changed, groups=groups) == Verdict.CHANGED


def test_an_image_that_one_mask_cannot_tell_is_left_out_for_all():
    values = np.array([[1.0, 1.1], [1.2, np.nan], [0.9, 1.0]])
    assert set(judge(described(values, Kind.CONTACT), MASKS)["images"]) == {2}


def test_masks_beside_do_not_enter_the_verdict():
    values = np.random.default_rng(4).normal(1, 0.05, (6, 2))
    truth = described(values - 3, Kind.CONTACT).replace({"anna": "truth", "bo": "model"})
    both = pd.concat([described(values, Kind.CONTACT), truth])
    found = judge(both, MASKS, beside=["truth"])
    assert set(found["verdict"]) == {Verdict.SAME}
    assert found.loc[found["rater"] == "truth", "high"].max() < 0
    counted = count_verdicts(found)
    assert counted.to_numpy().tolist() == [[1, 0, 0]]


def test_verdicts_seldom_err():
    """Where masks do not differ, "changed" is rare; where a pair does, so is "same"."""
    rng = np.random.default_rng(5)
    equal, apart = [], []
    for _ in range(200):
        image, noise = rng.normal(0, 0.3, (8, 1)), rng.normal(0, 0.1, (8, 2))
        equal.append(verdict(image + noise, Kind.CONTACT))
        apart.append(verdict(noise + np.array([0, np.log2(1.1)])))
    assert np.mean(np.array(equal) == Verdict.CHANGED) < 0.05
    assert np.mean(np.array(apart) == Verdict.SAME) < 0.05
    assert np.mean(np.array(apart) == Verdict.CHANGED) < 0.05


def test_power_is_that_of_simulated_studies():
    rng = np.random.default_rng(6)
    first, second = rng.normal(0, 1, (4000, 8)), rng.normal(1.2, 1, (4000, 8))
    tested = stats.ttest_ind(second, first, axis=1)
    found = group_study(1.2, 1.0, 8)
    assert found.more == pytest.approx(
        np.mean((tested.pvalue < 0.05) & (tested.statistic > 0)), abs=0.03
    )
    assert found.less < 0.001
    no_difference = group_study(0.0, 1.0, 5)
    assert no_difference.more + no_difference.less == pytest.approx(0.05)
    assert np.isnan(group_study(1.0, 0.0, 5).more)


def test_groups_segmented_by_different_masks_raise_false_alarms():
    rng = np.random.default_rng(7)
    image = rng.normal(0, 0.2, (10, 1))
    alike = described(np.repeat(image, 2, axis=1))
    assert confounded_studies(alike, MASKS, images=10)["false alarm"].item() == pytest.approx(0.05)
    apart = described(image + np.array([0, 0.5]))
    found = confounded_studies(apart, MASKS, images=10).iloc[0]
    assert found["false alarm"] > 0.9
    assert np.isnan(found["power"])
    groups = dict(enumerate("aaaaabbbbb"))
    planted = pd.concat([apart, described(image).replace({"anna": "truth"})])
    planted["value"] += np.where(planted["sample"] >= 5, 0.5, 0)
    found = confounded_studies(planted, MASKS, images=10, groups=groups, truth="truth").iloc[0]
    assert found["power"] > 0.9
    assert found["wrong sign"] < 0.01


def test_verdicts_in_words_and_what_a_figure_shows():
    rows = [
        ("fraction", "B", Verdict.SAME, 0.0),
        ("fraction", "T", Verdict.CHANGED, 0.0),
        ("contact", "B – B", Verdict.OPEN, 0.1),
        ("contact", "B – T", Verdict.SAME, -2.0),
        ("contact", "T – T", Verdict.CHANGED, 0.3),
    ]
    judged = pd.DataFrame(rows, columns=["kind", "name", "verdict", "value"])
    assert say_verdicts(judged) == (
        "Of 2 fractions, 1 would not have changed (B); 1 would have changed (T). Of 3 contacts, "
        "1 would not have changed (B – T); 1 would have changed (T – T); 1 cannot be told."
    )
    undecided = judged.assign(verdict=Verdict.OPEN)
    assert (
        say_verdicts(undecided)
        == "Of 2 fractions, none can be told. Of 3 contacts, none can be told."
    )
    shown = worth_showing(judged, 2)
    assert shown["name"].tolist() == ["B", "T", "B – T", "T – T"]


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(InputError, match="two masks or more"):
        judge(described(np.zeros((3, 2))), ["anna"])
    with pytest.raises(InputError, match="expected two"):
        judge(described(np.zeros((3, 2))), MASKS, groups={0: "a", 1: "a", 2: "a"})
