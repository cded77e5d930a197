"""Lineages by hierarchical gating, with the same thresholds for every mask.

After Greenwald et al. 2022 (Methods, "Quantifying accuracy of cell lineage frequency"). There
thresholds were set by eye, on histograms of counts over area; here a rule sets them, and it is
fixed before masks are compared.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from skimage.filters import threshold_otsu
from sklearn.mixture import GaussianMixture

from imc_helpers.downstream.cell_types import TYPE, UNGATED
from imc_helpers.errors import InputError


@dataclass(frozen=True)
class Gate:
    """A cell that no earlier gate took, and whose marker lies above its threshold, is of a type."""

    lineage: str
    marker: str
    """Name of the channel."""


LINEAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "B cell": ("CD20", "CD19"),
        "T cell": ("CD3", "CD5", "CD8a", "CD8"),
        "macrophage": ("CD68", "CD14"),
        "tumour": ("panCK", "SOX10"),
        "stromal": ("aSMA", "alphaSMA", "Vimentin", "VIM", "Collagen1", "CollagenI"),
    }
)
"""Lineages in the order of their gates, each with the markers that can stand for it, best first."""


def panel_gates(channels: Iterable[str]) -> tuple[list[Gate], list[str]]:
    """Choose the gates that a panel allows.

    Parameters
    ----------
    channels
        Names of the panel's channels.

    Returns
    -------
    gates : list of Gate
        In order: the first of each lineage's markers that the panel has.
    without : list of str
        Lineages without a marker in the panel: their cells are in no gate, or in a wrong one.
    """
    have = set(channels)
    chosen = {
        lineage: next((name for name in markers if name in have), None)
        for lineage, markers in LINEAGES.items()
    }
    gates = [Gate(lineage, marker) for lineage, marker in chosen.items() if marker]
    return gates, [lineage for lineage, marker in chosen.items() if not marker]


def thresholds(
    profiles: pd.DataFrame, gates: Sequence[Gate], *, rule: str = "otsu"
) -> dict[str, float]:
    """Set the threshold of each gate's marker by a rule.

    Parameters
    ----------
    profiles
        Cells to learn from, one column of mean counts per channel
        (`imc_helpers.downstream.cell_types.cell_profiles`).
    gates
        Whose markers.
    rule
        A key of `RULES`; both look at the inverse hyperbolic sine of mean counts.

    Returns
    -------
    dict
        By marker, mean counts; missing (NaN) where all cells are alike, or there are none.

    Raises
    ------
    InputError
        If a gate's marker is not among the channels, or counts are negative or missing.
    """
    limits = {}
    for marker, values in zip(_markers(gates), _values(profiles, gates).T, strict=True):
        differ = len(values) > 0 and np.ptp(values) > 0
        limits[marker] = float(np.sinh(RULES[rule](values))) if differ else np.nan
    return limits


def _otsu(values: np.ndarray) -> float:
    return float(threshold_otsu(values))


def _mixture(values: np.ndarray) -> float:
    """Return where two normal populations are equally likely, between their means."""
    mixture = GaussianMixture(2, random_state=0).fit(values[:, None])
    low, high = sorted(mixture.means_[:, 0].tolist())
    between = np.linspace(low, high, 1001)
    upper = mixture.predict_proba(between[:, None])[:, mixture.means_[:, 0].argmax()]
    return float(between[np.argmax(upper >= 0.5)])


RULES: Mapping[str, Callable[[np.ndarray], float]] = MappingProxyType(
    {"otsu": _otsu, "mixture": _mixture}
)
"""Otsu's threshold; the point between two normal populations where both are equally likely."""


def gate(profiles: pd.DataFrame, gates: Sequence[Gate], limits: Mapping[str, float]) -> pd.Series:
    """Give each cell the lineage of the first gate that takes it.

    Parameters
    ----------
    profiles
        Cells of any mask.
    gates
        In order.
    limits
        What `thresholds` returns. A gate whose threshold is missing takes no cell.

    Returns
    -------
    pandas.Series
        A lineage, or `UNGATED`, indexed as `profiles`.

    Raises
    ------
    InputError
        As `thresholds`.
    """
    markers = _markers(gates)
    above = pd.DataFrame(_values(profiles, gates), profiles.index, markers)
    above = above.gt(np.arcsinh(pd.Series(limits)[markers]))
    taken = [above[one.marker].to_numpy() for one in gates]
    lineages = np.select(taken, [one.lineage for one in gates], UNGATED)
    return pd.Series(lineages, profiles.index, dtype=object, name=TYPE)


def _markers(gates: Sequence[Gate]) -> list[str]:
    return list(dict.fromkeys(one.marker for one in gates))


def _values(profiles: pd.DataFrame, gates: Sequence[Gate]) -> np.ndarray:
    markers = _markers(gates)
    if absent := [marker for marker in markers if marker not in profiles]:
        raise InputError(
            f"gates: no channel {absent[0]!r}; there are {', '.join(map(str, profiles))}. Gate by "
            "one of these, or correct the names in panel.csv"
        )
    counts = profiles[markers].to_numpy(float)
    if not (counts >= 0).all():  # NaN is not either
        row, column = np.argwhere(~(counts >= 0))[0]
        sample, cell = profiles.index[row]
        raise InputError(
            f"profiles: cell {cell} of {sample} holds {counts[row, column]} of "
            f"{markers[column]!r}; gate counts as they were measured"
        )
    return np.arcsinh(counts)


def type_shares(types: pd.Series, samples: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Return the share of each type among the cells of each image.

    Parameters
    ----------
    types
        Type of each cell, indexed by ``sample`` and ``id``.
    samples
        Images, those without a cell included.
    names
        Types, those that no cell has included.

    Returns
    -------
    pandas.DataFrame
        One row per image, one column per type: shares that sum to 1; missing for an image without
        a cell.
    """
    images = types.index.get_level_values("sample")
    counted = pd.crosstab(images, types.to_numpy()) if len(types) else pd.DataFrame()
    counted = counted.reindex(index=list(samples), columns=list(names), fill_value=0)
    return counted.div(counted.sum(axis=1).replace(0, np.nan), axis=0).rename_axis(
        index="sample", columns=None
    )
