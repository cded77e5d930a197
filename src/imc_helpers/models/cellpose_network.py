"""What Cellpose 3 and Cellpose-SAM share: images in the library's own form, labels back."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np


class CellposeNetwork:
    """A network of Cellpose, of whichever version, that is loaded.

    Parameters
    ----------
    model
        The library's ``cellpose.models.CellposeModel``, its network in place.
    diameter_um
        Diameter of the cells, micrometres: images are scaled so that such a cell has the size that
        the network was trained on.
    eval_parameters
        Passed to the library's ``eval``.
    """

    def __init__(self, model: Any, diameter_um: float, eval_parameters: dict[str, Any]) -> None:
        self.model = model
        self.diameter_um = diameter_um
        self.eval_parameters = eval_parameters
        # Its warnings about stacks of images, and its progress, are not for a page.
        logging.getLogger("cellpose").setLevel(logging.ERROR)

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
