"""Scores without a reference, judged by the truth."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.downstream.mask_errors import ERROR_RATES
from imc_helpers.downstream.reference_free import LeidenSettings
from imc_helpers.errors import InputError
from imc_helpers.experiments.without_truth import (
    AS_FOUND,
    EQUAL,
    FLAWS,
    SCORES,
    Tried,
    changes_by_flaw,
    mean_ranks,
    preferred_masks,
    rank_correlations,
    score_masks_alone,
    spoilt,
)
from imc_helpers.models.adapters.cellprofiler import find_nuclei
from imc_helpers.phantom.recipes import find_recipe, make_sample


def test_every_flaw_is_worse_by_the_truth_the_more_there_is_of_it():
    sample = make_sample(find_recipe("phantom_lymphoid"), (90, 90), 3, "tissue")
    true = sample.masks["truth"]
    nuclei = find_nuclei(sample.image[:2].mean(axis=0), 4.0)
    masks = [Tried("truth", true, "truth"), *spoilt(true)]
    no_graph = LeidenSettings(neighbours=10_000)  # clusters are tested elsewhere, and take long
    table = score_masks_alone(sample.image, masks, nuclei, 1.0, settings=no_graph)
    assert set(table["kind"]) == {"truth", *FLAWS}
    as_found = table[table["numbers"] == AS_FOUND].set_index("mask")
    for flaw in FLAWS:
        falling = as_found[as_found["kind"] == flaw].sort_values("amount")["map"]
        assert falling.is_monotonic_decreasing, flaw
    assert (as_found.loc["truth", [*ERROR_RATES]] == 0).all()
    assert as_found.loc["truth, 50% merged", "doublets"] > 0.25
    changes = changes_by_flaw(table.assign(sample="s"), ["map", "NC"])
    assert (changes[changes["amount"] == 0][["map", "NC"]] == 0).all(axis=None)
    assert (changes[changes["amount"] > 0]["map"] < 0).all()
    equal = table[table["numbers"] == EQUAL]
    assert (equal["cells"] == as_found["cells"].min()).all()
    with pytest.raises(InputError, match="two or more to compare, found 1"):
        score_masks_alone(sample.image, masks[:1], nuclei, 1.0)


def masks(**scores):
    rows = pd.DataFrame({"map": [1.0, 0.6, 0.3, 0.1], "mask": list("tabc")})
    rows["kind"] = ["truth", "people", "model", "model"]
    return rows.assign(sample="s", numbers=AS_FOUND, **dict.fromkeys(SCORES, 0.5) | scores)


def test_a_score_that_agrees_one_that_errs_and_one_that_says_nothing():
    table = masks(silhouette=[4, 3, 2, 1], davies_bouldin=[3, 2, 4, 1], NC=[1, np.nan, 2, 3])
    found = rank_correlations(table).set_index("score")
    assert found.loc["silhouette", "rho"] == pytest.approx(1)
    assert found.loc["silhouette", "above"] == 0
    # Less is better: c, a, t, b by Davies-Bouldin.
    assert found.loc["davies_bouldin", "rho"] == pytest.approx(-0.4)
    assert found.loc["davies_bouldin", "above"] == 2
    assert found.loc["NC", "others"] == 2
    assert found.loc["NC", "rho"] == pytest.approx(-1)
    assert np.isnan(found.loc["FCF", "rho"])


def test_means_over_images_leave_out_what_says_nothing():
    rows = [masks(silhouette=[4, 3, 2, 1]), masks(silhouette=[4, 2, 3, 1]).assign(sample="other")]
    found = mean_ranks(rank_correlations(pd.concat(rows)))
    assert found["score"].tolist() == ["silhouette"]
    assert found["mean"].iloc[0] == pytest.approx((1 + 0.8) / 2)
    assert found["images"].iloc[0] == 2


def test_a_mask_is_preferred_only_where_every_image_has_its_score():
    rows = [
        {"sample": s, "mask": m, "davies_bouldin": d, "silhouette": a, "calinski_harabasz": np.nan}
        for s, m, d, a in (
            ("s", "a", 1.0, 0.2),
            ("t", "a", 3.0, 0.4),
            ("s", "b", 1.5, 0.9),
            ("t", "b", 2.0, np.nan),
            ("s", "c", 0.1, 0.3),
        )
    ]
    found = preferred_masks(pd.DataFrame(rows))
    # c has one image alone; less is better. In silhouette a would be preferred to nothing.
    assert found == {"davies_bouldin": "b"}
