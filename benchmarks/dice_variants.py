"""What Dice-XMBD's paper and its program cost each other; write `results/dice_variants.csv`.

The paper stretches each channel, and averages; the program adds channels, stretches their sum, and
rounds the teacher's probabilities to a tenth (`imc_helpers.images.merging`). A student learns in
each way from the same teacher, and sees images that were prepared in each way: of the tissue that
it learned, and of another. One row per student, preparation and image kept apart, two seeds. Run
from the repository's root in the book's environment; it takes about five minutes on one idle core:

    OMP_NUM_THREADS=1 python benchmarks/dice_variants.py
"""

import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import pandas as pd
import torch

from imc_helpers.data.manifest import model_record
from imc_helpers.experiments.dice_students import (
    STUDENT,
    learn,
    made_tissue,
    score_student,
    teach,
)
from imc_helpers.images.merging import Variant
from imc_helpers.models.adapters.dice_student import student_settings

RESULTS = Path(__file__).parent / "results" / "dice_variants.csv"
SEEDS = (53_000, 53_500)
"""Of tissue, teacher and training; no cohort and no model has them."""
LEARNED, OTHER = "phantom_lymphoid", "phantom_ali20"
TEST_IMAGES = 4
"""Of each tissue, for each seed."""


def main() -> None:
    """Train in both ways with each seed, and write the table after each student."""
    torch.set_num_threads(1)
    about = {
        "versions": " ".join(f"{name} {version(name)}" for name in ("torch", "monai", "lightning")),
        "device": f"cpu ({platform.machine()}), 1 thread",
        "date": datetime.now(UTC).date().isoformat(),
    }
    parts: list[pd.DataFrame] = []
    for seed in SEEDS:
        parts += trial(seed)
        rows = pd.concat(parts)
        rows.assign(**about).round(4).to_csv(RESULTS, index=False)
    means = rows.groupby(["learned", "sees", "tissue"])
    print(means[["ap50_teacher", "ap50_truth"]].mean().round(3))


def trial(seed: int) -> Iterator[pd.DataFrame]:
    """Let a student learn in each way from one teacher, and score it in each way."""
    training = model_record(STUDENT).training
    assert training is not None
    options, side_px = training.parameters, training.side_px
    lesson = teach(made_tissue(LEARNED, training.images, side_px, seed), seed)
    tests = {
        recipe: made_tissue(recipe, TEST_IMAGES, side_px, seed + 100) for recipe in (LEARNED, OTHER)
    }
    for learned in get_args(Variant):
        student = learn(
            lesson,
            student_settings(training, "cpu", seed),
            base=options["base"],
            patch_px=options["patch_px"],
            variant=learned,
        )
        for sees in get_args(Variant):
            for recipe, samples in tests.items():
                rows = score_student(student, lesson.forest, samples, sees)
                yield rows.assign(seed=seed, learned=learned, sees=sees, tissue=recipe)


if __name__ == "__main__":
    main()
