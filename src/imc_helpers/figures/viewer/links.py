"""Where the viewer's pages stand in the book, and how to open one at a cell."""

from pathlib import Path
from urllib.parse import quote, urlencode

import pandas as pd

from imc_helpers.data.paths import project_root

FOLDER = "viewer"
"""Folder of the viewer below the book's pages: ``viewer/COHORT/SAMPLE.html``."""


def viewer_link(
    cohort: str, sample: str, *, rater: str = "", cell: int | None = None, other: str = ""
) -> str:
    """Return the address of a sample's viewer, as a page of the book reaches it.

    Parameters
    ----------
    cohort, sample
        Which image.
    rater, cell
        Whose cell the viewer opens at, and its id; the whole image without them.
    other
        The rater to compare with.

    Returns
    -------
    str
        A relative address, for pages at ``chapters/PART/PAGE.html``.

    Examples
    --------
    >>> viewer_link("spleen_imc", "ROI002", rater="ilastik", cell=123)
    '../../viewer/spleen_imc/ROI002.html#rater=ilastik&cell=123'
    """
    asked = {"rater": rater, "cell": "" if cell is None else str(cell), "with": other}
    place = urlencode({key: value for key, value in asked.items() if value}, quote_via=quote)
    page = f"../../{FOLDER}/{quote(cohort)}/{quote(sample)}.html"
    return f"{page}#{place}" if place else page


def samples_file(edition: str, cohort: str) -> Path:
    """Return where the list of a cohort's pages is stored; the pages lie in the folder beside it.

    It is what `imc_helpers.figures.viewer.pages.write_pages` returns, as CSV; it need not be there.
    """
    return project_root() / "results" / edition / FOLDER / f"{cohort}.csv"


def read_samples(edition: str, cohort: str) -> pd.DataFrame:
    """Return the list of a cohort's pages, empty where nobody has made them."""
    path = samples_file(edition, cohort)
    return pd.read_csv(path, dtype={"sample": str}) if path.is_file() else pd.DataFrame()
