"""What the phantom was not fitted to: each statistic by hand, and the verdict on the whole."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Sample
from imc_helpers.experiments.unfitted import (
    STATISTICS,
    compare_unfitted,
    unfitted_statistics,
    verdict,
)

PANEL = Panel((Channel("Ir191", "DNA1"), Channel("Dy161", "CD20"), Channel("Er170", "CD3")))


def measured(image, labels, um_per_px=1.0):
    sample = Sample("s", np.asarray(image, np.float32), PANEL, um_per_px)
    return unfitted_statistics(sample, labels).set_index(["statistic", "item"])["value"]


@pytest.fixture
def board():
    """Nine cells of 4 x 4 px, the first two side by side, on squares that alternate in CD20."""
    labels = np.zeros((32, 32), int)
    for k, (y, x) in enumerate([(0, 0), (0, 4), *((8 * i, 16) for i in range(4))]):
        labels[y : y + 4, x : x + 4] = k + 1
    squares = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((4, 4)))
    return np.stack([np.sinh(squares), np.sinh(2 * squares), np.sinh(1 - squares)]), labels


def test_channels_correlate_over_squares_and_markers_over_cells(board):
    found = measured(*board)
    assert found["channels", "Dy161 × Ir191"] == pytest.approx(1)
    assert found["channels", "Dy161 × Er170"] == pytest.approx(-1)
    assert found["markers", "Dy161 × Er170"] == pytest.approx(-1)
    assert ("markers", "Dy161 × Ir191") not in found.index, "every nucleus has DNA"


def test_cells_are_measured_in_micrometres(board):
    image, labels = board
    found = measured(image, labels, um_per_px=0.5)
    assert found["areas", "50%"] == pytest.approx(np.log(4))
    assert found["nearest", "10%"] == pytest.approx(np.log(2))  # the two side by side
    assert found["nearest", "90%"] == pytest.approx(np.log(4))  # the column
    assert found["touching", "share"] == pytest.approx(2 / 6)


def test_a_wave_has_its_variance_at_its_wavelength():
    x = np.arange(128)
    wave = np.sinh(2 + np.sin(2 * np.pi * x / 6.4))[None] * np.ones((128, 1))
    found = measured([wave, wave, wave], np.zeros((128, 128), int))["spectra"]
    assert found["Dy161, 4 to 8 µm"] == pytest.approx(1, abs=1e-6)
    assert found.filter(like="Dy161").sum() == pytest.approx(1)
    half = measured([wave, wave, wave], np.zeros((128, 128), int), um_per_px=0.5)["spectra"]
    assert half["Dy161, 2 to 4 µm"] == pytest.approx(1, abs=1e-6)


def test_without_cells_or_variance_there_is_no_value():
    found = measured(np.ones((3, 16, 16)), np.zeros((16, 16), int))
    assert found.isna().all()
    assert set(found.index.get_level_values("statistic")) == set(STATISTICS)


def test_the_comparison_by_hand():
    def table(*values):
        items = [("areas", "a"), ("areas", "b"), ("touching", "share")]
        frame = pd.DataFrame(items, columns=["statistic", "item"])
        return frame.assign(value=values)

    aside = pd.concat([table(0, 0, 0.8), table(2, 2, 1.0)])  # means 1, 1 and .9
    found = compare_unfitted(table(2, 4, 0.9), aside, table(0, 2, 0.8))
    assert found["statistic"].tolist() == ["areas", "touching"]
    assert found["phantom"].tolist() == pytest.approx([2, 0])
    assert found["regions"].tolist() == pytest.approx([1, 0.1])
    assert found["verdict"].tolist() == ["farther than another region", "as near as another region"]
    alike = compare_unfitted(table(1, 1, 1), table(1, 1, 1), table(1, 1, 1))
    assert alike["ratio"].isna().all(), "regions without a difference are no yardstick"


@pytest.mark.parametrize(
    ("ratio", "said"), [(1.0, "as near"), (2.0, "farther"), (2.1, "unlike"), (np.nan, "–")]
)
def test_verdicts(ratio, said):
    assert verdict(ratio).startswith(said)
