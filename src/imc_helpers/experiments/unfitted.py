"""What the phantom was not fitted to: how channels, cells and markers go together.

Each statistic has many items, such as pairs of channels. A phantom is held against regions of real
tissue by the mean absolute difference over the items, and that against the difference between
those regions and others of the same tissue: real tissue is not like itself either.
"""

from collections.abc import Mapping
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from imc_helpers.cells.contacts import touching_pairs
from imc_helpers.cells.expression import mean_intensities
from imc_helpers.cells.properties import cell_shapes
from imc_helpers.data.samples import Sample

BLOCK_UM = 4.0
"""Edge of the squares over which counts are averaged before channels are correlated, µm: single
pixels of 1 µm hold mostly counting noise."""
BANDS_UM = (2.0, 4.0, 8.0, 16.0, 32.0, 128.0)
"""Limits of the wavelengths whose share of the variance is taken, µm."""
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of areas and distances."""
NOT_MARKERS = ("ArAr80", "Ce140")
"""Channels that show the instrument."""
NUCLEAR = ("Ir191", "Ir193", "Yb176", "H3")
"""Channels of every nucleus, which tell no cell from another."""

STATISTICS: Mapping[str, str] = {
    "channels": "correlation between channels",
    "spectra": "share of variance per wavelength",
    "areas": "areas of cells (log)",
    "nearest": "nearest neighbours' distance (log)",
    "touching": "share of cells that touch",
    "markers": "co-expression of markers",
}
"""What is compared, in words."""


def unfitted_statistics(sample: Sample, labels: np.ndarray) -> pd.DataFrame:
    """Measure an image, and the cells that some method found in it.

    Parameters
    ----------
    sample
        Real or made. Channels go by their metal tags, since laboratories name one target in many
        ways.
    labels
        (H, W) cells; to compare images, by the same method in all of them.

    Returns
    -------
    pandas.DataFrame
        One row per item: ``statistic`` (a key of `STATISTICS`), ``item`` and ``value``:
        Pearson's correlations of arcsinh counts, over squares (``channels``) or cells
        (``markers``); shares; logarithms of quantiles of µm² and µm. NaN where there are too few
        cells, or no variance.
    """
    tags = [c.channel for c in sample.panel.channels if c.channel not in NOT_MARKERS]
    planes = sample.image[[sample.panel.index(tag) for tag in tags]]
    markers = [k for k, tag in enumerate(tags) if tag not in NUCLEAR]
    _, means = mean_intensities(planes, labels)
    found = {
        "channels": _correlations(_blocks(planes, sample.um_per_px), tags),
        "spectra": {
            f"{tag}, {low:g} to {high:g} µm": share
            for tag, plane in zip(tags, planes, strict=True)
            for (low, high), share in _spectrum(plane, sample.um_per_px).items()
        },
        **_of_cells(labels, sample.um_per_px),
        "markers": _correlations(means[:, markers], [tags[k] for k in markers]),
    }
    return pd.DataFrame(
        [
            {"statistic": statistic, "item": item, "value": value}
            for statistic, items in found.items()
            for item, value in items.items()
        ]
    )


def compare_unfitted(made: pd.DataFrame, aside: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Hold a phantom against real regions, and these against others of the same tissue.

    Parameters
    ----------
    made, aside, others
        What `unfitted_statistics` returns, of one image or several: of the phantom, of the real
        regions that it is held against, and of other real regions.

    Returns
    -------
    pandas.DataFrame
        One row per statistic: ``statistic``, ``items`` (that all three have), ``phantom`` and
        ``regions`` (mean absolute difference from ``aside``), ``ratio`` of the two, ``verdict``.
    """
    values = pd.concat(
        {
            name: table.groupby(["statistic", "item"])["value"].mean()
            for name, table in (("made", made), ("aside", aside), ("others", others))
        },
        axis=1,
    ).dropna()
    rows = []
    for statistic, own in values.groupby("statistic"):
        phantom = (own["made"] - own["aside"]).abs().mean()
        regions = (own["others"] - own["aside"]).abs().mean()
        ratio = phantom / regions if regions > 0 else np.nan
        rows.append((statistic, len(own), phantom, regions, ratio, verdict(ratio)))
    columns = ["statistic", "items", "phantom", "regions", "ratio", "verdict"]
    table = pd.DataFrame(rows, columns=columns)
    order = [statistic for statistic in STATISTICS if statistic in set(table["statistic"])]
    return table.set_index("statistic").loc[order].reset_index()


def verdict(ratio: float) -> str:
    """Say how far a phantom is from real regions, in units of how far other real regions are."""
    if np.isnan(ratio):
        return "–"
    if ratio <= 1:
        return "as near as another region"
    return "farther than another region" if ratio <= 2 else "unlike"


def _blocks(planes: np.ndarray, um_per_px: float) -> np.ndarray:
    """Return the mean counts of squares, those cut by the frame left out: (N, C)."""
    side = max(1, round(BLOCK_UM / um_per_px))
    height, width = (side * (n // side) for n in planes.shape[1:])
    squares = planes[:, :height, :width].reshape(
        len(planes), height // side, side, width // side, side
    )
    return squares.mean(axis=(2, 4)).reshape(len(planes), -1).T


def _correlations(counts: np.ndarray, tags: list[str]) -> dict[str, float]:
    """Correlate the arcsinh of every two columns."""
    x = np.arcsinh(counts.astype(float))
    x = x - x.mean(axis=0) if len(x) else x
    norm = np.sqrt((x**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = x.T @ x / np.outer(norm, norm)
    return {
        " × ".join(sorted((tags[i], tags[j]))): float(found[i, j])
        for i, j in combinations(range(len(tags)), 2)
    }


def _spectrum(plane: np.ndarray, um_per_px: float) -> dict[tuple[float, float], float]:
    """Return the share of the variance of arcsinh counts in bands of wavelengths."""
    x = np.arcsinh(plane.astype(float))
    power = np.abs(np.fft.fft2(x - x.mean())) ** 2
    axes = [np.fft.fftfreq(n, um_per_px) for n in plane.shape]
    frequency = np.hypot(axes[0][:, None], axes[1][None])
    within = {
        (low, high): float(power[(frequency > 1 / high) & (frequency <= 1 / low)].sum())
        for low, high in pairwise(BANDS_UM)
    }
    total = sum(within.values())
    return {band: part / total if total else np.nan for band, part in within.items()}


def _of_cells(labels: np.ndarray, um_per_px: float) -> dict[str, dict[str, float]]:
    """Describe sizes and distances of cells; those that the frame cuts have their visible area."""
    shapes = cell_shapes(labels)
    areas = np.log(shapes["area"].to_numpy() * um_per_px**2)
    centres = shapes[["centroid-0", "centroid-1"]].to_numpy() * um_per_px
    near = np.log(KDTree(centres).query(centres, 2)[0][:, 1]) if len(centres) > 1 else np.zeros(0)
    touching = np.isin(shapes.index, touching_pairs(labels)[0])
    return {
        "areas": _quantiles(areas),
        "nearest": _quantiles(near),
        "touching": {"share": float(touching.mean()) if len(touching) else np.nan},
    }


def _quantiles(values: np.ndarray) -> dict[str, float]:
    found = np.quantile(values, QUANTILES) if len(values) else np.full(len(QUANTILES), np.nan)
    return {f"{q:.0%}": float(value) for q, value in zip(QUANTILES, found, strict=True)}
