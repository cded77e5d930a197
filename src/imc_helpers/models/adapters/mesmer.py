"""Mesmer (Greenwald et al. 2022, doi:10.1038/s41587-021-01094-0), from the DeepCell library.

The library scales images to its 0.5 um/px and labels back, stretches their contrast (the brightest
thousandth clipped, then adaptive histogram equalisation), runs the network in tiles of 256 px and
floods the cells from its distance maps. Here the images only reach it, and the labels come back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from imc_helpers.data.download import unpack
from imc_helpers.data.manifest import ModelRecord
from imc_helpers.errors import InputError

LIBRARIES = ("deepcell",)
"""Distributions that do the work: run records ask them for their versions."""

MODEL = "MultiplexSegmentation"
"""Folder in DeepCell's archive: a model as TensorFlow saves it."""


@dataclass(frozen=True)
class Mesmer:
    """DeepCell's application, with its model."""

    application: Any
    options: dict[str, Any]

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> list[np.ndarray]:
        """Outline the cells of (2, H, W) images: nucleus, membrane. Equal shapes go in together."""
        labels: list[np.ndarray] = []
        options = {"image_mpp": um_per_px, **self.options}
        for _, same in groupby(images, key=np.shape):
            batch = np.stack([np.moveaxis(image, 0, -1) for image in same])
            found = self.application.predict(batch, **options)
            labels += list(found[..., 0])
        return labels


def load(record: ModelRecord, device: str, weights: Path) -> Mesmer:
    """Load the model from DeepCell's archive under ``weights``; parameters go to its ``predict``.

    The parameter ``image_mpp`` takes the place of the images' own pixel size; with None the library
    does not scale them.

    Raises
    ------
    InputError
        If the archive is missing or holds another model.
    """
    archive = weights / record.weights[0].name
    if not archive.is_file():
        # Without a model the library would ask for the user's token, and download one.
        raise InputError(f"{archive}: no weights here. `make weights-mesmer` gets them")
    import tensorflow as tf  # noqa: PLC0415
    from deepcell.applications import Mesmer as Application  # noqa: PLC0415

    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "unpacked"
        unpack(archive, folder)
        if not (folder / MODEL / "saved_model.pb").is_file():
            raise InputError(f"{archive}: no {MODEL}/saved_model.pb in it. Get it again")
        model = tf.keras.models.load_model(folder / MODEL, compile=False)
    return Mesmer(Application(model), record.parameters)
