"""What a mask does wrong that spoils counts: doublets, split cells that touch, foreign pixels.

Rates against a mask taken as true: a phantom's truth. Against an annotator's mask the same numbers
say how much two masks differ, and not who is wrong.
"""

import numpy as np

from imc_helpers.cells.contacts import touching_pairs
from imc_helpers.metrics import contingency_table, largest_overlaps

ERROR_RATES = ("doublets", "split_neighbours", "foreign", "background")
"""What `error_rates` returns."""


def error_rates(true: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """Measure the errors of a mask by which cells share counts.

    Parameters
    ----------
    true, pred
        (H, W) integers, 0 is background.

    Returns
    -------
    dict
        ``doublets``: share of the cells that hold at least half of two true cells or more.
        ``split_neighbours``: share of the pairs of touching cells whose two are pieces of one true
        cell: each lies mostly in it. ``foreign``: share of a cell's pixels in true cells other than
        the one that it mostly lies in, mean over cells. ``background``: the same in none. Missing
        where there are no cells, or no two that touch.
    """
    table = contingency_table(true, pred)
    n = table.n_pred
    if n == 0:
        return dict.fromkeys(ERROR_RATES, np.nan)
    held = np.bincount(table.j[2 * table.intersection >= table.true_areas[table.i]], minlength=n)
    best = largest_overlaps(table, table.j)
    owner, most = np.full(n, -1), np.zeros(n)
    owner[table.j[best]] = table.i[best]
    most[table.j[best]] = table.intersection[best]
    within = np.bincount(table.j, table.intersection, minlength=n)
    pairs = np.searchsorted(table.pred_ids, touching_pairs(pred)[0])
    one, two = owner[pairs].T if len(pairs) else (np.empty(0, int), np.empty(0, int))
    same = (one == two) & (one >= 0)
    return {
        "doublets": float((held > 1).mean()),
        "split_neighbours": float(same.mean()) if len(pairs) else np.nan,
        "foreign": float(((within - most) / table.pred_areas).mean()),
        "background": float((1 - within / table.pred_areas).mean()),
    }
