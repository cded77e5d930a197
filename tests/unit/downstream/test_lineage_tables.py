"""Shares under masks whose differences are known."""

import numpy as np
import pytest

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.downstream.lineage_tables import study_lineages

NAMED = Panel((Channel("Dy161", "CD20"), Channel("Er170", "CD3")))
NUMBERED = Panel((Channel("CH_7", "CH_7"), Channel("CH_11", "CH_11")))


def cohort_of(folder, panel):
    """Two images of ten cells: five B, four T, one of neither; `bo` misses two T cells of one."""
    samples = []
    for sample in ("s", "t"):
        labels = np.zeros((8, 80), np.uint32)
        image = np.full((2, 8, 80), 0.01, np.float32)
        for k in range(10):
            place = np.s_[1:7, 8 * k + 1 : 8 * k + 7]
            labels[place] = k + 1
            if k < 9:
                image[(int(k >= 5), *place)] = 20.0
        bo = np.where(np.isin(labels, [6, 7]), 0, labels) if sample == "t" else labels
        samples.append(Sample(sample, image, panel, 1.0, {"anna": labels, "bo": bo}))
    write_cohort(folder / "lab", samples)
    return Cohort(folder / "lab", raters=[Rater("anna"), Rater("bo")])


def masks_of(cohort):
    return {r: {s: cohort.read_mask(s, r) for s in cohort.ids} for r in ("anna", "bo")}


@pytest.mark.parametrize("rule", ["otsu", "mixture"])
def test_shares_of_gated_cells(tmp_path, rule):
    cohort = cohort_of(tmp_path, NAMED)
    found = study_lineages(cohort, masks_of(cohort), cohort.ids, rule=rule, clusters=3)
    assert found.reference == "anna"
    assert found.names == ["B cell", "T cell", "ungated"]
    assert found.shares["anna"].loc["t"].tolist() == pytest.approx([50, 40, 10])
    assert found.shares["bo"].loc["t"].tolist() == pytest.approx([62.5, 25, 12.5])
    apart = found.differences.set_index("quantity")
    assert apart["value"].tolist() == pytest.approx([12.5 / 2, -7.5, 2.5 / 2])
    assert apart.loc["T cell", ["mean_absolute", "largest"]].tolist() == pytest.approx([7.5, 15])
    assert apart.loc["T cell", "low"] < -7.5 < apart.loc["T cell", "high"]


def test_numbered_channels_have_clusters_without_names(tmp_path):
    cohort = cohort_of(tmp_path, NUMBERED)
    found = study_lineages(cohort, masks_of(cohort), cohort.ids, rule="otsu", clusters=3)
    assert not found.gates and found.names == ["cluster 1", "cluster 2", "cluster 3"]
    assert found.shares["anna"].loc["s"].tolist() == pytest.approx([50, 40, 10])
    assert found.differences["value"].tolist() == pytest.approx([12.5 / 2, -7.5, 2.5 / 2])


def test_fewer_kinds_of_cells_than_clusters(tmp_path):
    cohort = cohort_of(tmp_path, NUMBERED)
    found = study_lineages(cohort, masks_of(cohort), cohort.ids, rule="otsu", clusters=4)
    assert found.names == [] and found.differences.empty


def test_the_same_mask_twice_makes_no_difference(tmp_path):
    cohort = cohort_of(tmp_path, NAMED)
    masks = masks_of(cohort)
    same = {"anna": masks["anna"], "bo": masks["anna"]}
    found = study_lineages(cohort, same, cohort.ids, rule="otsu", clusters=3)
    assert (found.differences[["value", "low", "high", "largest"]] == 0).all(axis=None)
    alone = study_lineages(cohort, {"anna": same["anna"]}, cohort.ids, rule="otsu", clusters=3)
    assert alone.differences.empty and alone.names
