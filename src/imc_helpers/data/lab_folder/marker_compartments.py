"""What channels show, from the names of their markers: ``data_manifest/markers.csv``."""

import re
from functools import cache

import pandas as pd

from imc_helpers.data.panels import Panel
from imc_helpers.data.paths import shipped


def compartments(panel: Panel) -> dict[str, str]:
    """Propose which channels show nuclei or membranes.

    Capitals, dashes and what stands in brackets do not count: ``E-Cadherin (24E10)`` is
    ``ECadherin``. Where the panel itself says something, only that counts.

    Returns
    -------
    dict
        ``"nucleus"`` or ``"membrane"``, by channel; channels that show neither are left out.
    """
    given = {c.name: c.compartment for c in panel.channels if c.compartment}
    if given:
        return given
    known = _table()
    found = {
        c.name: known.get(_plain(c.name)) or known.get(_plain(c.channel), "")
        for c in panel.channels
    }
    return {name: what for name, what in found.items() if what}


@cache
def _table() -> dict[str, str]:
    table = pd.read_csv(shipped("data_manifest") / "markers.csv", dtype=str)
    return {_plain(str(marker)): str(what) for marker, what in table.to_numpy()}


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\(.*?\)", "", text).lower())
