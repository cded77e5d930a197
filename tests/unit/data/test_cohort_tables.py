"""Cohorts in numbers, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.data.cohort_tables import (
    channel_shares,
    compare_tools,
    describe,
    marker_availability,
)
from imc_helpers.data.samples import Channel, Cohort, Panel, Sample, write_cohort

PANEL = Panel(
    (
        Channel("Ir191", "DNA1", "nucleus"),
        Channel("Dy161", "CD20", "membrane"),
        Channel("CD99", "CD99", "membrane"),
    )
)


def cohort(tmp_path, shapes=((8, 12), (4, 4))):
    samples = []
    for i, shape in enumerate(shapes):
        labels = np.zeros(shape, np.uint32)
        labels[:2, :2], labels[-2:, -2:] = 5, 9
        image = np.stack([np.full(shape, v, np.float32) for v in (7, 3, 1)])
        image[1, 0] = 0
        samples.append(Sample(f"s{i}", image, PANEL, 1.0, {"a": labels}))
    write_cohort(tmp_path / "c", samples)
    return Cohort(tmp_path / "c")


def test_the_columns_of_table_1(tmp_path):
    row = describe(cohort(tmp_path), window_px=8, stride_px=4)
    assert row == {
        "samples": 2,
        "height_px": 6,
        "width_px": 8,
        "patches": 2,
        "samples_without_patches": 1,
        "annotators": 1,
        "tools": 0,
        "cells": 2,
        "cells_per_patch": 1,  # one cell in each of the two windows
    }


def test_shares_of_an_aggregate(tmp_path):
    table = channel_shares(cohort(tmp_path, shapes=((4, 6),)), "membrane").set_index("channel")
    assert table.loc["CD20", "mean"] == pytest.approx(3 * 3 / 4)
    assert table.loc["CD20", "zeros"] == 1 / 4
    assert table.loc["CD20", "share"] == pytest.approx(2.25 / 3.25)
    assert table["share"].sum() == pytest.approx(1)


def test_markers_present_missing_and_standing_in(tmp_path):
    study = pd.DataFrame(
        {
            "compartment": ["membrane", "membrane", "nucleus", "nucleus"],
            "marker": ["CD20", "CD4", "DNA", "DNA"],
            "channel": ["Dy161", "Gd156", "Ir191", "Ir193"],
        }
    )
    table = marker_availability(cohort(tmp_path), study).set_index("marker")["status"]
    assert table.to_dict() == {
        "CD20": "present",
        "CD4": "missing",
        "Ir191": "present",
        "Ir193": "missing",
        "CD99": "stand-in",
    }


def test_tools_side_by_side():
    measured = pd.DataFrame(
        [
            ("small", "ours", "1", "ap50", 0.001, 1.0, None, None),
            ("small", "peer", "2", "sap on paper", 0.5, 500.0, 250.0, None),
            ("small", "none", None, "ap50", None, None, None, "not installed"),
            ("large", "ours", "1", "ap50", 1.0, 1.0, None, None),
            ("large", "peer", None, "sap on paper", None, None, None, "needs more memory"),
            ("large", "none", None, "ap50", None, None, None, "not installed"),
        ],
        columns=[
            *("size", "tool", "version", "work", "seconds_a_pair"),
            *("times_ours", "times_ours_with_sap", "note"),
        ],
    )
    table, absent = compare_tools(measured)
    assert absent == ["none"]
    assert table.to_dict("records") == [
        {
            "tool": "ours",
            "work": "ap50",
            "version": "1",
            "small": "0.001 s (1x)",
            "large": "1 s (1x)",
        },
        {
            "tool": "peer",
            "work": "sap on paper",
            "version": "2",
            "small": "0.5 s (250x)",
            "large": "needs more memory",
        },
    ]
