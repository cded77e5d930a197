"""Pictures of what is odd about a lab's masks, one example of each oddity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imc_helpers.data.manifest import cohort_record
from imc_helpers.data.readers.label_files import read_labels
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError
from imc_helpers.figures.names import rater_name
from imc_helpers.figures.page import NARROW, in_dark_style
from imc_helpers.figures.tissue_images import (
    draw_cells,
    heading,
    scale_bar,
    show_plane,
    square_panels,
    stretch,
)

FIELD_UM = 40.0
"""Edge of a crop, micrometres."""


@dataclass(frozen=True)
class Example:
    """One oddity, and the mask that has it."""

    what: str
    """The oddity, in words."""
    rater: str
    """Whose mask."""
    cohort: Cohort
    sample: str
    labels: np.ndarray
    """(H, W) labels as they are; of another shape than the sample, where that is what is odd."""


def oddity_examples(
    cohorts: Mapping[str, Cohort], oddities: pd.DataFrame, *, most: int = 12
) -> list[Example]:
    """Find one example of each oddity that can be drawn.

    Parameters
    ----------
    cohorts
        Cohort by key.
    oddities
        As `imc_helpers.data.lab_folder.preparation.read_oddities` returns, with ``cohort``.
    most
        Examples, at most.
    """
    seen = (oddities["rater"] != "") & (oddities["what"] != "one annotator")
    drawn = oddities[seen].drop_duplicates(["cohort", "what", "rater"])
    drawn = drawn.sort_values(["used", "what"], kind="stable").drop_duplicates(["cohort", "what"])
    examples = []
    for _, one in drawn.iterrows():
        cohort = cohorts[one["cohort"]]
        if (found := _labels(cohort, one)) is not None:
            examples.append(Example(str(one["what"]), str(one["rater"]), cohort, *found))
    return examples[:most]


@in_dark_style
def oddity_pictures(examples: Sequence[Example], *, width: float) -> Figure:
    """Draw each example: the mask on its image, or the file alone where it does not fit one.

    Parameters
    ----------
    examples
        What `oddity_examples` returns, one or more.
    width
        Width of the figure, inches.
    """
    columns, letters = (2, 26) if width < NARROW else (3, 38)
    figure, axes = square_panels(len(examples), columns, width / columns, lines=3)
    for axis, one in zip(axes, examples, strict=True):
        _draw(axis, one.cohort, one.sample, one.labels)
        lines = [one.what, rater_name(one.rater), one.sample]
        short = [line if len(line) <= letters else f"{line[: letters - 1]}…" for line in lines]
        heading(axis, [(line, "white") for line in short])
    return figure


def _labels(cohort: Cohort, oddity: pd.Series) -> tuple[str, np.ndarray] | None:
    """Return the sample and labels of an oddity, as they are; None where they cannot be read."""
    sample = oddity["sample"] if oddity["sample"] in cohort.ids else ""
    if oddity["file"]:
        shape = cohort.shape(sample or cohort.ids[0])
        try:
            return sample or str(oddity["sample"]), read_labels(Path(oddity["file"]), shape)
        except InputError:
            return None
    own = cohort.labelled_by(oddity["rater"])
    if not own:
        return None
    sample = sample if sample in own else own[0]
    return sample, cohort.read_mask(sample, oddity["rater"])


def _draw(axis: Axes, cohort: Cohort, sample: str, labels: np.ndarray) -> None:
    fits = sample in cohort.ids and labels.shape == cohort.shape(sample)
    labels = np.nan_to_num(np.asarray(labels, float))
    side = round(FIELD_UM / (cohort.um_per_px(sample) if sample in cohort.ids else 1))
    crop = _densest(labels, side) if fits else (slice(None), slice(None))
    if fits:
        dna = cohort.panel.index(cohort_record(cohort.name).dna_channel)
        show_plane(axis, 0.75 * stretch(cohort.read_image(sample)[dna])[crop])
        draw_cells(axis, [labels[crop]])
        scale_bar(axis, labels[crop].shape, cohort.um_per_px(sample))
    else:
        show_plane(axis, labels > 0)


def _densest(labels: np.ndarray, side: int) -> tuple[slice, slice]:
    """Return the window of an image, of a grid of windows, with most of it in cells."""
    height, width = labels.shape
    side = min(side, height, width)
    starts = [
        (top, left)
        for top in range(0, height - side + 1, max(1, side // 2))
        for left in range(0, width - side + 1, max(1, side // 2))
    ]
    filled = [(labels[t : t + side, left : left + side] > 0).mean() for t, left in starts]
    top, left = starts[int(np.argmax(filled))]
    return slice(top, top + side), slice(left, left + side)
