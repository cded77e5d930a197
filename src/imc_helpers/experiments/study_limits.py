"""How much a choice that the study left open can do: the best and the worst of each sweep.

The study names five limits of its own (Schuiki et al. 2025, section 4.4). Three of them are choices
that a sweep can try: how channels are put together, pre-processing, and scale.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from imc_helpers.experiments.sweeps import (
    AS_IT_IS,
    WHOLE,
    by_choice,
    input_names,
    step_names,
    way_names,
)
from imc_helpers.images.pipeline import NONE

SWEEPS = ("channels", "preprocessing", "scale")
"""The sweeps that try the study's limits."""
_COLUMNS = ["question", "model", "which", "choice", "tried", "mean", "low", "high"]


def best_and_worst(sweeps: Mapping[str, pd.DataFrame], metric: str) -> pd.DataFrame:
    """Give, for each question and model, the best and the worst of all choices that were tried.

    Parameters
    ----------
    sweeps
        Table by name, some of `SWEEPS`; the questions of one that is missing are left out.
    metric
        Name of the column of scores.

    Returns
    -------
    pandas.DataFrame
        Two rows per question and model: ``which`` (best or worst), ``choice``, ``tried`` (choices
        beside the study's), and the mean difference from the study's own choice with ``low`` and
        ``high``. A model for which that choice, or any other, is missing is left out.
    """
    rows: list[dict[str, Any]] = []
    for question, (table, choice, baseline) in _questions(sweeps).items():
        for model, tried in table.groupby("model", sort=False):
            choices = set(tried[choice])
            if baseline not in choices or len(choices) < 2:
                continue
            own = by_choice(tried, choice, baseline, metric)
            for which, at in (("best", own["mean"].argmax()), ("worst", own["mean"].argmin())):
                row = own.iloc[int(at)]
                rows.append(
                    {
                        "question": question,
                        "model": str(model),
                        "which": which,
                        "choice": str(row[choice]),
                        "tried": len(own),
                        **row[["mean", "low", "high"]],
                    }
                )
    return pd.DataFrame(rows, columns=_COLUMNS)


def _questions(sweeps: Mapping[str, pd.DataFrame]) -> dict[str, tuple[pd.DataFrame, str, Any]]:
    """Cut the tables into questions: rows, the column of choices, the study's own choice."""
    found: dict[str, tuple[pd.DataFrame, str, Any]] = {}
    if "channels" in sweeps:
        channels = sweeps["channels"]
        channels = channels.assign(way=way_names(channels))
        found["aggregation"] = (channels[channels["channels"] == "all"], "way", "mean")
        found["markers"] = (channels[channels["way"] == "mean"], "channels", "all")
    if "preprocessing" in sweeps:
        steps = sweeps["preprocessing"]
        found["pre-processing"] = (steps.assign(steps=step_names(steps)), "steps", NONE)
    if "scale" in sweeps:
        scale = sweeps["scale"]
        largest = scale["crop_px"] == scale["crop_px"].max()
        small = scale[~largest]
        found["enlargement"] = (small.assign(input=input_names(small)), "input", AS_IT_IS)
        found["window size, px"] = (scale[largest], "window_px", WHOLE)
    return found
