"""What the figures of sweeps draw."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from imc_helpers.figures.page import BLUE, PHONE, VERMILION, WIDE
from imc_helpers.figures.sweep_plots import best_and_worst_choices, choice_dots, choice_lines

TABLE = pd.DataFrame(
    {
        "model": ["m", "m", "m", "n"],
        "choice": ["b", "a_c", "d", "d"],
        "line": ["x", "x", "x", "x"],
        "mean": [0.1, -0.2, 0.3, 0.3],
        "low": [0.0, -0.3, 0.2, 0.2],
        "high": [0.2, -0.1, 0.4, 0.4],
    }
)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def names(axis):
    return [text.get_text() for text in axis.get_yticklabels()]


def dots(axis):
    return [line for line in axis.lines if line.get_marker() == "o"]


def test_choices_stand_best_first_and_the_two_ends_have_colour_and_number():
    figure = choice_dots(TABLE, "choice", label="ap50", width=WIDE)
    first, second = figure.axes
    assert first.yaxis_inverted()
    assert names(first) == ["d", "b", "a c"]
    assert names(second) == ["d"], "each model has its own choices"
    assert [dot.get_xdata()[0] for dot in dots(first)] == [0.3, 0.1, -0.2]
    colours = [dot.get_color() for dot in dots(first)]
    assert (colours[0], colours[-1]) == (BLUE, VERMILION)
    assert colours[1] not in (BLUE, VERMILION)
    bars = [list(line.get_xdata()) for line in first.lines if line.get_linewidth() == 2]
    assert bars == [[0.2, 0.4], [0.0, 0.2], [-0.3, -0.1]]
    assert [text.get_text() for text in first.texts] == ["+0.300", "−0.200"]
    assert figure.get_supxlabel() == "ap50"


def test_best_against_worst_by_name_under_their_question():
    summary = pd.DataFrame(
        {"question": "scale", "model": "m", "which": w, "choice": c, "mean": x, "low": x, "high": x}
        for w, c, x in (("best", "twice", 0.2), ("worst", "four_times", -0.1))
    )
    (axis,) = best_and_worst_choices(summary, label="ap50", width=PHONE).axes
    assert names(axis) == ["twice", "four times"]
    assert [dot.get_color() for dot in dots(axis)] == [BLUE, VERMILION]
    assert [text.get_text() for text in axis.texts] == ["scale", "+0.200", "−0.100"]


def test_lines_along_an_ordered_choice():
    options = {"xlabel": "choice", "ylabel": "share"}
    figure = choice_lines(TABLE, "choice", "line", width=WIDE, **options)
    first, second = figure.axes
    assert [text.get_text() for text in first.get_xticklabels()] == ["b", "a_c", "d"]
    assert first.lines[0].get_xydata().tolist() == [[0, 0.1], [1, -0.2], [2, 0.3]]
    assert second.lines[0].get_xydata().tolist() == [[2, 0.3]]
    (bars,) = first.collections
    assert bars.get_segments()[0][:, 1].tolist() == [0.0, 0.2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x"]
