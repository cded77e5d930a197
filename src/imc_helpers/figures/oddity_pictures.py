"""Pictures of what is odd about a lab's masks, one example of each oddity."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imc_helpers.data.manifest import cohort_record
from imc_helpers.data.readers.label_files import read_labels
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError
from imc_helpers.figures.page import GOLD, in_style
from imc_helpers.figures.tissue_images import stretch

FIELD_UM = 60.0
"""Edge of a crop, micrometres."""
_COLUMNS = 3


@in_style
def oddity_pictures(
    cohorts: Mapping[str, Cohort], oddities: pd.DataFrame, *, most: int = 12
) -> Figure | None:
    """Draw one example of each oddity of each rater: the mask on its image, or the file alone.

    Parameters
    ----------
    cohorts
        Cohort by key.
    oddities
        As `imc_helpers.data.lab_folder.preparation.read_oddities` returns, with ``cohort``.
    most
        Pictures, at most.

    Returns
    -------
    matplotlib.figure.Figure or None
        None where nothing that was found can be drawn.
    """
    drawn = oddities[oddities["rater"] != ""].drop_duplicates(["cohort", "what", "rater"])
    drawn = drawn.sort_values(["used", "what"], kind="stable").drop_duplicates(["cohort", "what"])
    examples = []
    for _, one in drawn.iterrows():
        cohort = cohorts[one["cohort"]]
        if (found := _labels(cohort, one)) is not None:
            examples.append((one, cohort, *found))
    if not examples:
        return None
    examples = examples[:most]
    rows = -(-len(examples) // _COLUMNS)
    columns = min(_COLUMNS, len(examples))
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 3.0 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (one, cohort, sample, labels) in zip(axes.flat, examples, strict=False):
        _draw(axis, cohort, sample, labels)
        name = one["rater"] if len(one["rater"]) < 28 else f"{one['rater'][:26]}…"
        axis.set_title(f"{one['what']}\n{name}\n{sample}", fontsize=8)
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
        image = stretch(cohort.read_image(sample)[dna])[crop]
        axis.imshow(image, cmap="gray", interpolation="none")
        part = labels[crop]
        for label in np.unique(part[part > 0]):
            axis.contour(part == label, levels=[0.5], colors=[GOLD], linewidths=0.8)
    else:
        axis.imshow(labels > 0, cmap="gray", interpolation="none")


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
