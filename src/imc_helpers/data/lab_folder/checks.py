"""What is odd about masks, and what to do about each: measured on the labels, said in sentences.

Some masks cannot be used, most can: whoever made them should know either way.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import fft, ndimage
from skimage.measure import label as connected
from skimage.segmentation import relabel_sequential

from imc_helpers.errors import InputError

SMALL_PX = 5
"""A cell of so many pixels or fewer is hardly one."""
SHIFT_PX = 2.0
"""From so many pixels on, a shift between mask and image is told."""
_SEARCHED_PX = 12
_GAIN = 0.04
"""Of the correlation. Masks that lie well gain up to .03 by chance on the book's real cohorts; two
published masks that lie 4 and 5 px off gain .09 and .10."""
_FULL = 0.99
"""Tissue has gaps: a mask that covers more holds something else too."""
_LARGEST_UINT16 = np.iinfo(np.uint16).max
_CLASSES = 10
"""An image has more cells than a classifier has classes."""
_CELL_UM = (5.0, 20.0)
"""Diameters of cells in tissue, micrometres, wide enough for lymphocytes and tumour cells."""
_TYPICAL_UM = 9.0
_NUCLEUS_UM2 = 8.0
"""Nuclei are larger than this, square micrometres; smaller pieces are debris."""
COLUMNS = ("sample", "rater", "what", "found", "to_do", "used", "file")


class Oddity(NamedTuple):
    """One thing that is odd, in words."""

    sample: str
    """Id of the sample, or the name of a file that belongs to none; empty: it is about all."""
    rater: str
    """Empty where it is about images."""
    what: str
    """Name of the defect, ``"empty mask"`` for instance."""
    found: str
    """What was found, in a sentence."""
    to_do: str
    """What to do about it, in a sentence."""
    used: bool = True
    """Whether the study goes on with it."""
    file: str = ""
    """Where it is one file's."""


@dataclass(frozen=True)
class MaskFacts:
    """What was measured on one rater's labels of one sample."""

    sample: str
    rater: str
    kind: str
    """``"masks"`` or ``"nuclei"``."""
    dtype: str
    cells: int
    largest_id: int
    median_area_px: float
    small: int
    """Cells of `SMALL_PX` pixels or fewer."""
    in_pieces: int
    """Ids with more than one component."""
    pieces: int
    """Components in all, of 8-connected pixels of one id."""
    with_holes: int
    """Cells that enclose background."""
    covered: float
    """Part of the image that lies in cells."""
    digest: str
    """SHA-256 of the outlines: equal for equal masks, whatever their ids."""


def usable(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return labels as uint32, or say why they cannot be used.

    Parameters
    ----------
    labels
        (H, W) of any type.
    shape
        Of the image.

    Raises
    ------
    UnusableError
        If they are of another shape, boolean, fractional, two values that mean cell and background,
        or hold no cell.
    """
    if labels.shape != shape:
        turned = labels.shape == shape[::-1]
        raise UnusableError(
            "transposed mask" if turned else "other shape",
            f"The mask is {labels.shape[0]} x {labels.shape[1]} px, but its image is {shape[0]} x "
            f"{shape[1]} px.",
            "Rows and columns seem to be exchanged. Transpose the mask, compare it with the image, "
            "and save it again."
            if turned
            else "It may have been drawn on a resized or cropped image. Export it again at the "
            "size of this image.",
        )
    if labels.dtype == bool:
        raise _binary("value True", labels)
    if np.issubdtype(labels.dtype, np.floating):
        if not np.isfinite(labels).all() or (labels != np.floor(labels)).any():
            raise UnusableError(
                "fractional mask",
                f"Whole ids were expected, but it contains fractions ({labels.dtype}). It is "
                "either a probability map or a mask that was resized with interpolation.",
                "Export the label image itself, and resize it only with nearest-neighbour "
                "interpolation.",
            )
    elif not np.issubdtype(labels.dtype, np.integer):
        raise UnusableError(
            "not numbers",
            f"Whole numbers were expected, but it contains {labels.dtype}.",
            "Export the label image as integers.",
        )
    if labels.min() < 0:
        raise UnusableError(
            "negative ids",
            f"Ids start at 0, the background, but the smallest here is {labels.min():g}.",
            "Export the label image again with 0 as background and positive ids for cells.",
        )
    if not labels.any():
        raise UnusableError(
            "empty mask",
            "It contains no cells.",
            "It may have been saved before anything was drawn. Save it again, or delete the file "
            "if the image really has no cells.",
        )
    whole = labels.astype(np.uint32)
    values = np.unique(whole[whole > 0])
    if len(values) <= _CLASSES:
        pieces = int(connected(whole, connectivity=2).max())
        if values.tolist() in ([1], [255]) and pieces > 1:
            raise _binary(f"value {values[0]}", whole)
        if pieces > 10 * len(values):
            raise UnusableError(
                "class map",
                f"Its {pieces} separate pieces share only {len(values)} different values, so these "
                "seem to be classes of pixels rather than ids of cells.",
                "Export the segmented objects, with one id per cell.",
            )
    return whole


class UnusableError(InputError):
    """A mask that the study must go on without."""

    def __init__(self, what: str, found: str, to_do: str) -> None:
        super().__init__(f"{what}: {found} {to_do}")
        self.what, self.found, self.to_do = what, found, to_do


def _binary(value: str, labels: np.ndarray) -> UnusableError:
    return UnusableError(
        "binary mask",
        f"All {connected(labels > 0).max()} pieces have the same {value}, so cells that touch "
        "cannot be told apart.",
        "Export the label image, with one id per cell.",
    )


def measure(labels: np.ndarray, sample: str, rater: str, kind: str, dtype: str) -> MaskFacts:
    """Measure what the other checks need on usable labels, (H, W) uint32.

    Parameters
    ----------
    labels
        What `usable` returned.
    sample, rater, kind
        Whose.
    dtype
        Type of the numbers in the file.
    """
    ids = labels if labels.max() < 10 * labels.size else relabel_sequential(labels)[0]
    areas = np.bincount(ids.ravel())[1:]
    pieces = connected(ids, connectivity=2, return_num=False).astype(np.int32)
    of_piece = np.zeros(pieces.max() + 1, np.int64)
    of_piece[pieces.ravel()] = ids.ravel()
    per_id = np.bincount(of_piece[1:])
    areas = areas[areas > 0]
    return MaskFacts(
        sample=sample,
        rater=rater,
        kind=kind,
        dtype=dtype,
        cells=len(areas),
        largest_id=int(labels.max()),
        median_area_px=float(np.median(areas)),
        small=int((areas <= SMALL_PX).sum()),
        in_pieces=int((per_id > 1).sum()),
        pieces=int(pieces.max()),
        with_holes=_with_holes(ids),
        covered=float((labels > 0).mean()),
        digest=hashlib.sha256(pieces.tobytes()).hexdigest(),
    )


def _images(number: int, before: str = "") -> str:
    """Say a number of images; what comes before is about several."""
    return "1 image" if number == 1 else f"{before}{number} images"


def _with_holes(labels: np.ndarray) -> int:
    """Count the cells around background that no path leads out of."""
    gaps = connected(labels == 0, connectivity=1)
    enclosed = np.ones(gaps.max() + 1, bool)
    enclosed[np.concatenate([[0], gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]])] = False
    inside = enclosed[gaps]
    if not inside.any():
        return 0
    around: dict[int, set[int]] = defaultdict(set)
    for axis in (0, 1):
        within, gap, cell = (np.moveaxis(one, axis, 0) for one in (inside, gaps, labels))
        for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
            touching = within[here] & (cell[there] > 0)
            pairs = zip(gap[here][touching].tolist(), cell[there][touching].tolist(), strict=True)
            for number, neighbour in set(pairs):
                around[number].add(neighbour)
    return len({next(iter(cells)) for cells in around.values() if len(cells) == 1})


def about_mask(facts: MaskFacts) -> list[Oddity]:
    """Say what is odd about one mask that can be used."""
    found = []

    def odd(what: str, found_: str, to_do: str) -> None:
        found.append(Oddity(facts.sample, facts.rater, what, found_, to_do))

    cut_off = facts.dtype == "uint16" and facts.largest_id == _LARGEST_UINT16
    if cut_off and facts.pieces > facts.cells + 1:
        odd(
            "ids cut off",
            f"The largest id is {_LARGEST_UINT16}, the most that 16 bits can hold, and the "
            f"{facts.cells:,} ids lie in {facts.pieces:,} separate pieces: several cells share an "
            "id.",
            "Export the label image again as 32-bit integers.",
        )
    elif facts.in_pieces:
        odd(
            "ids in pieces",
            f"Of {facts.cells:,} ids, {facts.in_pieces:,} lie in several separate pieces. Each id "
            "counts as one cell.",
            "If the pieces are different cells, give each its own id (skimage.measure.label).",
        )
    if facts.with_holes:
        odd(
            "holes",
            f"Of {facts.cells:,} cells, {facts.with_holes:,} enclose background.",
            "Fill the holes unless they are intended.",
        )
    if facts.small:
        odd(
            "tiny cells",
            f"Of {facts.cells:,} cells, {facts.small:,} have {SMALL_PX} px or fewer.",
            "They may be slips of the pen or remains of cells that were cut. Remove them if so.",
        )
    if facts.covered > _FULL:
        odd(
            "no background",
            f"Cells cover {100 * facts.covered:.1f}% of the image, although tissue has gaps.",
            "Background may have ids too, as in a tessellation or in ilastik's multicut. Export "
            "only the cells.",
        )
    if facts.dtype.startswith("float"):
        odd(
            "float mask",
            f"The labels are stored as {facts.dtype}, but all of them are whole numbers.",
            "You need not do anything, but integers are safer.",
        )
    return found


def about_raters(facts: Iterable[MaskFacts], um_per_px: float) -> list[Oddity]:
    """Say what is odd about raters beside one another.

    Parameters
    ----------
    facts
        All masks of a cohort.
    um_per_px
        Edge of a pixel, micrometres.
    """
    cells = [one for one in facts if one.kind == "masks"]
    by_rater: dict[str, list[MaskFacts]] = defaultdict(list)
    for one in cells:
        by_rater[one.rater].append(one)
    found = []
    by_digest: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in cells:
        by_digest[one.sample, one.digest].append(one.rater)
    same: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for (sample, _), names in by_digest.items():
        if len(names) > 1:
            same[tuple(sorted(names))].append(sample)
    for raters, samples in same.items():
        found.append(
            Oddity(
                samples[0] if len(samples) == 1 else "",
                raters[0],
                "identical masks",
                f"{' and '.join(raters)} have exactly the same outlines in "
                f"{_images(len(samples))}, for example {samples[0]}, and would agree perfectly "
                "there.",
                "If one is a copy of the other, remove the copy.",
            )
        )
    sizes = {r: float(np.median([m.median_area_px for m in own])) for r, own in by_rater.items()}
    for rater, area in sizes.items():
        others = [size for name, size in sizes.items() if name != rater]
        looks_so = others and area < 0.5 * float(np.median(others))
        if looks_so and area * um_per_px**2 > _NUCLEUS_UM2:
            found.append(
                Oddity(
                    "",
                    rater,
                    "nuclei given as cells",
                    f"The median cell has {area:.0f} px, but {np.median(others):.0f} px in the "
                    "masks of the other raters: these may be nuclei.",
                    f"If they are nuclei, rename the folder to nuclei_{rater}.",
                )
            )
    if sizes:
        diameter = 2 * np.sqrt(np.median(list(sizes.values())) / np.pi)
        if not _CELL_UM[0] <= diameter * um_per_px <= _CELL_UM[1]:
            found.append(
                Oddity(
                    "",
                    "",
                    "pixel size",
                    f"At {um_per_px:g} um per pixel, the median cell would be "
                    f"{diameter * um_per_px:.1f} um across. Between {_CELL_UM[0]:g} and "
                    f"{_CELL_UM[1]:g} um was expected.",
                    f"Cells about {_TYPICAL_UM:g} um across would mean "
                    f"{_TYPICAL_UM / diameter:.2g} um per pixel. Correct `um_per_px`, unless your "
                    "cells really have this size.",
                )
            )
    return found


def about_kinds(kinds: Mapping[str, str]) -> list[Oddity]:
    """Say where the study lacks people.

    Parameters
    ----------
    kinds
        ``"annotator"``, ``"model"`` or ``"tool"``, by rater.
    """
    people = [rater for rater, kind in kinds.items() if kind == "annotator"]
    if len(people) == 1:
        return [
            Oddity(
                "",
                people[0],
                "one annotator",
                "Only one person drew masks, so agreement between people cannot be measured.",
                "Ask a second person to outline the cells of some images without seeing the first "
                "person's masks.",
            )
        ]
    if kinds and not people:
        return [
            Oddity(
                "",
                "",
                "no annotator",
                "Software made all masks, so they can be compared with one another but not with "
                "people.",
                "Ask a person to outline the cells of some images, or correct `kind` if a person "
                "made one of these masks.",
            )
        ]
    return []


def shift(labels: np.ndarray, plane: np.ndarray) -> tuple[int, int, float]:
    """Find by how much a mask would have to move to lie best on an image.

    The mask's cells, as 1 on 0, and the smoothed logarithm of the image are correlated at every
    shift of up to 12 px, by Fourier transforms.

    Parameters
    ----------
    labels
        (H, W), 0 is background.
    plane
        (H, W) intensities of what marks cells best, nuclei for instance.

    Returns
    -------
    down, right : int
        Pixels by which the cells lie off: moved by so much up and left, they fit best.
    gain : float
        Correlation there less the correlation without a shift.
    """
    seen = ndimage.gaussian_filter(np.log1p(np.clip(plane, 0, None).astype(np.float32)), 1.0)
    cells = (labels > 0).astype(np.float32)
    seen, cells = seen - seen.mean(), cells - cells.mean()
    scale = float(np.sqrt((seen**2).sum() * (cells**2).sum()))
    if not scale:
        return 0, 0, 0.0
    shape = [fft.next_fast_len(side + _SEARCHED_PX, real=True) for side in labels.shape]
    product = fft.rfft2(cells, shape) * np.conj(fft.rfft2(seen, shape))
    steps = np.arange(-_SEARCHED_PX, _SEARCHED_PX + 1)
    near = fft.irfft2(product, shape)[np.ix_(steps, steps)] / scale
    down, right = np.unravel_index(near.argmax(), near.shape)
    gain = float(near.max() - near[_SEARCHED_PX, _SEARCHED_PX])
    return int(steps[down]), int(steps[right]), gain


def about_shifts(shifts: Mapping[str, list[tuple[str, int, int, float]]]) -> list[Oddity]:
    """Say which raters' masks lie beside the image.

    One image may mislead, so a rater is told of when the median shift over the images that were
    looked at is `SHIFT_PX` or more.

    Parameters
    ----------
    shifts
        By rater: sample, and what `shift` returned.
    """
    found = []
    for rater, own in shifts.items():
        down, right, gain = np.median([one[1:] for one in own], axis=0)
        ways = {
            "down" if down > 0 else "up": round(abs(down)),
            "right" if right > 0 else "left": round(abs(right)),
        }
        if np.hypot(down, right) >= SHIFT_PX and gain > _GAIN:
            found.append(
                Oddity(
                    own[0][0] if len(own) == 1 else "",
                    rater,
                    "shifted mask",
                    "Compared with the nuclei in the image, the cells lie "
                    f"{' and '.join(f'{px} px too far {way}' for way, px in ways.items() if px)} "
                    f"({_images(len(own), 'median of ')}).",
                    "The image may have been cropped or registered after the masks were drawn. "
                    "Look at both together, and export them again from the same image.",
                )
            )
    return found
