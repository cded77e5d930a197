"""What a student learns of its teachers, on small networks; write `results/teachers.csv`.

Networks with 8 filters at the top, 96 steps of four patches, on phantom lymphoid tissue. Every
replicate has its own tissue, people, draws and network. *errors*: people with more slips, with a
habit in their borders, alone or four of them on every image. *cells*: a person of the
phantom's usual group of four, of whose cells the student sees all, or a part. One row per trial,
replicate and image kept apart; the table is written anew after each replicate. Run from the
repository's root in the book's environment; it takes about eight minutes on one idle core:

    OMP_NUM_THREADS=1 python benchmarks/teachers.py
"""

import platform
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from imc_helpers.experiments.imperfect_labels import Labels, Training, train
from imc_helpers.experiments.teachers import (
    PIECES,
    SCATTERED,
    WHOLE,
    School,
    images_to_teach_on,
    learn_part,
    score_student,
    score_with_colleagues,
    taught,
)
from imc_helpers.phantom.drawing import ExpertGroup

RESULTS = Path(__file__).parent / "results" / "teachers.csv"
RECIPE = "phantom_lymphoid"
SEED = 53_000
"""Of the first replicate's tissue; no cohort and no page has it."""
REPLICATES = 4
IMAGES, SIDE_PX = 14, 128
MARKERS = ("DNA1", "DNA2", "CD45RA", "B2M", "TOMM20", "CD45RO")
EPOCHS = 12
"""Of students of one person; of four, who each draw every image, a quarter: as many steps."""
SCHOOLS = {
    "slips × 0": School(slips=0),
    "slips × 1": School(slips=1),
    "slips × 2": School(slips=2),
    "slips × 4": School(slips=4),
    "slips × 4, four people": School(slips=4, teachers=4),
    "borders 1 µm within": School(slips=0, border_um=-1),
    "borders 1 µm beyond": School(slips=0, border_um=1),
    "borders of four people, SD 1 µm": School(slips=0, teachers=4, own_border_um=1),
}
PARTS = (
    (1.0, WHOLE),
    (0.25, WHOLE),
    (0.25, PIECES),
    (0.25, SCATTERED),
    (0.125, WHOLE),
    (0.125, PIECES),
)


def main() -> None:
    """Run every trial of each replicate, and write the table after each replicate."""
    torch.set_num_threads(1)
    about = {
        "versions": " ".join(f"{name} {version(name)}" for name in ("torch", "monai", "lightning")),
        "device": f"cpu ({platform.machine()}), 1 thread",
        "date": datetime.now(UTC).date().isoformat(),
    }
    parts: list[pd.DataFrame] = []
    for replicate in range(REPLICATES):
        start = time.process_time()
        parts += run(replicate)
        seconds = round(time.process_time() - start)
        rows = pd.concat(parts).assign(**about)
        rows.round(4).to_csv(RESULTS, index=False)
        means = rows.groupby(["trial", "how", "share"])[["student", "teacher"]].mean()
        print(f"replicate {replicate}: {seconds} s of CPU", means.round(3), sep="\n", flush=True)


def run(replicate: int) -> list[pd.DataFrame]:
    """Run the trials of one replicate."""
    training = Training(
        base=8,
        patch_px=64,
        epochs=EPOCHS,
        batch=4,
        loss="cross-entropy",
        turned=True,
        seed=replicate,
    )
    samples = images_to_teach_on(RECIPE, IMAGES, SIDE_PX, SEED + 100 * replicate)
    parts = []
    for name, school in SCHOOLS.items():
        tissue = taught(samples, school.group, replicate, MARKERS, teachers=school.teachers)
        short = replace(training, epochs=EPOCHS // school.teachers)
        rows = score_student(train(tissue, Labels(), short), tissue, school.teachers)
        parts.append(rows.assign(question="errors", trial=name, how=WHOLE, share=1.0))
    tissue = taught(samples, ExpertGroup(), replicate, MARKERS)
    for share, how in PARTS:
        trained, labelled = learn_part(tissue, share, how, training)
        rows = score_with_colleagues(trained, tissue).assign(labelled=labelled)
        parts.append(rows.assign(question="cells", trial=f"{share:.1%}", how=how, share=share))
    return [part.assign(replicate=replicate) for part in parts]


if __name__ == "__main__":
    main()
