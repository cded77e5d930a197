"""Rows that a notebook hands over, and the table that holds them all."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from imc_helpers.errors import InputError
from imc_helpers.experiments import sweep_results as module
from imc_helpers.experiments.sweep_results import ROWS_MIME, hand_over, read_sweep, rows_of


def as_notebook(monkeypatch, rows, times=1):
    shown = []
    monkeypatch.setattr(module, "display", lambda data, raw: shown.append(data))
    hand_over(rows)
    output = new_output("display_data", data=shown[0], metadata={})
    cells = [new_code_cell("1"), *(new_code_cell("2", outputs=[output]) for _ in range(times))]
    return nbformat.reads(nbformat.writes(new_notebook(cells=cells)), as_version=4)


def test_rows_come_back_as_they_were_handed_over(monkeypatch):
    rows = pd.DataFrame(
        {"sample": ["a", "b"], "n_pred": [3, 4], "ap50": [1 / 3, 0.1], "truth_ap50": [np.nan, 0.5]}
    )
    pd.testing.assert_frame_equal(rows_of(as_notebook(monkeypatch, rows)), rows)


@pytest.mark.parametrize("times", [0, 2])
def test_rows_are_handed_over_once(monkeypatch, times):
    with pytest.raises(InputError, match=f"found {times} times"):
        rows_of(as_notebook(monkeypatch, pd.DataFrame({"a": [1]}), times))


def test_plain_outputs_are_no_rows():
    text = new_output("stream", text="hello")
    with pytest.raises(InputError, match="found 0 times"):
        rows_of(new_notebook(cells=[new_code_cell("1", outputs=[text])]))
    assert ROWS_MIME.endswith("+json"), "nbformat keeps only such types as JSON"


def test_a_sweep_that_has_not_run_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "project_root", lambda: tmp_path)
    with pytest.raises(InputError, match="run `make sweep NAME=scale EDITION=demo`"):
        read_sweep("demo", "scale")


def test_a_choice_called_none_is_read_as_a_word(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "project_root", lambda: tmp_path)
    folder = tmp_path / "results" / "demo" / "sweeps"
    folder.mkdir(parents=True)
    (folder / "x.csv").write_text("channels,truth_ap50\nnone,\nNA,0.5\n")
    table = read_sweep("demo", "x")
    assert table["channels"].tolist() == ["none", "NA"]
    assert table["truth_ap50"].isna().tolist() == [True, False]
