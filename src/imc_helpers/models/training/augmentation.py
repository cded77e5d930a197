"""Patches changed at random, each in its own way in each epoch."""

from typing import Any, Protocol

import numpy as np
from monai.transforms import (
    Compose,
    RandFlipd,
    RandGaussianNoised,
    RandRotate90d,
    RandRotated,
    RandScaleIntensityd,
    RandScaleIntensityFixedMeand,
)

KEYS = ("image", "target", "known")
"""What is moved together."""
STRONGER = 0.5
"""Intensity and contrast are multiplied by 1 less to 1 and this (Xiao et al. 2021, 2.4.2)."""
NOISE_SD = 1 / 255
"""Of the noise, as a share of the range; the paper names none, and the program 1 of 255."""
NOISY = 0.5
"""Share of patches with noise, as in the program."""

_KINDS = ("contrast", "intensity", "mirrored", "mirrored", "rotated", "rotated", "noise")
"""What each move of `Varied` is for: a rotation ends with clipping what lies between two pixels."""


class Augmentation(Protocol):
    """Changes a patch as its number says, so that an interrupted training can go on."""

    def __call__(self, patch: dict[str, np.ndarray], number: int) -> dict[str, Any]:
        """Return the patch as it looks at its ``number``, which is another in each epoch."""
        ...


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
        self._draw(number)
        return self._moves(patch)

    def _draw(self, number: int) -> None:
        """Draw anew what the moves do, the same for the same number."""
        rng = np.random.default_rng((self._seed, number))
        self._moves.set_random_state(seed=int(rng.integers(2**31)))


class Varied(Turned):
    """Change contrast and intensity, mirror, rotate by any angle, and add noise.

    As Dice-XMBD was trained (Xiao et al. 2021, section 2.4.2; its program has the rotation, and
    does not use it). Images are expected in 0 to 1, and are clipped to it before the noise. What a
    rotation brings in from outside the patch is not known, and so does not count.

    Parameters
    ----------
    seed
        Of all draws, as for `Turned`.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        factors = (-STRONGER, STRONGER)
        self._moves = Compose(
            [
                RandScaleIntensityFixedMeand("image", factors=factors, prob=1.0),
                RandScaleIntensityd("image", factors=factors, prob=1.0),
                RandFlipd(KEYS, prob=0.5, spatial_axis=0),
                RandFlipd(KEYS, prob=0.5, spatial_axis=1),
                RandRotated(
                    KEYS,
                    range_x=np.pi,
                    prob=1.0,
                    mode=("bilinear", "bilinear", "nearest"),
                    padding_mode="zeros",
                ),
                _Clipped(),
                RandGaussianNoised("image", prob=NOISY, std=NOISE_SD, sample_std=False),
            ]
        )

    def after_each(self, patch: dict[str, np.ndarray], number: int) -> dict[str, dict[str, Any]]:
        """Return the patch as it looks at its ``number`` after each kind of change, in turn.

        Returns
        -------
        dict
            By kind of change. The last is what the network is given.
        """
        self._draw(number)
        seen: dict[str, dict[str, Any]] = {}
        for kind, move in zip(_KINDS, self._moves.transforms, strict=True):
            patch = seen[kind] = move(patch)
        return seen


class _Clipped:
    """Keep what is moved within 0 to 1: images, and probabilities between two pixels."""

    def __call__(self, patch: dict[str, Any]) -> dict[str, Any]:
        return {name: plane.clip(0, 1) for name, plane in patch.items()}


AUGMENTATIONS: dict[str, type[Turned] | None] = {"none": None, "turned": Turned, "varied": Varied}
"""Augmentations by name."""
