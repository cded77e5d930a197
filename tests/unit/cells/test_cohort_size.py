"""Cohorts in numbers, counted by hand."""

import numpy as np

from imc_helpers.cells.cohort_size import cohort_size
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort

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
    row = cohort_size(cohort(tmp_path), window_px=8, stride_px=4)
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
