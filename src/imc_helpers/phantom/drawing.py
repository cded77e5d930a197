"""How simulated experts draw cells: habits, doubts, and the slips that follow.

An expert sees the truth and draws it with a habit in where borders go, an unsteady hand, and slips:
doubtful cells missed, merged or split. What is doubtful is partly in the image (a dim nucleus, two
nuclei without a dip between them, a large cell) and partly the expert's judgement. Habits and
judgements have a part that all experts share and a part of one's own.

The defaults of :class:`ExpertGroup` are the one thing that was calibrated on agreement: plausible
habits (borders that stray by half a pixel, a few per cent of cells missed, merged or split), scaled
so that groups of four agree on lymphoid tissue about as the study's four experts do: on whole
images .715 in ap50, .348 in map and .580 in sap, on average over the groups of seeds 0 to 4
(``benchmarks/results/phantom_groups.csv``), where Schuiki et al. 2025, Table 3, have .708, .353 and
.566. Single groups stray from that by up to .10 in ap50.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi
from scipy.special import ndtri
from skimage.segmentation import find_boundaries, relabel_sequential

from imc_helpers.cells.contacts import touching_pairs
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.images.rounding import on_grid
from imc_helpers.phantom._random import generator, smooth_field

TRUTH = "truth"
"""Key of the true masks among a phantom sample's masks and nuclei."""

_WOBBLE_PX = 4.0
"""How far along an outline the hand's error is felt, pixels."""
_MIN_BORDER_PX = 4
"""Cells touch when they share at least this much border, pixels."""


@dataclass(frozen=True)
class ExpertGroup:
    """Experts who annotate the same cohort."""

    n_experts: int = 4
    """How many."""
    correlation: float = 0.3
    """How much experts have in common: 0 nothing but the image, 1 everything. Two experts' slips
    correlate by this much; their habits by somewhat less in a small group, where the own parts are
    spread evenly."""
    border_um: float = 0.0
    """Where the group draws borders, micrometres: positive is generous, negative tight."""
    border_sd_um: float = 0.5
    """How far an expert strays from the group's borders, micrometres (standard deviation)."""
    wobble_um: float = 0.5
    """How far the hand strays along an outline, micrometres (standard deviation)."""
    miss: float = 0.03
    """Share of cells that the group's typical expert misses in a crop, dim ones first."""
    merge: float = 0.015
    """Share of touching pairs drawn as one, those without a dip between their nuclei first."""
    split: float = 0.05
    """Share of cells drawn as two, large ones first."""
    habit_sd: float = 0.4
    """Spread of the three shares from expert to expert: standard deviation of their logarithm."""
    eye_sd: float = 0.12
    """How far an expert's eye is off when it judges whether the software finds as many cells as
    there are: standard deviation of the logarithm of the number."""
    evidence: float = 0.7
    """How much of a doubt is in the image, 0 to 1; the rest is the expert's judgement that day."""
    stratified: bool = True
    """Whether the own parts of habits are spread evenly, so that even a small group shows the whole
    spread. Only without it are the experts an independent sample of people, as every method that
    speaks of *other people* supposes."""

    def __post_init__(self) -> None:
        if self.n_experts < 1:
            raise InputError(f"n_experts: expected at least 1, found {self.n_experts}")
        for name in ("correlation", "evidence"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}: expected 0 to 1, found {getattr(self, name)}")
        for name in ("miss", "merge", "split"):
            if not 0 <= getattr(self, name) < 0.5:
                raise InputError(
                    f"{name}: expected a share from 0 to below 0.5, found {getattr(self, name)}"
                )
        for name in ("border_sd_um", "wobble_um", "habit_sd", "eye_sd"):
            if not 0 <= getattr(self, name) <= 5:
                raise InputError(f"{name}: expected 0 to 5, found {getattr(self, name)}")
        if not -3 <= self.border_um <= 3:
            raise InputError(f"border_um: expected -3 to 3, found {self.border_um}")


ONE_EXPERT = ExpertGroup(n_experts=1, border_sd_um=0.0, habit_sd=0.0, eye_sd=0.0)
"""A typical expert, alone: there is nobody to differ from."""


@dataclass(frozen=True)
class Habits:
    """How one expert draws."""

    border_um: float
    """Where borders are drawn, micrometres beyond (positive) or within (negative) the cell."""
    miss: float
    """Share of cells missed."""
    merge: float
    """Share of touching pairs drawn as one."""
    split: float
    """Share of cells drawn as two."""
    eye: float
    """Number of cells that looks right over the number that is."""


def expert_habits(group: ExpertGroup, seed: int) -> tuple[Habits, ...]:
    """Draw the habits of a group's experts.

    Where the group is stratified, the own parts of a habit are: of four experts one comes from each
    quarter of the distribution.
    """
    rng = generator(seed, "habits")
    shared = rng.standard_normal(5)
    if group.stratified:
        strata = rng.permuted(np.tile(np.arange(group.n_experts), (5, 1)), axis=1).T
        own = ndtri((strata + rng.uniform(0.05, 0.95, strata.shape)) / group.n_experts)
    else:
        own = rng.standard_normal((group.n_experts, 5))
    habits = []
    for z in _mixed(shared, own, group.correlation):
        shares = np.array([group.miss, group.merge, group.split])
        miss, merge, split = np.minimum(0.45, shares * np.exp(group.habit_sd * z[1:4]))
        eye = np.exp(group.eye_sd * z[4])
        border = group.border_um + group.border_sd_um * z[0]
        habits.append(Habits(float(border), float(miss), float(merge), float(split), float(eye)))
    return tuple(habits)


@dataclass(frozen=True)
class Judgement:
    """One expert's random part in one region, in which all experts share as they correlate."""

    seed: int
    region: int | str
    """Number of a crop, or id of a whole sample."""
    expert: int
    correlation: float

    def normal(self, what: str, size: int) -> np.ndarray:
        """Return standard normal values."""
        shared = generator(self.seed, what, str(self.region))
        own = generator(self.seed, what, str(self.region), str(self.expert))
        return _mixed(shared.standard_normal(size), own.standard_normal(size), self.correlation)

    def field(self, what: str, shape: tuple[int, int], scale_px: float) -> np.ndarray:
        """Return a smooth random field."""
        shared = generator(self.seed, what, str(self.region))
        own = generator(self.seed, what, str(self.region), str(self.expert))
        return _mixed(
            smooth_field(shape, scale_px, shared),
            smooth_field(shape, scale_px, own),
            self.correlation,
        )


@dataclass(frozen=True, eq=False)
class Doubts:
    """What the image leaves open, as scores that are standard normal over the cells or pairs."""

    dim: np.ndarray  # (N,): high where the nucleus is dim
    large: np.ndarray  # (N,): high where the cell is large
    pairs: np.ndarray  # (P, 2): ids of touching cells
    dipless: np.ndarray  # (P,): high where no dip parts the two nuclei


def find_doubts(sample: Sample) -> Doubts:
    """Measure what makes cells doubtful, from the nucleus channel and the true outlines."""
    cells = sample.masks[TRUTH]
    n = int(cells.max())
    flat = cells.ravel()
    nucleus = sample.image[list(sample.panel.compartment("nucleus"))].mean(axis=0)
    smooth = ndi.gaussian_filter(nucleus.astype(np.float64), 1.0)
    area = np.maximum(1, np.bincount(flat, minlength=n + 1)[1:])
    light = np.bincount(flat, smooth.ravel(), minlength=n + 1)[1:] / area
    touching, lengths = touching_pairs(cells)
    pairs = touching[lengths >= _MIN_BORDER_PX]
    rows, columns = np.indices(cells.shape)
    centre = np.stack(
        [np.bincount(flat, axis.ravel(), n + 1)[1:] / area for axis in (rows, columns)], axis=1
    )
    a, b = centre[pairs[:, 0] - 1], centre[pairs[:, 1] - 1]
    ends = [ndi.map_coordinates(smooth, p.T, order=1) for p in (a, b)]
    middle = ndi.map_coordinates(smooth, ((a + b) / 2).T, order=1)
    return Doubts(
        dim=_normal_scores(-light),
        large=_normal_scores(area.astype(float)),
        pairs=pairs,
        dipless=_normal_scores(middle / np.maximum(1e-6, np.minimum(*ends))),
    )


def draw_region(
    sample: Sample, doubts: Doubts, habits: Habits, group: ExpertGroup, judgement: Judgement
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a region as the expert sees it: cells (H, W) int64 and nuclei (H, W) bool."""
    cells = sample.masks[TRUTH].astype(np.int64)
    nuclei = sample.nuclei[TRUTH] > 0
    n = len(doubts.dim)

    def slips(what: str, evidence: np.ndarray, share: float) -> np.ndarray:
        noise = judgement.normal(what, len(evidence))
        weight = group.evidence
        return weight * evidence + np.sqrt(1 - weight**2) * noise > ndtri(1 - share)

    owner = np.arange(n + 1)
    merged = doubts.pairs[slips("merge", doubts.dipless, habits.merge)]
    taken = np.zeros(n + 1, bool)
    for a, b in merged:
        if not taken[a] and not taken[b]:  # an expert joins two cells, not a chain of them
            owner[b] = a
            taken[[a, b]] = True
    missed = np.concatenate([[False], slips("miss", doubts.dim, habits.miss)])
    split = np.concatenate([[False], slips("split", doubts.large, habits.split)]) & ~taken

    drawn = owner[cells]
    drawn[missed[drawn]] = 0
    drawn, cuts = _split(drawn, np.flatnonzero(split & ~missed))
    wobble = judgement.field("wobble", sample.shape, _WOBBLE_PX)
    offset_px = (habits.border_um + group.wobble_um * wobble) / sample.um_per_px
    drawn = _move_borders(drawn, offset_px)
    # The rim of a nucleus moves as the cell's border does.
    inside = ndi.distance_transform_edt(nuclei) - ndi.distance_transform_edt(~nuclei)
    inside -= 0.5 * np.sign(inside)
    return drawn, (inside + offset_px > 0) & (drawn > 0) & ~cuts


def draw_annotators(sample: Sample, group: ExpertGroup, seed: int) -> dict[str, np.ndarray]:
    """Let every expert of a group draw a whole sample by hand.

    No classifier is trained, so this takes a fraction of a second where
    `imc_helpers.phantom.experts.train_experts` takes many: it is for simulations of many groups.
    The eye for the number of cells plays no part, since there is no software to judge.

    Parameters
    ----------
    sample
        A phantom sample with true cells and nuclei.
    group
        The experts.
    seed
        Of the experts: the same seed gives the same people on every sample, with slips of their own
        on each (by its id).

    Returns
    -------
    dict
        (H, W) uint32 labels by annotator, ``"annotator1"`` first; ids run from 1 without gaps.
    """
    doubts = find_doubts(sample)
    masks = {}
    for i, habits in enumerate(expert_habits(group, seed)):
        judgement = Judgement(seed, sample.id, i, group.correlation)
        drawn, _ = draw_region(sample, doubts, habits, group, judgement)
        masks[f"annotator{i + 1}"] = relabel_sequential(drawn)[0].astype(np.uint32)
    return masks


def _split(cells: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut cells in two across their long axis; returns the labels and the pixels along the cuts."""
    result = cells.copy()
    cuts = np.zeros(cells.shape, bool)
    boxes = ndi.find_objects(cells)
    last = int(cells.max())
    for i in ids:
        box = boxes[i - 1]
        if box is None:
            continue
        y, x = np.nonzero(cells[box] == i)
        dy, dx = y - y.mean(), x - x.mean()
        # In closed form: an eigenvector's sign would depend on the linear algebra library.
        angle = 0.5 * np.arctan2(2 * (dy * dx).sum(), (dx**2).sum() - (dy**2).sum())
        along = on_grid(np.cos(angle) * dx + np.sin(angle) * dy)
        last += 1
        result[box][y[along > 0], x[along > 0]] = last
        cuts[box][y[np.abs(along) < 1], x[np.abs(along) < 1]] = True
    return result, cuts


def _move_borders(cells: np.ndarray, offset_px: np.ndarray) -> np.ndarray:
    """Move each border outwards (positive) or inwards (negative) by a local amount, pixels."""
    edge = find_boundaries(cells, connectivity=1)
    # An edge pixel's centre lies half a pixel from the border.
    depth = ndi.distance_transform_edt(~edge) + 0.5
    kept = np.where((cells > 0) & (depth + offset_px > 0), cells, 0)
    outside, nearest = ndi.distance_transform_edt(cells == 0, return_indices=True)
    grown = (cells == 0) & (outside - 0.5 < offset_px)
    return np.where(grown, cells[tuple(nearest)], kept)


def _normal_scores(values: np.ndarray) -> np.ndarray:
    """Ranks as quantiles of the standard normal distribution; equal values by position."""
    rank = np.empty(len(values))
    rank[np.argsort(on_grid(values), kind="stable")] = np.arange(len(values))
    return ndtri((rank + 0.5) / max(1, len(values)))


def _mixed(shared: np.ndarray, own: np.ndarray, correlation: float) -> np.ndarray:
    """Mix standard normal values so that two experts' correlate as given."""
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
