"""Simulated experts who annotate as the study's experts did.

Each labels ten crops of 50 x 50 pixels by hand; the labels train a pixel classifier; its
probabilities become cells by seeded propagation (Schuiki et al. 2025, section 3.1.2: ilastik, then
CellProfiler). The truth is used once, where an expert draws the crops. Everything after it sees
only the image and what was drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from skimage.segmentation import relabel_sequential
from sklearn.ensemble import RandomForestClassifier

from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.images.pixel_classifier import (
    BACKGROUND,
    CYTOPLASM,
    NUCLEUS,
    class_probabilities,
    find_seeds,
    grow_cells,
    grow_forest,
    multiscale_features,
)
from imc_helpers.images.rounding import on_grid
from imc_helpers.patching import Window
from imc_helpers.phantom._random import generator
from imc_helpers.phantom.drawing import (
    TRUTH,
    ExpertGroup,
    Habits,
    Judgement,
    draw_region,
    expert_habits,
    find_doubts,
)
from imc_helpers.phantom.markers import MARKERS

CROP_PX = 50
"""Side of a hand-labelled crop, pixels (Schuiki et al. 2025, section 3.1.2)."""
N_CROPS = 10
"""Crops that each expert labels (same section)."""

_SEED_SIGMAS_PX = tuple(round(0.5 + 0.1 * k, 1) for k in range(21))
"""Smoothings that an expert tries for telling nuclei apart."""
_MARGIN_PX = 32
"""Tissue around a crop that an expert sees: more than the widest filter reaches."""


@dataclass(frozen=True, eq=False)
class Expert:
    """An expert whose classifier is trained: what ilastik and CellProfiler hold for one person."""

    name: str
    """Key among a sample's masks, ``"annotator1"`` for the first."""
    habits: Habits
    """How the crops were drawn."""
    pixels: np.ndarray
    """Features of the labelled pixels: (N, F) float32."""
    classes: np.ndarray
    """What they were labelled as, background, cytoplasm or nucleus: (N,) integers."""
    forest: RandomForestClassifier
    """Pixel classifier, from `imc_helpers.images.pixel_classifier.grow_forest`."""
    threshold: float
    """Probability of cell at which a pixel counts as cell, set by the area drawn in the crops."""
    seed_sigma_px: float
    """Smoothing that tells nuclei apart, set by the number of cells drawn in the crops, pixels."""


@dataclass(frozen=True, eq=False)
class _Crop:
    sample: int
    window: tuple[slice, slice]


def pixel_features(sample: Sample) -> np.ndarray:
    """Compute what the simulated experts' classifiers see of a sample.

    Two planes: the mean of the nucleus channels, and the mean of all channels that stain cells
    outside the nucleus: an expert looks at the whole panel, and not only at what a model is given.
    Counts are compressed by asinh, so that a few bright cells do not rule.

    Returns
    -------
    numpy.ndarray
        (H, W, F) float32, from `imc_helpers.images.pixel_classifier.multiscale_features`.
    """
    nucleus = list(sample.panel.compartment("nucleus"))
    others = [
        i
        for i, channel in enumerate(sample.panel.channels)
        if MARKERS[channel.name].counts and MARKERS[channel.name].where.nucleus < 1
    ]
    means = [sample.image[channels].mean(axis=0) for channels in (nucleus, others)]
    return multiscale_features([np.arcsinh(mean).astype(np.float32) for mean in means])


def train_experts(
    samples: Sequence[Sample],
    group: ExpertGroup,
    seed: int,
    n_jobs: int = 1,
    *,
    see: Callable[[Sample], np.ndarray] = pixel_features,
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
    see
        What the classifiers see of a part of a sample, which keeps its ``id``: (H, W, F) float32.

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
    doubts = [find_doubts(region) for region, _ in regions]
    features = [see(region) for region, _ in regions]

    experts = []
    for i, habits in enumerate(expert_habits(group, seed)):
        drawn = [
            draw_region(region, doubt, habits, group, Judgement(seed, k, i, group.correlation))
            for k, ((region, _), doubt) in enumerate(zip(regions, doubts, strict=True))
        ]
        pixels, classes = _labelled_pixels(features, drawn, windows)
        forest = grow_forest(pixels, classes, n_jobs)
        threshold, sigma = _tune(forest, features, drawn, windows, habits.eye)
        name = f"annotator{i + 1}"
        experts.append(Expert(name, habits, pixels, classes, forest, threshold, sigma))
    return tuple(experts)


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
        masks[expert.name], nuclei[expert.name] = grow_cells(
            features, expert.forest, expert.threshold, expert.seed_sigma_px, n_jobs
        )
    return replace(sample, masks=masks, nuclei=nuclei)


def crops_to_draw(shapes: Sequence[tuple[int, int]], seed: int) -> list[tuple[Window, ...]]:
    """Choose ten crops, shared out among samples: those of each, none overlapping another.

    Parameters
    ----------
    shapes
        Height and width of each sample, pixels.
    seed
        The same seed gives the same crops.

    Raises
    ------
    InputError
        If the samples are too small for ten crops.
    """
    chosen = _choose_crops(shapes, generator(seed, "crops to draw"))
    places = [(c.sample, Window(c.window[0].start, c.window[1].start, CROP_PX)) for c in chosen]
    return [tuple(window for k, window in places if k == n) for n in range(len(shapes))]


def draw_crops(
    sample: Sample, crops: Sequence[Window], group: ExpertGroup, seed: int
) -> dict[str, np.ndarray]:
    """Let every expert draw crops of a sample by hand, as for a classifier that they do not train.

    Parameters
    ----------
    sample
        A phantom sample with its truth.
    crops
        Where.
    group, seed
        As for `train_experts`: the same give the same people.

    Returns
    -------
    dict
        (H, W) uint32 labels by annotator, ``"annotator1"`` first; 0 outside the crops. Cells that a
        crop cuts are cut in it.
    """
    drawn = {f"annotator{i + 1}": np.zeros(sample.shape, np.uint32) for i in range(group.n_experts)}
    for crop in crops:
        region, window = _region(sample, _Crop(0, crop.slices))
        doubts = find_doubts(region)
        for i, habits in enumerate(expert_habits(group, seed)):
            where = f"{sample.id} {crop.y} {crop.x}"
            judgement = Judgement(seed, where, i, group.correlation)
            cells, _ = draw_region(region, doubts, habits, group, judgement)
            labels = drawn[f"annotator{i + 1}"]
            ids = relabel_sequential(cells[window], offset=int(labels.max()) + 1)[0]
            labels[crop.slices] = ids
    return drawn


def correlated_annotations(
    sample: Sample,
    correlation: float,
    *,
    taught_on: Sample,
    group: ExpertGroup | None = None,
    seed: int = 0,
    n_jobs: int = 1,
) -> Sample:
    """Let a group whose experts correlate as given annotate one sample.

    Parameters
    ----------
    sample
        A phantom sample; its truth is not looked at.
    correlation
        0 for experts with nothing in common but the image, 1 for the same expert several times.
    taught_on
        A phantom sample with its truth, large enough for ten crops (250 x 250 px and up), on which
        the experts label them. It should be another tissue: in a small one the crops would cover a
        good part of what is scored.
    group
        The experts in everything else; the study's four when not given.
    seed
        The same seed gives the same random parts, shared and own, whatever the correlation.
    n_jobs
        Threads. The masks do not depend on it.
    """
    correlated = replace(group or ExpertGroup(), correlation=correlation)
    return annotate(sample, train_experts([taught_on], correlated, seed, n_jobs), n_jobs)


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
        sample,
        image=sample.image[(slice(None), *window)],
        masks={TRUTH: cells},
        nuclei={TRUTH: nuclei},
        truth=None,  # its ids are those of the whole image
    )
    return region, (within[0], within[1])


def _labelled_pixels(
    features: Sequence[np.ndarray],
    drawn: Sequence[tuple[np.ndarray, np.ndarray]],
    windows: Sequence[tuple[slice, slice]],
) -> tuple[np.ndarray, np.ndarray]:
    """Gather features and classes of the pixels in the crops."""
    x = np.concatenate([_rows(f[window]) for f, window in zip(features, windows, strict=True)])
    y = np.concatenate(
        [_classes(c[w], n[w]).ravel() for (c, n), w in zip(drawn, windows, strict=True)]
    )
    return x, y


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
    maps = [class_probabilities(forest, f) for f in features]
    covered = np.mean([(c[w] > 0).mean() for (c, _), w in zip(drawn, windows, strict=True)])
    is_cell = np.concatenate(
        [1 - m[mask][:, BACKGROUND] for m, mask in zip(maps, outside, strict=True)]
    )
    threshold = float(on_grid(np.clip(np.quantile(is_cell, 1 - covered), 0.2, 0.8)))

    counted = sum(_count_nuclei(c, n, w) for (c, n), w in zip(drawn, windows, strict=True))
    wanted = eye * counted * sum(mask.sum() for mask in outside) / (N_CROPS * CROP_PX**2)
    found = np.array(
        [
            sum(
                len(np.unique(find_seeds(m[..., NUCLEUS], sigma)[mask])) - 1
                for m, mask in zip(maps, outside, strict=True)
            )
            for sigma in _SEED_SIGMAS_PX
        ]
    )
    return threshold, _SEED_SIGMAS_PX[int(np.argmin(np.abs(found - wanted)))]


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


def _classes(cells: np.ndarray, nuclei: np.ndarray) -> np.ndarray:
    return np.where(nuclei, NUCLEUS, np.where(cells > 0, CYTOPLASM, BACKGROUND))


def _rows(features: np.ndarray) -> np.ndarray:
    return features.reshape(-1, features.shape[-1])
