"""Types of cells: by a rule that has not seen the image, by clusters."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.downstream.cell_types import (
    cell_profiles,
    learn_clusters,
    learn_regression,
    true_profiles,
)
from imc_helpers.errors import InputError


def profiles(counts, samples, **more):
    index = pd.MultiIndex.from_arrays([samples, range(1, len(samples) + 1)], names=["sample", "id"])
    return pd.DataFrame(counts, index, ["CD20", "CD3"]).assign(**more)


def two_types(samples, *, swapped=(), n=40):
    """Cells of two types in some images; in the swapped ones, the types' names are exchanged."""
    rng, parts = np.random.default_rng(0), []
    for sample in samples:
        b = np.stack([rng.uniform(20, 30, n), rng.uniform(0, 2, n)], axis=1)
        names = ["B"] * n + ["T"] * n
        names = names[::-1] if sample in swapped else names
        parts.append(profiles(np.concatenate([b, b[:, ::-1]]), [sample] * 2 * n, type=names))
    return pd.concat(parts)


def test_an_image_is_typed_by_others_alone():
    # Image c says the opposite of the others. Typed by them it is wrong in every cell, and a rule
    # that had seen it would be torn.
    known = two_types("abcd", swapped="c")
    found = learn_regression(known)(known.drop(columns="type"))
    right = (found == known["type"]).groupby("sample").mean()
    assert right["c"] == 0
    assert right[["a", "b", "d"]].tolist() == [1, 1, 1]


def test_cells_of_an_image_that_nobody_learned_from():
    found = learn_regression(two_types("ab"))(two_types("z").drop(columns="type"))
    assert (found == two_types("z")["type"]).all()


def test_no_cells_have_no_types():
    known = two_types("ab")
    none = known.iloc[:0].drop(columns="type")
    assert learn_regression(known)(none).empty
    assert learn_clusters(known.drop(columns="type"), 2)(none).empty


def test_clusters_are_named_by_size():
    counts = [[30.0, 0], [31, 0], [0, 30], [0, 31], [0, 32]]
    learned = profiles(counts, ["a"] * 5)
    found = learn_clusters(learned, 2)(profiles([[0, 29.0], [29, 0]], ["b"] * 2))
    assert found.tolist() == ["cluster 1", "cluster 2"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: learn_regression(k[k.index.get_level_values(0) == "a"]), "two images or more"),
        (lambda k: learn_regression(k)(k.drop(columns="CD3")), "no channel 'CD3'"),
        (lambda k: learn_regression(k)(k.assign(CD3=-1.0)), "cell 1 of a has negative or missing"),
        (lambda k: learn_clusters(k[:3], 4), "4 clusters of 3 different cells"),
    ],
)
def test_cells_that_cannot_be_typed(call, message):
    with pytest.raises(InputError, match=message):
        call(two_types("ab"))


def test_profiles_of_true_cells(tmp_path):
    labels = np.array([[3, 3, 0], [8, 0, 0]], np.uint32)
    image = np.array([[[1, 3, 9], [5, 9, 9]]], np.float32)
    truth = pd.DataFrame({"type": ["B", "T"]}, index=pd.Index([3, 8], name="id"))
    panel = Panel((Channel("Dy161", "CD20"),))
    made = Sample("001", image, panel, 1.0, masks={"truth": labels}, truth=truth)
    write_cohort(tmp_path / "cohort", [made])
    cohort = Cohort(tmp_path / "cohort")
    found = true_profiles(cohort)
    assert found.to_dict("index") == {
        ("001", 3): {"CD20": 2.0, "type": "B"},
        ("001", 8): {"CD20": 5.0, "type": "T"},
    }
    assert cell_profiles(cohort, {"001": labels}).columns.tolist() == ["CD20"]
