"""Imaging: from a tissue to ion counts, as imaging mass cytometry makes them.

Expression per cell and marker, spread over outline, cytoplasm and nucleus; blurred by the laser's
spot and by the wash-out of the plume along the scan; spilled into neighbouring masses; multiplied
by a drifting gain; counted (Poisson); and struck by hot pixels.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from imc_helpers.data.panels import Panel
from imc_helpers.errors import InputError
from imc_helpers.images.rounding import on_grid
from imc_helpers.phantom._random import generator, smooth_field
from imc_helpers.phantom.markers import MARKERS, Marker
from imc_helpers.phantom.tissue import Tissue


@dataclass(frozen=True)
class ImagingParameters:
    """How the instrument sees.

    The defaults were fitted to the open spleen cohort (Spectre, commit 28f9dfb): blur and wash-out
    to the correlation of neighbouring pixels down and along the rows, flicker and drift to the
    argon dimer's channel, hot pixels to Ce140, spillover to CD20 (Dy161) in CD8a (Dy162) and to
    aSMA (Pr141) in Ce140.
    """

    spot_sigma_um: float = 0.55
    """Point spread of the laser's 1 um spot: standard deviation of a Gaussian, micrometres."""
    wash_out: float = 0.06
    """Share of a pixel's ions that arrive while the next pixel of the row is shot."""
    sensitivity: float = 1.0
    """Scales the ions of every channel but the plasma gas: staining and detector of a run."""
    flicker: float = 0.038
    """Relative spread of the gain from shot to shot, shared by the channels."""
    drift: float = 0.012
    """Relative spread of the slow gain drift over an image."""
    drift_rows: float = 30.0
    """Time scale of the drift, rows."""
    hot_rate: float = 1e-4
    """Hot pixels per pixel and channel."""
    hot_counts: float = 30.0
    """Median ions of a hot pixel; the logarithm's standard deviation is 1.1."""
    spill_plus_one: float = 0.025
    """Share of a metal's ions counted one mass higher (isotopic impurity, abundance tail)."""
    spill_minus_one: float = 0.001
    """Share counted one mass lower."""
    spill_oxide: float = 0.008
    """Share counted sixteen masses higher, as the metal's oxide."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name}: expected 0 or more, found {value}")
        if self.wash_out >= 1:
            raise InputError(f"wash_out: expected a share below 1, found {self.wash_out}")
        if self.spill_plus_one + self.spill_minus_one + self.spill_oxide >= 1:
            raise InputError("spillover: its three shares must sum to less than 1")
        if self.drift_rows < 1:
            raise InputError(f"drift_rows: expected at least one row, found {self.drift_rows}")


_HOT_SD = 1.1
_GASES = ("ArAr80",)
"""Channels whose ions come with the plasma gas and not from the section."""


def mass_number(metal: str) -> int:
    """Return the mass number of a metal tag: 191 for ``"Ir191"``.

    Raises
    ------
    InputError
        If the tag does not end in a number.
    """
    found = re.search(r"(\d+)$", metal)
    if found is None:
        raise InputError(f"channel {metal!r}: expected a metal tag such as 'Ir191', with its mass")
    return int(found.group(1))


def spillover_matrix(panel: Panel, parameters: ImagingParameters) -> np.ndarray:
    """Return the mixing matrix: entry (i, j) is the share of channel i's ions counted in channel j.

    A metal spills one mass up, one mass down and, as its oxide, sixteen masses up; what would fall
    on a mass that the panel does not record is lost (Chevrier et al. 2018,
    doi:10.1016/j.cels.2018.02.010, describes the three sources).

    Returns
    -------
    numpy.ndarray
        (C, C) float64; no row sums to more than 1.
    """
    masses = np.array([mass_number(channel.channel) for channel in panel.channels])
    step = masses[None, :] - masses[:, None]
    matrix = np.zeros(step.shape)
    for mass, share in (
        (1, parameters.spill_plus_one),
        (-1, parameters.spill_minus_one),
        (16, parameters.spill_oxide),
    ):
        matrix[step == mass] = share
    gas = [channel.name in _GASES for channel in panel.channels]
    matrix[gas] = 0
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    return matrix


def image_tissue(
    tissue: Tissue,
    panel: Panel,
    parameters: ImagingParameters,
    seed: int,
    markers: Mapping[str, Marker] = MARKERS,
) -> np.ndarray:
    """Image a tissue with a panel.

    Parameters
    ----------
    tissue
        The section.
    panel
        The channels: ``name`` is a marker, ``channel`` a metal tag with its mass.
    parameters
        How the instrument sees.
    seed
        The same seed gives the same counts. A channel's noise does not depend on the rest of the
        panel.
    markers
        The markers that the panel may name.

    Returns
    -------
    numpy.ndarray
        (C, H, W) float32 ion counts: whole numbers.

    Raises
    ------
    InputError
        If the panel names a marker that is not known, a tag without a mass, or two channels of one
        mass; or if a marker names a cell type that the tissue does not know.
    """
    for channel in panel.channels:
        if channel.name not in markers:
            raise InputError(
                f"panel: unknown channel {channel.name!r}; known: {', '.join(sorted(markers))}"
            )
    masses = [mass_number(channel.channel) for channel in panel.channels]
    if len(set(masses)) < len(masses):
        raise InputError(f"panel: two channels have the same mass; found {sorted(masses)}")

    height, width = tissue.cells.shape
    shape = (height, width)
    outline, nucleus = places_in_cells(tissue)
    levels = cell_levels(tissue, panel, seed, markers)
    expected = np.empty((len(masses), height, width), np.float32)
    for k, channel in enumerate(panel.channels):
        marker = markers[channel.name]
        stain = marker.stain or channel.name
        plane = np.zeros(shape, np.float32)
        if marker.counts:
            within = np.float32(marker.where.cytoplasm) * (1 - nucleus)
            where = np.where(outline, np.float32(marker.where.membrane), within)
            where += np.float32(marker.where.nucleus) * nucleus
            plane = spread(levels[k][tissue.cells] * where, parameters, tissue.um_per_px)
        plane += np.float32(marker.background)
        if marker.grain > 0:
            noise = generator(seed, "grain", stain).standard_normal(shape, dtype=np.float32)
            plane *= np.exp(np.float32(marker.grain) * noise - np.float32(marker.grain**2 / 2))
        expected[k] = plane * np.float32(1.0 if channel.name in _GASES else parameters.sensitivity)

    gain = _gain(shape, parameters, generator(seed, "gain"))
    mixing = spillover_matrix(panel, parameters)
    counts = np.empty_like(expected)
    for j, mass in enumerate(masses):
        received = np.zeros(shape, np.float64)
        # Few entries differ from 0, and a sum in a fixed order is the same on every machine.
        for i in np.flatnonzero(mixing[:, j]):
            received += mixing[i, j] * expected[i]
        rng = generator(seed, "counts", str(mass))
        counts[j] = rng.poisson(on_grid(received * gain))
        hot = rng.random(shape, dtype=np.float32) < parameters.hot_rate
        burst = parameters.hot_counts * np.exp(_HOT_SD * rng.standard_normal(int(hot.sum())))
        counts[j, hot] += np.rint(burst)
    return counts


def places_in_cells(tissue: Tissue) -> tuple[np.ndarray, np.ndarray]:
    """Return where cells have their outline and their nucleus.

    Returns
    -------
    tuple of numpy.ndarray
        (H, W) bool: the pixels of a cell that touch another cell or the background, side by side;
        and (H, W) float32: the share of the section's thickness that is nucleus.
    """
    cells = tissue.cells
    outline = np.zeros(cells.shape, bool)
    down = cells[1:] != cells[:-1]
    right = cells[:, 1:] != cells[:, :-1]
    outline[1:] |= down
    outline[:-1] |= down
    outline[:, 1:] |= right
    outline[:, :-1] |= right
    return outline & (cells > 0), tissue.nuclear_path_um / np.float32(tissue.section_um)


def spread(plane: np.ndarray, parameters: ImagingParameters, um_per_px: float) -> np.ndarray:
    """Return where ions arrive: blurred by the spot, and washed out along the rows of the scan."""
    arrived = ndi.gaussian_filter(plane, parameters.spot_sigma_um / um_per_px, mode="nearest")
    arrived[:, 1:] += np.float32(parameters.wash_out) * (arrived[:, :-1] - arrived[:, 1:])
    return arrived


def cell_levels(
    tissue: Tissue, panel: Panel, seed: int, markers: Mapping[str, Marker] = MARKERS
) -> np.ndarray:
    """Return each cell's expected ions per pixel where its targets are.

    Half of the spread is the cell's own (how it was cut and stained) and common to its markers.

    Returns
    -------
    numpy.ndarray
        (C, N + 1) float32: channels of the panel, then cells; the first of these is no cell, and 0.

    Raises
    ------
    InputError
        If a marker names a cell type that the tissue does not know.
    """
    shared = generator(seed, "cell").standard_normal(len(tissue.types))
    levels = np.zeros((len(panel), len(tissue.types) + 1), np.float32)
    for k, channel in enumerate(panel.channels):
        marker = markers[channel.name]
        if unknown := sorted(set(marker.counts) - set(tissue.type_names)):
            raise InputError(
                f"marker: unknown cell type {unknown[0]!r}; known: {', '.join(tissue.type_names)}"
            )
        if marker.counts:
            own = generator(seed, "expression", marker.stain or channel.name)
            spread_of = marker.cell_cv * (shared + own.standard_normal(len(shared))) / np.sqrt(2)
            levels[k, 1:] = _of_types(marker.counts, tissue) * np.exp(spread_of)
        if marker.positive:
            share = _of_types(dict.fromkeys(tissue.type_names, 1.0) | dict(marker.positive), tissue)
            chance = generator(seed, "positive", marker.stain or channel.name).random(len(shared))
            levels[k, 1:] *= chance < share
    return levels


def _of_types(values: Mapping[str, float], tissue: Tissue) -> np.ndarray:
    """Return the value of each cell's type, 0 for types not named."""
    return np.array([values.get(name, 0.0) for name in tissue.type_names])[tissue.types]


def _gain(
    shape: tuple[int, int], parameters: ImagingParameters, rng: np.random.Generator
) -> np.ndarray:
    """Gain of each shot: (H, W) float64 with mean about 1."""
    # Rows are scanned one after the other, so a slow drift is a drift down the image.
    drift = smooth_field((shape[0], 1), parameters.drift_rows, rng) if shape[0] > 1 else 0.0
    flicker = rng.standard_normal(shape)
    return np.maximum(0, 1 + parameters.drift * drift + parameters.flicker * flicker)
