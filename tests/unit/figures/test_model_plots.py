"""What the plots of models draw: every mark where its number says."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import PathPatch

from imc_helpers.figures import model_plots
from imc_helpers.figures.page import BLUE, GREEN, VERMILION
from imc_helpers.metrics import contingency_table
from imc_helpers.metrics.error_types import mesmer_errors


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def scores(values, mode="whole", cohort="toy"):
    """Rows of scores: {(model, annotator): [score, ...]}."""
    return pd.DataFrame(
        {"cohort": cohort, "mode": mode, "rater_pred": m, "rater_true": a, "sample": k,
         "ap50": v, "map": v / 2, "sap": v / 4}
        for (m, a), several in values.items()
        for k, v in enumerate(several)
    )  # fmt: skip


def marks(axis, marker):
    return [
        (x, y)
        for line in axis.lines
        if line.get_marker() == marker
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def test_few_scores_are_dots_with_their_mean_in_the_row_of_the_model():
    table = scores({("m", "a"): [0.2, 0.4], ("m", "b"): [0.6], ("reference", "a"): [1.0]})
    figure = model_plots.score_distributions({"": table}, {"": [["m"], [], ["reference"]]})
    ap50, mean_ap, _ = figure.axes
    assert [tick.get_text() for tick in ap50.get_yticklabels()] == ["m", "reference"]
    dots = marks(ap50, "o")
    assert sorted(x for x, _ in dots) == [0.2, 0.4, 0.6, 1.0]
    assert {round(y) for x, y in dots if x < 1} == {0}
    rows = [y for x, y in dots if x < 1]
    assert rows[0] == rows[1] < rows[2], "an annotator a line"
    assert sorted(x for x, _ in marks(ap50, "D")) == pytest.approx([0.3, 0.6, 1.0])
    assert sorted(x for x, _ in marks(mean_ap, "o")) == [0.1, 0.2, 0.3, 0.5]


def test_many_scores_are_a_box_and_agreement_is_a_dashed_line():
    table = scores({("m", "a"): np.linspace(0, 1, 13)})
    line = {"ap50": 0.7, "map": 0.3, "sap": 0.5}
    figure = model_plots.score_distributions({"": table}, {"": [["m"]]}, lines={"": line})
    for axis, at in zip(figure.axes, line.values(), strict=True):
        (dashed,) = (one for one in axis.lines if one.get_linestyle() == "--")
        assert set(dashed.get_xdata()) == {at}
        (box,) = (patch for patch in axis.patches if isinstance(patch, PathPatch))
        half = {0: 1, 1: 2, 2: 4}[list(figure.axes).index(axis)]
        xs = box.get_path().vertices[:, 0]
        assert (xs.min(), xs.max()) == pytest.approx((0.25 / half, 0.75 / half))


def test_a_block_for_each_cohort_with_its_own_rows_and_colours():
    one, two = scores({("m", "a"): [0.2]}), scores({("n", "x"): [0.3]}, cohort="other")
    figure = model_plots.score_distributions({"t": one, "o": two}, {"t": [["m"]], "o": [["n"]]})
    assert len(figure.axes) == 6
    names = [[t.get_text() for t in figure.axes[k].get_yticklabels()] for k in (0, 3)]
    assert names == [["m"], ["n"]]
    texts = [[t.get_text() for t in part.legends[0].get_texts()] for part in figure.subfigs]
    assert texts == [["a"], ["x"]]


def equivalence(**changes):
    rows = [
        {"cohort": "toy", "model": "m", "left_out": "a", "difference": -0.2, "low": np.nan,
         "high": np.nan, "decision": "undecided"},
        {"cohort": "toy", "model": "m", "left_out": "mean", "difference": -0.1, "low": -0.15,
         "high": -0.06, "decision": "below"},
        {"cohort": "toy", "model": "n", "left_out": "mean", "difference": 0.01, "low": 0.0,
         "high": 0.02, "decision": "within"},
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**changes)


def test_differences_stand_with_their_interval_in_the_colour_of_the_decision():
    (axis,) = model_plots.equivalence_rows(equivalence(), 0.05).axes
    assert [t.get_text() for t in axis.get_yticklabels()] == ["m", "n"]
    assert marks(axis, "v") == [(-0.1, 0)]
    assert marks(axis, "o") == [(0.01, 1)]
    assert marks(axis, "|") == [(-0.2, 0)]
    spans = [one for one in axis.lines if len(one.get_xdata()) == 2 and one.get_linewidth() > 2]
    assert [list(one.get_xdata()) for one in spans] == [[-0.15, -0.06], [0.0, 0.02]]
    assert [one.get_color() for one in spans] == [VERMILION, GREEN]
    band = axis.patches[0].get_bbox()
    assert (band.x0, band.x1) == (-0.05, 0.05)


def test_rows_of_several_cohorts_name_them():
    both = pd.concat([equivalence(), equivalence(cohort="other")])
    (axis,) = model_plots.equivalence_rows(both, 0.05).axes
    assert [t.get_text() for t in axis.get_yticklabels()][-1] == "n\n(other)"
    assert marks(axis, "|") == [(-0.2, 0), (-0.2, 2)], "each with its own left out"


def test_the_trial_sets_the_verdicts_side_by_side():
    row = {
        "model": "the truth",
        "decision": "below",
        "difference": -0.1,
        "low": -0.2,
        "high": -0.06,
    }
    row |= {"decision_truth": "above", "difference_truth": 0.3, "low_truth": 0.2, "high_truth": 0.4}
    left, right = model_plots.trial_rows(pd.DataFrame([row]), 0.05).axes
    assert marks(left, "v") == [(-0.1, 0)]
    assert marks(right, "^") == [(0.3, 0)]


def test_cells_have_the_colour_of_what_became_of_them():
    true, pred = np.zeros((20, 20), np.uint32), np.zeros((20, 20), np.uint32)
    true[2:9, 2:9], true[12:19, 2:9] = 1, 2
    pred[2:9, 2:9], pred[12:19, 12:19] = 5, 6
    errors = mesmer_errors(contingency_table(true, pred))
    left = model_plots.colour_kinds(true, errors.true_ids, errors.true_kinds)
    assert left[5, 5] == pytest.approx(mpl.colors.to_rgb("#bbbbbb")), "matched"
    assert left[15, 5] == pytest.approx(mpl.colors.to_rgb(VERMILION)), "missed"
    assert left[15, 15] == pytest.approx((1, 1, 1)), "background"
    assert (left[2, 5] < left[5, 5]).all(), "borders are darker"
    right = model_plots.colour_kinds(pred, errors.pred_ids, errors.pred_kinds)
    assert right[15, 15] == pytest.approx(mpl.colors.to_rgb(GREEN)), "spurious"
    figure = model_plots.error_map(true, pred, errors, titles=("somebody", "model"))
    assert [axis.get_title() for axis in figure.axes] == ["somebody", "model"]


def test_bars_add_up_to_all_cells():
    shares = pd.DataFrame({"matched": [0.7, 0.2], "merged": [0.3, 0.8]}, index=["m", "n"])
    (axis,) = model_plots.kind_bars(shares).axes
    ends = {}
    for bar in axis.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        ends[row] = max(ends.get(row, 0), bar.get_x() + bar.get_width())
    assert ends == pytest.approx({0: 1, 1: 1})
    assert [t.get_text() for t in axis.get_yticklabels()] == ["m", "n"]


def test_recall_is_drawn_for_each_model_with_people_behind():
    table = pd.DataFrame(
        {"model": m, "bin": k, "median": 10.0 * k, "recall": r, "low": r - 0.1, "high": r + 0.1}
        for m, several in {"m": [0.2, 0.6], "a": [0.5, 0.9]}.items()
        for k, r in enumerate(several)
    )
    figure = model_plots.recall_curves(table, "area", models=["m"], people=["a", "absent"])
    (axis,) = (one for one in figure.axes if one.axison)
    people, model = axis.lines
    assert list(people.get_ydata()) == [0.5, 0.9]
    assert list(model.get_ydata()) == [0.2, 0.6]
    assert list(model.get_xdata()) == [0, 10]
    assert model.get_color() == BLUE
