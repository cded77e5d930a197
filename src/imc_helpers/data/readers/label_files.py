"""Labels in any of the formats that labs keep them in: `read_labels` picks the reader by the file.

Polygons are filled as scikit-image fills them: a pixel belongs to a polygon when its centre lies
inside. Where two polygons overlap, the pixel goes to the one that was drawn first.
"""

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from PIL import Image, UnidentifiedImageError
from skimage.draw import polygon2mask
from skimage.measure import points_in_poly

from imc_helpers.data.readers.mask_files import ArraysOnly, read_pickled_mask
from imc_helpers.data.samples import read_tiff
from imc_helpers.errors import InputError

_NPZ_NAMES = ("y", "masks", "mask", "labels", "label", "segmentation", "y_pred")
"""Arrays of an ``.npz`` that hold labels, first choice first; DeepCell has ``y`` beside ``X``."""
_QUPATH_TYPES = ("cell", "detection", "annotation")
"""Objects of QuPath that may be cells. Of these, the first kind that a file has counts: where cells
were detected, annotations are the regions in which they were."""

Polygon = list[np.ndarray]
"""Rings of (x, y) in pixels, (N, 2) each: the border, then the holes."""


def read_labels(path: Path, shape: tuple[int, int], kind: str = "masks") -> np.ndarray:
    """Read the labels in a file, as they are.

    Parameters
    ----------
    path
        TIFF, PNG, NPY, Cellpose's ``_seg.npy``, DeepCell's ``.npz``, QuPath's GeoJSON (zipped, or
        not), ImageJ's ROIs (``.roi``, ``.zip``), or a pickled array.
    shape
        Height and width of the image, pixels: outlines alone do not say it.
    kind
        ``"nuclei"`` where a file may hold both: QuPath's cells have a nucleus, and DeepCell's
        arrays a second plane.

    Returns
    -------
    numpy.ndarray
        (H, W) of any type; `imc_helpers.data.samples.as_labels` says whether they are labels.

    Raises
    ------
    InputError
        If the file cannot be read, or holds anything but the labels of one image.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending in (".geojson", ".zip", ".roi"):
        text = _geojson_text(path)
        return fill(_imagej(path) if text is None else _geojson(path, text, kind), shape)
    try:
        found = _ARRAYS[ending](path)
    except KeyError:
        raise InputError(
            f"{path}: no mask has this ending; known are {', '.join(_ARRAYS)}, .geojson, .zip, .roi"
        ) from None
    planes = found.reshape(tuple(axis for axis in found.shape if axis != 1) or (1, 1))
    if planes.ndim == 3 and planes.shape[-1] == 2:  # DeepCell: whole cells, nuclei
        planes = planes[..., int(kind == "nuclei")]
    if planes.ndim != 2:
        raise InputError(
            f"{path}: expected the labels of one image, (H, W); found shape {found.shape}. "
            "Save one file per image"
        )
    return planes


def fill(polygons: Iterable[Polygon], shape: tuple[int, int]) -> np.ndarray:
    """Draw polygons as labels 1, 2, … in their order: (H, W) uint32."""
    labels = np.zeros(shape, np.uint32)
    for label, (border, *holes) in enumerate(polygons, start=1):
        low = np.clip(np.floor(border.min(axis=0)).astype(int), 0, None)
        high = np.clip(np.ceil(border.max(axis=0)).astype(int) + 1, 0, (shape[1], shape[0]))
        size = high[1] - low[1], high[0] - low[0]
        if min(size) <= 0:  # outside the image
            continue
        # In these formats 0 is the corner of the first pixel, in scikit-image its centre.
        inside, *cut = (
            polygon2mask(size, (ring - low - 0.5)[:, ::-1]) for ring in (border, *holes)
        )
        for hole in cut:
            inside &= ~hole
        box = labels[low[1] : high[1], low[0] : high[0]]
        box[inside & (box == 0)] = label
    return labels


def _png(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            found = np.asarray(image)
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path}: not a readable PNG ({error}). Get it again") from error
    if found.ndim == 3 and (found[..., :1] == found[..., :3]).all():
        found = found[..., 0]  # grey, saved as colours
    if found.ndim != 2:
        raise InputError(
            f"{path}: a coloured picture, not labels. Export the labels themselves as a 16-bit "
            "grey PNG or a TIFF"
        )
    return found


def _npy(path: Path) -> np.ndarray:
    """Read an array, or the ``masks`` of the dictionary that Cellpose keeps in its files."""
    try:
        with path.open("rb") as file:
            version = npy.read_magic(file)
            header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            _, _, dtype = header(file)
            if not dtype.hasobject:
                file.seek(0)
                return npy.read_array(file, allow_pickle=False)
            content = ArraysOnly(file).load()
        found = content.content[0]["masks"].filled()
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable NPY file ({error}). Save it again") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise InputError(
            f"{path}: neither an array of numbers nor a `_seg.npy` of Cellpose with its `masks` "
            f"({type(error).__name__}: {error}). Save the masks as a TIFF"
        ) from error
    return np.asarray(found)


def _npz(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = [name for name in _NPZ_NAMES if name in arrays.files] or arrays.files[:1]
            if not names:
                raise InputError(f"{path}: holds no array; expected one named {_NPZ_NAMES[0]!r}")
            return np.asarray(arrays[names[0]])
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable NPZ file ({error}). Save it again") from error


def _geojson_text(path: Path) -> bytes | None:
    """Return the GeoJSON in a file, or in the zip that QuPath wraps it in; None if it has none."""
    if path.suffix.lower() == ".geojson":
        return path.read_bytes()
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        inside = [name for name in archive.namelist() if name.lower().endswith(".geojson")]
        return archive.read(inside[0]) if inside else None


def _geojson(path: Path, text: bytes, kind: str) -> list[Polygon]:
    """Read the outlines that QuPath exports, of cells or of their nuclei."""
    try:
        content = json.loads(text)
        features = content if isinstance(content, list) else content.get("features", [content])
        features = _cells_among(features)
        shapes = [feature["geometry"] for feature in features]
        nuclei = [
            feature["nucleusGeometry"] for feature in features if "nucleusGeometry" in feature
        ]
        if kind == "nuclei" and nuclei:
            shapes = nuclei
        return [polygon for shape in shapes for polygon in _polygons(shape)]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: not the GeoJSON of outlines ({type(error).__name__}: {error}). In QuPath: "
            "File, Export objects as GeoJSON"
        ) from error


def _cells_among(features: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Leave out what QuPath exports beside cells: the regions around them, tiles, cores."""
    types = [_object_type(feature) for feature in features]
    for wanted in _QUPATH_TYPES:
        if wanted in types:
            return [one for one, kind in zip(features, types, strict=True) if kind == wanted]
    return [one for one, kind in zip(features, types, strict=True) if not kind]


def _object_type(feature: dict[str, Any]) -> str:
    """Return what QuPath calls an object; nothing for an outline of other software."""
    properties = feature.get("properties") or {}
    known = properties.get("objectType") or properties.get("object_type")  # from 0.4; 0.3
    if known:
        return str(known)
    of_class = re.fullmatch(r"(?:Path)?(\w+)Object", str(feature.get("id", "")))  # 0.2
    return of_class[1].lower() if of_class else ""


def _polygons(shape: dict[str, Any]) -> list[Polygon]:
    if shape["type"] == "Polygon":
        return [[np.asarray(ring, float)[:, :2] for ring in shape["coordinates"]]]
    if shape["type"] == "MultiPolygon":  # one cell in several parts: the largest
        parts = [[np.asarray(r, float)[:, :2] for r in part] for part in shape["coordinates"]]
        return [max(parts, key=lambda part: _extent(part[0]))]
    return []  # points and lines mark, and outline nothing


def _extent(ring: np.ndarray) -> float:
    return float(np.ptp(ring, axis=0).prod())


def _imagej(path: Path) -> list[Polygon]:
    """Read the areas that the ROI Manager saves; points and lines mark, and outline nothing."""
    import roifile  # noqa: PLC0415  (only for those who have such files)

    try:
        found = roifile.roiread(path)
    except Exception as error:  # roifile raises many kinds for a broken file
        raise InputError(
            f"{path}: no ROIs of ImageJ ({type(error).__name__}: {error}). Save them from the ROI "
            "Manager"
        ) from error
    rois = found if isinstance(found, list) else [found]
    areas = {roifile.ROI_TYPE[name] for name in ("POLYGON", "RECT", "OVAL", "FREEHAND", "TRACED")}
    rings = [roi.coordinates(multi=True) for roi in rois if roi.roitype in areas]
    return [_composite(one if isinstance(one, list) else [one]) for one in rings]


def _composite(rings: list[np.ndarray]) -> Polygon:
    """Return the largest part of a ROI in several parts, with the holes in it."""
    border, *others = sorted(rings, key=_extent, reverse=True)
    return [border, *(ring for ring in others if points_in_poly(ring, border).mean() > 0.5)]


_ARRAYS: dict[str, Callable[[Path], np.ndarray]] = {
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".png": _png,
    ".npy": _npy,
    ".npz": _npz,
    ".pickle": read_pickled_mask,
}
