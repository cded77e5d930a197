"""The same sample, seen differently: other channels, another aggregate, cleaned, or enlarged.

Each function takes a sample and returns another, with the masks that belong to it. A model sees the
difference through the panel, as it sees any sample.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from imc_helpers.aggregation import METHODS, aggregate, rgb_projection
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.images.enlargement import enlarge
from imc_helpers.images.pipeline import NONE, SPILLOVER, parse, preprocess

ALL, NOTHING, ONLY, WITHOUT = "all", "none", "only ", "without "
"""Which channels make the membrane plane: all of the panel's, none, one, or all but one."""
RGB = "rgb"
"""The aggregation with three planes."""
AGGREGATIONS = (*METHODS, RGB)
"""Ways to aggregate: those with one plane a compartment, and the projection to three."""

_TWO = Panel(
    (Channel("nucleus", "nucleus", "nucleus"), Channel("membrane", "membrane", "membrane"))
)
_THREE = Panel(
    (
        Channel("red", "red", "nucleus"),
        Channel("green", "green", "membrane"),
        Channel("blue", "blue", "membrane"),
    )
)


def crop(sample: Sample, side_px: int) -> Sample:
    """Cut the middle out of a sample, image and masks; all of it where it is smaller.

    Parameters
    ----------
    sample
        Any sample.
    side_px
        Edge of what is left, pixels.
    """
    rows, columns = (
        slice(max(0, (side - side_px) // 2), max(0, (side - side_px) // 2) + side_px)
        for side in sample.shape
    )
    return part(sample, rows, columns)


def part(sample: Sample, rows: slice, columns: slice) -> Sample:
    """Cut a part out of a sample, image and masks; cells at its edge are cut too."""
    return replace(
        sample,
        image=sample.image[:, rows, columns],
        masks={name: mask[rows, columns] for name, mask in sample.masks.items()},
        nuclei={name: mask[rows, columns] for name, mask in sample.nuclei.items()},
    )


def membrane_channels(panel: Panel, choice: str) -> tuple[int, ...]:
    """Return the positions of the channels that make the membrane plane.

    Parameters
    ----------
    panel
        Its compartment ``membrane`` is what is chosen from.
    choice
        ``"all"``; ``"none"``; ``"only CD45"`` for one channel alone, whatever its compartment;
        ``"without CD20"`` for all membrane channels but one.

    Raises
    ------
    InputError
        If the choice is none of these, names a channel that is not there, or leaves nothing.
    """
    if choice == NOTHING:
        return ()
    if choice.startswith(ONLY):
        return (panel.index(choice.removeprefix(ONLY)),)
    every = panel.compartment("membrane")
    if choice == ALL:
        return every
    if not choice.startswith(WITHOUT):
        raise InputError(
            f"channels {choice!r}: expected 'all', 'none', 'only NAME' or 'without NAME'"
        )
    left_out = panel.index(choice.removeprefix(WITHOUT))
    if left_out not in every or len(every) == 1:
        raise InputError(
            f"channels {choice!r}: expected one of several membrane channels, which are "
            f"{', '.join(panel.names[i] for i in every)}"
        )
    return tuple(i for i in every if i != left_out)


def with_channels(
    sample: Sample, choice: str, aggregation: str, *, nucleus: str = "", seed: int = 0
) -> Sample:
    """Aggregate a sample's channels before a model does.

    Parameters
    ----------
    sample
        Its panel says which channels show nuclei and membranes.
    choice
        As for `membrane_channels`. With ``"none"`` the membrane plane is 0.
    aggregation
        One of `AGGREGATIONS`. ``"rgb"`` gives three planes: red counts as nucleus, green and blue
        as membrane, so a model that takes two planes sees red, and the mean of green and blue.
    nucleus
        How the nuclear channels are put together, if not as the membrane channels are.
    seed
        Draws the colours of ``"rgb"``.

    Raises
    ------
    InputError
        If an aggregation or the choice is unknown, or the panel lacks a nuclear channel.
    """
    for name in (aggregation, nucleus or aggregation):
        if name not in AGGREGATIONS:
            raise InputError(f"aggregation {name!r}: expected one of {', '.join(AGGREGATIONS)}")
    nuclear = sample.panel.compartment("nucleus")
    membrane = membrane_channels(sample.panel, choice)
    if RGB in (aggregation, nucleus):
        if not membrane or nucleus:
            raise InputError(
                "aggregation 'rgb': expected membrane channels to colour, and no other way for the "
                "nuclear ones"
            )
        image = rgb_projection(sample.image, nuclear, membrane, seed)
        return replace(sample, image=image, panel=_THREE)
    first = aggregate(sample.image, nuclear, nucleus or aggregation)
    second = aggregate(sample.image, membrane, aggregation) if membrane else np.zeros_like(first)
    return replace(sample, image=np.stack([first, second]), panel=_TWO)


def preprocessed(
    sample: Sample, before: str, after: str, spillover: np.ndarray | None = None
) -> Sample:
    """Clean a sample before and after its channels are averaged.

    Parameters
    ----------
    sample
        Its channels carry metal tags where spillover is compensated.
    before
        Pipeline (`imc_helpers.images.pipeline.parse`) for every channel.
    after
        Pipeline for the two planes that follow from them; without ``spillover``.
    spillover
        (C, C) array: the spillover of the instrument that made the image.

    Raises
    ------
    InputError
        If a pipeline is unknown, if spillover is to be compensated between planes that are not
        metals, or without the instrument's matrix.
    """
    for pipeline in (before, after):
        _checked(pipeline)
    if SPILLOVER in parse(after):
        raise InputError(
            f"pipeline {after!r}: spillover is between metals, not between aggregates; "
            "compensate it before"
        )
    if SPILLOVER in parse(before) and spillover is None:
        raise InputError(
            f"pipeline {before!r}: sample {sample.id} comes without a measured matrix of "
            "spillover, and that of another instrument would take away what was never added. "
            "Put its own at data/COHORT/spillover.csv, or leave the step out"
        )
    clean = replace(sample, image=preprocess(sample.image, before, spillover))
    planes = with_channels(clean, ALL, "mean")
    return planes if after == NONE else replace(planes, image=preprocess(planes.image, after))


def read_spillover(path: Path, panel: Panel) -> np.ndarray:
    """Read a table of spillover in the layout of CATALYST, for the channels of a panel.

    Parameters
    ----------
    path
        CSV with a row for each metal that emits and a column for each that receives, named by their
        tags (``Dy161`` or ``Dy161Di``); the entries are shares.
    panel
        The channels of the image. Those that the table lacks spill nothing.

    Returns
    -------
    numpy.ndarray
        (C, C) float64, with 1 on the diagonal where the table does not say otherwise.

    Raises
    ------
    InputError
        If the file is missing or holds anything but numbers.
    """
    try:
        table = pd.read_csv(path, index_col=0).astype(float)
    except FileNotFoundError:
        raise InputError(f"{path}: no such table of spillover") from None
    except ValueError as error:
        raise InputError(f"{path}: expected metals by metals, with numbers: {error}") from None
    table.index = table.index.astype(str).str.removesuffix("Di")
    table.columns = table.columns.astype(str).str.removesuffix("Di")
    metals = [channel.channel for channel in panel.channels]
    found = table.reindex(index=metals, columns=metals).to_numpy()
    return np.where(np.isnan(found), np.eye(len(metals)), found)


def enlarged(sample: Sample, factor: int, interpolation: str, *, declared: bool) -> Sample:
    """Enlarge a sample's two planes; the masks stay behind, in the pixels they were drawn in.

    Parameters
    ----------
    sample
        Its channels are averaged first, as the study does.
    factor, interpolation
        As for `imc_helpers.images.enlargement.enlarge`.
    declared
        Whether the model is told that pixels are smaller now. A model that rescales its input to
        cells of a known size undoes the enlargement when it is told, and sees larger cells when it
        is not.

    Returns
    -------
    Sample
        Two planes and no masks.
    """
    planes = with_channels(sample, ALL, "mean")
    um_per_px = sample.um_per_px / factor if declared else sample.um_per_px
    image = enlarge(planes.image, factor, interpolation)
    return replace(planes, image=image, um_per_px=um_per_px, masks={}, nuclei={})


def _checked(pipeline: str) -> None:
    try:
        parse(pipeline)
    except ValueError as error:
        raise InputError(str(error)) from None
