"""What a network learns from: patches of normalised images, and images kept apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imc_helpers.errors import InputError

PERCENTILE = 99.0
"""Of each channel of each image; it becomes 1."""


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches of one size."""

    images: np.ndarray
    """(N, C, P, P) float32."""
    targets: np.ndarray
    """(N, K, P, P) float32, 0 to 1: what each of the network's K planes should be."""
    known: np.ndarray
    """(N, 1, P, P) float32: 1 where the target counts, 0 in padding and where nobody knows it."""

    def __post_init__(self) -> None:
        n, _, *sides = self.images.shape
        for name, found in (("targets", self.targets), ("known", self.known)):
            if (len(found), *found.shape[2:]) != (n, *sides):
                raise InputError(
                    f"{name} have shape {found.shape}, and the images {self.images.shape}: number "
                    "and size of patches must be the same"
                )
        if not (self.targets.min(initial=0) >= 0 and self.targets.max(initial=0) <= 1):
            raise InputError(
                f"targets are probabilities, 0 to 1; found {self.targets.min():g} to "
                f"{self.targets.max():g}"
            )

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Split:
    """Which images serve for what; none serves twice."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        sides: dict[str, str] = {}
        for name, ids in vars(self).items():
            if not ids:
                raise InputError(f"split: no image for {name}; give more images, or another split")
            for one in ids:
                if sides.setdefault(one, name) != name:
                    raise InputError(
                        f"split: image {one!r} is both for {sides[one]} and for {name}"
                    )


def split_images(
    ids: Sequence[str],
    shares: tuple[float, float, float] = (0.7, 0.1, 0.2),
    *,
    seed: int,
    strata: Mapping[str, str] | None = None,
) -> Split:
    """Divide images, not patches, at random among training, validation and test.

    Parameters
    ----------
    ids
        Of the images.
    shares
        Of training, validation and test.
    seed
        Of the draw.
    strata
        Group of each image, a disease for instance: every group is divided by the same shares.

    Raises
    ------
    InputError
        If one of the three is left without an image.
    """
    rng = np.random.default_rng(seed)
    groups: dict[str, list[str]] = {}
    for one in ids:
        groups.setdefault((strata or {}).get(one, ""), []).append(one)
    parts: tuple[list[str], ...] = ([], [], [])
    for members in groups.values():
        order = [members[i] for i in rng.permutation(len(members))]
        ends = np.rint(np.cumsum(shares) * len(order)).astype(int)
        for part, begin, end in zip(parts, [0, *ends[:-1]], ends, strict=True):
            part.extend(order[begin:end])
    return Split(*(tuple(sorted(part)) for part in parts))


def normalise(image: np.ndarray, source: str) -> np.ndarray:
    """Divide each channel by its 99th percentile, or by its maximum where that is 0.

    Parameters
    ----------
    image
        (C, H, W) counts.
    source
        Where it comes from, for the message.

    Returns
    -------
    numpy.ndarray
        (C, H, W) float32.

    Raises
    ------
    InputError
        If a channel is the same everywhere, or holds what is no number.
    """
    if not np.isfinite(image).all():
        raise InputError(f"{source}: the image holds NaN or infinity")
    planes = image.reshape(len(image), -1)
    flat = np.flatnonzero(planes.min(axis=1) == planes.max(axis=1))
    if flat.size:
        raise InputError(
            f"{source}: channel {flat[0]} is {planes[flat[0], 0]:g} everywhere, so there is "
            "nothing to learn from it; leave it out"
        )
    scale = np.percentile(planes, PERCENTILE, axis=1)
    scale = np.where(scale > 0, scale, planes.max(axis=1))
    return (image / scale[:, None, None]).astype(np.float32)


def cut(planes: np.ndarray, side_px: int) -> np.ndarray:
    """Cut planes into patches without overlap; what is missing at the right and below is 0.

    Parameters
    ----------
    planes
        (C, H, W) array.
    side_px
        Edge P of a patch, pixels.

    Returns
    -------
    numpy.ndarray
        (N, C, P, P), row by row.
    """
    channels, *shape = planes.shape
    rows, columns = (-(-side // side_px) for side in shape)
    padded = np.zeros((channels, rows * side_px, columns * side_px), planes.dtype)
    padded[:, : shape[0], : shape[1]] = planes
    tiles = padded.reshape(channels, rows, side_px, columns, side_px).transpose(1, 3, 0, 2, 4)
    return tiles.reshape(rows * columns, channels, side_px, side_px)


def join(patches: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Put patches together again, without their padding: the inverse of `cut`, (C, H, W)."""
    _, channels, side_px, _ = patches.shape
    rows, columns = (-(-side // side_px) for side in shape)
    tiles = patches.reshape(rows, columns, channels, side_px, side_px).transpose(2, 0, 3, 1, 4)
    whole = tiles.reshape(channels, rows * side_px, columns * side_px)
    return whole[:, : shape[0], : shape[1]]


def make_patches(
    images: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    side_px: int,
    known: Sequence[np.ndarray] | None = None,
) -> Patches:
    """Cut whole images into patches; padding is marked as not known.

    Parameters
    ----------
    images
        (C, H, W) each, normalised.
    targets
        (K, H, W) each.
    side_px
        Edge of a patch, pixels.
    known
        (H, W) bool each: where the target counts; everywhere when None.

    Raises
    ------
    InputError
        If there is no image, or nothing in any target: no cell is labelled.
    """
    if not images:
        raise InputError("no image to cut into patches: the split is empty")
    if not any(target.any() for target in targets):
        raise InputError("no cell is labelled in these images, so there is nothing to learn")
    counts = known or [np.ones(image.shape[1:], bool) for image in images]
    return Patches(
        *(
            np.concatenate([cut(plane, side_px) for plane in planes]).astype(np.float32)
            for planes in (images, targets, [one[None] for one in counts])
        )
    )
