"""Size of each cell of a mask, and how many others lie around it."""

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from skimage.measure import regionprops_table

NEIGHBOURHOOD_UM = 20.0
"""Radius within which neighbours are counted, micrometres: two to three cells away."""


def cell_properties(
    labels: np.ndarray, um_per_px: float, *, radius_um: float = NEIGHBOURHOOD_UM
) -> pd.DataFrame:
    """Measure the size of each cell, and how many others lie around it.

    Parameters
    ----------
    labels
        (H, W) integers, 0 is background.
    um_per_px
        Edge of a pixel, micrometres.
    radius_um
        Centres within this distance are neighbours.

    Returns
    -------
    pandas.DataFrame
        One row per cell: ``id``, ``area_um2``, and ``neighbours`` per 1000 square micrometres
        around its centre, itself not counted; missing where the circle leaves the image.
    """
    measured = regionprops_table(labels, properties=("label", "area", "centroid"))
    centres = np.column_stack([measured["centroid-0"], measured["centroid-1"]])
    frame = pd.DataFrame({"id": measured["label"], "area_um2": measured["area"] * um_per_px**2})
    radius_px = radius_um / um_per_px
    around = cKDTree(centres).query_ball_point(centres, radius_px, return_length=True)
    density = 1000 * (np.asarray(around, float) - 1) / (np.pi * radius_um**2)
    # Pixel centres are whole numbers, so the image reaches from -.5 to its side less .5.
    room = np.minimum(centres + 0.5, np.array(labels.shape) - 0.5 - centres).min(
        axis=1, initial=np.inf
    )
    frame["neighbours"] = np.where(room >= radius_px, density, np.nan)
    return frame
