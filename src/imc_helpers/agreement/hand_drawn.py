"""Whether annotators differ where they draw, or where software extends what they drew.

The study's experts drew crops by hand; ilastik and CellProfiler extended these to whole images
(Schuiki et al. 2025, section 3.1.2). Its Figure 3 compares what was drawn, its Table 3 what was
extended. Where a cohort has both of the same places, the two can be told apart.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from imc_helpers.agreement.intervals import mean_intervals, paired_differences
from imc_helpers.agreement.score_table import METRICS
from imc_helpers.data.samples import Cohort
from imc_helpers.metrics import evaluate

DRAWN = "drawn by two people"
EXTENDED = "extended from two people's drawings"
OWN = "drawn and extended, one person"
COMPARISONS = (DRAWN, EXTENDED, OWN)
_COLUMNS = ["sample", "y", "x", "first", "second", "comparison", "n_true", "n_pred", *METRICS]


def crop_scores(cohort: Cohort, *, strict: bool = False) -> pd.DataFrame:
    """Score drawings and masks of the same crops against one another.

    Parameters
    ----------
    cohort
        One whose annotators drew crops by hand; the table is empty for others.
    strict
        A pair of cells matches when IoU > t; when False, when IoU >= t.

    Returns
    -------
    pandas.DataFrame
        One row per crop and pair: ``sample``, ``y``, ``x``, ``first``, ``second``, ``comparison``
        (one of `COMPARISONS`), ``n_true``, ``n_pred`` and the metrics. A crop of either has the
        cells at its edge cut, in drawings and masks alike.
    """
    rows = []
    for sample, crops in cohort.crops.items():
        names = cohort.drawn_by(sample)
        drawn = {name: cohort.read_drawn(sample, name) for name in names}
        extended = {name: cohort.read_mask(sample, name) for name in names}
        pairs = [(DRAWN, drawn[a], drawn[b], a, b) for a, b in combinations(names, 2)]
        pairs += [(EXTENDED, extended[a], extended[b], a, b) for a, b in combinations(names, 2)]
        pairs += [(OWN, drawn[name], extended[name], name, name) for name in names]
        for crop in crops:
            for comparison, one, other, first, second in pairs:
                scores = evaluate(one[crop.slices], other[crop.slices], strict=strict)
                found = {name: getattr(scores, name) for name in ("n_true", "n_pred", *METRICS)}
                about = {"sample": sample, "y": crop.y, "x": crop.x, "comparison": comparison}
                rows.append(about | {"first": first, "second": second} | found)
    return pd.DataFrame(rows, columns=_COLUMNS)


def crop_means(scores: pd.DataFrame, metric: str = "ap50") -> pd.DataFrame:
    """Average over pairs, then over crops, with intervals over images.

    Parameters
    ----------
    scores
        What `crop_scores` returns.
    metric
        The score.

    Returns
    -------
    pandas.DataFrame
        Index `COMPARISONS`, as far as there are any: ``mean``, ``low``, ``high``, ``images``.
    """
    wide, images = _wide(scores, metric)
    return mean_intervals(wide, images)


def what_extending_adds(scores: pd.DataFrame, metric: str = "ap50") -> pd.Series:
    """Give the agreement of extended masks less that of drawings, crop by crop.

    Parameters
    ----------
    scores
        What `crop_scores` returns, of two annotators or more.
    metric
        The score.

    Returns
    -------
    pandas.Series
        ``mean``, ``low``, ``high``, ``images``; below 0 where software adds disagreement, above 0
        where it takes some away.
    """
    wide, images = _wide(scores, metric)
    return paired_differences(wide[[DRAWN, EXTENDED]], images, DRAWN).iloc[0]


def _wide(scores: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Turn scores into one row per crop and one column per comparison, with the crops' images."""
    wide = scores.pivot_table(index=["sample", "y", "x"], columns="comparison", values=metric)
    wide = wide[[name for name in COMPARISONS if name in wide]]
    return wide, wide.index.get_level_values("sample").to_numpy()
