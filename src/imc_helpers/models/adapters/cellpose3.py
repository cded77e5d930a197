"""Cellpose 3: a U-Net that predicts flows towards the cells' centres.

Stringer et al. 2021 (doi:10.1038/s41592-020-01018-x), Stringer & Pachitariu 2025
(doi:10.1038/s41592-025-02595-5). Cellpose takes the plane to segment first and the nuclei second.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.models.cellpose_network import CellposeNetwork
from imc_helpers.models.protocol import model_input
from imc_helpers.models.training.labels import training_labels
from imc_helpers.models.training.notes import epochs_on, write_note

if TYPE_CHECKING:
    from cellpose.models import CellposeModel

LIBRARIES = ("cellpose",)
"""Distributions that do the work: run records ask them for their versions."""

WEIGHTS = "cellpose3"
"""Name of the weights' file of a network that is trained here."""
PUBLISHED_WIDTHS = (32, 64, 128, 256)
"""Channels at each level of the published networks."""
_CHANNELS = [1, 2]  # in Cellpose's count from one: segment the first plane, nuclei in the second


def load(record: ModelRecord, device: str, weights: Path) -> CellposeNetwork:
    """Load a Cellpose 3 network from a file under ``weights``; nothing is ever downloaded.

    The parameters of the record are those of the library's ``eval``, and two of ours: ``widths``,
    the channels of each level, and ``diameter_um``; a network that is trained here knows its own
    diameter.

    Raises
    ------
    InputError
        If the file is missing, or holds another network.
    """
    parameters = dict(record.parameters)
    name = record.weights[0].name if record.weights else WEIGHTS
    model = _new_model(parameters.pop("widths", PUBLISHED_WIDTHS), device)
    _load_weights(model, weights / name)
    diameter_um = parameters.pop("diameter_um", None)
    if diameter_um is None:  # the median in the training images, in their pixels
        diameter_um = float(model.diam_labels) * (record.um_per_px or 1.0)
    return CellposeNetwork(model, diameter_um, {"channels": _CHANNELS, **parameters})


def train(samples: Sequence[Sample], record: ModelRecord, device: str, weights: Path) -> None:
    """Train a network from scratch with the library's own training, and save it.

    Parameters
    ----------
    samples
        Tissue with the labels that the record names, at one pixel size.
    record
        Its ``training.parameters`` go to ``cellpose.train.train_seg``, but for ``diam_mean``: the
        diameter that cells are scaled to, pixels.
    device
        ``"cpu"`` or ``"cuda"``.
    weights
        Folder for the network, in the library's own format, and for ``training.json``.
    """
    if record.training is None:
        raise InputError("record: it has no `training`, so nothing says how to train")
    import torch  # noqa: PLC0415
    from cellpose.train import train_seg  # noqa: PLC0415

    training = record.training
    parameters = dict(training.parameters)
    torch.manual_seed(training.seed)
    model = _new_model(
        record.parameters.get("widths", PUBLISHED_WIDTHS), device, parameters.pop("diam_mean")
    )
    weights.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    saved, losses, _ = train_seg(
        model.net,
        train_data=[model_input(sample, record.inputs) for sample in samples],
        train_labels=[training_labels(s, training.labels).astype(np.int32) for s in samples],
        channels=_CHANNELS,
        channel_axis=0,
        n_epochs=epochs_on(training, device),
        save_path=weights,
        model_name=WEIGHTS,
        **parameters,
    )
    path = weights / WEIGHTS
    saved.replace(path)
    saved.parent.rmdir()  # the library saves into a folder `models`
    write_note(path, record, samples, losses, start=start, device=device)


def _new_model(widths: Sequence[int], device: str, diam_mean: float = 30.0) -> "CellposeModel":
    import torch  # noqa: PLC0415
    from cellpose.models import CellposeModel  # noqa: PLC0415
    from cellpose.resnet_torch import CPnet  # noqa: PLC0415

    if widths[-1] != 256:
        raise InputError(
            f"widths: Cellpose needs 256 channels at the deepest level, found {widths[-1]}"
        )
    model = CellposeModel(pretrained_model=False, nchan=2, device=torch.device(device))
    # The library builds networks of one size only.
    model.net = CPnet(
        [2, *widths], model.nclasses, sz=3, mkldnn=model.mkldnn, diam_mean=diam_mean
    ).to(model.device)
    return model


def _load_weights(model: "CellposeModel", path: Path) -> None:
    import torch  # noqa: PLC0415

    if not path.is_file():
        raise InputError(f"{path}: no weights here")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path}: not readable as weights: {error}") from error
    # The library takes what fits and keeps random numbers for the rest, without a word.
    wanted = {name: value.shape for name, value in model.net.state_dict().items()}
    found = {name: value.shape for name, value in state.items()} if isinstance(state, dict) else {}
    optional = {"diam_mean", "diam_labels"}
    if wrong := [n for n in wanted if n not in optional and found.get(n) != wanted[n]]:
        raise InputError(
            f"{path}: weights of another network: {len(wrong)} of {len(wanted)} parameters are "
            f"missing or of another shape, {wrong[0]} for instance. Is it Cellpose 3, with the "
            "widths that the record names?"
        )
    model.net.load_model(str(path), device=model.device)
    model.net.to(model.device).eval()
    model.diam_mean = model.net.diam_mean.item()
    model.diam_labels = model.net.diam_labels.item()
