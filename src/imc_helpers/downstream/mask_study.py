"""One cohort, everyone's masks, and what each makes of the biology: the tables of the page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from imc_helpers.agreement.intervals import CONFIDENCE
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.samples import Cohort, evenly_spread
from imc_helpers.downstream.conclusions import (
    Kind,
    by_mask,
    contacts,
    describe_image,
)
from imc_helpers.downstream.mask_sets import mask_sets
from imc_helpers.downstream.profiles import POINTS, Profiles, collect_profiles, matched_cells
from imc_helpers.downstream.spatial import (
    GRAPHS,
    RADIUS_UM,
    contact_counts,
    cross_l,
    expected_counts,
    geometry_and_types,
    interactions,
    morans_i,
    permutation_z,
    types_from,
)
from imc_helpers.downstream.typed_masks import TypedCohort, TypedMask, type_masks
from imc_helpers.downstream.variance import COMPONENTS, variance_shares
from imc_helpers.errors import InputError
from imc_helpers.metrics import contingency_table, evaluate

ALL, MATCHED = "all cells", "matched cells"
"""What is counted: every cell of a mask, or those alone that all compared masks have."""


@dataclass(frozen=True, eq=False)
class MaskStudy:
    """A cohort with everyone's masks, typed and measured."""

    cohort: Cohort
    samples: tuple[str, ...]
    """Images that are looked at: those that all compared raters have drawn."""
    raters: tuple[str, ...]
    """Whose masks are compared: the cohort's references."""
    beside: tuple[str, ...]
    """The truth, where there is one, and models."""
    typed: TypedCohort
    """Of all of them."""
    matched: Mapping[str, np.ndarray]
    """By image, (N, k) ids of the cells that all compared masks have."""
    described: pd.DataFrame
    """What `describe_image` gives for each ``sample``, ``rater`` and ``cells``: `ALL`, or of
    compared masks `MATCHED`."""
    graph: str
    """Of the contacts, one of `GRAPHS`."""

    def of(self, cells: str) -> pd.DataFrame:
        """Return the rows of `described` for `ALL` or `MATCHED` cells."""
        return self.described[self.described["cells"] == cells]


def can_compare(cohort: Cohort) -> bool:
    """Say whether a cohort has an image with masks of two references."""
    return len(cohort.references) > 1 and bool(_drawn_by_all(cohort))


def study_masks(
    cohort: Cohort,
    models: Iterable[str],
    *,
    graph: str = "radius",
    rule: str = "",
    most_images: int = 12,
) -> MaskStudy:
    """Measure what each mask of a cohort says of the biology.

    Parameters
    ----------
    cohort
        With masks of two references or more.
    models
        Keys of models, to stand beside them where they ran.
    graph
        Whose edges are contacts, one of `spatial.GRAPHS`.
    rule
        How cells get their types: see `typed_masks.type_masks`.
    most_images
        Images that are looked at, evenly spread.

    Raises
    ------
    InputError
        If no image has masks of two references, or there is no such graph or rule.
    """
    if graph not in GRAPHS:
        raise InputError(f"graph {graph!r}: expected one of {', '.join(GRAPHS)}")
    if not can_compare(cohort):
        raise InputError(
            f"cohort {cohort.name}: no image with masks of two annotators or tools; add the masks "
            "of a second one"
        )
    samples = images_of_all(cohort, most_images)
    sets = mask_sets(cohort, models, samples=samples)
    masks = {
        rater: {sample: own[sample] for sample in samples}
        for rater, own in sets.items()
        if len(own) == len(samples)
    }
    raters = cohort.references
    typed = type_masks(cohort, masks, rule)
    matched = {s: matched_cells([masks[rater][s] for rater in raters]) for s in samples}
    parts = []
    for rater, own in typed.masks.items():
        for sample, mask in own.items():
            about = {"sample": sample, "rater": rater}
            parts.append(describe_image(mask, typed.names, graph).assign(**about, cells=ALL))
            if rater in raters:
                some = mask.only(matched[sample][:, raters.index(rater)].tolist())
                rows = describe_image(some, typed.names, graph)
                parts.append(rows.assign(**about, cells=MATCHED))
    return MaskStudy(
        cohort=cohort,
        samples=samples,
        raters=raters,
        beside=tuple(rater for rater in masks if rater not in raters),
        typed=typed,
        matched=matched,
        described=pd.concat(parts, ignore_index=True),
        graph=graph,
    )


def first_to_study(cohorts: Mapping[str, Cohort]) -> str:
    """Return the cohort that says most: one with planted differences, or with most images.

    Parameters
    ----------
    cohorts
        Cohort by key.

    Returns
    -------
    str
        Its key; empty where no image has masks of two references.
    """
    return next(iter(in_order(cohorts)), "")


def in_order(cohorts: Mapping[str, Cohort]) -> list[str]:
    """Return the keys of the cohorts whose masks can be compared, the one that says most first."""
    able = [key for key, cohort in cohorts.items() if can_compare(cohort)]
    return sorted(able, key=lambda k: (not cohorts[k].has_planted, -len(cohorts[k].shared_ids)))


def images_of_all(cohort: Cohort, most: int) -> tuple[str, ...]:
    """Return at most so many of the images that all references have drawn, evenly spread."""
    return evenly_spread(_drawn_by_all(cohort), most)


def _drawn_by_all(cohort: Cohort) -> tuple[str, ...]:
    return tuple(s for s in cohort.ids if cohort.references_of(s) == cohort.references)


def reference_profiles(cohort: Cohort, samples: Sequence[str], *, points: int = POINTS) -> Profiles:
    """Measure matched cells and random points with the masks of all references.

    Parameters
    ----------
    cohort, samples
        Images that all references have drawn.
    points
        Random points per image.
    """
    sets = mask_sets(cohort, (), samples=samples)
    return collect_profiles(cohort, [sets[r] for r in cohort.references], samples, points=points)


def pair_table(cohort: Cohort, samples: Sequence[str]) -> pd.DataFrame:
    """Compare the masks of each image in pairs.

    Parameters
    ----------
    cohort
        With masks of two references or more.
    samples
        The images to look at.

    Returns
    -------
    pandas.DataFrame
        One row per image and pair: ``sample``, ``first``, ``second``, their numbers of cells,
        ``ap50``, ``matched`` cells, and ``in one only``, the share of the image's pixels that lie
        in a cell of one of the two.
    """
    rows = []
    for sample in samples:
        masks = {rater: cohort.read_mask(sample, rater) for rater in cohort.references}
        for (one, a), (other, b) in combinations(masks.items(), 2):
            scores = evaluate(table=contingency_table(a, b))
            rows.append(
                {
                    "sample": sample,
                    "first": one,
                    "second": other,
                    "cells of first": scores.n_true,
                    "cells of second": scores.n_pred,
                    "ap50": scores.ap50,
                    "matched": len(matched_cells([a, b])),
                    "in one only": float(((a > 0) != (b > 0)).mean()),
                }
            )
    return pd.DataFrame(rows)


def quantity_shares(study: MaskStudy, profiles: Profiles, *, draws: int = 1000) -> pd.DataFrame:
    """Take the variance of everything apart: profiles, fractions, contacts, densities.

    Parameters
    ----------
    study, profiles
        Of the same images.
    draws
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        One row per quantity, and what it is counted on: ``kind`` (``"profile"`` or a `Kind`),
        ``name``, ``cells`` (`MATCHED`, `ALL`, or ``"points in all"`` of a profile), ``images``;
        the shares of `COMPONENTS`; and ``mask_low``, ``mask_high``, the 95 % interval over images
        of what is not due to images and cells: mask and interactions together, ``masks``.
    """
    asked: list[tuple[str, str, str, np.ndarray, Sequence[object]]] = []
    covered = ~np.isnan(profiles.points[:, :, 0]).any(axis=1)
    for k, channel in enumerate(profiles.channels):
        own = profiles.matched[:, :, k], profiles.matched_images.tolist()
        asked.append(("profile", channel, MATCHED, *own))
        at = profiles.points[covered, :, k], profiles.point_images[covered].tolist()
        asked.append(("profile", channel, "points in all", *at))
    for cells in (ALL, MATCHED):
        described = study.of(cells)
        for kind in (Kind.RATIO, Kind.DENSITY, Kind.CONTACT):
            for name in described.loc[described["kind"] == kind, "name"].unique():
                wide = by_mask(described, kind, name, study.raters)
                asked.append((kind.value, name, cells, wide.to_numpy(), list(wide.index)))
    rows = []
    for what, name, cells, values, images in asked:
        found = variance_shares(values, images, draws=draws)
        agreement = found.table.set_index("component").loc["agreement"]
        rows.append(
            {"kind": what, "name": name, "cells": cells, "images": found.images}
            | {component: found.share(component) for component in COMPONENTS}
            | {
                "masks": 1 - agreement["share"],
                "mask_low": 1 - agreement["high"],
                "mask_high": 1 - agreement["low"],
            }
        )
    return pd.DataFrame(rows)


def exchange_parts(study: MaskStudy) -> pd.DataFrame:
    """Exchange cells and types between masks, to see which carries their difference in contacts.

    Returns
    -------
    pandas.DataFrame
        One row per contact (``name``): mean over images and pairs of masks of the absolute
        ``difference``, and of its parts by ``geometry`` and ``types``, logarithms to base 2. Parts
        may cancel, so they can sum to more than the difference. `ALL` cells.
    """
    names, parts = study.typed.names, []
    for sample in study.samples:
        for pair in combinations(study.raters, 2):
            both = [study.typed.masks[rater][sample] for rater in pair]
            statistic = np.array(
                [
                    [
                        contacts(own if own is other else _retyped(own, other), names, study.graph)
                        for other in both
                    ]
                    for own in both
                ]
            )
            geometry, types = geometry_and_types(statistic)
            parts.append(np.abs([geometry + types, geometry, types]))
    together = np.array(parts)
    known = ~np.isnan(together)
    sums = np.where(known, together, 0).sum(axis=0)
    mean = np.divide(sums, known.sum(axis=0), out=np.full(sums.shape, np.nan), where=sums > 0)
    rows = [
        {"name": f"{names[a]} – {names[b]}"}
        | dict(zip(("difference", "geometry", "types"), mean[:, a, b], strict=True))
        for a in range(len(names))
        for b in range(a, len(names))
    ]
    return pd.DataFrame(rows)


def _retyped(own: TypedMask, other: TypedMask) -> TypedMask:
    """Return the cells of one mask with the types of another."""
    types = types_from(own.labels, own.types, other.labels, other.types)
    return TypedMask(own.labels, types, own.um_per_px)


def graph_table(study: MaskStudy) -> pd.DataFrame:
    """Compare the masks' contacts on each graph.

    Returns
    -------
    pandas.DataFrame
        One row per ``graph`` and ``cells``: ``contacts`` that all masks have; ``between masks``,
        the mean absolute difference of two compared masks' enrichment, over pairs, contacts and
        images, to base 2; ``from truth``, the same with the truth (`ALL` cells of phantoms only).
    """
    names = study.typed.names
    rows = []
    for graph in GRAPHS:
        for cells in (ALL, MATCHED):
            apart, away = [], []
            for sample in study.samples:
                found = []
                for k, rater in enumerate(study.raters):
                    mask = study.typed.masks[rater][sample]
                    if cells == MATCHED:
                        mask = mask.only(study.matched[sample][:, k].tolist())
                    found.append(_upper(contacts(mask, names, graph)))
                apart += [np.abs(a - b) for a, b in combinations(found, 2)]
                if cells == ALL and TRUTH in study.beside:
                    true = _upper(contacts(study.typed.masks[TRUTH][sample], names, graph))
                    away += [np.abs(own - true) for own in found]
            rows.append(
                {
                    "graph": graph,
                    "cells": cells,
                    "contacts": int((~np.isnan(apart)).all(axis=0).sum()),
                    "between masks": _mean(apart),
                    "from truth": _mean(away),
                }
            )
    return pd.DataFrame(rows)


def _upper(square: np.ndarray) -> np.ndarray:
    return square[np.triu_indices(len(square))]


def _mean(parts: Sequence[np.ndarray]) -> float:
    """Return the mean of what is not missing; missing where everything is."""
    values = np.concatenate(parts) if parts else np.empty(0)
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def contact_table(study: MaskStudy, sample: str, first: str, second: str) -> pd.DataFrame:
    """Say in all ways how often two types meet in one image, mask by mask, all cells and matched.

    Parameters
    ----------
    study
        Which masks.
    sample
        The image.
    first, second
        The types.

    Returns
    -------
    pandas.DataFrame
        One row per ``rater`` and ``cells``: numbers of cells of the two types, edges ``observed``
        and ``expected`` by chance, their ``log2``; ``z`` from 1000 permutations; imcRtools'
        ``classic``, ``histocat`` and ``patch``; ``L`` less the radius of 15 µm, µm; and ``Moran's
        I`` of the first type.
    """
    names, shape = study.typed.names, study.cohort.shape(sample)
    a, b = names.index(first), names.index(second)
    rows = []
    for rater, own in study.typed.masks.items():
        masks = {ALL: own[sample]}
        if rater in study.raters:
            ids = study.matched[sample][:, study.raters.index(rater)].tolist()
            masks[MATCHED] = own[sample].only(ids)
        for cells, mask in masks.items():
            codes, centres = mask.codes(names), mask.centres_um
            graph = GRAPHS[study.graph](mask.labels, centres)
            observed = contact_counts(graph, codes, len(names))[a, b]
            expected = expected_counts(graph, codes, len(names))[a, b]
            side = [length * mask.um_per_px for length in shape]
            l_away = cross_l(
                centres[codes == a],
                centres[codes == b],
                [RADIUS_UM],
                (side[0], side[1]),
                same=a == b,
            )
            rows.append(
                {
                    "rater": rater,
                    "cells": cells,
                    f"n {first}": int((codes == a).sum()),
                    f"n {second}": int((codes == b).sum()),
                    "observed": int(observed),
                    "expected": expected,
                    "log2": np.log2((observed + 0.5) / (expected + 0.5)) if expected else np.nan,
                    "z": permutation_z(graph, codes, len(names))[a, b],
                    **{k: v[a, b] for k, v in interactions(graph, codes, len(names)).items()},
                    "L": l_away[0],
                    "Moran's I": morans_i(graph, codes == a),
                }
            )
    return pd.DataFrame(rows)


def against_truth(study: MaskStudy) -> pd.DataFrame:
    """Hold what masks say against the truth, and against how images differ.

    Returns
    -------
    pandas.DataFrame
        One row per ``kind``, ``name`` and compared ``rater``, all cells: ``bias``, the mean of mask
        less truth over images, to base 2, with ``low`` and ``high``, Student's 95 % interval; and
        ``in spreads``, the bias over the truth's standard deviation between images. Nothing without
        a truth.
    """
    if TRUTH not in study.beside:
        return pd.DataFrame(columns=["kind", "name", "rater", "bias", "low", "high", "in spreads"])
    described, rows = study.of(ALL), []
    for kind in (Kind.FRACTION, Kind.DENSITY, Kind.CONTACT):
        for name in described.loc[described["kind"] == kind, "name"].unique():
            wide = by_mask(described, kind, name, [*study.raters, TRUTH])
            spread = wide[TRUTH].std()
            for rater in study.raters:
                away = wide[rater] - wide[TRUTH]
                half = np.nan
                if len(away) > 1:
                    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(away) - 1)
                    half = quantile * away.std() / np.sqrt(len(away))
                rows.append(
                    {
                        "kind": kind.value,
                        "name": name,
                        "rater": rater,
                        "bias": away.mean(),
                        "low": away.mean() - half,
                        "high": away.mean() + half,
                        "in spreads": away.mean() / spread if spread > 0 else np.nan,
                    }
                )
    return pd.DataFrame(rows)


def surely_wrong(biased: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return what all compared masks surely have wrong, in the same direction.

    Parameters
    ----------
    biased
        What `against_truth` returns.
    kind
        One of `Kind`.

    Returns
    -------
    pandas.DataFrame
        By ``name``, the least and the largest ratio of a mask to the truth: ``low`` and ``high``.
    """
    of_kind = biased[biased["kind"] == kind]
    signs = (of_kind["low"] > 0).astype(int) - (of_kind["high"] < 0).astype(int)
    ends = signs.groupby(of_kind["name"], sort=False).agg(["min", "max"])
    sure = ends.index[(ends["min"] == ends["max"]) & (ends["min"] != 0)]
    bias = of_kind.groupby("name", sort=False)["bias"]
    return pd.DataFrame({"low": 2 ** bias.min(), "high": 2 ** bias.max()}).loc[sure]


def off_reference(
    cohort: Cohort, rater: str, *, graph: str, rule: str = "", most_images: int = 12
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Say how far fractions and contacts of one mask are off those of the truth.

    Where there is no truth, the first other reference takes its place. Both are typed by one rule,
    and joined by one graph.

    Parameters
    ----------
    cohort
        With masks of two references or more.
    rater
        Whose mask.
    graph, rule, most_images
        As for `study_masks`.

    Returns
    -------
    rows : pandas.DataFrame
        One row per image: ``sample``, ``reference``, ``rule``, ``cells``, ``fractions_off`` and
        ``contacts_off``, mean absolute log2 ratios.
    by_name : pandas.DataFrame
        ``off`` of each fraction and contact, mean over images, by its name.

    Raises
    ------
    InputError
        If the rater has no mask of these images, or as `study_masks`.
    """
    study = study_masks(cohort, (), graph=graph, rule=rule, most_images=most_images)
    if rater not in study.typed.masks:
        raise InputError(
            f"cohort {cohort.name}: no masks of {rater!r}; there are {', '.join(study.typed.masks)}"
        )
    others = [TRUTH, *study.raters] if TRUTH in study.beside else study.raters
    reference = next(other for other in others if other != rater)
    described = study.of(ALL)
    described = described[described["kind"].isin([Kind.FRACTION, Kind.CONTACT])]
    wide = described.pivot(index=["sample", "kind", "name"], columns="rater", values="value")
    off = (wide[rater] - wide[reference]).abs().rename("off").reset_index()
    by_image = off.pivot_table(index="sample", columns="kind", values="off", aggfunc="mean")
    by_image = by_image.reindex(index=list(study.samples), columns=[Kind.FRACTION, Kind.CONTACT])
    rows = pd.DataFrame(
        {
            "sample": study.samples,
            "reference": reference,
            "rule": study.typed.rule,
            "cells": [len(study.typed.masks[rater][s].types) for s in study.samples],
            "fractions_off": by_image[Kind.FRACTION].to_numpy(),
            "contacts_off": by_image[Kind.CONTACT].to_numpy(),
        }
    )
    return rows, off.groupby("name", sort=False)[["off"]].mean()
