"""Rounding, so that two platforms decide alike."""

import numpy as np


def on_grid(values: np.ndarray, steps_per_unit: int = 1024) -> np.ndarray:
    """Round to a grid of powers of two.

    Two platforms may differ in the last bit of a sine or a sum. Rounded, their values are the same,
    and so are the decisions taken on them.
    """
    return np.round(np.asarray(values, dtype=np.float64) * steps_per_unit) / steps_per_unit
