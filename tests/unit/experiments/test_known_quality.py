"""Candidates of known quality: what they are, and what a trial of them must find."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.agreement.score_table import score_cohort
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.experiments.known_quality import (
    known_candidates,
    merge_cells,
    shrink_cells,
    trial,
    verdicts,
)
from imc_helpers.images.imperfect_masks import drop_cells
from imc_helpers.metrics import evaluate

TRUTH = Rater("truth", "truth")
PANEL = Panel((Channel("Ir191", "DNA1", "nucleus"),))


def tiles(side=6, n=5):
    """A grid of touching square cells, (side * n) pixels square."""
    ids = np.arange(1, n * n + 1, dtype=np.uint32).reshape(n, n)
    return ids.repeat(side, axis=0).repeat(side, axis=1)


def count(labels):
    return len(np.unique(labels[labels > 0]))


def test_merged_cells_are_pairs_of_neighbours():
    cells = tiles()
    merged = merge_cells(cells, 0.4)
    assert count(merged) == 25 - 5, "ten cells in five pairs"
    assert ((merged > 0) == (cells > 0)).all()
    areas = np.bincount(merged.ravel())[1:]
    assert sorted(set(areas) - {0}) == [36, 72]
    # A pair counts as one error at IoU > .5, and at 1/2 one of its two cells still matches.
    assert evaluate(cells, merged, strict=True).ap50 == pytest.approx(15 / (25 + 20 - 15))


def test_cells_without_a_neighbour_are_not_merged():
    apart = np.zeros((5, 5), np.uint32)
    apart[0, 0], apart[4, 4] = 1, 2
    assert (merge_cells(apart, 1) == apart).all()
    assert not merge_cells(np.zeros((4, 4), np.uint32), 0.5).any()


def test_shrunk_cells_lose_layers_until_they_vanish():
    cells = np.zeros((10, 10), np.uint32)
    cells[2:8, 2:8] = 3
    assert (shrink_cells(cells, 0) == cells).all()
    assert np.argwhere(shrink_cells(cells, 1)).min() == 3
    assert (shrink_cells(cells, 1) > 0).sum() == 16
    assert not shrink_cells(cells, 3).any()


def test_nothing_changes_its_input():
    cells = tiles()
    before = cells.copy()
    merge_cells(cells, 0.5)
    shrink_cells(cells, 1)
    assert (cells == before).all()


@pytest.fixture
def cohort(tmp_path):
    """Three annotators who miss the same fifth of the cells, and each a few more."""
    cells, image = tiles(6, 10), np.zeros((1, 60, 60), np.float32)
    samples = []
    for k in range(4):
        common = drop_cells(cells, 0.2, seed=100 + k)
        masks = {f"a{i}": drop_cells(common, 0.05, seed=10 * k + i) for i in range(3)}
        samples.append(Sample(f"s{k}", image, PANEL, 1.0, {"truth": cells, **masks}))
    write_cohort(tmp_path / "toy", samples)
    return Cohort(tmp_path / "toy", raters=["a0", "a1", "a2", TRUTH])


def test_known_candidates_are_what_they_are_called(cohort):
    made = known_candidates(cohort)
    truth = cohort.read_mask("s0", "truth")
    assert (made["the truth"]("s0") == truth).all()
    assert count(made["truth, 25% missing"]("s0")) == 75
    assert count(made["truth, 50% merged"]("s0")) == 75
    assert (made["copy of a1"]("s0") == cohort.read_mask("s0", "a1")).all()
    assert count(made["consensus"]("s0")) >= count(cohort.read_mask("s0", "a0"))


def test_the_trial_finds_what_shared_errors_hide(cohort):
    made = {name: known_candidates(cohort)[name] for name in ("the truth", "copy of a0")}
    found = trial(cohort, made).query("metric == 'ap50'").set_index("model")
    assert list(found.index) == [
        "the truth",
        "copy of a0",
        "a0, held out",
        "a1, held out",
        "a2, held out",
    ]
    perfect = found.loc["the truth"]
    assert perfect["model_score_truth"] == 1
    assert (perfect["decision"], perfect["decision_truth"]) == ("below", "above")
    assert perfect["outcome"] == "wrong"
    # Every annotator has 76 of 100 cells: .76 with the truth.
    assert perfect["annotator_score_truth"] == pytest.approx(0.76)
    assert perfect["model_score"] == pytest.approx(0.76)
    copy = found.loc["copy of a0"]
    assert copy["worst"] == "a0"
    assert copy["worst_difference"] == pytest.approx(0)
    assert (found.loc["a1, held out", ["decision", "decision_truth"]] == "within").all()


def test_the_trial_takes_the_loss_and_the_error_it_is_given(cohort):
    def uneven(sample):
        return drop_cells(cohort.read_mask(sample, "truth"), 0.1 * int(sample[1]))

    made = {"uneven": uneven}
    usual, generous = (
        trial(cohort, made, **options).set_index(["model", "metric"]).loc["uneven"]
        for options in ({}, {"loss": 0.5, "alpha": 0.25})
    )
    for ending in ("", "_truth"):
        assert (usual[f"margin{ending}"] < 0.2 * generous[f"margin{ending}"]).all()
        widths = [found[f"high{ending}"] - found[f"low{ending}"] for found in (usual, generous)]
        assert (widths[1] < 0.5 * widths[0]).all()


def test_of_two_annotators_neither_can_be_held_out(cohort):
    two = Cohort(cohort.folder, raters=["a0", "a1", TRUTH])
    found = trial(two, {"the truth": known_candidates(two)["the truth"]})
    assert set(found["model"]) == {"the truth"}


def test_the_trial_takes_scores_that_are_there_and_gives_the_same(cohort):
    made = {"the truth": known_candidates(cohort)["the truth"]}
    expected = trial(cohort, made)
    found = trial(cohort, made, scores=score_cohort(cohort))
    pd.testing.assert_frame_equal(found, expected)


def test_verdicts_are_counted_by_kind_of_candidate():
    rows = [
        ("the truth", "below", "above"),
        ("truth, 10% missing", "below", "below"),
        ("truth, 1 px shrunk", "undecided", "below"),
        ("copy of a", "above", "within"),
        ("consensus", "undecided", "undecided"),
        ("a, held out", "within", "within"),
        ("m", "within", "above"),
    ]
    outcomes = ["wrong", "right", "abstained", "wrong", "abstained", "right", "wrong"]
    tried = pd.DataFrame(rows, columns=["model", "decision", "decision_truth"])
    found = verdicts(tried.assign(outcome=outcomes), ["m"]).set_index("candidate")
    assert list(found) == ["tried", "right", "too harsh", "too kind", "abstained"]
    assert found.loc["the truth, whole or flawed"].tolist() == [3, 1, 1, 0, 1]
    assert found.loc["made of annotators' masks"].tolist() == [2, 0, 0, 1, 1]
    assert found.loc["an annotator, held out"].tolist() == [1, 1, 0, 0, 0]
    assert found.loc["a model"].tolist() == [1, 0, 1, 0, 0]
    assert "a model" not in set(verdicts(tried.assign(outcome=outcomes), [])["candidate"])
