"""Which channels enter an aggregate, with how much, and which of the study's a cohort has."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from imc_helpers.data.lab_folder.marker_compartments import compartments
from imc_helpers.data.panels import Panel
from imc_helpers.data.samples import Cohort


def channel_shares(cohort: Cohort, compartment: str) -> pd.DataFrame:
    """Say how much of an aggregate each channel gives.

    The mean is taken without scaling, so a channel's share of the aggregate is its share of all
    counts.

    Parameters
    ----------
    cohort
        Its panel says which channels enter.
    compartment
        ``"nucleus"`` or ``"membrane"``.

    Returns
    -------
    pandas.DataFrame
        One row per channel: ``channel``, ``mean`` (counts per pixel over all samples), ``zeros``
        (share of pixels without a count), ``share`` (of the aggregate, 0 … 1).
    """
    positions = list(cohort.panel.compartment(compartment))
    total, zero, pixels = np.zeros(len(positions)), np.zeros(len(positions)), 0
    for sample in cohort.ids:
        planes = cohort.read_image(sample)[positions].reshape(len(positions), -1)
        total += planes.sum(axis=1, dtype=np.float64)
        zero += (planes == 0).sum(axis=1)
        pixels += planes.shape[1]
    return pd.DataFrame(
        {
            "channel": [cohort.panel.names[i] for i in positions],
            "mean": total / pixels,
            "zeros": zero / pixels,
            "share": total / total.sum(),
        }
    )


def marker_availability(cohort: Cohort, markers: pd.DataFrame) -> pd.DataFrame:
    """Say which of the study's markers a cohort has, and what stands in.

    Parameters
    ----------
    cohort
        Its panel is compared.
    markers
        The study's Table 2: columns ``compartment``, ``marker``, ``channel``. DNA stains are looked
        for by metal, since their names differ; antibodies by marker, since their metals do.

    Returns
    -------
    pandas.DataFrame
        One row per channel of the study or of the cohort's aggregates: ``compartment``, ``marker``,
        ``status``: ``"present"``, ``"missing"`` or ``"stand-in"``.
    """
    present = {name for c in cohort.panel.channels for name in (c.name, c.channel)}
    by_metal = markers["marker"] == "DNA"
    wanted = markers["channel"].where(by_metal, markers["marker"])
    rows = [
        {"compartment": c, "marker": w, "status": "present" if w in present else "missing"}
        for c, w in zip(markers["compartment"], wanted, strict=True)
    ]
    known = set(wanted)
    rows += [
        {"compartment": c.compartment, "marker": c.name, "status": "stand-in"}
        for c in cohort.panel.channels
        if c.compartment and not {c.name, c.channel} & known
    ]
    return pd.DataFrame(rows)


def membrane_choice(panel: Panel, markers: pd.DataFrame) -> dict[str, Any]:
    """Say which markers make a cohort's membrane channel, and which others could.

    Parameters
    ----------
    panel
        The cohort's channels.
    markers
        The study's Table 2, as for `marker_availability`.

    Returns
    -------
    dict
        ``of_study`` (how many of the study's membrane markers enter), ``entering`` and ``others``
        (names: those that enter, and channels of the panel that the book knows to mark membranes
        and that do not).
    """
    entering = [panel.names[k] for k in panel.compartment("membrane")]
    study = set(markers.loc[markers["compartment"] == "membrane", "marker"])
    bare = Panel(tuple(replace(channel, compartment="") for channel in panel.channels))
    known = [name for name, what in compartments(bare).items() if what == "membrane"]
    return {
        "of_study": len(study.intersection(entering)),
        "entering": entering,
        "others": [name for name in known if name not in entering],
    }
