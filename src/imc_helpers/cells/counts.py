"""How many cells a mask holds."""

import numpy as np


def count_cells(labels: np.ndarray) -> int:
    """Count the ids of a label image, background left out.

    Parameters
    ----------
    labels
        Integers of any shape, 0 is background. Ids need not be sequential, and a cell in several
        pieces counts once.
    """
    return int(np.count_nonzero(np.unique(labels)))
