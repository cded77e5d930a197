"""Compare the foreground of the consensus with STAPLE's, where the truth is known.

STAPLE (Warfield et al. 2004) votes pixel by pixel and weighs each person by how well they seem to
do. It comes from SimpleITK, which the book does not need, so this runs in `.venv-bench` (see
`install.py`) and writes `results/staple.csv`. From the repository's root:

    python benchmarks/staple.py

Tissues and people are those of `decisions_truth.py`, part `consensus`.
"""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk  # noqa: N813  (its own documentation calls it so)
from decisions_truth import tissue
from skimage.measure import label

from imc_helpers.agreement.consensus import consensus
from imc_helpers.cells.counts import count_cells
from imc_helpers.data.raters import TRUTH
from imc_helpers.metrics import evaluate
from imc_helpers.metrics.foreground import count_pixels, pixel_scores
from imc_helpers.phantom.drawing import ExpertGroup, draw_annotators

RESULTS = Path(__file__).parent / "results"
GROUPS, TISSUES = 6, 3


def staple_foreground(masks: list[np.ndarray]) -> np.ndarray:
    """Return the pixels, (H, W) bool, that by STAPLE are more likely in a cell than not."""
    drawn = [sitk.GetImageFromArray((mask > 0).astype(np.uint8)) for mask in masks]
    return np.asarray(sitk.GetArrayFromImage(sitk.STAPLE(drawn, 1.0)) >= 0.5)


def dice(true: np.ndarray, found: np.ndarray) -> float:
    """Return the Dice coefficient of two foregrounds."""
    return pixel_scores(count_pixels(true, found))["dice"]


def compare(group: int, image: int) -> dict[str, object]:
    """Score one tissue: pixels by Dice, and cells by ap50, of which STAPLE has components."""
    sample = tissue(10 * group + image)
    people = [*draw_annotators(sample, ExpertGroup(stratified=False), group).values()]
    perfect = sample.masks[TRUTH]
    agreed = consensus(people).labels
    voted = staple_foreground(people)
    # Cells that share a corner only are kept apart: the kindest way to count.
    components = label(voted, connectivity=1)
    foregrounds = {"consensus": agreed > 0, "staple": voted}
    foregrounds["majority"] = np.mean([mask > 0 for mask in people], axis=0) >= 0.5
    return {
        "group": group,
        "sample": sample.id,
        "true_cells": count_cells(perfect),
        "consensus_cells": int(agreed.max()),
        "staple_components": int(components.max()),
        **{f"dice_{name}": dice(perfect > 0, own) for name, own in foregrounds.items()},
        "dice_best_person": max(dice(perfect > 0, mask > 0) for mask in people),
        "ap50_consensus": evaluate(perfect, agreed, sap=None).ap50,
        "ap50_staple_components": evaluate(perfect, components, sap=None).ap50,
    }


def main() -> None:
    """Compare on all tissues of all groups."""
    table = pd.DataFrame(compare(g, i) for g in range(GROUPS) for i in range(TISSUES))
    table["simpleitk"] = sitk.Version.VersionString()
    table["date"] = f"{datetime.now(UTC):%Y-%m-%d}"
    table.round(4).to_csv(RESULTS / "staple.csv", index=False)


if __name__ == "__main__":
    main()
