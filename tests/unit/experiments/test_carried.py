"""Support of cells judged by the truth, and results with every mask."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import TRUTH, Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.experiments.carried import (
    pool_results,
    read_masks,
    results_by_mask,
    shares_by_support,
    supported_cells,
    types_by_mask,
)


def strip(*intervals):
    labels = np.zeros((1, 20), np.uint32)
    for k, (begin, end) in enumerate(intervals, 1):
        labels[0, begin:end] = k
    return labels


@pytest.fixture
def cohort(tmp_path):
    """Two images of two types: B cells express the first channel, T cells the second."""
    panel = Panel((Channel("Ir191", "CD20", "membrane"), Channel("Nd144", "CD3", "membrane")))
    truth = strip((0, 4), (4, 8), (10, 14), (14, 18))
    image = np.where(np.isin(truth, [1, 3]), [[[9.0]], [[0.0]]], [[[0.0]], [[9.0]]])
    types = ["B", "T", "B", "T"]
    table = pd.DataFrame({"type": types}, index=pd.RangeIndex(1, 5, name="id"))
    masks = {
        "annotator1": strip((0, 4), (4, 8), (10, 18)),  # the last two in one
        "annotator2": strip((0, 4), (8, 10), (14, 18)),
        TRUTH: truth,
    }
    samples = [
        Sample(name, image.astype(np.float32), panel, 1.0, masks, truth=table) for name in "xy"
    ]
    write_cohort(tmp_path / "lab", samples)
    raters = [Rater("annotator1"), Rater("annotator2"), Rater(TRUTH, "truth")]
    return Cohort(tmp_path / "lab", name="lab", raters=raters)


def test_cells_by_hand(cohort):
    masks = read_masks(cohort, cohort.ids, [])
    assert list(masks) == ["x", "y"]
    types = types_by_mask(cohort, masks)
    cells = supported_cells(cohort, masks, types)
    first = cells[(cells["sample"] == "x") & (cells["rater"] == "annotator1")]
    assert first["others"].tolist() == [1, 0, 1]  # half of the doublet is an IoU of .5
    assert first["real"].tolist() == [1, 1, 1]
    second = cells[(cells["sample"] == "x") & (cells["rater"] == "annotator2")]
    assert second["real"].tolist() == [1, 0, 1]
    assert second["error_own"].tolist()[0] == 0
    assert np.isnan(second["error_own"].tolist()[1])
    assert second["typed_right"].tolist() == [1, 0, 1]
    shares = shares_by_support(cells).set_index("others")
    assert shares["cells"].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert shares.loc[0, "real"] == 0.5
    assert shares.loc[1, "real"] == 1


def test_results_and_their_pooling(cohort):
    masks = read_masks(cohort, cohort.ids, [])
    results = results_by_mask(cohort, masks, types_by_mask(cohort, masks))
    density = results["cells per mm²"].loc["x"]
    assert density[TRUTH] == pytest.approx(4 / 20e-6)
    assert density["annotator1"] == pytest.approx(3 / 20e-6)
    assert results["B"].loc["x", TRUTH] == 0.5
    pooled = pool_results(results).set_index(["result", "way"]).sort_index()
    (one,) = pooled.xs(("cells per mm²", "pooled")).to_dict("records")
    assert one["value"] == pytest.approx(3 / 20e-6)
    assert one["truth"] == pytest.approx(4 / 20e-6)
    assert (pooled["low"] >= 0).all()


def test_without_a_truth_cells_fall_into_clusters_or_stay_untyped(cohort):
    blind = Cohort(cohort.folder, name="lab", raters=[Rater("annotator1"), Rater("annotator2")])
    masks = read_masks(blind, blind.ids, [])
    cells = supported_cells(blind, masks)
    assert "real" not in cells
    assert cells["type_entropy"].isna().all()
    assert [*results_by_mask(blind, masks, {})] == ["cells per mm²"]
    assert supported_cells(blind, {}).empty
