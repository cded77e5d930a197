"""How well the last step finds Dice-XMBD's published masks in its published maps; write a table.

The repository xmuyulab/Dice-XMBD (commit cf1ec83) holds probabilities and masks of ten real crops.
`imc_helpers.images.pipeline_cells` follows its pipeline file; where the file leaves something open
(the version of the software that ran it), settings are tuned on the first five crops by name, and
the other five are scored. Then each step is changed in turn, to see what it is worth. The
repository names no licence: nothing of its maps is kept but means over five crops.

    git clone https://github.com/xmuyulab/Dice-XMBD
    OMP_NUM_THREADS=1 python benchmarks/dice_last_step.py Dice-XMBD

It writes `results/dice_last_step.csv` in a few minutes.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from imc_helpers.images.pipeline_cells import PipelineSettings, cells_from_maps
from imc_helpers.metrics import evaluate

RESULTS = Path(__file__).parent / "results" / "dice_last_step.csv"
MASKS = "data/predict_BRCA2/mask"
MAPS = "data/predict_BRCA2/predictionProbability/threshold-99.7_withAugnoise-0.5/ori_prop"
TUNED_ON = 5
"""Crops, the first by name; the others are scored."""
PUBLISHED = PipelineSettings()
OPEN = [
    replace(PUBLISHED, correction=correction, diameter_px=diameter)
    for correction in (1.1, 1.2, 1.3)
    for diameter in (7.0, 8.0, 9.0)
]
"""Settings that are tried on the first crops: those of the file, and some beside them."""
CHANGES = {
    "masks without gaps between cells": replace(PUBLISHED, gaps=False),
    "cells at the border kept": replace(PUBLISHED, keep_border=True),
    "maps not enlarged": replace(
        PUBLISHED, enlarge=1, smooth_px=2, diameter_px=4, largest_px=6, least_px=1, gaps=False
    ),
    "nuclear map hardly smoothed": replace(PUBLISHED, smooth_px=1.0),
    "threshold of nuclei not raised": replace(PUBLISHED, correction=1.0),
    "nuclei told apart from half their diameter on": replace(PUBLISHED, diameter_px=4.0),
    "propagation by length alone": replace(PUBLISHED, regularisation=10.0),
}
"""One step of the pipeline changed at a time."""
Crop = tuple[np.ndarray, np.ndarray]
"""Maps (H, W, 3), 0 to 1, and mask (H, W)."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune, score, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("repository", type=Path, help="folder of xmuyulab/Dice-XMBD")
    crops = read_crops(parser.parse_args(arguments).repository)
    first, others = crops[:TUNED_ON], crops[TUNED_ON:]
    tried = [score(first, settings)["ap50"] for settings in OPEN]
    tuned = OPEN[int(np.argmax(tried))]
    rows = [
        {"step": "as in the pipeline file", "crops": "tuned on", **score(first, PUBLISHED)},
        {"step": "as tuned", "crops": "tuned on", **score(first, tuned)},
        {"step": "as in the pipeline file", "crops": "kept apart", **score(others, PUBLISHED)},
        {"step": "as tuned", "crops": "kept apart", **score(others, tuned)},
    ]
    rows += [
        {"step": step, "crops": "kept apart", **score(others, settings)}
        for step, settings in CHANGES.items()
    ]
    about = {
        "tuned": f"correction {tuned.correction:g}, diameter {tuned.diameter_px:g} px",
        "versions": " ".join(f"{n} {version(n)}" for n in ("centrosome", "scikit-image")),
        "date": datetime.now(UTC).date().isoformat(),
    }
    table = pd.DataFrame(rows).assign(**about).round(4)
    table.to_csv(RESULTS, index=False)
    print(table[["step", "crops", "ap50", "map", "cells", "found"]].to_string(index=False))


def read_crops(repository: Path) -> list[Crop]:
    """Read the ten crops, in the order of their names."""
    crops = []
    for path in sorted((repository / MASKS).glob("*_cell_mask.tiff")):
        maps = tifffile.imread(repository / MAPS / path.name.replace("_cell_mask", ""))
        crops.append((maps / np.iinfo(maps.dtype).max, tifffile.imread(path).astype(np.int64)))
    if len(crops) != 2 * TUNED_ON:
        raise SystemExit(f"{repository / MASKS}: expected ten masks, found {len(crops)}")
    return crops


def score(crops: Sequence[Crop], settings: PipelineSettings) -> dict[str, float]:
    """Score the published masks with ours: means over crops, lowest ap50, and numbers of cells."""
    found = [
        evaluate(mask, cells_from_maps(maps[..., 0], maps[..., 1], settings))
        for maps, mask in crops
    ]
    return {
        "ap50": float(np.mean([one.ap50 for one in found])),
        "lowest_ap50": min(one.ap50 for one in found),
        "map": float(np.mean([one.map for one in found])),
        "cells": sum(one.n_true for one in found),
        "found": sum(one.n_pred for one in found),
    }


if __name__ == "__main__":
    main()
