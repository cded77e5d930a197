"""The cases of golden.json, whose expected scores were computed apart from this package."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imc_helpers.metrics import ap_curve, contingency_table, evaluate, evaluate_many, sap_curve

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
CASES = GOLDEN["cases"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("strict", "suffix"), [(False, "ge"), (True, "gt")])
@pytest.mark.parametrize("sap", ["paper", "step"])
def test_scores(name: str, strict: bool, suffix: str, sap: Any) -> None:
    case = CASES[name]
    scores = evaluate(np.array(case["true"]), np.array(case["pred"]), strict=strict, sap=sap)
    assert scores.ap50 == pytest.approx(case[f"ap50_{suffix}"], abs=1e-12)
    assert scores.map == pytest.approx(case[f"map_{suffix}"], abs=1e-12)
    assert scores.sap == pytest.approx(case[f"sap_{sap}"], abs=1e-12)
    assert (scores.strict, scores.sap_form) == (strict, sap)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sap", ["paper", "step"])
def test_drawn_curve_has_the_area_of_the_score(name: str, sap: Any) -> None:
    table = contingency_table(CASES[name]["true"], CASES[name]["pred"])
    curve = sap_curve(table, sap)
    assert np.trapezoid(curve.ap, curve.iou) == pytest.approx(CASES[name][f"sap_{sap}"], abs=1e-12)
    assert curve.iou[0] == 0
    assert curve.iou[-1] == 1
    assert (np.diff(curve.iou) >= 0).all()
    assert (np.diff(curve.ap) <= 0).all()


@pytest.mark.parametrize("name", CASES)
def test_ap_at_thresholds_averages_to_map(name: str) -> None:
    table = contingency_table(CASES[name]["true"], CASES[name]["pred"])
    assert ap_curve(table).mean() == pytest.approx(CASES[name]["map_ge"], abs=1e-12)
    assert ap_curve(table, strict=True).mean() == pytest.approx(CASES[name]["map_gt"], abs=1e-12)


def test_many_at_once_give_the_same_scores() -> None:
    pairs = [(case["true"], case["pred"]) for case in CASES.values()]
    frame = evaluate_many(pairs, workers=2)
    assert frame["ap50"].tolist() == pytest.approx([c["ap50_ge"] for c in CASES.values()])
    assert frame["map"].tolist() == pytest.approx([c["map_ge"] for c in CASES.values()])
    assert frame["sap"].tolist() == pytest.approx([c["sap_paper"] for c in CASES.values()])
    assert frame["both_empty"].tolist() == [name == "both_empty" for name in CASES]


@pytest.mark.parametrize("name", [n for n in CASES if n != "both_empty"])
def test_panoptic_quality_agrees_with_stardist_where_it_counts_ties(name: str) -> None:
    # StarDist stores the summed IoU in single precision.
    case = CASES[name]
    pq = evaluate(case["true"], case["pred"]).pq
    assert pq == pytest.approx(case["stardist"]["pq50"], rel=1e-6)


@pytest.mark.parametrize("name", [n for n in CASES if n != "both_empty"])
def test_agrees_with_what_stardist_prints(name: str) -> None:
    # Of two empty images StarDist says 0; that is a convention, and `both_empty=0` gives it.
    table = contingency_table(CASES[name]["true"], CASES[name]["pred"])
    assert ap_curve(table).tolist() == pytest.approx(CASES[name]["stardist"]["aps"], abs=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, c in CASES.items()
        if n != "both_empty"
        and min(map(np.min, (c["true"], c["pred"]))) == 0
        and np.min(c["true"]) == np.min(c["pred"])
    ],
)
def test_agrees_with_what_cellpose_4_prints_where_both_have_background(name: str) -> None:
    # It takes the smallest id for background: without background it loses a cell.
    table = contingency_table(CASES[name]["true"], CASES[name]["pred"])
    assert ap_curve(table).tolist() == pytest.approx(CASES[name]["cellpose_4"]["aps"], abs=1e-6)
