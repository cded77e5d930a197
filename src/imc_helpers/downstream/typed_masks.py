"""Masks whose cells have types: what fractions, contacts and groups are counted from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imc_helpers.cells.properties import cell_shapes
from imc_helpers.data.samples import Cohort
from imc_helpers.downstream.cell_types import (
    TYPE,
    UNGATED,
    Typing,
    cell_profiles,
    learn_clusters,
    learn_regression,
    true_profiles,
)
from imc_helpers.downstream.lineages import gate, panel_gates, thresholds
from imc_helpers.errors import InputError

RULES = ("regression", "gates", "clusters")
"""How cells get their types: a regression on true cells, which a phantom has; thresholds on
markers; clusters without names."""
CLUSTERS = 5
_FEWEST_GATES = 3
"""Lineages that a panel has to tell apart before gates are worth more than clusters."""


@dataclass(frozen=True, eq=False)
class TypedMask:
    """The cells of one mask of one image, with their types."""

    labels: NDArray[np.integer]
    """(H, W), 0 is background."""
    types: pd.Series
    """Type of each cell, by id, ascending."""
    um_per_px: float
    """Edge of a pixel, micrometres."""

    def __post_init__(self) -> None:
        ids = np.unique(self.labels[self.labels > 0])
        if absent := sorted(set(self.types.index) - set(ids.tolist())):
            raise InputError(
                f"types: cell {absent[0]} is not in the mask. Are they of another mask, or was it "
                "relabelled? Type its cells again"
            )
        if len(ids) != len(self.types):
            raise InputError(f"types: {len(self.types)} types for {len(ids)} cells of the mask")

    def only(self, ids: Iterable[int]) -> "TypedMask":
        """Return some of its cells, in their places; the others become background."""
        kept = self.types.index.isin(list(ids))
        labels = np.where(np.isin(self.labels, self.types.index[kept]), self.labels, 0)
        return TypedMask(labels, self.types[kept], self.um_per_px)

    @cached_property
    def centres_um(self) -> NDArray[np.float64]:
        """Centres of its cells, (N, 2): row and column, micrometres."""
        shapes = cell_shapes(self.labels)
        return (shapes[["centroid-0", "centroid-1"]].to_numpy() + 0.5) * self.um_per_px

    def codes(self, names: Sequence[str]) -> NDArray[np.intp]:
        """Return the number of each cell's type among some names.

        Raises
        ------
        InputError
            If a cell has another type.
        """
        codes = pd.Index(names).get_indexer(pd.Index(self.types))
        if (codes < 0).any():
            raise InputError(
                f"types: unknown type {self.types.iloc[int((codes < 0).argmax())]!r}; "
                f"known: {', '.join(names)}"
            )
        return codes


@dataclass(frozen=True, eq=False)
class TypedCohort:
    """The cells of several masks of some images, typed by one rule."""

    masks: Mapping[str, Mapping[str, TypedMask]]
    """By rater, then sample."""
    names: tuple[str, ...]
    """All types that the rule knows, in order."""
    rule: str
    """One of `RULES`."""


def type_masks(
    cohort: Cohort, masks: Mapping[str, Mapping[str, NDArray[np.integer]]], rule: str = ""
) -> TypedCohort:
    """Type the cells of several masks by one rule, which no mask has for itself.

    Parameters
    ----------
    cohort
        The images.
    masks
        By rater, (H, W) labels by sample.
    rule
        One of `RULES`. When empty, regression where the types of true cells are known, else gates
        where the panel has markers of three lineages or more, else clusters. Thresholds and
        clusters are learned from the cells of all references together.

    Raises
    ------
    InputError
        If there is no such rule, or the cohort lacks what it needs.
    """
    profiles = {rater: cell_profiles(cohort, dict(own)) for rater, own in masks.items()}
    learned = learn_rule(cohort, profiles, rule)
    found = {}
    for rater, own in masks.items():
        types = types_by_image(learned.typed(profiles[rater]), own)
        found[rater] = {
            sample: TypedMask(labels, types[sample], cohort.um_per_px(sample))
            for sample, labels in own.items()
        }
    return TypedCohort(found, learned.names, learned.rule)


@dataclass(frozen=True, eq=False)
class LearnedRule:
    """How cells get their types, whosever mask they are of."""

    rule: str
    """One of `RULES`."""
    names: tuple[str, ...]
    """All types that it knows, in order."""
    typed: Typing
    """Types cells."""


def learn_rule(cohort: Cohort, profiles: Mapping[str, pd.DataFrame], rule: str = "") -> LearnedRule:
    """Learn the rule by which `type_masks` types cells.

    Parameters
    ----------
    cohort
        The images.
    profiles
        By rater, what `imc_helpers.downstream.cell_types.cell_profiles` returns. Where no
        reference is among them, the rule is learned from all.
    rule
        As in `type_masks`.

    Raises
    ------
    InputError
        If there is no such rule, or the cohort lacks what it needs.
    """
    rule = rule or find_rule(cohort)
    if rule not in RULES:
        raise InputError(f"rule {rule!r}: expected one of {', '.join(RULES)}")
    if rule == "regression":
        known = true_profiles(cohort)
        return LearnedRule(rule, tuple(sorted(known[TYPE].unique())), learn_regression(known))
    chosen = [rater for rater in profiles if rater in cohort.references] or [*profiles]
    learned_from = pd.concat([profiles[rater] for rater in chosen])
    if rule == "gates":
        gates, _ = panel_gates(cohort.panel.names)
        gated = partial(gate, gates=gates, limits=thresholds(learned_from, gates))
        return LearnedRule(rule, (*dict.fromkeys(one.lineage for one in gates), UNGATED), gated)
    names = tuple(f"cluster {k + 1}" for k in range(CLUSTERS))
    return LearnedRule(rule, names, learn_clusters(learned_from, CLUSTERS))


def find_rule(cohort: Cohort) -> str:
    """Return the rule that suits a cohort best: see `type_masks`."""
    if cohort.has_truth_table and len(cohort) > 1:
        return "regression"
    return "gates" if len(panel_gates(cohort.panel.names)[0]) >= _FEWEST_GATES else "clusters"


def types_by_image(types: pd.Series, samples: Iterable[str]) -> dict[str, pd.Series]:
    """Split the types of a mask's cells by image; an image may have none.

    Parameters
    ----------
    types
        By ``sample`` and ``id``.
    samples
        Images.

    Returns
    -------
    dict
        By image: the type of each cell, by its id.
    """
    own = {name: part.droplevel("sample") for name, part in types.groupby("sample", sort=False)}
    none = types.iloc[:0].droplevel("sample")
    return {sample: own.get(sample, none) for sample in samples}
