"""Decisions that a lab has to make, each with what an edition's tables say about it.

Every function takes tables that other pages wrote, and returns one decision: what to do, the
numbers behind it, and where they stop. Where a table is empty the decision says that it cannot be
made from this edition, and what it would take.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imc_helpers.agreement.equivalence import MEAN, Decision
from imc_helpers.agreement.hand_drawn import DRAWN, EXTENDED
from imc_helpers.agreement.statistics import rank_sets
from imc_helpers.data.paths import results_dir
from imc_helpers.downstream.conclusions import Verdict

LEARNED = "†"
"""Mark of a model that has learned from the kind of labels that it is judged by."""
FLOOR = 0.5
"""Agreement below which fewer cells are shared than not."""
ENOUGH = 0.05
"""Half-width of an interval that a check of a model should reach."""


@dataclass(frozen=True)
class Advice:
    """One decision."""

    decision: str
    """What is to be decided, as a question."""
    do: str
    """What to do, in a sentence; empty where this edition cannot tell."""
    because: tuple[str, ...]
    """Numbers of this edition, each in a sentence."""
    caveat: str
    """What the numbers do not cover."""
    pages: tuple[str, ...]
    """Pages that have more, ``decisions/06_plan`` for instance."""


def read_table(edition: str, name: str) -> pd.DataFrame:
    """Read what a page left in ``results/``; empty where the edition has no such page or no rows.

    Parameters
    ----------
    edition
        Name of the edition.
    name
        File below ``results/EDITION/``, ``decisions/plan.csv`` for instance.
    """
    folder, _, file = name.rpartition("/")
    try:
        return pd.read_csv(results_dir(edition, folder) / file)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame()


def people_and_images(planned: pd.DataFrame, *, named: Callable[[str], str] = str) -> Advice:
    """Say how many people and images a study of agreement needs.

    Parameters
    ----------
    planned
        ``decisions/plan.csv``: one row per cohort and question, with ``wanted``, ``images``,
        ``people``, ``hours`` and ``largest``.
    named
        Gives the name that readers see of a cohort.
    """
    because, possible = [], []
    for row in planned.to_dict("records"):
        if pd.notna(row["images"]):
            possible.append(row)
            because.append(
                f"{named(row['cohort'])}, {row['question']}, to ± {row['wanted']:g}: "
                f"{row['people']:.0f} people and {row['images']:.0f} images, "
                f"{row['hours']:.0f} hours of drawing."
            )
        else:
            because.append(
                f"{named(row['cohort'])}, {row['question']}, to ± {row['wanted']:g}: out of reach; "
                f"the largest study considered reaches ± {row['largest']:.2f}."
            )
    do = ""
    if possible:
        images = max(row["images"] for row in possible)
        do = (
            f"Have at least three people annotate the same {images:.0f} images, and let that pilot "
            "tell you whether you need more images or more people."
        )
        if len(possible) < len(planned):
            do += " To say anything about other people, add people rather than images."
    return Advice(
        "How many people should draw how many images?",
        do,
        tuple(because),
        "A pilot shows how its own tissue and people vary, and no others.",
        ("decisions/06_plan", "decisions/01_agreement"),
    )


def which_model(
    differences: pd.DataFrame,
    verdicts: pd.DataFrame,
    trial: pd.DataFrame,
    learned: frozenset[str],
    *,
    named: Callable[[str], str] = str,
    cohort_named: Callable[[str], str] = str,
) -> Advice:
    """Say which models may be the nearest to the annotators, and which are worse than a person.

    Parameters
    ----------
    differences
        ``decisions/models.csv``: differences of every two models, with intervals.
    verdicts
        ``models/equivalence.csv``: each model beside the annotators.
    trial
        ``models/trial.csv``: the same verdicts where the truth is known, ``outcome`` among them.
    learned
        Models that have learned from the kind of labels by which they are judged.
    named, cohort_named
        Give the names that readers see of models and of cohorts.
    """

    def listed(models: list[str]) -> str:
        return ", ".join(f"{named(m)}{LEARNED}" if m in learned else named(m) for m in models)

    because, leading = [], False
    for cohort, rows in _by(differences, "cohort"):
        ranks = rank_sets(rows)
        first = ranks.loc[ranks["first"] == 1, "model"].tolist()
        leading = True
        sure = "may be closest" if len(first) > 1 else "surely closest on images like these"
        because.append(f"{cohort_named(cohort)}, {sure} of {len(ranks)}: {listed(first)}.")
    tested = set(differences["one"]) | set(differences["two"]) if leading else set()
    for cohort, rows in _by(_of_means(verdicts), "cohort"):
        judged = rows[rows["model"].isin(tested)]
        below = judged.loc[judged["decision"] == Decision.BELOW, "model"]
        close = judged.loc[judged["not_inferior"].astype(bool), "model"].tolist()
        because.append(
            f"{cohort_named(cohort)}, compared with a person: {len(below)} of {len(judged)} models "
            "surely agree less with people than people do"
            + (f"; not inferior to a person: {listed(close)}." if close else "; none is as close.")
        )
    if len(trial):
        known = trial[(trial["mode"] == "whole") & (trial["metric"] == "ap50")]
        decided = known[known["outcome"] != "abstained"]
        because.append(
            "Tested on masks of known quality, "
            f"{(decided['outcome'] == 'wrong').sum()} of {len(decided)} such verdicts were wrong."
        )
    if learned:
        because.append(
            f"{LEARNED} learned from labels made in the same way as those of these annotators, "
            "which favours it."
        )
    do = (
        "Choose among the models that may be closest to your annotators by what they cost you, "
        "because these scores cannot rank them further. Then look at the errors on your own images "
        "before you trust any of them."
    )
    return Advice(
        "Which model should we use?",
        do if leading else "",
        tuple(because) if leading else (),
        "Close to these annotators is not the same as right: if people share an error, a correct "
        "model scores low.",
        ("decisions/02_models", "beyond/01_equivalence", "beyond/02_errors"),
    )


def which_metric(
    scores: pd.DataFrame, conventions: pd.DataFrame, *, named: Callable[[str], str] = str
) -> Advice:
    """Say whether the metrics name the same model first, and what a convention moves.

    Parameters
    ----------
    scores
        Means per ``cohort`` and ``model``: ``ap50``, ``map``, ``sap``.
    conventions
        ``metrics/conventions.csv``: scores of pairs of masks under IoU ≥ t and IoU > t, and their
        ``difference``.
    named
        Gives the name that readers see of a cohort.
    """
    because, disagree = [], []
    several = [(cohort, rows) for cohort, rows in _by(scores, "cohort") if len(rows) > 1]
    for cohort, rows in several:
        firsts = {rows.set_index("model")[metric].idxmax() for metric in ("ap50", "map", "sap")}
        if len(firsts) > 1:
            disagree.append(named(cohort))
    if several:
        n = len(several)
        because.append(
            f"Ap50, map and sap put the same model first in {n - len(disagree)} of {n} cohorts"
            + (f"; not in {', '.join(disagree)}." if disagree else ".")
        )
    if len(conventions):
        moved = conventions["difference"].abs()
        because.append(
            f"Whether a pair with an IoU of exactly one half counts changes ap50 by "
            f"{moved.mean():.3f} on average, and by up to {moved.max():.3f}."
        )
    do = ""
    if because:
        do = (
            "Report ap50 for which cells were found and sap for how well they were outlined, "
            "always with the convention (IoU ≥ t or > t) and people's agreement on the same images."
        )
    return Advice(
        "Which metric should we report?",
        do,
        tuple(because),
        "Which model has the highest mean says nothing about whether its lead would hold on other "
        "images.",
        ("study/04_metrics", "decisions/08_claims"),
    )


def which_threshold(agreement: pd.DataFrame, *, named: Callable[[str], str] = str) -> Advice:
    """Say up to which IoU people agree about most cells.

    Parameters
    ----------
    agreement
        One row per ``cohort`` and ``threshold``: ``ap``, the mean over images and pairs of people.
    named
        Gives the name that readers see of a cohort.
    """
    because, last = [], []
    for cohort, rows in _by(agreement, "cohort"):
        by_iou = rows.sort_values("threshold")
        shared = by_iou.loc[by_iou["ap"] >= FLOOR, "threshold"]
        low, high = by_iou.iloc[0], by_iou.iloc[-1]
        last.append(float(shared.max()) if len(shared) else np.nan)
        because.append(
            f"{named(cohort)}: AP of two people is {low['ap']:.2f} at an IoU of "
            f"{low['threshold']:.2f} and {high['ap']:.2f} at {high['threshold']:.2f}; "
            + (
                f"at {last[-1]:.2f} it is still {FLOOR:g} or more."
                if len(shared)
                else f"it is below {FLOOR:g} throughout."
            )
        )
    do = ""
    if last and not np.all(np.isnan(last)):
        do = (
            f"Count a cell as found at an IoU of 0.50, and treat differences above "
            f"{np.nanmin(last):.2f} as a matter of drawing habit: there, two people share fewer "
            "than half of their cells."
        )
    elif last:
        do = (
            "Do not rank by IoU here: even at 0.50, these raters share fewer than half of their "
            "cells. Agree on what a cell is first."
        )
    return Advice(
        "At which overlap does a cell count as found?",
        do,
        tuple(because),
        "Small cells reach a given IoU less easily than large ones, so a threshold is stricter for "
        "a lymphocyte than for a tumour cell.",
        ("study/04_metrics", "study/05_annotators"),
    )


def hand_or_software(crops: pd.DataFrame) -> Advice:
    """Say what extending labels by software costs in agreement.

    Parameters
    ----------
    crops
        ``annotators/crops.csv``: scores of two raters in a crop, by ``comparison``.
    """
    means = crops.groupby("comparison")["ap50"].mean() if len(crops) else pd.Series(dtype=float)
    because: tuple[str, ...] = ()
    do = ""
    if {DRAWN, EXTENDED} <= set(means.index):
        because = (
            f"In the same crops two people's drawings agree at an ap50 of {means[DRAWN]:.2f}, "
            f"their masks extended by software at {means[EXTENDED]:.2f}.",
        )
        do = (
            "Draw by hand the references by which models are judged, if only in crops; use masks "
            "extended by software for training."
            if means[DRAWN] > means[EXTENDED]
            else "Software cost no agreement here; still keep some crops drawn by hand."
        )
    return Advice(
        "Draw by hand, or extend labels by software?",
        do,
        because,
        "A drawing is not the truth either: people see blurred borders.",
        ("study/05_crops",),
    )


def check_a_model(trials: pd.DataFrame) -> Advice:
    """Say how many labelled crops tell a model's score on a person's whole images.

    Parameters
    ----------
    trials
        ``decisions/few_labels.csv``: one row per ``quantity``, number of ``labels`` and ``way``
        with ``half_width`` and ``coverage``.
    """
    because, needed = [], []
    for quantity, rows in _by(trials, "quantity"):
        if "ap50" not in quantity:
            continue
        for way, own in _by(rows, "way"):
            most = own.sort_values("labels").iloc[-1]
            enough = own.loc[own["half_width"] <= ENOUGH, "labels"]
            needed += [int(enough.min())] if len(enough) else []
            because.append(
                f"{way.capitalize()}: "
                + (
                    f"{int(enough.min())} labelled crops give the score to ± {ENOUGH:g}"
                    if len(enough)
                    else f"{int(most['labels'])} labelled crops give the score to ± "
                    f"{most['half_width']:.2f}"
                )
                + f"; at least {own['coverage'].min():.0%} of intervals contained the true mean."
            )
    do = ""
    if needed:
        do = (
            f"Label about {min(needed)} crops drawn at random from all images, and let the "
            "interval say whether that is enough."
        )
    elif because:
        do = "Label more crops than were tried here: none of the numbers gave the precision wanted."
    return Advice(
        "How many labels does it take to check a model on our images?",
        do,
        tuple(because),
        "The draws were repeated on images that are fully labelled; your images may vary more.",
        ("decisions/07_few_labels",),
    )


def when_to_retrain(
    scale: pd.DataFrame, verdicts: pd.DataFrame, *, named: Callable[[str], str] = str
) -> Advice:
    """Say what a change of cells' size in pixels costs models as they are.

    Parameters
    ----------
    scale
        ``sweeps/scale.csv``: ``model``, ``factor`` of enlargement, ``declared`` (whether the model
        was told of it), ``window_px`` (0 where it saw the crop whole), ``crop_px`` and ``ap50``.
    verdicts
        ``models/equivalence.csv``.
    named
        Gives the name that readers see of a model.
    """
    because = []
    whole_crops = scale[scale["window_px"] == 0] if len(scale) else scale
    for model, rows in _by(whole_crops, "model"):
        untold = rows[~rows["declared"].astype(bool)]
        for (factor, crop), unaware in untold.groupby(["factor", "crop_px"]):
            same = rows[(rows["crop_px"] == crop) & rows["declared"].astype(bool)]
            told = same.loc[same["factor"] == factor, "ap50"].mean()
            because.append(
                f"{named(model)}: ap50 {same.loc[same['factor'] == 1, 'ap50'].mean():.2f} on "
                f"images as they are. Enlarged {factor:g} times: {told:.2f} if it is told so, "
                f"{unaware['ap50'].mean():.2f} if it takes the cells to be larger."
            )
    whole = _of_means(verdicts)
    if len(whole):
        below = int((whole["decision"] == Decision.BELOW).sum())
        because.append(
            f"In {below} of {len(whole)} comparisons with people, the model is surely worse."
        )
    do = ""
    if because:
        do = (
            "Before you retrain, rescale the images or tell the model the pixel size. "
            "Retrain if the model is still below your annotators by more than the margin, and "
            "keep the images by which you judge it out of training."
        )
    return Advice(
        "When should we retrain a model?",
        do,
        tuple(because),
        "Staining, tissue and instrument change more than the pixel size, and no sweep here "
        "covers them all.",
        ("sweeps/scale", "sweeps/preprocessing", "beyond/01_equivalence"),
    )


def what_masks_change(judged: pd.DataFrame, alarms: pd.DataFrame) -> Advice:
    """Say which conclusions need a second person's masks.

    Parameters
    ----------
    judged
        ``downstream/conclusions.csv``: what `imc_helpers.downstream.conclusions.judge` returns.
    alarms
        ``downstream/groups.csv``: per type the rates of ``false alarm`` and ``worst`` where each
        group of images is drawn by someone else.
    """
    because = []
    each = judged.drop_duplicates(["kind", "name"]) if len(judged) else judged
    for kind, rows in _by(each, "kind"):
        counts = rows["verdict"].value_counts()
        because.append(
            f"{kind.capitalize()}, {len(rows)} in all: "
            + "; ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in Verdict)
            + " if another of these raters had drawn the cells."
        )
    if len(alarms) and alarms["worst"].notna().any():
        worst = alarms.dropna(subset="worst").sort_values("worst").iloc[-1]
        because.append(
            "If two groups do not differ but are drawn by different people, up to "
            f"{worst['worst']:.0%} of studies would find a difference in {worst['name']} (5% would "
            "be expected by chance)."
        )
    do = ""
    if because:
        do = (
            "Let the same person or model outline all groups that you compare, and have a second "
            "person outline some images before you report a fraction or a contact."
        )
    return Advice(
        "Which of our conclusions depend on who drew the cells?",
        do,
        tuple(because),
        "The verdicts are about these raters and images. *Cannot be told* means that there are too "
        "few images, not that nothing changes.",
        ("downstream/08_biology", "downstream/09_carry_it_on"),
    )


def _by(table: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Go through the groups of a table, which may be empty and have no columns."""
    for key, rows in table.groupby(column, sort=False) if len(table) else ():
        yield str(key), rows


def _of_means(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts on whole images that are means over the annotator left out."""
    if verdicts.empty:
        return verdicts
    whole = (verdicts["mode"] == "whole") & (verdicts["metric"] == "ap50")
    return verdicts[whole & (verdicts["left_out"] == MEAN)]
