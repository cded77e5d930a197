"""Any sweep at a glance: one number against each parameter."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from imc_helpers.figures.names import rater_name
from imc_helpers.figures.page import BLUE, NARROW, VERMILION, in_style, wrapped


@in_style
def against_parameters(
    table: pd.DataFrame, parameters: Sequence[str], measure: str, *, width: float
) -> Figure:
    """Draw a number against the values of each parameter, a panel per parameter.

    Parameters
    ----------
    table
        One row per result; columns for the parameters and the number.
    parameters
        Columns to draw against; each keeps the order in which its values first occur.
    measure
        Column of the number.
    width
        Width of the figure, inches.
    """
    row_in = 0.38 if width < NARROW else 0.26  # names take two lines where there is little room
    counts = [table[name].nunique() for name in parameters]
    figure, axes = plt.subplots(
        len(parameters),
        1,
        figsize=(width, 0.9 * len(parameters) + row_in * sum(counts)),
        height_ratios=[count + 1 for count in counts],
        sharex=True,
        squeeze=False,
    )
    for axis, name in zip(axes[:, 0], parameters, strict=True):
        groups = list(table.groupby(name, sort=False)[measure])
        for row, (_, values) in enumerate(groups):
            # Spread by rank, so that equal numbers do not hide one another.
            spread = np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else [0.0]
            axis.plot(values, row + np.asarray(spread), ".", color=BLUE, alpha=0.5, ms=6)
            axis.plot([values.mean()], [row], "D", color=VERMILION, ms=5)
        names = wrapped([rater_name(str(value)) for value, _ in groups], width)
        axis.set_yticks(range(len(groups)), names)
        axis.set_ylim(len(groups) - 0.5, -0.5)
        axis.set_title(name, loc="left", weight="bold")
    axes[-1, 0].set_xlabel(measure)
    return figure
