"""The protocol: from a sample to labels, with any model.

An adapter knows one library and nothing of the book; a `Segmenter` knows the book and nothing of a
library. What lies between the two is a (C, H, W) image in the model's own order of planes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from imc_helpers.aggregation import aggregate
from imc_helpers.data.manifest import ModelRecord
from imc_helpers.data.samples import Sample, as_labels
from imc_helpers.errors import InputError
from imc_helpers.images.merging import merge_channels
from imc_helpers.models.tiling import segment_tiles

MERGED = "merged "
"""How planes are called whose channels are stretched to one range before they are averaged."""


class Adapter(Protocol):
    """One library's model, loaded and ready.

    Each adapter module has ``load(record, device, weights) -> Adapter``: `ModelRecord`, ``"cpu"``
    or ``"cuda"``, and the folder of the weights (it exists where the record needs one). It imports
    its library inside that function, so that naming a model costs nothing. Where the build trains
    the model, the module has ``train(samples, record, device, weights)`` as well, which writes
    into that folder; the samples are phantom tissue with the truth among their masks.
    """

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> Sequence[np.ndarray]:
        """Outline the cells of some images.

        Parameters
        ----------
        images
            (C, H, W) float32 each, planes as the record's ``inputs`` say, intensities as the cohort
            has them. Images of one call go to the device together where the library can.
        um_per_px
            Edge of their pixels, micrometres.

        Returns
        -------
        sequence of numpy.ndarray
            (H, W) integers each, in the pixels of the image that was given; 0 is background. An
            image without cells gives zeros, and no error.
        """
        ...


class Segmented(NamedTuple):
    """What a run gave, and what it took."""

    labels: list[np.ndarray]
    """(H, W) uint32, one a sample."""
    seconds: float
    """Wall time of the whole."""
    library_seconds: float
    """Part of it spent in the adapter: the library's own work."""


@dataclass(frozen=True)
class Segmenter:
    """A model that is loaded, on its device."""

    key: str
    """Key in the manifest."""
    record: ModelRecord
    adapter: Adapter
    device: str
    """``"cpu"`` or ``"cuda"``."""

    def segment(self, sample: Sample) -> np.ndarray:
        """Return the labels of one sample: (H, W) uint32, 0 is background.

        Raises
        ------
        InputError
            If the panel lacks what the model takes, or the library returned no label image.
        """
        return self.run([sample]).labels[0]

    def run(self, samples: Sequence[Sample]) -> Segmented:
        """Segment samples of one pixel size together, and say what it took.

        Parameters
        ----------
        samples
            Images, or patches of one; there may be none. Where they fit the model's window they
            reach it in one call; larger ones are tiled one by one.
        """
        if not samples:
            return Segmented([], 0.0, 0.0)
        start, inside = time.perf_counter(), 0.0
        um_per_px = _one_pixel_size(samples)

        def predict(images: Sequence[np.ndarray]) -> list[np.ndarray]:
            nonlocal inside
            begin = time.perf_counter()
            found = self.adapter.predict(images, um_per_px)
            inside += time.perf_counter() - begin
            return [
                self._checked(labels, image) for labels, image in zip(found, images, strict=True)
            ]

        images = [model_input(sample, self.record.inputs) for sample in samples]
        window = self.record.window_px
        if window is None or all(max(image.shape[1:]) <= window for image in images):
            labels = predict(images)
        else:
            labels = [segment_tiles(image, predict, tile_px=window) for image in images]
        return Segmented(labels, time.perf_counter() - start, inside)

    def _checked(self, labels: np.ndarray, image: np.ndarray) -> np.ndarray:
        if labels.shape != image.shape[1:]:
            raise InputError(
                f"model {self.key}: its library returned labels of shape {labels.shape} for an "
                f"image of {image.shape[1:]}"
            )
        return as_labels(np.asarray(labels), f"model {self.key}")


def model_input(sample: Sample, inputs: Sequence[str]) -> np.ndarray:
    """Return the planes that a model takes: (C, H, W) float32.

    Parameters
    ----------
    sample
        Its panel says which channels show nucleus and membrane.
    inputs
        ``"nucleus"`` and ``"membrane"``: per-pixel means of those channels; ``"zeros"``: an empty
        plane; ``"all"``: every channel of the panel; ``"merged nucleus"`` and ``"merged
        membrane"``: means of those channels after each was stretched to 0 to 255
        (`imc_helpers.images.merging`).
    """
    planes: list[np.ndarray] = []
    for name in inputs:
        if name == "all":
            planes += list(sample.image)
        elif name == "zeros":
            planes.append(np.zeros(sample.shape, np.float32))
        elif name.startswith(MERGED):
            channels = sample.panel.compartment(name.removeprefix(MERGED))
            planes.append(merge_channels(sample.image[list(channels)]))
        else:
            planes.append(aggregate(sample.image, sample.panel.compartment(name)))
    return np.stack(planes).astype(np.float32, copy=False)


def _one_pixel_size(samples: Sequence[Sample]) -> float:
    sizes = {sample.um_per_px for sample in samples}
    if len(sizes) != 1:
        raise InputError(
            f"samples segmented together must have one pixel size, found {sorted(sizes)} um; "
            "segment them one by one"
        )
    return sizes.pop()
