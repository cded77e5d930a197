"""How well annotators agree: every pair, on every sample, whole and in patches.

Schuiki et al. 2025, section 4.1: each pair of annotators is scored as if one were the truth and the
other a model. The three metrics are symmetric, so a pair is scored once.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from tqdm import tqdm

from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.patching import BORDER_PX, STRIDE_PX, WINDOW_PX, windows
from imc_helpers.samples import Cohort

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
        the windows of a sample row by row from 0, and is missing for whole images. Ids of cells are
        compared inside each crop: a cell that the crop cuts in two stays one cell.

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
    rows: list[dict[str, object]] = []
    for sample in tqdm(cohort.ids, desc=f"{cohort.name}: pairs", disable=None):
        annotators = cohort.annotators_of(sample)
        masks = {a: cohort.read_mask(sample, a) for a in annotators}
        for true, pred in combinations(annotators, 2):
            for mode, patch, crop_true, crop_pred in _views(
                masks[true], masks[pred], window_px, stride_px, border_px
            ):
                scores = evaluate(crop_true, crop_pred, strict=strict)
                rows.append(
                    {
                        "cohort": cohort.name,
                        "mode": mode,
                        "sample": sample,
                        "patch": patch,
                        "annotator_true": true,
                        "annotator_pred": pred,
                        "n_true": scores.n_true,
                        "n_pred": scores.n_pred,
                        **{metric: getattr(scores, metric) for metric in METRICS},
                    }
                )
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"patch": "Int64"})


def _views(
    true: np.ndarray, pred: np.ndarray, window_px: int, stride_px: int, border_px: int
) -> Iterator[tuple[str, int | None, np.ndarray, np.ndarray]]:
    yield "whole", None, true, pred
    for i, window in enumerate(windows(true.shape, size=window_px, stride=stride_px)):
        scored = window.shrink(border_px).slices
        yield "patch", i, true[scored], pred[scored]


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
    for (true, pred), value in means.items():
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
