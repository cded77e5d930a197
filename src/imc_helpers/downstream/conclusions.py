"""Which conclusions of a study would have been others with another mask.

A study says that a type makes up so much of the cells, that two types touch more often than by
chance, that one group of images has more of a type than another. Each is measured here once with
every mask. Differences between masks are paired by image, so that images' own differences are no
excuse, and have intervals over images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from imc_helpers.agreement.intervals import CONFIDENCE
from imc_helpers.downstream.spatial import GRAPHS, enrichment
from imc_helpers.downstream.typed_masks import TypedMask
from imc_helpers.errors import InputError

MARGIN = 0.1
"""Relative change of a fraction below which it counts as the same."""


class Kind(StrEnum):
    """What a number says; all are logarithms to base 2, so that they compare."""

    FRACTION = "fraction"
    """Share of the cells that are of a type."""
    RATIO = "log-ratio"
    """The same over the geometric mean of all types' shares (Aitchison 1986)."""
    DENSITY = "density"
    """Cells of a type per square millimetre of image."""
    CONTACT = "contact"
    """Edges from type to type, over those expected by chance: `spatial.enrichment`."""
    GROUPS = "difference between groups"
    """Of the fraction of a type."""


class Verdict(StrEnum):
    """What becomes of a conclusion when somebody else draws the cells."""

    SAME = "would not have changed"
    """Surely the same with every mask."""
    CHANGED = "would have changed"
    """Surely another with some masks than with others."""
    OPEN = "cannot be told"
    """Too few images to tell either."""


def contacts(mask: TypedMask, names: Sequence[str], graph: str) -> NDArray[np.float64]:
    """Return the enrichment of contacts between types, (T, T): see `spatial.enrichment`.

    Parameters
    ----------
    mask
        Cells and types.
    names
        The types, those that are absent included.
    graph
        One of `spatial.GRAPHS`.
    """
    joined = GRAPHS[graph](mask.labels, mask.centres_um)
    return enrichment(joined, mask.codes(names), len(names))


def describe_image(mask: TypedMask, names: Sequence[str], graph: str) -> pd.DataFrame:
    """Measure what studies report of an image.

    Parameters
    ----------
    mask, names, graph
        As for `contacts`.

    Returns
    -------
    pandas.DataFrame
        ``kind`` (of `Kind`, without group differences), ``name`` (a type, or two), ``value``, to
        base 2. Half a cell is added to each type, so that an absent one has a number; everything is
        missing where there is no cell.
    """
    codes = mask.codes(names)
    some = len(codes) > 0
    counts = np.bincount(codes, minlength=len(names)) + (0.5 if some else np.nan)
    logs = np.log2(counts)
    mm2 = mask.labels.size * mask.um_per_px**2 / 1e6
    per_type = {
        Kind.FRACTION: logs - np.log2(counts.sum()),
        Kind.RATIO: logs - logs.mean(),
        Kind.DENSITY: logs - np.log2(mm2),
    }
    rows = [
        (kind.value, name, value)
        for kind, values in per_type.items()
        for name, value in zip(names, values, strict=True)
    ]
    enriched = contacts(mask, names, graph)
    rows += [
        (Kind.CONTACT.value, f"{names[a]} – {names[b]}", enriched[a, b])
        for a in range(len(names))
        for b in range(a, len(names))
    ]
    return pd.DataFrame(rows, columns=["kind", "name", "value"])


def by_mask(described: pd.DataFrame, kind: str, name: str, raters: Sequence[str]) -> pd.DataFrame:
    """Return one quantity, images by masks; images without it, or not of all masks, are left out.

    Parameters
    ----------
    described
        What `describe_image` returns, of all images and masks, with ``sample`` and ``rater``.
    kind, name
        Which quantity.
    raters
        The columns.
    """
    own = described[(described["kind"] == kind) & (described["name"] == name)]
    wide = own.pivot(index="sample", columns="rater", values="value")
    return wide.reindex(columns=list(raters)).dropna()


def judge(
    described: pd.DataFrame,
    raters: Sequence[str],
    *,
    beside: Sequence[str] = (),
    groups: Mapping[str, str] | None = None,
    margin: float = MARGIN,
) -> pd.DataFrame:
    """Ask of each conclusion whether it would have been another with another mask.

    A **fraction** is the same where all pairs of masks differ by less than `margin`, and has
    changed where a pair differs by more; relative differences of means over images. A **contact**
    (more or less often than by chance) and a **difference between groups** (more or less in the
    second) are the same where every mask is sure of the same sign, and have changed where masks say
    different things (one sure, the other not or of the opposite) and differ from one another.
    Intervals are Student's, over images. Masks are surely apart by intervals that are corrected for
    the number of pairs (Bonferroni); the number of conclusions is not corrected for.

    Parameters
    ----------
    described
        What `describe_image` returns, of all images and masks, with ``sample`` and ``rater``.
    raters
        Whose masks are compared, two or more.
    beside
        Further masks that are measured, and do not enter the verdict: the truth, models.
    groups
        Group of each image, two of them in the order of their names; no conclusion about groups
        without.
    margin
        Relative change of a fraction that would not matter.

    Returns
    -------
    pandas.DataFrame
        One row per conclusion and mask: ``kind``, ``name``, ``rater``, ``images``; ``value`` with
        ``low`` and ``high``, logarithms to base 2: of a fraction over the mean of `raters`, of
        observed over expected contacts, of the second group over the first; and ``verdict``.

    Raises
    ------
    InputError
        If there are fewer than two masks, or not two groups.
    """
    if len(raters) < 2:
        raise InputError(f"raters: expected two masks or more to compare, found {len(raters)}")
    if groups is not None and len(set(groups.values())) != 2:
        raise InputError(f"groups: expected two, found {sorted(set(groups.values()))}")
    everyone = [*raters, *beside]
    asked = [Kind.FRACTION, Kind.CONTACT, *([] if groups is None else [Kind.GROUPS])]
    parts = []
    for kind in asked:
        source = Kind.FRACTION if kind is Kind.GROUPS else kind
        names = described.loc[described["kind"] == source, "name"].unique()
        for name in names:
            wide = by_mask(described, source, name, everyone)
            if kind is Kind.FRACTION:
                wide = wide.sub(wide[list(raters)].mean(axis=1), axis=0)
            of = None if groups is None or kind is not Kind.GROUPS else wide.index.map(groups)
            ends = pd.DataFrame([_interval(wide[rater], of) for rater in everyone])
            ends.columns = ["value", "low", "high"]
            # All pairs have to lie within the margin, which needs no correction, and each end is a
            # test of its own (two one-sided tests); one pair that is apart is enough.
            apart = 1 - (1 - CONFIDENCE) / (len(raters) * (len(raters) - 1) / 2)
            pairs = {
                (a, b): [
                    _interval(wide[a] - wide[b], of, confidence=confidence)[1:]
                    for confidence in (2 * CONFIDENCE - 1, apart)
                ]
                for a, b in combinations(raters, 2)
            }
            said = dict(zip(everyone, _sign(ends), strict=True))
            verdict = (
                _same_level(pairs, margin) if kind is Kind.FRACTION else _same_sign(pairs, said)
            )
            about = {"kind": kind.value, "name": name, "rater": everyone, "images": len(wide)}
            parts.append(ends.assign(**about, verdict=verdict.value))
    columns = ["kind", "name", "rater", "images", "value", "low", "high", "verdict"]
    return pd.concat(parts, ignore_index=True)[columns]


def _interval(
    values: pd.Series, groups: pd.Index | None, *, confidence: float = CONFIDENCE
) -> tuple[float, float, float]:
    """Return a mean, or the second group's less the first's, with Student's interval (Welch's)."""
    parts = [values] if groups is None else [own for _, own in values.groupby(groups)]
    means = [part.mean() for part in parts]
    value = float(means[-1] - means[0]) if groups is not None and len(parts) > 1 else np.nan
    value = float(means[0]) if groups is None else value
    if np.isnan(value) or min(map(len, parts)) < 2:
        return value, np.nan, np.nan
    errors = np.array([part.var() / len(part) for part in parts])
    degrees = np.array([len(part) - 1 for part in parts])
    error = errors.sum()
    if error == 0:
        return value, value, value
    freedom = error**2 / (errors**2 / degrees).sum()
    half = stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(error)
    return value, value - half, value + half


def _sign(ends: pd.DataFrame) -> NDArray[np.int64]:
    """Return what each mask is sure of: 1 more, -1 less, 0 neither."""
    return (ends["low"] > 0).to_numpy(int) - (ends["high"] < 0).to_numpy(int)


_Pairs = Mapping[tuple[str, str], Sequence[tuple[float, float]]]
"""By pair of masks, the interval of their difference that tells whether they are the same, and the
wider one that tells whether they are apart."""


def _same_level(pairs: _Pairs, margin: float) -> Verdict:
    limit = np.log2(1 + margin)
    if all(-limit < low and high < limit for (low, high), _ in pairs.values()):
        return Verdict.SAME
    if any(low > limit or high < -limit for _, (low, high) in pairs.values()):
        return Verdict.CHANGED
    return Verdict.OPEN


def _same_sign(pairs: _Pairs, said: Mapping[str, int]) -> Verdict:
    if any(said[a] != said[b] and (w[0] > 0 or w[1] < 0) for (a, b), (_, w) in pairs.items()):
        return Verdict.CHANGED
    signs = {said[rater] for pair in pairs for rater in pair}
    return Verdict.SAME if signs in ({1}, {-1}) else Verdict.OPEN


def count_verdicts(judged: pd.DataFrame) -> pd.DataFrame:
    """Count conclusions by kind and verdict: one row per kind, one column per `Verdict`."""
    each = judged.drop_duplicates(["kind", "name"])
    counts = pd.crosstab(each["kind"], each["verdict"])
    kinds = [kind.value for kind in Kind if kind.value in counts.index]
    columns = pd.Index([v.value for v in Verdict])
    return counts.reindex(index=kinds, columns=columns, fill_value=0)


def worth_showing(judged: pd.DataFrame, most: int) -> pd.DataFrame:
    """Choose what a figure has room for: everything but contacts, and of those the plainest.

    Parameters
    ----------
    judged
        What `judge` returns.
    most
        Contacts to keep: those that would have changed first, then those farthest from chance.
    """
    found = judged[judged["kind"] == Kind.CONTACT]
    plain = found.groupby("name", sort=False).agg(
        verdict=("verdict", "first"), value=("value", lambda of: of.abs().mean())
    )
    plain["stays"] = plain["verdict"] != Verdict.CHANGED
    chosen = plain.dropna().sort_values(["stays", "value"], ascending=[True, False]).index[:most]
    return judged[(judged["kind"] != Kind.CONTACT) | judged["name"].isin(chosen)]


def say_verdicts(judged: pd.DataFrame, *, most: int = 4) -> str:
    """Put the verdicts into words, kind by kind.

    Parameters
    ----------
    judged
        What `judge` returns.
    most
        Names that a list may have; the others are counted.
    """
    nouns = {
        Kind.FRACTION: "fractions",
        Kind.CONTACT: "contacts",
        Kind.GROUPS: "differences between the groups",
    }
    sentences = []
    for kind, noun in nouns.items():
        own = judged[judged["kind"] == kind].drop_duplicates("name")
        if own.empty:
            continue
        if (own["verdict"] == Verdict.OPEN).all():
            sentences.append(f"Of {len(own)} {noun}, none can be told.")
            continue
        parts = []
        for verdict in Verdict:
            names = own.loc[own["verdict"] == verdict, "name"].tolist()
            if not names:
                continue
            listed = ", ".join(names[:most])
            listed += f" and {len(names) - most} more" if len(names) > most else ""
            # What cannot be told is counted, not listed.
            listed = "" if verdict is Verdict.OPEN else f" ({listed})"
            parts.append(f"{len(names)} {verdict}{listed}")
        sentences.append(f"Of {len(own)} {noun}, {'; '.join(parts)}.")
    return " ".join(sentences)


@dataclass(frozen=True)
class GroupStudy:
    """What a study that compares two groups of images would conclude, in the long run."""

    more: float
    """Chance that it finds more in the second group, with p below the level."""
    less: float
    """Chance that it finds less."""


def group_study(
    difference: float, spread: float, images: int, *, level: float = 1 - CONFIDENCE
) -> GroupStudy:
    """Say how often Student's test finds a difference between groups of images.

    With groups that differ, that is its power. With groups that do not, but were segmented by
    different masks, `difference` is what the masks differ by, and both chances are false alarms.

    Parameters
    ----------
    difference
        Between the groups' means.
    spread
        Standard deviation between the images of a group.
    images
        In each group, two or more.
    level
        Of the test, two-sided.

    Returns
    -------
    GroupStudy
        From the noncentral t distribution; missing where `spread` is not above 0.
    """
    if images < 2 or not spread > 0 or not np.isfinite(difference):
        return GroupStudy(np.nan, np.nan)
    away, freedom = difference / (spread * np.sqrt(2 / images)), 2 * images - 2
    limit = stats.t.ppf(1 - level / 2, freedom)
    return GroupStudy(
        float(stats.nct.sf(limit, freedom, away)), float(stats.nct.cdf(-limit, freedom, away))
    )


def confounded_studies(
    described: pd.DataFrame,
    raters: Sequence[str],
    *,
    images: int,
    groups: Mapping[str, str] | None = None,
    truth: str = "",
) -> pd.DataFrame:
    """Compare groups of images with each mask, and with another mask for each group.

    Parameters
    ----------
    described
        What `describe_image` returns, of all images and masks, with ``sample`` and ``rater``.
    raters
        Whose masks; two or more.
    images
        In each group of the study that is asked about.
    groups
        Group of each image; where given, `truth` knows by what they differ.
    truth
        The mask that is right, where there is one.

    Returns
    -------
    pandas.DataFrame
        One row per type (``name``): ``power``, ``wrong sign`` (means over `raters`, of a study that
        segments both groups with one mask; missing without groups or truth), ``false alarm`` (mean
        over ordered pairs of masks, where groups do not differ and each is segmented by its own
        mask) and ``worst`` (the largest of those).
    """
    rows = []
    for name in described.loc[described["kind"] == Kind.FRACTION, "name"].unique():
        asked = [*raters, *([truth] if truth else [])]
        wide = by_mask(described, Kind.FRACTION, name, asked)
        of = pd.Series(wide.index.map(groups), wide.index) if groups else pd.Series(0, wide.index)
        inner = wide - wide.groupby(of).transform("mean")
        spread = np.sqrt((inner**2).sum() / max(len(wide) - of.nunique(), 1)).replace(0, np.nan)
        row = {"name": name, "power": np.nan, "wrong sign": np.nan}
        if groups and truth and of.nunique() == 2:
            first, second = (own.mean() for _, own in wide.groupby(of))
            rightly = second[truth] > first[truth]
            studies = [group_study((second - first)[r], spread[r], images) for r in raters]
            right = [s.more if rightly else s.less for s in studies]
            wrong = [s.less if rightly else s.more for s in studies]
            row |= {"power": np.mean(right), "wrong sign": np.mean(wrong)}
        alarms = []
        for a, b in combinations(raters, 2):
            both = np.sqrt((spread[a] ** 2 + spread[b] ** 2) / 2)
            found = group_study((wide[b] - wide[a]).mean(), both, images)
            alarms.append(found.more + found.less)
        rows.append(row | {"false alarm": np.mean(alarms), "worst": np.max(alarms)})
    return pd.DataFrame(rows)
