"""The figure that shows any sweep: what stands where."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from imc_helpers.figures.page import WIDE
from imc_helpers.figures.sweep_overview import against_parameters

TABLE = pd.DataFrame(
    {
        "model": ["b", "b", "a", "a"],
        "factor": [2, 1, 2, 1],
        "score": [0.1, 0.3, 0.5, 0.9],
    }
)


def test_each_parameter_has_a_panel_with_its_values_in_their_order_and_their_means():
    before = TABLE.copy()
    figure = against_parameters(TABLE, ["model", "factor"], "score", width=WIDE)
    models, factors = figure.axes
    assert [text.get_text() for text in models.get_yticklabels()] == ["b", "a"]
    assert [text.get_text() for text in factors.get_yticklabels()] == ["2", "1"]
    diamonds = [
        [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "D"]
        for axis in (models, factors)
    ]
    assert diamonds[0] == pytest.approx([0.2, 0.7])
    assert diamonds[1] == pytest.approx([0.3, 0.6])
    dots = [x for line in models.lines if line.get_marker() == "." for x in line.get_xdata()]
    assert dots == TABLE["score"].tolist()
    assert factors.get_xlabel() == "score"
    pd.testing.assert_frame_equal(TABLE, before)
    plt.close(figure)
