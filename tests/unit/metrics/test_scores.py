"""Scores by hand, against scikit-image, and under changes that must not matter."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import adapted_rand_error, variation_of_information
from skimage.segmentation import find_boundaries

from imc_helpers.metrics import Scores, ap_curve, contingency_table, evaluate, sap_curve


def tissue(seed: int, side: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Make two label images of blocky cells, shifted against each other and partly cut off."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.permutation(64).reshape(8, 8), np.ones((6, 6), int))[:side, :side]
    true = np.where(rng.random((side, side)) < 0.1, 0, blocks)
    pred = np.roll(blocks, rng.integers(-2, 3, 2), axis=(0, 1))
    pred[pred % 7 == 3] = 0
    pred[pred % 11 == 5] = 60
    return true, pred


def numbers(scores: Scores) -> dict[str, float]:
    return {k: v for k, v in dataclasses.asdict(scores).items() if isinstance(v, (int, float))}


def test_every_score_by_hand() -> None:
    # True cells of 4, 4 and 2 px. Prediction 1 is 3 px of cell 1 (IoU 3/4); prediction 2 covers
    # cell 2 and 2 px of background (4/6); prediction 3 is 2 px of background. Cell 3 is missed.
    true = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 3, 3, 0, 0]])
    pred = np.array([[1, 1, 1, 0, 2, 2, 2, 2, 2, 2, 0, 0, 3, 3]])
    scores = evaluate(true, pred, borders=True)
    assert (scores.n_true, scores.n_pred, scores.n_matched) == (3, 3, 2)
    assert scores.ap50 == 2 / 4
    # Two match up to .65, one up to .75, none above.
    assert scores.map == pytest.approx((4 * 2 / 4 + 2 * 1 / 5) / 10)
    assert scores.precision_50 == scores.recall_50 == scores.f1_50 == pytest.approx(2 / 3)
    assert scores.f1_mean == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 5)
    assert scores.f1_mean10 == pytest.approx((4 * 2 / 3 + 2 * 1 / 3) / 10)
    assert scores.sq == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert scores.rq == pytest.approx(2 / 3)
    assert scores.pq == pytest.approx((3 / 4 + 4 / 6) / 3)
    assert scores.aji == pytest.approx((3 + 4) / (4 + 6 + 2 + 2))
    assert scores.seg == pytest.approx((3 / 4 + 4 / 6) / 3)
    assert scores.dice == pytest.approx(2 * 7 / (10 + 11))
    assert scores.jaccard == pytest.approx(7 / 14)
    # Border pixels by column; what touches only the image's own edge is none.
    true_border = {3, 4, 7, 10, 11}
    pred_border = {2, 4, 9, 12}
    shared = len(true_border & pred_border)
    assert scores.boundary_dice == pytest.approx(2 * shared / 9)
    assert scores.boundary_jaccard == pytest.approx(shared / 8)
    # Flat at 2/4 to IoU 2/3, down to 1/5 at 3/4, down to 0 at 1.
    assert scores.sap == pytest.approx(2 / 3 * 2 / 4 + (2 / 4 + 1 / 5) / 2 / 12 + 1 / 5 / 4 / 2)
    step = evaluate(true, pred, sap="step").sap
    assert step == pytest.approx(2 / 3 * 2 / 4 + 1 / 12 * 1 / 5)


@pytest.mark.parametrize("seed", range(4))
def test_rand_error_and_variation_of_information_agree_with_scikit_image(seed: int) -> None:
    true, pred = tissue(seed)
    scores = evaluate(true, pred)
    error, _, _ = adapted_rand_error(true, pred)
    assert scores.rand_error == pytest.approx(error, abs=1e-12)
    split, merge = variation_of_information(true, pred)
    assert scores.voi_split == pytest.approx(split, abs=1e-9)
    assert scores.voi_merge == pytest.approx(merge, abs=1e-9)


def test_split_and_merge_raise_their_own_part_of_the_information() -> None:
    whole, halves = np.ones((4, 4), int), np.repeat([[1, 1, 2, 2]], 4, axis=0)
    assert (evaluate(whole, halves).voi_split, evaluate(whole, halves).voi_merge) == (1, 0)
    assert (evaluate(halves, whole).voi_split, evaluate(halves, whole).voi_merge) == (0, 1)


@pytest.mark.parametrize("seed", range(4))
def test_borders_agree_with_scikit_image(seed: int) -> None:
    true, pred = tissue(seed)
    b_true, b_pred = (
        find_boundaries(image, connectivity=1, mode="inner") for image in (true, pred)
    )
    scores = evaluate(true, pred, borders=True)
    shared = (b_true & b_pred).sum()
    assert scores.boundary_dice == pytest.approx(2 * shared / (b_true.sum() + b_pred.sum()))
    assert scores.boundary_jaccard == pytest.approx(shared / (b_true | b_pred).sum())
    volume = np.stack([true, pred, true])
    expected = find_boundaries(volume, connectivity=1, mode="inner").sum()
    assert contingency_table(volume, volume, borders=True).borders == (expected,) * 3


@given(st.integers(0, 10**6), st.sampled_from(["paper", "step"]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_what_must_not_matter(seed: int, sap: Any, strict: bool) -> None:
    true, pred = tissue(seed)
    rng = np.random.default_rng(seed)
    expected = numbers(evaluate(true, pred, sap=sap, strict=strict, borders=True))
    relabelled = np.r_[0, rng.permutation(np.arange(1, 1000))[:63]]
    for other in (
        (relabelled[true], relabelled[::-1][pred - 1] * (pred > 0)),
        (true.T, pred.T),
        (true[::-1], pred[::-1]),
        (np.repeat(true, 1, axis=0).astype(np.uint16), np.asfortranarray(pred)),
    ):
        scores = evaluate(*other, sap=sap, strict=strict, borders=True)
        assert numbers(scores) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 10**6), st.sampled_from(["paper", "step"]))
@settings(max_examples=40, deadline=None)
def test_true_and_pred_change_places(seed: int, sap: Any) -> None:
    true, pred = tissue(seed)
    forth = numbers(evaluate(true, pred, sap=sap, borders=True))
    back = numbers(evaluate(pred, true, sap=sap, borders=True))
    swapped = {"n_true": "n_pred", "precision_50": "recall_50", "voi_split": "voi_merge"}
    swapped |= {v: k for k, v in swapped.items()}
    for name in forth.keys() - {"aji", "seg", "rand_error"}:
        assert back[swapped.get(name, name)] == pytest.approx(forth[name], abs=1e-12), name


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_doubled_data_keep_sap_as_a_step_and_raise_it_on_paper(seed: int) -> None:
    pair = tissue(seed)
    doubled = tuple(np.stack([image, image + 100 * (image > 0)]) for image in pair)
    once, twice = (evaluate(*p, sap="step") for p in (pair, doubled))
    assert twice.sap == pytest.approx(once.sap, abs=1e-12)
    for name in ("ap50", "map", "pq", "aji", "dice", "f1_mean"):
        assert getattr(twice, name) == pytest.approx(getattr(once, name), abs=1e-12)
    # Between equal levels of twice as many cells there are half steps, under which more area lies.
    assert evaluate(*doubled).sap != pytest.approx(evaluate(*pair).sap, abs=1e-6)


@pytest.mark.parametrize("sap", ["paper", "step"])
def test_empty_sides(sap: Any) -> None:
    nothing, cells = np.zeros((3, 4), int), np.array([[1, 1, 0, 2]] * 3)
    higher = set(numbers(evaluate(cells, cells, borders=True))) - {
        *("n_true", "n_pred", "n_matched", "strict", "rand_error", "voi_split", "voi_merge")
    }
    for pair in ((nothing, cells), (cells, nothing)):
        scores = numbers(evaluate(*pair, sap=sap, borders=True))
        assert {name: scores[name] for name in higher} == dict.fromkeys(higher, 0.0)
        assert scores["rand_error"] == 1
    for value in (1.0, 0.25):
        scores = numbers(evaluate(nothing, nothing, sap=sap, borders=True, both_empty=value))
        assert {name: scores[name] for name in higher} == dict.fromkeys(higher, value)
        assert scores["rand_error"] == 1 - value
        assert ap_curve(contingency_table(nothing, nothing), both_empty=value)[0] == value
        curve = sap_curve(contingency_table(nothing, nothing), sap, both_empty=value)
        assert np.trapezoid(curve.ap, curve.iou) == value


def test_an_object_that_fills_one_image_is_no_border_match_for_nothing() -> None:
    nothing, full = np.zeros((3, 3), int), np.ones((3, 3), int)
    assert evaluate(nothing, full, borders=True).boundary_dice == 0
    assert evaluate(full, full, borders=True).boundary_dice == 1


def test_objects_of_one_pixel_have_no_rand_error() -> None:
    assert evaluate([[1, 0], [0, 2]], [[4, 0], [0, 3]]).rand_error == 0


def test_exact_thresholds_where_floats_would_slip() -> None:
    # 11/20 reaches .55, though 0.55 * 20 > 11 in floating point.
    true, pred = np.ones(20, int), (np.arange(20) < 11).astype(int)
    table = contingency_table(true, pred)
    assert ap_curve(table, [0.55]) == [1]
    assert ap_curve(table, [0.55], strict=True) == [0]
    assert evaluate(table=table).map == pytest.approx(0.2)
    assert evaluate(table=table, strict=True).map == pytest.approx(0.1)
    for k in range(50, 100, 5):
        true, pred = np.ones(100, int), (np.arange(100) < k).astype(int)
        assert evaluate(true, pred).map == pytest.approx((k - 45) / 50)
        assert evaluate(true, pred, strict=True).map == pytest.approx((k - 50) / 50)


def test_ties_of_aji_count_every_equal_partner_as_used() -> None:
    # Cell 1 has two equal partners. Whichever is taken, no partner of a best match is left over.
    for pred in ([[1, 1, 2, 2]], [[2, 2, 1, 1]]):
        assert evaluate([[1, 1, 1, 1]], pred).aji == 2 / 4


def test_table_and_images_give_the_same() -> None:
    true, pred = tissue(5)
    table = contingency_table(true, pred, borders=True)
    assert evaluate(table=table, borders=True) == evaluate(true, pred, borders=True)


def test_sap_can_be_left_out() -> None:
    scores = evaluate([1], [1], sap=None)
    assert math.isnan(scores.sap)
    assert scores.sap_form is None
    assert math.isnan(scores.boundary_dice)


def test_contradictory_input_is_refused() -> None:
    table = contingency_table([1], [1])
    for arguments in ({}, {"true": [1]}, {"true": [1], "pred": [1], "table": table}):
        with pytest.raises(ValueError, match="either true and pred, or table"):
            evaluate(**arguments)
    with pytest.raises(ValueError, match="no borders"):
        evaluate(table=table, borders=True)
    with pytest.raises(ValueError, match="found 'trapezoid'"):
        evaluate([1], [1], sap="trapezoid")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="found 'trapezoid'"):
        sap_curve(table, "trapezoid")  # type: ignore[arg-type]
