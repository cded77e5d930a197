"""Train the book's own models, on phantom tissue that no evaluation uses.

The tissue is made from a recipe of the phantom with seeds that no cohort has. Where a model learns
from a person, a simulated expert annotates it: one of typical habits, who annotates no cohort.
"""

from pathlib import Path

from imc_helpers.data.manifest import Training, model_record
from imc_helpers.data.paths import replacing
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.models.availability import weights_dir
from imc_helpers.models.device import find_device
from imc_helpers.models.registry import adapter_module
from imc_helpers.phantom.drawing import ONE_EXPERT
from imc_helpers.phantom.experts import N_CROPS, annotate, train_experts
from imc_helpers.phantom.recipes import find_recipe, make_sample


def train_model(key: str, device: str = "cpu") -> Path:
    """Train a model of ``source: trained`` and keep its weights, whole or not at all.

    Parameters
    ----------
    key
        Model in ``data_manifest/models.yml``.
    device
        ``"cpu"`` or ``"cuda"``; without a GPU that the library sees, it trains on the CPU, and its
        note says so.

    Returns
    -------
    pathlib.Path
        ``weights/KEY``.

    Raises
    ------
    InputError
        If the model is not one that the build trains.
    """
    record = model_record(key)
    if record.training is None:
        raise InputError(
            f"model {key!r} is not trained by the build, but of source {record.source}"
        )
    device = find_device(device if record.gpu else "cpu", record.packages).kind
    with replacing(weights_dir(key)) as folder:
        adapter_module(record).train(training_samples(record.training), record, device, folder)
    return weights_dir(key)


def training_samples(training: Training) -> list[Sample]:
    """Make the images that a model is trained on, with the truth among their masks.

    Every image has a seed of its own, which no cohort of the manifest shares. Where the model
    learns from an annotator, that one's masks are there as well.
    """
    recipe = find_recipe(training.recipe)
    shape = (training.side_px, training.side_px)
    samples = [
        make_sample(recipe, shape, training.seed + i, f"training_{training.seed + i}")
        for i in range(training.images)
    ]
    if training.labels == "truth":
        return samples
    experts = train_experts(samples[:N_CROPS], ONE_EXPERT, training.seed)
    return [annotate(sample, experts) for sample in samples]
