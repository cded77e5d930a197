"""What a phantom knows of each of its cells, as a table."""

import numpy as np
import pandas as pd

from imc_helpers.phantom.origins import Light, split_counts
from imc_helpers.phantom.tissue import Tissue


def describe_cells(tissue: Tissue, light: Light) -> pd.DataFrame:
    """Describe every cell of a tissue.

    Parameters
    ----------
    tissue
        The section.
    light
        What its cells emit.

    Returns
    -------
    pandas.DataFrame
        One row per cell, indexed by ``id``: ``type``, ``niche``, ``nucleus_in_plane``, ``positive``
        (the channels whose target the cell has, joined by ``;``), and for each channel
        ``mean_NAME`` (expected ions per pixel of the cell that come from cells: after blur and
        wash-out, without background, spillover, hot pixels and noise) and ``others_NAME`` (the part
        of it that other cells emitted).
    """
    n = len(tissue.types)
    names = light.panel.names
    counts = split_counts(tissue.cells, light)
    per_pixel = counts[["own", "blur"]].div(counts["area"], axis=0).to_numpy()
    own, others = np.moveaxis(per_pixel.reshape(len(names), n, 2), -1, 0)
    has = light.levels[:, 1:] > 0
    table = {
        "type": np.array(tissue.type_names)[tissue.types],
        "niche": np.array(tissue.niche_names)[tissue.niches],
        "nucleus_in_plane": np.isin(np.arange(1, n + 1), tissue.nuclei),
        "positive": [";".join(np.array(names)[cell]) for cell in has.T],
    }
    for k, name in enumerate(names):
        table[f"mean_{name}"] = own[k] + others[k]
        table[f"others_{name}"] = others[k]
    return pd.DataFrame(table, index=pd.RangeIndex(1, n + 1, name="id"))
