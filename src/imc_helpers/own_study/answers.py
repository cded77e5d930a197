"""The answer of a study in plain words: agreement, nearest model, whether that matters, what next.

Every sentence comes from the table of scores, and says so where the table cannot answer. A sentence
on which a lab may act carries its interval and its caveat.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from imc_helpers.agreement.equivalence import MEAN, Decision, equivalence_of_cohorts
from imc_helpers.agreement.statistics import crossed_interval, rank_sets
from imc_helpers.agreement.summaries import (
    against,
    between,
    mean_agreement,
    mean_scores,
    model_differences,
)
from imc_helpers.agreement.weakened import LOSS
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
    """Which models may come nearest to them."""
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
    loss: float = LOSS,
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
    loss
        Share of a person's cells whose loss does not matter.
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
        matters=_matters(cohort, rows, judged, ran, loss, named),
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
        return "There are no masks to compare, so nobody can say how well people agree."
    if not len(pairs):
        if len(cohort.references) == 1:
            return (
                f"All outlines here are by one rater, {named(cohort.references[0])}, so agreement "
                "cannot be measured."
            )
        return f"No image has the masks of two {who}, so nobody can say how well they agree."
    mean = float(mean_agreement(pairs)[METRIC].iloc[0])
    found = crossed_interval(pairs, METRIC)
    sure = (
        f"With the same {who} and other images like these {found.images}, expect "
        f"{_range(found.low_images, found.high_images)} (95% interval). "
        if found.images > 1
        else "That is one image, which says nothing about others. "
    )
    if not cohort.annotators:
        sure += "These are the masks of tools, and say nothing about people."
    elif pd.notna(found.low_both):
        sure += (
            f"With other people too, expect {_range(found.low_both, found.high_both)}; less, if "
            "some people draw very differently and none of these does."
        )
    elif found.images > 1:
        sure += f"What other people would reach cannot be estimated: {found.missing}."
    return (
        f"Of all cells that either of two {who} outlined, {100 * mean:.0f}% were "
        f"outlined by both (ap50 {mean:.2f}, mean over pairs). {sure}"
    )


def _range(low: float, high: float) -> str:
    """Write an interval of scores, cut where no score lies."""
    return f"{max(low, 0):.2f} to {min(high, 1):.2f}"


def _nearest(
    cohort: Cohort, judged: pd.DataFrame, ran: list[str], named: Callable[[str], str]
) -> str:
    if not cohort.references:
        return (
            "Without a person's mask no model can be scored; look at the models' outlines instead."
        )
    if not ran:
        return "No model has masks of these images, so none can be compared."
    means = mean_scores(judged).set_index("model").loc[ran, METRIC].sort_values(ascending=False)
    first, score = str(means.index[0]), float(means.iloc[0])
    who = noun(r for r in cohort.raters if r.name in cohort.references)
    lead = f"Of {len(ran)} models {named(first)} has the highest mean score against the {who}"
    if len(ran) == 1:
        lead = f"The only model is {named(first)}; its mean score against the {who} is"
        return f"{lead} {score:.2f} (ap50)."
    ranks = rank_sets(model_differences(judged, ran)).set_index("model")
    leading = [str(m) for m in means.index if ranks.loc[m, "first"] == 1]
    images = judged.loc[judged["rater_pred"].isin(ran), "sample"].nunique()
    if images < 2:
        sure = "one image cannot tell which would come first on others"
    elif len(leading) == 1:
        sure = "it surely scores higher than every other one on images like these"
    elif len(leading) == len(ran):
        sure = f"these {images} images cannot tell which of the {len(ran)} would come first"
    else:
        sure = (
            f"on images like these {_names(map(named, leading))} may each come first, and the "
            "others surely do not"
        )
    return (
        f"{lead} ({score:.2f}); {sure} (all pairs of models compared image by image; 95 of 100 "
        "such studies make no error)."
    )


def _matters(
    cohort: Cohort,
    rows: pd.DataFrame,
    judged: pd.DataFrame,
    ran: list[str],
    loss: float,
    named: Callable[[str], str],
) -> str:
    if len(cohort.annotators) < 2 or not ran:
        tools = " The masks here are those of tools." if cohort.tools else ""
        return (
            "Whether a model is as good as a person cannot be decided here: that takes masks by "
            f"two people and by a model.{tools if not cohort.annotators else ''}"
        )
    means = mean_scores(judged).set_index("model").loc[ran, METRIC]
    first = str(means.idxmax())
    table = equivalence_of_cohorts(rows, {cohort.name: cohort}, ran, loss=loss)
    found = table[
        (table["model"] == first) & (table["left_out"] == MEAN) & (table["metric"] == METRIC)
    ]
    if not len(found):
        return "No image has the masks of two people and of a model: undecidable."
    one = found.iloc[0]
    who = noun((r for r in cohort.raters if r.name in cohort.annotators), plural=False)
    model, size = named(first), f"{one['difference']:+.2f} ap50"
    if one["images"] > 1:
        size += f", 95% interval {one['low']:+.2f} to {one['high']:+.2f}"
    cost = f"what {who} loses with {loss:.0%} of the cells ({one['margin']:.2f})"
    verdicts = {
        Decision.WITHIN: f"By this measure the difference does not matter: in place of {who}, "
        f"{model} agrees with the others equally well ({size}), to within {cost}.",
        Decision.BELOW: f"The difference matters: in place of {who}, {model} agrees less well with "
        f"the others ({size}), by more than {cost}.",
        Decision.ABOVE: f"{model} agrees better with the others than {who} in its place does "
        f"({size}), by more than {cost}.",
        Decision.UNDECIDED: f"In place of {who}, {model} differs by {size}: these images "
        f"cannot decide whether that is less than {cost}.",
    }
    return (
        f"{verdicts[Decision(one['decision'])]} Such a verdict is about agreeing with these "
        "people, not about being right: a model with unusual errors scores low even if it is "
        "better than people."
    )


def _next_steps(
    cohort: Cohort, pairs: pd.DataFrame, ran: list[str], oddities: pd.DataFrame
) -> Iterable[str]:
    left = int((~oddities["used"].astype(bool)).sum()) if len(oddities) else 0
    if left:
        files = "file" if left == 1 else f"{left} files"
        yield f"Correct the {files} that could not be used: [](02_oddities) says how."
    shifted = oddities[oddities["what"] == "shifted mask"] if len(oddities) else oddities
    for rater in shifted["rater"] if len(shifted) else ():
        yield f"Look at the overlay of {rater}: its cells lie beside the nuclei ([](02_oddities))."
    if len(pairs):
        worst = worst_images(pairs)
        if len(worst) > 1:
            names = _names(worst["sample"].head(3))
            who = noun(r for r in cohort.raters if r.name in cohort.references)
            yield f"Look at the images on which {who} agree least: {names} ([](viewer))."
        if len(worst) < FEW_IMAGES:
            few = "one image is" if len(worst) == 1 else f"{len(worst)} images are"
            yield (
                f"Ask two people to outline the cells of more images: {few} too few for most "
                f"decisions, which need at least {FEW_IMAGES}."
            )
    elif len(cohort.annotators) == 1:
        yield (
            "Ask a second person to outline the cells of some images without seeing the first "
            "person's outlines."
        )
    elif not cohort.annotators:
        yield "Ask two people to outline the cells of some images."
    if not ran:
        yield "Put a model's masks into the folder (`masks_NAME/`), or name models in the edition."


def _names(names: Iterable[str]) -> str:
    *all_but_last, last = names
    return f"{', '.join(all_but_last)} and {last}" if all_but_last else last
