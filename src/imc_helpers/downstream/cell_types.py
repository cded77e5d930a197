"""Types of cells, by a rule that is fixed before masks are compared.

A rule is learned once, from the cells of one set of masks, and then applied to every mask alike:
types then differ between masks because the masks do. On a phantom it is learned from the true
cells, whose types are known, and never types an image that it has seen. On real data nobody knows
the types: thresholds or clusters take their place.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from imc_helpers.cells.expression import mean_intensities
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError

TYPE = "type"
"""Column of the true type, in profiles whose types are known."""
Typing: TypeAlias = Callable[[pd.DataFrame], pd.Series]
"""A rule that was learned: takes cells, as `cell_profiles` returns them, and returns the type of
each, indexed alike."""
UNGATED = "ungated"
"""Type of a cell that no marker gates."""
_FOLDS = 5
"""Most models that are fitted to leave out every image once."""


def cell_profiles(cohort: Cohort, masks: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Measure the mean counts of every cell of some masks.

    Parameters
    ----------
    cohort
        The images.
    masks
        (H, W) labels by sample.

    Returns
    -------
    pandas.DataFrame
        One row per cell, indexed by ``sample`` and ``id``, one column per channel.
    """
    tables = {}
    for sample, labels in masks.items():
        ids, means = mean_intensities(cohort.read_image(sample), labels)
        tables[sample] = pd.DataFrame(means, pd.Index(ids, name="id"), list(cohort.panel.names))
    return pd.concat(tables, names=["sample"])


def true_profiles(cohort: Cohort) -> pd.DataFrame:
    """Measure the mean counts of a phantom's true cells, as `cell_profiles` does, and their `TYPE`.

    Raises
    ------
    InputError
        If nobody knows the types.
    """
    types = pd.concat({s: cohort.read_truth(s)[TYPE] for s in cohort.ids}, names=["sample"])
    masks = {sample: cohort.read_mask(sample, TRUTH) for sample in cohort.ids}
    return cell_profiles(cohort, masks).join(types)


def learn_regression(known: pd.DataFrame) -> Typing:
    """Learn types by a multinomial regression on cells whose types are known.

    Mean counts are transformed by arcsinh and standardised. Images are shared out to at most five
    models; a cell is typed by a model that never saw its image.

    Parameters
    ----------
    known
        Cells with their types, as `true_profiles` returns them.

    Returns
    -------
    callable
        Types the cells of any mask; columns beyond the channels are not looked at.

    Raises
    ------
    InputError
        If there are fewer than two images to learn from, or counts are negative or NaN. When
        called: if a channel is missing, or counts are negative or NaN.
    """
    channels = _channels(known)
    images = known.index.get_level_values("sample").to_numpy()
    if len(np.unique(images)) < 2:
        raise InputError(
            "known: expected cells of two images or more, so that each image is typed by a "
            f"rule that has not seen it; found {len(np.unique(images))}"
        )
    x, types = _scaled(known, channels), known[TYPE].to_numpy()
    fits = [(left_out, _regression().fit(x[s], types[s])) for s, left_out in _folds(images)]
    of_all = _regression().fit(x, types)

    def typed(profiles: pd.DataFrame) -> pd.Series:
        wanted, scaled = profiles.index.get_level_values("sample"), _scaled(profiles, channels)
        found = pd.Series(index=profiles.index, dtype=object, name=TYPE)
        new = ~wanted.isin(images)
        for mine, fit in [*((wanted.isin(names), fit) for names, fit in fits), (new, of_all)]:
            if mine.any():
                found[mine] = fit.predict(scaled[mine])
        return found

    return typed


def learn_clusters(learned_from: pd.DataFrame, n_clusters: int, seed: int = 0) -> Typing:
    """Learn clusters (k-means), where nobody knows types or markers.

    Parameters
    ----------
    learned_from
        Cells that the clusters are taken from, on their arcsinh, standardised.
    n_clusters
        Number of clusters.
    seed
        Of the first centres.

    Returns
    -------
    callable
        Gives each cell the nearest cluster: ``"cluster 1"`` (the largest among the cells learned
        from) and so on.

    Raises
    ------
    InputError
        If there are fewer cells to learn from than clusters, or counts are negative or NaN. When
        called: if a channel is missing, or counts are negative or NaN.
    """
    channels = _channels(learned_from)
    x = _scaled(learned_from, channels)
    if (different := len(pd.DataFrame(x).drop_duplicates())) < n_clusters:
        raise InputError(
            f"n_clusters: {n_clusters} clusters of {different} different cells; ask for fewer"
        )
    clusters = make_pipeline(StandardScaler(), KMeans(n_clusters, n_init=4, random_state=seed))
    size = np.bincount(clusters.fit_predict(x), minlength=n_clusters)
    names = np.empty(n_clusters, object)
    names[np.argsort(-size, kind="stable")] = [f"cluster {k + 1}" for k in range(n_clusters)]

    def typed(profiles: pd.DataFrame) -> pd.Series:
        scaled = _scaled(profiles, channels)
        found = clusters.predict(scaled) if len(scaled) else np.empty(0, int)
        return pd.Series(names[found], profiles.index, dtype=object, name=TYPE)

    return typed


def _channels(profiles: pd.DataFrame) -> list[str]:
    return [name for name in profiles.columns if name != TYPE]


def _scaled(profiles: pd.DataFrame, channels: list[str]) -> np.ndarray:
    """Return the arcsinh of the counts of some channels: (N, C) float64."""
    if missing := [name for name in channels if name not in profiles.columns]:
        raise InputError(f"profiles: no channel {missing[0]!r}; there are {list(profiles.columns)}")
    counts = profiles[channels].to_numpy(dtype=float)
    if not (counts >= 0).all():  # NaN is not either
        sample, cell = profiles.index[int((~(counts >= 0)).any(axis=1).argmax())]
        raise InputError(
            f"profiles: cell {cell} of {sample} has negative or missing counts; "
            "type cells by the counts as they were measured"
        )
    return np.arcsinh(counts)


def _regression() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def _folds(images: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield the rows of some images to learn from, and the names of those left out."""
    names = np.unique(images)
    folds = GroupKFold(min(_FOLDS, len(names)))
    for seen, left_out in folds.split(images, groups=images):
        yield seen, np.unique(images[left_out])
