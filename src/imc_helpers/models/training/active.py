"""A pixel forest that is labelled where it is unsure, as people label in ilastik.

A person labels single pixels (a brush of 1 px) where the forest's margin is small: first in images
drawn at random, then where the mean uncertainty is highest, until it has not fallen for three
rounds (Xiao et al. 2021, section 2.3).

The pixels are drawn from the least sure quarter, and are not the least sure ones of all. Nobody can
tell what those are, so their labels contradict one another: with them the mean uncertainty rises
from the first round on, and the rule ends the labelling after three.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier

from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.images.pixel_classifier import (
    BACKGROUND,
    CYTOPLASM,
    NUCLEUS,
    class_probabilities,
    grow_forest,
)
from imc_helpers.phantom.drawing import (
    ONE_EXPERT,
    Judgement,
    draw_region,
    expert_habits,
    find_doubts,
)

FIRST_IMAGES = 3
"""Images that are labelled first, drawn at random."""
PER_ROUND = 300
"""Pixels that are labelled in one image before the forest grows again."""
PATIENCE = 3
"""Rounds without a fall of the mean uncertainty after which it has converged."""
MOST_ROUNDS = 20
LOOKED_AT = 2500
"""Pixels of each image, drawn at random, among which unsure ones are found."""
UNSURE_SHARE = 0.25
"""Of those without a label: the least sure ones, from which the pixels to label are drawn."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """What a person labelled, and how the forest came along."""

    pixels: np.ndarray
    """(N, F) float32: features of the labelled pixels."""
    classes: np.ndarray
    """(N,) integers: what they were labelled as."""
    images: tuple[str, ...]
    """Images with labels, in the order in which they were first labelled."""
    curve: pd.DataFrame
    """One row per round: ``round``, ``labelled_pixels``, ``images``, ``uncertainty`` (mean over all
    images), and what ``score`` gave."""

    def forest(self) -> RandomForestClassifier:
        """Grow the forest, always the same."""
        return grow_forest(self.pixels, self.classes)


def drawn_classes(sample: Sample, seed: int) -> np.ndarray:
    """Return what a simulated person takes each pixel of a phantom sample for: (H, W) integers.

    Parameters
    ----------
    sample
        With the truth among masks and nuclei.
    seed
        The person's.
    """
    (habits,) = expert_habits(ONE_EXPERT, seed)
    judgement = Judgement(seed, sample.id, 0, ONE_EXPERT.correlation)
    cells, nuclei = draw_region(sample, find_doubts(sample), habits, ONE_EXPERT, judgement)
    return np.where(nuclei, NUCLEUS, np.where(cells > 0, CYTOPLASM, BACKGROUND))


def uncertainty(probability: np.ndarray) -> np.ndarray:
    """Return 1 less the margin between the two likeliest classes, of (…, K) probabilities."""
    second, first = np.moveaxis(np.sort(probability, axis=-1)[..., -2:], -1, 0)
    found: np.ndarray = 1 - (first - second)
    return found


def label_actively(
    features: Mapping[str, np.ndarray],
    classes: Mapping[str, np.ndarray],
    seed: int,
    score: Callable[[RandomForestClassifier], Mapping[str, Any]] | None = None,
) -> Labelled:
    """Label pixels until the mean uncertainty has not fallen for three rounds.

    Parameters
    ----------
    features
        (H, W, F) of each image, by its name.
    classes
        (H, W) of each image: what the person takes its pixels for. Only the pixels that are
        labelled are looked at.
    seed
        Of all draws.
    score
        Anything that is measured of the forest of each round.

    Raises
    ------
    InputError
        If there is no image.
    """
    if not features:
        raise InputError("no image to label: the split is empty")
    rng = np.random.default_rng(seed)
    pools = {name: _Pool.of(features[name], classes[name], rng) for name in sorted(features)}
    touched = [str(name) for name in rng.permutation(list(pools))[:FIRST_IMAGES]]
    for name in touched:
        pools[name].label(np.ones(len(pools[name].labelled)), 1.0, rng)
    rows, best, since = [], np.inf, 0
    for number in range(MOST_ROUNDS):
        x = np.concatenate([pool.pixels[pool.labelled] for pool in pools.values()])
        y = np.concatenate([pool.classes[pool.labelled] for pool in pools.values()])
        forest = grow_forest(x, y)
        unsure = {
            name: uncertainty(class_probabilities(forest, pool.pixels[None])[0])
            for name, pool in pools.items()
        }
        mean = {name: float(values.mean()) for name, values in unsure.items()}
        overall = float(np.mean(list(mean.values())))
        row = {"round": number, "labelled_pixels": len(y), "images": len(touched)}
        rows.append({**row, "uncertainty": overall, **(score(forest) if score else {})})
        best, since = (overall, 0) if overall < best else (best, since + 1)
        if since == PATIENCE:
            break
        open_ = [name for name, pool in pools.items() if not pool.labelled.all()]
        if not open_:
            break
        name = max(open_, key=lambda one: mean[one])
        pools[name].label(unsure[name], UNSURE_SHARE, rng)
        touched += [] if name in touched else [name]
    return Labelled(x, y, tuple(touched), pd.DataFrame(rows))


@dataclass(frozen=True, eq=False)
class _Pool:
    """The pixels of one image that a person may be asked for."""

    pixels: np.ndarray
    classes: np.ndarray
    labelled: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> "_Pool":
        drawn = rng.permutation(classes.size)[:LOOKED_AT]
        pixels = features.reshape(-1, features.shape[-1])[drawn]
        return cls(pixels, classes.ravel()[drawn], np.zeros(len(drawn), bool))

    def label(self, unsure: np.ndarray, share: float, rng: np.random.Generator) -> None:
        """Label some of the pixels without a label, drawn from the least sure share of them."""
        order = np.argsort(-unsure, kind="stable")
        order = order[~self.labelled[order]]
        among = order[: max(PER_ROUND, round(share * len(order)))]
        self.labelled[rng.permutation(among)[:PER_ROUND]] = True
