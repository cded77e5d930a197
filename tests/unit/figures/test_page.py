"""The book's style holds for its figures, and for nothing else."""

import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd

from imc_helpers.figures.agreement_plots import agreement_matrices
from imc_helpers.figures.page import in_style, show


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
    figure = agreement_matrices(pairs())
    assert figure.get_layout_engine() is not None, "constrained layout"
    assert not figure.axes[0].spines["top"].get_visible()
    seen = []
    monkeypatch.setattr("imc_helpers.figures.page.display", lambda *a, **_: seen.append(a[0]))
    for _ in range(2):
        show(agreement_matrices(pairs()), label="fig-a", caption="", alt="two masks")
    assert seen[0]["image/svg+xml"] == seen[1]["image/svg+xml"], "the same figure, the same bytes"
    assert dict(mpl.rcParams) == before
    plt.close("all")


def test_what_is_drawn_in_style_keeps_its_name_and_its_arguments():
    @in_style
    def draw(size, *, colour="red"):
        """Draw."""
        return size, colour, mpl.rcParams["svg.hashsalt"]

    assert draw(2, colour="blue") == (2, "blue", "imc-agreement-book")
    assert (draw.__name__, draw.__doc__) == ("draw", "Draw.")
    assert mpl.rcParams["svg.hashsalt"] != "imc-agreement-book"
