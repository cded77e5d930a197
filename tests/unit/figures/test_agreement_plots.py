"""What the plots of agreement draw."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from imc_helpers.figures.agreement_plots import agreement_matrices
from imc_helpers.figures.page import PHONE, WIDE


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def pairs(scores):
    """Rows of pairs: {(rater, other): ap50}."""
    return pd.DataFrame(
        {"cohort": "toy", "mode": "whole", "rater_true": a, "rater_pred": b}
        | {"ap50": score, "map": score / 2, "sap": score / 4}
        for (a, b), score in scores.items()
    )


def numbers(axis):
    return [t.get_text() for t in axis.texts if t.get_text().replace(".", "").isdigit()]


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_every_pair_stands_once_below_the_diagonal(width):
    three = pairs({("a", "b"): 0.8, ("a", "c"): 0.6, ("b", "c"): 0.4})
    figure = agreement_matrices(three, width=width)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["ap50", "map", "sap"]
    ap50 = figure.axes[0]
    assert numbers(ap50) == ["0.80", "0.60", "0.40"]
    places = {t.get_text(): t.get_position() for t in ap50.texts}
    assert (places["0.80"], places["0.60"], places["0.40"]) == ((0, 0), (0, 1), (1, 1))
    assert [t.get_text() for t in ap50.get_yticklabels()] == ["b", "c"], "rows"
    assert places["a"][0] < places["b"][0], "a name above each column"
    assert figure.subfigs[0].get_suptitle() == "toy, whole images"


def test_a_single_pair_is_a_row_with_a_cell_for_each_metric():
    figure = agreement_matrices(pairs({("a", "b"): 0.8}), width=PHONE)
    (axis,) = figure.axes
    assert numbers(axis) == ["0.80", "0.40", "0.20"]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["ap50", "map", "sap"]
    assert figure.subfigs[0].get_suptitle() == "toy, whole images: a and b"
