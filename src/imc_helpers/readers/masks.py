"""Label images as the field's tools write them."""

import bz2
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from skimage.segmentation import relabel_sequential

from imc_helpers.errors import InputError
from imc_helpers.samples import as_labels, read_tiff

_UINT16_VALUES = 65536
_BACKGROUND_CLASS = 1


def read_mask(path: Path) -> np.ndarray:
    """Read a plain label TIFF: (H, W) uint32, 0 is background.

    Raises
    ------
    InputError
        If it cannot be read, or is no label image (see `imc_helpers.samples.as_labels`).
    """
    return as_labels(read_tiff(Path(path)), str(path))


def read_ilastik_objects(identities: Path, predictions: Path | None = None) -> np.ndarray:
    """Read ilastik's object identities, written as uint16 counted down from 65536.

    An id ``k`` stands as ``65536 - k``. With multicut there is no background: every pixel
    belongs to an object, and the object predictions say which of them are cells.

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
    return (_UINT16_VALUES - stored.astype(np.uint32)).astype(np.uint32)


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


class _ArraysOnly(pickle.Unpickler):
    """A pickle runs what it names when it is loaded; this one can name NumPy's array alone."""

    _ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "scalar"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy.core.numeric", "_frombuffer"),
            ("numpy._core.numeric", "_frombuffer"),
            ("_codecs", "encode"),  # how Python 2 bytes, and so array data, stand in old protocols
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


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
    content = path.read_bytes()
    try:
        if content.startswith(b"BZh"):
            content = bz2.decompress(content)
        loaded = _ArraysOnly(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, EOFError, OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: refused, a pickled mask may hold one NumPy array and nothing else ({error}). "
            "Save the mask as a TIFF instead"
        ) from None
    if not isinstance(loaded, np.ndarray) or loaded.dtype.hasobject:
        raise InputError(f"{path}: expected one array of numbers, found {type(loaded).__name__}")
    return as_labels(loaded, str(path))
