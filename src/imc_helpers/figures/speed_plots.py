"""What a model costs, drawn against what it gives."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from imc_helpers.figures.page import BLUE, VERMILION, in_style

_DEVICES = {"cpu": (BLUE, "o"), "cuda": (VERMILION, "s")}


@in_style
def speed_against_score(table: pd.DataFrame, *, raters: str = "annotators") -> Figure:
    """Draw a point per model: seconds for a megapixel against its mean score.

    Parameters
    ----------
    table
        One row per model and device: ``title``, ``device``, ``s_per_megapixel``, ``ap50``; a model
        without a score has no point.
    raters
        Whose masks the score is with, ``"tools"`` for instance.
    """
    table = table[table["ap50"].notna()]
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    for device, rows in table.groupby("device", sort=False):
        colour, marker = _DEVICES[str(device)]
        axis.scatter(
            rows["s_per_megapixel"],
            rows["ap50"],
            s=45,
            color=colour,
            marker=marker,
            label=str(device).upper(),
        )
    # Names go to the side of the point that has room.
    middle = (table["s_per_megapixel"].min() * table["s_per_megapixel"].max()) ** 0.5
    for row in table.itertuples():
        left = row.s_per_megapixel > middle
        axis.annotate(
            str(row.title),
            (row.s_per_megapixel, row.ap50),
            xytext=(-7 if left else 7, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=8,
        )
    axis.set_xscale("log")
    axis.set_xlabel("seconds for a megapixel")
    axis.set_ylabel(f"mean ap50 with the {raters}")
    if len(set(table["device"])) > 1:
        axis.legend(frameon=False)
    return figure
