"""Tissue: cells of several types packed into a section, with their nuclei.

The section is a slab. Each cell has a centre in it or near it, a long and a short axis, and a
nucleus that is an ellipsoid at some depth. Where cells press on one another they share the border
that a power diagram draws, as soap bubbles do. Every step costs a constant amount per cell or per
pixel.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from scipy.spatial import KDTree
from skimage.measure import label

from imc_helpers.errors import InputError
from imc_helpers.images.rounding import on_grid
from imc_helpers.metrics._jit import kernel
from imc_helpers.phantom._random import generator, smooth_field

_SPACING = 0.93
"""Distance at which two cells stop repelling, in units of the sum of their radii."""
_SWEEPS = 15
"""Rounds of repulsion: enough for the spacing to settle."""
_MIN_AREA_UM2 = 12.0
"""Slivers below this are no cells: the 5th percentile of masks of real spleen is 15 to 17 um2."""
_MIN_PATH_UM = 1.0
"""A nucleus is there to be seen where the section holds at least this much of its depth."""
_FIRST_RING = 1.5
"""Cells this far apart, in units of the usual distance to the nearest, are taken for neighbours."""
_TAIL_SD = 2.5
"""Sizes are cut off at this many standard deviations, which bounds the work per cell."""


def _positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{name}: expected a positive number, found {value}")


@dataclass(frozen=True)
class CellType:
    """Size and shape of one type of cell."""

    area_um2: float
    """Median area of a cell that nothing presses on, square micrometres."""
    area_cv: float
    """Spread of the areas: standard deviation of their logarithm."""
    elongation: float
    """Median of long axis over short axis, 1 or more."""
    nucleus_share: float
    """Area of the nucleus at its widest over the area of the cell."""
    aligned: bool = False
    """Whether the long axis follows the border of the niche, as in fibres and vessels."""

    def __post_init__(self) -> None:
        _positive("area_um2", self.area_um2)
        if not 0 <= self.area_cv <= 1:
            raise InputError(f"area_cv: expected 0 to 1, found {self.area_cv}")
        if not 1 <= self.elongation <= 5:
            raise InputError(
                f"elongation: expected long/short axis in 1 to 5, found {self.elongation}"
            )
        if not 0 < self.nucleus_share < 1:
            raise InputError(f"nucleus_share: expected between 0 and 1, found {self.nucleus_share}")


CELL_TYPES: Mapping[str, CellType] = MappingProxyType(
    {
        "B": CellType(66.0, 0.22, 1.15, 0.86),
        "CD4 T": CellType(60.0, 0.22, 1.15, 0.86),
        "CD8 T": CellType(60.0, 0.22, 1.15, 0.86),
        "macrophage": CellType(125.0, 0.35, 1.40, 0.36),
        "stromal": CellType(85.0, 0.35, 2.40, 0.50, aligned=True),
        "endothelial": CellType(70.0, 0.30, 2.20, 0.50, aligned=True),
        "epithelial": CellType(120.0, 0.28, 1.25, 0.42),
        "melanoma": CellType(115.0, 0.32, 1.25, 0.42),
    }
)
"""The cell types that a phantom can hold.

Lymphocytes are some 9 um wide and mostly nucleus; the others are larger and less so (textbook
orders of magnitude, with the areas chosen so that the cohorts' densities can be packed).
"""


@dataclass(frozen=True)
class Niche:
    """A region of tissue with a density and a mixture of its own."""

    name: str
    """What it is called."""
    share: float
    """Part of the section that it covers; the shares of a tissue sum to 1."""
    cells_per_mm2: float
    """Density of cells; 0 for a lumen or an airspace."""
    composition: Mapping[str, float] = field(default_factory=dict)
    """Share of each cell type among the niche's cells; they sum to 1 unless the niche is empty."""

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"niche {self.name!r}: share must lie in (0, 1], found {self.share}")
        if not (np.isfinite(self.cells_per_mm2) and self.cells_per_mm2 >= 0):
            raise InputError(
                f"niche {self.name!r}: cells_per_mm2 must be 0 or more, found {self.cells_per_mm2}"
            )
        if any(value < 0 for value in self.composition.values()):
            raise InputError(f"niche {self.name!r}: composition holds a negative share")
        total = sum(self.composition.values())
        if self.cells_per_mm2 > 0 and abs(total - 1) > 1e-6:
            raise InputError(f"niche {self.name!r}: composition sums to {total:.3f}, expected 1")
        object.__setattr__(self, "composition", MappingProxyType(dict(self.composition)))


@dataclass(frozen=True)
class Contacts:
    """Cells of one type that lie beside cells of another more often than by chance.

    Cells are moved within their niche, by exchanging places with a cell of a third type, so that
    the composition stays, and the third types touch the partner less. Otherwise types lie in their
    niche at random; large cells touch more others by their size alone.
    """

    mover: str
    """Type whose cells are moved."""
    partner: str
    """Type beside whose cells they are moved."""
    share: float
    """Share of the movers that lie beside no partner and are moved beside one, as long as there is
    room."""

    def __post_init__(self) -> None:
        if self.mover == self.partner:
            raise InputError(f"contacts: expected two types, found {self.mover!r} twice")
        if not 0 <= self.share <= 1:
            raise InputError(f"contacts: share must lie in 0 to 1, found {self.share}")


@dataclass(frozen=True)
class TissueParameters:
    """What a tissue is made of."""

    niches: tuple[Niche, ...]
    """From the inside out: each niche borders on the ones before and after it."""
    niche_scale_um: float = 120.0
    """Size of the niches, micrometres."""
    area_factor: float = 1.0
    """Scales the area of every cell type."""
    irregularity_um: float = 0.9
    """How far outlines stray from ellipses, micrometres (standard deviation)."""
    section_um: float = 4.0
    """Thickness of the section: 4 um in the study (Schuiki et al. 2025, section 3.1.1)."""
    out_of_plane: float = 0.05
    """Share of cells whose nucleus lies outside the section."""
    cell_types: Mapping[str, CellType] = field(default_factory=lambda: CELL_TYPES)
    """The types that the niches name."""
    contacts: Contacts | None = None
    """Contacts to plant; none where types lie in their niche at random."""

    def __post_init__(self) -> None:
        for name in ("niche_scale_um", "area_factor", "section_um"):
            _positive(name, getattr(self, name))
        if not 0 <= self.irregularity_um <= 5:
            raise InputError(f"irregularity_um: expected 0 to 5, found {self.irregularity_um}")
        if not 0 <= self.out_of_plane < 1:
            raise InputError(f"out_of_plane: expected a share below 1, found {self.out_of_plane}")
        if not self.niches:
            raise InputError("niches: a tissue needs at least one")
        total = sum(niche.share for niche in self.niches)
        if abs(total - 1) > 1e-6:
            raise InputError(f"niches: their shares sum to {total:.3f}, expected 1")
        for niche in self.niches:
            if unknown := sorted(set(niche.composition) - set(self.cell_types)):
                raise InputError(
                    f"niche {niche.name!r}: unknown cell type {unknown[0]!r}; "
                    f"known: {', '.join(self.cell_types)}"
                )
            cover = niche.cells_per_mm2 * 1e-6 * self._mean_area_um2(niche)
            if cover > 1:
                raise InputError(
                    f"niche {niche.name!r}: {niche.cells_per_mm2:.0f} cells/mm2 of "
                    f"{self._mean_area_um2(niche):.0f} um2 would cover {cover:.0%} of the tissue "
                    "and cannot be packed. Lower cells_per_mm2 or area_factor"
                )
        if self.contacts is not None:
            pair = {self.contacts.mover, self.contacts.partner}
            if unknown := sorted(pair - set(self.cell_types)):
                raise InputError(
                    f"contacts: unknown cell type {unknown[0]!r}; "
                    f"known: {', '.join(self.cell_types)}"
                )
        object.__setattr__(self, "cell_types", MappingProxyType(dict(self.cell_types)))

    def _mean_area_um2(self, niche: Niche) -> float:
        # The mean of a lognormal lies above its median.
        return self.area_factor * sum(
            share * self.cell_types[name].area_um2 * np.exp(self.cell_types[name].area_cv ** 2 / 2)
            for name, share in niche.composition.items()
        )


@dataclass(frozen=True, eq=False)
class Tissue:
    """A section and its truth."""

    cells: np.ndarray
    """(H, W) uint32: ids 1 to N, 0 is background. Each cell is one 4-connected piece."""
    nuclei: np.ndarray
    """(H, W) uint32: the id of the cell where its nucleus is in the section, else 0."""
    nuclear_path_um: np.ndarray
    """(H, W) float32: how much nucleus the laser meets at each pixel, micrometres."""
    types: np.ndarray
    """(N,) int64: position of each cell's type in ``type_names``; cell id i is entry i - 1."""
    type_names: tuple[str, ...]
    """Names of the cell types."""
    niches: np.ndarray
    """(N,) int64: position in ``niche_names`` of the niche that each cell was placed in."""
    niche_names: tuple[str, ...]
    """Names of the niches."""
    section_um: float
    """Thickness of the section, micrometres."""
    um_per_px: float
    """Edge of a pixel, micrometres."""


def make_tissue(
    shape_px: tuple[int, int],
    parameters: TissueParameters,
    seed: int,
    um_per_px: float = 1.0,
) -> Tissue:
    """Make a tissue section.

    Parameters
    ----------
    shape_px
        Height and width, pixels.
    parameters
        What the tissue is made of.
    seed
        The same seed gives the same tissue, on every platform.
    um_per_px
        Edge of a pixel, micrometres.

    Raises
    ------
    InputError
        If a size is not positive.
    """
    if len(shape_px) != 2 or min(shape_px) < 1:
        raise InputError(f"shape_px: expected a positive height and width, found {shape_px}")
    _positive("um_per_px", um_per_px)
    if seed < 0:
        raise InputError(f"seed: expected 0 or more, found {seed}")

    # The tissue goes on beyond the image: cells at its edge are cut, as in a real field of view.
    pad = int(np.ceil(16.0 / um_per_px))
    canvas = (shape_px[0] + 2 * pad, shape_px[1] + 2 * pad)
    window = np.s_[pad : pad + shape_px[0], pad : pad + shape_px[1]]

    rng = generator(seed, "niches")
    contour = smooth_field(canvas, parameters.niche_scale_um / um_per_px, rng)
    niches = _niche_map(contour, parameters)
    cells = _place(niches, contour, parameters, um_per_px, seed)

    rng = generator(seed, "outlines")
    warp_scale_px = 5.0 / um_per_px
    amplitude_px = parameters.irregularity_um / um_per_px
    warp_y = on_grid(amplitude_px * smooth_field(canvas, warp_scale_px, rng), 256)
    warp_x = on_grid(amplitude_px * smooth_field(canvas, warp_scale_px, rng), 256)
    territories = _territories(
        canvas, cells.y_px, cells.x_px, cells.metric, cells.weight, cells.reach_px, warp_y, warp_x
    )
    min_area_px = _MIN_AREA_UM2 / um_per_px**2
    labels, kept = _clean(territories[window], min_area_px)
    nuclei, path = _nuclei(
        labels, cells, kept, parameters, um_per_px, rng=generator(seed, "nuclei")
    )
    return Tissue(
        cells=labels,
        nuclei=nuclei,
        nuclear_path_um=path,
        types=cells.types[kept],
        type_names=tuple(parameters.cell_types),
        niches=cells.niches[kept],
        niche_names=tuple(niche.name for niche in parameters.niches),
        section_um=parameters.section_um,
        um_per_px=um_per_px,
    )


@dataclass(frozen=True, eq=False)
class _Cells:
    """Cells before they are drawn; one entry a cell, positions on the padded canvas."""

    y_px: np.ndarray
    x_px: np.ndarray
    types: np.ndarray
    niches: np.ndarray
    area_px: np.ndarray
    metric: np.ndarray  # (N, 3): a, b, c of a dy^2 + b dy dx + c dx^2, which is 1 on the outline
    weight: np.ndarray  # squared radius: the larger of two cells pushes the border away
    reach_px: np.ndarray  # half the side of the square that holds the cell
    nucleus_share: np.ndarray


def _niche_map(contour: np.ndarray, parameters: TissueParameters) -> np.ndarray:
    """Cut the field at the quantiles that give each niche its share."""
    shares = np.cumsum([niche.share for niche in parameters.niches])[:-1]
    return np.searchsorted(np.quantile(contour, shares), contour, side="right")


def _place(
    niches: np.ndarray,
    contour: np.ndarray,
    parameters: TissueParameters,
    um_per_px: float,
    seed: int,
) -> _Cells:
    """Choose where cells are, of which type, how large and how turned."""
    rng = generator(seed, "cells")
    height, width = niches.shape
    density = np.array([niche.cells_per_mm2 for niche in parameters.niches]) * 1e-6 * um_per_px**2
    densest = density.max()
    if densest == 0:
        spots = np.zeros((0, 2))
    else:
        # A jittered triangular lattice, thinned where the tissue is less dense. Unlike independent
        # points it leaves no heaps that the repulsion would have to undo.
        step = np.sqrt(2 / (np.sqrt(3) * densest))
        rows = np.arange(0, height, step * np.sqrt(3) / 2)
        columns = np.arange(0, width, step)
        y, x = np.meshgrid(rows, columns, indexing="ij")
        x = x + step / 2 * (np.arange(len(rows)) % 2)[:, None]
        spots = np.stack([y.ravel(), x.ravel()], axis=1)
        spots += rng.uniform(-0.45 * step, 0.45 * step, spots.shape)
        spots = spots[((spots >= 0) & (spots < (height, width))).all(axis=1)]
        niche = niches[tuple(spots.astype(int).T)]
        spots = spots[rng.random(len(spots)) * densest < density[niche]]
    pixel = tuple(spots.astype(int).T)
    niche = niches[pixel]

    names = list(parameters.cell_types)
    composition = np.array(
        [[n.composition.get(name, 0.0) for name in names] for n in parameters.niches]
    )
    cumulative = np.cumsum(composition, axis=1)
    cumulative[:, -1] = np.inf  # so that rounding leaves no cell without a type
    types = (rng.random(len(spots))[:, None] >= cumulative[niche]).sum(axis=1)
    if parameters.contacts is not None and len(spots):
        pair = names.index(parameters.contacts.mover), names.index(parameters.contacts.partner)
        share = parameters.contacts.share
        types = _bring_together(spots, niche, types, pair, share, generator(seed, "contacts"))

    of_type = [parameters.cell_types[name] for name in names]
    median = np.array([t.area_um2 for t in of_type])[types] * parameters.area_factor / um_per_px**2
    spread = np.array([t.area_cv for t in of_type])[types]
    area_px = median * np.exp(spread * _bounded_normal(rng, len(spots)))
    radius = on_grid(np.sqrt(area_px / np.pi))
    elongation = np.array([t.elongation for t in of_type])[types]
    elongation = np.maximum(1, elongation * np.exp(0.15 * _bounded_normal(rng, len(spots))))

    # Fibres and vessels run along the border of their niche, across the slope of its field.
    slope_y, slope_x = (g[pixel] for g in np.gradient(contour))
    along = np.arctan2(slope_x, -slope_y) + 0.35 * rng.standard_normal(len(spots))
    anyhow = rng.uniform(0, np.pi, len(spots))
    angle = np.where(np.array([t.aligned for t in of_type])[types], along, anyhow)
    cos, sin = np.cos(angle), np.sin(angle)
    long_px, short_px = radius * np.sqrt(elongation), radius / np.sqrt(elongation)
    # The long axis points to (y, x) = (sin, cos).
    p, q = long_px**-2.0, short_px**-2.0
    metric = np.stack(
        [p * sin**2 + q * cos**2, 2 * (p - q) * sin * cos, p * cos**2 + q * sin**2], axis=1
    )

    moved = _repel(on_grid(spots), radius * _SPACING, _SWEEPS)
    moved = on_grid(np.clip(moved, 0, (height - 1, width - 1)), 256)
    # The warp moves an outline by up to five standard deviations of its field.
    reach = np.ceil(long_px + 5 * parameters.irregularity_um / um_per_px).astype(np.int64)
    return _Cells(
        y_px=moved[:, 0],
        x_px=moved[:, 1],
        types=types,
        niches=niche,
        area_px=area_px,
        metric=on_grid(metric, 2**20),
        weight=on_grid(radius**2, 256),
        reach_px=reach,
        nucleus_share=np.array([t.nucleus_share for t in of_type])[types],
    )


def _bring_together(
    spots: np.ndarray,
    niches: np.ndarray,
    types: np.ndarray,
    pair: tuple[int, int],
    share: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the types with some movers beside a partner, each niche's composition as it was."""
    mover, partner = pair
    tree = KDTree(spots)
    # Half as far again as the nearest cell: the first ring of neighbours.
    reach = _FIRST_RING * np.median(tree.query(spots, 2)[0][:, 1]) if len(spots) > 1 else 0.0
    beside = np.zeros(len(types), bool)
    beside[[j for i in tree.query_ball_point(spots[types == partner], reach) for j in i]] = True
    moved = types.copy()
    for niche in np.unique(niches):
        here = niches == niche
        alone = rng.permutation(np.flatnonzero(here & (types == mover) & ~beside))
        alone = alone[: round(share * len(alone))]
        room = rng.permutation(np.flatnonzero(here & beside & ~np.isin(types, pair)))
        n = min(len(alone), len(room))
        moved[alone[:n]], moved[room[:n]] = types[room[:n]], mover
    return moved


def _bounded_normal(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.clip(rng.standard_normal(n), -_TAIL_SD, _TAIL_SD)


@kernel
def _repel(spots: np.ndarray, radius: np.ndarray, sweeps: int) -> np.ndarray:
    """Push overlapping cells apart: every cell looks at the cells of its own and adjoining bins."""
    n = len(spots)
    place = spots.copy()
    if n == 0:
        return place
    side = max(2 * radius.max(), 1.0)
    low_y, low_x = place[:, 0].min() - side, place[:, 1].min() - side
    n_rows = int((place[:, 0].max() - low_y) / side) + 3
    n_columns = int((place[:, 1].max() - low_x) / side) + 3
    for _ in range(sweeps):
        row = np.empty(n, np.int64)
        column = np.empty(n, np.int64)
        start = np.zeros(n_rows * n_columns + 1, np.int64)
        for i in range(n):
            row[i] = min(max(int((place[i, 0] - low_y) / side), 0), n_rows - 1)
            column[i] = min(max(int((place[i, 1] - low_x) / side), 0), n_columns - 1)
            start[row[i] * n_columns + column[i] + 1] += 1
        for k in range(n_rows * n_columns):
            start[k + 1] += start[k]
        fill = start[:-1].copy()
        members = np.empty(n, np.int64)
        for i in range(n):
            k = row[i] * n_columns + column[i]
            members[fill[k]] = i
            fill[k] += 1
        shifted = place.copy()
        for i in range(n):
            push_y = 0.0
            push_x = 0.0
            for r in range(max(row[i] - 1, 0), min(row[i] + 2, n_rows)):
                for c in range(max(column[i] - 1, 0), min(column[i] + 2, n_columns)):
                    k = r * n_columns + c
                    for m in range(start[k], start[k + 1]):
                        j = members[m]
                        dy = place[i, 0] - place[j, 0]
                        dx = place[i, 1] - place[j, 1]
                        square = dy * dy + dx * dx
                        wanted = radius[i] + radius[j]
                        if j != i and 0 < square < wanted * wanted:
                            distance = np.sqrt(square)
                            pull = 0.3 * (wanted - distance) / distance
                            push_y += pull * dy
                            push_x += pull * dx
            shifted[i, 0] += push_y
            shifted[i, 1] += push_x
        # A coarse grid after each sweep keeps platforms from drifting apart.
        place = np.round(shifted * 1024) / 1024
    return place


@kernel
def _territories(
    shape: tuple[int, int],
    y: np.ndarray,
    x: np.ndarray,
    metric: np.ndarray,
    weight: np.ndarray,
    reach: np.ndarray,
    warp_y: np.ndarray,
    warp_x: np.ndarray,
) -> np.ndarray:
    """Give each pixel to the cell whose power distance there is smallest; 0 outside every cell."""
    best = np.zeros(shape)
    labels = np.zeros(shape, np.uint32)
    for i in range(len(y)):
        top = max(int(y[i]) - reach[i], 0)
        bottom = min(int(y[i]) + reach[i] + 2, shape[0])
        left = max(int(x[i]) - reach[i], 0)
        right = min(int(x[i]) + reach[i] + 2, shape[1])
        for r in range(top, bottom):
            for c in range(left, right):
                dy = r + warp_y[r, c] - y[i]
                dx = c + warp_x[r, c] - x[i]
                inside = metric[i, 0] * dy * dy + metric[i, 1] * dy * dx + metric[i, 2] * dx * dx
                power = (inside - 1) * weight[i]
                if power < best[r, c]:
                    best[r, c] = power
                    labels[r, c] = i + 1
    return labels


def _clean(labels: np.ndarray, min_area_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Keep the largest piece of each cell, drop slivers, and number the rest 1 to N.

    Returns the labels and, for each new cell, its position among the old ones.
    """
    pieces = label(labels, connectivity=1, background=0)
    area = np.bincount(pieces.ravel())
    owner = np.zeros(len(area), np.int64)
    owner[pieces.ravel()] = labels.ravel()
    # Largest piece of each owner; of equal ones the first in reading order.
    order = np.lexsort((np.arange(len(area)), -area, owner))
    first = np.ones(len(order), bool)
    first[1:] = owner[order][1:] != owner[order][:-1]
    chosen = order[first]
    chosen = chosen[(owner[chosen] > 0) & (area[chosen] >= min_area_px)]
    chosen = chosen[np.argsort(owner[chosen])]
    new_id = np.zeros(len(area), np.uint32)
    new_id[chosen] = np.arange(1, len(chosen) + 1)
    return new_id[pieces], owner[chosen] - 1


def _nuclei(
    labels: np.ndarray,
    cells: _Cells,
    kept: np.ndarray,
    parameters: TissueParameters,
    um_per_px: float,
    *,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Put an ellipsoid into each cell and measure how much of it the section holds."""
    n = len(kept)
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:].astype(float)
    rows, columns = np.indices(labels.shape, sparse=True)
    centre_y = np.bincount(labels.ravel(), (rows + 0 * columns).ravel(), n + 1)[1:] / area
    centre_x = np.bincount(labels.ravel(), (columns + 0 * rows).ravel(), n + 1)[1:] / area
    # A cell that its neighbours squeeze has a smaller nucleus.
    squeeze = np.minimum(1, area / cells.area_px[kept])
    share = cells.nucleus_share[kept] * np.exp(0.1 * _bounded_normal(rng, n))
    shrink = np.minimum(0.9, share) * squeeze
    radius_px = np.sqrt(shrink * cells.area_px[kept] / np.pi)
    off = 0.12 * radius_px[:, None] * rng.standard_normal((n, 2))
    centre_y, centre_x = on_grid(centre_y + off[:, 0], 256), on_grid(centre_x + off[:, 1], 256)
    half_um = parameters.section_um / 2
    radius_um = radius_px * um_per_px
    # Of the cells stacked at a place the one that fills the section is seen, so small depths are
    # the more frequent ones; beyond `deepest` a nucleus shows less than the least path.
    deepest = np.maximum(0, half_um + radius_um - _MIN_PATH_UM)
    seen = 1 - parameters.out_of_plane
    u = rng.random(n)
    depth_um = np.where(u < seen, deepest * (u / seen) ** 2, half_um + radius_um)
    metric = on_grid(cells.metric[kept] / shrink[:, None], 2**20)
    path = _paths(
        labels, centre_y, centre_x, metric, on_grid(radius_um), on_grid(depth_um), half_um
    )
    return np.where(path >= _MIN_PATH_UM, labels, 0).astype(np.uint32), path


@kernel
def _paths(
    labels: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    metric: np.ndarray,
    radius_um: np.ndarray,
    depth_um: np.ndarray,
    half_um: float,
) -> np.ndarray:
    """Length of nucleus within the section at each pixel, micrometres."""
    path = np.zeros(labels.shape, np.float32)
    for r in range(labels.shape[0]):
        for c in range(labels.shape[1]):
            i = np.int64(labels[r, c]) - 1
            if i < 0:
                continue
            dy, dx = r - y[i], c - x[i]
            inside = metric[i, 0] * dy * dy + metric[i, 1] * dy * dx + metric[i, 2] * dx * dx
            if inside < 1:
                chord = radius_um[i] * np.sqrt(1 - inside)
                top = min(depth_um[i] + chord, half_um)
                bottom = max(depth_um[i] - chord, -half_um)
                if top > bottom:
                    path[r, c] = np.round((top - bottom) * 1024) / 1024
    return path
