"""How imperfect labels may be, on small networks; write `results/imperfect_labels.csv`.

Networks with 8 filters at the top, 72 steps of four patches, on phantom lung, one seed: some of the
paper's shares of missing cells and moved borders, its bootstrapping and its transfer to breast,
and what it did not try, other losses and dim cells missing first. Its whole grid at its own size is
`sweeps/imperfect_labels.yml`. One row per trial and image that was kept apart; the table is written
anew after each trial, in the order of `trials`. Run from the repository's root in the book's
environment; it takes about five minutes on one idle core:

    OMP_NUM_THREADS=1 python benchmarks/imperfect_labels.py
"""

import platform
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from imc_helpers.experiments.imperfect_labels import (
    DIM_FIRST,
    KERNEL_MISSING,
    SHARED_MARKERS,
    SMALL,
    SMALL_IMAGES,
    SMALL_SIDE_PX,
    Labels,
    Tissue,
    Trained,
    bootstrapped,
    divided,
    score,
    train,
)

RESULTS = Path(__file__).parent / "results" / "imperfect_labels.csv"
SEED = 52_000
"""Of the tissue; no cohort and no page has it."""
LUNG, BREAST = "phantom_rendeiro21", "phantom_ali20"
made = partial(divided, images=SMALL_IMAGES, side_px=SMALL_SIDE_PX, seed=SEED)
SHARES = (0.0, 0.5, 0.75, 0.9, 0.95)
NOISY = (0.9,)
"""Shares of missing cells at which losses and orders are compared."""
LOSSES = ("cross-entropy", "generalised cross-entropy")
KERNELS = (5, 9)
TRANSFER = (0.0, 0.9)
ROUNDS, WHOLE_ROUNDS = 4, 2
"""Of bootstrapping: with updated labels of validation, and with whole ones."""


def main() -> None:
    """Run every trial, and write the table after each."""
    torch.set_num_threads(1)
    parts: list[pd.DataFrame] = []
    about = {
        "versions": " ".join(f"{name} {version(name)}" for name in ("torch", "monai", "lightning")),
        "device": f"cpu ({platform.machine()}), 1 thread",
        "date": datetime.now(UTC).date().isoformat(),
    }
    for settings, trained, tissue in trials():
        rows = score(trained, tissue).assign(**settings, cpu_seconds=round(trained.seconds, 1))
        parts.append(rows.assign(labelled=trained.labelled, deleted=trained.deleted, **about))
        pd.concat(parts).round(4).to_csv(RESULTS, index=False)
        print(
            settings,
            rows[["dice", "ap50_nuclei", "cpu_seconds"]].mean().round(3).to_dict(),
            flush=True,
        )


def trials() -> Iterator[tuple[dict, Trained, Tissue]]:
    """Run one trial after the other: its settings, its network, and what to score it on."""
    lung = made((LUNG,))

    def one(what: str, labels: Labels, loss: str = SMALL.loss) -> tuple[dict, Trained, Tissue]:
        settings = {
            "trial": what,
            "missing": labels.missing,
            "kernel_px": labels.kernel_px,
            "order": labels.order,
            "loss": "unlabelled is unknown" if labels.unknown else loss,
            "round": 0,
        }
        return settings, train(lung, labels, replace(SMALL, loss=loss)), lung

    for share in SHARES:
        settings, trained, _ = one("missing", Labels(share))
        yield settings, trained, lung
    worst = trained
    for share in NOISY:
        for loss in LOSSES:
            yield one("loss", Labels(share), loss)
        yield one("loss", Labels(share, unknown=True), "cross-entropy")
    for share in NOISY:
        yield one("order", Labels(share, order=DIM_FIRST))
    for kernel in KERNELS:
        yield one("borders", Labels(KERNEL_MISSING, kernel))
    yield from rounds("bootstrapping", lung, worst, ROUNDS)
    yield from transfers()
    _, whole, _ = one("", Labels(SHARES[-1], whole_validation=True))
    yield {**settings, "trial": "bootstrapping, whole validation"}, whole, lung
    yield from rounds(
        "bootstrapping, whole validation", lung, whole, WHOLE_ROUNDS, whole_validation=True
    )


def rounds(
    what: str, lung: Tissue, first: Trained, count: int, *, whole_validation: bool = False
) -> Iterator[tuple[dict, Trained, Tissue]]:
    """Let a network improve on its own labels."""
    made = bootstrapped(lung, first, SMALL, count, whole_validation=whole_validation)
    for k, trained in enumerate(made, 1):
        yield {"trial": what, "missing": SHARES[-1], "loss": SMALL.loss, "round": k}, trained, lung


def transfers() -> Iterator[tuple[dict, Trained, Tissue]]:
    """Train on lung, and on lung and breast; score on breast."""
    for share in TRANSFER:
        for what, learn_from, epochs in (
            ("lung alone", (LUNG,), SMALL.epochs),
            ("lung and breast", (LUNG, BREAST), SMALL.epochs // 2),  # as many steps
        ):
            tissue = made((LUNG, BREAST), markers=SHARED_MARKERS, learn_from=learn_from)
            trained = train(tissue, Labels(share), replace(SMALL, epochs=epochs))
            yield {"trial": what, "missing": share, "loss": SMALL.loss, "round": 0}, trained, tissue


if __name__ == "__main__":
    main()
