"""People who lost some of their cells, and what that costs them."""

import numpy as np
import pytest

from imc_helpers.agreement.weakened import SEEDS, weakened_scores
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError
from imc_helpers.images.imperfect_masks import drop_cells
from imc_helpers.metrics import evaluate


def tiles(side=4, n=10):
    """A grid of touching square cells, (side * n) pixels square."""
    ids = np.arange(1, n * n + 1, dtype=np.uint32).reshape(n, n)
    return ids.repeat(side, axis=0).repeat(side, axis=1)


@pytest.mark.parametrize(("share", "left"), [(0, 100), (0.2, 80), (0.5, 50), (1, 0)])
def test_dropped_cells_are_gone_and_the_others_untouched(share, left):
    cells = tiles()
    before = cells.copy()
    kept = drop_cells(cells, share)
    assert len(np.unique(kept[kept > 0])) == left
    assert (kept[kept > 0] == cells[kept > 0]).all()
    assert evaluate(cells, kept).ap50 == pytest.approx(left / 100)
    assert (cells == before).all(), "the input is not changed"


def test_a_larger_share_drops_the_same_cells_and_more():
    few, many = drop_cells(tiles(), 0.2), drop_cells(tiles(), 0.6)
    assert not many[few == 0].any()


@pytest.fixture
def cohort(tmp_path):
    """Three people and the truth; the second has not drawn the second image."""
    cells, image = tiles(), np.zeros((1, 40, 40), np.float32)
    masks = {"a": cells, "b": drop_cells(cells, 0.3, seed=11), "c": drop_cells(cells, 0.1, seed=12)}
    panel = Panel((Channel("Ir191", "DNA", "nucleus"),))
    samples = [
        Sample("s0", image, panel, 1.0, {"truth": cells, **masks}),
        Sample("s1", image, panel, 1.0, {"truth": cells, "a": cells, "c": masks["c"]}),
    ]
    write_cohort(tmp_path / "toy", samples)
    return Cohort(tmp_path / "toy", raters=["a", "b", "c", Rater("truth", "truth")])


def test_the_loss_costs_what_it_must(cohort):
    found = weakened_scores(cohort, loss=0.2, modes=["whole"])
    value = found.set_index(["sample", "rater_true", "rater_pred"])["ap50"]
    # a keeps 80 of 100 cells; of b's 70, on average 56 are among them, and c's 90 hold 72.
    expected = np.mean(
        [
            evaluate(cohort.read_mask("s0", "b"), drop_cells(tiles(), 0.2, seed)).ap50
            for seed in range(SEEDS)
        ]
    )
    assert value["s0", "b", "a"] == pytest.approx(expected)
    assert value["s0", "b", "a"] == pytest.approx(56 / (80 + 70 - 56), abs=0.05)
    assert value["s0", "c", "a"] == pytest.approx(72 / (80 + 90 - 72), abs=0.05)


def test_nobody_is_scored_against_herself_or_on_what_she_has_not_drawn(cohort):
    found = weakened_scores(cohort, modes=["whole"])
    pairs = set(zip(found["sample"], found["rater_true"], found["rater_pred"], strict=True))
    assert pairs == {
        *(("s0", one, two) for one in "abc" for two in "abc" if one != two),
        ("s1", "a", "c"),
        ("s1", "c", "a"),
    }


def test_the_truth_can_judge_too(cohort):
    found = weakened_scores(cohort, references=["truth"], modes=["whole"], loss=0.1)
    assert found[found["rater_pred"] == "a"]["ap50"].tolist() == pytest.approx([0.9, 0.9])


@pytest.mark.parametrize("loss", [0, 1, -0.1])
def test_a_loss_is_a_share(cohort, loss):
    with pytest.raises(InputError, match="loss: expected a share"):
        weakened_scores(cohort, loss=loss)
