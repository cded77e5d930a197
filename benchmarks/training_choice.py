"""Choose how the book's own models are trained; write `results/training_choice.csv`.

Each model is trained in a few ways: on the phantom's truth or on what a simulated expert drew of
it, and with a few settings. Each is scored on phantom tissue that is neither training tissue nor
any cohort's, against four simulated experts who annotate nothing else. What agrees best with them,
by mean ap50, is what `data_manifest/models.yml` says. Run from the repository's root in the book's
environment; it takes some ten minutes on one core:

    OMP_NUM_THREADS=1 python benchmarks/training_choice.py
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from pathlib import Path
from typing import Any

import pandas as pd

from imc_helpers.data.manifest import ModelRecord, model_record
from imc_helpers.data.samples import Sample
from imc_helpers.metrics import evaluate
from imc_helpers.models.protocol import Segmenter
from imc_helpers.models.registry import adapter_module
from imc_helpers.models.training.fit import training_samples
from imc_helpers.phantom.drawing import TRUTH
from imc_helpers.phantom.recipes import phantom_cohort

RESULTS = Path(__file__).parent / "results" / "training_choice.csv"
SEEDS = (70_900, 70_901)
"""Of the tissue and experts that scores are taken on."""
SAMPLES = 2
"""Images of each seed, 512 x 512 px."""
METRICS = ("ap50", "map", "sap")
LABELS = ("truth", "annotator")
ALTERNATIVES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "cellpose3_phantom": [
        {"labels": labels, "parameters": {"learning_rate": rate}}
        for labels, rate in product(LABELS, (0.005, 0.01))
    ],
    "instanseg_phantom": [
        {"labels": labels, "parameters": {"learning_rate": rate}}
        for labels, rate in product(LABELS, (0.003, 0.006))
    ],
    # It learns from drawn crops alone; they can come from few images or from many.
    "pixel_forest": [{"images": images, "parameters": {}} for images in (4, 10)],
}
"""What each model's `training` is tried with; all else is as the manifest says."""


def main() -> None:
    """Train and score every alternative; write the table anew after each."""
    tissue = [
        sample
        for seed in SEEDS
        for sample in islice(phantom_cohort("phantom_lymphoid", seed=seed), SAMPLES)
    ]
    rows = []
    for key, alternatives in ALTERNATIVES.items():
        for changes in alternatives:
            record = altered(model_record(key), changes)
            scores = pd.DataFrame(score(key, record, tissue)).groupby("against").mean()
            rows.append(
                {
                    "model": key,
                    **{name: value for name, value in changes.items() if name != "parameters"},
                    **changes["parameters"],
                    **scores.loc["annotators"],
                    **scores.loc[TRUTH].add_suffix("_truth"),
                }
            )
            table = pd.DataFrame(rows).convert_dtypes()  # whole numbers stay whole beside gaps
            best = table.groupby("model")["ap50"].transform("max")
            table["chosen"] = table["ap50"] == best
            RESULTS.parent.mkdir(exist_ok=True)
            table.round(4).to_csv(RESULTS, index=False)
            print(f"\n{table.round(3).to_string(index=False)}", flush=True)


def altered(record: ModelRecord, changes: Mapping[str, Any]) -> ModelRecord:
    """Return a model's record with another training."""
    assert record.training is not None
    parameters = record.training.parameters | changes["parameters"]
    training = record.training.model_copy(update={**changes, "parameters": parameters})
    return record.model_copy(update={"training": training})


def score(key: str, record: ModelRecord, tissue: Sequence[Sample]) -> Iterator[dict[str, Any]]:
    """Train a model as its record says; yield its scores against each mask of some tissue."""
    assert record.training is not None
    adapter = adapter_module(record)
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "weights"
        adapter.train(training_samples(record.training), record, "cpu", weights)
        segmenter = Segmenter(key, record, adapter.load(record, "cpu", weights), "cpu")
    for sample in tissue:
        found = segmenter.segment(sample)
        for name, mask in sample.masks.items():
            scores = evaluate(mask, found)
            yield {
                "against": TRUTH if name == TRUTH else "annotators",
                **{metric: getattr(scores, metric) for metric in METRICS},
            }


if __name__ == "__main__":
    main()
