"""Train the book's own models, on phantom tissue that no evaluation uses."""

from importlib import import_module
from pathlib import Path

from imc_helpers.errors import InputError
from imc_helpers.manifest import Training, model_record
from imc_helpers.models.registry import weights_dir
from imc_helpers.paths import replacing
from imc_helpers.phantom.cohorts import find_recipe, make_sample
from imc_helpers.samples import Sample


def training_samples(training: Training) -> list[Sample]:
    """Make the images that a model is trained on, with the truth among their masks.

    Every image has a seed of its own, which no cohort of the manifest shares.
    """
    recipe = find_recipe(training.recipe)
    shape = (training.side_px, training.side_px)
    return [
        make_sample(recipe, shape, training.seed + i, f"training_{training.seed + i}")
        for i in range(training.images)
    ]


def train_model(key: str, device: str = "cpu") -> Path:
    """Train a model of ``source: trained`` and keep its weights, whole or not at all.

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
    module = import_module(f"imc_helpers.models.{record.adapter}")
    with replacing(weights_dir(key)) as folder:
        module.train(training_samples(record.training), record, device, folder)
    return weights_dir(key)
