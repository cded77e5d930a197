"""Cellpose-SAM: Cellpose's flows, predicted by the image encoder of Segment Anything.

Pachitariu et al. 2025 (doi:10.1101/2025.04.28.651001). The network takes three planes in any order
and scales nothing by itself: a diameter scales the image so that cells are 30 px wide.
"""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.errors import InputError

LIBRARIES = ("cellpose",)
"""Distributions that do the work: run records ask them for their versions."""


class CellposeSam:
    """A Cellpose-SAM network that is loaded.

    Parameters
    ----------
    model
        ``cellpose.models.CellposeModel`` of Cellpose 4.
    diameter_um
        Diameter of the cells, micrometres.
    eval_parameters
        Passed to the library's ``eval``.
    """

    def __init__(self, model: Any, diameter_um: float, eval_parameters: dict[str, Any]) -> None:
        self.model = model
        self.diameter_um = diameter_um
        self.eval_parameters = eval_parameters

    def predict(self, images: Sequence[np.ndarray], um_per_px: float) -> Sequence[np.ndarray]:
        """Outline the cells of some images; see `imc_helpers.models.protocol.Adapter`."""
        shapes = {image.shape for image in images}
        if len(shapes) > 1:
            return [self.predict([image], um_per_px)[0] for image in images]
        from cellpose.transforms import normalize_img  # noqa: PLC0415

        # Each image by itself: the library normalises a stack that it is given as one. It also
        # works in place. It warns of empty planes, which are no news here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            stack = np.stack([normalize_img(image.transpose(1, 2, 0).copy()) for image in images])
            masks, _, _ = self.model.eval(
                stack,
                channel_axis=3,
                z_axis=0,
                normalize=False,
                diameter=self.diameter_um / um_per_px,
                **self.eval_parameters,
            )
        return list(masks.reshape(stack.shape[:3]))


def load(record: ModelRecord, device: str, weights: Path) -> CellposeSam:
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
    # Its warnings about stacks of images, and its progress, are not for a page.
    logging.getLogger("cellpose").setLevel(logging.ERROR)
    parameters = dict(record.parameters)
    diameter_um = parameters.pop("diameter_um")
    model = CellposeModel(
        pretrained_model=str(path),
        device=torch.device(device),
        # Half precision is slow and inexact without a GPU that has it.
        use_bfloat16=device == "cuda",
    )
    return CellposeSam(model, diameter_um, parameters)
