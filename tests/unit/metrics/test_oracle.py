"""Random small images against brute force: every matching tried, in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from metrics_oracle import Oracle

from imc_helpers.metrics import (
    THRESHOLDS,
    ap_curve,
    contingency_table,
    evaluate,
    global_assignment,
    matched_pairs,
)

# Few ids on few pixels: objects in pieces, exact ties and empty sides are common. Some ids have
# gaps, and one list has no background.
IDS = st.sampled_from(
    [[0, 1, 2, 3], [0, 4, 9, 40, 41], [1, 2, 3, 5, 8], [0, 7], [0, 1, 2, 3, 4, 5]]
)
DTYPES = st.sampled_from(["u1", "i2", "<i4", ">u4", "i8"])


@st.composite
def label_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5))
    images = []
    for _ in range(2):
        ids = draw(IDS)
        codes = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, len(ids) - 1)))
        images.append(np.array(ids)[codes].astype(draw(DTYPES)))
    true, pred = images
    if draw(st.booleans()):  # a near copy, so that high IoUs happen
        changed = draw(hnp.arrays(bool, shape, elements=st.booleans()))
        pred = np.where(changed & draw(hnp.arrays(bool, shape)), pred, true)
    return true, pred


@given(label_pairs())
@settings(max_examples=300, deadline=None)
def test_table_counts_pixels(pair: tuple[np.ndarray, np.ndarray]) -> None:
    true, pred = pair
    table = contingency_table(true, pred)
    assert table.true_ids.tolist() == [k for k in np.unique(true) if k]
    assert table.pred_ids.tolist() == [k for k in np.unique(pred) if k]
    assert table.true_areas.tolist() == [(true == k).sum() for k in table.true_ids]
    assert table.pred_areas.tolist() == [(pred == k).sum() for k in table.pred_ids]
    expected = [
        (i, j, n)
        for i, t in enumerate(table.true_ids)
        for j, p in enumerate(table.pred_ids)
        if (n := int(((true == t) & (pred == p)).sum()))
    ]
    assert [(i, j, n) for i, j, n, _ in table.pairs] == expected


@given(label_pairs(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_scores(pair: tuple[np.ndarray, np.ndarray], strict: bool) -> None:
    oracle = Oracle(*pair)
    scores = evaluate(*pair, strict=strict)
    half = Fraction(1, 2)
    assert (scores.n_true, scores.n_pred) == (oracle.n_true, oracle.n_pred)
    assert scores.n_matched == oracle.tp(half, strict=strict)
    assert scores.ap50 == float(oracle.ap(half, strict=strict))
    assert scores.map == pytest.approx(float(oracle.map(strict=strict)), abs=1e-12)
    assert scores.sap == pytest.approx(float(oracle.sap_paper()), abs=1e-11)
    step = evaluate(*pair, strict=strict, sap="step").sap
    assert step == pytest.approx(float(oracle.sap_step()), abs=1e-12)
    f1 = [float(oracle.f1(Fraction(k, 100), strict=strict)) for k in range(50, 100, 5)]
    assert scores.f1_50 == scores.rq == f1[0]
    assert scores.f1_mean == pytest.approx(np.mean(f1[::2]), abs=1e-12)
    assert scores.f1_mean10 == pytest.approx(np.mean(f1), abs=1e-12)
    if oracle.n_true + oracle.n_pred:
        pq = 2 * oracle.iou_50(strict=strict) / (oracle.n_true + oracle.n_pred)
        assert scores.pq == pytest.approx(float(pq), abs=1e-12)
        assert scores.pq == pytest.approx(scores.sq * scores.rq, abs=1e-12)
    assert scores.aji == pytest.approx(float(oracle.aji()), abs=1e-12)
    assert scores.seg == pytest.approx(float(oracle.seg()), abs=1e-12)
    assert scores.dice == pytest.approx(float(oracle.dice()), abs=1e-12)


@given(label_pairs(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_threshold_curve(pair: tuple[np.ndarray, np.ndarray], strict: bool) -> None:
    oracle = Oracle(*pair)
    table = contingency_table(*pair)
    thresholds = [Fraction(k, 20) for k in range(21)] + [Fraction(1, 3), Fraction(3, 7)]
    ap = ap_curve(table, [float(t) for t in thresholds], strict=strict)
    assert ap.tolist() == [float(oracle.ap(t, strict=strict)) for t in thresholds]
    for threshold in (Fraction(1, 10), Fraction(1, 3), Fraction(1, 2)):
        matched = matched_pairs(table, float(threshold), strict=strict)
        assert len(matched.iou) == oracle.tp(threshold, strict=strict)
        assert len(set(matched.true_ids.tolist())) == len(matched.iou)
        assert len(set(matched.pred_ids.tolist())) == len(matched.iou)


@given(label_pairs())
@settings(max_examples=200, deadline=None)
def test_global_assignment(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assigned = global_assignment(contingency_table(*pair))
    expected = [float(x) for x in Oracle(*pair).assignment()]
    assert sorted(assigned.iou.tolist()) == expected


def test_thresholds_of_map() -> None:
    assert THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
