"""Nucleus and the rest of a cell: how they are linked, what each holds, how large the nucleus is.

After Greenwald et al. 2022 (Methods, "Generating subcellular segmentation predictions" and the
sections that follow), with the other way to link from Goldsborough 2025 (section 4.3.11).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from skimage.segmentation import expand_labels

from imc_helpers.cells.properties import cell_shapes
from imc_helpers.errors import InputError
from imc_helpers.metrics import contingency_table, largest_overlaps
from imc_helpers.metrics.contingency import ContingencyTable
from imc_helpers.metrics.error_types import Kind, mesmer_errors

LOWEST = 0.2
"""Share of cells that is left out of a marker's localisation: those with the lowest counts."""
EXPANSION_PX = 3
"""By which nuclei are expanded to stand for cells, pixels: radius of the disk of the study."""


def link_nuclei(cells: np.ndarray, nuclei: np.ndarray, *, source: str) -> np.ndarray:
    """Give each cell the nucleus that covers most of it, cut where the cell ends.

    A nucleus that reaches into several cells is thereby split among those of which it covers most.

    Parameters
    ----------
    cells, nuclei
        (H, W) labels, 0 is background.
    source
        Whose, for messages.

    Returns
    -------
    numpy.ndarray
        (H, W) labels: the id of the cell where its nucleus is, else 0.

    Raises
    ------
    InputError
        If the shapes differ, or there are cells and no nuclei.

    Notes
    -----
    The study's program, ark-analysis, differs in two details that the study does not state. It cuts
    a nucleus only where more than 15 px of it lie outside the cell; here it is always cut, so that
    no nucleus is larger than its cell. And it drops pieces of less than 5 px; here they stay, since
    a nucleus that the section only grazes is small, and its cell is not one without.
    """
    overlaps = _overlaps(cells, nuclei, source)
    taken = np.zeros(overlaps.n_true, np.int64)
    best = largest_overlaps(overlaps, overlaps.i)
    taken[overlaps.i[best]] = overlaps.pred_ids[overlaps.j[best]]
    inside = cells > 0
    of = np.searchsorted(overlaps.true_ids, cells[inside])
    linked = np.zeros_like(cells)
    own = (nuclei[inside] > 0) & (nuclei[inside] == taken[of])
    linked[inside] = np.where(own, cells[inside], 0)
    return linked


def unite_with_nuclei(
    cells: np.ndarray, nuclei: np.ndarray, *, source: str
) -> tuple[np.ndarray, np.ndarray]:
    """Let cells take in their nuclei, and nuclei without a cell become cells.

    A cell and a nucleus belong together where each is what the other overlaps most. The cell then
    is the union of the two. A nucleus that is left over becomes a cell of its own shape
    (Goldsborough 2025, figure 4.3).

    Parameters
    ----------
    cells, nuclei, source
        As for `link_nuclei`.

    Returns
    -------
    cells : numpy.ndarray
        (H, W) labels: the ids of the cells, and new ones after them, in the order of the nuclei.
    nuclei : numpy.ndarray
        (H, W) labels: the id of the cell where its nucleus is, else 0.

    Notes
    -----
    The thesis does not say what becomes of a nucleus that two cells overlap most, or of pixels that
    a union takes from another cell: here the larger overlap wins, and the nucleus has its pixels.
    """
    overlaps = _overlaps(cells, nuclei, source)
    mutual = largest_overlaps(overlaps, overlaps.i) & largest_overlaps(overlaps, overlaps.j)
    next_id = int(overlaps.true_ids.max(initial=0)) + 1
    owner = np.zeros(overlaps.n_pred, np.int64)
    owner[overlaps.j[mutual]] = overlaps.true_ids[overlaps.i[mutual]]
    left_over = owner == 0
    owner[left_over] = next_id + np.arange(left_over.sum())
    inside = nuclei > 0
    united, own = cells.astype(np.int64), np.zeros(cells.shape, np.int64)
    own[inside] = owner[np.searchsorted(overlaps.pred_ids, nuclei[inside])]
    united[inside] = own[inside]
    return united, own


def _overlaps(cells: np.ndarray, nuclei: np.ndarray, source: str) -> ContingencyTable:
    """Return the overlaps of cells (true) with nuclei (pred)."""
    if cells.shape != nuclei.shape:
        raise InputError(
            f"{source}: the cells have shape {cells.shape}, the nuclei {nuclei.shape}. They must "
            "show the same field of view: export one of them again"
        )
    overlaps = contingency_table(cells, nuclei)
    if overlaps.n_true and not overlaps.n_pred:
        raise InputError(
            f"{source}: {overlaps.n_true} cells and not one nucleus; is the mask of nuclei that of "
            "another image, or empty? Segment the nuclei again, or leave it out"
        )
    return overlaps


@dataclass(frozen=True, eq=False)
class CompartmentCounts:
    """Counts of each cell in its nucleus and outside it, over the area of the whole cell."""

    nucleus: pd.DataFrame
    """One row per cell by ``id``, one per channel: counts in the nucleus per pixel of cell."""
    rest: pd.DataFrame
    """The same of what is no nucleus; the two sum to the cell's mean counts."""


def compartment_counts(
    image: np.ndarray, cells: np.ndarray, linked: np.ndarray, channels: tuple[str, ...]
) -> CompartmentCounts:
    """Sum the counts in each compartment of each cell, and divide by the area of the cell.

    Parameters
    ----------
    image
        (C, H, W) counts.
    cells
        (H, W) labels.
    linked
        (H, W) what `link_nuclei` returns for them.
    channels
        (C,) names.
    """
    inside = cells > 0
    of, ids = pd.factorize(cells[inside], sort=True)
    in_nucleus = linked[inside] > 0
    area = np.bincount(of, minlength=len(ids))

    def per_area(where: np.ndarray) -> pd.DataFrame:
        sums = [np.bincount(of, plane[inside] * where, len(ids)) / area for plane in image]
        return pd.DataFrame(np.transpose(sums), pd.Index(ids, name="id"), list(channels))

    return CompartmentCounts(per_area(in_nucleus), per_area(~in_nucleus))


def localisation(counts: CompartmentCounts, *, lowest: float = LOWEST) -> pd.Series:
    """Say which share of each marker's counts lies in the nucleus, mean over cells.

    Parameters
    ----------
    counts
        Of the cells of one image.
    lowest
        Share of cells left out for each marker: those with the lowest counts, where what is left
        of a marker is mostly noise.

    Returns
    -------
    pandas.Series
        By channel, 0 to 1; missing where no cell is left that has counts. A marker that is spread
        evenly has the area of the nucleus over that of the cell.
    """
    total = counts.nucleus + counts.rest
    kept = (total > 0) & (total >= total.quantile(lowest))
    return (counts.nucleus / total).where(kept).mean()


def nucleus_ratios(cells: np.ndarray, linked: np.ndarray) -> pd.Series:
    """Return the area of the nucleus over that of the whole cell, N/C, by cell.

    0 where a cell has no nucleus: its nucleus lies out of the plane, or was not found.
    """
    area = cell_shapes(cells)["area"]
    return (cell_shapes(linked)["area"].reindex(area.index, fill_value=0) / area).rename("ratio")


def expand_nuclei(nuclei: np.ndarray, radius_px: float = EXPANSION_PX) -> np.ndarray:
    """Grow nuclei by a disk, to stand for cells: what is done where no membrane was stained.

    Where two meet, the nearer nucleus has the pixel.
    """
    return expand_labels(nuclei, radius_px)


def matched_cells(true: np.ndarray, pred: np.ndarray) -> pd.DataFrame:
    """Pair the cells that are one to one by Mesmer's rule, with their areas.

    Returns
    -------
    pandas.DataFrame
        One row per pair (IoU of .6 or more): ``true_id``, ``pred_id``, ``true_area``,
        ``pred_area``, pixels.
    """
    table = contingency_table(true, pred)
    errors = mesmer_errors(table)
    pair = (errors.true_kinds[table.i] == Kind.MATCHED) & (
        errors.true_groups[table.i] == errors.pred_groups[table.j]
    )
    i, j = table.i[pair], table.j[pair]
    return pd.DataFrame(
        {
            "true_id": table.true_ids[i],
            "pred_id": table.pred_ids[j],
            "true_area": table.true_areas[i],
            "pred_area": table.pred_areas[j],
        }
    )
