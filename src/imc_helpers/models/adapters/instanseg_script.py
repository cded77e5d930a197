"""A TorchScript of InstanSeg taken apart: its network is run, and its own post-processing is not.

What the library does before and after is kept: pixels are resampled to the network's size, planes
are normalised by percentiles of the whole image, and labels are brought back by nearest neighbours.
A large image is not cut into tiles that have to be stitched. The network alone runs on pieces, each
with more around it than a convolution of it can see, and the cells are found in the whole image: no
cell is cut at a seam, and none is found twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from imc_helpers.models.adapters.instanseg_cells import PixelClassifier, Settings, find_cells

if TYPE_CHECKING:
    import torch

_PIECE_PX = 1024  # of the padded image that one run of the network answers for
_AROUND_PX = 128  # what it sees of the image around that: over 90 px, the reach of four levels
_MULTIPLE_PX = 16  # the library pads an image to this, and the network halves four times at most
_CEILING, _FLOOR = 3, -2  # the script's own limits for normalised planes
_STEPS = (
    "generate_coordinate_map",
    "torch_peak_local_max",
    "feature_engineering_slow",
    "flood_fill",
    "fill_holes",
    "convert",
    "fast_sparse_iou",
    "find_connected_components",
)
"""Functions that the script calls where `find_cells` takes its place; older ones call others."""
_ATTRIBUTES = (
    *("fcn", "pixel_classifier", "cells_and_nuclei", "pixel_size"),
    *("dim_coords", "dim_seeds", "n_sigma", "default_fg_threshold"),
)
_LAYERS = ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "fc3.weight", "fc3.bias")
_SETTINGS = tuple(field.name for field in fields(Settings))
_WITHOUT_EFFECT = ("min_size", "mean_threshold", "resolve_cell_and_nucleus")
"""Parameters that the script takes and does not use, for cells alone."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of an InstanSeg script that find cells."""

    network: Any
    """TorchScript: (1, C, h, w) planes in, (1, D, h, w) numbers for each pixel out."""
    classifier: PixelClassifier
    settings: Settings
    fg_threshold: float
    """Least probability of foreground at a seed, of a network that tells it apart."""
    um_per_px: float
    """Pixel size of the network, micrometres."""
    n_heads: int
    """1, or 2 for a network of nuclei and cells."""
    n_coords: int
    n_sigma: int
    n_seeds: int
    """Channels of each head: the embedding, its widths, and the seeds."""
    device: "torch.device"

    @classmethod
    def of(
        cls, script: Any, parameters: Mapping[str, Any], device: "torch.device | str"
    ) -> "Parts | None":
        """Take a script apart, or return None where it is another or is asked for something else.

        Parameters
        ----------
        script
            A scripted ``InstanSeg_Torchscript``.
        parameters
            Of its call; what is missing is the script's own default.
        device
            Where the network runs.
        """
        import torch  # noqa: PLC0415

        known = {*_SETTINGS, *_WITHOUT_EFFECT, "fg_threshold"}
        if not known.issuperset(parameters) or not _is_known(script):
            return None
        chosen = {name: getattr(script, f"default_{name}") for name in _SETTINGS} | {
            name: parameters[name] for name in _SETTINGS if name in parameters
        }
        state = script.pixel_classifier.state_dict()
        return cls(
            network=script.fcn,
            classifier=PixelClassifier(tuple(state[name].cpu().numpy() for name in _LAYERS)),
            settings=Settings(**chosen),
            fg_threshold=parameters.get("fg_threshold", script.default_fg_threshold),
            um_per_px=script.pixel_size,
            n_heads=2 if script.cells_and_nuclei else 1,
            n_coords=script.dim_coords,
            n_sigma=script.n_sigma,
            n_seeds=script.dim_seeds,
            device=torch.device(device),
        )

    def segment(self, image: np.ndarray, um_per_px: float) -> np.ndarray:
        """Outline the cells of one image.

        Parameters
        ----------
        image
            (C, H, W) float32, of any scale.
        um_per_px
            Its pixel size, micrometres.

        Returns
        -------
        numpy.ndarray
            (H, W) int64.
        """
        import torch  # noqa: PLC0415
        from instanseg.inference_class import _rescale_to_pixel_size  # noqa: PLC0415
        from instanseg.utils.utils import percentile_normalize  # noqa: PLC0415

        # A copy, in C order: a tensor takes no view that is turned round.
        planes = torch.from_numpy(np.array(image, np.float32, order="C"))
        planes = _rescale_to_pixel_size(planes, um_per_px, self.um_per_px)
        planes = percentile_normalize(planes).clamp(_FLOOR, _CEILING)
        labels = find_cells(*self._fields(planes), self.classifier, self.settings)
        if labels.shape != image.shape[1:]:
            resampled = torch.nn.functional.interpolate(
                torch.tensor(labels.astype(np.float32))[None, None],
                size=image.shape[1:],
                mode="nearest",
            )
            labels = resampled[0, 0].numpy()
        return labels.astype(np.int64)

    def _fields(self, planes: "torch.Tensor") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the embedding, its widths and the seed map of the cells, as the script does."""
        import torch  # noqa: PLC0415
        from instanseg.utils.loss.instanseg_loss import generate_coordinate_map  # noqa: PLC0415

        height, width = planes.shape[1:]
        out = self._run(planes)
        out = out[-(len(out) // self.n_heads) :]  # of two heads, the second knows the cells
        places = generate_coordinate_map("linear", self.n_coords, height, width, out.device)
        embedding = (torch.sigmoid(out[: self.n_coords]) - 0.5) * 8 + places
        sigma = out[self.n_coords : self.n_coords + self.n_sigma]
        seeds = out[-self.n_seeds] / 15 + 0.5
        if self.n_seeds > 1:
            seeds[~(torch.sigmoid(out[-1]) > self.fg_threshold)] = 0
        return embedding.numpy(), sigma.numpy(), seeds.numpy()

    def _run(self, planes: "torch.Tensor") -> "torch.Tensor":
        """Run the network on an image of any size, piece by piece: (D, H, W) on the CPU."""
        import torch  # noqa: PLC0415

        height, width = planes.shape[1:]
        fill = [(0, -height % _MULTIPLE_PX), (0, -width % _MULTIPLE_PX)]
        # NumPy's mirror goes on where the image is smaller than what is to be filled.
        padded = torch.from_numpy(np.pad(planes.numpy(), [(0, 0), *fill], mode="reflect"))
        rows = []
        for top in range(0, padded.shape[1], _PIECE_PX):
            pieces = []
            for left in range(0, padded.shape[2], _PIECE_PX):
                before = max(top - _AROUND_PX, 0), max(left - _AROUND_PX, 0)
                window = padded[
                    :,
                    before[0] : top + _PIECE_PX + _AROUND_PX,
                    before[1] : left + _PIECE_PX + _AROUND_PX,
                ]
                with torch.no_grad():
                    out = self.network(window[None].to(self.device))[0].float().cpu()
                out = out[:, top - before[0] :, left - before[1] :]
                pieces.append(out[:, :_PIECE_PX, :_PIECE_PX])
            rows.append(torch.cat(pieces, dim=2))
        return torch.cat(rows, dim=1)[:, :height, :width]


def _is_known(script: Any) -> bool:
    """Say whether a script is of the kind that `find_cells` follows."""
    if not all(hasattr(script, name) for name in _ATTRIBUTES):
        return False
    if not all(hasattr(script, f"default_{name}") for name in _SETTINGS):
        return False
    rule = script.pixel_classifier
    state = rule.state_dict()
    return (
        all(step in script.code for step in _STEPS)
        and rule.original_name == "ProbabilityNet"
        and set(state) == set(_LAYERS)
        and state["fc1.weight"].shape[1] == script.dim_coords + script.n_sigma
    )
