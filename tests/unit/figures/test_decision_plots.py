"""What the plots of the decisions draw, and where."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from imc_helpers.figures import decision_plots
from imc_helpers.figures.page import PHONE, WIDE


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def spans(axis, width):
    return [
        tuple(map(float, line.get_xdata())) for line in axis.lines if line.get_linewidth() == width
    ]


def test_an_interval_is_cut_where_no_score_lies_and_missing_where_it_is():
    row = {
        "cohort": "toy", "metric": "ap50", "mean": 0.7, "low_images": 0.6, "high_images": 0.8,
        "low_both": np.nan, "high_both": np.nan,
    }  # fmt: skip
    table = pd.DataFrame([row, row | {"metric": "map", "low_both": -0.1, "high_both": 1.2}])
    images = {("toy", metric): np.array([0.65, 0.75]) for metric in ("ap50", "map")}
    (axis,) = decision_plots.agreement_intervals(table, images, width=WIDE).axes
    assert spans(axis, 7) == [(0.6, 0.8), (0.6, 0.8)]
    both = spans(axis, 3)
    assert np.isnan(both[0]).all()
    assert both[1] == (0, 1)


def test_a_bar_covers_the_ranks_and_one_rank_is_one_place():
    table = pd.DataFrame(
        {"cohort": "toy", "model": ["m", "n", "o"], "first": [1, 2, 2], "last": [1, 3, 3]}
    )
    (axis,) = decision_plots.rank_bars(table, width=PHONE).axes
    assert spans(axis, 8) == [(0.6, 1.4), (1.6, 3.4), (1.6, 3.4)]


def test_shares_follow_one_another_and_large_ones_bear_their_number():
    table = pd.DataFrame({"one": [0.875], "two": [0.125]}, index=["row"])
    colours = {"one": "#111111", "two": "#222222"}
    (axis,) = decision_plots.share_bars({"toy": table}, colours, width=WIDE).axes
    assert [(bar.get_x(), bar.get_width()) for bar in axis.patches] == [(0, 0.875), (0.875, 0.125)]
    assert [text.get_text() for text in axis.texts] == ["88%", "12%"]


def test_the_plan_stands_on_the_curve_of_its_question():
    table = pd.DataFrame(
        {"question": q, "people": n, "images": i, "half_width": 1 / i}
        for q in ("a", "b")
        for n in (3, 4)
        for i in (2, 4)
    )
    first, second = decision_plots.planned_widths(
        table, {"a": 0.3, "b": 0.1}, {"a": (4, 0.25)}, width=WIDE
    ).axes
    dots = [
        [
            (line.get_xdata()[0], line.get_ydata()[0])
            for line in axis.lines
            if line.get_marker() == "o"
        ]
        for axis in (first, second)
    ]
    assert dots == [[(4, 0.25)], []]
