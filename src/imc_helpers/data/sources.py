"""Where cohorts come from, and who may hand them on."""

from collections.abc import Mapping

import pandas as pd

from imc_helpers.data.manifest import UNKNOWN, CohortRecord

SITE = "on a public site"
"""Column: whether `make site` hands on a cohort's images and masks."""


def describe_sources(records: Mapping[str, CohortRecord]) -> pd.DataFrame:
    """Say where each cohort comes from and under which licence.

    Parameters
    ----------
    records
        The manifest's records by cohort.

    Returns
    -------
    pandas.DataFrame
        One row per cohort: ``cohort``, ``modality``, ``µm per px``, ``licence``, `SITE`, ``all
        checked``, ``reference`` (a citation as MyST has it).
    """
    return pd.DataFrame(
        {
            "cohort": key,
            "modality": record.modality,
            "µm per px": f"{record.um_per_px:g}",
            "licence": record.license,
            SITE: in_a_site(record),
            "all checked": "yes" if record.verified else "no",
            "reference": ("made by this book, after " if record.synthetic else "")
            + f"{{cite:p}}`{record.citation}`",
        }
        for key, record in records.items()
    )


def in_a_site(record: CohortRecord) -> str:
    """Say whether a site hands on a cohort's images and masks, and why not."""
    if record.own:
        return "as you decide"
    if record.noncommercial:
        return "no: non-commercial"
    return "no: licence not known" if record.license == UNKNOWN else "yes"
