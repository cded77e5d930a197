"""StarDist: nuclei as star-convex polygons.

Schmidt et al. 2018 (doi:10.1007/978-3-030-00934-2_30). The published model outlines nuclei in
fluorescence and no cells: the book says so beside its scores.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from imc_helpers.data.download import unpack
from imc_helpers.data.manifest import ModelRecord
from imc_helpers.errors import InputError

LIBRARIES = ("stardist",)
"""Distributions that do the work: run records ask them for their versions."""

_PERCENTILES = (1, 99.8)
"""Those of StarDist's own examples."""
_SCALE_NEEDS = 1.01
"""A difference of pixel size under one per cent needs no scaling."""


class StarDist:
    """A StarDist network that is loaded.

    Parameters
    ----------
    model
        ``stardist.models.StarDist2D``.
    um_per_px
        Pixel size that images are scaled to, micrometres.
    """

    def __init__(self, model: Any, um_per_px: float) -> None:
        self.model = model
        self.um_per_px = um_per_px

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> Sequence[np.ndarray]:
        """Outline the nuclei of some images; see `imc_helpers.models.protocol.Adapter`.

        The library takes one image at a time.
        """
        return [self._predict(image[0], um_per_px / self.um_per_px) for image in images]

    def _predict(self, plane: np.ndarray, scale: float) -> np.ndarray:
        from csbdeep.utils import normalize  # noqa: PLC0415

        # Scaled by the library itself, which returns labels in the image's own pixels.
        asked = None if max(scale, 1 / scale) < _SCALE_NEEDS else scale
        labels, _ = self.model.predict_instances(
            normalize(plane, *_PERCENTILES), scale=asked, show_tile_progress=False
        )
        return np.asarray(labels)


def load(record: ModelRecord, device: str, weights: Path) -> StarDist:
    """Load a StarDist model from its published archive under ``weights``.

    The parameters of the record: ``um_per_px``, the pixel size that images are scaled to.

    Raises
    ------
    InputError
        If the archive is missing or holds no StarDist model.
    """
    archive = weights / record.weights[0].name
    if not archive.is_file():
        raise InputError(f"{archive}: no weights here")
    import tensorflow as tf  # noqa: PLC0415
    from stardist.models import StarDist2D  # noqa: PLC0415

    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    # Unpacked elsewhere: what lies under `weights` is what was downloaded, and nothing more.
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        if not zipfile.is_zipfile(archive):
            raise InputError(f"{archive}: not a zip archive. Get it again")
        unpack(archive, folder)
        if not (folder / "config.json").is_file():
            raise InputError(f"{archive}: no StarDist model in it: it has no config.json")
        model = StarDist2D(None, name=folder.name, basedir=scratch)
    return StarDist(model, record.parameters["um_per_px"])
