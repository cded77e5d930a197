"""Origins: from which true cell the ions in each pixel come, and so in each cell of any mask.

Ions are emitted where a cell's targets are, and arrive where blur and wash-out carry them. Both are
linear, so what arrives in a pixel is a sum over the cells around it, exactly. Counts in a cell of
any mask then fall into three parts: its own, its neighbours' light, and what its outline takes from
where another cell is. Noise, background, spillover between channels and hot pixels are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage as ndi

from imc_helpers.data.panels import Panel
from imc_helpers.errors import InputError
from imc_helpers.metrics.contingency import contingency_table
from imc_helpers.metrics.matching import largest_overlaps
from imc_helpers.phantom.imaging import (
    ImagingParameters,
    cell_levels,
    places_in_cells,
    spread,
)
from imc_helpers.phantom.markers import MARKERS, Marker
from imc_helpers.phantom.tissue import Tissue


@dataclass(frozen=True, eq=False)
class Light:
    """What the cells of one image emit, and how it is carried."""

    cells: np.ndarray
    """(H, W) uint32: the true cells, ids 1 to N."""
    places: np.ndarray
    """(3, H, W) float64: how much of each pixel is outline, cytoplasm and nucleus of its cell."""
    levels: np.ndarray
    """(C, N + 1) float64: expected ions per pixel where each cell's targets are; first no cell."""
    where: np.ndarray
    """(C, 3) float64: part of the level that each channel's target has in each place."""
    panel: Panel
    """The channels."""
    imaging: ImagingParameters
    """How the instrument saw this image."""
    um_per_px: float
    """Edge of a pixel, micrometres."""

    def arriving(self) -> Iterator[np.ndarray]:
        """Yield, channel by channel, the expected ions per pixel from all cells: (H, W) float64."""
        for levels, where in zip(self.levels, self.where, strict=True):
            emitted = levels[self.cells] * np.tensordot(where, self.places, 1)
            yield spread(emitted, self.imaging, self.um_per_px)


def light_of(
    tissue: Tissue,
    panel: Panel,
    imaging: ImagingParameters,
    seed: int,
    markers: Mapping[str, Marker] = MARKERS,
) -> Light:
    """Return what the cells of a tissue emit; the arguments are those of its image."""
    outline, nucleus = places_in_cells(tissue)
    of_panel = [markers[channel.name].where for channel in panel.channels]
    return Light(
        cells=tissue.cells,
        places=np.stack([outline, np.where(outline, 0.0, 1.0 - nucleus), nucleus]).astype(float),
        levels=imaging.sensitivity * cell_levels(tissue, panel, seed, markers).astype(float),
        where=np.array([[w.membrane, w.cytoplasm, w.nucleus] for w in of_panel], dtype=float),
        panel=panel,
        imaging=imaging,
        um_per_px=tissue.um_per_px,
    )


def split_counts(mask: np.ndarray, light: Light) -> pd.DataFrame:
    """Split the expected counts of each cell of a mask by where they come from.

    A cell's owner is the true cell that it shares most pixels with, of equal ones the first.

    Parameters
    ----------
    mask
        (H, W) labels, 0 is background: anybody's mask of the image.
    light
        Of the same image.

    Returns
    -------
    pandas.DataFrame
        One row per cell of the mask and channel, sums of expected ions over the cell's pixels:
        ``Object``, ``owner`` (0 where the cell lies on background alone), ``area`` (pixels),
        ``channel``; ``own`` (from the owner), ``blur`` (from other cells, inside the owner's true
        outline: a perfect mask has it too) and ``mask_error`` (from other cells, outside of it).

    Raises
    ------
    InputError
        If the mask has another shape than the image.
    """
    if mask.shape != light.cells.shape:
        raise InputError(
            f"mask: expected the image's shape {light.cells.shape}, found {mask.shape}. "
            "They must show the same field of view"
        )
    ids, labels = np.unique(mask, return_inverse=True)
    labels = labels.reshape(mask.shape)
    if ids.size and ids[0] != 0:  # no background: entry 0 then stands for nothing
        ids, labels = np.concatenate([[0], ids]), labels + 1
    owner = _owners(labels, light.cells, len(ids))
    owned = owner[labels]
    # Entry 2 m + 1 of a sum is what falls into the owner's territory in cell m, entry 2 m the rest.
    part = 2 * labels + ((light.cells == owned) & (owned > 0))
    own = _own_places(part, owned, light, 2 * len(ids))
    tables = []
    for channel, levels, where, plane in zip(
        light.panel.names, light.levels, light.where, light.arriving(), strict=True
    ):
        of_owner = np.repeat(levels[owner], 2) * (own @ where)
        # No pixel outside makes exactly 0; rounding alone may leave less than nothing.
        others = np.maximum(np.bincount(part.ravel(), plane.ravel(), 2 * len(ids)) - of_owner, 0)
        tables.append(
            pd.DataFrame(
                {
                    "Object": ids,
                    "owner": owner,
                    "area": np.bincount(labels.ravel(), minlength=len(ids)),
                    "channel": channel,
                    "own": of_owner[::2] + of_owner[1::2],
                    "blur": others[1::2],
                    "mask_error": others[::2],
                }
            )[1:]
        )
    return pd.concat(tables, ignore_index=True)


def _owners(labels: np.ndarray, cells: np.ndarray, n: int) -> np.ndarray:
    """Return the true cell that each label shares most pixels with; 0 for none, and for label 0."""
    shared = contingency_table(cells, labels)
    best = largest_overlaps(shared, shared.j)
    owner = np.zeros(n, np.int64)
    owner[shared.pred_ids[shared.j[best]]] = shared.true_ids[shared.i[best]]
    return owner


def _own_places(part: np.ndarray, owned: np.ndarray, light: Light, n: int) -> np.ndarray:
    """Sum what arrives from each pixel's owner, by place in the owner: (n, 3)."""
    down, along = _carriers(light)
    sums = np.zeros((n, 3))
    height, width = light.cells.shape
    for dy in _reach(down):
        to_y = slice(max(0, -dy), min(height, height - dy))
        from_y = slice(to_y.start + dy, to_y.stop + dy)
        share_y = np.diagonal(down, dy)
        for dx in _reach(along):
            to_x = slice(max(0, -dx), min(width, width - dx))
            from_x = slice(to_x.start + dx, to_x.stop + dx)
            from_owner = owned[to_y, to_x] == light.cells[from_y, from_x]
            from_owner &= owned[to_y, to_x] > 0
            share = np.multiply.outer(share_y, np.diagonal(along, dx))[from_owner]
            into = part[to_y, to_x][from_owner]
            for k, place in enumerate(light.places):
                sums[:, k] += np.bincount(into, share * place[from_y, from_x][from_owner], n)
    return sums


def _carriers(light: Light) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of what a row, and a column, emits that arrives in another: (to, from)."""
    height, width = light.cells.shape
    sigma_px = light.imaging.spot_sigma_um / light.um_per_px
    down = ndi.gaussian_filter1d(np.eye(height), sigma_px, axis=0, mode="nearest")
    along = ndi.gaussian_filter1d(np.eye(width), sigma_px, axis=0, mode="nearest")
    along[1:] += np.float32(light.imaging.wash_out) * (along[:-1] - along[1:])
    return down, along


def _reach(carrier: np.ndarray) -> range:
    """Return the offsets, from where ions arrive to where they come from, that carry any."""
    to, source = np.nonzero(carrier)
    return range(int((source - to).min()), int((source - to).max()) + 1)
