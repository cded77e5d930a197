"""How imperfect the labels may be that a network learns from (Bird et al. 2024).

Images are divided, the labels of those for training made worse in a known way, a U-Net trained on
them, and its maps scored on images kept apart, whose labels stay as they are: as pixels, and as
cells got from the maps in three ways.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage as ndi

from imc_helpers.agreement.intervals import paired_differences
from imc_helpers.cells.counts import count_cells
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.experiments.sweeps import in_words
from imc_helpers.images.cells_of_maps import components, grown_from_interiors, grown_from_nuclei
from imc_helpers.images.imperfect_masks import drop_cells, interior, move_borders, sure_pixels
from imc_helpers.metrics import evaluate
from imc_helpers.metrics.foreground import COUNTS, count_pixels, pixel_scores, soft_dice_score
from imc_helpers.models.training.patches import (
    Patches,
    Split,
    cut,
    join,
    make_patches,
    normalise,
    split_images,
)
from imc_helpers.phantom.drawing import TRUTH
from imc_helpers.phantom.imaging import image_tissue
from imc_helpers.phantom.recipes import find_recipe
from imc_helpers.phantom.tissue import make_tissue

MARKERS = ("HistoneH3", "Vimentin", "Collagen1", "DNA1", "DNA2", "panCK")
"""Channels of the lung networks (Table I; its sixth name is lost in print, panCK is our guess)."""
SHARED_MARKERS = ("HistoneH3", "Vimentin", "DNA1", "DNA2")
"""Channels that lung and breast share (Table I)."""
NUCLEAR = ("DNA1", "DNA2")
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Shares of missing cells in the paper."""
AT_RANDOM, DIM_FIRST = "at random", "dim first"
"""Which cells are missing."""
WAYS = MappingProxyType(
    {
        "pieces": "connected pieces",
        "nuclei": "grown from nuclei",
        "interiors": "grown from interiors",
    }
)
"""Ways from maps to cells, by the name of their column."""
CELL = 0.5
"""Probability at which a pixel counts as cell."""
_DIM_PX = 1.0
"""Smoothing of the nuclear image in which a cell is dim, pixels: the simulated annotators' own."""


@dataclass(frozen=True)
class Labels:
    """How the labels of training differ from those that are there."""

    missing: float = 0.0
    """Share of the cells of each image."""
    kernel_px: int = 0
    """Largest square by which borders are moved, pixels."""
    order: str = AT_RANDOM
    """`AT_RANDOM` or `DIM_FIRST`."""
    unknown: bool = False
    """Whether what is not labelled counts as unknown, and not as background."""
    whole_validation: bool = False
    """Whether the images that choose the epoch keep all their labels."""

    def __post_init__(self) -> None:
        if self.order not in (AT_RANDOM, DIM_FIRST):
            raise InputError(f"order {self.order!r}: expected {AT_RANDOM!r} or {DIM_FIRST!r}")

    def of(self, labels: np.ndarray, nucleus: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
        """Return one image's labels as they are to be learned, and how many cells erosion took."""
        last = ndi.gaussian_filter(nucleus, _DIM_PX) if self.order == DIM_FIRST else None
        left = drop_cells(labels, self.missing, seed=seed, last=last)
        return move_borders(left, self.kernel_px, seed=seed)


@dataclass(frozen=True)
class Training:
    """Size and length of a training; the defaults are the paper's where it says them."""

    base: int = 32
    patch_px: int = 128
    epochs: int = 50
    batch: int = 64
    rate: float = 0.01
    loss: str = "soft Dice"
    turned: bool = False
    seed: int = 0


KERNEL_MISSING = 0.5
"""Share of missing cells where borders are moved as well."""
SMALL = Training(base=8, epochs=8, batch=4, turned=True)
"""What a laptop's core does in ten seconds or so on `SMALL_IMAGES` images."""
SMALL_IMAGES, SMALL_SIDE_PX = 16, 256
PAPER_SHARES = (0.7, 0.1, 0.2)
"""Of training, validation and test."""
SMALL_SHARES = (0.56, 0.07, 0.37)
"""The same for few images: more are kept apart, so that scores have intervals."""
_FEW_IMAGES = 30


@dataclass(frozen=True, eq=False)
class Tissue:
    """Images with labels, some of which are kept apart."""

    samples: Mapping[str, Sample]
    split: Split
    rater: str = TRUTH
    """Whose masks are learned."""
    markers: tuple[str, ...] = MARKERS
    nuclear: tuple[str, ...] = NUCLEAR
    """Those of the markers that stain nuclei."""

    def image(self, name: str) -> np.ndarray:
        """Return the normalised channels of an image, (C, H, W) float32."""
        sample = self.samples[name]
        planes = sample.image[[sample.panel.index(marker) for marker in self.markers]]
        return normalise(planes, f"image {name}")

    def nucleus(self, name: str) -> np.ndarray:
        """Return the mean of the nuclear channels of an image, normalised, (H, W)."""
        planes = self.image(name)
        return planes[[self.markers.index(marker) for marker in self.nuclear]].mean(axis=0)

    def labels(self, name: str) -> np.ndarray:
        """Return the masks that are learned, as they are, (H, W)."""
        masks = self.samples[name].masks
        if self.rater not in masks:
            raise InputError(f"image {name}: no masks of {self.rater!r} to train on")
        return masks[self.rater]


@dataclass(frozen=True, eq=False)
class Trained:
    """A network and what it learned from."""

    network: Any
    """``torch.nn.Module`` in evaluation mode, on the device that trained it."""
    curve: pd.DataFrame
    """Loss and validation by epoch."""
    patch_px: int
    labelled: int
    """Labelled cells of the training images."""
    deleted: int
    """Of these, cells that erosion took away."""
    seconds: float
    """CPU time of the training, seconds."""
    targets: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What was learned of each image, (2, H, W) bool: cell, and interior of a cell."""

    def maps(self, image: np.ndarray) -> np.ndarray:
        """Return probabilities of cell and of interior, (2, H, W), of a normalised image."""
        import torch  # noqa: PLC0415  # only where a network runs

        from imc_helpers.models.dropout_unet import predict  # noqa: PLC0415

        patches = torch.from_numpy(cut(image, self.patch_px))
        return join(predict(self.network, patches).numpy(), (image.shape[1], image.shape[2]))


def made_samples(recipe: str, images: int, side_px: int, seed: int) -> dict[str, Sample]:
    """Make phantom tissue that no cohort holds, with its true cells, by name.

    Parameters
    ----------
    recipe
        A key of `imc_helpers.phantom.recipes.COHORTS`.
    images
        How many.
    side_px
        Their edge, pixels.
    seed
        Of the first; the others have the seeds that follow.
    """
    made = find_recipe(recipe)
    found = {}
    for k in range(seed, seed + images):
        tissue = make_tissue((side_px, side_px), made.tissue, k)
        counts = image_tissue(tissue, made.panel, made.imaging, k)
        name = f"{recipe}_made_{k}"
        found[name] = Sample(name, counts, made.panel, tissue.um_per_px, {TRUTH: tissue.cells})
    return found


def divided(
    recipes: Sequence[str],
    images: int,
    side_px: int,
    *,
    seed: int,
    markers: tuple[str, ...] = MARKERS,
    learn_from: Sequence[str] = (),
) -> Tissue:
    """Make tissue of one recipe or more, and divide the images of each.

    Parameters
    ----------
    recipes
        Keys of `imc_helpers.phantom.recipes.COHORTS`; the test images are the last one's.
    images, side_px, seed
        Of each recipe, as for `made_samples`.
    markers
        Channels that the network sees.
    learn_from
        Recipes whose images serve for training and validation; all when empty.
    """
    samples: dict[str, Sample] = {}
    train_on: list[str] = []
    check_on: list[str] = []
    for recipe in recipes:
        made = made_samples(recipe, images, side_px, seed)
        shares = SMALL_SHARES if images < _FEW_IMAGES else PAPER_SHARES
        split = split_images(list(made), shares, seed=0)
        samples |= made
        if recipe in (learn_from or recipes):
            train_on += split.train
            check_on += split.validation
    return Tissue(samples, Split(tuple(train_on), tuple(check_on), split.test), markers=markers)


def train(
    tissue: Tissue,
    labels: Labels,
    training: Training,
    *,
    folder: Path | None = None,
    device: str = "cpu",
) -> Trained:
    """Train a network on labels made worse.

    Parameters
    ----------
    tissue
        Images and split.
    labels
        What is wrong with the labels.
    training
        How the network is trained.
    folder
        Where an interrupted training is taken up again; nowhere when None.
    device
        ``"cpu"`` or ``"cuda"``.
    """
    targets, known, labelled, deleted = {}, {}, 0, 0
    for k, name in enumerate((*tissue.split.train, *tissue.split.validation)):
        mask, gone = tissue.labels(name), 0
        if name in tissue.split.train or not labels.whole_validation:
            mask, gone = labels.of(mask, tissue.nucleus(name), training.seed * 1000 + k)
        targets[name] = np.stack([mask > 0, interior(mask)])
        known[name] = sure_pixels(mask) if labels.unknown else np.ones(mask.shape, bool)
        if name in tissue.split.train:
            labelled += count_cells(mask) + gone
            deleted += gone
    network, curve, seconds = _fit(tissue, targets, known, training, folder, device)
    return Trained(network, curve, training.patch_px, labelled, deleted, seconds, targets)


def bootstrapped(
    tissue: Tissue,
    first: Trained,
    training: Training,
    rounds: int,
    *,
    whole_validation: bool = False,
    device: str = "cpu",
) -> Iterator[Trained]:
    """Train again and again, each time on the labels and what the last network found besides.

    What was labelled stays labelled. The paper does not say whether it does, nor whether the images
    that chose the epoch had their labels updated: here they are, unless they keep all labels.

    Parameters
    ----------
    tissue, training
        As for `train`.
    first
        The network to begin with, of which the rounds are the improvement.
    rounds
        Number of trainings.
    whole_validation
        Whether the images that choose the epoch keep the labels that ``first`` had for them.
    """
    last = first
    for _ in range(rounds):
        targets = {}
        for name, target in last.targets.items():
            kept = whole_validation and name not in tissue.split.train
            targets[name] = target if kept else target | (last.maps(tissue.image(name)) >= CELL)
        known = {name: np.ones(target.shape[1:], bool) for name, target in targets.items()}
        network, curve, seconds = _fit(tissue, targets, known, training, None, device)
        last = replace(first, network=network, curve=curve, seconds=seconds, targets=targets)
        yield last


def _fit(
    tissue: Tissue,
    targets: Mapping[str, np.ndarray],
    known: Mapping[str, np.ndarray],
    training: Training,
    folder: Path | None,
    device: str,
) -> tuple[Any, pd.DataFrame, float]:
    # Only those who train need torch, MONAI and Lightning.
    from imc_helpers.models.dropout_unet import DropoutUNet  # noqa: PLC0415
    from imc_helpers.models.training.loop import FitSettings, fit_network  # noqa: PLC0415

    def patches(names: Sequence[str]) -> Patches:
        return make_patches(
            [tissue.image(name) for name in names],
            [targets[name] for name in names],
            training.patch_px,
            [known[name] for name in names],
        )

    settings = FitSettings(
        training.loss,
        training.epochs,
        training.batch,
        training.rate,
        "turned" if training.turned else "none",
        training.seed,
    )
    start = time.process_time()
    with TemporaryDirectory() as temporary:
        network, curve = fit_network(
            lambda: DropoutUNet(len(tissue.markers), 2, training.base),
            patches(tissue.split.train),
            patches(tissue.split.validation),
            settings,
            folder or Path(temporary),
            device,
        )
    return network.to(device), curve, time.process_time() - start


def score(trained: Trained, tissue: Tissue, raters: Iterable[str] = ()) -> pd.DataFrame:
    """Score a network on the images kept apart.

    Parameters
    ----------
    trained
        The network.
    tissue
        Images and split.
    raters
        Whose masks it is scored with; the one it learned from when empty.

    Returns
    -------
    pandas.DataFrame
        One row per image and rater: ``sample``, ``rater``, pixels (`count_pixels`), scores of
        pixels (`pixel_scores`), ``soft_dice``, ``patch_dice`` (mean over the patches that hold
        cells), ``cells``, and for each way of `WAYS` the cells
        found, ``found_WAY``, and ``ap50_WAY`` (IoU >= .5).
    """
    rows = []
    for name in tissue.split.test:
        maps = trained.maps(tissue.image(name))
        found = cells_of(maps, tissue.nucleus(name))
        for rater in tuple(raters) or (tissue.rater,):
            true = tissue.samples[name].masks[rater]
            counts = count_pixels(true, maps[0] >= CELL)
            row = {"sample": name, "rater": rater, **counts, **pixel_scores(counts)}
            row["soft_dice"] = soft_dice_score(true, maps[0])
            row["patch_dice"] = _dice_of_patches(true, maps[0] >= CELL, trained.patch_px)
            for way, cells in found.items():
                scores = evaluate(true, cells)
                row |= {"cells": scores.n_true, f"found_{way}": scores.n_pred}
                row[f"ap50_{way}"] = scores.ap50
            rows.append(row)
    return pd.DataFrame(rows)


def _dice_of_patches(true: np.ndarray, pred: np.ndarray, side_px: int) -> float:
    pairs = zip(cut(true[None], side_px), cut(pred[None], side_px), strict=True)
    return float(
        np.mean([pixel_scores(count_pixels(*pair))["dice"] for pair in pairs if pair[0].any()])
    )


def cells_of(maps: np.ndarray, nucleus: np.ndarray) -> dict[str, np.ndarray]:
    """Return the cells of probabilities (2, H, W) in each way of `WAYS`."""
    mask = maps[0] >= CELL
    return {
        "pieces": components(mask),
        "nuclei": grown_from_nuclei(mask, nucleus),
        "interiors": grown_from_interiors(mask, maps[1] >= CELL),
    }


def packed(mask: np.ndarray) -> list[str]:
    """Write a mask (H, W) of a width that is a multiple of 8 row by row, eight pixels a byte."""
    return [row.tobytes().hex() for row in np.packbits(mask, axis=1)]


def unpacked(rows: Iterable[str]) -> np.ndarray:
    """Read what `packed` wrote, (H, W) bool."""
    read = np.array([list(bytes.fromhex(row)) for row in rows], np.uint8)
    return np.unpackbits(read, axis=1).astype(bool)


def averaged_in_ways(rows: pd.DataFrame) -> dict[str, float]:
    """Return the Dice coefficient of some images as different ways of averaging give it.

    Parameters
    ----------
    rows
        What `score` returns.

    Returns
    -------
    dict
        By the way in words. The first three are what "DSC" may mean; the last two what a reader
        computes from means of other scores.
    """
    mean = rows.mean(numeric_only=True)
    return {
        "all pixels pooled": pixel_scores({name: rows[name].sum() for name in COUNTS})["dice"],
        "mean over images": mean["dice"],
        "mean over patches": mean["patch_dice"],
        "of probabilities, mean over images": mean["soft_dice"],
        "from the mean Jaccard index": 2 * mean["jaccard"] / (1 + mean["jaccard"]),
        "from mean precision and recall": 2
        * mean["precision"]
        * mean["recall"]
        / (mean["precision"] + mean["recall"]),
    }


def changes(
    rows: pd.DataFrame, by: str, baseline: str, column: str, *, replicates: str | None = None
) -> pd.DataFrame:
    """Compare trials with one of them, image by image.

    Parameters
    ----------
    rows
        What `score` returns, with a column that tells trials apart. All trials are scored on the
        same images.
    by
        That column.
    baseline
        The trial that the others are compared with.
    column
        Score.
    replicates
        Column of what was drawn at random in place of images: a replicate, with images of its own.

    Returns
    -------
    pandas.DataFrame
        One row per other trial: the trial, ``mean`` difference, ``low``, ``high``, ``images``.
    """
    drawn = replicates or "sample"
    index = list(dict.fromkeys([drawn, "sample"]))
    table = rows.pivot(index=index, columns=by, values=column)[list(dict.fromkeys(rows[by]))]
    found = paired_differences(table, table.index.get_level_values(drawn), baseline)
    return found.rename_axis(by).reset_index()


def surely_lost(lost: pd.DataFrame, more_than: float) -> list[str]:
    """Return the trials, rows of `changes` by name, that surely lose more than this."""
    return [str(trial) for trial in lost.index[lost["high"] < -more_than]]


def cost_in_words(lost: pd.DataFrame, large: float) -> str:
    """Say whether half of the labels may be missing, and at which shares the loss is large.

    Parameters
    ----------
    lost
        What `changes` returns of the Dice coefficient, by the share of missing cells (``"50%"``),
        compared with all cells labelled.
    large
        A loss that nobody would overlook.
    """
    by_share = lost.to_dict("index")
    half, at = by_share["50%"], surely_lost(lost, large)
    if half["high"] < -large:
        first, known = (
            "Half of the labels is already too few",
            f"surely a loss of more than {large:g}",
        )
    elif half["low"] <= -large:
        first = "These trainings cannot say whether half of the cells may go unlabelled"
        known = f"perhaps a loss of more than {large:g}"
    elif half["high"] < 0:
        first = "Half of the cells may go unlabelled at little cost"
        known = f"surely a loss, but surely of less than {large:g}"
    else:
        first = "Half of the cells may go unlabelled at little or no cost"
        known = f"surely no loss of more than {large:g}"
    more = [share for share in at if share != "50%"]
    then = f"; no other share that was tried surely costs more than {large:g}"
    open_at = [
        share
        for share, row in by_share.items()
        if row["low"] <= -large and share not in (*at, "50%")
    ]
    if more:
        then = (
            f"; the loss surely exceeds {large:g} with {_listed(more, list(by_share))} missing: "
            f"{in_words(by_share[more[0]])} with {more[0]}"
        )
    doubt = f", but with {_listed(open_at, list(by_share))} missing it may" if open_at else ""
    return f"{first}: Dice of pixels changes by {in_words(half)}, {known}{then}{doubt}"


def _listed(shares: list[Any], tried: list[Any]) -> str:
    """Name shares; the first and the last of three or more that were tried one after the other."""
    start = tried.index(shares[0])
    if len(shares) > 2 and tried[start : start + len(shares)] == shares:
        return f"{shares[0]} to {shares[-1]}"
    return ", ".join(map(str, shares))
