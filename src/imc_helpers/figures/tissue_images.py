"""Images of tissue, of the masks on it and of the windows on it.

A mask is drawn as the edges of its cells: lines along the sides of pixels, so that a line is where
the mask changes, as thin as a pen, and covers no pixel.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, cycle
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from skimage.transform import downscale_local_mean

from imc_helpers.aggregation import aggregate, nucleus_and_membrane, scale_percentiles
from imc_helpers.cells.counts import count_cells
from imc_helpers.data.manifest import cohort_record
from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.figures.names import channel_name, cohort_name, model_name, rater_name, sample_name
from imc_helpers.figures.page import (
    BLUE,
    GOLD,
    GREEN,
    NARROW,
    PHONE,
    PURPLE,
    SKY,
    VERMILION,
    in_dark_style,
    in_style,
    wrapped,
)
from imc_helpers.metrics import evaluate
from imc_helpers.patching import Window

_BAR_LENGTHS_UM = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_GAP_IN = 0.03
"""Half of the gap between two panels, inches."""
_LINE_IN = 0.17
"""Height of a line of a heading, inches."""
_MOST_PX = 512
"""A whole image is drawn with so many pixels across at most: more are not seen."""


@dataclass(frozen=True)
class Overlay:
    """A piece of tissue with the cells of one mask or of two."""

    image: np.ndarray
    """(H, W) image in 0 … 1."""
    um_per_px: float
    """Edge of a pixel, µm."""
    where: str
    """Name of the piece; it is shown bare before the first overlay that bears its name."""
    masks: Mapping[str, np.ndarray]
    """(H, W) label image by name, two at most: the first is drawn blue, the second gold."""
    note: str = ""
    """What stands in the corner, a score for instance."""


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
    return _two_colours(np.stack([stretch(nucleus), stretch(membrane)]))


def _two_colours(planes: np.ndarray) -> np.ndarray:
    """Colour planes (2, H, W) of 0 to 1: the first blue, the second gold."""
    colours = np.array([mpl.colors.to_rgb(SKY), mpl.colors.to_rgb(GOLD)])
    return np.clip(np.moveaxis(planes, 0, -1) @ colours, 0, 1)


def field_px(field_um: float, um_per_px: float, shape: tuple[int, ...]) -> int:
    """Return the edge in pixels of a square field, or of the whole where the image is smaller."""
    return min(round(field_um / um_per_px), *shape[-2:])


def middle(shape: tuple[int, ...], edge_px: int) -> tuple[slice, slice]:
    """Return the square of so many pixels in the middle of an image."""
    height, width = shape[-2:]
    return Window((height - edge_px) // 2, (width - edge_px) // 2, edge_px).slices


def cell_edges(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the sides of pixels at which a label image changes.

    Parameters
    ----------
    labels
        (H, W) integers.

    Returns
    -------
    tuple of numpy.ndarray
        (H, W - 1) bool, whether a pixel and the one to its right have different labels; and
        (H - 1, W), whether it and the one below have. The border of the image is no edge: a cell
        that it cuts goes on beyond it.
    """
    return labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]


def edge_path(upright: np.ndarray, level: np.ndarray) -> Path:
    """Draw edges as straight lines, each as long as it runs.

    Parameters
    ----------
    upright, level
        What `cell_edges` returns.

    Returns
    -------
    matplotlib.path.Path
        Lines in the coordinates of pixels, whose centres are at whole numbers.
    """
    column, top, bottom = _runs(upright.T)
    row, left, right = _runs(level)
    starts = np.r_[np.c_[column + 0.5, top - 0.5], np.c_[left - 0.5, row + 0.5]]
    stops = np.r_[np.c_[column + 0.5, bottom - 0.5], np.c_[right - 0.5, row + 0.5]]
    points = np.stack([starts, stops], axis=1).reshape(-1, 2)
    codes = np.tile([Path.MOVETO, Path.LINETO], len(starts)).astype(Path.code_type)
    return Path(points, codes)


def _runs(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return line, start and end (one past the last) of every run of True along the lines."""
    steps = np.diff(np.pad(lines, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    line, start = np.nonzero(steps == 1)
    return line, start, np.nonzero(steps == -1)[1]


def draw_cells(axis: Axes, masks: Sequence[np.ndarray], *, linewidth: float = 1.1) -> None:
    """Draw the edges of one mask or two: blue, then gold, and white where both have the same.

    Parameters
    ----------
    axis
        Axes that show an image of the same pixels.
    masks
        One or two (H, W) label images.
    linewidth
        Points.
    """
    edges = [cell_edges(mask) for mask in masks]
    for (upright, level), colour in zip(edges, (SKY, GOLD), strict=False):
        draw_edges(axis, edge_path(upright, level), colour, linewidth)
    if len(edges) > 1:
        (one_upright, one_level), (two_upright, two_level) = edges
        both = edge_path(one_upright & two_upright, one_level & two_level)
        draw_edges(axis, both, "white", linewidth)


def draw_edges(axis: Axes, path: Path, colour: str, linewidth: float) -> None:
    """Draw what `edge_path` returns on axes that show an image of the same pixels."""
    axis.add_patch(
        PathPatch(path, fill=False, edgecolor=colour, linewidth=linewidth, capstyle="round")
    )


def show_plane(axis: Axes, plane: np.ndarray) -> None:
    """Show an image pixel by pixel: grey where it has one value a pixel, else in its colours."""
    axis.imshow(plane, cmap="gray", vmin=0, vmax=1, interpolation="none")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def scale_bar(
    axis: Axes, shape: tuple[int, ...], um_per_px: float, *, ink: str = "white", rim: str = "black"
) -> None:
    """Draw a bar with its length: the longest round one that takes little more than a third.

    Parameters
    ----------
    axis
        Axes that show an image.
    shape
        Shape of that image, pixels.
    um_per_px
        Edge of a pixel, µm.
    ink, rim
        Colours of the bar and its length, and of the rim that sets them off from the image.
    """
    height, width = shape[:2]
    lengths = [length for length in _BAR_LENGTHS_UM if length <= 0.35 * width * um_per_px]
    bar_um = max(lengths, default=_BAR_LENGTHS_UM[0])
    x, y = width * 0.04, height * 0.94
    axis.plot(
        [x, x + bar_um / um_per_px],
        [y, y],
        color=ink,
        linewidth=3,
        solid_capstyle="butt",
        path_effects=[withStroke(linewidth=5, foreground=rim)],
        scalex=False,
        scaley=False,
    )
    axis.text(
        x,
        y - height * 0.025,
        f"{bar_um:g} µm",
        color=ink,
        va="bottom",
        path_effects=[withStroke(linewidth=2.5, foreground=rim)],
    )


def square_panels(
    panels: int, columns: int, edge: float, *, lines: int
) -> tuple[Figure, list[Axes]]:
    """Make square panels in rows, without axes.

    Parameters
    ----------
    panels, columns
        How many, and how many in a row at most.
    edge
        Edge of a panel with the gap around it, inches.
    lines
        Lines of the heading above each.
    """
    heading_in = lines * _LINE_IN + 0.04
    across = min(columns, panels)
    rows, side = -(-panels // across), edge - 2 * _GAP_IN
    size = (edge * across, (edge + heading_in) * rows)
    figure = plt.figure(figsize=size, layout="none")
    axes = []
    for number in range(panels):
        row, column = divmod(number, across)
        left, top = column * edge + _GAP_IN, row * (edge + heading_in) + heading_in
        corner = (left / size[0], 1 - (top + side) / size[1])
        axes.append(figure.add_axes((*corner, side / size[0], side / size[1])))
    return figure, axes


@in_dark_style
def overlay_panels(overlays: Sequence[Overlay], *, width: float) -> Figure:
    """Show pieces of tissue, each bare and then with the cells of each overlay.

    Parameters
    ----------
    overlays
        One or more; those of one piece follow one another. Where there is none, because every image
        is smaller than a window, the figure says so.
    width
        Width of the figure, inches.
    """
    if not overlays:
        figure, axis = plt.subplots(figsize=(PHONE, 0.6))
        axis.set_axis_off()
        axis.text(0.5, 0.5, "nothing to show: no image has a window", ha="center", va="center")
        return figure
    places = [overlay.where for overlay in overlays]
    panels: list[tuple[Overlay, bool]] = []
    for number, overlay in enumerate(overlays):
        if overlay.where not in places[:number]:
            panels.append((overlay, True))
        panels.append((overlay, False))
    few = 4 if len(panels) in (4, 7, 8) or len(panels) > 9 else 3
    columns = 2 if width < NARROW else few
    figure, axes = square_panels(len(panels), columns, width / columns, lines=2)
    for axis, (overlay, bare) in zip(axes, panels, strict=True):
        show_plane(axis, overlay.image if bare else 0.75 * overlay.image)
        if bare:
            scale_bar(axis, overlay.image.shape, overlay.um_per_px)
            heading(axis, [(line, "white") for line in overlay.where.splitlines()])
        else:
            draw_cells(axis, list(overlay.masks.values()))
            heading(axis, list(zip(overlay.masks, (SKY, GOLD), strict=False)))
            _corner(axis, overlay.note)
    return figure


@in_dark_style
def pixel_panels(
    true: np.ndarray, found: Mapping[str, np.ndarray], um_per_px: float, *, width: float
) -> Figure:
    """Colour each pixel by whether a mask is right about it, as Bird et al. 2024 do (figure 3).

    Pink is cell in both, black in neither, blue in the mask alone, gold in the truth alone.

    Parameters
    ----------
    true
        (H, W), anything but 0 is cell.
    found
        (H, W) of each mask, by the heading of its panel, which may have two lines.
    um_per_px
        Edge of a pixel, µm.
    width
        Width of the figure, inches.
    """
    colours = np.array([mpl.colors.to_rgb(name) for name in ("black", BLUE, GOLD, PURPLE)])
    columns = min(2 if width < NARROW else 4, len(found))
    figure, axes = square_panels(len(found), columns, width / columns, lines=2)
    for number, (axis, (name, mask)) in enumerate(zip(axes, found.items(), strict=True)):
        show_plane(axis, colours[2 * (true > 0) + (mask > 0)])
        heading(axis, [(line, "white") for line in name.splitlines()])
        if number == 0:
            scale_bar(axis, true.shape, um_per_px)
    return figure


@in_dark_style
def patch_panels(patches: Mapping[str, np.ndarray], um_per_px: float, *, width: float) -> Figure:
    """Draw patches side by side as they are, none stretched, so that a change of contrast shows.

    Parameters
    ----------
    patches
        By title: (2, H, W), nuclei (blue) and cells (gold), or (H, W); 0 to 1.
    um_per_px
        Edge of a pixel, µm.
    width
        Width of the figure, inches.
    """
    columns = min(2 if width < NARROW else 4, len(patches))
    figure, axes = square_panels(len(patches), columns, width / columns, lines=1)
    for axis, (name, patch) in zip(axes, patches.items(), strict=True):
        show_plane(axis, _two_colours(patch) if patch.ndim == 3 else patch)
        heading(axis, [(name, "white")])
    scale_bar(axes[0], next(iter(patches.values())).shape[-2:], um_per_px)
    return figure


def heading(axis: Axes, lines: Sequence[tuple[str, str]]) -> None:
    """Write lines above a panel, each with its colour, the last one next to it."""
    for number, (text, colour) in enumerate(reversed(lines)):
        axis.annotate(
            text,
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, 3 + 72 * _LINE_IN * number),
            textcoords="offset points",
            color=colour,
        )


def _corner(axis: Axes, text: str) -> None:
    axis.text(
        0.97,
        0.03,
        text,
        transform=axis.transAxes,
        ha="right",
        va="bottom",
        bbox={"facecolor": "black", "alpha": 0.7, "linewidth": 0, "pad": 2} if text else None,
    )


def _dna(cohort: Cohort, sample: str) -> np.ndarray:
    """Return the DNA channel of a whole sample, stretched."""
    dna = cohort.panel.index(cohort_record(cohort.name).dna_channel)
    return stretch(cohort.read_image(sample)[dna])


def annotator_overlays(
    cohorts: Mapping[str, Cohort], *, field_um: float, strict: bool = False, most: int = 6
) -> list[Overlay]:
    """Set pairs of annotators beside one another in the middle of a sample (the study's Figure 3).

    Parameters
    ----------
    cohorts
        Cohort by key. All pairs of its first sample are shown, then those of its next samples,
        until every cohort has had its share of ``most``.
    field_um
        Edge of the field, µm.
    strict
        A pair of cells matches when IoU > t; when False, when IoU >= t.
    most
        Overlays in all, at most.

    Returns
    -------
    list of Overlay
        Each with the ap50 of its field.
    """
    overlays = []
    for key, cohort in cohorts.items():
        pairs = [(s, p) for s in cohort.ids for p in combinations(cohort.references_of(s), 2)]
        for sample, pair in pairs[: max(1, most // len(cohorts))]:
            shape, um_per_px = cohort.shape(sample), cohort.um_per_px(sample)
            crop = middle(shape, field_px(field_um, um_per_px, shape))
            masks = {rater_name(name): cohort.read_mask(sample, name)[crop] for name in pair}
            ap50 = evaluate(*masks.values(), strict=strict).ap50
            where = f"{cohort_name(key)}\n{sample_name(sample, key)}"
            image = _dna(cohort, sample)[crop]
            overlays.append(Overlay(image, um_per_px, where, masks, f"ap50 {ap50:.2f}"))
    return overlays


def drawing_overlays(cohort: Cohort, *, strict: bool = False, crops: int = 3) -> list[Overlay]:
    """Set what two annotators drew beside what software extended from their drawings.

    Parameters
    ----------
    cohort
        One whose annotators drew crops by hand.
    strict
        A pair of cells matches when IoU > t; when False, when IoU >= t.
    crops
        Number of crops, each with another pair of annotators.

    Returns
    -------
    list of Overlay
        Two for each crop, or none where no crop was drawn by two.
    """
    places = [
        (sample, crop, pair)
        for sample, windows in cohort.crops.items()
        for crop, pair in zip(windows, cycle([*combinations(cohort.drawn_by(sample), 2)]))
    ]
    overlays = []
    for number, (sample, crop, pair) in enumerate(places[:crops]):
        image = _dna(cohort, sample)[crop.slices]
        where = f"{cohort_name(cohort.name)}\ncrop {number + 1}"
        for how, read in (("drawn", cohort.read_drawn), ("extended", cohort.read_mask)):
            masks = {rater_name(name): read(sample, name)[crop.slices] for name in pair}
            note = f"{how}, ap50 {evaluate(*masks.values(), strict=strict).ap50:.2f}"
            overlays.append(Overlay(image, cohort.um_per_px(sample), where, masks, note))
    return overlays


def model_overlays(
    cohort: Cohort, sample: str, annotator: str | None, models: Iterable[str], *, field_um: float
) -> list[Overlay]:
    """Set every model beside an annotator in the middle of a sample.

    Parameters
    ----------
    cohort
        A cohort of the manifest.
    sample, annotator
        Which image, and whose mask is drawn first; None for nobody's.
    models
        Keys; those without finished masks of whole images are left out.
    field_um
        Edge of the field, µm; the whole of an image that is smaller.

    Returns
    -------
    list of Overlay
        Each with the model's cells in the field and, where there is an annotator, its ap50
        (IoU >= t).
    """
    um_per_px, shape = cohort.um_per_px(sample), cohort.shape(sample)
    crop = middle(shape, field_px(field_um, um_per_px, shape))
    image = _dna(cohort, sample)[crop]
    where = f"{cohort_name(cohort.name)}\n{sample_name(sample, cohort.name)}"
    drawn = {} if annotator is None else {annotator: cohort.read_mask(sample, annotator)[crop]}
    overlays = []
    for model in find_models(cohort.name, models, "whole"):
        found = read_prediction(cohort.name, model, "whole", sample)[crop]
        note = f"{count_cells(found)} cells"
        for reference in drawn.values():
            note += f", ap50 {evaluate(reference, found).ap50:.2f}"
        masks = {rater_name(name): mask for name, mask in drawn.items()} | {
            model_name(model): found
        }
        overlays.append(Overlay(image, um_per_px, where, masks, note))
    return overlays


def found_overlays(
    cohort: Cohort, model: str, mode: str, *, field_um: float, most: int = 3
) -> list[Overlay]:
    """Draw a model's cells in the middle of some samples, or of the first windows of them.

    Parameters
    ----------
    cohort
        A cohort of the manifest, of which the model has finished masks.
    model, mode
        Which masks.
    field_um
        Edge of the field, µm.
    most
        Overlays, at most; one per sample.

    Returns
    -------
    list of Overlay
        Each with the number of cells in its field.
    """
    overlays: list[Overlay] = []
    for sample in cohort.ids:
        found = read_prediction(cohort.name, model, mode, sample)
        if len(overlays) == most or not found.size:
            continue
        image, um_per_px = _dna(cohort, sample), cohort.um_per_px(sample)
        if mode == "patch":  # the first window lies at the top left
            found = found[0]
            image = image[: found.shape[0], : found.shape[1]]
        crop = middle(found.shape, field_px(field_um, um_per_px, found.shape))
        where = f"{cohort_name(cohort.name)}\n{sample_name(sample, cohort.name)}"
        masks, note = {model_name(model): found[crop]}, f"{count_cells(found[crop])} cells"
        overlays.append(Overlay(image[crop], um_per_px, where, masks, note))
    return overlays


@in_dark_style
def gallery(samples: Mapping[str, Sample], *, field_um: float, width: float) -> Figure:
    """Draw the top left of one sample of each cohort, nucleus blue and membrane gold.

    Parameters
    ----------
    samples
        Sample by title.
    field_um
        Edge of what is shown, µm; the whole of an image that is smaller.
    width
        Width of the figure, inches.
    """
    columns = 2 if width < NARROW else 3
    figure, axes = square_panels(len(samples), columns, width / columns, lines=1)
    for axis, (title, sample) in zip(axes, samples.items(), strict=True):
        parts = _compartments(sample, field_um)
        show_plane(axis, composite(*parts))
        heading(axis, [(title, "white")])
        scale_bar(axis, parts[0].shape, sample.um_per_px)
    return figure


def _compartments(sample: Sample, field_um: float) -> np.ndarray:
    """Return the nucleus and the membrane channel of the top left of a sample, (2, H, W)."""
    edge, panel = field_px(field_um, sample.um_per_px, sample.shape), sample.panel
    return nucleus_and_membrane(
        sample.image[:, :edge, :edge], panel.compartment("nucleus"), panel.compartment("membrane")
    )


@in_dark_style
def aggregate_and_parts(
    sample: Sample, compartment: str, *, field_um: float, width: float
) -> Figure:
    """Draw an aggregate beside the channels that enter it, each stretched on its own.

    Parameters
    ----------
    sample
        Its panel says which channels enter.
    compartment
        ``"nucleus"`` or ``"membrane"``.
    field_um
        Edge of what is shown, µm; the whole of an image that is smaller.
    width
        Width of the figure, inches.
    """
    edge = field_px(field_um, sample.um_per_px, sample.shape)
    positions, image = sample.panel.compartment(compartment), sample.image[:, :edge, :edge]
    planes = {f"Mean ({compartment})": aggregate(image, positions)}
    planes |= {channel_name(sample.panel.channels[i]): image[i] for i in positions}
    columns = 2 if width < NARROW else 4
    figure, axes = square_panels(len(planes), columns, width / columns, lines=1)
    for axis, (name, plane) in zip(axes, planes.items(), strict=True):
        show_plane(axis, stretch(plane))
        heading(axis, [(name, "white")])
    scale_bar(axes[0], (edge, edge), sample.um_per_px)
    return figure


@in_dark_style
def aggregates(samples: Mapping[str, Sample], *, field_um: float, width: float) -> Figure:
    """Draw nucleus channel, membrane channel and both in colour, a row per sample.

    Parameters
    ----------
    samples
        Sample by the name of its row.
    field_um
        Edge of what is shown, µm; the whole of an image that is smaller.
    width
        Width of the figure, inches.
    """
    edge = min(width / 3, 1.85)  # every sample takes a row, so that large ones make a long page
    figure, axes = square_panels(3 * len(samples), 3, edge, lines=2)
    for row, (name, sample) in enumerate(samples.items()):
        parts = _compartments(sample, field_um)
        planes = {
            "Nucleus": stretch(parts[0]),
            "Membrane": stretch(parts[1]),
            "Both": composite(*parts),
        }
        three = axes[3 * row : 3 * row + 3]
        for axis, (title, plane) in zip(three, planes.items(), strict=True):
            show_plane(axis, plane)
            heading(axis, [(name if axis is three[0] else "", "white"), (title, "white")])
        scale_bar(three[2], parts[0].shape, sample.um_per_px)
    return figure


@in_dark_style
def seen_and_found(
    planes: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray],
    *,
    um_per_px: float,
    field_um: float,
    width: float,
) -> Figure:
    """Draw the planes that a model saw, and what it found over the first of them.

    Parameters
    ----------
    planes
        (H, W) plane by title; each is stretched on its own.
    masks
        (H, W) label image of an annotator and of the model, by name.
    um_per_px
        Edge of a pixel, µm.
    field_um
        Edge of the part from the top left that is drawn, µm.
    width
        Width of the figure, inches.
    """
    edge = field_px(field_um, um_per_px, next(iter(planes.values())).shape)
    part = (slice(edge), slice(edge))
    shown = {name: stretch(plane[part]) for name, plane in planes.items()}
    columns = 2 if width < NARROW else 3
    figure, axes = square_panels(len(shown) + 1, columns, width / columns, lines=2)
    for axis, (name, plane) in zip(axes, shown.items(), strict=False):
        show_plane(axis, plane)
        heading(axis, [(name, "white")])
    scale_bar(axes[0], (edge, edge), um_per_px)
    last = axes[len(shown)]
    show_plane(last, 0.75 * next(iter(shown.values())))
    draw_cells(last, [mask[part] for mask in masks.values()])
    heading(last, list(zip(masks, (SKY, GOLD), strict=False)))
    return figure


@in_dark_style
def draw_windows(
    background: np.ndarray,
    drawn: Sequence[Window],
    *,
    border_px: int,
    highlight: Sequence[int],
    width: float,
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
    width
        Width of the figure, inches.
    """
    height_px, width_px = background.shape
    edge = min(width, 5.4)
    figure, axis = plt.subplots(figsize=(edge, edge * min(1, height_px / width_px) + 0.3))
    coarse = max(1, max(background.shape) // _MOST_PX)
    image = downscale_local_mean(background, (coarse, coarse))
    around = (-0.5, image.shape[1] * coarse - 0.5, image.shape[0] * coarse - 0.5, -0.5)
    axis.imshow(image, cmap="gray", interpolation="none", vmin=0, vmax=1.6, extent=around)
    axis.set_xlim(-0.5, width_px - 0.5)
    axis.set_ylim(height_px - 0.5, -0.5)
    for window in drawn:
        axis.add_patch(_square(window, edgecolor="white", linewidth=0.6, fill=False, alpha=0.7))
    for i, colour in zip(highlight, (SKY, GOLD, VERMILION, GREEN), strict=False):
        window = drawn[i]
        axis.add_patch(_square(window, edgecolor=colour, linewidth=2.2, fill=False))
        axis.add_patch(_square(window.shrink(border_px), facecolor=colour, alpha=0.45, linewidth=0))
        # In a corner of its own: overlapping windows share their middles with the grid's lines.
        axis.text(
            window.x + border_px + 8,
            window.y + border_px + 8,
            str(i + 1),
            fontsize=13,
            ha="left",
            va="top",
            weight="bold",
            path_effects=[withStroke(linewidth=3, foreground="black")],
        )
    axis.set_xlabel("x (px)")
    axis.set_ylabel("y (px)")
    return figure


def _square(window: Window, **style: Any) -> Rectangle:
    return Rectangle((window.x - 0.5, window.y - 0.5), window.size, window.size, **style)


def colour_labels(labels: np.ndarray) -> np.ndarray:
    """Colour a small label image: one colour per id, white background; (H, W, 3) float64."""
    palette = [mpl.colors.to_rgb(c) for c in (BLUE, GOLD, GREEN, VERMILION, SKY, PURPLE)]
    rgb = np.ones((*labels.shape, 3))
    for i, label in enumerate(np.unique(labels[labels > 0])):
        rgb[labels == label] = palette[i % len(palette)]
    return rgb


@in_style
def toy_cases(cases: Mapping[str, tuple[np.ndarray, np.ndarray]], *, width: float) -> Figure:
    """Draw tiny pairs of label images, truth above and prediction below.

    Parameters
    ----------
    cases
        ``(true, pred)`` by title.
    width
        Width of the figure, inches.
    """
    columns = min(len(cases), 2 if width < NARROW else 4)
    rows = -(-len(cases) // columns)
    figure = plt.figure(figsize=(width, 1.45 * rows))
    blocks = figure.subfigures(rows, columns, squeeze=False)
    for block, (title, pair) in zip(blocks.flat, cases.items(), strict=False):
        block.suptitle(wrapped([title], width, narrow=20)[0], fontsize=9)
        for axis, labels, side in zip(block.subplots(2, 1), pair, ("true", "pred"), strict=True):
            axis.pcolormesh(
                colour_labels(labels), edgecolors="#999999", linewidth=0.6, antialiased=True
            )
            axis.set_aspect("equal")
            axis.invert_yaxis()
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            axis.set_ylabel(side, rotation=0, ha="right", va="center")
    return figure
