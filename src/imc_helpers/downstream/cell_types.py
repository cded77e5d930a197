"""Types of cells, by a rule that is fixed before masks are compared.

A rule is learned once, from the cells of one set of masks, and then applied to every mask alike:
types then differ between masks because the masks do. On a phantom it is learned from the true
cells, whose types are known, and never types an image that it has seen. On real data nobody knows
the types: thresholds or clusters take their place.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from skimage.filters import threshold_otsu
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


def type_cells(profiles: pd.DataFrame, learned_from: pd.DataFrame) -> pd.Series:
    """Type cells by a multinomial regression on true cells of other images.

    Mean counts are transformed by arcsinh and standardised. Images are shared out to at most five
    models; a cell is typed by a model that never saw its image.

    Parameters
    ----------
    profiles
        Cells of any mask, as `cell_profiles` returns them; further columns are not looked at.
    learned_from
        Cells whose types are known, as `true_profiles` returns them.

    Returns
    -------
    pandas.Series
        The type of each cell, indexed as `profiles`.

    Raises
    ------
    InputError
        If there are fewer than two images to learn from, a channel is missing, or counts are
        negative or NaN.
    """
    channels = _channels(learned_from)
    images = learned_from.index.get_level_values("sample").to_numpy()
    if len(np.unique(images)) < 2:
        raise InputError(
            "learned_from: expected cells of two images or more, so that each image is typed by a "
            f"rule that has not seen it; found {len(np.unique(images))}"
        )
    x, known = _scaled(learned_from, channels), learned_from[TYPE].to_numpy()
    wanted, x_wanted = profiles.index.get_level_values("sample"), _scaled(profiles, channels)
    types = pd.Series(index=profiles.index, dtype=object, name=TYPE)
    for seen, left_out in _folds(images):
        mine = wanted.isin(left_out)
        if mine.any():
            types[mine] = _regression().fit(x[seen], known[seen]).predict(x_wanted[mine])
    if (new := ~wanted.isin(images)).any():
        types[new] = _regression().fit(x, known).predict(x_wanted[new])
    return types


def gate_cells(
    profiles: pd.DataFrame, learned_from: pd.DataFrame, gates: Mapping[str, str]
) -> pd.Series:
    """Type cells by thresholds on markers, where nobody knows the types.

    A marker's threshold is Otsu's, on the arcsinh of the mean counts of the cells to learn from. A
    cell has the type of the marker that exceeds its threshold by most, in that marker's standard
    deviations, and none where no marker does.

    Parameters
    ----------
    profiles
        Cells of any mask, as `cell_profiles` returns them.
    learned_from
        Cells that the thresholds are taken from.
    gates
        Type by marker: ``{"CD20": "B", "CD3": "T"}``.

    Returns
    -------
    pandas.Series
        The type of each cell, or `UNGATED`, indexed as `profiles`.

    Raises
    ------
    InputError
        If a marker is missing, or counts are negative or NaN.
    """
    markers = list(gates)
    x = _scaled(learned_from, markers)
    threshold = np.array([threshold_otsu(column) for column in x.T])
    spread = np.where(np.ptp(x, axis=0) > 0, x.std(axis=0), np.inf)  # a constant gates nothing
    excess = (_scaled(profiles, markers) - threshold) / spread
    names = np.array([*gates.values(), UNGATED], dtype=object)
    best = np.where((excess > 0).any(axis=1), excess.argmax(axis=1), len(gates))
    return pd.Series(names[best], profiles.index, name=TYPE)


def cluster_cells(
    profiles: Mapping[str, pd.DataFrame], learned_from: pd.DataFrame, n_clusters: int, seed: int = 0
) -> dict[str, pd.Series]:
    """Give cells the nearest of some clusters (k-means), where nobody knows types or markers.

    Parameters
    ----------
    profiles
        By mask, its cells as `cell_profiles` returns them.
    learned_from
        Cells that the clusters are taken from, on their arcsinh, standardised.
    n_clusters
        Number of clusters.
    seed
        Of the first centres.

    Returns
    -------
    dict
        By mask, ``"cluster 1"`` (the largest among the cells learned from) and so on, indexed as
        its profiles.

    Raises
    ------
    InputError
        If there are fewer cells to learn from than clusters, a channel is missing, or counts are
        negative or NaN.
    """
    channels = _channels(learned_from)
    x = _scaled(learned_from, channels)
    if (different := len(pd.DataFrame(x).drop_duplicates())) < n_clusters:
        raise InputError(
            f"n_clusters: {n_clusters} clusters of {different} different cells; ask for fewer"
        )
    clusters = make_pipeline(StandardScaler(), KMeans(n_clusters, n_init=4, random_state=seed))
    size = np.bincount(clusters.fit_predict(x), minlength=n_clusters)
    rank = np.argsort(np.argsort(-size, kind="stable"))
    types = {}
    for name, own in profiles.items():
        found = rank[clusters.predict(_scaled(own, channels))] + 1 if len(own) else []
        named = [f"cluster {k}" for k in found]
        types[name] = pd.Series(named, own.index, dtype=object, name=TYPE)
    return types


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
