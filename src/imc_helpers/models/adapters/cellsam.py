"""CellSAM (Marks et al. 2025, doi:10.1038/s41592-025-02879-w): a detector that prompts SAM.

The steps are those of the library's `segment_cellular_image`, with its own functions: the
brightest thousandth clipped and adaptive histogram equalisation, boxes and their masks, holes
filled and masks under 25 px dropped. They are called one by one here because the library fails
where nothing is found, with an AttributeError, and where a plane has no signal at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from imc_helpers.data.download import unpack
from imc_helpers.data.manifest import ModelRecord
from imc_helpers.errors import InputError
from imc_helpers.models.checkpoint import load_state
from imc_helpers.models.torchvision_ops import need_torchvision

LIBRARIES = ("cellSAM",)
"""Distributions that do the work: run records ask them for their versions."""

WEIGHTS = "cellsam_v1.2/cellsam_general.pt"
"""File in DeepCell's archive."""
_SMALLEST_PX = 25
"""Area under which the library drops a mask, pixels; it is fixed there."""


@dataclass(frozen=True)
class CellSam:
    """The network, on its device."""

    network: Any
    device: str

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> list[np.ndarray]:
        """Outline the cells of (3, H, W) images: zeros, nucleus, membrane.

        The library takes one image at a time.
        """
        return [self._cells(image) for image in images]

    def _cells(self, image: np.ndarray) -> np.ndarray:
        import torch  # noqa: PLC0415
        from cellSAM.utils import (  # noqa: PLC0415
            fill_holes_and_remove_small_masks,
            normalize_image,
        )

        scaled = normalize_image(np.moveaxis(image, 0, -1))
        if not scaled.any():
            return np.zeros(image.shape[1:], np.int32)
        batch = torch.from_numpy(np.moveaxis(scaled, -1, 0)[None].astype(np.float32))
        found = self.network.predict(batch.to(self.device))[0]
        if found is None:
            return np.zeros(image.shape[1:], np.int32)
        labels: np.ndarray = fill_holes_and_remove_small_masks(found, min_size=_SMALLEST_PX)
        return labels


def load(record: ModelRecord, device: str, weights: Path) -> CellSam:
    """Load the network from DeepCell's archive under ``weights``.

    The parameter of the record: ``bbox_threshold``, least confidence in a box.

    Raises
    ------
    InputError
        If the archive is missing, or holds other weights. The library itself would leave at random
        what a file lacks.
    """
    archive = weights / record.weights[0].name
    if not archive.is_file():
        raise InputError(f"{archive}: no weights here. `make weights-cellsam` gets them")
    need_torchvision()
    import yaml  # noqa: PLC0415
    from cellSAM import sam_inference  # noqa: PLC0415

    settings = Path(sam_inference.__file__).with_name("modelconfig.yaml")
    network = sam_inference.CellSAM(yaml.safe_load(settings.read_text(encoding="utf-8")))
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "unpacked"
        unpack(archive, folder)
        if not (folder / WEIGHTS).is_file():
            raise InputError(f"{archive}: no {WEIGHTS} in it. Get it again")
        # Files from before CellSAM's second training have no second copy of its mask decoder.
        load_state(network, folder / WEIGHTS, may_lack="model_cp.")
    network.bbox_threshold = record.parameters["bbox_threshold"]
    return CellSam(network.eval().to(device), device)
