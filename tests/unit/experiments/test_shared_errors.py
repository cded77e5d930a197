"""What the truth scores with annotators, and what they score with one another."""

import numpy as np
import pytest

from imc_helpers.agreement.score_table import score_cohort
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.experiments.shared_errors import copies, mean_scores
from imc_helpers.metrics import evaluate

PANEL = Panel((Channel("Ir191", "DNA1", "nucleus"),))


def cells(*ids):
    labels = np.zeros((6, 8), np.uint32)
    for i in ids:
        labels[2 * (i // 4) : 2 * (i // 4) + 2, 2 * (i % 4) : 2 * (i % 4) + 2] = i + 1
    return labels


# The truth has 8 cells, "few" the first 4 of them, "some" the first 6.
MASKS = {"few": cells(*range(4)), "some": cells(*range(6)), "truth": cells(*range(8))}


def sample(name="s", masks=MASKS):
    return Sample(name, np.zeros((1, 6, 8), np.float32), PANEL, 1.0, masks)


def test_means_of_annotators_and_of_the_truth():
    means = mean_scores([sample()]).set_index("who")["ap50"]
    assert means["annotators"] == pytest.approx(4 / 6)
    assert means["truth"] == pytest.approx((4 / 8 + 6 / 8) / 2)
    more = mean_scores([sample(), sample(masks={**MASKS, "few": MASKS["some"]})])
    assert more.set_index("who").loc["annotators", "ap50"] == pytest.approx((4 / 6 + 1) / 2)


def test_what_a_copy_scores(tmp_path):
    write_cohort(tmp_path / "toy", [sample("s1"), sample("s2")])
    raters = [Rater("few"), Rater("some"), Rater("truth", "truth")]
    cohort = Cohort(tmp_path / "toy", raters=raters)
    found = copies(score_cohort(cohort), cohort).set_index("masks of")
    assert found["cells"].tolist() == [8, 12, 16]
    assert found["with the truth"].tolist()[:2] == [4 / 8, 6 / 8]
    assert found["with the other annotators"].tolist()[:2] == pytest.approx([4 / 6, 4 / 6])
    assert found["a copy, with all annotators"].tolist() == pytest.approx(
        [(1 + 4 / 6) / 2, (1 + 4 / 6) / 2, (4 / 8 + 6 / 8) / 2]
    )
    assert evaluate(MASKS["truth"], MASKS["few"]).ap50 == 4 / 8
