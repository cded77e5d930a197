"""Candidates of known quality, to see whether the comparison with annotators decides rightly.

On a phantom the truth is known. So one can make masks whose quality is known too (the truth, the
truth with known errors, what the annotators have in common), let the annotators judge them as if
they were models, and see whether the verdict is the one that the truth gives.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from skimage.segmentation import find_boundaries

from imc_helpers.agreement.consensus import consensus
from imc_helpers.agreement.equivalence import (
    MEAN,
    Decision,
    compare_before,
    human_equivalence,
    panels,
)
from imc_helpers.agreement.score_table import Candidate, score_candidates, score_cohort
from imc_helpers.agreement.statistics import ALPHA
from imc_helpers.agreement.summaries import against
from imc_helpers.agreement.weakened import LOSS, weakened_scores
from imc_helpers.cells.contacts import touching_pairs
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.samples import Cohort
from imc_helpers.images.imperfect_masks import drop_cells


def merge_cells(labels: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Return a copy in which a share of the cells is merged, two and two, with a neighbour.

    Parameters
    ----------
    labels
        (H, W) uint32.
    share
        Cells that enter a pair, 0 … 1 of all; fewer where no neighbour is left.
    seed
        The same seed merges the same pairs.
    """
    ids = np.unique(labels[labels > 0])
    touching, _ = touching_pairs(labels, directed=True)
    new = np.arange(int(labels.max()) + 1, dtype=np.uint32)
    taken: set[int] = set()
    for one, two in np.random.default_rng(seed).permutation(touching).tolist():
        if len(taken) + 2 > round(share * len(ids)):
            break
        if one not in taken and two not in taken:
            taken |= {one, two}
            new[two] = one
    return new[labels]


def shrink_cells(labels: np.ndarray, px: int) -> np.ndarray:
    """Return a copy whose cells have lost that many layers of border pixels.

    Parameters
    ----------
    labels
        (H, W) uint32.
    px
        Layers, 0 or more. A cell that is thinner vanishes.
    """
    shrunk = labels.copy()
    for _ in range(px):
        shrunk[find_boundaries(shrunk, mode="inner", connectivity=1)] = 0
    return shrunk


def shift_cells(labels: np.ndarray, px: int) -> np.ndarray:
    """Return a copy that lies so many pixels too far right and down, as after bad registration.

    Parameters
    ----------
    labels
        (H, W) uint32.
    px
        0 or more. What leaves the image is lost, and nothing comes in.
    """
    height, width = labels.shape
    shifted = np.zeros_like(labels)
    shifted[px:, px:] = labels[: height - px, : width - px]
    return shifted


def known_candidates(cohort: Cohort) -> dict[str, Candidate]:
    """Make candidates of known quality for a phantom cohort with several annotators.

    Parameters
    ----------
    cohort
        It holds the truth beside its annotators.

    Returns
    -------
    dict
        From a name, in plain words, to a function from a sample's id to labels: the truth; the
        truth with cells missing, merged or shrunk; a copy of each annotator; the consensus.
    """

    def truth(sample: str) -> np.ndarray:
        return cohort.read_mask(sample, TRUTH)

    def agreed(sample: str) -> np.ndarray:
        masks = [cohort.read_mask(sample, a) for a in cohort.references_of(sample)]
        return consensus(masks).labels

    def copy(annotator: str, sample: str) -> np.ndarray:
        return cohort.read_mask(sample, annotator)

    def flawed(change: Callable[..., np.ndarray], amount: float, sample: str) -> np.ndarray:
        return change(truth(sample), amount)

    made: dict[str, Candidate] = {"the truth": truth}
    for share in (0.1, 0.25, 0.5):
        made[f"truth, {share:.0%} missing"] = partial(flawed, drop_cells, share)
    for share in (0.1, 0.25, 0.5):
        made[f"truth, {share:.0%} merged"] = partial(flawed, merge_cells, share)
    made["truth, 1 px shrunk"] = partial(flawed, shrink_cells, 1)
    if len(cohort.annotators) > 1:
        made["consensus"] = agreed
    made |= {f"copy of {a}": partial(copy, a) for a in cohort.annotators}
    return made


def trial(
    cohort: Cohort,
    candidates: Mapping[str, Candidate],
    models: Sequence[str] = (),
    *,
    scores: pd.DataFrame | None = None,
    loss: float = LOSS,
    alpha: float = ALPHA,
    strict: bool = False,
) -> pd.DataFrame:
    """Let annotators judge candidates, and the truth judge both.

    Each annotator is tried as well, before the others: a person held out.

    Parameters
    ----------
    cohort
        A phantom cohort, with the truth and two annotators or more; with two, neither can be held
        out, since nobody would be left to agree.
    candidates
        What to try, by name.
    models
        Which models to try as well.
    scores
        What `score_table.score_cohort` returns of the cohort and these models; scored here when
        not given.
    loss
        Share of a person's cells whose loss does not matter, for both verdicts.
    alpha
        As in `human_equivalence`.
    strict
        A pair of cells matches when IoU > t; when False, when IoU >= t.

    Returns
    -------
    pandas.DataFrame
        One row per metric and candidate, on whole images: columns of `human_equivalence` (the mean
        over annotators left out), the same ending in ``_truth`` for the score with the truth less
        the annotators' score with the truth, and ``outcome``: ``"right"`` and ``"wrong"`` where
        both verdicts are decided, else ``"abstained"``. ``worst`` is the annotator without whom the
        difference is least, ``worst_difference`` and ``worst_decision`` what comes of it then.
    """
    people = list(cohort.annotators)
    judges = [*people, TRUTH]
    if scores is None:
        scores = score_cohort(cohort, models, modes=("whole",), strict=strict)
    known = against(scores, {cohort.name: judges}, [*models, *people])
    made = score_candidates(cohort, candidates, references=judges, modes=("whole",), strict=strict)
    judged = pd.concat([made, known[known["mode"] == "whole"]], ignore_index=True)
    weakened = weakened_scores(
        cohort, loss=loss, references=judges, modes=("whole",), strict=strict
    )
    parts = []
    for tried, others in panels([*candidates, *models], people):
        each = human_equivalence(judged, weakened, tried, others, alpha=alpha)
        keys = ["mode", "metric", "model"]
        mean = each[each["left_out"] == MEAN].drop(columns="left_out")
        alone = each[each["left_out"] != MEAN]
        worst = alone.loc[alone.groupby(keys, sort=False)["difference"].idxmin()]
        worst = worst[[*keys, "left_out", "difference", "decision"]].rename(
            columns={"left_out": "worst", "difference": "worst_difference"}
        )
        worst = worst.rename(columns={"decision": "worst_decision"})
        by_truth = compare_before(judged, weakened, TRUTH, tried, others, alpha=alpha)
        by_truth = by_truth.drop(columns=["left_out", "images", "cohort"])
        parts.append(mean.merge(worst, on=keys).merge(by_truth, on=keys, suffixes=("", "_truth")))
    table = pd.concat(parts, ignore_index=True)
    table["model"] = [f"{m}, held out" if m in people else m for m in table["model"]]
    verdicts = table[["decision", "decision_truth"]]
    abstained = (verdicts == Decision.UNDECIDED.value).any(axis=1)
    right = verdicts["decision"] == verdicts["decision_truth"]
    table["outcome"] = np.select([abstained, right], ["abstained", "right"], "wrong")
    return table


def verdicts(tried: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Count how often annotators decide as the truth does, for each kind of candidate.

    Parameters
    ----------
    tried
        What `trial` returns, of one metric.
    models
        Which of the candidates are models.

    Returns
    -------
    pandas.DataFrame
        One row per kind of candidate: ``candidate``, ``tried``, ``right``, ``too harsh`` and ``too
        kind`` (below, within and above are ranks; together the wrong ones), ``abstained``.
    """
    made_of = tried["model"].str.contains("copy of|consensus")
    held_out = tried["model"].str.endswith("held out")
    real = tried["model"].isin(list(models))
    kinds = {
        "the truth, whole or flawed": ~(made_of | held_out | real),
        "made of annotators' masks": made_of,
        "an annotator, held out": held_out,
        "a model": real,
    }
    rank = {Decision.BELOW.value: 0, Decision.WITHIN.value: 1, Decision.ABOVE.value: 2}
    step = tried["decision"].map(rank) - tried["decision_truth"].map(rank)
    return pd.DataFrame(
        {
            "candidate": name,
            "tried": int(those.sum()),
            "right": int((tried.loc[those, "outcome"] == "right").sum()),
            "too harsh": int((step[those] < 0).sum()),
            "too kind": int((step[those] > 0).sum()),
            "abstained": int((tried.loc[those, "outcome"] == "abstained").sum()),
        }
        for name, those in kinds.items()
        if those.any()
    )
