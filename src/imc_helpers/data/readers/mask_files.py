"""Label images as the field's tools write them."""

import bz2
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from skimage.segmentation import relabel_sequential

from imc_helpers.data.samples import as_labels, read_tiff
from imc_helpers.errors import InputError

_BACKGROUND_CLASS = 1


def read_mask(path: Path) -> np.ndarray:
    """Read a plain label TIFF: (H, W) uint32, 0 is background.

    Raises
    ------
    InputError
        If it cannot be read, or is no label image (see `imc_helpers.data.samples.as_labels`).
    """
    return as_labels(read_tiff(Path(path)), str(path))


def read_ilastik_objects(identities: Path, predictions: Path | None = None) -> np.ndarray:
    """Read ilastik's object identities, written as uint16 counted down from 65536.

    An id ``k`` stands as ``65536 - k``, and 0 as 0. With multicut there is no background: every
    pixel belongs to an object, and the object predictions say which of them are cells.

    Parameters
    ----------
    identities
        ``*_Object Identities.tif``.
    predictions
        ``*_Object Predictions.tif``, counted down likewise: class 1 is background, the others are
        kept. Every object is kept when not given.

    Returns
    -------
    numpy.ndarray
        (H, W) uint32 with ilastik's own ids; 0 where the object is background.

    Raises
    ------
    InputError
        If the two files differ in shape, or an object has two classes.
    """
    ids = _counted_down(Path(identities))
    if predictions is None:
        return ids
    classes = _counted_down(Path(predictions))
    if classes.shape != ids.shape:
        raise InputError(
            f"{predictions}: shape {classes.shape}, but {identities} has {ids.shape}; "
            "they must come from one image"
        )
    cells = classes != _BACKGROUND_CLASS
    if mixed := np.intersect1d(ids[cells], ids[~cells]).size:
        raise InputError(
            f"{predictions}: {mixed} objects of {identities} have two classes; "
            "the files do not belong together"
        )
    return np.where(cells, ids, np.uint32(0))


def _counted_down(path: Path) -> np.ndarray:
    stored = read_tiff(path)
    if stored.dtype != np.uint16 or stored.ndim != 2:
        raise InputError(
            f"{path}: expected a 2-D uint16 export of ilastik, found {stored.dtype} {stored.shape}"
        )
    return np.negative(stored).astype(np.uint32)  # uint16 wraps around: 0 stays 0


def read_cellprofiler_mask(path: Path) -> np.ndarray:
    """Read a label image that CellProfiler scaled to 16 bit.

    CellProfiler writes label ``k`` of ``n`` as ``k / n`` of the full range of uint16. The values
    keep the labels' order, so the labels are the ranks of the values.

    Returns
    -------
    numpy.ndarray
        (H, W) uint32 with ids 1 … n.
    """
    return relabel_sequential(read_mask(path))[0]


class _Dtype:
    """Stands in for `numpy.dtype` in a pickle: a plain number type and its byte order."""

    def __init__(self, kind: str, *_: object) -> None:
        self.dtype = np.dtype(str(kind))
        if self.dtype.fields:
            raise pickle.UnpicklingError(f"it holds {self.dtype}, not numbers")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands in for `numpy.ndarray` in a pickle: shape, type and bytes, nothing that runs."""

    def __init__(self, *_: object) -> None:
        self.array: np.ndarray | None = None
        self.content: list[Any] = []

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if isinstance(content, list):  # of Python objects, which this unpickler made
            self.content = content
            return
        self.fill(content, dtype, shape, "F" if fortran else "C")

    def filled(self) -> np.ndarray:
        """Return the array of numbers."""
        if self.array is None:
            raise pickle.UnpicklingError("it holds an array of objects, not of numbers")
        return self.array

    def fill(self, content: bytes, dtype: _Dtype, shape: tuple[int, ...], order: Any) -> "_Array":
        if dtype.dtype.hasobject:
            raise pickle.UnpicklingError("it holds objects, not numbers")
        self.array = np.frombuffer(content, dtype.dtype).reshape(shape, order=order)
        return self


def _latin1(text: str, encoding: str) -> bytes:
    """How old protocols store bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it holds bytes encoded as {encoding}")
    return text.encode("latin1")


def _from_buffer(content: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    """How protocol 5 stores an array."""
    return _Array().fill(content, dtype, shape, order)


def _scalar(dtype: _Dtype, content: bytes) -> _Array:
    """How a single number of NumPy is stored."""
    return _Array().fill(content, dtype, (), "C")


class ArraysOnly(pickle.Unpickler):
    """A pickle runs what it names when it is loaded; this one can name an array of numbers alone.

    Not even NumPy's own code runs on the pickle's content, which could be made to crash it.
    """

    _STAND_INS: ClassVar[dict[tuple[str, str], Callable[..., Any]]] = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy.core.numeric", "_frombuffer"): _from_buffer,
        ("numpy._core.numeric", "_frombuffer"): _from_buffer,
        ("_codecs", "encode"): _latin1,
        ("numpy.core.multiarray", "scalar"): _scalar,
        ("numpy._core.multiarray", "scalar"): _scalar,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands in for a name, or refuse it."""
        if (module, name) not in self._STAND_INS:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return self._STAND_INS[module, name]


def read_pickled_mask(path: Path) -> np.ndarray:
    """Read a label image from a pickle, bz2-compressed or plain, that holds one NumPy array.

    Nothing but NumPy arrays is admitted: any other pickle is refused before it can run.

    Returns
    -------
    numpy.ndarray
        (H, W) uint32.

    Raises
    ------
    InputError
        If the pickle names anything but NumPy arrays, is truncated, or holds no label image.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    content = path.read_bytes()
    try:
        if content.startswith(b"BZh"):
            content = bz2.decompress(content)
        loaded = ArraysOnly(io.BytesIO(content)).load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise InputError(
            f"{path}: refused, a pickled mask may hold one NumPy array and nothing else ({error}). "
            "Save the mask as a TIFF instead"
        ) from None
    if not isinstance(loaded, _Array) or loaded.array is None:
        raise InputError(f"{path}: expected one array of numbers, found {type(loaded).__name__}")
    return as_labels(loaded.array, str(path))
