"""How imperfect labels may be, on small networks; write `results/imperfect_labels.csv`.

The grid of Bird et al. 2024 with networks of 8 filters at the top, 72 steps of four patches, on
phantom lung: its shares of missing cells in replicates, each with tissue, erased cells and first
weights of its own; its moved borders, transfer to breast and bootstrapping, once each; and what it
did not try, once each: other losses, and dim cells missing first. The grid at the paper's size is
`sweeps/imperfect_labels.yml`. One row per trial and image that was kept apart; the table is written
anew after each trial, in the order of `trials`. `results/imperfect_labels_breast.csv` holds a field
of breast as the networks of the transfer see it. Run from the repository's root in the book's
environment; it takes about 25 minutes on one core:

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
    CELL,
    DIM_FIRST,
    KERNEL_MISSING,
    SHARED_MARKERS,
    SHARES,
    SMALL,
    SMALL_IMAGES,
    SMALL_SIDE_PX,
    Labels,
    Tissue,
    Trained,
    Training,
    bootstrapped,
    divided,
    packed,
    score,
    train,
)
from imc_helpers.figures.tissue_images import middle

RESULTS = Path(__file__).parent / "results" / "imperfect_labels.csv"
FIELDS = RESULTS.with_name("imperfect_labels_breast.csv")
SEED = 52_000
"""Of the first replicate's tissue; no cohort and no page has it."""
REPLICATES = 3
LUNG, BREAST = "phantom_rendeiro21", "phantom_ali20"
NOISY = 0.9
"""Share of missing cells at which losses and orders are compared."""
LOSSES = ("cross-entropy", "generalised cross-entropy")
KERNELS = (3, 5, 7, 9)
TRANSFER = (0.0, 0.1, 0.5, 0.9)
ROUNDS = 10
FIELD_PX = 128
made = partial(divided, images=SMALL_IMAGES, side_px=SMALL_SIDE_PX)


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
    for replicate in range(REPLICATES):
        tissue = made((LUNG,), seed=SEED + 100 * replicate)
        for share in SHARES:
            yield one("missing", tissue, Labels(share), replace(SMALL, seed=replicate))
    yield from other_labels()
    yield from transfers()
    for whole in (False, True):
        yield from bootstrapping(whole_validation=whole)


def other_labels() -> Iterator[tuple[dict, Trained, Tissue]]:
    """Train on moved borders, with other losses, and with dim cells missing first."""
    lung = made((LUNG,), seed=SEED)
    for kernel in KERNELS:
        yield one("borders", lung, Labels(KERNEL_MISSING, kernel), SMALL)
    for loss in LOSSES:
        yield one("loss", lung, Labels(NOISY), replace(SMALL, loss=loss))
    unknown = Labels(NOISY, unknown=True)
    yield one("loss", lung, unknown, replace(SMALL, loss="cross-entropy"))
    yield one("order", lung, Labels(NOISY, order=DIM_FIRST), SMALL)


def one(
    what: str, tissue: Tissue, labels: Labels, training: Training
) -> tuple[dict, Trained, Tissue]:
    """Run one trial."""
    settings = {
        "trial": what,
        "missing": labels.missing,
        "kernel_px": labels.kernel_px,
        "order": labels.order,
        "loss": "unlabelled is unknown" if labels.unknown else training.loss,
        "round": 0,
        "replicate": training.seed,
    }
    return settings, train(tissue, labels, training), tissue


def transfers() -> Iterator[tuple[dict, Trained, Tissue]]:
    """Train on lung, and on lung and breast; score on breast, and keep a field of it."""
    fields: list[pd.DataFrame] = []
    for share in TRANSFER:
        for what, learn_from, epochs in (
            ("lung alone", (LUNG,), SMALL.epochs),
            ("lung and breast", (LUNG, BREAST), SMALL.epochs // 2),  # as many steps
        ):
            tissue = made((LUNG, BREAST), seed=SEED, markers=SHARED_MARKERS, learn_from=learn_from)
            trial = one(what, tissue, Labels(share), replace(SMALL, epochs=epochs))
            seen = field_of(tissue, trial[1])
            fields.append(pd.DataFrame({"trial": what, "missing": share, **seen}))
            pd.concat(fields).to_csv(FIELDS, index=False)
            yield trial


def field_of(tissue: Tissue, trained: Trained) -> dict[str, list[str]]:
    """Return the middle of the first test image, as labelled and as a network sees it."""
    name = tissue.split.test[0]
    true = tissue.labels(name) > 0
    found = trained.maps(tissue.image(name))[0] >= CELL
    field = middle(true.shape, FIELD_PX)
    return {"labelled": packed(true[field]), "found": packed(found[field])}


def bootstrapping(*, whole_validation: bool) -> Iterator[tuple[dict, Trained, Tissue]]:
    """Let the network with the fewest labels improve on them."""
    lung, labels = made((LUNG,), seed=SEED), Labels(SHARES[-1], whole_validation=whole_validation)
    what = "bootstrapping, whole validation" if whole_validation else "bootstrapping"
    settings, first, _ = one(what, lung, labels, SMALL)
    yield settings, first, lung
    again = bootstrapped(lung, first, SMALL, ROUNDS, whole_validation=whole_validation)
    for k, trained in enumerate(again, 1):
        yield {**settings, "round": k}, trained, lung


if __name__ == "__main__":
    main()
