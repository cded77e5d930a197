"""Does a student inherit its annotator? Networks trained on one rater's masks, scored with all.

Every image is left out in turn: a network learns from the others, one of which chooses the epoch,
and is scored on it. Or students are carried over to another tissue, and meet those that learned
there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from imc_helpers.agreement.intervals import mean_intervals
from imc_helpers.data.manifest import cohort_record
from imc_helpers.data.panels import Channel, Panel
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
from imc_helpers.models.training.patches import Split, cut

FEWEST_IMAGES = 3
"""One to learn from, one to choose the epoch, one to be scored on."""
SMALL_PATCH_PX = 64
"""Edge of the patches where some of the images are smaller than the lung networks' patches."""
_ALSO = {
    "vim": "vimentin",
    "collageni": "collagen1",
    "collagen": "collagen1",
    "h3": "histoneh3",
}
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
    others = tuple(name for name in panel.names if _spelled(name) in wanted)
    return tuple(dict.fromkeys((*nuclear, *others))), nuclear


def _spelled(name: str) -> str:
    """Return a marker's name as all panels may be compared by it."""
    return _ALSO.get(name.lower(), name.lower())


def shared_channels(home: Panel, abroad: Panel) -> dict[str, str]:
    """Return what two panels share of the lung networks' channels: names abroad, by names at home.

    Empty if none of them is a nuclear channel abroad, since cells are grown from nuclei.
    """
    if not all(
        "nucleus" in {one.compartment for one in panel.channels} for panel in (home, abroad)
    ):
        return {}
    theirs, nuclear = lung_channels(abroad)
    by_spelling = {_spelled(name): name for name in theirs}
    ours = {name: by_spelling.get(_spelled(name)) for name in lung_channels(home)[0]}
    both = {name: other for name, other in ours.items() if other}
    return both if set(both.values()) & set(nuclear) else {}


def elsewhere(home: str, cohorts: Iterable[str]) -> str:
    """Return the first other real cohort to which a cohort's students can be carried, or nothing.

    It shares channels with theirs, and has as many labelled images as a student of its own needs.
    """
    panel = open_cohort(home).panel
    for key in cohorts:
        if key == home or cohort_record(key).synthetic or not cohort_record(key).raters:
            continue
        other = open_cohort(key)
        if len(_labelled(key)) >= FEWEST_IMAGES and shared_channels(panel, other.panel):
            return key
    return ""


def _labelled(cohort: str) -> tuple[str, ...]:
    opened = open_cohort(cohort)
    rater = opened.references[0]
    return tuple(one for one in opened.ids if rater in opened.references_of(one))


def carried_over(
    home: str, abroad: str, training: Training, *, device: str = "cpu"
) -> pd.DataFrame:
    """Score students of one cohort's raters on another, beside students that learned there.

    All see the channels that both cohorts have. Those of the first two raters at home learn from
    all images there; those of the first rater abroad from all images but the one that is left out,
    which they meet so often that they make about as many steps. All are scored with the masks of
    the latter.

    Parameters
    ----------
    home, abroad
        Keys in the manifest; see `elsewhere`.
    training
        How the students are trained, but for the size of patches: it is `SMALL_PATCH_PX`.
    device
        ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    pandas.DataFrame
        What `imc_helpers.experiments.imperfect_labels.score` returns, with ``teacher`` and
        ``learned_on``, a cohort: one row per student and image abroad.
    """
    channels = shared_channels(open_cohort(home).panel, open_cohort(abroad).panel)
    markers = tuple(channels)
    here = _seen(home, shared_images(home), {name: name for name in channels})
    there = _seen(abroad, _labelled(abroad), channels)
    _, nuclear_there = lung_channels(open_cohort(abroad).panel)
    nuclear = tuple(name for name, other in channels.items() if other in nuclear_there)
    judge = open_cohort(abroad).references[0]
    training = replace(training, patch_px=SMALL_PATCH_PX)
    chooses, *learned = here
    split = Split(tuple(learned), (chooses,), tuple(there))
    lessons = [
        (teacher, home, Tissue({**here, **there}, split, teacher, markers, nuclear))
        for teacher in open_cohort(home).references[:2]
    ]
    patches = _patches(here[name] for name in learned)
    for k, left_out in enumerate(there):
        chooses, *learned = np.roll([one for one in there if one != left_out], k).tolist()
        times = round(patches / _patches(there[name] for name in learned))
        again = {f"{name}, {n}": there[name] for name in learned for n in range(max(1, times))}
        split = Split(tuple(again), (chooses,), (left_out,))
        lessons.append((judge, abroad, Tissue({**there, **again}, split, judge, markers, nuclear)))
    rows = []
    for teacher, learned_on, tissue in lessons:
        found = score(train(tissue, Labels(), training, device=device), tissue, [judge])
        rows.append(found.assign(teacher=teacher, learned_on=learned_on))
    return pd.concat(rows, ignore_index=True)


def _patches(samples: Iterable[Sample]) -> int:
    return sum(len(cut(sample.image, SMALL_PATCH_PX)) for sample in samples)


def _seen(cohort: str, names: Iterable[str], channels: Mapping[str, str]) -> dict[str, Sample]:
    """Read samples with some of their channels, under other names."""
    opened = open_cohort(cohort)
    found = {}
    for name in names:
        sample = opened.read(name)
        planes = [sample.panel.index(theirs) for theirs in channels.values()]
        panel = Panel(tuple(Channel(ours, ours) for ours in channels))
        found[f"{cohort} {name}"] = replace(sample, image=sample.image[planes], panel=panel)
    return found


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
