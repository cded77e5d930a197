"""What the first page of an edition shows of it: a picture of its tissue, and what was found."""

from collections.abc import Iterable, Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from imc_helpers.agreement.summaries import (
    against,
    best_first,
    between,
    differences_from_agreement,
    mean_agreement,
    mean_scores,
)
from imc_helpers.data.manifest import model_record
from imc_helpers.data.raters import TRUTH, Rater, noun
from imc_helpers.data.samples import Cohort
from imc_helpers.figures.names import counted, model_name, source_note
from imc_helpers.figures.page import GOLD, in_style
from imc_helpers.figures.tissue_images import cell_edges, composite, draw_edges, edge_path

PICTURE_UM = (27.0, 90.0)
"""Height and width of the picture, micrometres: cells large enough to see two outlines of each."""
METRIC = "ap50"


def with_two_masks(cohorts: Mapping[str, Cohort]) -> tuple[Cohort, str] | None:
    """Return the first cohort and sample with two references; None where there is no such thing."""
    for cohort in cohorts.values():
        if cohort.shared_ids:
            return cohort, cohort.shared_ids[0]
    return None


@in_style
def tissue_with_outlines(cohort: Cohort, sample: str) -> Figure:
    """Draw the middle of a sample with the outlines of its first two references.

    Parameters
    ----------
    cohort
        A cohort.
    sample
        One of its samples, with two references or more.
    """
    shape, um_per_px = cohort.shape(sample), cohort.um_per_px(sample)
    height, width = (
        min(round(um / um_per_px), side) for um, side in zip(PICTURE_UM, shape, strict=True)
    )
    y, x = (shape[0] - height) // 2, (shape[1] - width) // 2
    crop = slice(y, y + height), slice(x, x + width)
    image = cohort.read_image(sample)
    planes = [
        image[list(cohort.panel.compartment(part))].mean(axis=0)[crop]
        for part in ("nucleus", "membrane")
    ]
    figure, axis = plt.subplots(figsize=(10, 10 * height / width), layout="none")
    axis.imshow(0.7 * composite(*planes), interpolation="none")
    first, second = (cohort.read_mask(sample, r)[crop] for r in cohort.references_of(sample)[:2])
    draw_edges(axis, edge_path(*cell_edges(first)), "white", 2.6)
    draw_edges(axis, edge_path(*cell_edges(second)), GOLD, 1.2)
    axis.set_axis_off()
    figure.subplots_adjust(0, 0, 1, 1)
    return figure


def findings(scores: pd.DataFrame, cohort: Cohort, models: Iterable[str]) -> str:
    """Say in a few sentences how far apart annotators and models are.

    Parameters
    ----------
    scores
        A table of scores that holds the cohort's.
    cohort
        A cohort with two references or more.
    models
        Models of the edition; those that ran are counted.

    Returns
    -------
    str
        MyST, with a badge that says what the data are.
    """
    key, models = cohort.name, list(models)
    whole = scores[(scores["mode"] == "whole") & (scores["cohort"] == key)]
    makers = noun(_makers(cohort))
    agreement = mean_agreement(between(whole, {key: cohort}))[METRIC].iloc[0]
    said = [f"**{makers.capitalize()} agree at {agreement:.3f}** ({METRIC}, 1 is perfect)."]
    truth = against(whole, {key: [TRUTH]}, cohort.references)[METRIC].mean()
    if truth < agreement:
        said.append(f"**A perfect segmentation scores only {truth:.3f}** with these annotators.")
    elif not pd.isna(truth):
        said.append(f"A perfect segmentation scores {truth:.3f} with these annotators.")
    judged = against(whole, {key: cohort.references}, models)
    means = mean_scores(judged)
    if ran := best_first(means, models, METRIC):
        highest = float(means.set_index("model")[METRIC][ran[0]])
        beside = differences_from_agreement(judged, between(whole, {key: cohort}), ran)
        above = list(beside.loc[beside["low"] > 0, "model"])
        below = int((beside["high"] < 0).sum())
        said.append(
            f"On images like these, {len(above) or 'none'} of {counted(len(ran), 'model')} surely "
            f"score{'s' * (len(above) < 2)} above that agreement, and {below or 'none'} below; the "
            f"highest mean is {highest:.3f}, by {model_name(ran[0])}."
        )
        if above and all(model_record(model).training for model in above):
            said.append("The models above it learned from labels that this book simulates.")
    return " ".join([*said, source_note([key])])


def _makers(cohort: Cohort) -> list[Rater]:
    return [rater for rater in cohort.raters if rater.name in cohort.references]


def picture_caption(cohort: Cohort) -> str:
    """Say what `tissue_with_outlines` shows, in MyST."""
    return (
        f"The same cells as outlined by two {noun(_makers(cohort))} (white and gold); "
        f"{PICTURE_UM[1]:.0f} µm wide. {source_note([cohort.name])}"
    )
