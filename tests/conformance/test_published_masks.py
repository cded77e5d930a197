"""The nine masks that were published with the CODEX tile, as models."""

import numpy as np
import pytest

from imc_helpers.data.readers.published import open_cohort
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters.own_masks import published_labels

pytestmark = pytest.mark.mirror

TILE = "R001_X003_Y004"
CELLS = {
    "cse_cellpose_0_0_3": 2686,
    "cse_cellpose_0_6": 2850,
    "cse_deepcell_0_6": 2357,
    "cse_deepcell_0_9": 2745,
    "cse_cellprofiler": 916,
    "cse_cellx": 414,
    "cse_cellsegm": 26,
    "cse_aics_classic": 685,
    "cse_voronoi": 683,
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMC_BOOK_ROOT", str(tmp_path_factory.mktemp("book")))
        yield open_cohort("codex_two_experts")


@pytest.fixture(scope="module")
def sample(cohort):
    return cohort.read(TILE)


@pytest.mark.parametrize(("key", "cells"), CELLS.items(), ids=list(CELLS))
def test_the_masks_that_were_published(cohort, key, cells):
    labels = published_labels(key, cohort, TILE)
    assert labels.shape == (1008, 1344) and labels.dtype == np.uint32
    assert len(np.unique(labels[labels > 0])) == cells


@pytest.mark.parametrize("key", [key for key in CELLS if key != "cse_voronoi"])
def test_the_masks_lie_on_the_image(cohort, sample, key):
    """Cells have more DNA than what is between them; turned or mirrored, they have not.

    A Voronoi diagram covers everything and cannot tell.
    """
    labels = published_labels(key, cohort, TILE)
    dna = sample.image[list(sample.panel.compartment("nucleus"))].mean(axis=0)

    def contrast(cells):
        return np.corrcoef(cells.ravel() > 0, dna.ravel())[0, 1]

    turned = [labels[::-1], labels[:, ::-1], labels[::-1, ::-1]]
    assert contrast(labels) > 2 * max(contrast(other) for other in turned)


@pytest.mark.parametrize("key", ["cse_cellpose_0_0_3", "cse_cellpose_0_6", "cse_deepcell_0_9"])
def test_good_models_find_what_the_experts_found(cohort, sample, key):
    labels = published_labels(key, cohort, TILE)
    for expert in ("expert1", "expert2"):
        assert evaluate(sample.masks[expert], labels).ap50 > 0.3


def test_deepcell_0_6_is_out_of_place(cohort, sample):
    """Published three rows and four columns off: put back, it agrees with the experts better."""
    labels = published_labels("cse_deepcell_0_6", cohort, TILE)
    back = np.roll(labels, (-3, -4), (0, 1))
    for expert in sample.masks.values():
        assert evaluate(expert, back).ap50 > 1.4 * evaluate(expert, labels).ap50
