"""What a model costs, drawn against what it gives."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from imc_helpers.figures.names import model_name
from imc_helpers.figures.page import BLUE, NARROW, VERMILION, in_style

_DEVICES = {"cpu": (BLUE, "o"), "cuda": (VERMILION, "s")}


@in_style
def speed_against_score(table: pd.DataFrame, *, raters: str = "annotators", width: float) -> Figure:
    """Draw a point per model: seconds for a megapixel against its mean score.

    Parameters
    ----------
    table
        One row per model and device: ``model``, ``device``, ``s_per_megapixel``, ``ap50``; a model
        without a score has no point.
    raters
        Whose masks the score is with, ``"tools"`` for instance.
    width
        Width of the figure, inches.
    """
    table = table[table["ap50"].notna()]
    figure, axis = plt.subplots(figsize=(width, 3.6))
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
    # Names go to the side of the point that has room; in a narrow figure above it, or below it
    # where the point of another model is as high.
    low, high = table["s_per_megapixel"].min(), table["s_per_megapixel"].max()
    near = 0.08 * (table["ap50"].max() - table["ap50"].min())
    for row in table.itertuples():
        left = row.s_per_megapixel > (low * high) ** 0.5
        shift, place = (-7 if left else 7, 0), "center"
        if width < NARROW:
            above = table["ap50"].to_numpy(float) - float(row.ap50)  # type: ignore[arg-type]
            below = bool(((above > 0) & (above < near)).any())
            shift, place = (5 if left else -5, -6 if below else 6), "top" if below else "bottom"
        axis.annotate(
            model_name(str(row.model)),
            (row.s_per_megapixel, row.ap50),
            xytext=shift,
            textcoords="offset points",
            ha="right" if left else "left",
            va=place,
        )
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(low / 1.4, high * 1.4)
    axis.margins(y=0.12)
    axis.set_xlabel("seconds per megapixel")
    axis.set_ylabel(f"mean ap50 with the {raters}")
    if len(set(table["device"])) > 1:
        axis.legend()
    return figure
