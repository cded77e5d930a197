"""micro-sam (Archit et al. 2025, doi:10.1038/s41592-024-02580-4): Segment Anything for microscopy.

Automatic instance segmentation: a second decoder beside the one for prompts predicts foreground
and distances to centres and borders of cells, and a watershed follows. Its generalist for light
microscopy learned from TissueNet, among others, with planes in the order membrane, nucleus, zeros.

The library would download a model by its name, and unpickle it whole; here its parts are put
together from files that are there, of which only numbers are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imc_helpers.aggregation import scale_percentiles
from imc_helpers.data.manifest import ModelRecord
from imc_helpers.models.checkpoint import load_state, read_weights, wrong_weights
from imc_helpers.models.torchvision_ops import need_torchvision

LIBRARIES = ("micro-sam",)
"""Distributions that do the work: run records ask them for their versions."""

ENCODER = "vit_b.pt"
DECODER = "vit_b_decoder.pt"


@dataclass(frozen=True)
class MicroSam:
    """micro-sam's segmenter, and the options of its watershed."""

    segmenter: Any
    options: dict[str, Any]

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> list[np.ndarray]:
        """Outline the cells of (3, H, W) images: membrane, nucleus, zeros.

        The library takes one image at a time.
        """
        return [self._cells(image) for image in images]

    def _cells(self, image: np.ndarray) -> np.ndarray:
        self.segmenter.initialize(np.moveaxis(scale_percentiles(image), 0, -1), ndim=2)
        labels: np.ndarray = self.segmenter.generate(**self.options)
        return labels


def load(record: ModelRecord, device: str, weights: Path) -> MicroSam:
    """Load encoder and decoder; the parameters are those of the watershed.

    Raises
    ------
    InputError
        If a file holds other weights.
    """
    need_torchvision()
    from micro_sam.instance_segmentation import (  # noqa: PLC0415
        InstanceSegmentationWithDecoder,
        get_decoder,
    )
    from segment_anything import SamPredictor, sam_model_registry  # noqa: PLC0415

    network = sam_model_registry["vit_b"]()
    load_state(network, weights / ENCODER)
    try:
        decoder = get_decoder(
            network.to(device).image_encoder, read_weights(weights / DECODER), device
        )
    except RuntimeError as error:
        raise wrong_weights(weights / DECODER, error) from None
    return MicroSam(
        InstanceSegmentationWithDecoder(SamPredictor(network), decoder), record.parameters
    )
