"""How well a student's masks agree with its teacher's, and how well with the truth.

Xiao et al. 2021 score a network with masks that their pixel classifier, the network's teacher, had
made. Here every mask is scored by their rules with both: the teacher and, where there is one, the
truth (else a person or a tool that the teacher does not know).
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imc_helpers.agreement.intervals import grouped_intervals, paired_differences
from imc_helpers.cells.expression import mean_intensities
from imc_helpers.data.manifest import cohort_record, model_record
from imc_helpers.data.predictions import find_models
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.downstream.mask_sets import mask_sets
from imc_helpers.downstream.profiles import cells_at_points, matched_cells, measure_masks
from imc_helpers.images.merging import TOP
from imc_helpers.metrics import ContingencyTable, contingency_table, matched_pairs
from imc_helpers.metrics.error_types import LINKING_IOU
from imc_helpers.metrics.foreground import pixel_scores
from imc_helpers.metrics.matching import reaches
from imc_helpers.models.dice_xmbd import merged_planes
from imc_helpers.patching import Window

MERGED, SPLIT, NEITHER = -0.4, -0.8, -1.0
"""Match values of predicted cells that no IoU is given to (Figure 2E)."""
STRICT_IOU = 0.5
"""IoU at which cells match in the rest of this book."""
HIGH_IOU = 0.8
"""IoU of a cell outlined well (section 3.2, Supplementary Figure S3)."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
POINTS = 2000
"""Points per image at which masks are asked what is there."""


def references_of(cohort: Cohort, teacher: str) -> tuple[str, ...]:
    """Return with whom masks of a cohort are compared: the teacher, if it ran, and the truth.

    Where nobody knows the truth, the first annotator or tool stands in its place.
    """
    known = tuple(rater.name for rater in cohort.raters if rater.name == TRUTH)
    return (*find_models(cohort.name, [teacher], "whole"), *(known or cohort.references[:1]))


def match_values(table: ContingencyTable) -> NDArray[np.float64]:
    """Say what became of every predicted cell, as Dice-XMBD colours it (section 2.5, Figure 2E).

    Cells of IoU >= .1 are linked.

    Parameters
    ----------
    table
        Of the reference and the mask.

    Returns
    -------
    numpy.ndarray
        (n_pred,) the IoU where one cell is linked to one and that to no other; `MERGED` where a
        predicted cell is linked to several; `SPLIT` where it shares its only one with others;
        `NEITHER` without a link.
    """
    linked = reaches(table, LINKING_IOU)
    i, j = table.i[linked], table.j[linked]
    of_true = np.bincount(i, minlength=table.n_true)
    of_pred = np.bincount(j, minlength=table.n_pred)
    values = np.full(table.n_pred, NEITHER)
    values[j] = np.where(of_true[i] > 1, SPLIT, table.iou[linked])
    values[of_pred > 1] = MERGED
    return values


def map_of_values(true: np.ndarray, pred: np.ndarray) -> NDArray[np.float64]:
    """Paint every predicted cell with its match value, (H, W); missing where there is no cell."""
    table = contingency_table(true, pred)
    painted = np.full(int(pred.max(initial=0)) + 1, np.nan)
    painted[table.pred_ids] = match_values(table)
    return painted[pred]


def scores_of(table: ContingencyTable) -> dict[str, float]:
    """Score one mask with one reference by the rules of Dice-XMBD, and at IoU >= .5.

    Parameters
    ----------
    table
        With borders.

    Returns
    -------
    dict
        ``cells_true``, ``cells_pred``; of pixels at borders of cells ``pixel_precision``,
        ``pixel_recall``, ``pixel_f1``, ``pixel_jaccard``; of cells ``precision``, ``recall``,
        ``f1``, ``jaccard``, ``oversplit`` and ``merged`` (shares of the predicted cells) and
        ``iou`` (mean over matched cells) by the published rule; the first four with ``_50``, one to
        one at IoU >= .5, where the Jaccard index is ap50. Missing where nothing could be right.

    Notes
    -----
    The study does not say whether split and merged cells count as false: here a predicted cell is
    either matched or a false positive, and a true cell matched or a false negative.
    """
    if table.borders is None:
        raise ValueError("table: it has no borders; ask `contingency_table` for them")
    values = match_values(table)
    matched = values > 0
    borders = table.borders
    return {
        "cells_true": table.n_true,
        "cells_pred": table.n_pred,
        **_ratios("pixel_{}", borders.both, borders.true, borders.pred),
        **_ratios("{}", int(matched.sum()), table.n_true, table.n_pred),
        "oversplit": float((values == SPLIT).mean()) if len(values) else np.nan,
        "merged": float((values == MERGED).mean()) if len(values) else np.nan,
        "iou": float(values[matched].mean()) if matched.any() else np.nan,
        **_ratios("{}_50", len(matched_pairs(table, STRICT_IOU).iou), table.n_true, table.n_pred),
    }


def _ratios(name: str, both: int, true: int, pred: int) -> dict[str, float]:
    """Return precision, recall, F1 and Jaccard index of counts."""
    scores = pixel_scores({"tp": both, "fp": pred - both, "fn": true - both, "tn": 0})
    names = {"precision": "precision", "recall": "recall", "dice": "f1", "jaccard": "jaccard"}
    return {name.format(named): scores[one] for one, named in names.items()}


def pairs_of(
    cohort: Cohort, models: Sequence[str], teacher: str, samples: Sequence[str]
) -> Iterator[tuple[str, str, str, np.ndarray, np.ndarray]]:
    """Go through the masks of models with each reference.

    Yields
    ------
    tuple
        Sample, model, reference, (H, W) labels of the reference, and of the model.
    """
    references = references_of(cohort, teacher)
    sets = mask_sets(cohort, dict.fromkeys([*models, teacher]), samples=samples)
    for sample in samples:
        masks = {name: own[sample] for name, own in sets.items() if sample in own}
        for model in (name for name in models if name in masks):
            for reference in (name for name in references if name in masks and name != model):
                yield sample, model, reference, masks[reference], masks[model]


def score_models(
    cohort: Cohort, models: Sequence[str], teacher: str, samples: Sequence[str]
) -> pd.DataFrame:
    """Score models with the teacher and with the truth.

    Parameters
    ----------
    cohort
        Images with masks.
    models
        Keys of models; those that did not run on a sample have no row.
    teacher
        Key of the model that taught.
    samples
        Which images.

    Returns
    -------
    pandas.DataFrame
        One row per image, model and reference: ``cohort``, ``sample``, ``model``, ``reference``
        (a key), and what `scores_of` returns.
    """
    return pd.DataFrame(
        {
            "cohort": cohort.name,
            "sample": sample,
            "model": model,
            "reference": reference,
            **scores_of(contingency_table(true, pred, borders=True)),
        }
        for sample, model, reference, true, pred in pairs_of(cohort, models, teacher, samples)
    )


def matched_ious(
    cohort: Cohort, models: Sequence[str], teacher: str, samples: Sequence[str]
) -> pd.DataFrame:
    """Say how the IoU of matched cells is distributed, images pooled.

    Returns
    -------
    pandas.DataFrame
        One row per model and reference: ``model``, ``reference``, ``cells``, ``mean``, `QUANTILES`
        as ``q5`` to ``q95``, and ``high``, the share of the cells with an IoU of `HIGH_IOU` or
        more. Without a row where no cell matched.
    """
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for _, model, reference, true, pred in pairs_of(cohort, models, teacher, samples):
        values = match_values(contingency_table(true, pred))
        found.setdefault((model, reference), []).append(values[values > 0])
    rows = []
    for (model, reference), parts in found.items():
        values = np.concatenate(parts)
        if len(values):
            high = float((values >= HIGH_IOU).mean())
            rows.append({"model": model, "reference": reference, **_spread(values), "high": high})
    return pd.DataFrame(rows)


def _spread(values: np.ndarray) -> dict[str, float]:
    ends = {
        f"q{q * 100:.0f}": x for q, x in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)
    }
    return {"cells": len(values), "mean": float(values.mean()), **ends}


def augmented(
    sample: Sample, cells: np.ndarray, side_px: int, *, seed: int = 0, number: int = 6
) -> dict[str, np.ndarray]:
    """Return a patch as a student in training sees it after each change (Figures S1 and S2).

    Parameters
    ----------
    sample
        Where the patch is from: its middle.
    cells
        (H, W) the teacher's mask; it is moved as the maps are that a student learns.
    side_px
        Edge P of the patch, pixels; less where the image is smaller.
    seed, number
        Of the training, and of the patch in it; each epoch gives a patch another number.

    Returns
    -------
    dict
        By title: (2, P, P) planes of nuclei and cells, 0 to 1, as they are and after each change;
        then the cells, (P, P), as they are and as they are learned.
    """
    from imc_helpers.models.training.augmentation import Varied  # noqa: PLC0415  # needs MONAI

    height, width = cells.shape
    side = min(side_px, height, width)
    field = Window((height - side) // 2, (width - side) // 2, side).slices
    planes, target = merged_planes(sample)[:, *field] / TOP, (cells[field] > 0)[None]
    patch = {
        "image": planes.astype(np.float32),
        "target": target.astype(np.float32),
        "known": np.ones(target.shape, np.float32),
    }
    seen = Varied(seed).after_each(patch, number)
    last = next(reversed(seen.values()))
    return {
        "As it is": patch["image"],
        **{kind.capitalize(): np.asarray(found["image"]) for kind, found in seen.items()},
        "Cells": patch["target"][0],
        "Cells, moved alike": np.asarray(last["target"])[0],
    }


def brightest_markers(cohort: Cohort, sample: str, count: int) -> tuple[str, ...]:
    """Return the channels of membrane with most counts in an image, in the panel's order."""
    means = cohort.read_image(sample).mean(axis=(1, 2))
    outside = sorted(cohort.panel.compartment("membrane"), key=lambda i: -means[i])[:count]
    return tuple(cohort.panel.names[i] for i in sorted(outside))


def marker_spread(
    cohort: Cohort, masks: Mapping[str, np.ndarray], sample: str, markers: Sequence[str]
) -> pd.DataFrame:
    """Say how markers are distributed over the cells of several masks of an image (Figure 4A).

    Returns
    -------
    pandas.DataFrame
        One row per marker and mask: ``marker``, ``model``, and of the inverse hyperbolic sine of
        mean counts what `matched_ious` gives of IoUs.
    """
    planes = cohort.read_image(sample)[[cohort.panel.index(marker) for marker in markers]]
    rows = []
    for name, mask in masks.items():
        _, means = mean_intensities(planes, mask)
        rows += [
            {"marker": marker, "model": name, **_spread(np.arcsinh(values))}
            for marker, values in zip(markers, means.T, strict=True)
            if len(values)
        ]
    return pd.DataFrame(rows)


def profile_correlations(
    cohort: Cohort, models: Sequence[str], teacher: str, samples: Sequence[str], *, seed: int = 0
) -> pd.DataFrame:
    """Correlate what cells express under two masks (Figures 4B and 4C).

    Returns
    -------
    pandas.DataFrame
        One row per image, model and reference: ``cohort``, ``sample``, ``model``, ``reference``;
        ``matched``, Pearson's r of a marker over cells matched at IoU >= .5, mean over markers;
        ``points``, the same over points drawn at random where either mask has a cell, with 0 for
        none; ``cells``, how many matched. Missing where fewer than three can be compared.
    """
    rows = []
    images: dict[str, np.ndarray] = {}
    for sample, model, reference, true, pred in pairs_of(cohort, models, teacher, samples):
        if sample not in images:
            images = {sample: cohort.read_image(sample)}
        measured = measure_masks(
            images[sample], [true, pred], cohort.panel.names, source=f"{cohort.name} {sample}"
        )
        cells = matched_cells([true, pred], iou=STRICT_IOU)
        at = cells_at_points([true, pred], points=POINTS, seed=seed)
        rows.append(
            {
                "cohort": cohort.name,
                "sample": sample,
                "model": model,
                "reference": reference,
                "matched": _mean_r(measured.at(cells)),
                "points": _mean_r(np.nan_to_num(measured.at(at[at.any(axis=1)]))),
                "cells": len(cells),
            }
        )
    return pd.DataFrame(rows)


def _mean_r(values: np.ndarray) -> float:
    """Return Pearson's r of two masks, (N, 2, C), averaged over the channels that vary."""
    if len(values) < 3:
        return np.nan
    centred = values - values.mean(axis=0)
    products = (centred[:, 0] * centred[:, 1]).sum(axis=0)
    size = np.sqrt((centred**2).sum(axis=0).prod(axis=0))
    varies = size > 0
    return float((products[varies] / size[varies]).mean()) if varies.any() else np.nan


def with_intervals(
    rows: pd.DataFrame,
    columns: Mapping[str, str],
    by: Sequence[str] = ("model", "reference"),
    *,
    least: float = 0.0,
) -> pd.DataFrame:
    """Average scores over images.

    Parameters
    ----------
    rows
        What `score_models` or `profile_correlations` returns.
    columns
        Columns of scores, and their names for readers.
    by
        Columns that tell averages apart.
    least
        What no score can be below; none can be above 1.

    Returns
    -------
    pandas.DataFrame
        One row per score and group: ``score``, the columns of ``by``, ``mean``, ``low``, ``high``
        (missing with one image), ``images``. A share does not leave 0 to 1, nor a correlation -1
        to 1, however few the images.
    """
    found = grouped_intervals(rows, by, columns)
    return found.assign(low=found["low"].clip(lower=least), high=found["high"].clip(upper=1))


def student_less_teacher(
    rows: pd.DataFrame, student: str, teacher: str, column: str
) -> Mapping[str, float]:
    """Compare two models by one reference, image by image.

    Parameters
    ----------
    rows
        What `score_models` returns, with one reference that is neither.
    student, teacher
        Keys of models.
    column
        Score.

    Returns
    -------
    dict
        ``mean`` of the student's less the teacher's, ``low``, ``high``, ``images``.
    """
    table = rows.pivot(index="sample", columns="model", values=column)[[teacher, student]]
    return dict(paired_differences(table, table.index, teacher).iloc[0])


def count_agreement(rows: pd.DataFrame) -> pd.DataFrame:
    """Correlate numbers of cells over images, and say by how much they are off.

    Returns
    -------
    pandas.DataFrame
        One row per model and reference: ``model``, ``reference``, ``r`` (Pearson; missing below
        three images), ``bias`` (cells of all images over those of the reference, less 1),
        ``images``.
    """
    found = []
    for (model, reference), part in rows.groupby(["model", "reference"], sort=False):
        true, pred = part["cells_true"], part["cells_pred"]
        known = len(part) > 2 and min(true.std(), pred.std()) > 0
        found.append(
            {
                "model": model,
                "reference": reference,
                "r": true.corr(pred) if known else np.nan,
                "bias": pred.sum() / true.sum() - 1 if true.sum() else np.nan,
                "images": len(part),
            }
        )
    return pd.DataFrame(found)


def f1_in_two_ways(rows: pd.DataFrame) -> dict[str, float]:
    """Return F1 averaged over images, and F1 of the averages of precision and recall.

    The harmonic mean is concave: the first is never above the second.

    Parameters
    ----------
    rows
        What `score_models` returns of one model and reference.

    Returns
    -------
    dict
        ``mean of F1``, ``F1 of means``, and ``pooled``, of all cells of all images together.
    """
    mean = rows[["precision", "recall", "f1"]].mean()
    matched = (rows["precision"] * rows["cells_pred"]).sum()
    cells = rows["cells_true"].sum() + rows["cells_pred"].sum()
    return {
        "mean of F1": float(mean["f1"]),
        "F1 of means": float(
            2 * mean["precision"] * mean["recall"] / (mean["precision"] + mean["recall"])
        ),
        "pooled": float(2 * matched / cells),
    }


def home_first(cohorts: Sequence[str], teacher: str) -> tuple[str, ...]:
    """Return the cohorts on which the teacher ran, that of the tissue it learned from first.

    Parameters
    ----------
    cohorts
        Keys in the manifest.
    teacher
        Key of a model.
    """
    ran = [key for key in cohorts if find_models(key, [teacher], "whole")]
    if not ran:
        return ()
    training = model_record(teacher).training
    recipe = training.recipe if training else ""
    made = {key: cohort_record(key).phantom for key in ran}
    home = {key for key, phantom in made.items() if phantom and phantom.recipe == recipe}
    return tuple(sorted(ran, key=lambda key: key not in home))
