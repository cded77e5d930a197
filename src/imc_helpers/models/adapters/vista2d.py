"""VISTA-2D (NVIDIA, MONAI): the image encoder of Segment Anything, and Cellpose's flows.

The network is MONAI's. What stands around it in the published bundle is written anew here from the
bundle's parameters, with MONAI's sliding window and Cellpose's dynamics:

- each plane between its percentiles 1 and 99 to 0 … 1;
- windows of 256 px that overlap by .625, blended by a Gaussian;
- flows followed for 200 steps where the logit of a cell is over .4; masks whose flows are off by
  more than .4, or of less than 15 px, are dropped, and holes filled.

The bundle was made for cellpose 3.0.8, which drops masks under 15 px and fills holes by default;
newer ones do so only when asked. Numbers are float32 on every device; the bundle lets the GPU use
float16.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from imc_helpers.aggregation import scale_percentiles
from imc_helpers.data.manifest import ModelRecord
from imc_helpers.models.checkpoint import load_state
from imc_helpers.models.torchvision_ops import need_torchvision

LIBRARIES = ("monai",)
"""Distributions that do the work: run records ask them for their versions."""

WEIGHTS = "vista2d_model.pt"


@dataclass(frozen=True)
class Vista2d:
    """The network, its sliding window and the settings of Cellpose's dynamics."""

    network: Any
    infer: Any
    device: str
    dynamics: dict[str, Any]

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> list[np.ndarray]:
        """Outline the cells of (3, H, W) images: zeros, membrane, nucleus."""
        return [flows_to_labels(logits, self.dynamics, self.device) for logits in self._run(images)]

    def _run(self, images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Give the network's (3, H, W) output for each image; equal shapes go in together."""
        import torch  # noqa: PLC0415

        for _, same in groupby(images, key=np.shape):
            batch = torch.from_numpy(np.stack([scale_percentiles(image) for image in same]))
            with torch.inference_mode():
                logits = self.infer(batch.to(self.device), self.network)
            yield from logits.cpu().numpy()


def load(record: ModelRecord, device: str, weights: Path) -> Vista2d:
    """Load the network; the parameters are those of the sliding window and of the dynamics."""
    need_torchvision()  # MONAI would say that SAM is not installed
    from monai.inferers import SlidingWindowInferer  # noqa: PLC0415
    from monai.networks.nets.cell_sam_wrapper import CellSamWrapper  # noqa: PLC0415

    network = CellSamWrapper(checkpoint=None)
    load_state(network, weights / WEIGHTS, key="state_dict")
    infer = SlidingWindowInferer(
        **record.parameters["sliding_window"], sw_batch_size=8 if device == "cuda" else 1
    )
    return Vista2d(network.eval().to(device), infer, device, record.parameters["dynamics"])


def flows_to_labels(logits: np.ndarray, dynamics: dict[str, Any], device: str) -> np.ndarray:
    """Follow the network's flows to cells, with Cellpose's dynamics.

    Parameters
    ----------
    logits
        (3, H, W) float32: logit of a cell, then five times the flow along rows and columns.
    dynamics
        ``niter``, ``cellprob_threshold``, ``flow_threshold``, ``min_size``, as Cellpose names them.
    device
        ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    numpy.ndarray
        (H, W) integers.
    """
    import torch  # noqa: PLC0415
    from cellpose.dynamics import compute_masks  # noqa: PLC0415

    labels: np.ndarray = compute_masks(
        logits[1:], logits[0], device=torch.device(device), **dynamics
    )
    return labels
