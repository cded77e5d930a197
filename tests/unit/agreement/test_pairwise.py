"""Agreement on a cohort small enough to score by hand."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.agreement.pairwise import COLUMNS, agreement_matrix, mean_agreement, pairwise
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError

PANEL = Panel((Channel("Ir191", "DNA1", "nucleus"),))
SHAPE = (8, 12)


def mask(*cells):
    labels = np.zeros(SHAPE, np.uint32)
    for i, (rows, columns) in enumerate(cells, 1):
        labels[rows, columns] = i
    return labels


LEFT, LEFT_HALF = (slice(2, 6), slice(2, 6)), (slice(2, 6), slice(2, 4))
RIGHT = (slice(2, 6), slice(8, 10))


@pytest.fixture
def cohort(tmp_path):
    image = np.zeros((1, *SHAPE), np.float32)
    samples = [
        Sample(
            "s1", image, PANEL, 1.0, {"a": mask(LEFT, RIGHT), "b": mask(LEFT), "c": mask(LEFT_HALF)}
        ),
        Sample("s2", image, PANEL, 1.0, {"a": mask(LEFT), "b": mask(LEFT)}),
        Sample("s3", image, PANEL, 1.0, {"a": mask(), "b": mask()}),
    ]
    write_cohort(tmp_path / "toy", samples)
    return Cohort(tmp_path / "toy")


def test_every_pair_on_every_sample_that_both_have_labelled(cohort):
    table = pairwise(cohort)
    assert tuple(table.columns) == COLUMNS
    assert (table["mode"] == "whole").all(), "the images are too small for windows of 256 px"
    pairs = table[["sample", "annotator_true", "annotator_pred"]].apply(tuple, axis=1).tolist()
    assert pairs == [
        ("s1", "a", "b"), ("s1", "a", "c"), ("s1", "b", "c"), ("s2", "a", "b"), ("s3", "a", "b"),
    ]  # fmt: skip
    first = table.iloc[0]
    assert (first["n_true"], first["n_pred"]) == (2, 1)
    assert first["ap50"] == 1 / 2, "one pair, one cell alone"
    assert table.iloc[2]["ap50"] == 1, "IoU 8/16 is at least one half"
    assert table.iloc[4]["ap50"] == 1, "both empty"


def test_the_strict_rule_reaches_the_scores(cohort):
    assert pairwise(cohort, strict=True).iloc[2]["ap50"] == 0


def test_patches_are_scored_without_their_border(cohort):
    # Windows of 8 px at x = 0 and 4, of which the middle 4 px are scored: x 2 … 5 and 6 … 9.
    table = pairwise(cohort, window_px=8, stride_px=4, border_px=2)
    patches = table[(table["mode"] == "patch") & (table["sample"] == "s1")]
    ab = patches[patches["annotator_pred"] == "b"]
    assert ab["patch"].tolist() == [0, 1]
    assert ab["n_true"].tolist() == [1, 1]
    assert ab["n_pred"].tolist() == [1, 0]
    assert ab["ap50"].tolist() == [1, 0]


def test_the_matrix_holds_means_over_samples_and_is_symmetric(cohort):
    matrix = agreement_matrix(pairwise(cohort), "ap50", "whole")
    assert list(matrix.index) == list(matrix.columns) == ["a", "b", "c"]
    assert matrix.loc["a", "b"] == matrix.loc["b", "a"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert np.isnan(np.diag(matrix)).all()


def test_the_overall_mean_counts_every_pair_once(cohort):
    means = mean_agreement(pairwise(cohort)).iloc[0]
    per_pair = [(1 / 2 + 1 + 1) / 3, 1 / 2, 1]
    assert means["ap50"] == pytest.approx(np.mean(per_pair))
    assert (means["pairs"], means["scored"], means["both_empty"]) == (3, 5, 1)


def test_means_of_several_cohorts_and_modes_stay_apart(cohort):
    one = pairwise(cohort, window_px=8, stride_px=4, border_px=2)
    means = mean_agreement(pd.concat([one, one.assign(cohort="other")]))
    assert means[["cohort", "mode"]].apply(tuple, axis=1).tolist() == [
        ("toy", "whole"), ("toy", "patch"), ("other", "whole"), ("other", "patch"),
    ]  # fmt: skip


def test_one_annotator_agrees_with_nobody(tmp_path):
    image = np.zeros((1, *SHAPE), np.float32)
    write_cohort(tmp_path / "one", [Sample("s", image, PANEL, 1.0, {"a": mask(LEFT)})])
    with pytest.raises(InputError, match="two annotators or more, found a"):
        pairwise(Cohort(tmp_path / "one"))
