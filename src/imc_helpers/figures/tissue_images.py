"""Images of tissue, of its cells and of the windows on it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from skimage.segmentation import find_boundaries

from imc_helpers.aggregation import aggregate, nucleus_and_membrane, scale_percentiles
from imc_helpers.agreement.score_table import METRICS
from imc_helpers.cells.counts import count_cells
from imc_helpers.data.manifest import cohort_record, model_record
from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.errors import InputError
from imc_helpers.figures.page import BLUE, GOLD, GREEN, PURPLE, SKY, VERMILION, in_style
from imc_helpers.metrics import evaluate
from imc_helpers.patching import Window

_SAVED_DPI = 144
"""Dots per inch at which a page saves its figures: a pixel of tissue becomes whole pixels of it."""
_BAR_LENGTHS_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def stretch(image: np.ndarray, low: float = 1.0, high: float = 99.0) -> np.ndarray:
    """Stretch contrast between two percentiles, for the eye alone.

    Parameters
    ----------
    image
        (H, W) array.
    low, high
        Percentiles that become black and white.

    Returns
    -------
    numpy.ndarray
        (H, W) float64 in 0 … 1.
    """
    stretched: np.ndarray = scale_percentiles(image[None], low, high, dtype=np.float64)[0]
    return stretched


def composite(nucleus: np.ndarray, membrane: np.ndarray) -> np.ndarray:
    """Colour a two-channel image: nucleus blue, membrane gold; (H, W, 3) float64 in 0 … 1."""
    colours = np.array([mpl.colors.to_rgb(SKY), mpl.colors.to_rgb(GOLD)])
    planes = np.stack([stretch(nucleus), stretch(membrane)], axis=-1)
    return np.clip(planes @ colours, 0, 1)


@in_style
def gallery(samples: Mapping[str, Sample], *, crop_px: int = 250) -> Figure:
    """Draw the top left of one sample of each cohort, nucleus blue and membrane gold.

    Parameters
    ----------
    samples
        Sample by title.
    crop_px
        Edge of what is shown, pixels.
    """
    columns = min(3, len(samples))
    rows = -(-len(samples) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.2 * columns, 3.7 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (title, sample) in zip(axes.flat, samples.items(), strict=False):
        image = sample.image[:, :crop_px, :crop_px]
        panel = sample.panel
        parts = nucleus_and_membrane(
            image, panel.compartment("nucleus"), panel.compartment("membrane")
        )
        axis.imshow(composite(*parts), interpolation="nearest")
        axis.set_title(f"{title}\n{sample.id}", fontsize=9)
        _scale_bar(axis, image.shape[1:], sample.um_per_px)
    return figure


def _scale_bar(axis: Axes, shape: tuple[int, ...], um_per_px: float) -> None:
    width_um = shape[1] * um_per_px
    lengths = [length for length in _BAR_LENGTHS_UM if length <= width_um / 3]
    bar_um = max(lengths, default=_BAR_LENGTHS_UM[0])
    bar_px = bar_um / um_per_px
    y, x = shape[0] * 0.95, shape[1] * 0.04
    axis.plot([x, x + bar_px], [y, y], color="white", linewidth=3, solid_capstyle="butt")
    axis.text(x, y - shape[0] * 0.02, f"{bar_um:g} µm", color="white", fontsize=8, va="bottom")


@in_style
def aggregate_and_parts(sample: Sample, compartment: str, *, crop_px: int = 150) -> Figure:
    """Draw an aggregate beside the channels that enter it, each stretched on its own.

    Parameters
    ----------
    sample
        Its panel says which channels enter.
    compartment
        ``"nucleus"`` or ``"membrane"``.
    crop_px
        Edge of what is shown, pixels.
    """
    positions = sample.panel.compartment(compartment)
    image = sample.image[:, :crop_px, :crop_px]
    planes = {f"mean ({compartment})": aggregate(image, positions)}
    planes |= {sample.panel.names[i]: image[i] for i in positions}
    columns = min(3, len(planes))
    rows = -(-len(planes) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.4 * columns, 2.65 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, plane) in zip(axes.flat, planes.items(), strict=False):
        axis.imshow(stretch(plane), cmap="gray", interpolation="nearest")
        axis.set_title(name, fontsize=9)
    return figure


@in_style
def aggregates(samples: Mapping[str, Sample], *, crop_px: int = 150) -> Figure:
    """Draw nucleus channel, membrane channel and both in colour, a row a sample.

    Parameters
    ----------
    samples
        Sample by the name of its row.
    crop_px
        Edge of what is shown, pixels.
    """
    figure, axes = plt.subplots(
        len(samples), 3, figsize=(7.2, 2.45 * len(samples)), squeeze=False, sharex=False
    )
    for row, (name, sample) in zip(axes, samples.items(), strict=True):
        image = sample.image[:, :crop_px, :crop_px]
        panel = sample.panel
        parts = nucleus_and_membrane(
            image, panel.compartment("nucleus"), panel.compartment("membrane")
        )
        for axis, plane in zip(row, parts, strict=False):
            axis.imshow(stretch(plane), cmap="gray", interpolation="nearest")
        row[2].imshow(composite(*parts), interpolation="nearest")
        _scale_bar(row[2], image.shape[1:], sample.um_per_px)
        for axis, title in zip(row, ("nucleus", "membrane", "both"), strict=True):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            axis.set_title(title, fontsize=9)
        row[0].set_ylabel(name, fontsize=9)
    return figure


@in_style
def label_panels(
    background: np.ndarray, labels: Mapping[str, np.ndarray], *, crop_px: int = 75
) -> Figure:
    """Draw an image beside label images of it, the top left of each.

    Parameters
    ----------
    background
        (H, W) image.
    labels
        (H, W) label image by title.
    crop_px
        Edge of what is shown, pixels.
    """
    figure, axes = plt.subplots(1, 1 + len(labels), figsize=(2.6 * (1 + len(labels)), 2.9))
    axes[0].imshow(stretch(background)[:crop_px, :crop_px], cmap="gray", interpolation="nearest")
    axes[0].set_title("image", fontsize=9)
    for axis, (title, image) in zip(axes[1:], labels.items(), strict=True):
        axis.imshow(colour_labels(image[:crop_px, :crop_px]), interpolation="nearest")
        axis.set_title(title, fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    return figure


@in_style
def draw_windows(
    background: np.ndarray, drawn: Sequence[Window], *, border_px: int, highlight: Sequence[int]
) -> Figure:
    """Draw where windows lie on an image, and what is scored of some of them.

    Parameters
    ----------
    background
        (H, W) image in 0 … 1.
    drawn
        All windows of the image.
    border_px
        Ignored border, pixels.
    highlight
        Positions of the windows whose scored part is filled.
    """
    figure, axis = plt.subplots(figsize=(5.4, 5.4))
    axis.imshow(background, cmap="gray", interpolation="nearest", vmax=1.6)
    for window in drawn:
        axis.add_patch(_square(window, edgecolor="white", linewidth=0.6, fill=False, alpha=0.7))
    for i, colour in zip(highlight, (SKY, GOLD, VERMILION, GREEN), strict=False):
        window = drawn[i]
        axis.add_patch(_square(window, edgecolor=colour, linewidth=2.2, fill=False))
        axis.add_patch(_square(window.shrink(border_px), facecolor=colour, alpha=0.45, linewidth=0))
        axis.text(
            window.x + window.size / 2,
            window.y + window.size / 2,
            str(i),
            color="white",
            fontsize=14,
            ha="center",
            va="center",
            weight="bold",
        )
    axis.set_xlabel("x (px)")
    axis.set_ylabel("y (px)")
    return figure


def _square(window: Window, **style: Any) -> Rectangle:
    return Rectangle((window.x - 0.5, window.y - 0.5), window.size, window.size, **style)


def borders(first: np.ndarray, second: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Overlay the cell borders of two masks: first blue, second gold, both white.

    Parameters
    ----------
    first, second
        (H, W) label images.
    background
        (H, W) image in 0 … 1, shown in grey.

    Returns
    -------
    numpy.ndarray
        (H, W, 3) float64 in 0 … 1.
    """
    rgb = np.repeat(background[..., None] * 0.75, 3, axis=-1)
    one = find_boundaries(first, mode="inner", connectivity=1)
    two = find_boundaries(second, mode="inner", connectivity=1)
    rgb[one] = mpl.colors.to_rgb(BLUE)
    rgb[two] = mpl.colors.to_rgb(GOLD)
    rgb[one & two] = (1, 1, 1)
    return rgb


def border_crops(
    cohorts: Mapping[str, Cohort], *, crop_px: int, strict: bool = False, most: int = 6
) -> dict[str, np.ndarray]:
    """Overlay the borders of pairs of annotators in the middle of a sample (the study's Figure 3).

    Parameters
    ----------
    cohorts
        Cohort by key. All pairs of its first sample are shown, then those of its next samples,
        until every cohort has had its share of ``most``.
    crop_px
        Edge of the crop, pixels.
    strict
        A pair of cells matches when IoU > t; when False, when IoU >= t.
    most
        Panels in all, at most.

    Returns
    -------
    dict
        (crop_px, crop_px, 3) overlay by title; the title prints the scores of the crop.
    """
    panels: dict[str, np.ndarray] = {}
    for key, cohort in cohorts.items():
        dna = cohort.panel.index(cohort_record(key).dna_channel)
        pairs = [(s, p) for s in cohort.ids for p in combinations(cohort.references_of(s), 2)]
        for sample, (first, second) in pairs[: max(1, most // len(cohorts))]:
            crop = _middle(sample, cohort.shape(sample), crop_px)
            one, two = (cohort.read_mask(sample, a)[crop] for a in (first, second))
            scores = evaluate(one, two, strict=strict)
            title = f"{sample}\n{first} / {second}\n" + ", ".join(
                f"{metric} {getattr(scores, metric):.2f}" for metric in METRICS
            )
            background = stretch(cohort.read_image(sample)[dna])[crop]
            panels[title] = borders(one, two, background)
    return panels


def model_crops(
    cohort: Cohort, sample: str, annotator: str | None, models: Iterable[str], *, crop_px: int
) -> dict[str, np.ndarray]:
    """Overlay an annotator's borders and every model's in the middle of a sample.

    Parameters
    ----------
    cohort
        A cohort of the manifest.
    sample, annotator
        Which image, and whose mask is drawn in blue; None for nobody's.
    models
        Keys; those without finished masks of whole images are left out.
    crop_px
        Edge of the crop, pixels; the whole of an image that is smaller.

    Returns
    -------
    dict
        (crop_px, crop_px, 3) overlay by title; the title prints the model's cells in the crop and,
        where there is an annotator, the crop's ap50 (IoU >= t).
    """
    crop = _middle(sample, cohort.shape(sample), min(crop_px, *cohort.shape(sample)))
    dna = cohort.panel.index(cohort_record(cohort.name).dna_channel)
    background = stretch(cohort.read_image(sample)[dna])[crop]
    drawn = None if annotator is None else cohort.read_mask(sample, annotator)[crop]
    reference = np.zeros(background.shape[:2], np.uint32) if drawn is None else drawn
    panels = {}
    for model in find_models(cohort.name, models, "whole"):
        labels = read_prediction(cohort.name, model, "whole", sample)[crop]
        scores = evaluate(reference, labels)
        ap50 = "" if drawn is None else f", ap50 {scores.ap50:.2f}"
        title = f"{model_record(model).title}\n{scores.n_pred} cells{ap50}"
        panels[title] = borders(reference, labels, background)
    return panels


def found_crops(
    cohort: Cohort, model: str, mode: str, *, crop_px: int, most: int = 3
) -> dict[str, np.ndarray]:
    """Draw a model's borders in the middle of some samples, or of the first windows of them.

    Parameters
    ----------
    cohort
        A cohort of the manifest, of which the model has finished masks.
    model, mode
        Which masks.
    crop_px
        Edge of the crop, pixels.
    most
        Panels, at most; one a sample.

    Returns
    -------
    dict
        (crop_px, crop_px, 3) overlay by title, which prints the cells in the crop.
    """
    dna = cohort.panel.index(cohort_record(cohort.name).dna_channel)
    panels: dict[str, np.ndarray] = {}
    for sample in cohort.ids:
        labels = read_prediction(cohort.name, model, mode, sample)
        if len(panels) == most or not labels.size:
            continue
        image = cohort.read_image(sample)[dna]
        if mode == "patch":  # the first window lies at the top left
            labels = labels[0]
            image = image[: labels.shape[0], : labels.shape[1]]
        height, width = labels.shape
        crop = _middle(sample, (height, width), min(crop_px, height, width))
        nothing = np.zeros_like(labels[crop])
        title = f"{sample}\n{count_cells(labels[crop])} cells"
        panels[title] = borders(nothing, labels[crop], stretch(image)[crop])
    return panels


def _middle(sample: str, shape: tuple[int, int], crop_px: int) -> tuple[slice, slice]:
    height, width = shape
    if crop_px > min(height, width):
        raise InputError(
            f"crop_px: {crop_px} px do not fit into sample {sample}, {height} x {width} px"
        )
    return Window((height - crop_px) // 2, (width - crop_px) // 2, crop_px).slices


@in_style
def border_panels(panels: Mapping[str, np.ndarray], *, enlarge: int = 6) -> Figure:
    """Show overlays side by side, every pixel enlarged without interpolation.

    Parameters
    ----------
    panels
        (H, W, 3) overlay by title, all of one shape. Where there is none, because every image is
        smaller than a window, the figure says so.
    enlarge
        Screen pixels a pixel of the image.
    """
    if not panels:
        figure, axis = plt.subplots(figsize=(4, 1))
        axis.set_axis_off()
        axis.text(0.5, 0.5, "nothing to show: no image has a window", ha="center", va="center")
        return figure
    height, width = next(iter(panels.values())).shape[:2]
    columns = 2 if len(panels) in (2, 4) else min(3, len(panels))
    rows = -(-len(panels) // columns)
    inches = width * enlarge / _SAVED_DPI
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(columns * (inches + 0.3), rows * (inches * height / width + 0.75)),
        squeeze=False,
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (title, overlay) in zip(axes.flat, panels.items(), strict=False):
        enlarged = overlay.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
        axis.imshow(enlarged, interpolation="none")
        axis.set_title(title, fontsize=8)
    return figure


def colour_labels(labels: np.ndarray) -> np.ndarray:
    """Colour a small label image: one colour an id, white background; (H, W, 3) float64."""
    palette = [mpl.colors.to_rgb(c) for c in (BLUE, GOLD, GREEN, VERMILION, SKY, PURPLE)]
    rgb = np.ones((*labels.shape, 3))
    for i, label in enumerate(np.unique(labels[labels > 0])):
        rgb[labels == label] = palette[i % len(palette)]
    return rgb


@in_style
def toy_cases(cases: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw tiny pairs of label images, truth above and prediction below.

    Parameters
    ----------
    cases
        ``(true, pred)`` by title.
    """
    figure, axes = plt.subplots(2, len(cases), figsize=(2.4 * len(cases), 2.1), squeeze=False)
    for column, (title, pair) in zip(axes.T, cases.items(), strict=True):
        for axis, labels, side in zip(column, pair, ("true", "pred"), strict=True):
            axis.pcolormesh(
                colour_labels(labels), edgecolors="#bbbbbb", linewidth=0.6, antialiased=True
            )
            axis.set_aspect("equal")
            axis.invert_yaxis()
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_ylabel(side)
        column[0].set_title(title, fontsize=9)
    return figure
