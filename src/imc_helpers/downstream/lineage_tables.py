"""Shares of lineages, or of clusters, under several masks of the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from imc_helpers.agreement.intervals import mean_intervals
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.samples import Cohort
from imc_helpers.downstream.cell_types import UNGATED, cell_profiles, learn_clusters
from imc_helpers.downstream.lineages import Gate, gate, panel_gates, thresholds, type_shares


@dataclass(frozen=True, eq=False)
class LineageStudy:
    """The cells of several masks, typed by one rule."""

    reference: str
    """Whose mask the others are compared with: the truth where there is one, else the first."""
    gates: Sequence[Gate]
    """In order; empty where cells are clustered, since no channel has a lineage's name."""
    without: Sequence[str]
    """Lineages that the panel has no marker of."""
    limits: Mapping[str, float]
    """Threshold of each gate's marker, mean counts."""
    names: Sequence[str]
    """Lineages and `UNGATED`, or clusters; empty where there are too few cells to cluster."""
    types: Mapping[str, pd.Series]
    """By mask: the type of each cell, indexed by ``sample`` and ``id``."""
    shares: Mapping[str, pd.DataFrame]
    """By mask: per cent of the cells of each image (row) that are of each type (column)."""
    differences: pd.DataFrame = field(repr=False)
    """One row per type and other mask: ``quantity``, ``rater``, ``value`` (mean difference from the
    reference over images, percentage points), ``low`` and ``high`` (95% interval over images,
    missing for one image), ``images``, ``mean_absolute`` and ``largest`` (over images)."""


def study_lineages(
    cohort: Cohort,
    masks: Mapping[str, Mapping[str, np.ndarray]],
    samples: Sequence[str],
    *,
    rule: str,
    clusters: int,
) -> LineageStudy:
    """Type the cells of every mask by one rule, and compare the shares of types.

    Thresholds and clusters are set once, from the cells of the cohort's references together
    (annotators, else tools), or of the reference where there are none.

    Parameters
    ----------
    cohort
        The images.
    masks
        (H, W) labels by sample, by whoever made them.
    samples
        Which images.
    rule
        Of the thresholds, a key of `imc_helpers.downstream.lineages.RULES`.
    clusters
        Number of clusters, where the panel has no marker of any lineage.
    """
    reference = TRUTH if TRUTH in masks else next(iter(masks))
    profiles = {name: cell_profiles(cohort, own) for name, own in masks.items()}
    teachers = [name for name in cohort.references if name in masks] or [reference]
    learned_from = pd.concat([profiles[name] for name in teachers])
    gates, without = panel_gates(cohort.panel.names)
    limits: Mapping[str, float] = {}
    types: dict[str, pd.Series] = {}
    names: list[str] = []
    if gates:
        limits = thresholds(learned_from, gates, rule=rule)
        names = [*(one.lineage for one in gates), UNGATED]
        types = {name: gate(own, gates, limits) for name, own in profiles.items()}
    elif len(learned_from.drop_duplicates()) >= clusters:
        names = [f"cluster {k + 1}" for k in range(clusters)]
        clustered = learn_clusters(learned_from, clusters)
        types = {name: clustered(own) for name, own in profiles.items()}
    shares = {name: 100 * type_shares(own, samples, names) for name, own in types.items()}
    differences = _differences(shares, reference, names)
    return LineageStudy(reference, gates, without, limits, names, types, shares, differences)


def _differences(
    shares: Mapping[str, pd.DataFrame], reference: str, names: Sequence[str]
) -> pd.DataFrame:
    parts = []
    for rater, own in shares.items():
        if rater != reference:
            apart = own - shares[reference]
            found = mean_intervals(apart, apart.index).rename(columns={"mean": "value"})
            far = {"mean_absolute": apart.abs().mean(), "largest": apart.abs().max()}
            parts.append(found.assign(**far, rater=rater).rename_axis("quantity").reset_index())
    if not parts:
        return pd.DataFrame(columns=["quantity", "rater", "value", "low", "high"])
    table = pd.concat(parts, ignore_index=True)
    order = {name: k for k, name in enumerate(names)}
    return table.sort_values("quantity", key=lambda q: q.map(order), kind="stable")
