"""What a cohort's channels give, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.data.channel_tables import (
    channel_shares,
    marker_availability,
    membrane_choice,
)
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


def test_which_markers_make_the_membrane_channel_and_which_could():
    study = pd.DataFrame(
        {
            "compartment": ["membrane", "membrane", "nucleus"],
            "marker": ["CD20", "CD4", "DNA"],
            "channel": ["Dy161", "Gd156", "Ir191"],
        }
    )
    panel = Panel(
        (
            *PANEL.channels,
            Channel("Yb174", "panCK"),
            Channel("Gd156", "CD4"),
            Channel("Er168", "Ki67"),
        )
    )
    assert membrane_choice(panel, study) == {
        "of_study": 1,
        "entering": ["CD20", "CD99"],
        "others": ["panCK", "CD4"],
    }
