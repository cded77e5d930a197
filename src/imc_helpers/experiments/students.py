"""Does a student inherit its annotator? Networks trained on one rater's masks, scored with all.

Every image is left out in turn: a network learns from the others, one of which chooses the epoch,
and is scored on it.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from imc_helpers.agreement.intervals import mean_intervals
from imc_helpers.data.manifest import cohort_record
from imc_helpers.data.panels import Panel
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import Sample
from imc_helpers.experiments.imperfect_labels import (
    MARKERS,
    NUCLEAR,
    Labels,
    Tissue,
    Training,
    score,
    train,
)
from imc_helpers.models.training.patches import Split

FEWEST_IMAGES = 3
"""One to learn from, one to choose the epoch, one to be scored on."""
_ALSO = {"vim": "vimentin", "collageni": "collagen1", "collagen": "collagen1"}
"""Other spellings of markers."""


def has_two_teachers(cohort: str) -> bool:
    """Say whether a cohort has enough images that two raters have labelled."""
    record = cohort_record(cohort)
    if record.synthetic or len(record.raters) < 2:
        return False
    return len(shared_images(cohort)) >= FEWEST_IMAGES


def shared_images(cohort: str) -> tuple[str, ...]:
    """Return the images of a cohort that its first two raters have both labelled."""
    opened = open_cohort(cohort)
    teachers = set(opened.references[:2])
    return tuple(one for one in opened.ids if teachers <= set(opened.references_of(one)))


def lung_channels(panel: Panel) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what a panel has of the lung networks' channels, and those of them that are nuclear.

    Parameters
    ----------
    panel
        Of a cohort; its channels of the compartment ``nucleus`` stand for DNA.
    """
    nuclear = tuple(panel.names[i] for i in panel.compartment("nucleus"))
    wanted = {name.lower() for name in MARKERS if name not in NUCLEAR}
    others = tuple(name for name in panel.names if _ALSO.get(name.lower(), name.lower()) in wanted)
    return tuple(dict.fromkeys((*nuclear, *others))), nuclear


def leave_one_out(cohort: str, training: Training, *, device: str = "cpu") -> pd.DataFrame:
    """Train a student of each of a cohort's first two raters for every image that is left out.

    Parameters
    ----------
    cohort
        Key in the manifest.
    training
        How the students are trained.
    device
        ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    pandas.DataFrame
        What `imc_helpers.experiments.imperfect_labels.score` returns, with ``teacher``: one row per
        teacher, image and rater.
    """
    opened = open_cohort(cohort)
    names, teachers = shared_images(cohort), opened.references[:2]
    samples: Mapping[str, Sample] = {name: opened.read(name) for name in names}
    markers, nuclear = lung_channels(opened.panel)
    rows = []
    for k, left_out in enumerate(names):
        others = np.roll([one for one in names if one != left_out], k).tolist()
        split = Split(tuple(others[1:]), (others[0],), (left_out,))
        for teacher in teachers:
            tissue = Tissue(samples, split, teacher, markers, nuclear)
            student = train(tissue, Labels(), training, device=device)
            rows.append(score(student, tissue, teachers).assign(teacher=teacher))
    return pd.concat(rows, ignore_index=True)


def inherited(rows: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Compare the two students by each teacher's masks, image by image.

    A student with its own teacher is not compared with itself and the other: one tool's masks may
    be easier for everybody.

    Parameters
    ----------
    rows
        What `leave_one_out` returns.
    columns
        Columns of scores, and their names for readers.

    Returns
    -------
    pandas.DataFrame
        One row per teacher's masks and score: ``rater``, ``score``, ``mean`` (of the student of
        that rater less of the other student), ``low``, ``high``, ``images``.
    """
    parts = []
    for rater, part in rows.groupby("rater", sort=False):
        own = part[part["teacher"] == rater].set_index("sample")[list(columns)]
        other = part[part["teacher"] != rater].set_index("sample")[list(columns)]
        found = mean_intervals(own - other, own.index).rename(index=dict(columns))
        parts.append(found.rename_axis("score").reset_index().assign(rater=rater))
    return pd.concat(parts, ignore_index=True)
