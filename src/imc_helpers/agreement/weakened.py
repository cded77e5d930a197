"""People who lost some of their cells: the unit in which a difference of scores is judged.

A difference of .05 is much in one score and little in another, and much among people who agree.
What a person loses with a twentieth of her cells is the same loss in every score, on these images
and before these judges.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from imc_helpers.agreement.score_table import METRICS, score_candidates
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError
from imc_helpers.images.imperfect_masks import drop_cells
from imc_helpers.patching import MODES

LOSS = 0.05
"""Share of a person's cells whose loss is taken not to matter, unless a page says otherwise."""
SEEDS = 5
"""How often cells are drawn; the mean over draws is the weakened person's score."""


def weakened_scores(
    cohort: Cohort,
    *,
    loss: float = LOSS,
    references: Sequence[str] | None = None,
    samples: Iterable[str] | None = None,
    modes: Sequence[str] = MODES,
    strict: bool = False,
) -> pd.DataFrame:
    """Score each annotator, some of whose cells are lost, against others.

    Parameters
    ----------
    cohort
        Samples with masks; not every annotator need have drawn every sample.
    loss
        Share of the cells that is lost, above 0 and below 1.
    references
        Against whom; the cohort's references when not given. Nobody is scored against herself.
    samples, modes, strict
        As in `score_table.score_cohort`.

    Returns
    -------
    pandas.DataFrame
        One row per sample, mode, patch, reference (``rater_true``) and annotator (``rater_pred``):
        the mean of each metric over `SEEDS` draws of the cells.

    Raises
    ------
    InputError
        If the loss is not a share between 0 and 1.
    """
    if not 0 < loss < 1:
        raise InputError(f"loss: expected a share of cells between 0 and 1, found {loss}")
    drawn = {a: set(cohort.labelled_by(a)) for a in cohort.annotators}
    chosen = cohort.ids if samples is None else tuple(samples)

    def weak(annotator: str, seed: int, sample: str) -> np.ndarray:
        if sample not in drawn[annotator]:
            return np.zeros(cohort.shape(sample), np.uint32)
        return drop_cells(cohort.read_mask(sample, annotator), loss, seed)

    keys = ["cohort", "mode", "sample", "patch", "rater_true", "rater_pred"]
    scored = pd.concat(
        score_candidates(
            cohort,
            {a: partial(weak, a, seed) for a in cohort.annotators},
            references=references,
            samples=chosen,
            modes=modes,
            strict=strict,
        )
        for seed in range(SEEDS)
    )
    means = scored.groupby(keys, sort=False, dropna=False)[list(METRICS)].mean().reset_index()
    who = zip(means["rater_pred"], means["sample"], strict=True)
    return means[[sample in drawn[name] for name, sample in who]].reset_index(drop=True)
