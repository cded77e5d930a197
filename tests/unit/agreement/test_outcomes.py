"""What became of cells, on cells counted by hand."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.agreement.outcomes import (
    cell_outcomes,
    first_to_compare,
    kind_shares,
    recall_by,
)
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError

PANEL = Panel((Channel("Ir191", "DNA1", "nucleus"),))


def dots(*centres, shape=(100, 100), half=1):
    labels = np.zeros(shape, np.uint32)
    for k, (y, x) in enumerate(centres, 1):
        labels[y - half : y + half + 1, x - half : x + half + 1] = k
    return labels


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    image = np.zeros((1, 100, 100), np.float32)
    first, second = dots((30, 30), (60, 60)), dots((30, 30))
    samples = [
        Sample("s1", image, PANEL, 1.0, {"a": first, "b": second}),
        Sample("s2", image, PANEL, 1.0, {"a": first, "b": first}),
    ]
    write_cohort(tmp_path / "toy", samples)
    return Cohort(tmp_path / "toy")


def test_each_annotators_cells_are_looked_up_in_the_others(cohort):
    found = cell_outcomes(cohort, ["not run"])
    by = found.set_index(["sample", "annotator", "model", "id"])
    assert by["found"].to_dict() == {
        ("s1", "a", "b", 1): True,
        ("s1", "a", "b", 2): False,
        ("s1", "b", "a", 1): True,
        ("s2", "a", "b", 1): True,
        ("s2", "a", "b", 2): True,
        ("s2", "b", "a", 1): True,
        ("s2", "b", "a", 2): True,
    }
    assert by.loc[("s1", "a", "b", 2), "kind"] == "missed"
    assert set(found["cohort"]) == {"toy"}
    shares = kind_shares(found)
    assert shares.loc["b", "missed"] == pytest.approx(1 / 4)
    assert shares.loc["a", "matched"] == 1


def test_one_mask_and_no_model_leaves_nothing_to_compare(tmp_path):
    image = np.zeros((1, 100, 100), np.float32)
    write_cohort(tmp_path / "one", [Sample("s", image, PANEL, 1.0, {"a": dots((30, 30))})])
    with pytest.raises(InputError, match="nothing to compare"):
        cell_outcomes(Cohort(tmp_path / "one"), [])


def outcomes():
    """Two images; small cells are found in half the cases, large ones always."""
    rows = [
        {"sample": s, "model": "m", "area_um2": area, "found": area > 50 or k % 2 == 0}
        for s in ("s1", "s2")
        for k, area in enumerate([10, 11, 12, 13, 60, 61, 62, 63])
    ]
    return pd.DataFrame(rows)


def test_recall_is_by_bins_with_as_many_cells_each():
    found = recall_by(outcomes(), "area_um2", bins=2)
    assert found["recall"].tolist() == [0.5, 1.0]
    assert found["cells"].tolist() == [8, 8]
    assert found["median"].tolist() == [11.5, 61.5]
    assert found["from"].tolist() == [10, 36.5]
    assert found["to"].tolist() == [36.5, 63]
    assert (found["low"] == found["recall"]).all(), "the images are alike"
    assert found["images"].tolist() == [2, 2]


def test_intervals_of_a_share_stay_between_none_and_all():
    uneven = outcomes()
    uneven.loc[uneven["sample"] == "s1", "found"] = False
    found = recall_by(uneven, "area_um2", bins=2)
    assert (found["low"] == 0).all()
    assert (found["high"] == 1).all()


def test_cells_without_the_property_are_left_out():
    some = outcomes().assign(neighbours=[np.nan, 1.0] * 8)
    found = recall_by(some, "neighbours", bins=3)
    assert found["cells"].tolist() == [8], "one value, one bin"
    assert found["recall"].tolist() == [0.5]


def test_what_can_be_compared_first_is_a_cohort_with_two_masks(cohort, monkeypatch):
    one, none = Cohort(cohort.folder, raters=["a"]), Cohort(cohort.folder, raters=[])
    assert first_to_compare({"none": none, "one": one, "toy": cohort}, ["m"]) == "toy"
    assert first_to_compare({"none": none, "one": one}, ["m"]) is None, "no model ran"
    monkeypatch.setattr(
        "imc_helpers.agreement.outcomes.find_models",
        lambda key, models, mode: {"m": None} if "m" in models else {},
    )
    assert first_to_compare({"none": none, "one": one}, ["m"]) == "one"
    assert first_to_compare({"none": none}, ["m"]) is None
    assert first_to_compare({}, []) is None
