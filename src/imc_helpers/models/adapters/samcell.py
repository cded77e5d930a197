"""SAMCell (VandeLoo et al. 2025, doi:10.1371/journal.pone.0319532): distances by Segment Anything.

A network that regresses each pixel's distance to its cell's border, in windows of 256 px that the
library cuts and blends by itself, and a watershed of that map. It takes one grey image of 8 bits.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from imc_helpers.aggregation import scale_percentiles
from imc_helpers.data.manifest import ModelRecord
from imc_helpers.models.checkpoint import load_state

LIBRARIES = ("samcell",)
"""Distributions that do the work: run records ask them for their versions."""

WEIGHTS = "samcell-generalist.pt"
BASE = "sam-vit-base"
"""Folder with the base model's two settings files, as Hugging Face has them."""


@dataclass(frozen=True)
class SamCell:
    """SAMCell's pipeline, with its network."""

    pipeline: Any

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> list[np.ndarray]:
        """Outline the cells of (1, H, W) images: membrane. The library takes one at a time."""
        return [self._cells(image) for image in images]

    def _cells(self, image: np.ndarray) -> np.ndarray:
        grey = np.rint(255 * scale_percentiles(image)[0]).astype(np.uint8)
        with _errors_raised():
            labels: np.ndarray = self.pipeline.run(grey)
        return labels


def load(record: ModelRecord, device: str, weights: Path) -> SamCell:
    """Load the network; the parameters of the record are the pipeline's."""
    import samcell.pipeline  # noqa: PLC0415
    from transformers import SamConfig, SamModel, SamProcessor  # noqa: PLC0415

    base = weights / BASE
    network = SamModel(SamConfig.from_pretrained(base, local_files_only=True))
    load_state(network, weights / WEIGHTS)
    processor = SamProcessor.from_pretrained(base, local_files_only=True)
    # The pipeline would look its processor up at Hugging Face, by a name that it has built in.
    local = SimpleNamespace(from_pretrained=lambda name: processor)
    with patch.object(samcell.pipeline, "SamProcessor", local):
        pipeline = samcell.pipeline.SlidingWindowPipeline(
            SimpleNamespace(get_model=lambda: network), device, **record.parameters
        )
    return SamCell(pipeline)


class _Raise(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError(f"SAMCell: {record.getMessage()}")


@contextmanager
def _errors_raised() -> Iterator[None]:
    """Raise what SAMCell only logs: it then returns an image without cells, as if it saw none."""
    logger = logging.getLogger("samcell.pipeline")
    handler = _Raise(level=logging.ERROR)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
