"""What the plots of models draw: every mark where its number says."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import PathPatch

from imc_helpers.figures import model_plots
from imc_helpers.figures.page import BLUE, GREEN, PHONE, VERMILION, WIDE
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


def draw(tables, groups, metrics=("ap50",), width=WIDE, **options):
    return model_plots.score_distributions(tables, groups, metrics=metrics, width=width, **options)


def test_few_scores_are_dots_in_a_lane_for_each_annotator():
    table = scores({("m", "a"): [0.2, 0.4], ("m", "b"): [0.6], ("reference", "a"): [1.0]})
    (axis,) = draw({"": table}, {"": [["m"], [], ["reference"]]}).axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["m", "Reference itself"]
    dots = marks(axis, "o")
    assert sorted(x for x, _ in dots) == [0.2, 0.4, 0.6, 1.0]
    lanes = [y for x, y in dots if x < 1]
    assert lanes[0] == lanes[1] < lanes[2] < dots[-1][1], "a lane per annotator, then the controls"
    assert axis.yaxis_inverted()


def test_the_mean_is_a_line_behind_the_dots_and_longer_than_their_lanes():
    table = scores({("m", "a"): [0.2, 0.4], ("m", "b"): [0.6]})
    (axis,) = draw({"": table}, {"": [["m"]]}).axes
    means = [line for line in axis.lines if line.get_marker() in ("None", None, "")]
    (mean,) = (line for line in means if line.get_linestyle() == "-")
    assert mean.get_xdata() == pytest.approx([0.45, 0.45]), "every annotator counts once"
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert all(mean.get_zorder() < line.get_zorder() for line in dots)
    low, high = mean.get_ydata()
    assert low < min(y for _, y in marks(axis, "o")) < max(y for _, y in marks(axis, "o")) < high


def test_cohorts_have_a_mean_each():
    both = pd.concat([scores({("m", "a"): [0.2]}), scores({("m", "a"): [0.6]}, cohort="other")])
    (axis,) = draw({"": both}, {"": [["m"], []]}, by="cohort").axes
    means = [line for line in axis.lines if line.get_marker() != "o"]
    assert [line.get_xdata()[0] for line in means] == [0.2, 0.6]


def test_many_scores_are_a_box_and_agreement_is_a_dashed_line_with_its_value():
    table = scores({("m", "a"): np.linspace(0, 1, 13)})
    line = {"ap50": 0.7, "map": 0.3, "sap": 0.5}
    figure = draw({"": table}, {"": [["m"]]}, metrics=("map", "sap"), lines={"": line})
    for axis, metric, share in zip(figure.axes, ("map", "sap"), (2, 4), strict=True):
        assert axis.get_xlabel() == metric
        (dashed,) = (one for one in axis.lines if set(one.get_xdata()) == {line[metric]})
        assert dashed.get_linestyle() == "--"
        assert f"agreement {line[metric]:.2f}" in [text.get_text() for text in axis.texts]
        (box,) = (patch for patch in axis.patches if isinstance(patch, PathPatch))
        xs = box.get_path().vertices[:, 0]
        assert (xs.min(), xs.max()) == pytest.approx((0.25 / share, 0.75 / share))


def test_a_block_for_each_cohort_with_its_own_rows_and_names():
    one, two = scores({("m", "a"): [0.2]}), scores({("n", "x"): [0.3]}, cohort="other")
    tables, groups = {"t": one, "o": two}, {"t": [["m"]], "o": [["n"]]}
    figure = draw(tables, groups)
    assert [[t.get_text() for t in axis.get_yticklabels()] for axis in figure.axes] == [
        ["m"],
        ["n"],
    ]
    assert [axis.texts[-1].get_text() for axis in figure.axes] == ["a", "x"], "beside their dots"
    keys = [part.legends[0] for part in figure.subfigs]
    assert [key.get_title().get_text() for key in keys] == ["t", "o"]
    narrow = draw(tables, groups, width=PHONE)
    texts = [[t.get_text() for t in part.legends[0].get_texts()] for part in narrow.subfigs]
    assert texts == [["a", "mean"], ["x", "mean"]], "where there is no room beside dots"


def test_panels_are_stacked_on_a_telephone():
    table = scores({("m", "a"): [0.2]})
    wide = draw({"": table}, {"": [["m"]]}, metrics=("map", "sap"))
    narrow = draw({"": table}, {"": [["m"]]}, metrics=("map", "sap"), width=PHONE)
    for figure, same in ((wide, 1), (narrow, 0)):
        figure.canvas.draw()
        first, second = (axis.get_position() for axis in figure.axes)
        assert (first.y0, first.x0)[1 - same] == pytest.approx((second.y0, second.x0)[1 - same])


def equivalence(**changes):
    rows = [
        {"cohort": "toy", "model": "m", "left_out": "a", "difference": -0.2, "low": np.nan,
         "high": np.nan, "decision": "undecided"},
        {"cohort": "toy", "model": "m", "left_out": "mean", "difference": -0.1, "low": -0.15,
         "high": -0.06, "decision": "below"},
        {"cohort": "toy", "model": "n", "left_out": "mean", "difference": 0.01, "low": 0.0,
         "high": 0.02, "decision": "within"},
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(margin=[0.03, 0.03, 0.05], **changes)


def test_differences_stand_with_their_interval_in_the_colour_of_the_decision():
    (axis,) = model_plots.equivalence_rows(equivalence(), width=WIDE).axes
    assert [t.get_text() for t in axis.get_yticklabels()] == ["n", "m"], "best first"
    assert marks(axis, "v") == [(-0.1, 1)]
    assert marks(axis, "o") == [(0.01, 0)]
    assert marks(axis, "|") == [(-0.2, 1)]
    spans = [one for one in axis.lines if len(one.get_xdata()) == 2 and one.get_linewidth() > 2]
    assert [list(one.get_xdata()) for one in spans] == [[0.0, 0.02], [-0.15, -0.06]]
    assert [one.get_color() for one in spans] == [GREEN, VERMILION]
    bands = [patch.get_bbox() for patch in axis.patches]
    assert [(band.x0, band.x1) for band in bands] == [(-0.05, 0.05), (-0.03, 0.03)]


def test_every_cohort_has_a_panel_of_its_own():
    both = pd.concat([equivalence(), equivalence(cohort="other")])
    one, two = model_plots.equivalence_rows(both, width=PHONE).axes
    assert [axis.get_title() for axis in (one, two)] == ["toy", "other"]
    assert marks(one, "|") == marks(two, "|") == [(-0.2, 1)], "each with its own left out"


def test_the_trial_sets_the_verdicts_side_by_side():
    row = {
        "model": "the truth",
        "decision": "below",
        "difference": -0.1,
        "low": -0.2,
        "high": -0.06,
    }
    row |= {"decision_truth": "above", "difference_truth": 0.3, "low_truth": 0.2, "high_truth": 0.4}
    row |= {"margin": 0.05, "margin_truth": 0.03}
    left, right = model_plots.trial_rows(pd.DataFrame([row]), width=WIDE).axes
    assert marks(left, "v") == [(-0.1, 0)]
    assert marks(right, "^") == [(0.3, 0)]
    assert [t.get_text() for t in left.get_yticklabels()] == ["Truth"]


def test_cells_have_the_colour_of_what_became_of_them():
    true, pred = np.zeros((20, 20), np.uint32), np.zeros((20, 20), np.uint32)
    true[2:9, 2:9], true[12:19, 2:9] = 1, 2
    pred[2:9, 2:9], pred[12:19, 12:19] = 5, 6
    errors = mesmer_errors(contingency_table(true, pred))
    left = model_plots.colour_kinds(true, errors.true_ids, errors.true_kinds)
    assert left[5, 5] == pytest.approx(mpl.colors.to_rgb("#bbbbbb")), "matched"
    assert left[15, 5] == pytest.approx(mpl.colors.to_rgb(VERMILION)), "missed"
    assert left[15, 15] == pytest.approx((1, 1, 1)), "background"
    right = model_plots.colour_kinds(pred, errors.pred_ids, errors.pred_kinds)
    assert right[15, 15] == pytest.approx(mpl.colors.to_rgb(GREEN)), "spurious"
    figure = model_plots.error_map(
        true, pred, errors, titles=("somebody", "model"), um_per_px=0.5, field_um=8, width=WIDE
    )
    assert [axis.get_title() for axis in figure.axes] == ["somebody", "model"]
    assert figure.axes[0].images[0].get_array().shape == (16, 16, 3), "8 µm of half a micrometre"
    assert figure.axes[0].texts[0].get_text() == "2 µm"


def test_bars_add_up_to_all_cells():
    shares = pd.DataFrame({"matched": [0.7, 0.2], "merged": [0.3, 0.8]}, index=["m", "n"])
    (axis,) = model_plots.kind_bars(shares, width=WIDE).axes
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
    figure = model_plots.recall_curves(
        table, "area", models=["m"], people=["a", "absent"], whose="tools", width=WIDE
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()][1] == "tools"
    (axis,) = (one for one in figure.axes if one.axison)
    people, model = axis.lines
    assert list(people.get_ydata()) == [0.5, 0.9]
    assert list(model.get_ydata()) == [0.2, 0.6]
    assert list(model.get_xdata()) == [0, 10]
    assert model.get_color() == BLUE
