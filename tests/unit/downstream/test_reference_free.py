"""Clusters of cells, and scores of them that need no reference."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.downstream.reference_free import (
    CLUSTER_SCORES,
    LeidenSettings,
    check_counts,
    cluster_scores,
    image_scores,
    leiden_clusters,
    paired_wilcoxon,
    standardised,
)
from imc_helpers.errors import InputError


def groups(apart, each=40, channels=4, seed=0):
    rng = np.random.default_rng(seed)
    centres = apart * np.eye(channels)[:3]
    return 20 + np.concatenate([rng.normal(c, 1, (each, channels)) for c in centres])


def test_scores_of_four_cells_by_hand():
    # Two clusters of two cells, 2 apart within and 10 between centres.
    features = np.array([[0.0, 0], [0, 2], [10, 0], [10, 2]])
    found = cluster_scores(features, [0, 0, 1, 1])
    assert found["davies_bouldin"] == pytest.approx((1 + 1) / 10)
    between, within = 4 * 25, 4 * 1
    assert found["calinski_harabasz"] == pytest.approx(between / 1 / (within / 2))
    other = (10 + np.hypot(10, 2)) / 2
    assert found["silhouette"] == pytest.approx((other - 2) / other)


@pytest.mark.parametrize("clusters", [[0, 0, 0], [0, 1, 2]])
def test_one_cluster_or_one_per_cell_has_no_score(clusters):
    assert np.isnan([*cluster_scores(np.eye(3), clusters).values()]).all()


def test_planted_groups_come_out_and_score_better_when_further_apart():
    near, far = (standardised(groups(apart)) for apart in (4, 12))
    (found,) = leiden_clusters(far, [0.1]).values()
    assert pd.crosstab(found, np.repeat(range(3), 40)).gt(0).sum().tolist() == [1, 1, 1]
    for score, better in CLUSTER_SCORES.items():
        one, two = (cluster_scores(x, np.repeat(range(3), 40))[score] for x in (near, far))
        assert better * (two - one) > 0, score


def test_the_same_seed_gives_the_same_clusters():
    features = standardised(groups(3))
    one, two = (leiden_clusters(features, [0.5])[0.5] for _ in range(2))
    assert (one == two).all()
    assert LeidenSettings().flavour == "igraph"


def test_scores_are_means_over_the_resolutions_with_several_clusters():
    means = groups(12)
    found = image_scores(means, (0.0001, 0.1))
    assert found["clusters"] == {0.0001: 3, 0.1: 3}, "the graph falls apart by itself"
    alone = image_scores(means, (0.1,))
    assert found["silhouette"] == pytest.approx(alone["silhouette"])


def test_fewer_cells_than_neighbours_are_one_cluster_without_a_score():
    found = image_scores(groups(5)[:10])
    assert set(found["clusters"].values()) == {1}
    assert np.isnan(found["silhouette"])
    assert np.isnan(image_scores(np.empty((0, 4)))["silhouette"])


def test_a_channel_without_any_count_is_no_nan():
    means = groups(5)
    means[:, 0] = 0
    assert (standardised(means)[:, 0] == 0).all()


@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_negative_and_missing_counts_are_refused(bad):
    means = groups(5)
    means[3, 1] = bad
    with pytest.raises(InputError, match="expected counts of 0 or more"):
        image_scores(means)
    with pytest.raises(InputError, match="one row per cell"):
        check_counts(means[0], "x")


def test_wilcoxon_as_scipy_has_it_and_holm_over_the_masks():
    rng = np.random.default_rng(0)
    scores = pd.DataFrame({"a": rng.normal(1, 1, 12), "b": rng.normal(0, 1, 12)})
    scores["c"] = scores["a"] + 1
    found = paired_wilcoxon(scores, "a").set_index("mask")
    own = stats.wilcoxon(scores["a"], scores["b"], alternative="greater").pvalue
    assert found.loc["b", "p"] == pytest.approx(own)
    assert found.loc["b", "p_holm"] == pytest.approx(min(1, 2 * own))
    assert found.loc["c", "difference"] == pytest.approx(-1)
    assert paired_wilcoxon(scores, "a", better=-1).set_index("mask").loc["c", "p"] < 0.001
    assert np.isnan(paired_wilcoxon(scores[:1], "a")["p"]).all()
    with pytest.raises(InputError, match="mask 'x'"):
        paired_wilcoxon(scores, "x")
