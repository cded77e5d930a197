"""Drawings beside what software extends from them: tables small enough to check by hand."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.agreement.hand_drawn import (
    DRAWN,
    EXTENDED,
    OWN,
    crop_means,
    crop_scores,
    what_extending_adds,
)
from imc_helpers.agreement.score_table import METRICS
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.patching import Window

PANEL = Panel((Channel("Ir191", "DNA1", "nucleus"),))
CROPS = (Window(0, 0, 4), Window(4, 4, 4))


def mask(*cells):
    """Return an image of 8 x 8 px with cells of 2 x 2 px, each in a place of its own."""
    labels = np.zeros((8, 8), np.uint32)
    for number, (y, x) in enumerate(cells, start=1):
        labels[y : y + 2, x : x + 2] = number
    return labels


@pytest.fixture
def cohort(tmp_path):
    """Two people who draw alike, and whose software does not."""

    def make(names=("ann1", "ann2")):
        drawn = {name: mask((0, 0), (5, 5)) for name in names}
        masks = dict(zip(names, (mask((0, 0), (5, 5)), mask((0, 0), (2, 2))), strict=False))
        samples = [
            Sample(name, np.zeros((1, 8, 8), np.float32), PANEL, 1.0, masks, {}, drawn, CROPS)
            for name in ("a", "b")
        ]
        samples.append(Sample("c", samples[0].image, PANEL, 1.0, masks))
        write_cohort(tmp_path / "cohort", samples, overwrite=True)
        return Cohort(tmp_path / "cohort", raters=names)

    return make


def test_each_crop_is_scored_by_itself(cohort):
    scores = crop_scores(cohort())
    assert set(scores["sample"]) == {"a", "b"}, "nobody drew in c"
    ap50 = scores.set_index(["sample", "comparison", "y", "second"])["ap50"]
    for sample in ("a", "b"):
        assert ap50[sample, DRAWN, 0, "ann2"] == ap50[sample, DRAWN, 4, "ann2"] == 1
        # In the first crop one of two software masks has a second cell, in the other none.
        assert ap50[sample, EXTENDED, 0, "ann2"] == 1 / 2
        assert ap50[sample, EXTENDED, 4, "ann2"] == 0
        assert ap50[sample, OWN, 0, "ann1"] == ap50[sample, OWN, 4, "ann1"] == 1
        assert ap50[sample, OWN, 0, "ann2"] == 1 / 2


def test_means_and_what_extending_adds(cohort):
    scores = crop_scores(cohort())
    means = crop_means(scores)["mean"]
    assert means[DRAWN] == 1
    assert means[EXTENDED] == 1 / 4
    assert means[OWN] == (1 + (1 / 2 + 0) / 2) / 2
    change = what_extending_adds(scores)
    assert change["mean"] == -3 / 4
    assert change["low"] <= -3 / 4 <= change["high"]
    assert change["images"] == 2


def test_one_annotator_is_compared_with_the_software_alone(cohort):
    scores = crop_scores(cohort(("ann1",)))
    assert set(scores["comparison"]) == {OWN}
    assert crop_means(scores)["mean"].to_dict() == {OWN: 1}


def test_a_cohort_without_drawings_has_an_empty_table(cohort):
    whole = cohort()
    (whole.folder / "crops.csv").unlink()
    scores = crop_scores(Cohort(whole.folder))
    assert isinstance(scores, pd.DataFrame)
    assert scores.empty
    assert set(METRICS) <= set(scores.columns)
