"""What the figures of sweeps draw."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from imc_helpers.figures.sweep_plots import choice_dots, choice_lines, seen_and_found

TABLE = pd.DataFrame(
    {
        "model": ["m", "m", "n"],
        "choice": ["b", "a", "a"],
        "line": ["x", "x", "x"],
        "mean": [0.1, -0.2, 0.3],
        "low": [0.0, -0.3, 0.2],
        "high": [0.2, -0.1, 0.4],
    }
)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def bars(axis, *, across):
    (collection,) = axis.collections
    columns = (0, 1) if across else (1, 0)
    return [segment[:, columns].tolist() for segment in collection.get_segments()]


def test_a_dot_and_a_bar_for_every_choice_in_the_order_they_come():
    figure = choice_dots(TABLE, "choice", label="ap50", zero=True)
    first, second = figure.axes
    assert [text.get_text() for text in first.get_yticklabels()] == ["b", "a"]
    assert first.lines[0].get_xydata().tolist() == [[0.1, 0], [-0.2, 1]]
    assert second.lines[0].get_xydata().tolist() == [[0.3, 1]], "the model without b leaves it free"
    assert bars(first, across=True) == [[[0.0, 0], [0.2, 0]], [[-0.3, 1], [-0.1, 1]]]
    assert first.yaxis_inverted()
    assert first.lines[1].get_xdata() == [0, 0], "the line at 0"
    assert (first.get_title(), first.get_xlabel()) == ("m", "ap50")


def test_lines_along_an_ordered_choice():
    figure = choice_lines(TABLE, "choice", "line", xlabel="choice", ylabel="share")
    first, second = figure.axes
    assert [text.get_text() for text in first.get_xticklabels()] == ["b", "a"]
    assert first.lines[0].get_xydata().tolist() == [[0, 0.1], [1, -0.2]]
    assert second.lines[0].get_xydata().tolist() == [[1, 0.3]]
    assert bars(first, across=False) == [[[0.0, 0], [0.2, 0]], [[-0.3, 1], [-0.1, 1]]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x"]


def test_planes_beside_the_borders():
    labels = np.zeros((20, 20), int)
    labels[5:9, 5:9] = 1
    planes = {"one": np.arange(400.0).reshape(20, 20), "two": np.ones((20, 20))}
    figure = seen_and_found(planes, labels, labels, crop_px=10)
    images = [axis.images[0].get_array() for axis in figure.axes]
    assert [image.shape for image in images] == [(10, 10), (10, 10), (10, 10, 3)]
    assert images[2][5, 5].tolist() == [1, 1, 1], "both drew this border"
    assert not images[1].any(), "a constant plane is black"
