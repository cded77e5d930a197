"""What each cell of a mask holds: mean intensities, place and size; as AnnData."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from imc_helpers.cells.properties import cell_shapes
from imc_helpers.data.samples import Cohort


def mean_intensities(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average every channel over each cell.

    Parameters
    ----------
    image
        (C, H, W).
    labels
        (H, W) integers, 0 is background.

    Returns
    -------
    ids : numpy.ndarray
        (N,) ids of the cells, ascending.
    means : numpy.ndarray
        (N, C) float32.
    """
    inverse, ids = pd.factorize(labels.ravel(), sort=True)  # np.unique would sort all pixels
    counts = np.bincount(inverse)
    means = np.stack(
        [np.bincount(inverse, weights=plane.ravel()) / counts for plane in image], axis=1
    )
    cells = ids > 0
    return ids[cells], means[cells].astype(np.float32)


def places(labels: np.ndarray, um_per_px: float) -> pd.DataFrame:
    """Measure where each cell lies and how large it is.

    Returns
    -------
    pandas.DataFrame
        One row per cell, by id: ``area_um2``, and ``y_um`` and ``x_um`` of its centre, from the top
        left corner of the image.
    """
    shapes = cell_shapes(labels)
    return pd.DataFrame(
        {
            "area_um2": shapes["area"] * um_per_px**2,
            "y_um": (shapes["centroid-0"] + 0.5) * um_per_px,
            "x_um": (shapes["centroid-1"] + 0.5) * um_per_px,
        }
    )


def cells_of(cohort: Cohort, masks: Mapping[str, np.ndarray]) -> Any:
    """Collect the cells of a cohort under one set of masks.

    Parameters
    ----------
    cohort
        The images.
    masks
        (H, W) labels by sample; a mapping may read them when they are asked for.

    Returns
    -------
    anndata.AnnData
        One row per cell: ``X`` mean intensities (float32), ``var`` the panel, ``obs`` sample, id
        and area, ``obsm["spatial"]`` the centre as (x, y), micrometres.
    """
    from anndata import AnnData  # noqa: PLC0415  (slow to load)

    values, about = [], []
    for sample in masks:
        labels = masks[sample]
        _, means = mean_intensities(cohort.read_image(sample), labels)
        values.append(means)
        about.append(places(labels, cohort.um_per_px(sample)).reset_index().assign(sample=sample))
    obs = pd.concat(about, ignore_index=True)
    obs.index = obs["sample"] + "_" + obs["id"].astype(str)
    panel = [(c.channel, c.compartment) for c in cohort.panel.channels]
    var = pd.DataFrame(panel, columns=["channel", "compartment"], index=list(cohort.panel.names))
    return AnnData(
        X=np.concatenate(values),
        obs=obs[["sample", "id", "area_um2"]].astype({"sample": "category"}),
        var=var,
        obsm={"spatial": obs[["x_um", "y_um"]].to_numpy()},
    )
