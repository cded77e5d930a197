"""Few labels and many predictions: by hand, against published formulas, and in simulated
studies."""

import numpy as np
import pytest
from scipy import stats

from imc_helpers.decisions.powered import draw_crops, powered_mean, powered_ratio, weighted_mean
from imc_helpers.errors import InputError


def test_the_estimate_by_hand():
    # Labels go up by 2 where predictions go up by 1; the labelled crops are 1 above the rest.
    found = powered_mean([1, 3, 5, 7], [0, 1, 2, 3], [0, 1, 2, 3, -1, -2, 0, 1])
    assert found.slope == pytest.approx(2)
    assert found.value == pytest.approx(4 - 2 * (1.5 - 0.5))
    assert found.high - found.low == pytest.approx(0), "on a line nothing is left to chance"


def test_without_a_slope_it_is_the_t_interval_of_the_labels():
    y, f = np.random.default_rng(0).random((2, 6))
    found = powered_mean(y, f, np.r_[f, 9, 9], slope=0)
    low, high = stats.t.interval(0.95, 5, loc=y.mean(), scale=stats.sem(y))
    assert found[:3] == pytest.approx((y.mean(), low, high))
    constant = powered_mean(y, np.full(6, 0.3), np.full(20, 0.3))
    assert constant.value == pytest.approx(y.mean()), "predictions that do not vary say nothing"


def test_the_published_estimate_at_the_same_slope():
    # Angelopoulos, Duchi and Zrnic 2023, equation 4, written out: what ppi-python 0.2.3 computes
    # (ppi_mean_pointestimate with lam), to 2e-15 in 1,000 random cases.
    rng = np.random.default_rng(1)
    for slope in (0.3, 1.0, -0.7):
        y, f, everywhere = rng.random(8), rng.random(8), rng.random(40)
        published = np.mean(slope * everywhere) + np.mean(y - slope * f)
        assert powered_mean(y, f, everywhere, slope=slope).value == pytest.approx(published)


def test_a_ratio_whose_prediction_is_perfect_is_the_ratio_of_all():
    rng = np.random.default_rng(2)
    under = rng.integers(20, 40, 50).astype(float)
    top = np.round(under * rng.uniform(0.2, 0.6, 50))
    chosen = slice(0, 10)
    found = powered_ratio(
        (top[chosen], under[chosen]), (top[chosen], under[chosen]), (top, under), slope=1
    )
    alone = top[chosen].sum() / under[chosen].sum()
    whole = top.sum() / under.sum()
    assert abs(found.value - whole) < 0.25 * abs(alone - whole), "but for the linearisation"
    fixed = powered_ratio((top[chosen],) * 2, (top[chosen],) * 2, (top, top))
    assert fixed.value == pytest.approx(1)


def test_crops_of_one_image_are_left_out_together():
    rng = np.random.default_rng(3)
    image = np.repeat(np.arange(6), 4)
    y = rng.standard_normal(6)[image] + 0.1 * rng.standard_normal(24)
    f = rng.standard_normal(24)
    widths = [np.diff(powered_mean(y, f, f, images=images)[1:3])[0] for images in (None, image)]
    assert widths[1] > 1.5 * widths[0]
    means = y.reshape(6, 4).mean(axis=1)
    found = powered_mean(y, f, f, images=image, slope=0)
    expected = stats.t.interval(0.95, 5, means.mean(), stats.sem(means))
    assert found[1:3] == pytest.approx(expected)


def test_what_is_refused():
    with pytest.raises(InputError, match="4 labelled crops or more, found 3"):
        powered_mean([1, 2, 3], [1, 2, 3], [1, 2, 3])
    with pytest.raises(InputError, match="4 images with labelled crops or more, found 2"):
        powered_mean([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], images=list("aabb"))
    with pytest.raises(InputError, match="one for each of 4 labels, found 3"):
        powered_mean([1, 2, 3, 4], [1, 2, 3], [1, 2, 3, 4])
    with pytest.raises(InputError, match="all crops, the 4 labelled"):
        powered_mean([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3])
    with pytest.raises(InputError, match="missing values"):
        powered_mean([1, 2, 3, np.nan], [1, 2, 3, 4], [1, 2, 3, 4])
    with pytest.raises(InputError, match="denominators"):
        powered_ratio(([0] * 4, [0] * 4), ([0] * 4, [1] * 4), ([0] * 4, [1] * 4))
    with pytest.raises(InputError, match="0 or more"):
        draw_crops([1, -1], 3)
    with pytest.raises(InputError, match="two crops"):
        weighted_mean([1], [1])


def test_intervals_cover_with_few_labels():
    # Short, so that it runs every time; benchmarks/results/decisions_labels.csv has 4,000 trials.
    rng = np.random.default_rng(4)
    for correlation in (0.3, 0.9):
        hits = []
        for _ in range(400):
            f = rng.standard_normal(400)
            y = correlation * f + np.sqrt(1 - correlation**2) * rng.standard_normal(400)
            drawn = rng.choice(400, 8, replace=False)
            found = powered_mean(y[drawn], f[drawn], f)
            hits.append(found.low <= y.mean() <= found.high)
        assert 0.925 <= np.mean(hits) <= 0.98


def test_drawn_crops_have_the_chances_they_say():
    drawn = draw_crops([0, 1, 3], 40_000, seed=5)
    expected = np.array([1 / 6, 1 / 6 + 1 / 8, 1 / 6 + 3 / 8])
    assert np.bincount(drawn["crop"]) / 40_000 == pytest.approx(expected, abs=0.01)
    assert drawn["chance"].to_numpy() == pytest.approx(expected[drawn["crop"]])
    assert drawn["weight"].max() == pytest.approx(2), "at most twice that of an even draw"
    assert (draw_crops([0, 0], 5)["weight"] == 1).all(), "nothing expected: an even draw"
    assert draw_crops([0, 1, 3], 9, seed=5)["crop"].equals(draw_crops([0, 1, 3], 9, seed=5)["crop"])


def test_weighted_means_are_unbiased_and_narrower_where_errors_were_foreseen():
    rng = np.random.default_rng(6)
    errors = rng.exponential(size=60)
    values = errors * rng.uniform(0.8, 1.2, 60)
    widths = {"even": [], "expected": []}
    means = []
    for trial in range(400):
        for name, guess in (("even", np.ones(60)), ("expected", errors)):
            drawn = draw_crops(guess, 12, seed=trial)
            mean, low, high = weighted_mean(values[drawn["crop"]], drawn["weight"])
            widths[name].append(high - low)
        means.append(mean)
    assert np.mean(means) == pytest.approx(values.mean(), abs=3 * np.std(means) / 20)
    assert np.mean(widths["expected"]) < 0.95 * np.mean(widths["even"])
