"""How well annotators agree: every pair, on every sample, whole and in patches.

Schuiki et al. 2025, section 4.1: each pair of annotators is scored as if one were the truth and the
other a model. The three metrics are symmetric, so a pair is scored once.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate_many
from imc_helpers.patching import BORDER_PX, STRIDE_PX, WINDOW_PX, Window, windows

METRICS = ("ap50", "map", "sap")
"""The study's three scores."""
MODES = ("whole", "patch")
"""The study's two modes: the whole image, or sliding windows."""
COLUMNS = (
    "cohort",
    "mode",
    "sample",
    "patch",
    "annotator_true",
    "annotator_pred",
    "n_true",
    "n_pred",
    *METRICS,
)


def pairwise(
    cohort: Cohort,
    *,
    window_px: int = WINDOW_PX,
    stride_px: int = STRIDE_PX,
    border_px: int = BORDER_PX,
    strict: bool = False,
) -> pd.DataFrame:
    """Score every pair of annotators on every sample that both have labelled.

    Parameters
    ----------
    cohort
        Samples with masks of two annotators or more.
    window_px, stride_px, border_px
        Edge of a window, step between windows, and ignored border, pixels.
    strict
        A pair of cells matches when IoU > t; when False, when IoU >= t.

    Returns
    -------
    pandas.DataFrame
        One row a pair, sample and patch. ``mode`` is ``"whole"`` or ``"patch"``; ``patch`` counts
        the windows of a sample row by row from 0, and is missing for whole images. A cell that a
        window cuts in two stays one cell.

    Raises
    ------
    InputError
        If the cohort has fewer than two annotators.
    """
    if len(cohort.annotators) < 2:
        raise InputError(
            f"cohort {cohort.name}: agreement needs masks of two annotators or more, found "
            f"{', '.join(cohort.annotators) or 'none'}"
        )
    pairs = {sample: list(combinations(cohort.annotators_of(sample), 2)) for sample in cohort.ids}
    return _score(cohort, pairs, Grid(window_px, stride_px, border_px), strict)


def against(
    cohort: Cohort,
    reference: str,
    *,
    window_px: int = WINDOW_PX,
    stride_px: int = STRIDE_PX,
    border_px: int = BORDER_PX,
    strict: bool = False,
) -> pd.DataFrame:
    """Score every annotator against one reference mask, the truth of a phantom for instance.

    Parameters
    ----------
    cohort
        Samples with masks.
    reference
        Whose masks are taken for true; it need not be one of ``cohort.annotators``.
    window_px, stride_px, border_px, strict
        As in `pairwise`.

    Returns
    -------
    pandas.DataFrame
        As `pairwise` returns, with ``annotator_true`` the reference.
    """
    pairs = {
        sample: [(reference, a) for a in cohort.annotators_of(sample) if a != reference]
        for sample in cohort.ids
    }
    return _score(cohort, pairs, Grid(window_px, stride_px, border_px), strict)


class Grid(NamedTuple):
    """Where patches lie, pixels."""

    window_px: int
    stride_px: int
    border_px: int

    def placed(self, shape: tuple[int, ...]) -> list[Window]:
        """Return the windows of an image."""
        return windows((shape[0], shape[1]), size=self.window_px, stride=self.stride_px)

    def scored(self, shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
        """Return the scored part of each window of an image."""
        return [window.shrink(self.border_px).slices for window in self.placed(shape)]

    def planes(self, shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
        """Return the scored part of each plane of a stack of windows, (P, window, window)."""
        inner = Window(0, 0, self.window_px).shrink(self.border_px).slices
        return [(slice(p, p + 1), *inner) for p in range(shape[0])]


def _score(
    cohort: Cohort, pairs: Mapping[str, Sequence[tuple[str, str]]], grid: Grid, strict: bool
) -> pd.DataFrame:
    parts = []
    for sample, names in tqdm(pairs.items(), desc=f"{cohort.name}: pairs", disable=None):
        masks = {a: cohort.read_mask(sample, a) for a in dict.fromkeys(chain(*names))}
        images = [(masks[true], masks[pred]) for true, pred in names]
        whole = evaluate_many(images, strict=strict).assign(mode="whole")
        patches = evaluate_many(images, windows=grid.scored, strict=strict).assign(mode="patch")
        for rows in (whole, patches):
            rows["annotator_true"] = [names[i][0] for i in rows["pair"]]
            rows["annotator_pred"] = [names[i][1] for i in rows["pair"]]
            parts.append(rows.assign(cohort=cohort.name, sample=sample))
    # Whole images have no window, so the column is missing there.
    table = pd.concat(parts, ignore_index=True).rename(columns={"window": "patch"})
    return table[list(COLUMNS)].astype({"patch": "Int64"})


def agreement_matrix(table: pd.DataFrame, metric: str, mode: str) -> pd.DataFrame:
    """Average a score over samples or patches, for every pair (the study's Figure 2).

    Parameters
    ----------
    table
        What `pairwise` returns, of one cohort.
    metric
        One of `METRICS`.
    mode
        One of `MODES`.

    Returns
    -------
    pandas.DataFrame
        Square, annotators in their order of appearance; the diagonal is missing.
    """
    rows = table[table["mode"] == mode]
    names = list(dict.fromkeys([*rows["annotator_true"], *rows["annotator_pred"]]))
    matrix = pd.DataFrame(np.nan, index=names, columns=names)
    means = rows.groupby(["annotator_true", "annotator_pred"], sort=False)[metric].mean()
    for true, pred, value in means.reset_index().itertuples(index=False):
        matrix.loc[true, pred] = matrix.loc[pred, true] = value
    return matrix


def mean_agreement(table: pd.DataFrame) -> pd.DataFrame:
    """Average over pairs: the ceiling that annotators set among themselves (the study's Table 3).

    Every pair counts the same, however many samples it shares.

    Parameters
    ----------
    table
        What `pairwise` returns; several cohorts may stand in it.

    Returns
    -------
    pandas.DataFrame
        One row a cohort and mode: ``pairs``, ``scored`` (images or patches a pair, summed over
        pairs), ``both_empty`` (those where neither annotator has a cell; they score 1), and the
        mean of each metric.
    """
    keys = ["cohort", "mode"]
    pair_keys = [*keys, "annotator_true", "annotator_pred"]
    pairs = table.groupby(pair_keys, sort=False)[list(METRICS)].mean()
    means = pairs.groupby(keys, sort=False).mean()
    empty = (table["n_true"] == 0) & (table["n_pred"] == 0)
    counts = (
        table.assign(both_empty=empty)
        .groupby(keys, sort=False)
        .agg(scored=("n_true", "size"), both_empty=("both_empty", "sum"))
    )
    counts.insert(0, "pairs", pairs.groupby(keys, sort=False).size())
    return counts.join(means).reset_index()
