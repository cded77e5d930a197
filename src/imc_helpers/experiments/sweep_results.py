"""How the points of a sweep hand over their results, and where the table of all of them is.

A notebook shows its rows as one of its outputs. So it needs no file, runs anywhere, and a result
cannot be there without the notebook that made it.
"""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
from IPython.display import display

from imc_helpers.data.paths import project_root
from imc_helpers.errors import InputError

ROWS_MIME = "application/vnd.imc-book.rows+json"
"""Type of the output by which a point hands its rows over."""


def hand_over(rows: pd.DataFrame) -> None:
    """Show a point's rows as an output that the runner of a sweep finds.

    Parameters
    ----------
    rows
        One row an image; whole numbers, numbers and text.
    """
    # Columns as a list: a notebook's file does not keep the order of an object's keys.
    content = json.loads(rows.to_json(orient="split", index=False, double_precision=15))
    display({ROWS_MIME: content, "text/plain": f"{len(rows)} rows"}, raw=True)


def rows_of(notebook: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows that an executed notebook handed over.

    Parameters
    ----------
    notebook
        As nbformat reads it.

    Raises
    ------
    InputError
        If it did not hand rows over exactly once.
    """
    found = [
        output["data"][ROWS_MIME]
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if ROWS_MIME in output.get("data", {})
    ]
    if len(found) != 1:
        raise InputError(
            f"a point of a sweep hands its rows over once (sweep_results.hand_over), found "
            f"{len(found)} times"
        )
    return pd.DataFrame(found[0]["data"], columns=found[0]["columns"])


def read_sweep(edition: str, name: str) -> pd.DataFrame:
    """Read the table of a sweep: one row per point and image, the parameters first.

    Raises
    ------
    InputError
        If the sweep has not run.
    """
    path = project_root() / "results" / edition / "sweeps" / f"{name}.csv"
    if not path.is_file():
        raise InputError(f"{path}: not there; run `make sweep NAME={name} EDITION={edition}`")
    return pd.read_csv(path, keep_default_na=False, na_values=[""])
