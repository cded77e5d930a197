"""From two label images to the sparse table of their overlaps, from which every score follows."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray: TypeAlias = NDArray[np.integer[Any]]


class Borders(NamedTuple):
    """Numbers of cell-border pixels: an object's pixels that touch what is not the object."""

    true: int
    """In the true image."""
    pred: int
    """In the predicted image."""
    both: int
    """In both at the same place."""


@dataclass(frozen=True, eq=False)
class ContingencyTable:
    """Objects of two label images, their areas in pixels, and the pairs that overlap.

    Background (0) is not an object and has no pair.
    """

    true_ids: IntArray
    """(n_true,) ids present in the true image, ascending."""
    true_areas: NDArray[np.int64]
    """(n_true,) pixels of each true object."""
    pred_ids: IntArray
    """(n_pred,) ids present in the predicted image, ascending."""
    pred_areas: NDArray[np.int64]
    """(n_pred,) pixels of each predicted object."""
    i: NDArray[np.int32]
    """(n_pairs,) position of each pair's true object in `true_ids`; sorted by i, then j."""
    j: NDArray[np.int32]
    """(n_pairs,) position of each pair's predicted object in `pred_ids`."""
    intersection: NDArray[np.int64]
    """(n_pairs,) pixels that the two objects share, at least 1."""
    n_pixels: int
    """Pixels of one image."""
    borders: Borders | None = None
    """Border pixels, when they were asked for."""

    @property
    def n_true(self) -> int:
        """Number of true objects."""
        return len(self.true_ids)

    @property
    def n_pred(self) -> int:
        """Number of predicted objects."""
        return len(self.pred_ids)

    @cached_property
    def union(self) -> NDArray[np.int64]:
        """(n_pairs,) pixels in either object of a pair."""
        return self.true_areas[self.i] + self.pred_areas[self.j] - self.intersection

    @cached_property
    def iou(self) -> NDArray[np.float64]:
        """(n_pairs,) intersection over union of each pair, in (0, 1]."""
        return self.intersection / self.union

    @property
    def pairs(self) -> list[tuple[int, int, int, float]]:
        """Every pair as (i, j, intersection, iou): for reading, not for speed."""
        columns = (self.i, self.j, self.intersection, self.iou)
        return list(zip(*(column.tolist() for column in columns), strict=True))


def contingency_table(
    true: ArrayLike, pred: ArrayLike, *, borders: bool = False
) -> ContingencyTable:
    """Count objects, areas and overlaps of two label images in one pass over the pixels.

    Parameters
    ----------
    true, pred : array_like of whole numbers, one shape, at least one axis
        Label images. 0 is background; every other id is one object, in one piece or in several. Any
        integer dtype, byte order and memory layout; ids may have gaps and reach 2**64 - 1. Floats
        are taken when every value is whole.
    borders : bool
        Also count cell-border pixels (2-D and 3-D images only).

    Returns
    -------
    ContingencyTable

    Raises
    ------
    ValueError
        The shapes differ; ids are negative, fractional or not finite; an image is boolean.
    TypeError
        An image is not made of numbers.

    Examples
    --------
    >>> table = contingency_table([[1, 1, 0], [1, 1, 2]], [[5, 5, 5], [0, 0, 7]])
    >>> table.pairs
    [(0, 0, 2, 0.4), (1, 1, 1, 1.0)]
    """
    from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415  (slow import)

    images = LabelPair.of(true, pred)
    counted = kernels.count_overlaps(
        images.true, images.pred, *(np.zeros(n + 1, np.int32) for n in images.largest)
    )
    true_labels, true_areas, pred_labels, pred_areas, i, j, intersection = counted
    order = kernels.pair_order(i, j, len(true_labels), len(pred_labels))
    return ContingencyTable(
        true_ids=_original_ids(true_labels, images.true_ids),
        true_areas=true_areas,
        pred_ids=_original_ids(pred_labels, images.pred_ids),
        pred_areas=pred_areas,
        i=i[order],
        j=j[order],
        intersection=intersection[order],
        n_pixels=images.true.size,
        borders=count_borders(images) if borders else None,
    )


@dataclass(frozen=True, eq=False)
class LabelPair:
    """Two checked label images as the kernels want them: three axes, one of three dtypes."""

    true: IntArray
    """(planes, rows, columns), uint16, int32 or int64; a view where the input allows one."""
    pred: IntArray
    """As `true`, of the same shape and dtype."""
    true_ids: IntArray | None
    """What each label stands for (label k is `true_ids[k - 1]`), or None: labels are the ids."""
    pred_ids: IntArray | None
    """As `true_ids`."""
    largest: tuple[int, int]
    """The largest label of each image."""
    order: tuple[int, ...]
    """Axes of the images as they were given, in the order in which they appear here."""

    @classmethod
    def of(cls, true: ArrayLike, pred: ArrayLike) -> "LabelPair":
        """Check two label images and bring them to one form, copying only what has to be."""
        true_labels, pred_labels = _labels(true, "true"), _labels(pred, "pred")
        if true_labels.shape != pred_labels.shape:
            raise ValueError(
                "true and pred must be label images of one shape, but true is "
                f"{true_labels.shape} and pred is {pred_labels.shape}: crop or resample one of them"
            )
        # The order of pixels changes no count, so transposed images are read along their memory.
        strides = true_labels.strides
        order = tuple(sorted(range(true_labels.ndim), key=lambda axis: -abs(strides[axis])))
        true_labels, pred_labels = _three_axes(true_labels, order), _three_axes(pred_labels, order)
        true_labels, true_ids, true_max = _indexable(true_labels, "true")
        pred_labels, pred_ids, pred_max = _indexable(pred_labels, "pred")
        dtype = np.promote_types(true_labels.dtype, pred_labels.dtype)
        return cls(
            true=_read_only(true_labels.astype(dtype, copy=False)),
            pred=_read_only(pred_labels.astype(dtype, copy=False)),
            true_ids=true_ids,
            pred_ids=pred_ids,
            largest=(true_max, pred_max),
            order=order,
        )

    def check_borders(self) -> None:
        """Refuse images whose borders cannot be found."""
        if len(self.order) > 3:
            raise ValueError(
                f"borders need images of at most 3 axes, found {len(self.order)}: "
                "score each volume alone"
            )

    def crop(self, window: tuple[slice, ...]) -> "LabelPair":
        """Cut the same window, one slice for each axis of the given images, out of both: views."""
        if len(self.order) > 3 or len(window) != len(self.order):
            raise ValueError(
                "a window has one slice for each axis of images of at most 3 axes, found "
                f"{len(window)} slices for {len(self.order)} axes"
            )
        cut = (slice(None),) * (3 - len(window)) + tuple(window[axis] for axis in self.order)
        return replace(self, true=self.true[cut], pred=self.pred[cut])


def count_borders(images: LabelPair) -> Borders:
    """Count border pixels: an object's, with a face neighbour that belongs to something else.

    Neighbours outside the image do not count, as in `skimage.segmentation.find_boundaries` with
    ``mode="inner"``. Dice-XMBD scores pixels on such masks (Xiao et al. 2021, section 2.5).
    """
    from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415  (slow import)

    images.check_borders()
    return Borders(*kernels.count_borders(images.true, images.pred))


def _labels(image: ArrayLike, name: str) -> IntArray:
    """Give an array of whole numbers in native byte order, or say what is wrong with the image."""
    labels = np.asarray(image)
    kind = labels.dtype.kind
    if kind == "b":
        raise ValueError(
            f"{name} is boolean, which cannot tell one cell from the next: "
            "label it first with skimage.measure.label"
        )
    if kind not in "iuf":
        raise TypeError(
            f"{name} must be a label image of whole numbers, found dtype {labels.dtype}: "
            "pass integers, 0 for background"
        )
    if labels.ndim == 0:
        raise ValueError(f"{name} must be an image, found the single value {labels}: pass an array")
    if kind == "f":
        return _whole(labels, name)
    if not labels.dtype.isnative:
        labels = labels.astype(labels.dtype.newbyteorder("="))
    return labels


def _whole(labels: NDArray[np.floating[Any]], name: str) -> IntArray:
    """Turn a float image of whole numbers into integers."""
    if not np.isfinite(labels).all():
        raise ValueError(
            f"{name} holds NaN or infinity where ids belong: replace them, by 0 for background"
        )
    fractions = labels != np.trunc(labels)
    if fractions.any():
        raise ValueError(
            f"{name} must hold whole numbers, found {labels[fractions][0]}: pass the label image, "
            "not probabilities, and resample masks with nearest neighbours only"
        )
    if labels.size and np.abs(labels).max() >= 2.0**63:
        raise ValueError(f"{name} holds ids beyond 2**63 as floats: pass integers")
    return labels.astype(np.int64)


def _three_axes(labels: IntArray, order: tuple[int, ...]) -> IntArray:
    """View an image with its axes in another order, as planes, rows and columns."""
    labels = labels.transpose(order)
    if labels.ndim <= 3:
        return labels.reshape((1,) * (3 - labels.ndim) + labels.shape)
    return labels.reshape((int(np.prod(labels.shape[:-2])), *labels.shape[-2:]))


def _read_only(labels: IntArray) -> IntArray:
    """View an array without leave to change it: kernels are compiled anew for arrays with it."""
    view = labels.view()
    view.flags.writeable = False
    return view


def _indexable(labels: IntArray, name: str) -> tuple[IntArray, IntArray | None, int]:
    """Bring labels to uint16, int32 or int64, with ids small enough to index an array.

    Returns the labels, the ids that they stand for where they were renumbered, and the largest.
    """
    # Read without a sign, negative ids are the largest of all.
    largest = int(labels.view(f"u{labels.dtype.itemsize}").max(initial=0))
    if labels.dtype.kind == "i" and largest > np.iinfo(labels.dtype).max:
        raise ValueError(
            f"{name} must hold ids of 0 (background) or more, found {labels.min()}: "
            "give ignored pixels the id 0"
        )
    if largest > max(labels.size, 2**16):
        from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415

        ids = kernels.distinct_ids(labels).astype(labels.dtype)
        ids.sort()
        return kernels.compact(labels, ids.astype(np.int64)), ids, len(ids)
    # The same bits, read as the type that the kernels are compiled for: every id fits it.
    match labels.dtype.itemsize:
        case 1:
            return labels.astype(np.uint16), None, largest
        case 2:
            return labels.view(np.uint16), None, largest
        case 4:
            return labels.view(np.int32), None, largest
        case _:
            return labels.view(np.int64), None, largest


def _original_ids(labels: NDArray[np.int64], ids: IntArray | None) -> IntArray:
    """Give renumbered labels their ids back."""
    return labels if ids is None else ids[labels - 1]
