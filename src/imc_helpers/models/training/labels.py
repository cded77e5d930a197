"""Which of a training sample's masks a model learns from."""

import numpy as np

from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError

_KEYS = {"truth": "truth", "annotator": "annotator1"}
"""Masks by the manifest's word for them; the keys are the phantom's."""


def training_labels(sample: Sample, labels: str) -> np.ndarray:
    """Return the labels that a model learns from a sample: (H, W).

    Parameters
    ----------
    sample
        Training tissue.
    labels
        ``"truth"`` or ``"annotator"``, as in the manifest's `Training`.

    Raises
    ------
    InputError
        If the sample lacks them.
    """
    key = _KEYS[labels]
    if key not in sample.masks:
        raise InputError(f"sample {sample.id}: no masks {key!r} to train on")
    return sample.masks[key]
