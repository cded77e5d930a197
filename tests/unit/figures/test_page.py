"""The book's style holds for its figures, and for nothing else."""

import subprocess
import sys
from functools import partial

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from imc_helpers.figures.agreement_plots import agreement_matrices
from imc_helpers.figures.page import WIDE, answer, in_style, number, show, show_table


def pairs():
    row = {"cohort": "toy", "mode": "whole", "rater_true": "a", "rater_pred": "b"}
    return pd.DataFrame([{**row, "ap50": 0.5, "map": 0.2, "sap": 0.3}])


def test_an_import_leaves_the_settings_of_matplotlib_alone():
    code = """
import matplotlib as mpl
before = dict(mpl.rcParams)
import pkgutil, importlib, imc_helpers.figures as figures
for module in pkgutil.iter_modules(figures.__path__):
    importlib.import_module(f"imc_helpers.figures.{module.name}")
assert dict(mpl.rcParams) == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_figure_has_the_style_and_leaves_none_behind(monkeypatch):
    before = dict(mpl.rcParams)
    figure = agreement_matrices(pairs(), width=WIDE)
    assert figure.get_layout_engine() is not None, "constrained layout"
    assert not figure.axes[0].spines["top"].get_visible()
    seen = []
    monkeypatch.setattr("imc_helpers.figures.page.display", lambda *a, **_: seen.append(a[0]))
    for _ in range(2):
        show(partial(agreement_matrices, pairs()), label="fig-a", caption="", alt="two masks")
    first, second = seen
    assert first["image/svg+xml"] == second["image/svg+xml"], "the same figure, the same bytes"
    assert dict(mpl.rcParams) == before
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """What was displayed: bundles, and their metadata."""
    found = []
    monkeypatch.setattr(
        "imc_helpers.figures.page.display", lambda one, **more: found.append((one, more))
    )
    return found


def test_an_answer_is_marked_and_reads_as_text_in_a_notebook(shown):
    answer("Two of three.")
    ((bundle, more),) = shown
    assert bundle["text/markdown"] == "**In short.** Two of three."
    assert more["metadata"] == {"text/markdown": {"role": "answer"}}


def test_numbers_have_no_sign_where_they_round_to_zero():
    assert [number(value, 2) for value in (-0.001, -0.006, 0.0, -0.0, 1234.5)] == [
        "0.00",
        "-0.01",
        "0.00",
        "0.00",
        "1,234.50",
    ]


def test_large_numbers_have_no_hundredths(shown):
    frame = pd.DataFrame({"peak, MB": [249.89, 24.5], "patches": [462.84, 0.5]})
    show_table(frame, label="tab-x", caption="", decimals=2)
    show_table(frame, label="tab-x", caption="", decimals=1)
    assert "| 250 | 463 |" in shown[0][0]["text/markdown"]
    assert "| 249.9 | 462.8 |" in shown[1][0]["text/markdown"]


def test_a_table_shows_names_and_its_csv_keeps_keys(shown):
    frame = pd.DataFrame(
        {"model": ["pixel_forest", "cyto3"], "same": [True, False], "ap50": [0.25, -0.0001]}
    )
    show_table(frame, label="tab-x", caption="Scores.")
    ((bundle, _),) = shown
    assert "| Pixel forest | yes | 0.250 |" in bundle["text/markdown"]
    assert "| Cellpose 3 (cyto3) | no | 0.000 |" in bundle["text/markdown"]
    assert bundle["text/csv"] == "model,same,ap50\npixel_forest,True,0.25\ncyto3,False,-0.0001\n"


def test_lines_that_differ_in_one_column_become_one(shown):
    frame = pd.DataFrame(
        {
            "cohort": ["spleen_imc", "spleen_imc", "pancreas_imc"],
            "mask of": ["annotator1", "annotator2", "annotator1"],
            "how": ["by hand", "by hand", None],
        }
    )
    show_table(frame, label="tab-x", caption="Who.", merge=["mask of"])
    rows = shown[0][0]["text/markdown"].splitlines()[6:8]
    assert rows == [
        "| Spleen (IMC) | Annotator 1, Annotator 2 | by hand |",
        "| Pancreas (IMC) | Annotator 1 | – |",
    ]
    assert shown[0][0]["text/csv"].count("\n") == 4


def test_what_is_drawn_in_style_keeps_its_name_and_its_arguments():
    @in_style
    def draw(size, *, colour="red"):
        """Draw."""
        return size, colour, mpl.rcParams["svg.hashsalt"]

    assert draw(2, colour="blue") == (2, "blue", "imc-agreement-book")
    assert (draw.__name__, draw.__doc__) == ("draw", "Draw.")
    assert mpl.rcParams["svg.hashsalt"] != "imc-agreement-book"


def test_columns_that_are_cohorts_have_their_names_and_the_csv_keeps_the_keys(shown):
    table = pd.DataFrame({"marker": ["CD20"], "phantom_ali20": ["present"]})
    show_table(table, label="tab-a", caption="")
    ((bundle, _),) = shown
    assert "| marker | Ali20 phantom |" in bundle["text/markdown"]
    assert bundle["text/csv"].startswith("marker,phantom_ali20")


def of_table(table, *, width):
    figure, _ = plt.subplots(figsize=(width, 1))
    return figure


@pytest.mark.parametrize(
    ("given", "csv"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [0.5, 1 / 3]}), "a,b\n1,0.5\n2,0.333333\n"),
        (pd.DataFrame({"b": [2.0]}, index=pd.Index(["x"], name="a")), "a,b\nx,2\n"),
        (
            {"left": pd.DataFrame({"a": [1]}), "right": pd.DataFrame({"a": [2]})},
            "panel,a\nleft,1\nright,2\n",
        ),
    ],
)
def test_a_figure_gives_the_table_that_it_was_drawn_from(shown, given, csv):
    show(partial(of_table, given), label="fig-a", caption="", alt="nothing")
    ((bundle, _),) = shown
    assert bundle["text/csv"] == csv


@pytest.mark.parametrize("given", ["no table", {"a": 1}, {}, pd.DataFrame({"a": range(5001)})])
def test_a_figure_without_a_table_or_with_a_huge_one_gives_none(shown, given):
    show(partial(of_table, given), label="fig-a", caption="", alt="nothing")
    ((bundle, _),) = shown
    assert "text/csv" not in bundle
