"""How much of a score is the model, how much the person who judges it, and how much the image.

Every model is scored against every annotator on every image, so the variance of the scores comes
apart into seven components (Brennan 2001, Generalizability Theory, doi:10.1007/978-1-4757-3456-0).
Of scores in patches, which lie within images, it comes apart into eleven.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from imc_helpers.agreement.statistics import design_gap
from imc_helpers.errors import InputError

FACETS = ("model", "annotator", "image")
COMPONENTS = (
    "model",
    "annotator",
    "image",
    "model × annotator",
    "model × image",
    "annotator × image",
    "rest",
)
"""Of the variance of a score: three facets, their pairs, and what is left of a single score."""
PATCH_COMPONENTS = (
    *COMPONENTS[:-1],
    "model × annotator × image",
    "patch",
    "model × patch",
    "annotator × patch",
    "rest",
)
"""Of the variance of a score in a patch; a patch lies within one image."""
PLACES = {
    "the model": ("model",),
    "who judges it": ("annotator", "model × annotator"),
    "between images": (
        "image",
        "model × image",
        "annotator × image",
        "model × annotator × image",
    ),
    "within images": ("patch", "model × patch", "annotator × patch", "rest"),
}
"""What the eleven components say in four words."""
_EFFECTS: tuple[tuple[int, ...], ...] = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
_MOST_SCORES = 2500
"""Scores of an incomplete design that REML takes: its cost grows with their third power."""


@dataclass(frozen=True)
class Components:
    """Variance components of a score."""

    table: pd.DataFrame
    """One row for each of `COMPONENTS` or `PATCH_COMPONENTS`: ``component``, ``estimate`` (as it
    came out, negative ones too), ``variance`` (not below 0), ``share`` of the sum of variances."""
    levels: tuple[int, ...]
    """Number of models, annotators and images, and of patches where scores are of patches."""
    method: str
    """``"ANOVA"``, or ``"REML"`` where not every score is there."""

    def variance(self, component: str) -> float:
        """Return one variance, not below 0."""
        rows = self.table.set_index("component")["variance"]
        return float(rows[component])


def components(scores: pd.DataFrame, metric: str) -> Components:
    """Take the variance of models' scores apart.

    Parameters
    ----------
    scores
        What `summaries.against` returns, of one cohort and mode: models (``rater_pred``) against
        annotators (``rater_true``). Patches are averaged. Where every model was scored against
        every annotator on every image, components are those of the analysis of variance; where
        some are missing, of restricted maximum likelihood (Patterson and Thompson 1971), which
        gives the same on complete data unless a component comes out negative.
    metric
        The score.

    Raises
    ------
    InputError
        If a facet has fewer than two levels, annotators are not linked by images in common, or an
        incomplete design has too many scores.
    """
    value = scores.groupby(["rater_pred", "rater_true", "sample"], sort=False)[metric].mean()
    codes = [
        pd.factorize(value.index.get_level_values(level))
        for level in ("rater_pred", "rater_true", "sample")
    ]
    levels = tuple(len(names) for _, names in codes)
    few = [f"{n} {facet}" for n, facet in zip(levels, FACETS, strict=True) if n < 2]
    if few:
        raise InputError(
            f"scores: two of each of model, annotator and image are needed, found {', '.join(few)}"
        )
    cube = np.full(levels, np.nan)
    cube[tuple(code for code, _ in codes)] = value.to_numpy()
    if np.isnan(cube).any():
        if gap := design_gap(_shared_images(cube, list(codes[1][1]), list(codes[2][1]))):
            raise InputError(f"scores: {gap}")
        estimates, method = restricted_likelihood(cube), "REML"
    else:
        estimates, method = analysis_of_variance(cube), "ANOVA"
    return Components(_as_table(COMPONENTS, estimates), levels, method)


def _as_table(names: Sequence[str], estimates: np.ndarray) -> pd.DataFrame:
    variance = np.maximum(estimates, 0.0)
    total = variance.sum()
    share = variance / total if total > 0 else np.zeros_like(variance)
    return pd.DataFrame(
        {"component": names, "estimate": estimates, "variance": variance, "share": share}
    )


def patch_components(
    scores: pd.DataFrame, metric: str, patches: Mapping[str, Sequence[int]]
) -> Components:
    """Take the variance of models' scores in patches apart: within images, and between them.

    Parameters
    ----------
    scores
        What `summaries.against` returns, of one cohort in patches.
    metric
        The score.
    patches
        By image, which patches: those that do not overlap (`patching.windows_apart`). Images may
        have different numbers of them. A patch counts where every annotator and model has a score
        and some cell, and an image where a patch does.

    Raises
    ------
    InputError
        If fewer than two models, annotators or images remain, or no image has two patches.
    """
    wanted = {(image, k) for image, chosen in patches.items() for k in chosen}
    keys = ["sample", "patch"]
    rows = scores[[pair in wanted for pair in zip(scores["sample"], scores["patch"], strict=True)]]
    facets = [*keys, "rater_pred", "rater_true"]
    # Two masks without a cell agree on nothing: their score of 1 would pass for a difference.
    value = rows[metric].where(rows["n_true"] + rows["n_pred"] > 0)
    wide = value.set_axis(pd.MultiIndex.from_frame(rows[facets])).unstack(facets[2:])
    # A model that lacks an annotator has no score anywhere that all have one.
    models, annotators = (sorted(set(rows[name])) for name in facets[2:])
    wide = wide.reindex(columns=pd.MultiIndex.from_product([models, annotators])).dropna()
    images = pd.factorize(wide.index.get_level_values("sample"))[0]
    counts = np.bincount(images)
    levels = (len(models), len(annotators), len(counts), len(images))
    few = [f"{n} {facet}" for n, facet in zip(levels, FACETS, strict=False) if n < 2]
    if few or counts.max() < 2:
        found = ", ".join(few) or "one patch in each image"
        raise InputError(
            "patches: two of each of model, annotator and image, and two patches of some image "
            f"that do not overlap, are needed in which all have scores; found {found}"
        )
    cube = wide.to_numpy().T.reshape(*levels[:2], -1)
    return Components(_as_table(PATCH_COMPONENTS, nested_analysis(cube, images)), levels, "ANOVA")


def _shared_images(
    cube: np.ndarray, annotators: Sequence[str], images: Sequence[str]
) -> pd.DataFrame:
    """List the pairs of annotators and the images that both have drawn, each with herself too."""
    drawn = ~np.isnan(cube).all(axis=0)
    pairs = [(a, a) for a in range(len(annotators))] + [*combinations(range(len(annotators)), 2)]
    rows = [
        (annotators[a], annotators[b], images[i])
        for a, b in pairs
        for i in np.flatnonzero(drawn[a] & drawn[b])
    ]
    return pd.DataFrame(rows, columns=["rater_true", "rater_pred", "sample"])


def analysis_of_variance(scores: np.ndarray) -> NDArray[np.float64]:
    """Estimate the seven components from mean squares.

    Parameters
    ----------
    scores
        (..., n_m, n_a, n_i) a score for every model, annotator and image, of many studies at once
        if need be.

    Returns
    -------
    numpy.ndarray
        (..., 7) in the order of `COMPONENTS`; unbiased, so that some may be negative.
    """
    sizes = scores.shape[-3:]
    axes = (-3, -2, -1)
    means: dict[tuple[int, ...], np.ndarray] = {
        kept: scores.mean(axis=tuple(axes[k] for k in range(3) if k not in kept), keepdims=True)
        for kept in ((), *_EFFECTS)
    }
    squares: dict[tuple[int, ...], np.ndarray] = {}
    for effect in _EFFECTS:
        # What a facet, or a combination, adds to all that are part of it.
        inner = [s for r in range(len(effect) + 1) for s in combinations(effect, r)]
        own = np.zeros_like(means[()])
        for s in inner:
            own = own + (-1) ** (len(effect) - len(s)) * means[s]
        degrees = np.prod([sizes[k] - 1 for k in effect])
        repeated = np.prod([sizes[k] for k in range(3) if k not in effect])
        squares[effect] = repeated * (own**2).sum(axis=axes) / degrees
    rest = squares[0, 1, 2]
    pairs = {e: (squares[e] - rest) / sizes[3 - sum(e)] for e in ((0, 1), (0, 2), (1, 2))}
    facets = []
    for k in range(3):
        with_one, with_other = (squares[tuple(sorted((k, other)))] for other in {0, 1, 2} - {k})
        others = np.prod([sizes[other] for other in {0, 1, 2} - {k}])
        facets.append((squares[k,] - with_one - with_other + rest) / others)
    return np.stack([*facets, *pairs.values(), rest], axis=-1)


def places(found: Components) -> pd.Series:
    """Sum the shares of `patch_components` over each of `PLACES`: they add up to 1."""
    shares = found.table.set_index("component")["share"]
    return pd.Series({place: shares[list(names)].sum() for place, names in PLACES.items()})


def nested_analysis(scores: np.ndarray, images: np.ndarray) -> NDArray[np.float64]:
    """Estimate the eleven components of scores in patches from mean squares.

    Models and annotators are crossed with every patch. So patches' mean scores, their contrasts
    between models, between annotators, and of both are four separate analyses, each of patches
    within images, and with unequal numbers of patches each is unbiased (Searle, Casella and
    McCulloch 1992, Variance Components, chapter 3, doi:10.1002/9780470316856). Images count by
    their patches.

    Parameters
    ----------
    scores
        (..., n_m, n_a, n_p) a score for every model, annotator and patch, of many studies at once
        if need be.
    images
        (n_p,) number of the image that each patch lies in, from 0; one of them holds two or more.

    Returns
    -------
    numpy.ndarray
        (..., 11) in the order of `PATCH_COMPONENTS`; unbiased, so that some may be negative.
    """
    counts = np.bincount(images)
    n_patches, n_images = len(images), len(counts)
    squared = (counts**2).sum() / n_patches
    member = np.equal.outer(np.arange(n_images), images) / counts[:, None]
    sizes = scores.shape[-3:-1]

    def contrasts(over: tuple[int, ...]) -> np.ndarray:
        """Return the variances of such a contrast over the study, between images and in them."""
        part = scores
        for axis, k in ((-3, 0), (-2, 1)):
            mean = part.mean(axis=axis, keepdims=True)
            part = part - mean if k in over else mean
        degrees = np.prod([sizes[k] - 1 for k in over])

        def size(values: np.ndarray) -> np.ndarray:
            return (values**2).sum(axis=(-3, -2, -1)) / degrees

        means = part @ member.T
        whole = part.mean(axis=-1, keepdims=True)
        within = size(part - means[..., images]) / (n_patches - n_images)
        spread = size((means - whole) * np.sqrt(counts))
        between = (spread - (n_images - 1) * within) / (n_patches - squared)
        return np.stack(
            [size(whole) - between * squared / n_patches - within / n_patches, between, within]
        )

    both = contrasts((0, 1))
    models = contrasts((0,)) - both / sizes[1]
    annotators = contrasts((1,)) - both / sizes[0]
    common = contrasts(()) - models / sizes[0] - annotators / sizes[1] - both / np.prod(sizes)
    of_study = (models[0], annotators[0], common[1], both[0])
    between_images = (models[1], annotators[1], both[1])
    within_images = (common[2], models[2], annotators[2], both[2])
    return np.stack([*of_study, *between_images, *within_images], axis=-1)


def restricted_likelihood(scores: np.ndarray) -> NDArray[np.float64]:
    """Estimate the seven components where some scores are missing.

    Parameters
    ----------
    scores
        (n_m, n_a, n_i) with missing values.

    Returns
    -------
    numpy.ndarray
        (7,) in the order of `COMPONENTS`, none below 0.

    Raises
    ------
    InputError
        If there are more scores than it can take in reasonable time.
    """
    where = np.argwhere(~np.isnan(scores))
    if len(where) > _MOST_SCORES:
        raise InputError(
            f"scores: {len(where):,} scores of an incomplete design are too many (up to "
            f"{_MOST_SCORES:,}); pass fewer images"
        )
    values = scores[tuple(where.T)]
    scale = values.var() or 1.0
    values = (values - values.mean()) / np.sqrt(scale)
    same = [(where[:, None, k] == where[None, :, k]) for k in range(3)]
    kernels = [np.logical_and.reduce([same[k] for k in effect]) for effect in _EFFECTS]
    kernels = [kernel.astype(float) for kernel in kernels]
    ones = np.ones(len(values))

    def minus_log_likelihood(variances: np.ndarray) -> tuple[float, np.ndarray]:
        """Return it with its gradient, times two and without constants."""
        covariance = sum(v * kernel for v, kernel in zip(variances, kernels, strict=True))
        factor = cho_factor(covariance, lower=True)
        inverse = cho_solve(factor, np.eye(len(values)))
        weights = inverse @ ones
        total = weights.sum()
        projection = inverse - np.outer(weights, weights) / total
        residual = projection @ values
        log_determinant = 2 * np.log(np.diag(factor[0])).sum()
        gradient = [(projection * k).sum() - residual @ k @ residual for k in kernels]
        return log_determinant + np.log(total) + values @ residual, np.array(gradient)

    start = np.full(len(kernels), 1 / len(kernels))
    # A single score has some variance of its own, else the covariance could not be inverted.
    bounds = [(0.0, None)] * (len(kernels) - 1) + [(1e-8, None)]
    found = minimize(
        minus_log_likelihood,
        start,
        jac=True,
        bounds=bounds,
        method="L-BFGS-B",
        options={"ftol": 1e-12, "gtol": 1e-7, "maxiter": 500},
    )
    return found.x * scale


def dependability(found: Components, *, annotators: int, images: int) -> float:
    """Say how much of the variance of models' mean scores is the models'.

    The share that a study with so many annotators and images would have, between 0 and 1: what a
    score says of its model, and not of who judged it on what (Φ; Brennan 2001).

    Parameters
    ----------
    found
        What `components` returns.
    annotators, images
        Of the study that is asked about; every annotator draws every image.

    Raises
    ------
    InputError
        If there are none.
    """
    if annotators < 1 or images < 1:
        raise InputError(
            f"expected one annotator and one image or more, found {annotators} and {images}"
        )
    own = found.variance("model")
    noise = (
        (found.variance("annotator") + found.variance("model × annotator")) / annotators
        + (found.variance("image") + found.variance("model × image")) / images
        + (found.variance("annotator × image") + found.variance("rest")) / (annotators * images)
    )
    return own / (own + noise) if own + noise > 0 else float("nan")
