"""Dice-XMBD: a network that learns from a pixel forest what its labeller took days to teach it.

The teacher is a forest that was labelled where it was least sure; it gives each pixel of each image
probabilities of nucleus, cytoplasm and background. The student, a U-Net, learns those from two
merged planes (Xiao et al. 2021, doi:10.3389/fgene.2021.721229). Of either's maps, cells are found
in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.images.merging import TOP, Variant, merge_channels
from imc_helpers.images.pipeline_cells import PipelineSettings, cells_from_maps
from imc_helpers.images.pixel_classifier import BACKGROUND, CYTOPLASM, NUCLEUS, class_probabilities
from imc_helpers.images.rescaling import outline_rescaled
from imc_helpers.models.forest_pixels import forest_features

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

    from imc_helpers.models.training.loop import FitSettings
    from imc_helpers.models.training.patches import Patches, Split

PLANES = (NUCLEUS, CYTOPLASM, BACKGROUND)
"""The network's planes, as classes of the forest."""
PATCH_PX = 512
"""Edge of the patches that the network sees (Xiao et al. 2021, section 2.4.1)."""
BASE = 64
"""Filters of the network's first level in the program."""
_STEP_PX = 16
"""The network halves its patches four times."""
_ROUNDED = 1
"""Decimals to which the program rounds the teacher's probabilities."""


def merged_planes(sample: Sample, variant: Variant = "paper") -> np.ndarray:
    """Merge a sample's channels into a nuclear plane and a cell plane.

    Parameters
    ----------
    sample
        Its panel says which channels show nuclei, and which membranes.
    variant
        As the paper has it, or its program: `imc_helpers.images.merging.merge_channels`.

    Returns
    -------
    numpy.ndarray
        (2, H, W) float32, 0 to 255: nucleus, cell.

    Raises
    ------
    InputError
        If the panel names no channel of one of them.
    """
    return np.stack(
        [
            merge_channels(sample.image[list(sample.panel.compartment(name))], variant)
            for name in ("nucleus", "membrane")
        ]
    )


def forest_maps(forest: "RandomForestClassifier", planes: np.ndarray) -> np.ndarray:
    """Return the teacher's maps of the planes (C, H, W) that it sees: (3, H, W), as `PLANES`."""
    found = class_probabilities(forest, forest_features(planes))
    return np.moveaxis(found[..., list(PLANES)], -1, 0)


def make_network(base: int = BASE) -> Any:
    """Return the student: a U-Net of four halvings, from two planes to logits of `PLANES`.

    The paper names no normalisation; batch normalisation is the program's.
    """
    # Only those who train or run it need torch and MONAI.
    from monai.networks.nets import BasicUNet  # noqa: PLC0415

    widths = [base * 2**level for level in range(5)]
    return BasicUNet(
        spatial_dims=2,
        in_channels=2,
        out_channels=len(PLANES),
        features=(*widths, base),
        act="relu",
        norm="batch",
    )


def student_patches(
    planes: Sequence[np.ndarray], maps: Sequence[np.ndarray], side_px: int = PATCH_PX
) -> "Patches":
    """Cut images into patches; what is missing at the right and below is labelled background.

    Parameters
    ----------
    planes
        (2, H, W) each, from `merged_planes`.
    maps
        (3, H, W) each: what the teacher sees there, as `PLANES`.
    side_px
        Edge of a patch, pixels.

    Raises
    ------
    InputError
        If there is no image, a plane is the same everywhere, or maps hold anything but
        probabilities.
    """
    from imc_helpers.models.training.patches import make_patches  # noqa: PLC0415

    for number, image in enumerate(planes):
        flat = np.flatnonzero(image.min(axis=(1, 2)) == image.max(axis=(1, 2)))
        if flat.size:
            raise InputError(
                f"image {number} of {len(planes)}: its {('nuclear', 'cell')[flat[0]]} plane is "
                f"{image[flat[0]].flat[0]:g} everywhere, so there is nothing to learn from it"
            )
    background = PLANES.index(BACKGROUND)
    targets = []
    for one in maps:
        padded = _padded(one, side_px)
        padded[background, one.shape[1] :] = 1
        padded[background, :, one.shape[2] :] = 1
        targets.append(padded)
    return make_patches([_padded(image / TOP, side_px) for image in planes], targets, side_px)


def distil(
    planes: Mapping[str, np.ndarray],
    maps: Mapping[str, np.ndarray],
    split: "Split",
    settings: "FitSettings",
    folder: Path,
    *,
    base: int = BASE,
    patch_px: int = PATCH_PX,
    variant: Variant = "paper",
    device: str = "cpu",
) -> tuple[Any, pd.DataFrame]:
    """Let a student learn what a teacher sees.

    Parameters
    ----------
    planes
        (2, H, W) of each image, from `merged_planes`.
    maps
        (3, H, W) of each image: the teacher's probabilities, as `PLANES`.
    split
        Which images serve for what; those for the test are not looked at.
    settings, folder, device
        As for `imc_helpers.models.training.loop.fit_network`.
    base
        Filters of the first level.
    patch_px
        Edge of the patches.
    variant
        The program rounds the teacher's probabilities to a tenth.

    Returns
    -------
    network : torch.nn.Module
    curve : pandas.DataFrame
        As `imc_helpers.models.training.loop.fit_network` returns them.
    """
    from imc_helpers.models.training.loop import fit_network  # noqa: PLC0415

    def patches(names: Sequence[str]) -> "Patches":
        seen = [maps[name] for name in names]
        if variant == "program":
            seen = [one.round(_ROUNDED) for one in seen]
        return student_patches([planes[name] for name in names], seen, patch_px)

    learn, check = patches(split.train), patches(split.validation)
    return fit_network(lambda: make_network(base), learn, check, settings, folder, device)


def student_maps(network: Any, planes: np.ndarray) -> np.ndarray:
    """Return a student's maps of merged planes (2, H, W): (3, H, W), as `PLANES`.

    A large image is cut into patches of `PATCH_PX`, as it is in the paper; a smaller one is padded
    to what the network can halve.
    """
    import torch  # noqa: PLC0415

    from imc_helpers.models.dropout_unet import predict  # noqa: PLC0415
    from imc_helpers.models.training.patches import cut, join  # noqa: PLC0415

    shape = planes.shape[1:]
    side = min(PATCH_PX, -(-max(shape) // _STEP_PX) * _STEP_PX)
    patches = torch.as_tensor(cut((planes / TOP).astype(np.float32), side))
    return join(predict(network, patches, batch=4).numpy(), (shape[0], shape[1]))


@dataclass(frozen=True, eq=False)
class CellsOfMaps:
    """Teacher or student, as a model: see `imc_helpers.models.protocol.Adapter`."""

    maps: Callable[[np.ndarray], np.ndarray]
    """From an image's planes (C, H, W) to maps (3, H, W)."""
    settings: PipelineSettings
    """How cells are found in maps."""
    um_per_px: float
    """Edge of the pixels of the training tissue, micrometres; other images are scaled to it."""

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> list[np.ndarray]:
        """Outline the cells of (C, H, W) images."""
        zoom = um_per_px / self.um_per_px
        return [self._outlined(image, zoom) for image in images]

    def _outlined(self, image: np.ndarray, zoom: float) -> np.ndarray:
        if image.min() == image.max():  # no threshold can be found where there is no signal
            return np.zeros(image.shape[1:], np.uint32)
        return outline_rescaled(image, zoom, self._cells)

    def _cells(self, image: np.ndarray) -> np.ndarray:
        nucleus, cytoplasm, _ = self.maps(image)
        return cells_from_maps(nucleus, cytoplasm, self.settings)


def _padded(planes: np.ndarray, side_px: int) -> np.ndarray:
    """Return planes with zeros at the right and below, up to whole patches: float32."""
    more = [(0, -side % side_px) for side in planes.shape[1:]]
    return np.pad(planes.astype(np.float32), [(0, 0), *more])
