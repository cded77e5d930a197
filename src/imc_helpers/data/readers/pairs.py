"""Images and masks of a published record, brought together by name."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from imc_helpers.data.readers.stacks import Stack

NO_MASK = ("image without mask", "no mask of its name")
NO_IMAGE = ("mask without image", "no image of its name")


@dataclass(frozen=True)
class Pair:
    """An image and the masks that bear its name; nothing of them has been read."""

    sample: str
    """Id of the sample: the source's own name."""
    file: str
    """Path of the image in the record."""
    open: Callable[[], AbstractContextManager[Stack]]
    """Opens the image."""
    masks: Mapping[str, Callable[[], np.ndarray]]
    """Read a whole-cell mask, by rater: (H, W) uint32."""
    um_per_px: float
    """Edge of a pixel, micrometres."""


@dataclass(frozen=True)
class Unmatched:
    """Something of a record that no sample was made of."""

    sample: str
    """The source's own name; empty where it is not about one sample."""
    file: str
    """Path in the record."""
    what: str
    """What is wrong, as in other rows: ``"other shape"`` for instance."""
    reason: str
    """The same of this one, in words."""


def match(images: Mapping[str, str], masks: Mapping[str, str]) -> tuple[list[str], list[Unmatched]]:
    """Bring images and masks together by name.

    Parameters
    ----------
    images, masks
        Paths in the record by what their names say is the sample.

    Returns
    -------
    both : list of str
        Samples that have an image and a mask, sorted.
    unmatched : list of Unmatched
        The images and masks that have no partner.
    """
    alone = [
        Unmatched(sample, mine[sample], *reason)
        for mine, theirs, reason in ((images, masks, NO_MASK), (masks, images, NO_IMAGE))
        for sample in sorted(set(mine) - set(theirs))
    ]
    return sorted(set(images) & set(masks)), alone
