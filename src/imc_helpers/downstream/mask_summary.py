"""What the cells of an image come to under each mask, and how much that depends on the mask."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imc_helpers.agreement.intervals import mean_intervals
from imc_helpers.downstream.measure import CellTables

CELLS, AREA, NEIGHBOURS = "cells", "median area of a cell", "neighbours of a cell"
QUANTITIES = (CELLS, AREA, NEIGHBOURS)


def summarise(tables: CellTables, um_per_px: float) -> dict[str, float]:
    """Sum up the tables of one mask of one image.

    Parameters
    ----------
    tables
        What `measure` returns.
    um_per_px
        Edge of a pixel, micrometres.

    Returns
    -------
    dict
        `CELLS`, a number; `AREA`, square micrometres, and `NEIGHBOURS`, a mean, missing without
        cells; then, by channel, the mean over cells of their mean counts, missing likewise.
    """
    n_cells = len(tables.regionprops)
    return {
        CELLS: n_cells,
        AREA: float(tables.regionprops["area"].median()) * um_per_px**2,
        NEIGHBOURS: len(tables.neighbors) / n_cells if n_cells else np.nan,
        **{str(name): float(mean) for name, mean in tables.intensities.mean().items()},
    }


def relative(
    summaries: pd.DataFrame, reference: str, quantities: Sequence[str] = QUANTITIES
) -> pd.DataFrame:
    """Set each mask beside a reference, image by image.

    Parameters
    ----------
    summaries
        One row per mask and image: ``rater``, ``sample``, and what `summarise` returns.
    reference
        The rater that the others are compared with.
    quantities
        Columns to compare.

    Returns
    -------
    pandas.DataFrame
        One row per other mask and quantity: ``rater``, ``quantity``, ``value`` (how many times that
        of the reference, geometric mean over images), ``low`` and ``high`` (95% interval over
        images, missing for one), ``images``. An image where either side is 0 or missing is left
        out.
    """
    table = summaries.set_index(["rater", "sample"])[list(quantities)].astype(float)
    logs = table.where(table > 0).apply(np.log)
    parts = []
    for rater in summaries["rater"].unique():
        if rater != reference:
            ratios = (logs.loc[rater] - logs.loc[reference]).dropna(how="all")
            found = mean_intervals(ratios, ratios.index) if len(ratios) else _nothing(quantities)
            found[["mean", "low", "high"]] = found[["mean", "low", "high"]].apply(np.exp)
            parts.append(found.rename_axis("quantity").reset_index().assign(rater=rater))
    columns = ["rater", "quantity", "value", "low", "high", "images"]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True).rename(columns={"mean": "value"})[columns]


def _nothing(quantities: Sequence[str]) -> pd.DataFrame:
    missing = dict.fromkeys(("mean", "low", "high"), np.nan)
    return pd.DataFrame(missing | {"images": 0}, index=list(quantities))
