"""Patches turned and mirrored, each in its own way in each epoch."""

from typing import Any

import numpy as np
from monai.transforms import Compose, RandFlipd, RandRotate90d

KEYS = ("image", "target", "known")
"""What is turned together."""


class Turned:
    """Mirror and turn a patch, its target and what is known of it alike.

    Parameters
    ----------
    seed
        Of all draws. A patch is turned the same way whenever it is asked for with the same number,
        so a training that was interrupted goes on as if it had not been.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._moves = Compose(
            [
                RandFlipd(KEYS, prob=0.5, spatial_axis=0),
                RandFlipd(KEYS, prob=0.5, spatial_axis=1),
                RandRotate90d(KEYS, prob=0.75),
            ]
        )

    def __call__(self, patch: dict[str, np.ndarray], number: int) -> dict[str, Any]:
        """Return the patch as it looks at its ``number``, which is another in each epoch."""
        rng = np.random.default_rng((self._seed, number))
        self._moves.set_random_state(seed=int(rng.integers(2**31)))
        return self._moves(patch)
