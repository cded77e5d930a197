"""What figures draw, checked pixel by pixel where it matters, and what a page is handed."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import tifffile

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.predictions import prediction_dir
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.figures import page, tissue_images
from imc_helpers.figures.page import GOLD, SKY

SVG = "image/svg+xml"


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


def lines_of(path):
    """Straight lines of a path, as pairs of points."""
    return path.vertices.reshape(-1, 2, 2)


def area_inside(lines, shape):
    """Area enclosed by upright lines, row by row: inside between every other line it crosses."""
    area = 0.0
    for y in range(shape[0]):
        crossed = [a[0] for a, b in lines if a[0] == b[0] and min(a[1], b[1]) < y < max(a[1], b[1])]
        area += sum(np.diff(sorted(crossed))[::2])
    return area


def test_edges_run_along_the_sides_of_pixels():
    labels = np.zeros((6, 8), int)
    labels[1:4, 2:7] = 3
    path = tissue_images.edge_path(*tissue_images.cell_edges(labels))
    corners = {tuple(point) for line in lines_of(path) for point in line}
    assert corners == {(1.5, 0.5), (6.5, 0.5), (1.5, 3.5), (6.5, 3.5)}
    assert len(lines_of(path)) == 4, "a side is one line, however long"


def test_outlines_are_closed_and_hold_exactly_the_area_of_their_cell():
    labels = np.zeros((30, 30), int)
    y, x = np.mgrid[:30, :30]
    labels[(y - 14) ** 2 + (x - 13) ** 2 < 90] = 5
    labels[3:5, 2:20] = 5  # a limb, and a cell of an odd shape
    labels[14, 13] = 0  # and a hole
    lines = lines_of(tissue_images.edge_path(*tissue_images.cell_edges(labels)))
    assert area_inside(lines, labels.shape) == (labels == 5).sum()
    ends, counts = np.unique(lines.reshape(-1, 2), axis=0, return_counts=True)
    assert (counts % 2 == 0).all(), "no line ends where no other begins"
    assert len(ends) > 20


def test_touching_cells_share_one_edge_and_the_border_of_the_image_is_none():
    labels = np.array([[1, 2], [1, 2]])
    upright, level = tissue_images.cell_edges(labels)
    assert upright.tolist() == [[True], [True]]
    assert not level.any()
    (line,) = lines_of(tissue_images.edge_path(upright, level))
    assert line.tolist() == [[0.5, -0.5], [0.5, 1.5]]


def test_edges_are_blue_gold_and_white_where_both_have_them():
    first, second = np.zeros((6, 12), int), np.zeros((6, 12), int)
    first[1:5, 1:6] = 1
    second[1:5, 1:9] = 4
    figure, axis = plt.subplots()
    tissue_images.draw_cells(axis, [first, second])
    drawn = {patch.get_edgecolor(): lines_of(patch.get_path()) for patch in axis.patches}
    blue, gold, white = (mpl.colors.to_rgba(colour) for colour in (SKY, GOLD, "white"))
    assert len(drawn[blue]) == len(drawn[gold]) == 4
    shared = drawn[white].tolist()
    assert [[0.5, 0.5], [0.5, 4.5]] in shared, "the side on the left"
    assert all(point[0] <= 5.5 for line in shared for point in line), "as far as the first reaches"
    assert list(drawn) == [blue, gold, white], "white on top"
    plt.close(figure)


@pytest.mark.parametrize(
    ("um_per_px", "edge_px", "bar_um"), [(1.0, 40, 10), (0.377, 106, 10), (0.5, 400, 50), (1, 6, 2)]
)
def test_the_scale_bar_is_as_long_as_it_says(um_per_px, edge_px, bar_um):
    figure, axis = plt.subplots()
    axis.imshow(np.zeros((edge_px, edge_px)))
    tissue_images.scale_bar(axis, (edge_px, edge_px), um_per_px)
    (bar,) = axis.lines
    assert np.ptp(bar.get_xdata()) * um_per_px == pytest.approx(bar_um)
    assert axis.texts[0].get_text() == f"{bar_um} µm"
    plt.close(figure)


def test_a_field_has_the_same_size_whatever_the_pixels():
    assert tissue_images.field_px(40, 1.0, (500, 600)) == 40
    assert tissue_images.field_px(40, 0.377, (500, 600)) == 106
    assert tissue_images.field_px(40, 1.0, (30, 600)) == 30, "no more than there is"
    rows, columns = tissue_images.middle((500, 600), 40)
    assert (rows, columns) == (slice(230, 270), slice(280, 320))


def overlay(where="place", **masks):
    labels = {name: np.asarray(mask) for name, mask in masks.items()}
    return tissue_images.Overlay(np.ones((4, 4)), 10.0, where, labels, "ap50 0.50")


def test_the_bare_image_stands_before_the_overlays_of_each_piece():
    mask = np.eye(4, dtype=int)
    overlays = [
        overlay("one", a=mask, b=mask),
        overlay("one", a=mask, c=mask),
        overlay("two", a=mask),
    ]
    figure = tissue_images.overlay_panels(overlays, width=page.WIDE)
    texts = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert texts == [
        ["10 µm", "one"],
        ["b", "a", "ap50 0.50"],
        ["c", "a", "ap50 0.50"],
        ["10 µm", "two"],
        ["a", "ap50 0.50"],
    ]
    assert [len(axis.patches) for axis in figure.axes] == [0, 3, 3, 0, 1]
    images = [axis.images[0] for axis in figure.axes]
    assert {image.get_interpolation() for image in images} == {"none"}
    assert all(image.get_array().shape == (4, 4) for image in images), "pixels as they are"
    plt.close(figure)


def test_a_composite_is_blue_for_nuclei_and_gold_for_membranes():
    half = np.zeros((10, 10))
    half[:, 5:] = 1
    out = tissue_images.composite(half, half[:, ::-1])
    assert tuple(out[0, 9]) == rgb(SKY)
    assert tuple(out[0, 0]) == rgb(GOLD)


def test_a_shown_figure_carries_label_caption_and_alt_text(shown):
    figure, axis = plt.subplots()
    axis.plot([0, 1])
    page.show(figure, label="fig-x", caption="A line.", alt="A rising line.")
    ((bundle, metadata),) = shown
    about = {"alt": "A rising line.", "caption": "A line.", "label": "fig-x", "kind": "tissue"}
    assert metadata[SVG] == about
    assert not plt.fignum_exists(figure.number), "it would appear a second time"
    assert bundle[SVG].rstrip().endswith("</svg>")


@page.in_style
def drawing(*, width):
    figure, axis = plt.subplots(figsize=(width, 2))
    axis.plot([0, 1])
    return figure


def test_a_drawing_is_transparent_and_is_drawn_again_for_telephones(shown):
    page.show(drawing, label="fig-x", caption="A line.", alt="A rising line.")
    ((bundle, metadata),) = shown
    about = metadata[SVG]
    assert about["kind"] == "drawing"
    assert bundle[SVG].count('style="background: white"') == 1, "a ground for notebooks alone"
    assert f'width="{72 * page.WIDE:g}pt"' in bundle[SVG]
    narrow = about["phone"]
    assert f'width="{72 * page.PHONE:g}pt"' in narrow
    assert "background" not in narrow
    # The first shape that is painted is a curve or an axis, no white sheet over everything.
    assert "fill: #ffffff" not in narrow


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
    (axis,) = tissue_images.overlay_panels([], width=page.WIDE).axes
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
    (found,) = tissue_images.model_overlays(cohort, "a", annotator, ["watershed"], field_um=64)
    assert list(found.masks) == [*(["expert"] if annotator else []), "Watershed"]
    assert found.note == ("1 cells, ap50 1.00" if annotator else "1 cells")
    assert found.image.shape == (20, 20), "the field is no larger than the image"
    assert found.masks["Watershed"][5, 10] == 7
