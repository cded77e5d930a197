"""What figures draw, checked pixel by pixel where it matters, and what a page is handed."""

import base64
import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.predictions import prediction_dir
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.figures import page, tissue_images
from imc_helpers.figures.page import BLUE, GOLD, SKY


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr(
        page,
        "display",
        lambda bundle, raw, metadata=None: bundles.append((bundle, metadata)),
    )
    return bundles


def rgb(colour):
    return pytest.approx(mpl.colors.to_rgb(colour))


def test_stretch_runs_from_black_to_white():
    image = np.arange(101, dtype=float).reshape(1, -1)
    out = tissue_images.stretch(image, 10, 90)
    assert out[0, 10] == 0
    assert out[0, 90] == 1
    assert out[0, 50] == pytest.approx(0.5)
    assert out.min() == 0
    assert out.max() == 1


def test_stretch_of_an_empty_and_of_a_nearly_empty_channel():
    assert not tissue_images.stretch(np.full((3, 3), 7.0)).any()
    sparse = np.zeros((100, 100))
    sparse[0, 0] = 3
    assert tissue_images.stretch(sparse)[0, 0] == 1


def test_borders_are_blue_gold_and_white_where_both():
    first, second = np.zeros((5, 9), int), np.zeros((5, 9), int)
    first[:, :3] = 1
    second[:, 6:] = 4
    first[2, 4] = second[2, 4] = 9
    out = tissue_images.borders(first, second, np.zeros((5, 9)))
    assert tuple(out[2, 2]) == rgb(BLUE)
    assert tuple(out[2, 6]) == rgb(GOLD)
    assert tuple(out[2, 4]) == (1, 1, 1)
    assert tuple(out[2, 3]) == (0, 0, 0), "background stays"
    assert tuple(out[2, 0]) == (0, 0, 0), "the inside of a cell stays"


def test_a_composite_is_blue_for_nuclei_and_gold_for_membranes():
    half = np.zeros((10, 10))
    half[:, 5:] = 1
    out = tissue_images.composite(half, half[:, ::-1])
    assert tuple(out[0, 9]) == rgb(SKY)
    assert tuple(out[0, 0]) == rgb(GOLD)


def test_pixels_are_enlarged_without_interpolation(shown):
    overlay = np.zeros((4, 4, 3))
    overlay[1, 2] = (1, 0, 0)
    figure = tissue_images.border_panels({"one": overlay}, enlarge=6)
    (drawn,) = figure.axes[0].images
    assert drawn.get_array().shape == (24, 24, 3)
    assert drawn.get_interpolation() == "none"
    plt.close(figure)


@pytest.mark.parametrize("fmt", ["svg", "png"])
def test_a_shown_figure_carries_label_caption_and_alt_text(shown, fmt):
    figure, axis = plt.subplots()
    axis.plot([0, 1])
    page.show(figure, label="fig-x", caption="A line.", alt="A rising line.", fmt=fmt)
    ((bundle, metadata),) = shown
    mime = {"svg": "image/svg+xml", "png": "image/png"}[fmt]
    assert metadata[mime] == {"alt": "A rising line.", "caption": "A line.", "label": "fig-x"}
    assert not plt.fignum_exists(figure.number), "it would appear a second time"
    if fmt == "png":
        assert Image.open(io.BytesIO(base64.b64decode(bundle[mime]))).width > 100
    else:
        assert bundle[mime].rstrip().endswith("</svg>")


def test_the_same_figure_gives_the_same_bytes(shown):
    for _ in range(2):
        figure, axis = plt.subplots()
        axis.plot([0, 1])
        page.show(figure, label="fig-x", caption="", alt="A line.")
    assert shown[0][0] == shown[1][0]


def test_a_shown_table_is_myst_html_and_text(shown):
    frame = pd.DataFrame(
        {"name": ["a|b", None], "score": [0.12345, np.nan], "cells": [12345, 2], "mean": [2.0, 3.0]}
    )
    page.show_table(frame, label="tab-x", caption="Scores.", decimals=2)
    ((bundle, _),) = shown
    lines = bundle["text/markdown"].splitlines()
    assert lines[:3] == [":::{table} Scores.", ":name: tab-x", ":widths: auto"]
    assert r"| a\|b | 0.12 | 12,345 | 2 |" in lines
    assert "| – | – | 2 | 3 |" in lines
    assert "a|b" in bundle["text/html"]


def test_scores_of_one_keep_their_digits(shown):
    page.show_table(pd.DataFrame({"ap50": [1.0, 0.0]}), label="tab-x", caption="")
    assert "| 1.000 |" in shown[0][0]["text/markdown"]


def test_no_overlay_is_a_figure_that_says_so():
    (axis,) = tissue_images.border_panels({}).axes
    assert "no image has a window" in axis.texts[0].get_text()


@pytest.mark.parametrize("annotator", ["expert", None])
def test_models_are_shown_with_an_annotator_or_without(tmp_path, monkeypatch, annotator):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    monkeypatch.setattr(
        tissue_images, "find_models", lambda cohort, models, mode: dict.fromkeys(models)
    )
    labels = np.zeros((20, 30), np.uint32)
    labels[5:15, 8:20] = 7
    image = np.ones((1, 20, 30), np.float32)
    panel = Panel((Channel("Ir191", "DNA1", "nucleus"),))
    sample = Sample("a", image, panel, 1.0, {"expert": labels} if annotator else {})
    write_cohort(tmp_path / "data" / "toy", [sample])
    cohort = Cohort(tmp_path / "data" / "toy", name="phantom_lymphoid")
    folder = prediction_dir("phantom_lymphoid", "watershed", "whole")
    folder.mkdir(parents=True)
    tifffile.imwrite(folder / "a.tiff", labels)
    panels = tissue_images.model_crops(cohort, "a", annotator, ["watershed"], crop_px=64)
    ((title, overlay),) = panels.items()
    scored = ", ap50 1.00" if annotator else ""
    assert title == f"Watershed (CellProfiler's method)\n1 cells{scored}"
    assert overlay.shape == (20, 20, 3), "the crop is no larger than the image"
    assert overlay[5, 10] == rgb("white" if annotator else GOLD)
