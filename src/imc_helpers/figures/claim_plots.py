"""Plots of how far a ranking may be believed."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from imc_helpers.decisions.claims import LEVEL, Verdict
from imc_helpers.figures.page import (
    GOLD,
    GREEN,
    NARROW,
    VERMILION,
    in_style,
    legend,
    name_rows,
    row_panels,
    wrapped,
)

_OF_VERDICT = {
    Verdict.HOLDS: (GREEN, "o"),
    Verdict.DEPENDS: (GOLD, "s"),
    Verdict.UNCERTAIN: (VERMILION, "v"),
}
_SMALLEST = 0.001
"""Smaller chances are drawn here."""


@in_style
def claim_rows(audits: pd.DataFrame, *, width: float) -> Figure:
    """Draw for each claim the chance that it is false, and the level below which it holds.

    Parameters
    ----------
    audits
        What `imc_helpers.decisions.claims.audit` returns, claims without an answer left out;
        a column ``group`` names the panel of each.
    width
        Width of the figure, inches.
    """
    groups = {str(name): rows for name, rows in audits.groupby("group", sort=False)}
    row_in = 0.42 if width < NARROW else 0.27
    counts = [len(rows) for rows in groups.values()]
    figure, axes = row_panels(counts, width, row_in=row_in, panel_in=0.5, rest_in=1.0)
    for axis, (name, rows) in zip(axes, groups.items(), strict=True):
        axis.axvspan(_SMALLEST / 2, LEVEL, color=GREEN, alpha=0.12, lw=0)
        for y, (_, row) in enumerate(rows.iterrows()):
            colour, marker = _OF_VERDICT[Verdict(row["verdict"])]
            ends = np.maximum([row["false_low"], row["false_high"]], _SMALLEST)
            axis.plot(ends, [y, y], color=colour, linewidth=2.2)
            axis.plot(ends, [y, y], marker, color=colour, markersize=5.5)
        name_rows(axis, wrapped(rows["claim"], width, wide=44))
        (title,) = wrapped([name], width, wide=90, narrow=24)
        axis.set_title(title, weight="bold", loc="left")
    last = axes[-1]
    last.set_xscale("log")
    last.set_xlim(_SMALLEST / 2, 1)
    last.set_xticks([_SMALLEST, 0.01, LEVEL, 0.2, 1], ["≤.1%", "1%", f"{LEVEL:.0%}", "20%", "100%"])
    last.minorticks_off()
    (label,) = wrapped(["chance that another method is better"], width, wide=80, narrow=24)
    last.set_xlabel(label)
    found = {Verdict(verdict) for verdict in audits["verdict"]}
    handles = [
        Line2D([], [], color=colour, marker=marker, label=verdict.value)
        for verdict, (colour, marker) in _OF_VERDICT.items()
        if verdict in found
    ]
    legend(figure, handles, width)
    return figure
