"""What a student learns of its teachers' errors, and how many of their cells it needs.

Simulated people outline the cells of phantom tissue, with slips and with a habit in where borders
go; a small U-Net learns from what they drew, and is scored on images kept apart: with the truth,
and with what the same people drew there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from imc_helpers.agreement.intervals import (
    bootstrap_ratios,
    grouped_intervals,
    interval,
)
from imc_helpers.cells.counts import count_cells
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.experiments.imperfect_labels import (
    SMALL_SHARES,
    Labels,
    Tissue,
    Trained,
    Training,
    cells_of,
    train,
)
from imc_helpers.metrics import ContingencyTable, contingency_table, evaluate, matched_pairs
from imc_helpers.models.training.patches import Split, split_images
from imc_helpers.phantom.drawing import TRUTH, ExpertGroup, draw_annotators
from imc_helpers.phantom.recipes import find_recipe, make_sample

TEACHER = "teacher"
"""Name of the masks that a student learns."""
WHOLE, PIECES, SCATTERED = "few images whole", "a piece of every image", "scattered cells"
"""Which cells are labelled where not all can be."""
_SAME_CELL = 0.1
"""IoU from which two outlines are of one cell, so that their sizes can be compared."""


@dataclass(frozen=True)
class School:
    """Who teaches, and how badly."""

    slips: float = 1.0
    """Times the phantom's usual shares of cells missed, merged and split."""
    border_um: float = 0.0
    """Where everyone draws borders, micrometres beyond (positive) or within the cell."""
    teachers: int = 1
    """People, each of whom draws every image."""
    own_border_um: float = 0.0
    """Standard deviation of what each adds of their own, micrometres."""

    @property
    def group(self) -> ExpertGroup:
        """The people: alike but for their slips and, where there are, their own borders."""
        usual = ExpertGroup()
        return ExpertGroup(
            n_experts=self.teachers,
            correlation=0.0,
            border_um=self.border_um,
            border_sd_um=self.own_border_um,
            miss=self.slips * usual.miss,
            merge=self.slips * usual.merge,
            split=self.slips * usual.split,
            habit_sd=0.0,
        )


def images_to_teach_on(recipe: str, images: int, side_px: int, seed: int) -> dict[str, Sample]:
    """Make phantom images with true cells and nuclei, by name; each has a seed of its own."""
    made = find_recipe(recipe)
    names = [f"{recipe}_taught_{seed + k}" for k in range(images)]
    return {
        name: make_sample(made, (side_px, side_px), seed + k, name) for k, name in enumerate(names)
    }


def taught(
    samples: Mapping[str, Sample],
    group: ExpertGroup,
    seed: int,
    markers: tuple[str, ...],
    *,
    teachers: int = 1,
) -> Tissue:
    """Let people draw all images, and divide the images.

    Parameters
    ----------
    samples
        What `images_to_teach_on` returns.
    group
        The people. All draw every image.
    seed
        Of the people and of the split.
    markers
        Channels that the student sees; DNA1 and DNA2 among them.
    teachers
        From how many of the people the student learns. It meets an image once with the labels of
        each, so that what it is to say of a pixel is, on average, the share of them who say so.

    Returns
    -------
    Tissue
        Images to learn from with masks of `TEACHER`, and test images with those of the truth and of
        everyone by name.
    """
    drawn = {
        name: replace(sample, masks={**sample.masks, **draw_annotators(sample, group, seed)})
        for name, sample in samples.items()
    }
    split = split_images(list(drawn), SMALL_SHARES, seed=seed)
    lessons: dict[str, Sample] = {}
    sides: dict[str, tuple[str, ...]] = {}
    for side in ("train", "validation"):
        own = {
            f"{name}, {who}": replace(drawn[name], masks={TEACHER: drawn[name].masks[who]})
            for name in getattr(split, side)
            for who in people(teachers)
        }
        lessons |= own
        sides[side] = tuple(own)
    lessons |= {name: drawn[name] for name in split.test}
    return Tissue(lessons, Split(**sides, test=split.test), TEACHER, markers)


def people(count: int) -> tuple[str, ...]:
    """Return the names of so many people, the first first."""
    return tuple(f"annotator{k + 1}" for k in range(count))


def learn_part(tissue: Tissue, share: float, how: str, training: Training) -> tuple[Trained, int]:
    """Train on a part of the labels, for as many steps as on all of them.

    Parameters
    ----------
    tissue
        What `taught` returns.
    share
        Of the images (`WHOLE`), of the area of each image (`PIECES`) or of the cells of each image
        (`SCATTERED`); 1 for all.
    how
        One of these. Where labelled cells are scattered, what is not labelled counts as unknown.
        The image that chooses the epoch keeps its labels in any case.
    training
        How the student is trained.

    Returns
    -------
    trained : Trained
        The student.
    labelled : int
        Cells that it learned from, the image that chose the epoch left out.

    Raises
    ------
    InputError
        If the share leaves no image, or there is no such way.
    """
    names, samples = tissue.split.train, dict(tissue.samples)
    if how == SCATTERED:
        trained = train(tissue, Labels(1 - share, unknown=True, whole_validation=True), training)
        return trained, trained.labelled
    if how == WHOLE:
        kept = names[: round(share * len(names))]
    elif how == PIECES:
        kept = names
        samples |= {name: _piece(samples[name], share) for name in names}
    else:
        raise InputError(f"how {how!r}: expected {WHOLE!r}, {PIECES!r} or {SCATTERED!r}")
    if not kept:
        raise InputError(f"a share of {share:g} of {len(names)} images is none of them")
    wanted = sum(_patches(tissue.samples[name], training.patch_px) for name in names)
    there = sum(_patches(samples[name], training.patch_px) for name in kept)
    repeated = kept * max(1, round(wanted / there))
    split = Split(repeated, tissue.split.validation, tissue.split.test)
    part = replace(tissue, samples=samples, split=split)
    labelled = sum(count_cells(part.labels(name)) for name in kept)
    return train(part, Labels(), training), labelled


def _piece(sample: Sample, share: float) -> Sample:
    """Cut a square of so much of the area out of the top left corner of an image."""
    height, width = (round(side * share**0.5) for side in sample.shape)
    masks = {who: mask[:height, :width] for who, mask in sample.masks.items()}
    image = sample.image[:, :height, :width]
    return replace(sample, image=image, masks=masks, nuclei={}, truth=None)


def _patches(sample: Sample, side_px: int) -> int:
    height, width = sample.shape
    return -(-height // side_px) * -(-width // side_px)


def score_student(trained: Trained, tissue: Tissue, teachers: int = 1) -> pd.DataFrame:
    """Score a student and its teachers with the truth on the images kept apart.

    Parameters
    ----------
    trained
        The student.
    tissue
        What `taught` returns.
    teachers
        How many taught it; their scores are averaged.

    Returns
    -------
    pandas.DataFrame
        One row per image: ``sample``; ``student`` and ``teacher``, their ap50 with the truth (IoU
        >= .5); ``fidelity``, the student's with the teachers; ``student_border_um`` and
        ``teacher_border_um``, how far beyond the true ones their borders lie (`border_shift`).
    """
    rows = []
    for name in tissue.split.test:
        sample = tissue.samples[name]
        found, true = students_cells(trained, tissue, name), sample.masks[TRUTH]
        drawn = [sample.masks[who] for who in people(teachers)]
        row: dict[str, object] = {"sample": name}
        for who, masks in (("student", [found]), (TEACHER, drawn)):
            tables = [contingency_table(true, mask) for mask in masks]
            row[who] = np.mean([evaluate(table=table).ap50 for table in tables])
            shifts = [border_shift(table, sample.um_per_px) for table in tables]
            row[f"{who}_border_um"] = np.mean(shifts)
        row["fidelity"] = np.mean([evaluate(mask, found).ap50 for mask in drawn])
        rows.append(row)
    return pd.DataFrame(rows)


def score_with_colleagues(trained: Trained, tissue: Tissue) -> pd.DataFrame:
    """Score a student of the first person with the others, and that person with the same others.

    Returns
    -------
    pandas.DataFrame
        One row per image kept apart: ``sample``; ``student`` and ``teacher``, mean ap50 with the
        other people (IoU >= .5).
    """
    rows = []
    for name in tissue.split.test:
        masks = tissue.samples[name].masks
        others = [mask for who, mask in masks.items() if who not in (TRUTH, *people(1))]
        judged = {
            "student": students_cells(trained, tissue, name),
            TEACHER: masks[people(1)[0]],
        }
        scores = {
            who: float(np.mean([evaluate(other, mask).ap50 for other in others]))
            for who, mask in judged.items()
        }
        rows.append({"sample": name, **scores})
    return pd.DataFrame(rows)


def students_cells(trained: Trained, tissue: Tissue, name: str) -> np.ndarray:
    """Return the student's cells, (H, W): grown from interiors, which its maps alone decide."""
    return cells_of(trained.maps(tissue.image(name)), tissue.nucleus(name))["interiors"]


def border_shift(table: ContingencyTable, um_per_px: float) -> float:
    """Return how far borders lie beyond those of the true cells, in the median, micrometres.

    Parameters
    ----------
    table
        Of true cells and of a mask. Cells of IoU >= .1 are compared, one to one, by the radius of
        a circle as large as each.
    um_per_px
        Edge of a pixel.

    Returns
    -------
    float
        Missing where no cell can be compared.
    """
    pairs = matched_pairs(table, _SAME_CELL)
    if not len(pairs.true_ids):
        return float("nan")
    areas = (
        areas[np.searchsorted(ids, matched)]
        for ids, areas, matched in (
            (table.true_ids, table.true_areas, pairs.true_ids),
            (table.pred_ids, table.pred_areas, pairs.pred_ids),
        )
    )
    true, pred = (np.sqrt(area / np.pi) for area in areas)
    return float(np.median(pred - true) * um_per_px)


def gains(rows: pd.DataFrame, first: str, second: str, by: Sequence[str]) -> pd.DataFrame:
    """Compare two columns of scores over replicates.

    Parameters
    ----------
    rows
        One row per replicate and image, with the column ``replicate``: tissue, people, draws and
        network of its own.
    first, second
        Columns; the second is taken from the first.
    by
        Columns that tell trials apart.

    Returns
    -------
    pandas.DataFrame
        One row per trial: the columns of ``by``, ``mean``, ``low``, ``high``, and ``images``, the
        number of replicates: they are drawn as images are elsewhere, with all that is in them.
    """
    apart = rows.assign(difference=rows[first] - rows[second])
    found = grouped_intervals(apart, by, {"difference": "difference"}, images="replicate")
    return found.drop(columns="score")


def shares_reached(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Say what share of its teacher's agreement with colleagues a student reaches.

    Parameters
    ----------
    rows
        What `score_with_colleagues` returns, with the column ``replicate``.
    by
        Columns that tell trials apart.

    Returns
    -------
    pandas.DataFrame
        One row per trial: the columns of ``by``, ``mean`` (the student's scores over the
        teacher's), ``low``, ``high``, and ``images``, the number of replicates.
    """
    parts = []
    for key, part in rows.groupby(list(by), sort=False):
        replicates = part["replicate"].to_numpy()
        scores = part[["student", TEACHER]]
        estimate, drawn = bootstrap_ratios(scores[["student"]], scores[[TEACHER]], replicates)
        number = part["replicate"].nunique()
        low, high = interval(estimate, drawn, [number])
        found = {"mean": estimate, "low": low.clip(0), "high": high, "images": number}
        parts.append(pd.DataFrame([key], columns=list(by)).join(pd.DataFrame(found)))
    return pd.concat(parts, ignore_index=True)
