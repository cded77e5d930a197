"""Intervals against SciPy, against sums by hand, and against simulated studies."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.agreement.intervals import (
    bootstrap_means,
    bootstrap_ratios,
    count_images,
    coverage,
    grouped_intervals,
    interval,
    mean_intervals,
    paired_differences,
    resample_images,
)
from imc_helpers.errors import InputError


def test_every_draw_takes_as_many_images_and_whole_images_at_a_time():
    images = ["a", "b", "b", "c", "c", "c"]
    drawn = resample_images(images, draws=500, seed=1)
    assert drawn.shape == (500, 6)
    per_image = pd.DataFrame(drawn.T).groupby(images).sum()
    times = per_image.div([1, 2, 3], axis=0)
    assert (times == times.round()).all(axis=None), "as many patches as the image has, each time"
    assert (times.sum() == 3).all(), "as many images as there are"
    assert (drawn[:, 1] != drawn[:, 2]).any(), "patches within an image are drawn too"


def test_patches_are_drawn_equally_often_wherever_they_stand():
    drawn = resample_images(["b", "a", "b", "a", "b"], draws=20_000, seed=2)
    assert drawn.mean(axis=0) == pytest.approx(np.ones(5), abs=0.03)


def test_draws_repeat_and_do_not_depend_on_how_many_fit_into_memory(monkeypatch):
    images = np.repeat(np.arange(5), 4)
    whole = resample_images(images, draws=50, seed=3)
    assert (whole == resample_images(images, draws=50, seed=3)).all()
    assert (whole != resample_images(images, draws=50, seed=4)).any()
    monkeypatch.setattr("imc_helpers.agreement.intervals._MOST_NUMBERS", 100)
    few = resample_images(images, draws=2000, seed=3)
    assert few.mean(axis=0) == pytest.approx(np.ones(20), abs=0.15)
    assert (few.sum(axis=1) == 20).all()


@pytest.mark.parametrize("images", [[], ["a", None]])
def test_an_image_that_is_missing_is_refused(images):
    with pytest.raises(InputError, match="images: expected the image of each patch"):
        resample_images(images)


def test_with_one_patch_an_image_the_interval_is_the_classical_one():
    values = pd.DataFrame({"m": [0.1, 0.4, 0.5, 0.9]})
    found = mean_intervals(values, list("abcd"), draws=200_000).loc["m"]
    low, high = stats.t.interval(0.95, 3, loc=values["m"].mean(), scale=stats.sem(values["m"]))
    assert found["mean"] == pytest.approx(0.475)
    assert found["low"] == pytest.approx(low, abs=0.01)
    assert found["high"] == pytest.approx(high, abs=0.01)
    assert found["images"] == 4


def test_one_image_has_no_interval():
    found = mean_intervals(pd.DataFrame({"m": [0.1, 0.9]}), ["a", "a"]).loc["m"]
    assert found["mean"] == 0.5
    assert np.isnan([found["low"], found["high"]]).all()


def test_missing_values_count_nowhere():
    values = pd.DataFrame({"m": [0.2, 0.4, np.nan], "n": [0.2, 0.4, 0.9]})
    found = mean_intervals(values, ["a", "b", "c"])
    assert found.loc["m", "mean"] == pytest.approx(0.3)
    assert found["images"].tolist() == [2, 3]
    assert count_images(values, ["a", "a", "c"]).tolist() == [1, 2]


def test_a_ratio_is_of_sums():
    found, of_one = pd.DataFrame({"r": [1.0, 9.0]}), pd.DataFrame({"r": [10.0, 10.0]})
    estimate, replicates = bootstrap_ratios(found, of_one, ["a", "b"], draws=4000, seed=0)
    assert estimate == pytest.approx([0.5])
    values, counts = np.unique(replicates.round(6), return_counts=True)
    assert values.tolist() == [0.1, 0.5, 0.9], "both times a, one of each, both times b"
    assert counts / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_replicates_without_a_value_are_left_out_of_the_interval():
    replicates = np.array([[0.1], [np.nan], [0.3]])
    low, high = interval([0.2], replicates, [2])
    half = stats.t.ppf(0.975, 1) * np.std([0.1, 0.3], ddof=1) * np.sqrt(2)
    assert (low[0], high[0]) == (pytest.approx(0.2 - half), pytest.approx(0.2 + half))


def test_replicates_of_one_value_or_none_have_no_interval():
    replicates = np.array([[np.nan, 0.1], [np.nan, np.nan]])
    assert np.isnan(interval([np.nan, 0.1], replicates, [2, 2])).all()


def test_groups_keep_their_order_and_their_images_apart():
    rows = pd.DataFrame(
        {
            "how": ["y"] * 3 + ["x"] * 3,
            "share": [0.5] * 6,
            "sample": list("abc") * 2,
            "m": [1.0, 2, 3, 2, 2, 2],
        }
    )
    found = grouped_intervals(rows, ["how", "share"], {"m": "Score"})
    assert found.columns.tolist() == ["how", "share", "score", "mean", "low", "high", "images"]
    assert found["how"].tolist() == ["y", "x"]
    assert found["score"].eq("Score").all()
    alone = mean_intervals(rows.loc[:2, ["m"]], rows.loc[:2, "sample"]).loc["m"]
    assert found.loc[0, ["mean", "low", "high"]].tolist() == alone[["mean", "low", "high"]].tolist()
    assert found.loc[1, ["mean", "low", "high"]].tolist() == [2, 2, 2], "images that do not differ"
    assert found["images"].tolist() == [3, 3]
    by_how = grouped_intervals(rows, ["share"], {"m": "Score"}, images="how")
    assert by_how["images"].tolist() == [2]


def test_a_difference_is_paired():
    hard = np.linspace(0, 0.8, 9)
    values = pd.DataFrame({"base": hard, "better": hard + 0.1})
    found = paired_differences(values, range(9), "base").loc["better"]
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((0.1, 0.1, 0.1))
    apart = mean_intervals(values, range(9))
    assert (apart["high"] - apart["low"] > 0.3).all(), "alone, each is unsure"
    with pytest.raises(InputError, match="baseline 'none': expected one of base, better"):
        paired_differences(values, range(9), "none")


def test_means_weigh_every_patch_the_same():
    values = pd.DataFrame({"m": [0.0, 1.0, 1.0, 1.0]})
    means, replicates = bootstrap_means(values, ["a", "b", "b", "b"], draws=100)
    assert means == pytest.approx([0.75])
    assert set(np.unique(replicates)) <= {0.0, 0.75, 1.0}


@pytest.mark.parametrize(("n_images", "n_patches"), [(4, 1), (4, 9), (10, 9), (30, 4)])
def test_intervals_cover_as_promised_where_others_do_not(n_images, n_patches):
    found = coverage(n_images, n_patches, trials=1500, draws=600, seed=8)
    # Four standard errors of a share of .95 in 1500 studies are .023.
    assert found["bootstrap over images, widened"] > 0.925
    if n_images == 4:
        assert found["bootstrap over images, percentiles"] < 0.88
    if n_patches > 1:
        assert found["patches as independent"] < 0.85


def test_where_images_do_not_differ_the_interval_is_wide_rather_than_narrow():
    found = coverage(5, 9, between=0, trials=800, draws=600)
    assert found["bootstrap over images, widened"] > 0.95
