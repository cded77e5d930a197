"""InstanSeg: pixels are embedded so that those of one cell lie together around its seed.

Goldsborough et al. 2024 (doi:10.1101/2024.09.04.611150). The published network for fluorescence
takes any number of channels (its ChannelNet makes three of them) and outlines nuclei and cells.
"""

import contextlib
import io
import math
import time
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.models.adapters.instanseg_script import Parts
from imc_helpers.models.protocol import model_input
from imc_helpers.models.training.labels import training_labels
from imc_helpers.models.training.notes import epochs_on, write_note

if TYPE_CHECKING:
    import torch

LIBRARIES = ("instanseg-torch",)
"""Distributions that do the work: run records ask them for their versions."""

WEIGHTS = "instanseg.pt"
"""Name of the TorchScript, inside the published archive and of a network that is trained here."""
_SIGMAS = 2  # the library's own number of channels that say how wide a cell's embedding is
_TILE_PX = 512  # of the library's own tiling, in the network's pixels
_SIDES = 4  # hidden units of the pixel classifier for the differences: left, right, up, down
_UNITS_PER_PX = 64 / 256  # of the library's embedding
_SEED_SPREAD = 5.0  # initial standard deviation of the seeds, of the order of their target's
_STEEPNESS = 2.0  # logits per unit of the embedding, at the start
_FAINT = 0.1  # of the random part that is left in the pixel classifier
_CLIP = 20.0  # the library's own limit of the gradient's norm


class InstanSeg:
    """An InstanSeg network that is loaded.

    Parameters
    ----------
    library
        ``instanseg.InstanSeg`` around the TorchScript.
    eval_parameters
        Passed to the network's own call: thresholds, ``window_size`` and so on.

    Attributes
    ----------
    parts
        What finds cells fast, or None: then the library's own call does.
    """

    def __init__(self, library: Any, eval_parameters: dict[str, Any]) -> None:
        self.library = library
        self.eval_parameters = eval_parameters
        self.parts = Parts.of(library.instanseg, eval_parameters, library.inference_device)

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> Sequence[np.ndarray]:
        """Outline the cells of some images; see `imc_helpers.models.protocol.Adapter`.

        Where the TorchScript is of a kind that can be taken apart, its network is run and its cells
        are found here, which is many times as fast; else the library does it all, with its own
        tiles for a large image. Either takes one image at a time.
        """
        with _quiet():
            if self.parts is not None:
                return [self.parts.segment(image, um_per_px) for image in images]
            return [self._by_library(image.copy(), um_per_px) for image in images]

    def _by_library(self, image: np.ndarray, um_per_px: float) -> np.ndarray:
        options = {
            "pixel_size": um_per_px,
            "target": "cells",
            "return_image_tensor": False,
            **self.eval_parameters,
        }
        if max(image.shape[1:]) * um_per_px / self.library.instanseg.pixel_size <= _TILE_PX:
            labels = self.library.eval_small_image(image, **options)
        else:  # normalised as a whole, then tiled and stitched, by the library
            labels = self.library.eval_medium_image(
                image, tile_size=_TILE_PX, batch_size=4, **options
            )
        # Of a network that knows nuclei as well, only the cells were asked for.
        return labels[0, -1].cpu().numpy().astype(np.int64)


def load(record: ModelRecord, device: str, weights: Path) -> InstanSeg:
    """Load InstanSeg from a TorchScript, or the published archive, under ``weights``.

    The parameters of the record go to the network's own call.

    Raises
    ------
    InputError
        If the file is missing or no InstanSeg.
    """
    path = weights / (record.weights[0].name if record.weights else WEIGHTS)
    if not path.is_file():
        raise InputError(f"{path}: no weights here")
    import torch  # noqa: PLC0415
    from instanseg.inference_class import InstanSeg as Library  # noqa: PLC0415

    try:
        script = torch.jit.load(io.BytesIO(_script(path)), map_location=device).eval()
    except RuntimeError as error:
        raise InputError(f"{path}: not a TorchScript: {error}") from None
    for name in ("cells_and_nuclei", "pixel_size"):
        if not hasattr(script, name):
            raise InputError(f"{path}: a TorchScript, but no InstanSeg: it lacks {name}")
    return InstanSeg(Library(script, device=device, verbosity=0), dict(record.parameters))


def train(samples: Sequence[Sample], record: ModelRecord, device: str, weights: Path) -> None:
    """Train a small network from scratch with the library's own network and loss, and save it.

    The loop is ours: the library's own needs MONAI, and pages and images of its own. It is the same
    otherwise: Adam, gradients clipped, the Lovász hinge loss. Instead of hours of an easier loss
    first, the network starts where that would lead it; see `_start`.

    Parameters
    ----------
    samples
        Tissue with the labels that the record names, all of one pixel size.
    record
        Its ``training.parameters``: ``layers`` (channels of each level), ``batch_size``,
        ``batches`` (of an epoch), ``crop_px``, ``window_px`` (around a seed), ``cell_px`` (usual
        diameter of a cell) and ``learning_rate``.
    device
        ``"cpu"`` or ``"cuda"``.
    weights
        Folder for the TorchScript and ``training.json``.
    """
    if record.training is None:
        raise InputError("record: it has no `training`, so nothing says how to train")
    import torch  # noqa: PLC0415
    from instanseg.utils.loss.instanseg_loss import InstanSeg as Method  # noqa: PLC0415
    from instanseg.utils.loss.instanseg_loss import InstanSeg_Torchscript  # noqa: PLC0415
    from instanseg.utils.model_loader import build_model_from_dict  # noqa: PLC0415
    from instanseg.utils.utils import percentile_normalize  # noqa: PLC0415

    training, options = record.training, record.training.parameters
    epochs = epochs_on(training, device)
    rng = np.random.default_rng(training.seed)
    images = [
        percentile_normalize(torch.tensor(model_input(sample, record.inputs))) for sample in samples
    ]
    labels = [
        torch.tensor(training_labels(s, training.labels).astype(np.int64))[None] for s in samples
    ]
    network = {
        "model_str": "InstanSeg_UNet",
        "dim_in": len(record.inputs),
        "n_sigma": _SIGMAS,
        "dim_coords": 2,
        "dim_seeds": 1,
        "cells_and_nuclei": False,
        "multihead": False,
        "layers": options["layers"],
        "norm": "BATCH",
    }
    start = time.perf_counter()
    with _quiet():
        method = Method(
            n_sigma=_SIGMAS,
            device=device,
            seed_loss_fn="l1_distance",
            window_size=options["window_px"],
        )
        net = build_model_from_dict(network, random_seed=training.seed).to(device)
        net = method.initialize_pixel_classifier(net, MLP_width=_SIDES + 1)
        _start(net, options["cell_px"])
        optimizer = torch.optim.Adam(net.parameters(), lr=options["learning_rate"])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
        net.train()
        losses = []
        for _ in range(epochs):
            total = 0.0
            for _ in range(options["batches"]):
                x, y = _batch(images, labels, options["batch_size"], options["crop_px"], rng)
                loss = method.forward(net(x.to(device)), y.to(device)).mean()
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), _CLIP)
                optimizer.step()
                total += loss.item()
            schedule.step()
            losses.append(total / options["batches"])
        script = torch.jit.script(
            InstanSeg_Torchscript(
                net.cpu().eval(),
                pixel_size=samples[0].um_per_px,
                n_sigma=_SIGMAS,
                backbone_dim_in=len(record.inputs),
            )
        )
    weights.mkdir(parents=True, exist_ok=True)
    torch.jit.save(script, weights / WEIGHTS)
    write_note(weights / WEIGHTS, record, samples, losses, start=start, device=device)


def _start(net: Any, cell_px: float) -> None:
    """Let a new network start from round cells, and from seeds of the right contrast; in place.

    Two parts of the network are too far from any answer for a short training to bring them there.
    Its last layer is a batch normalisation, so its output starts with a spread of 1, while the
    seeds' target runs from -7.5 to 7.5; a step of Adam moves a scale by no more than the learning
    rate. And its pixel classifier, which tells whether a pixel's embedding belongs to a seed's, is
    a random function of the two's difference: nearly nothing is a cell to it, and the hinge loss
    has little to say about which change would help. Here it starts as the rule ``|dy| + |dx| < r``,
    where the diamond is as large as a usual cell.

    Parameters
    ----------
    net
        A new network with its pixel classifier.
    cell_px
        Usual diameter of a cell, pixels.
    """
    import torch  # noqa: PLC0415

    radius = cell_px * math.sqrt(math.pi / 8) * _UNITS_PER_PX  # of a diamond of the disc's area
    rule = net.pixel_classifier
    sides = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    with torch.no_grad():
        for decoder in net.decoders:  # the seeds are the last channel of the last block
            decoder.final_block[-1][1].weight[-1] *= _SEED_SPREAD
        # Rectified, the four sides make the two absolute differences; the fifth unit and what lies
        # behind the differences, the widths, stay random and nearly without weight.
        rule.fc1.weight[:_SIDES] = torch.nn.functional.pad(sides, (0, _SIGMAS))
        rule.fc1.bias[:_SIDES] = 0
        rule.fc2.weight.mul_(_FAINT).diagonal().add_(1)
        rule.fc2.bias.zero_()
        rule.fc3.weight[:, :_SIDES] = -_STEEPNESS
        rule.fc3.weight[:, _SIDES:] *= _FAINT
        rule.fc3.bias.fill_(_STEEPNESS * radius)


def _batch(
    images: Sequence["torch.Tensor"],
    labels: Sequence["torch.Tensor"],
    size: int,
    crop_px: int,
    rng: np.random.Generator,
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Cut random squares out of random images, turned and mirrored at random."""
    import torch  # noqa: PLC0415

    x: list[torch.Tensor] = []
    y: list[torch.Tensor] = []
    for _ in range(size):
        k = rng.integers(len(images))
        top, left = (int(rng.integers(side - crop_px + 1)) for side in images[k].shape[1:])
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        for planes, batch in ((images[k], x), (labels[k], y)):
            part = planes[:, top : top + crop_px, left : left + crop_px]
            part = torch.rot90(part, turns, (1, 2))
            batch.append(part.flip(2) if mirrored else part)
    return torch.stack(x), torch.stack(y)


def _script(path: Path) -> bytes:
    """Return the bytes of a TorchScript, which is a zip archive itself, or lies in one."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inside = [name for name in archive.namelist() if Path(name).name == WEIGHTS]
            if inside:
                return archive.read(inside[0])
    return path.read_bytes()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's prints, and its warnings about a GPU that is not there, off a page."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
