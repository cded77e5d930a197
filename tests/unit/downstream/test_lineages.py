"""Gates on cells that one can count by hand."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.downstream.lineages import Gate, gate, panel_gates, thresholds, type_shares
from imc_helpers.errors import InputError

GATES = [Gate("B cell", "CD20"), Gate("T cell", "CD3")]


def cells(rows, columns=("CD20", "CD3")):
    index = pd.MultiIndex.from_tuples(
        [("s", k) if k < 4 else ("t", k) for k in range(len(rows))], names=["sample", "id"]
    )
    return pd.DataFrame(rows, index, list(columns), dtype=float)


def test_the_first_gate_takes_the_cell():
    profiles = cells([[9, 0], [9, 9], [0, 9], [0, 0], [9, 0], [2, 3]])
    types = gate(profiles, GATES, {"CD20": 2.0, "CD3": 3.0})
    assert types.tolist() == ["B cell", "B cell", "T cell", "ungated", "B cell", "ungated"]
    shares = type_shares(types, ["s", "t", "u"], ["B cell", "T cell", "ungated", "macrophage"])
    assert shares.loc["s"].tolist() == [0.5, 0.25, 0.25, 0]
    assert shares.loc["t"].tolist() == [0.5, 0, 0.5, 0]
    assert shares.loc["u"].isna().all(), "an image without a cell has no shares"


@pytest.mark.parametrize("rule", ["otsu", "mixture"])
def test_a_rule_finds_the_gap_between_two_populations(rule):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.5, 0.1, 700), rng.normal(3, 0.3, 300)])
    limits = thresholds(cells(np.sinh(np.abs(values))[:, None], ["CD20"]), GATES[:1], rule=rule)
    assert np.sinh(0.8) < limits["CD20"] < np.sinh(2.2)


def test_a_mixture_is_cut_where_both_are_equally_likely():
    """Two normals of one spread and size: half-way between their means."""
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(2, 0.5, 20_000), rng.normal(4, 0.5, 20_000)])
    limits = thresholds(
        cells(np.sinh(values.clip(0))[:, None], ["CD20"]), GATES[:1], rule="mixture"
    )
    assert np.arcsinh(limits["CD20"]) == pytest.approx(3, abs=0.03)


@pytest.mark.parametrize("rule", ["otsu", "mixture"])
def test_cells_that_are_all_alike_or_absent_have_no_threshold(rule):
    alike = cells([[3, 0], [3, 1], [3, 0], [3, 1]])
    limits = thresholds(alike, GATES, rule=rule)
    assert np.isnan(limits["CD20"]) and limits["CD3"] >= 0
    assert "B cell" not in set(gate(alike, GATES, limits))
    nobody = thresholds(alike.iloc[:0], GATES, rule=rule)
    assert set(nobody) == {"CD20", "CD3"} and all(map(np.isnan, nobody.values()))
    none = gate(alike.iloc[:0], GATES, nobody)
    assert type_shares(none, ["s"], ["B cell"]).isna().all(axis=None)


def test_a_panel_has_the_gates_that_its_markers_allow():
    gates, without = panel_gates(["DNA1", "CD19", "CD20", "CD5", "CD14"])
    assert [(g.lineage, g.marker) for g in gates] == [
        ("B cell", "CD20"), ("T cell", "CD5"), ("macrophage", "CD14")
    ]  # fmt: skip
    assert without == ["tumour", "stromal"]
    assert panel_gates(["CH_7", "CH_11"])[0] == []


def test_input_that_cannot_be_gated():
    profiles = cells([[1, 2], [3, 4]])
    with pytest.raises(InputError, match="no channel 'CD68'; there are CD20, CD3. Gate by"):
        thresholds(profiles, [Gate("macrophage", "CD68")])
    profiles.iloc[1, 0] = -1
    with pytest.raises(InputError, match=r"cell 1 of s holds -1.0 of 'CD20'"):
        gate(profiles, GATES, {"CD20": 1.0, "CD3": 1.0})
    profiles.iloc[1, 0] = np.nan
    with pytest.raises(InputError, match=r"cell 1 of s holds nan of 'CD20'"):
        thresholds(profiles, GATES)
