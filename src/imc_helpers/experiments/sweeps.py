"""Sweeps: one notebook run over many combinations of parameters, and what its pages make of them.

A *point* is one combination. Its notebook scores a few images and hands the scores over as one of
its outputs, so it needs no file and runs anywhere; the runner collects the points' rows in
``results/EDITION/sweeps/NAME.csv``, with the parameters in front.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage as ndi

from imc_helpers.agreement.intervals import (
    bootstrap_ratios,
    interval,
    mean_intervals,
    paired_differences,
)
from imc_helpers.agreement.score_table import METRICS
from imc_helpers.cells.counts import count_cells
from imc_helpers.data.manifest import cohort_record, load_edition
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.experiments.model_inputs import crop, part, read_spillover
from imc_helpers.experiments.sweep_results import read_sweep
from imc_helpers.images.pipeline import NONE
from imc_helpers.metrics import contingency_table, evaluate, matched_pairs
from imc_helpers.patching import cover
from imc_helpers.phantom.drawing import TRUTH
from imc_helpers.phantom.imaging import spillover_matrix
from imc_helpers.phantom.recipes import find_recipe

SIZES = ("small", "medium", "large")
"""Thirds of an annotator's cells in an image, by area."""
PLACES = ("cut", "near", "inside")
"""Where a cell lies: at the image's edge, within `NEAR_PX` of it, or farther inside."""
NEAR_PX = 28
"""Width of the border that the study ignores in its patches, pixels."""
WHOLE = 0
"""Window size that stands for the whole image."""
SAME, OPPOSITE = "same side of 0", "opposite sides of 0"
"""Where two intervals lie, neither of which includes 0."""
AS_IT_IS = "as it is"
"""Name of an input that was not enlarged."""


def annotated_cohort(edition: str, cohort: str = "") -> str:
    """Return a cohort's key, or the first of an edition that two annotators or more have labelled.

    Where none has two, the first with one is returned, and an empty name where none has any.

    Raises
    ------
    InputError
        If the manifest has no cohort of that name.
    """
    if cohort:
        cohort_record(cohort)
        return cohort
    annotators = {key: len(cohort_record(key).raters) for key in load_edition(edition).cohorts}
    for enough in (2, 1):
        for key, count in annotators.items():
            if count >= enough:
                return key
    return ""


def open_samples(cohort: str, *, images: int, crop_px: int) -> list[Sample]:
    """Read the middle of a cohort's first labelled samples, with the truth where it is known.

    Parameters
    ----------
    cohort
        Key in the manifest.
    images
        Number of samples, at most.
    crop_px
        Edge of what is cut from their middle, pixels.
    """
    opened = open_cohort(cohort)
    found = []
    labelled = [sample for sample in opened.ids if opened.references_of(sample)]
    for sample in map(opened.read, labelled[:images]):
        masks = dict(sample.masks)
        if cohort_record(cohort).synthetic:
            masks[TRUTH] = opened.read_mask(sample.id, TRUTH)
        whole = Sample(sample.id, sample.image, sample.panel, sample.um_per_px, masks)
        found.append(crop(whole, crop_px))
    return found


def cohort_spillover(cohort: str) -> np.ndarray | None:
    """Return the spillover of the instrument that a cohort was imaged with, where it is known.

    Parameters
    ----------
    cohort
        Key in the manifest.

    Returns
    -------
    numpy.ndarray or None
        (C, C) float64: what ``data/COHORT/spillover.csv`` says (`read_spillover`), else of a
        phantom the matrix that it was made with. None for a real cohort without a table.
    """
    opened = open_cohort(cohort)
    path = opened.folder / "spillover.csv"
    if path.is_file():
        return read_spillover(path, opened.panel)
    made = cohort_record(cohort).phantom
    if made is None:
        return None
    return spillover_matrix(opened.panel, find_recipe(made.recipe).imaging)


def find_sweep(edition: str, name: str) -> tuple[pd.DataFrame, str]:
    """Return the table of a sweep or, where there is none, the reason in words.

    Parameters
    ----------
    edition, name
        Name of the edition, and of a file in ``sweeps/``.

    Returns
    -------
    table : pandas.DataFrame
        What `read_sweep` returns; empty where there is nothing to show.
    reason : str
        Why it is empty, as a sentence for the page; empty otherwise.
    """
    command = f"`make sweep NAME={name} EDITION={edition}`"
    if not annotated_cohort(edition):
        return pd.DataFrame(), "No cohort of this edition has masks, so there is nothing to score."
    try:
        table = read_sweep(edition, name)
    except InputError:
        return pd.DataFrame(), (
            f"This edition was made without this sweep. {command} runs it, where "
            f"`sweeps/{name}.yml` has points for the edition."
        )
    if table.empty:
        return table, f"No point of this sweep has a result. {command} says why."
    return table, ""


def score(sample: Sample, labels: np.ndarray) -> dict[str, Any]:
    """Score labels against a sample's annotators, and against its truth.

    Parameters
    ----------
    sample
        Its masks are the annotators', and `TRUTH` where that is known.
    labels
        (H, W) label image.

    Returns
    -------
    dict
        ``sample``, ``n_pred``, the mean of each metric over the annotators (IoU >= t), and with
        ``truth_`` before their names those against the truth, missing where there is none.
    """
    found = [evaluate(mask, labels) for name, mask in sample.masks.items() if name != TRUTH]
    means = {name: float(np.mean([getattr(one, name) for one in found])) for name in METRICS}
    against_truth = dict.fromkeys((f"truth_{name}" for name in METRICS), np.nan)
    if TRUTH in sample.masks:
        scores = evaluate(sample.masks[TRUTH], labels)
        against_truth = {f"truth_{name}": float(getattr(scores, name)) for name in METRICS}
    return {"sample": sample.id, "n_pred": count_cells(labels), **means, **against_truth}


def count_found(sample: Sample, labels: np.ndarray) -> dict[str, int]:
    """Count the annotators' cells by size and by place, and those of them that were found.

    A cell is found when a label matches it at IoU >= .5. The counts are sums over annotators.

    Parameters
    ----------
    sample, labels
        As for `score`.

    Returns
    -------
    dict
        ``cells_X`` and ``found_X`` for each X of `SIZES` and `PLACES`.
    """
    counts = {f"{what}_{c}": 0 for c in (*SIZES, *PLACES) for what in ("cells", "found")}
    for name, mask in sample.masks.items():
        if name == TRUTH:
            continue
        table = contingency_table(mask, labels)
        found = np.isin(table.true_ids, matched_pairs(table, 0.5).true_ids)
        gap = _gap_to_edge(mask, table.true_ids)
        # Ranks, so that each third holds as many cells however many share an area.
        rank = np.argsort(np.argsort(table.true_areas, kind="stable"), kind="stable")
        third = rank * len(SIZES) // max(1, len(rank))
        classes = {size: third == k for k, size in enumerate(SIZES)}
        classes |= {"cut": gap == 0, "near": (gap > 0) & (gap < NEAR_PX), "inside": gap >= NEAR_PX}
        for key, chosen in classes.items():
            counts[f"cells_{key}"] += int(chosen.sum())
            counts[f"found_{key}"] += int((chosen & found).sum())
    return counts


def _gap_to_edge(mask: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the least distance of each cell to the image's edge, pixels; 0 touches it."""
    height, width = mask.shape
    rows, columns = np.ogrid[:height, :width]
    distance = np.minimum(
        np.minimum(rows, height - 1 - rows), np.minimum(columns, width - 1 - columns)
    )
    return np.asarray(ndi.minimum(distance, mask, ids), dtype=int)


def in_windows(sample: Sample, window_px: int) -> list[Sample]:
    """Cut a sample into windows that cover it whole (`imc_helpers.patching.cover`).

    Parameters
    ----------
    sample
        Image and masks are cut alike.
    window_px
        Edge of a window, pixels; `WHOLE` leaves the sample in one piece.
    """
    if window_px == WHOLE:
        return [sample]
    return [part(sample, *window.slices) for window in cover(sample.shape, size=window_px)]


def pool(windows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make one row of a sample's windows: counts are summed, scores averaged.

    Parameters
    ----------
    windows
        What `score` and `count_found` return, one mapping per window of one sample.
    """
    frame = pd.DataFrame(windows)
    sample = frame.pop("sample").iloc[0]
    counts = [name for name in map(str, frame) if name.startswith(("n_", "cells_", "found_"))]
    pooled = {name: int(frame[name].sum()) for name in counts}
    return {"sample": sample, **pooled, **frame.drop(columns=counts).mean()}


def by_choice(
    table: pd.DataFrame, choice: str, baseline: str | None = None, metric: str = "ap50"
) -> pd.DataFrame:
    """Average a score over images for every model and choice, with intervals.

    Parameters
    ----------
    table
        Rows of a sweep: ``model``, ``sample``, a column of choices and one of scores.
    choice
        Name of the column of choices.
    baseline
        The choice from which differences are told, image by image; None for the scores themselves.
    metric
        Name of the column of scores.

    Returns
    -------
    pandas.DataFrame
        ``model``, the column ``choice``, ``mean``, ``low``, ``high``, ``images``; 95% intervals
        from a bootstrap over images (`intervals.interval`). With a baseline, the baseline's own
        row is left out, and so is a model without it.
    """
    columns = ["model", choice, "mean", "low", "high", "images"]
    parts = [pd.DataFrame(columns=columns)]
    for model, rows in table.groupby("model", sort=False):
        wide = rows.pivot_table(index="sample", columns=choice, values=metric, sort=False)
        wide.columns = wide.columns.astype(object)
        if baseline is not None and (baseline not in wide or len(wide.columns) == 1):
            continue
        result = (
            mean_intervals(wide, wide.index)
            if baseline is None
            else paired_differences(wide, wide.index, baseline)
        )
        parts.append(result.rename_axis(choice).reset_index().assign(model=model))
    return pd.concat(parts[1:] or parts, ignore_index=True)[columns]


def found_shares(table: pd.DataFrame, by: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """Return the share of cells found, for each class of cells, with intervals.

    Parameters
    ----------
    table
        Rows of a sweep with the counts of `count_found`.
    by
        Columns whose combinations are told apart.
    classes
        Some of `SIZES` or `PLACES`.

    Returns
    -------
    pandas.DataFrame
        The columns of ``by``, ``class``, ``mean`` (found cells over cells, summed over images),
        ``low``, ``high`` and ``cells``; 95% intervals from a bootstrap over images.
    """
    parts = []
    for values, rows in table.groupby(list(by), sort=False):
        found = rows[[f"found_{c}" for c in classes]]
        cells = rows[[f"cells_{c}" for c in classes]].set_axis(found.columns, axis=1)
        share, draws = bootstrap_ratios(found, cells, rows["sample"])
        low, high = interval(share, draws, np.full(len(classes), rows["sample"].nunique()))
        frame = pd.DataFrame({"class": classes, "mean": share, "low": low, "high": high})
        frame["cells"] = cells.sum().to_numpy()
        keys = pd.DataFrame([values] * len(frame), columns=list(by))
        parts.append(pd.concat([keys, frame], axis=1))
    return pd.concat(parts, ignore_index=True)


def standardised_share(shares: pd.DataFrame, counts: pd.DataFrame) -> float:
    """Return the share found if cells of each class were as frequent as elsewhere.

    Parameters
    ----------
    shares, counts
        Rows of `found_shares` with one row per class: whose ``mean`` is taken, and whose ``cells``.
    """
    weights = counts.set_index("class")["cells"]
    return float((shares.set_index("class")["mean"] * weights).sum() / weights.sum())


def way_names(table: pd.DataFrame) -> pd.Series:
    """Name each row's aggregation, and that of the nuclear channels where it is another.

    A sweep that never sets the latter has no column for it.
    """
    nuclei = table.get("nucleus", pd.Series("", index=table.index)).fillna("")
    names = table["aggregation"].where(nuclei == "", table["aggregation"] + ", nuclei by " + nuclei)
    return names.rename(None)


def step_names(table: pd.DataFrame) -> pd.Series:
    """Name each row's pre-processing: steps on channels, then steps on planes."""

    def name(before: str, after: str) -> str:
        parts = [before] if before != NONE else []
        parts += [f"{after} (planes)"] if after != NONE else []
        return ", ".join(parts) or NONE

    names = [name(*pair) for pair in zip(table["before"], table["after"], strict=True)]
    return pd.Series(names, index=table.index)


def input_names(table: pd.DataFrame) -> pd.Series:
    """Name each row's enlargement, and whether the model was told of it."""

    def name(factor: int, interpolation: str, declared: bool) -> str:
        told = "told" if declared else "not told"
        return AS_IT_IS if factor == 1 else f"{factor} x {interpolation}, {told}"

    columns = zip(table["factor"], table["interpolation"], table["declared"], strict=True)
    return pd.Series([name(*row) for row in columns], index=table.index)


def in_words(row: Mapping[Any, Any] | pd.Series, digits: int = 3) -> str:
    """Write a difference with its interval: ``"+0.012 (-0.003 to +0.027)"``.

    One image gives no interval.
    """
    mean, low, high = (_signed(row[of], digits) for of in ("mean", "low", "high"))
    return (
        f"{mean} (one image: no interval)" if np.isnan(row["low"]) else f"{mean} ({low} to {high})"
    )


def _signed(value: float, digits: int) -> str:
    """Write a difference; one that rounds to zero is not negative."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"  # -0.0 + 0.0 is 0.0


def verdict(tables: Iterable[pd.DataFrame], choice: str, baseline: str) -> str:
    """Say whether any choice beats a baseline, and how many; the best is named only if one does.

    Parameters
    ----------
    tables
        What `by_choice` returns with a baseline, for one question or several.
    choice
        Name of the column of choices.
    baseline
        What they are compared with, in words.
    """
    compared = [table for table in tables if len(table)]
    if not compared:
        return f"Nothing was compared with {baseline}."
    differences = pd.concat(compared, ignore_index=True)
    if differences["low"].isna().all():
        return f"One image gives no interval, so nobody can say whether a choice beats {baseline}."
    better = differences[differ(differences) & (differences["mean"] > 0)]
    worse = differences[differ(differences) & (differences["mean"] < 0)]
    lead = {
        (True, True): "Some choices help and others do harm",
        (True, False): "Some choices help",
        (False, True): "No choice surely helps, and some do harm",
        (False, False): "No choice surely makes a difference",
    }[len(better) > 0, len(worse) > 0]
    sentence = (
        f"{lead}: of {len(differences)} comparisons with {baseline}, {_are(len(better))} surely "
        f"better and {_are(len(worse))} surely worse (95% intervals, each by itself: "
        "chance alone makes about one in twenty look different)."
    )
    if better.empty:
        return sentence
    best = better.sort_values("mean", kind="stable").iloc[-1]
    by = f"by *{best[choice]}* with {best['model']}"
    return f"{sentence} The largest gain is {in_words(best)}, {by}."


def _are(number: int) -> str:
    return {0: "none is", 1: "1 is"}.get(number, f"{number} are")


def beside(
    ours: pd.DataFrame, theirs: pd.DataFrame, choice: str, names: tuple[str, str]
) -> pd.DataFrame:
    """Put the differences on two cohorts side by side, for models and choices that both have.

    Parameters
    ----------
    ours, theirs
        What `by_choice` returns with a baseline, on one cohort each.
    choice
        Name of the column of choices.
    names
        What to call the two.

    Returns
    -------
    pandas.DataFrame
        ``model``, the column ``choice``, the differences in words under the two names, and
        ``together``: whether both intervals exclude 0, on the same side (`SAME`) or on opposite
        ones (`OPPOSITE`), or else which of them include it.
    """
    keys = ["model", choice]
    both = ours.merge(theirs, on=keys, suffixes=("", "_theirs"))
    second = both[[f"{name}_theirs" for name in ("mean", "low", "high")]]
    second = second.rename(columns=lambda name: name.removesuffix("_theirs"))
    sure = differ(both).astype(int) + differ(second).astype(int)
    same = np.sign(both["mean"]) == np.sign(second["mean"])
    together = np.select(
        [(sure == 2) & same, sure == 2, sure == 1],
        [SAME, OPPOSITE, "one includes 0"],
        "both include 0",
    )
    words = [rows.apply(in_words, axis=1, result_type="reduce") for rows in (both, second)]
    return both[keys].assign(**dict(zip(names, words, strict=True)), together=together)


def differ(differences: pd.DataFrame) -> pd.Series:
    """Tell for each row whether its interval leaves out 0."""
    return (differences["low"] > 0) | (differences["high"] < 0)
