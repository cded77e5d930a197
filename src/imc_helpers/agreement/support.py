"""How likely the next annotator is to draw a cell of a consensus.

The share of annotators who drew a cell says who did, not who would. So annotators are left out, one
at a time: the others make a consensus, and the one left out says of each of its cells whether a
further person drew it. A logistic regression learns from that how the chance depends on what the
others show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from imc_helpers.agreement.consensus import Consensus, consensus
from imc_helpers.errors import InputError
from imc_helpers.metrics import contingency_table

DRAWN_IOU = 0.5
"""An annotator drew a cell when one of theirs has this IoU with it."""
FEATURES = ("share", "likeness", "contested", "log_area")
"""What the chance depends on."""


def cell_features(agreed: Consensus, masks: Sequence[np.ndarray]) -> pd.DataFrame:
    """Measure what annotators show of each group of a consensus.

    Parameters
    ----------
    agreed
        What `consensus` returns of these masks.
    masks
        (H, W) label images.

    Returns
    -------
    pandas.DataFrame
        One row per group: ``share`` of the annotators who drew it; ``likeness``, the mean IoU of
        their cells with its outline; ``contested``, the share of its pixels that the others gave to
        other cells, on average (0 where nobody is left); ``log_area``, of its pixels.
    """
    n, people = agreed.groups.shape
    area = np.bincount(agreed.outlines.ravel(), minlength=n + 1)[1:]
    likeness, contested = np.zeros(n), np.zeros(n)
    for mask, own in zip(masks, agreed.groups.T, strict=True):
        drew = own > 0
        table = contingency_table(agreed.outlines, mask)
        group = table.true_ids[table.i] - 1
        same = table.pred_ids[table.j] == own[group]
        likeness[group[same]] += table.iou[same]
        covered = np.bincount(group, table.intersection, minlength=n) / np.maximum(area, 1)
        contested += np.where(drew, 0, covered)
    drawers = (agreed.groups > 0).sum(axis=1)
    return pd.DataFrame(
        {
            "share": drawers / people,
            "likeness": likeness / np.maximum(drawers, 1),
            "contested": contested / np.maximum(people - drawers, 1),
            "log_area": np.log(np.maximum(area, 1)),
        }
    )


def held_out_cells(masks: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Ask each annotator of an image which cells of the others' consensus they drew.

    Parameters
    ----------
    masks
        (H, W) label images by annotator, three or more.

    Returns
    -------
    pandas.DataFrame
        One row per annotator left out and group of the others: ``left_out``, `FEATURES`, ``drawn``.

    Raises
    ------
    InputError
        If there are fewer than three.
    """
    if len(masks) < 3:
        raise InputError(f"held_out_cells: expected three annotators or more, found {len(masks)}")
    parts = []
    for name, mask in masks.items():
        others = [other for key, other in masks.items() if key != name]
        agreed = consensus(others)
        rows = cell_features(agreed, others)
        table = contingency_table(agreed.outlines, mask)
        found = table.true_ids[table.i[table.iou >= DRAWN_IOU]]
        rows["drawn"] = np.isin(np.arange(1, len(rows) + 1), found)
        rows.insert(0, "left_out", name)
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Support:
    """A fitted chance that the next annotator draws a cell."""

    fitted: Pipeline
    """scikit-learn's regression of `FEATURES`."""

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        """Give the chance for each group: (G,) floats.

        Parameters
        ----------
        features
            What `cell_features` returns.
        """
        if features.empty:
            return np.zeros(0)
        return self.fitted.predict_proba(features[list(FEATURES)])[:, 1]


def fit_support(cells: pd.DataFrame) -> Support:
    """Learn the chance from cells of which an annotator left out said whether they drew them.

    Parameters
    ----------
    cells
        What `held_out_cells` returns, of one image or several.

    Raises
    ------
    InputError
        If all of them were drawn, or none: there is nothing to tell apart.
    """
    if not can_teach(cells):
        raise InputError(
            f"fit_support: expected cells drawn and not drawn, found {len(cells)} alike"
        )
    model = make_pipeline(StandardScaler(), LogisticRegression())
    return Support(model.fit(cells[list(FEATURES)], cells["drawn"]))


def cross_fitted(cells: pd.DataFrame, *, other_people: bool = False) -> np.ndarray:
    """Predict each image's cells by what was learnt from the others.

    Parameters
    ----------
    cells
        What `held_out_cells` returns of several images, with their names in ``sample``.
    other_people
        Learn from other people too, not from whoever is asked. People differ, and a handful of them
        say little about the next one: such chances are off by much more.

    Returns
    -------
    numpy.ndarray
        One chance per row; missing where there is one image alone, or the others teach nothing.
    """
    chance = np.full(len(cells), np.nan)
    sample, person = (cells[column].to_numpy() for column in ("sample", "left_out"))
    if not other_people:
        person = np.full(len(cells), "")
    for one, who in dict.fromkeys(zip(sample, person, strict=True)):
        here = (sample == one) & (person == who)
        others = (sample != one) & ((person != who) | (not other_people))
        if can_teach(cells[others]):
            chance[here] = fit_support(cells[others]).predict(cells[here])
    return chance


def can_teach(cells: pd.DataFrame) -> bool:
    """Say whether some cells were drawn and some were not.

    Parameters
    ----------
    cells
        What `held_out_cells` returns.
    """
    return bool(cells["drawn"].any() and not cells["drawn"].all())


def calibration(chance: ArrayLike, drawn: ArrayLike, *, bins: int = 10) -> pd.DataFrame:
    """Set chances beside what happened, in bins with about as many cells each.

    Parameters
    ----------
    chance
        (n,) predicted.
    drawn
        (n,) bool.
    bins
        How many; fewer where chances are tied, and one for each chance where they are few.

    Returns
    -------
    pandas.DataFrame
        One row per bin: ``cells``, mean ``chance``, share ``drawn``.
    """
    table = pd.DataFrame({"chance": np.asarray(chance, float), "drawn": np.asarray(drawn, float)})
    few = len(np.unique(table["chance"])) <= bins
    table["bin"] = (
        table["chance"] if few else pd.qcut(table["chance"], bins, labels=False, duplicates="drop")
    )
    means = table.groupby("bin").agg(
        cells=("drawn", "size"), chance=("chance", "mean"), drawn=("drawn", "mean")
    )
    return means.reset_index(drop=True)


def calibration_error(bins: pd.DataFrame) -> float:
    """Average how far chances are from what happened, each bin by its number of cells.

    Parameters
    ----------
    bins
        What `calibration` returns.
    """
    return float(np.average((bins["chance"] - bins["drawn"]).abs(), weights=bins["cells"]))
