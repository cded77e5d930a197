"""What predicts a model's score in a crop without a label, and what each such prediction buys."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from imc_helpers.data.predictions import read_prediction
from imc_helpers.data.samples import Cohort
from imc_helpers.decisions.crops import CROP_PX
from imc_helpers.downstream.cell_quality import cell_quality, image_foreground, quality_score
from imc_helpers.experiments.label_trials import TRIALS, WITH, label_trials
from imc_helpers.experiments.without_truth import nuclei_of
from imc_helpers.patching import windows


def mask_quality(
    image: np.ndarray,
    labels: np.ndarray,
    nuclei: np.ndarray,
    um_per_px: float,
    *,
    crop_px: int = CROP_PX,
) -> pd.Series:
    """Score a mask crop by crop by what its cells look like: Chen and Murphy's overall score.

    Parameters
    ----------
    image
        (C, H, W) counts.
    labels, nuclei
        (H, W).
    um_per_px
        Edge of a pixel, µm.
    crop_px
        Edge of a crop, pixels; crops lie as in `imc_helpers.decisions.crops.mask_crops`.

    Returns
    -------
    pandas.Series
        By ``crop``; missing where a metric is, as in a crop of ten cells or fewer.
    """
    tissue = image_foreground(image)
    height, width = labels.shape
    found = []
    for window in windows((height, width), size=crop_px, stride=crop_px):
        here = window.slices
        metrics = cell_quality(
            image[:, *here], labels[here], nuclei[here], um_per_px, foreground=tissue[here]
        )
        found.append(quality_score(metrics))
    return pd.Series(found, pd.RangeIndex(len(found), name="crop"), float, "quality")


def crop_quality(
    cohort: Cohort, model: str, samples: Iterable[str], *, crop_px: int = CROP_PX
) -> pd.Series:
    """Score a model's masks of some images crop by crop, as `mask_quality` does.

    Nuclei are found in the nuclear channels, in the same way whatever the model.

    Returns
    -------
    pandas.Series
        By ``sample`` and ``crop``.
    """
    parts = {}
    for sample in samples:
        image = cohort.read_image(sample)
        labels = read_prediction(cohort.name, model, "whole", sample)
        nuclei, um_per_px = nuclei_of(cohort, sample, image), cohort.um_per_px(sample)
        parts[sample] = mask_quality(image, labels, nuclei, um_per_px, crop_px=crop_px)
    return pd.concat(parts, names=["sample"]) if parts else pd.Series(dtype=float)


def compare_predictors(
    labels: pd.Series,
    predictors: Mapping[str, pd.Series],
    n: int,
    *,
    trials: int = TRIALS,
    seed: int = 0,
) -> pd.DataFrame:
    """Say what each predictor buys with so many labels, on the same crops.

    Parameters
    ----------
    labels
        One for each crop.
    predictors
        By name, a value for each of these crops. Where one has none it says nothing of a crop, so
        that its mean over the others stands there.
    n
        How many crops are labelled; at most half of them.
    trials, seed
        As in `imc_helpers.experiments.label_trials.label_trials`.

    Returns
    -------
    pandas.DataFrame
        One row per predictor: ``predictor``, ``crops`` that it has a value for, ``r``, its
        correlation with the labels over all crops (missing where one of the two does not vary),
        and with n labels ``relative``, the width of the interval, labels alone = 1, and
        ``coverage``. A predictor without any value has neither.
    """
    rows = []
    for name, values in predictors.items():
        known = values.reindex(labels.index)
        row: dict[str, object] = {"predictor": name, "crops": int(known.notna().sum())}
        if row["crops"]:
            filled = known.fillna(known.mean())
            varied = labels.std() > 0 and filled.std() > 0
            row["r"] = float(np.corrcoef(labels, filled)[0, 1]) if varied else np.nan
            tried = label_trials(labels, filled, (n,), trials=trials, seed=seed)
            (best,) = tried[tried["way"] == WITH].itertuples()
            row |= {"relative": best.relative, "coverage": best.coverage}
        rows.append(row)
    columns = ["predictor", "crops", "r", "relative", "coverage"]
    return pd.DataFrame(rows, columns=columns)
