"""Simulated experts who annotate as the study's experts did.

Each labels ten crops of 50 x 50 pixels by hand; the labels train a pixel classifier; its
probabilities become cells by seeded propagation (Schuiki et al. 2025, section 3.1.2: ilastik, then
CellProfiler). Experts differ in their habits alone: how far out they draw a border, and which
doubtful cells they miss, merge or split. Each habit and each slip has a part that all experts share
and a part of one's own; the group's ``correlation`` says how much is shared.

The truth is used once, where an expert draws the crops. Everything after it sees only the image and
what was drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from joblib import Parallel, delayed
from scipy import ndimage as ndi
from scipy.special import ndtri
from sklearn.ensemble import RandomForestClassifier

from imc_helpers.errors import InputError
from imc_helpers.phantom._random import generator, on_grid, smooth_field
from imc_helpers.phantom.markers import MARKERS
from imc_helpers.samples import Sample

TRUTH = "truth"
"""Key of the true masks among a phantom sample's masks and nuclei."""
CROP_PX = 50
"""Side of a hand-labelled crop, pixels (Schuiki et al. 2025, section 3.1.2)."""
N_CROPS = 10
"""Crops that each expert labels (same section)."""

_SCALES_PX = (0.7, 1.0, 1.6, 3.5)
"""Scales of the features: ilastik's own defaults run from 0.3 to 10 pixels."""
_COFACTOR = 1.0
"""Counts are compressed as asinh(count / cofactor), so that a few bright cells do not rule."""
_TREES = 30
_DEPTH = 12
_SEED_SIGMAS_PX = (0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.8, 2.1, 2.5)
"""Smoothings that an expert tries for telling nuclei apart."""
_MIN_OBJECT_PX = 12
"""Experts discard smaller objects."""
_BACKGROUND, _CYTOPLASM, _NUCLEUS = 0, 1, 2
_WOBBLE_PX = 4.0
"""How far along an outline the hand's error is felt, pixels."""
_MARGIN_PX = 32
"""Tissue around a crop that an expert sees: more than the widest filter reaches, and whole cells."""
_BAND_ROWS = 64


@dataclass(frozen=True)
class ExpertGroup:
    """Experts who annotate the same cohort."""

    n_experts: int = 4
    """How many."""
    correlation: float = 0.3
    """Correlation between two experts' habits and slips: 0 independent, 1 the same."""
    border_um: float = 0.0
    """Where the group draws borders, micrometres: positive is generous, negative tight."""
    border_sd_um: float = 0.5
    """How far an expert strays from the group's borders, micrometres (standard deviation)."""
    wobble_um: float = 0.5
    """How far the hand strays along an outline, micrometres (standard deviation)."""
    miss: float = 0.05
    """Share of cells that the group's typical expert misses in a crop, dim ones first."""
    merge: float = 0.02
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


@dataclass(frozen=True, eq=False)
class Expert:
    """An expert whose classifier is trained: what ilastik and CellProfiler hold for one person."""

    name: str
    """Key among a sample's masks, ``"annotator1"`` for the first."""
    habits: Habits
    """How the crops were drawn."""
    forest: RandomForestClassifier
    """Pixel classifier: background, cytoplasm, nucleus."""
    threshold: float
    """Probability of cell at which a pixel counts as cell, set by the area drawn in the crops."""
    seed_sigma_px: float
    """Smoothing that tells nuclei apart, set by the number of cells drawn in the crops, pixels."""


@dataclass(frozen=True, eq=False)
class _Crop:
    sample: int
    window: tuple[slice, slice]


@dataclass(frozen=True)
class _Judgement:
    """One expert's random part in one crop, in which all experts share as they correlate."""

    seed: int
    crop: int
    expert: int
    correlation: float

    def normal(self, what: str, size: int) -> np.ndarray:
        """Standard normal values."""
        shared = generator(self.seed, what, str(self.crop))
        own = generator(self.seed, what, str(self.crop), str(self.expert))
        return _mixed(shared.standard_normal(size), own.standard_normal(size), self.correlation)

    def field(self, what: str, shape: tuple[int, int], scale_px: float) -> np.ndarray:
        """Smooth random field."""
        shared = generator(self.seed, what, str(self.crop))
        own = generator(self.seed, what, str(self.crop), str(self.expert))
        return _mixed(
            smooth_field(shape, scale_px, shared),
            smooth_field(shape, scale_px, own),
            self.correlation,
        )


@dataclass(frozen=True, eq=False)
class _Doubts:
    """What the image leaves open, as scores that are standard normal over the cells or pairs."""

    dim: np.ndarray  # (N,): high where the nucleus is dim
    large: np.ndarray  # (N,): high where the cell is large
    pairs: np.ndarray  # (P, 2): ids of touching cells
    dipless: np.ndarray  # (P,): high where no dip parts the two nuclei


def expert_habits(group: ExpertGroup, seed: int) -> tuple[Habits, ...]:
    """Draw the habits of a group's experts.

    The own parts of a habit are a stratified sample: of four experts one comes from each quarter of
    the distribution, so that even a small group shows the spread.
    """
    rng = generator(seed, "habits")
    shared = rng.standard_normal(5)
    strata = rng.permuted(np.tile(np.arange(group.n_experts), (5, 1)), axis=1).T
    own = ndtri((strata + rng.uniform(0.05, 0.95, strata.shape)) / group.n_experts)
    habits = []
    for z in _mixed(shared, own, group.correlation):
        shares = np.array([group.miss, group.merge, group.split])
        miss, merge, split = np.minimum(0.45, shares * np.exp(group.habit_sd * z[1:4]))
        eye = np.exp(group.eye_sd * z[4])
        border = group.border_um + group.border_sd_um * z[0]
        habits.append(Habits(float(border), float(miss), float(merge), float(split), float(eye)))
    return tuple(habits)


def train_experts(
    samples: Sequence[Sample], group: ExpertGroup, seed: int, n_jobs: int = 1
) -> tuple[Expert, ...]:
    """Let every expert of a group label the same ten crops and train a classifier on them.

    Parameters
    ----------
    samples
        Samples with true cells and nuclei under the key ``"truth"``; the crops are shared out
        among them. A panel that names nucleus and membrane channels is needed.
    group
        The experts.
    seed
        The same seed gives the same experts.
    n_jobs
        Threads. The experts do not depend on it.

    Raises
    ------
    InputError
        If a sample lacks its truth, or the samples are too small for ten crops.
    """
    for sample in samples:
        if TRUTH not in sample.masks or TRUTH not in sample.nuclei:
            raise InputError(
                f"sample {sample.id}: no masks and nuclei {TRUTH!r}; experts draw a phantom's truth"
            )
    crops = _choose_crops([sample.shape for sample in samples], generator(seed, "crops"))
    regions = [_region(samples[crop.sample], crop) for crop in crops]
    windows = [window for _, window in regions]
    doubts = [_doubts(region) for region, _ in regions]
    features = [pixel_features(region) for region, _ in regions]

    experts = []
    for i, habits in enumerate(expert_habits(group, seed)):
        drawn = [
            _draw(region, doubt, habits, group, _Judgement(seed, k, i, group.correlation))
            for k, ((region, _), doubt) in enumerate(zip(regions, doubts, strict=True))
        ]
        forest = _train_forest(features, drawn, windows, n_jobs)
        threshold, sigma = _tune(forest, features, drawn, windows, habits.eye)
        experts.append(Expert(f"annotator{i + 1}", habits, forest, threshold, sigma))
    return tuple(experts)


def _train_forest(
    features: Sequence[np.ndarray],
    drawn: Sequence[tuple[np.ndarray, np.ndarray]],
    windows: Sequence[tuple[slice, slice]],
    n_jobs: int,
) -> RandomForestClassifier:
    """Train the pixel classifier on the crops."""
    x = np.concatenate([_rows(f[window]) for f, window in zip(features, windows, strict=True)])
    y = np.concatenate(
        [_classes(c[w], n[w]).ravel() for (c, n), w in zip(drawn, windows, strict=True)]
    )
    # All experts run the same software with the same settings, its random numbers included.
    forest = RandomForestClassifier(
        n_estimators=_TREES,
        max_depth=_DEPTH,
        min_samples_leaf=8,
        max_samples=0.4,
        random_state=0,
        n_jobs=n_jobs,
    ).fit(x, y)
    # One thread from here on: threads add the trees' votes in any order, and with the order a
    # sum's last bit changes.
    return forest.set_params(n_jobs=1)


def _tune(
    forest: RandomForestClassifier,
    features: Sequence[np.ndarray],
    drawn: Sequence[tuple[np.ndarray, np.ndarray]],
    windows: Sequence[tuple[slice, slice]],
    eye: float,
) -> tuple[float, float]:
    """Choose the threshold of cell and the smoothing of the seeds, as an expert does by eye.

    The expert looks around the crops, where the classifier has not been told what is what, and
    wants as much of the tissue covered and as many nuclei per area there as drawn in the crops.
    """
    outside = []
    for f, window in zip(features, windows, strict=True):
        mask = np.ones(f.shape[:2], bool)
        mask[window] = False
        outside.append(mask)
    maps = [_classify(forest, f) for f in features]
    covered = np.mean([(c[w] > 0).mean() for (c, _), w in zip(drawn, windows, strict=True)])
    is_cell = np.concatenate(
        [1 - m[mask][:, _BACKGROUND] for m, mask in zip(maps, outside, strict=True)]
    )
    threshold = float(on_grid(np.clip(np.quantile(is_cell, 1 - covered), 0.2, 0.8)))

    counted = sum(_count_nuclei(c, n, w) for (c, n), w in zip(drawn, windows, strict=True))
    wanted = eye * counted * sum(mask.sum() for mask in outside) / (N_CROPS * CROP_PX**2)
    found = np.array(
        [
            sum(
                len(np.unique(_seeds(m[..., _NUCLEUS], sigma)[mask])) - 1
                for m, mask in zip(maps, outside, strict=True)
            )
            for sigma in _SEED_SIGMAS_PX
        ]
    )
    return threshold, _SEED_SIGMAS_PX[int(np.argmin(np.abs(found - wanted)))]


def _classify(forest: RandomForestClassifier, features: np.ndarray) -> np.ndarray:
    """Probability of background, cytoplasm and nucleus at each pixel: (H, W, 3) float64."""
    full = np.zeros((*features.shape[:2], 3))
    # A class that the expert never drew keeps the probability 0.
    full[..., forest.classes_] = forest.predict_proba(_rows(features)).reshape(
        *features.shape[:2], -1
    )
    return on_grid(full)


def annotate(sample: Sample, experts: Sequence[Expert], n_jobs: int = 1) -> Sample:
    """Return the sample with the masks and nuclei of the experts added.

    Parameters
    ----------
    sample
        The image; masks that it has are kept.
    experts
        From :func:`train_experts`.
    n_jobs
        Threads. The masks do not depend on it.
    """
    features = pixel_features(sample)
    masks, nuclei = dict(sample.masks), dict(sample.nuclei)
    for expert in experts:
        masks[expert.name], nuclei[expert.name] = _segment(features, expert, n_jobs)
    return replace(sample, masks=masks, nuclei=nuclei)


def pixel_features(sample: Sample) -> np.ndarray:
    """Compute the multiscale features of the classifier.

    Of two planes: the mean of the nucleus channels, and the mean of all channels that stain cells
    outside the nucleus. An expert looks at the whole panel, the markers that a model is not given included.
    Counts are compressed by asinh; of each, at every scale: Gaussian, gradient magnitude and the two eigenvalues of the
    Hessian.

    Returns
    -------
    numpy.ndarray
        (H, W, F) float32.
    """
    planes = []
    nucleus = list(sample.panel.compartment("nucleus"))
    others = [
        i
        for i, channel in enumerate(sample.panel.channels)
        if MARKERS[channel.name].counts and MARKERS[channel.name].where.nucleus < 1
    ]
    for channels in (nucleus, others):
        mean = sample.image[channels].mean(axis=0)
        plane = np.arcsinh(mean / np.float32(_COFACTOR)).astype(np.float32)
        for scale in _SCALES_PX:
            smooth = ndi.gaussian_filter(plane, scale)
            dy, dx = np.gradient(smooth)
            dyy, dyx = np.gradient(dy)
            dxx = np.gradient(dx, axis=1)
            half_trace = (dyy + dxx) / 2
            root = np.hypot((dyy - dxx) / 2, dyx)
            planes += [smooth, np.hypot(dy, dx), half_trace + root, half_trace - root]
    return on_grid(np.stack(planes, axis=-1), 4096).astype(np.float32)


def _mixed(shared: np.ndarray, own: np.ndarray, correlation: float) -> np.ndarray:
    """Standard normal values of which two experts' have the given correlation."""
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own


def _choose_crops(shapes: Sequence[tuple[int, int]], rng: np.random.Generator) -> list[_Crop]:
    """Share ten crops out among the samples, none overlapping another."""
    slots = []
    for k, (height, width) in enumerate(shapes):
        tiles = [
            (r, c)
            for r in range(0, height - CROP_PX + 1, CROP_PX)
            for c in range(0, width - CROP_PX + 1, CROP_PX)
        ]
        slots += [(turn, k, tiles[j]) for turn, j in enumerate(rng.permutation(len(tiles)))]
    slots.sort(key=lambda slot: slot[:2])
    if len(slots) < N_CROPS:
        raise InputError(
            f"samples: {N_CROPS} crops of {CROP_PX} x {CROP_PX} px are labelled, and the images "
            f"hold only {len(slots)}. Give more or larger samples"
        )
    return [
        _Crop(k, (slice(r, r + CROP_PX), slice(c, c + CROP_PX))) for _, k, (r, c) in slots[:N_CROPS]
    ]


def _region(sample: Sample, crop: _Crop) -> tuple[Sample, tuple[slice, slice]]:
    """Cut out a crop with what surrounds it; returns the region and the crop's place in it."""
    around, within = [], []
    for side, part in zip(sample.shape, crop.window, strict=True):
        start, stop = max(0, part.start - _MARGIN_PX), min(side, part.stop + _MARGIN_PX)
        around.append(slice(start, stop))
        within.append(slice(part.start - start, part.stop - start))
    window = (around[0], around[1])
    # Ids run from 1 again, so that what is computed per cell stays as small as the region.
    ids, inverse = np.unique(sample.masks[TRUTH][window], return_inverse=True)
    new_id = np.arange(len(ids)) + (ids[0] != 0)
    cells = new_id[inverse].reshape(sample.masks[TRUTH][window].shape).astype(np.uint32)
    nuclei = np.where(sample.nuclei[TRUTH][window] > 0, cells, 0).astype(np.uint32)
    region = replace(
        sample, image=sample.image[:, *window], masks={TRUTH: cells}, nuclei={TRUTH: nuclei}
    )
    return region, (within[0], within[1])


def _count_nuclei(cells: np.ndarray, nuclei: np.ndarray, window: tuple[slice, slice]) -> int:
    """Count the cells whose nucleus has its centre in the window: those that should get a seed."""
    owner = cells[nuclei]
    n = np.bincount(owner)
    found = np.flatnonzero(n)
    inside = np.ones(len(found), bool)
    for axis, part in zip(np.nonzero(nuclei), window, strict=True):
        centre = np.bincount(owner, axis)[found] / n[found]
        inside &= (centre >= part.start - 0.5) & (centre < part.stop - 0.5)
    return int(inside.sum())


def _rows(features: np.ndarray) -> np.ndarray:
    return features.reshape(-1, features.shape[-1])


def _doubts(sample: Sample) -> _Doubts:
    """Measure what makes cells doubtful, from the nucleus channel and the true outlines."""
    cells = sample.masks[TRUTH]
    n = int(cells.max())
    flat = cells.ravel()
    nucleus = sample.image[list(sample.panel.compartment("nucleus"))].mean(axis=0)
    smooth = ndi.gaussian_filter(nucleus.astype(np.float64), 1.0)
    area = np.maximum(1, np.bincount(flat, minlength=n + 1)[1:])
    light = np.bincount(flat, smooth.ravel(), minlength=n + 1)[1:] / area
    pairs = _touching(cells)
    rows, columns = np.indices(cells.shape)
    centre = np.stack(
        [np.bincount(flat, axis.ravel(), n + 1)[1:] / area for axis in (rows, columns)], axis=1
    )
    a, b = centre[pairs[:, 0] - 1], centre[pairs[:, 1] - 1]
    ends = [ndi.map_coordinates(smooth, p.T, order=1) for p in (a, b)]
    middle = ndi.map_coordinates(smooth, ((a + b) / 2).T, order=1)
    return _Doubts(
        dim=_normal_scores(-light),
        large=_normal_scores(area.astype(float)),
        pairs=pairs,
        dipless=_normal_scores(middle / np.maximum(1e-6, np.minimum(*ends))),
    )


def _touching(cells: np.ndarray, min_border_px: int = 4) -> np.ndarray:
    """Pairs of ids that share at least some pixels of border: (P, 2), smaller id first."""
    sides = [(cells[1:], cells[:-1]), (cells[:, 1:], cells[:, :-1])]
    a = np.concatenate([s[0].ravel() for s in sides]).astype(np.int64)
    b = np.concatenate([s[1].ravel() for s in sides]).astype(np.int64)
    meet = (a != b) & (a > 0) & (b > 0)
    pairs = np.stack([np.minimum(a, b)[meet], np.maximum(a, b)[meet]], axis=1)
    found, border = np.unique(pairs, axis=0, return_counts=True)
    return found[border >= min_border_px]


def _normal_scores(values: np.ndarray) -> np.ndarray:
    """Ranks as quantiles of the standard normal distribution; equal values by position."""
    rank = np.empty(len(values))
    rank[np.argsort(on_grid(values), kind="stable")] = np.arange(len(values))
    return ndtri((rank + 0.5) / max(1, len(values)))


def _draw(
    sample: Sample, doubts: _Doubts, habits: Habits, group: ExpertGroup, judgement: _Judgement
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
        place = np.stack([y - y.mean(), x - x.mean()])
        long_axis = np.linalg.eigh(place @ place.T)[1][:, 1]
        along = on_grid(long_axis @ place)
        last += 1
        result[box][y[along > 0], x[along > 0]] = last
        cuts[box][y[np.abs(along) < 1], x[np.abs(along) < 1]] = True
    return result, cuts


def _move_borders(cells: np.ndarray, offset_px: np.ndarray) -> np.ndarray:
    """Move each border outwards (positive) or inwards (negative) by a local amount, pixels."""
    edge = np.zeros(cells.shape, bool)
    for axis in (0, 1):
        differ = np.diff(cells, axis=axis) != 0
        before = [slice(None)] * 2
        after = [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= differ
        edge[tuple(after)] |= differ
    # An edge pixel's centre lies half a pixel from the border.
    depth = ndi.distance_transform_edt(~edge) + 0.5
    kept = np.where((cells > 0) & (depth + offset_px > 0), cells, 0)
    outside, nearest = ndi.distance_transform_edt(cells == 0, return_indices=True)
    grown = (cells == 0) & (outside - 0.5 < offset_px)
    return np.where(grown, cells[tuple(nearest)], kept)


def _classes(cells: np.ndarray, nuclei: np.ndarray) -> np.ndarray:
    return np.where(nuclei, _NUCLEUS, np.where(cells > 0, _CYTOPLASM, _BACKGROUND))


def _seeds(nucleus: np.ndarray, sigma_px: float) -> np.ndarray:
    """Number the maxima of a smoothed probability of nucleus: (H, W) int32."""
    smooth = on_grid(ndi.gaussian_filter(nucleus, sigma_px))
    peak = (smooth == ndi.maximum_filter(smooth, 3)) & (smooth > 0.3)
    return ndi.label(peak, np.ones((3, 3)))[0]


def _segment(features: np.ndarray, expert: Expert, n_jobs: int) -> tuple[np.ndarray, np.ndarray]:
    """Classify the pixels, then grow cells from the nuclei."""
    # centrosome takes a while to import and only simulated experts need it.
    from centrosome.propagate import propagate  # noqa: PLC0415

    # Bands of rows are classified apart and put together in order, so that the number of threads
    # cannot change a sum.
    bands = [features[top : top + _BAND_ROWS] for top in range(0, len(features), _BAND_ROWS)]
    parts = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_classify)(expert.forest, band) for band in bands
    )
    probability = np.concatenate(parts)

    seeds = _seeds(probability[..., _NUCLEUS], expert.seed_sigma_px)
    is_cell = 1 - probability[..., _BACKGROUND] >= expert.threshold
    cells, _ = propagate(probability[..., _NUCLEUS], seeds, is_cell | (seeds > 0), 0.05)
    area = np.bincount(cells.ravel())
    keep = area >= _MIN_OBJECT_PX
    keep[0] = False
    new_id = np.where(keep, np.cumsum(keep), 0).astype(np.uint32)
    cells = new_id[cells]
    nuclei = np.where(probability.argmax(axis=-1) == _NUCLEUS, cells, 0).astype(np.uint32)
    return cells, nuclei
