"""Does compensation find what was there? A question that needs the truth.

A phantom can be imaged twice, with the spillover of its instrument and without, so what
compensation makes of the first can be held against the second.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import ndimage as ndi

from imc_helpers.images.spillover import compensate_spillover
from imc_helpers.phantom.imaging import image_tissue, spillover_matrix
from imc_helpers.phantom.recipes import find_recipe
from imc_helpers.phantom.tissue import make_tissue

IMAGES = ("as imaged", "compensated")
"""What is held against the image without spillover."""


def compensation_errors(recipe: str, *, side_px: int, seed: int) -> pd.DataFrame:
    """Compare cells' mean counts with those they would have without spillover.

    Parameters
    ----------
    recipe
        Key in `imc_helpers.phantom.recipes.COHORTS`.
    side_px
        Edge of the square tissue, pixels.
    seed
        Of tissue and image.

    Returns
    -------
    pandas.DataFrame
        One row a channel and one of `IMAGES`: ``channel``, ``image``, ``bias`` (mean over cells of
        the cell's mean count less the one without spillover, counts per pixel) and ``without`` (the
        mean without spillover). Hot pixels are left out of all images.
    """
    made = find_recipe(recipe)
    spilling = replace(made.imaging, hot_rate=0.0)
    clean = replace(spilling, spill_plus_one=0.0, spill_minus_one=0.0, spill_oxide=0.0)
    tissue = make_tissue((side_px, side_px), made.tissue, seed)
    ids = np.arange(1, len(tissue.types) + 1)
    seen = image_tissue(tissue, made.panel, spilling, seed)
    images = {
        "without": image_tissue(tissue, made.panel, clean, seed),
        "as imaged": seen,
        "compensated": compensate_spillover(seen, spillover_matrix(made.panel, spilling)),
    }
    rows = []
    for k, channel in enumerate(made.panel.names):
        means = {
            name: np.asarray(ndi.mean(image[k], tissue.cells, ids))
            for name, image in images.items()
        }
        for name in IMAGES:
            bias = np.nanmean(means[name] - means["without"])
            rows.append(
                {
                    "channel": channel,
                    "image": name,
                    "bias": float(bias),
                    "without": float(np.nanmean(means["without"])),
                }
            )
    return pd.DataFrame(rows)
