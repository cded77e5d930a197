"""Cellpose-SAM: Cellpose's flows, predicted by the image encoder of Segment Anything.

Pachitariu et al. 2025 (doi:10.1101/2025.04.28.651001). The network takes three planes in any order
and scales nothing by itself: a diameter scales the image so that cells are 30 px wide.
"""

from pathlib import Path

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.errors import InputError
from imc_helpers.models.cellpose_network import CellposeNetwork

LIBRARIES = ("cellpose",)
"""Distributions that do the work: run records ask them for their versions."""


def load(record: ModelRecord, device: str, weights: Path) -> CellposeNetwork:
    """Load Cellpose-SAM from a file under ``weights``; nothing is ever downloaded.

    The parameters of the record are those of the library's ``eval``, and ``diameter_um``.

    Raises
    ------
    InputError
        If the file is missing, or the library is not Cellpose 4.
    """
    path = weights / record.weights[0].name
    if not path.is_file():  # the library would download its default model instead
        raise InputError(f"{path}: no weights here")
    import torch  # noqa: PLC0415
    from cellpose import version  # noqa: PLC0415
    from cellpose.models import CellposeModel  # noqa: PLC0415

    if int(version.split(".")[0]) < 4:
        raise InputError(
            f"cellpose: this model needs version 4, found {version}: `make kernel-{record.kernel}`"
        )
    parameters = dict(record.parameters)
    diameter_um = parameters.pop("diameter_um")
    model = CellposeModel(
        pretrained_model=str(path),
        device=torch.device(device),
        # Half precision is slow and inexact without a GPU that has it.
        use_bfloat16=device == "cuda",
    )
    return CellposeNetwork(model, diameter_um, parameters)
