"""Which files of a lab's folder are images, which are masks, of which sample, and whose.

Labs name their files in many ways, so nothing is asked for: names are read as words. A file is a
mask when a folder around it, or its own name, says so (``masks_anna/``, ``ROI1_anna_mask.tif``), or
when its format holds nothing else (GeoJSON, ROIs of ImageJ). What is left of the name, without the
sample's id and without such words, is the rater. Only names and headers are read here.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import tifffile

from imc_helpers.errors import InputError

IMAGES = (".tif", ".tiff", ".mcd", ".txt")
"""Endings of images; TIFFs may be masks too."""
MASKS = (".tif", ".tiff", ".png", ".npy", ".npz", ".geojson", ".zip", ".roi", ".pickle")
"""Endings of masks."""
GENERIC = frozenset(("img", "imgs", "image", "images", "data", "steinbock", "tiff", "ome", "raw"))
"""Folders whose names say nothing of a sample, a rater or a condition."""
NOT_LOOKED_INTO = frozenset(("intensities", "regionprops", "neighbors", "graphs", "panoramas"))
"""Folders of steinbock's tables, which hold neither images nor masks."""

_MASK = re.compile(r"(mask|seg|segmentation|label|outline|annotation)s?", re.IGNORECASE)
"""Words that say of a file, or of a folder, that it holds masks; so does *nuclei* of a folder."""
_NUCLEI = re.compile(r"nucle(i|us|ar)", re.IGNORECASE)
_EMPTY = re.compile(
    rf"{_MASK.pattern}|{_NUCLEI.pattern}|cells?|cellmask|whole|wholecell|objects?|identities|rois?|-",
    re.IGNORECASE,
)
"""Words in the name of a mask that tell no rater from another."""
_IMAGE = re.compile(r"(img|image|imc|stack|fullstack|ome)", re.IGNORECASE)
"""Words at the end of an image's name that its masks' names lack."""
_WORD = re.compile(r"[_\-. ]+")
_ONLY_MASKS = tuple(ending for ending in MASKS if ending not in (".tif", ".tiff", ".png"))
_TOOLS = {"cp": "cellpose"}


@dataclass(frozen=True)
class ImageFile:
    """Where the image of a sample stands."""

    sample: str
    """Id of the sample."""
    path: Path
    """The file; for ``channels`` the folder of single-channel TIFFs."""
    form: Literal["stack", "mcd", "txt", "channels"]
    acquisition: int = 0
    """Number of the acquisition in an ``.mcd`` file."""
    planes: tuple[str, ...] = ()
    """Files of the channels, relative to the folder, for ``channels``."""


@dataclass(frozen=True)
class MaskFile:
    """Where one rater's labels of a sample stand."""

    rater: str
    sample: str
    """Id of the sample; empty where there is no image of such a name."""
    path: Path
    kind: Literal["masks", "nuclei"] = "masks"


@dataclass(frozen=True)
class Layout:
    """What a folder holds."""

    folder: Path
    images: tuple[ImageFile, ...]
    masks: tuple[MaskFile, ...]
    panel: Path | None
    """steinbock's ``panel.csv``, where there is one, here or up to two folders above."""
    sizes: Path | None
    """``images.csv``, where there is one."""

    def raters(self, kind: str = "masks") -> tuple[str, ...]:
        """Return the names of those who made masks of some image, sorted."""
        return tuple(sorted({m.rater for m in self.masks if m.kind == kind and m.sample}))


def find_cohorts(folder: Path) -> dict[str, Layout]:
    """Find the cohorts in a folder: itself, or its sub-folders where each is a condition.

    Parameters
    ----------
    folder
        A lab's folder. Nothing in it is changed.

    Returns
    -------
    dict
        What each holds, by the name of its sub-folder; by an empty name where the folder is one
        cohort.

    Raises
    ------
    InputError
        If there is no such folder, or no image in it.
    """
    folder = Path(folder).expanduser().resolve()
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Give the folder that holds your images")
    images = _find(folder)[0]
    if not images:
        raise InputError(
            f"{folder}: no images found. Expected multichannel TIFFs, folders of single-channel "
            "TIFFs, or .mcd or .txt files of the instrument, anywhere below it"
        )
    places = Counter(_condition(folder, image) for image in images)
    # One image in each sub-folder: those are samples, and no conditions.
    if len(places) < 2 or "" in places or max(places.values()) == 1:
        return {"": find_layout(folder)}
    return {place: find_layout(folder / place) for place in sorted(places)}


def find_layout(folder: Path) -> Layout:
    """Find the images and masks of one cohort, anywhere below a folder.

    Parameters
    ----------
    folder
        Where to look. Hidden files and steinbock's tables are passed over.

    Raises
    ------
    InputError
        If two images have the same name.
    """
    folder = Path(folder)
    images, masks, files = _find(folder)
    seen: dict[str, Path] = {}
    for image in images:
        if image.sample in seen:
            raise InputError(
                f"{image.path}: an image named {image.sample!r} is in {seen[image.sample].parent} "
                "too. Rename one, or give each condition a folder of its own"
            )
        seen[image.sample] = image.path
    ids = sorted((image.sample for image in images), key=lambda name: (-len(name), name))
    return Layout(
        folder=folder,
        images=tuple(sorted(images, key=lambda image: image.sample)),
        masks=_masks(_shared(images, masks, folder), masks, ids),
        panel=_first(files, "panel.csv") or _above(folder, "panel.csv"),
        sizes=_first(files, "images.csv"),
    )


def _find(folder: Path) -> tuple[list[ImageFile], list[Path], list[Path]]:
    """List the images, the files of masks, and all files below a folder."""
    files = list(_files(folder))
    masks = [file for file in files if _is_mask(folder, file)]
    return _images(folder, [file for file in files if file not in set(masks)]), masks, files


def _shared(images: Iterable[ImageFile], masks: Iterable[Path], folder: Path) -> Path:
    """Return the deepest folder that holds all: the names above it tell no rater from another."""
    places = [*(image.path.parent for image in images), *(mask.parent for mask in masks)]
    return Path(os.path.commonpath(places)) if places else folder


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__MACOSX":
            continue
        if path.is_dir():
            if path.name.lower() not in NOT_LOOKED_INTO:
                yield from _files(path)
        elif path.suffix.lower() in (*IMAGES, *MASKS, ".csv"):
            yield path


def _first(files: Iterable[Path], name: str) -> Path | None:
    found = [file for file in files if file.name == name]
    return min(found, key=lambda file: len(file.parts), default=None)


def _above(folder: Path, name: str) -> Path | None:
    """Look for a file beside a folder, or one level further up: all conditions share one panel."""
    places = [above / name for above in folder.resolve().parents[:2]]
    return next((place for place in places if place.is_file()), None)


def _words(name: str) -> list[str]:
    return [word for word in _WORD.split(name) if word]


def _says(name: str, word: re.Pattern[str]) -> bool:
    return any(word.fullmatch(one) for one in _words(name))


def _folders(folder: Path, file: Path) -> tuple[str, ...]:
    return file.relative_to(folder).parts[:-1]


def stem(path: Path) -> str:
    """Return a file's name without endings, also those of two parts."""
    name = path.name
    for ending in (*IMAGES, *MASKS, ".ome"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name


def _is_mask(folder: Path, file: Path) -> bool:
    ending = file.suffix.lower()
    if ending not in MASKS:
        return False
    around = _folders(folder, file)
    if ending in _ONLY_MASKS or any(_says(name, _MASK) or "nuclei" in name for name in around):
        return True
    words = _words(stem(file))
    return any(_MASK.fullmatch(word) for word in (*words[:1], *words[-2:]))


def _images(folder: Path, files: list[Path]) -> list[ImageFile]:
    """List the images among some files: where steinbock's ``img`` is, nothing else counts."""
    files = [file for file in files if file.suffix.lower() in IMAGES]
    inside = [file for file in files if file.parent.name == "img"]
    by_parent: dict[Path, list[Path]] = defaultdict(list)
    for file in inside or files:
        by_parent[file.parent].append(file)
    found: list[ImageFile] = []
    for parent, members in by_parent.items():
        found += _of_folder(folder, parent, members)
    found = _with_inner_folders(found)
    short = {image: _short(image.sample) for image in found}
    unique = len(set(short.values())) == len(found)
    found = [replace(image, sample=short[image] if unique else image.sample) for image in found]
    return found


def _of_folder(folder: Path, parent: Path, files: list[Path]) -> list[ImageFile]:
    found: list[ImageFile] = []
    acquired = [file for file in files if file.suffix.lower() == ".mcd"]
    for file in acquired:
        found += [ImageFile(f"{stem(file)}_{n:03d}", file, "mcd", n) for n in _acquisitions(file)]
    for file in files:
        # Beside an .mcd, the .txt files are the same acquisitions once more.
        if file.suffix.lower() == ".txt" and not acquired and _from_instrument(file):
            found.append(ImageFile(stem(file), file, "txt"))
    tiffs = [file for file in files if file.suffix.lower() in (".tif", ".tiff")]
    if len(tiffs) > 1 and parent != folder and all(_planes(file) == 1 for file in tiffs):
        planes = tuple(file.name for file in tiffs)
        return [*found, ImageFile(parent.name, parent, "channels", planes=planes)]
    return found + [ImageFile(stem(file), file, "stack") for file in tiffs]


def _with_inner_folders(images: list[ImageFile]) -> list[ImageFile]:
    """Put the folder ``channels`` together with the sample's folder in which it stands."""
    outer = {image.path: image for image in images if image.form == "channels"}
    for place, image in list(outer.items()):
        if place.name.lower() != "channels":
            continue
        around = outer.get(place.parent)
        planes = (*(around.planes if around else ()), *(f"{place.name}/{n}" for n in image.planes))
        del outer[place]
        outer[place.parent] = ImageFile(place.parent.name, place.parent, "channels", planes=planes)
    return [image for image in images if image.form != "channels"] + list(outer.values())


def _acquisitions(file: Path) -> list[int]:
    from readimc import MCDFile  # noqa: PLC0415  (only for those who have such files)

    try:
        with MCDFile(file) as opened:
            return [a.id for slide in opened.slides for a in slide.acquisitions]
    except Exception as error:  # readimc raises many kinds for a broken file
        raise InputError(
            f"{file}: not a readable instrument file ({type(error).__name__}: {error}). "
            "Is it truncated? Export it again, or move it away"
        ) from error


def _from_instrument(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(10).startswith(b"Start_push")


def _planes(file: Path) -> int:
    try:
        with tifffile.TiffFile(file) as opened:
            shape = opened.series[0].shape
    except Exception:  # whatever is wrong with it is said when it is read
        return 0
    total = 1
    for axis in shape[:-2]:
        total *= axis
    return total


def _short(name: str) -> str:
    """Take words such as ``_imc`` from the end of a name, which a mask's name lacks."""
    while (words := re.split(r"([_\-. ]+)", name)) and len(words) > 2:
        if not _IMAGE.fullmatch(words[-1]):
            break
        name = "".join(words[:-2])
    return name


def _condition(folder: Path, image: ImageFile) -> str:
    """Return the sub-folder that stands for an image's condition, empty where none does."""
    parts = image.path.relative_to(folder).parts[:-1]
    if image.form in ("mcd", "txt"):  # the instrument's software gives each slide a folder
        parts = parts[:-1]
    for depth, part in enumerate(parts, start=1):
        if part.lower() not in GENERIC:
            return "/".join(parts[:depth])
    return ""


def _masks(folder: Path, files: list[Path], ids: list[str]) -> tuple[MaskFile, ...]:
    """Name the rater of each mask: by its folders; by its file where those say nothing."""
    read = [_read_name(folder, file, ids) for file in files]
    names = ["_".join(name.folders or name.file) or name.kind for name in read]
    twice = Counter((n.kind, rater, n.sample) for n, rater in zip(read, names, strict=True))
    masks = []
    for n, rater, file in zip(read, names, files, strict=True):
        # Two masks of a sample in one folder: there the files' names tell raters apart.
        alone = twice[n.kind, rater, n.sample] == 1
        name = rater if alone else "_".join([*n.folders, *n.file]) or n.kind
        masks.append(MaskFile(name, n.sample, file, n.kind))
    return tuple(masks)


class _Name(NamedTuple):
    """What the path of a mask says."""

    sample: str
    kind: Literal["masks", "nuclei"]
    folders: list[str]
    """Words of its folders that are no others'."""
    file: list[str]
    """Words of its name that are no others'."""


def _read_name(folder: Path, file: Path, ids: list[str]) -> _Name:
    name, folders = stem(file), _folders(folder, file)
    sample = _sample(name, folders, ids)
    around = [part for part in folders if part != sample and part.lower() not in GENERIC]
    left = re.sub(_bounded(sample), "_", name, count=1) if sample else ""
    nuclei = any(_says(part, _NUCLEI) for part in (*folders, left))
    return _Name(
        sample,
        "nuclei" if nuclei else "masks",
        [word for part in around for word in _words(part) if not _EMPTY.fullmatch(word)],
        [_TOOLS.get(w.lower(), w) for w in _words(left) if not _EMPTY.fullmatch(w)],
    )


def _sample(name: str, folders: tuple[str, ...], ids: list[str]) -> str:
    """Find whose mask it is: the longest id that stands in its name, or names its folder."""
    if name in ids:
        return name
    for sample in ids:
        if re.search(_bounded(sample), name):
            return sample
    return next((sample for sample in ids if sample in folders), "")


def _bounded(sample: str) -> str:
    return rf"(?<![A-Za-z0-9]){re.escape(sample)}(?![A-Za-z0-9])"
