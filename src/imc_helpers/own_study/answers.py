"""The answer of a study in plain words: agreement, nearest model, whether that matters, what next.

Every sentence comes from the table of scores, and says so where the table cannot answer. A sentence
on which a lab may act carries its interval and its caveat.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from imc_helpers.agreement.equivalence import MARGIN, MEAN, Decision, equivalence_of_cohorts
from imc_helpers.agreement.intervals import mean_intervals
from imc_helpers.agreement.summaries import (
    against,
    between,
    differences_from_best,
    mean_agreement,
    mean_scores,
)
from imc_helpers.data.raters import noun
from imc_helpers.data.samples import Cohort

METRIC, MODE = "ap50", "whole"
"""What the sentences are about: whole images, and cells that overlap by half."""
FEW_IMAGES = 6
"""Below this number intervals over images are so wide that little can be decided."""


@dataclass(frozen=True)
class Answer:
    """What can be said of one cohort."""

    agreement: str
    """How far the annotators are apart."""
    nearest: str
    """Which model comes nearest to them."""
    matters: str
    """Whether its distance from them matters."""
    next_steps: tuple[str, ...]
    """What to look at, or to do, next."""


def answer_of(
    cohort: Cohort,
    scores: pd.DataFrame,
    models: Iterable[str],
    oddities: pd.DataFrame,
    *,
    margin: float = MARGIN,
    named: Callable[[str], str] = str,
) -> Answer:
    """Say what a cohort's masks answer, and what they cannot.

    Parameters
    ----------
    cohort
        Samples with masks, or without.
    scores
        What `imc_helpers.agreement.score_table.read_scores` returns, of this cohort.
    models
        Models of the edition.
    oddities
        What was odd about the folder (`imc_helpers.data.lab_folder.checks.COLUMNS`); empty for a
        cohort that comes from none.
    margin
        Difference of ap50 that does not matter.
    named
        Gives the name that readers see of a rater or model.
    """
    models = list(models)
    rows = scores[(scores["cohort"] == cohort.name) & (scores["mode"] == MODE)]
    pairs = between(rows, {cohort.name: cohort})
    judged = against(rows, {cohort.name: cohort.references})
    ran = [m for m in models if m in set(judged["rater_pred"])]
    return Answer(
        agreement=_agreement(cohort, pairs, named),
        nearest=_nearest(cohort, judged, ran, named),
        matters=_matters(cohort, rows, judged, ran, margin, named),
        next_steps=tuple(_next_steps(cohort, pairs, ran, oddities)),
    )


def worst_images(pairs: pd.DataFrame) -> pd.DataFrame:
    """List the images of a cohort by how well its references agree on them, worst first.

    Parameters
    ----------
    pairs
        What `between` returns.

    Returns
    -------
    pandas.DataFrame
        One row per sample: ``sample``, ``ap50`` (mean over pairs), ``pairs``, ``n_true`` and
        ``n_pred`` (mean number of cells on either side).
    """
    whole = pairs[pairs["mode"] == MODE]
    found = whole.groupby("sample", as_index=False).agg(
        **{METRIC: (METRIC, "mean")}, pairs=(METRIC, "size"), cells=("n_true", "mean")
    )
    return found.sort_values([METRIC, "sample"], ignore_index=True)


def _agreement(cohort: Cohort, pairs: pd.DataFrame, named: Callable[[str], str]) -> str:
    who = noun(r for r in cohort.raters if r.name in cohort.references)
    if not cohort.references:
        return "There are no masks to compare, so how far people agree cannot be said."
    if not len(pairs):
        if len(cohort.references) == 1:
            return (
                f"Only {named(cohort.references[0])} has outlined cells here, so how far people "
                "agree cannot be said."
            )
        return f"No image has the masks of two {who}, so how far they agree cannot be said."
    mean = float(mean_agreement(pairs)[METRIC].iloc[0])
    by_image = worst_images(pairs).set_index("sample")[[METRIC]]
    spread = mean_intervals(by_image, by_image.index.to_numpy()).iloc[0]
    n = len(by_image)
    sure = (
        f"With the same {who} and other images like these {n}, expect {spread['low']:.2f} "
        f"to {spread['high']:.2f} (95% interval); other people may differ more."
        if n > 1
        else "That is one image, which says nothing about others."
    )
    people = (
        "" if cohort.annotators else " These are the masks of tools, and tell nothing of people."
    )
    return (
        f"Of all cells that one or the other of two {who} outlined, {100 * mean:.0f} % were "
        f"outlined by both (ap50 {mean:.2f}, mean over pairs). {sure}{people}"
    )


def _nearest(
    cohort: Cohort, judged: pd.DataFrame, ran: list[str], named: Callable[[str], str]
) -> str:
    if not cohort.references:
        return "Without a mask by a person, no model can be scored; look at their outlines instead."
    if not ran:
        return "No model has masks of these images, so none can be compared."
    means = mean_scores(judged).set_index("model").loc[ran, METRIC].sort_values(ascending=False)
    first, score = str(means.index[0]), float(means.iloc[0])
    who = noun(r for r in cohort.raters if r.name in cohort.references)
    lead = f"Of {len(ran)} models {named(first)} has the highest mean score against the {who}"
    if len(ran) == 1:
        lead = f"The only model is {named(first)}; its mean score against the {who} is"
        return f"{lead} {score:.2f} (ap50)."
    differences = differences_from_best(judged, ran).set_index("model")
    close = [m for m in means.index[1:] if not differences.loc[m, "high"] < 0]
    if not close:
        tail = "; every other one scores lower"
    elif len(close) == len(means) - 1:
        tail = "; but these images cannot tell it from any of the others"
    else:
        like = _names(map(named, close))
        tail = f"; these images cannot tell it from {like}, and the others score lower"
    caveat = (
        " *Lower* means that the 95% interval of the difference, image by image, lies below 0. "
        f"Each model is looked at alone, and with few images (here {differences['images'].max()}) "
        "such intervals are too narrow."
    )
    return f"{lead} ({score:.2f}){tail}.{caveat}"


def _matters(
    cohort: Cohort,
    rows: pd.DataFrame,
    judged: pd.DataFrame,
    ran: list[str],
    margin: float,
    named: Callable[[str], str],
) -> str:
    if len(cohort.references) < 2 or not ran:
        return (
            "Whether a model is as good as a person needs the masks of two people and of a model; "
            "here it is undecidable."
        )
    means = mean_scores(judged).set_index("model").loc[ran, METRIC]
    first = str(means.idxmax())
    table = equivalence_of_cohorts(rows, {cohort.name: cohort}, ran, margin=margin)
    found = table[
        (table["model"] == first) & (table["left_out"] == MEAN) & (table["metric"] == METRIC)
    ]
    if not len(found):
        return "No image has the masks of two people and of a model: undecidable."
    one = found.iloc[0]
    who = noun((r for r in cohort.raters if r.name in cohort.references), plural=False)
    model, size = named(first), f"{one['difference']:+.2f} ap50"
    if one["images"] > 1:
        size += f", 95% interval {one['low']:+.2f} to {one['high']:+.2f}"
    verdicts = {
        Decision.WITHIN: f"In the place of {who}, {model} agrees with the others as well as that "
        f"one does, to within {margin:g} ({size}): by that margin the difference does not matter.",
        Decision.BELOW: f"In the place of {who}, {model} agrees with the others less well "
        f"({size}), by more than {margin:g}: the difference matters.",
        Decision.ABOVE: f"In the place of {who}, {model} agrees with the others better than that "
        f"one does ({size}), by more than {margin:g}.",
        Decision.UNDECIDED: f"In the place of {who}, {model} differs by {size}: these images "
        f"cannot decide whether that is within {margin:g}.",
    }
    return (
        f"{verdicts[Decision(one['decision'])]} Such a verdict is about agreeing, not about being "
        "right: a model that errs in its own way scores low even where it is better than people."
    )


def _next_steps(
    cohort: Cohort, pairs: pd.DataFrame, ran: list[str], oddities: pd.DataFrame
) -> Iterable[str]:
    left = int((~oddities["used"].astype(bool)).sum()) if len(oddities) else 0
    if left:
        files = "file" if left == 1 else f"{left} files"
        yield f"Mend the {files} that could not be used: [](02_oddities) says how."
    shifted = oddities[oddities["what"] == "shifted mask"] if len(oddities) else oddities
    for rater in shifted["rater"] if len(shifted) else ():
        yield f"Look at the overlay of {rater}: its cells lie beside the nuclei ([](02_oddities))."
    if len(pairs):
        worst = worst_images(pairs)
        if len(worst) > 1:
            names = _names(worst["sample"].head(3))
            yield f"Look at the images on which people agree least: {names} ([](viewer))."
        if len(worst) < FEW_IMAGES:
            yield (
                f"Have more images drawn by two people: {len(worst)} leave every interval wide; "
                f"from {FEW_IMAGES} on they begin to decide."
            )
    elif len(cohort.annotators) == 1:
        yield "Have a second person draw some of the images, without seeing the first's outlines."
    elif not cohort.annotators:
        yield "Have two people draw some of the images."
    if not ran:
        yield "Lay a model's masks into the folder (`masks_NAME/`), or name models in the edition."


def _names(names: Iterable[str]) -> str:
    *all_but_last, last = names
    return f"{', '.join(all_but_last)} and {last}" if all_but_last else last
