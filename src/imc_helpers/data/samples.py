"""What the book works on: one sample, and a cohort of samples.

On disk a cohort is a steinbock folder (Windhager et al. 2023, doi:10.1038/s41596-023-00881-0)::

    COHORT/panel.csv            channel, name, keep and, added here, compartment
    COHORT/images.csv           image, width_px, height_px, num_channels and, added here, um_per_px
    COHORT/img/SAMPLE.tiff      (C, H, W) float32
    COHORT/masks_RATER/SAMPLE.tiff    whole cells, (H, W) uint32
    COHORT/nuclei_RATER/SAMPLE.tiff   nuclei, (H, W) uint32
    COHORT/masks/SAMPLE.tiff          steinbock's own: the masks of the rater "masks"
    COHORT/truth/SAMPLE.csv           of a phantom only: what it knows of each true cell
    COHORT/truth/images.csv           of a phantom only: what was planted in each image

`imc_helpers.data.panels` reads the panel, `imc_helpers.data.writers` writes a cohort.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import overload

import numpy as np
import pandas as pd
import tifffile

from imc_helpers.data.panels import Panel
from imc_helpers.data.raters import TRUTH, Rater
from imc_helpers.errors import InputError
from imc_helpers.patching import Window

DEFAULT_UM_PER_PX = 1.0
"""Pixel size of imaging mass cytometry, micrometres: the laser's spot."""

_LARGEST_ID = np.iinfo(np.uint32).max


def as_labels(labels: np.ndarray, source: str) -> np.ndarray:
    """Return a label image as uint32, or say what is wrong with it.

    Parameters
    ----------
    labels
        (H, W) array of cell ids, 0 is background. Floats are taken when every value is whole.
    source
        Where it comes from, for the message.

    Returns
    -------
    numpy.ndarray
        (H, W) uint32.

    Raises
    ------
    InputError
        If it is not 2-D, is boolean, has fractions, NaN, negative ids, or ids beyond uint32.
    """
    if labels.ndim != 2:
        raise InputError(f"{source}: a mask is 2-D (H, W), found shape {labels.shape}")
    if labels.dtype == bool:
        raise InputError(
            f"{source}: the mask is boolean, so touching cells cannot be told apart; "
            "label it first with skimage.measure.label"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        if not np.issubdtype(labels.dtype, np.floating):
            raise InputError(f"{source}: a mask holds whole numbers, found dtype {labels.dtype}")
        wrong = ~np.isfinite(labels) | (labels != np.floor(labels))
        if wrong.any():
            raise InputError(
                f"{source}: a mask holds whole numbers, found {labels[wrong][0]!s} "
                f"({int(wrong.sum())} such pixels, dtype {labels.dtype}). Is it a probability map, "
                "or was it resized with interpolation? Use nearest neighbour"
            )
    if labels.size and labels.min() < 0:
        raise InputError(f"{source}: ids must be 0 or more, found {labels.min()}")
    if labels.size and labels.max() > _LARGEST_ID:
        raise InputError(f"{source}: ids must be below 2^32, found {labels.max()}; relabel it")
    return labels.astype(np.uint32)


@dataclass(frozen=True, eq=False)
class Sample:
    """One image, its panel and its masks."""

    id: str
    """The source's own name of the sample."""
    image: np.ndarray
    """(C, H, W) float32, counts unless the cohort says otherwise."""
    panel: Panel
    """One channel a plane."""
    um_per_px: float
    """Edge of a pixel, micrometres."""
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Whole cells by rater: (H, W) uint32, 0 is background."""
    nuclei: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Nuclei by rater: (H, W) uint32, 0 is background."""
    drawn: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What annotators drew by hand in `crops`, where their masks were extrapolated by software:
    whole cells, (H, W) uint32, 0 outside the crops."""
    crops: tuple[Window, ...] = ()
    """Where annotators drew by hand."""
    truth: pd.DataFrame | None = None
    """What a phantom knows of its cells, one row each, as `Cohort.read_truth` returns it."""
    planted: Mapping[str, str | float] = field(default_factory=dict)
    """What was planted in a phantom's image as a whole, by column of `Cohort.read_planted`."""

    def __post_init__(self) -> None:
        _check_um_per_px(self.um_per_px, f"sample {self.id}: um_per_px")
        if self.image.ndim != 3 or len(self.panel) != self.image.shape[0]:
            raise InputError(
                f"sample {self.id}: the panel names {len(self.panel)} channels, so the image must "
                f"have shape ({len(self.panel)}, H, W); found {self.image.shape}. "
                "Does panel.csv belong to these images, and does 'keep' say which were kept?"
            )
        kinds = (("mask", self.masks), ("nuclei", self.nuclei), ("drawing", self.drawn))
        for kind, masks in kinds:
            for annotator, labels in masks.items():
                if labels.shape != self.shape:
                    raise InputError(
                        f"sample {self.id}: {kind} of {annotator!r} has shape {labels.shape}, "
                        f"the image {self.shape}. They must show the same field of view"
                    )
        object.__setattr__(self, "masks", MappingProxyType(dict(self.masks)))
        object.__setattr__(self, "nuclei", MappingProxyType(dict(self.nuclei)))
        object.__setattr__(self, "drawn", MappingProxyType(dict(self.drawn)))
        object.__setattr__(self, "planted", MappingProxyType(dict(self.planted)))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return self.image.shape[1], self.image.shape[2]

    def channel(self, name: str) -> np.ndarray:
        """Return the (H, W) plane of a channel, found by name or metal tag."""
        return self.image[self.panel.index(name)]


def read_tiff(path: Path) -> np.ndarray:
    """Read a TIFF whole, with an error that names the file when it cannot be.

    Raises
    ------
    InputError
        If the file is missing, truncated or not a TIFF.
    """
    try:
        return tifffile.imread(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # tifffile and the codecs raise many kinds for a broken file
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path}: not a readable TIFF ({type(error).__name__}: {error}). "
        "Is it truncated? Get it again"
    )


def _without_singletons(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop axes of length 1 until three are left: steinbock's files may have six (TZCYXS)."""
    while len(shape) > 3 and 1 in shape:
        at = shape.index(1)
        shape = (*shape[:at], *shape[at + 1 :])
    return shape


def label_folder(kind: str, annotator: str) -> str:
    """Return the folder of an annotator's labels: steinbock's own has no name behind it.

    Parameters
    ----------
    kind
        ``"masks"``, ``"nuclei"`` or ``"drawn"``.
    annotator
        Its name; ``"masks"`` (or ``"nuclei"``) stands for the folder ``masks`` itself.
    """
    return kind if annotator == kind else f"{kind}_{annotator}"


class Cohort(Sequence[Sample]):
    """A steinbock folder as a lazy sequence of samples: an image is read when it is asked for.

    Parameters
    ----------
    folder
        The steinbock folder.
    name
        Key of the cohort; the folder's name when not given.
    raters
        Who made the masks, in which order; a name alone is an annotator's. When not given, every
        folder of masks is an annotator's, sorted by name.

    Raises
    ------
    InputError
        If the folder is no steinbock folder, holds no image, lacks the masks of a rater, has a mask
        without an image, or an ``images.csv`` whose rows are not those of the images.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str | None = None,
        raters: Iterable[Rater | str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.name = name or self.folder.name
        self.panel = Panel.read(self.folder / "panel.csv")
        self.ids = _stems(self.folder / "img")
        if not self.ids:
            raise InputError(f"{self.folder / 'img'}: no .tiff images found; a cohort needs some")
        self._masks = self._label_folders("masks")
        self._nuclei = self._label_folders("nuclei")
        self._drawn = self._label_folders("drawn")
        self.crops = self._read_crops()
        """Where annotators drew by hand, by sample; empty for most cohorts."""
        self.raters = tuple(
            rater if isinstance(rater, Rater) else Rater(rater)
            for rater in (self._masks if raters is None else raters)
        )
        """Who made the masks, in order."""
        if missing := [r for r in self.raters if r.name not in self._masks]:
            raise InputError(
                f"{self.folder}: no masks of {missing[0].kind} {missing[0].name!r}; there are "
                f"{', '.join(self._masks) or 'none'}. Expected a folder masks_{missing[0].name}"
            )
        self._um_per_px = self._read_um_per_px()

    def _label_folders(self, kind: str) -> dict[str, frozenset[str]]:
        found = {}
        for folder in sorted(self.folder.glob(f"{kind}*")):
            if not folder.is_dir() or folder.name not in (
                kind,
                f"{kind}_{folder.name[len(kind) + 1 :]}",
            ):
                continue
            ids = frozenset(_stems(folder))
            if orphans := sorted(ids - set(self.ids)):
                raise InputError(
                    f"{folder / orphans[0]}.tiff: no image of that name in {self.folder / 'img'}. "
                    "A mask is named as its image"
                )
            annotator = folder.name[len(kind) + 1 :] or kind
            if annotator in found:
                raise InputError(
                    f"{folder}: it and {kind} both hold the {kind} of {annotator!r}; "
                    "rename one of them"
                )
            found[annotator] = ids
        return found

    def _read_um_per_px(self) -> dict[str, float]:
        path = self.folder / "images.csv"
        if not path.is_file():
            return {}
        table = pd.read_csv(path, dtype={"image": str})
        if not {"image", "um_per_px"} <= set(table.columns):
            return {}
        sizes: dict[str, float] = {}
        for image, size in zip(table["image"].astype(str), table["um_per_px"], strict=True):
            sample = image if image in self.ids else _without_suffix(image)
            if sample not in self.ids:
                raise InputError(
                    f"{path}: {image!r} names no image in {self.folder / 'img'}; "
                    f"there are {', '.join(self.ids[:8])}{' …' if len(self) > 8 else ''}"
                )
            if sample in sizes:
                raise InputError(f"{path}: two rows for image {sample!r}; keep one of them")
            sizes[sample] = _check_um_per_px(size, f"{path}: um_per_px of {sample!r}")
        if missing := [sample for sample in self.ids if sample not in sizes]:
            raise InputError(
                f"{path}: no row for image {missing[0]!r}, so its um_per_px is not known. "
                "Add it, or drop the column um_per_px where every pixel is "
                f"{DEFAULT_UM_PER_PX:g} um"
            )
        return sizes

    def _read_crops(self) -> dict[str, tuple[Window, ...]]:
        """Read ``crops.csv``: one row per crop, ``sample``, ``y``, ``x`` and ``size``, pixels."""
        path = self.folder / "crops.csv"
        if not path.is_file():
            return {}
        crops: dict[str, tuple[Window, ...]] = {}
        table = pd.read_csv(path, dtype={"sample": str})
        places = table[["y", "x", "size"]].astype(int).to_numpy().tolist()
        for sample, place in zip(table["sample"].tolist(), places, strict=True):
            if sample not in self.ids:
                raise InputError(f"{path}: no image {sample!r} in {self.folder / 'img'}")
            window, (height, width) = Window(*place), self.shape(sample)
            rows, columns = window.slices
            if min(window) < 0 or not window.size or rows.stop > height or columns.stop > width:
                raise InputError(
                    f"{path}: the crop {tuple(window)} of {sample} does not lie in its image of "
                    f"{height} x {width} px"
                )
            crops[sample] = (*crops.get(sample, ()), window)
        return crops

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self.read(sample) for sample in self.ids[index]]
        return self.read(self.ids[index])

    def __repr__(self) -> str:
        return (
            f"Cohort({self.name!r}: {len(self)} samples, {len(self.panel)} channels, "
            f"raters {', '.join(rater.name for rater in self.raters) or 'none'})"
        )

    def read(self, sample: str) -> Sample:
        """Read one sample, image and masks; a phantom's truth stays apart, and so do drawings."""
        return Sample(
            id=sample,
            image=self.read_image(sample),
            panel=self.panel,
            um_per_px=self.um_per_px(sample),
            masks={
                rater.name: self.read_mask(sample, rater.name)
                for rater in self.raters_of(sample)
                if rater.kind != "truth"
            },
            nuclei={
                a: self._read_labels("nuclei", sample, a)
                for a, ids in self._nuclei.items()
                if sample in ids
            },
        )

    @property
    def has_truth_table(self) -> bool:
        """Whether it is known of every cell what it is: of a phantom only."""
        return all((self.folder / TRUTH / f"{sample}.csv").is_file() for sample in self.ids)

    def read_truth(self, sample: str) -> pd.DataFrame:
        """Read what a phantom knows of the cells of a sample.

        Returns
        -------
        pandas.DataFrame
            One row per cell, indexed by its ``id`` in the mask of the rater ``truth``: ``type``,
            ``niche``, ``nucleus_in_plane``, ``positive`` (channels, joined by ``;``), and for each
            channel ``mean_NAME`` and ``others_NAME`` (`imc_helpers.phantom.true_cells`).

        Raises
        ------
        InputError
            If the cohort has no such table, or a cell of it is not in the mask.
        """
        path = self.folder / TRUTH / f"{sample}.csv"
        if not path.is_file():
            raise InputError(
                f"{path}: no such table; only of a phantom is it known what each cell is"
            )
        table = pd.read_csv(path, index_col="id", na_filter=False)
        absent = np.setdiff1d(table.index, self.read_mask(sample, TRUTH))
        if absent.size:
            raise InputError(
                f"{path}: cell {absent[0]} is not in the mask {label_folder('masks', TRUTH)}/"
                f"{sample}.tiff; make the cohort again"
            )
        return table

    @property
    def has_planted(self) -> bool:
        """Whether something was planted in its images as wholes: in some phantoms."""
        return (self.folder / TRUTH / "images.csv").is_file()

    def read_planted(self) -> pd.DataFrame:
        """Read what was planted in the images of a phantom, one row each, indexed by ``image``.

        Raises
        ------
        InputError
            If the cohort has no such table: its images differ by chance alone, or are real.
        """
        path = self.folder / TRUTH / "images.csv"
        if not path.is_file():
            raise InputError(
                f"{path}: no such table; in this cohort no difference between images was planted"
            )
        return pd.read_csv(path, index_col="image", dtype={"image": str})

    @property
    def annotators(self) -> tuple[str, ...]:
        """Names of the people, real or simulated, in order."""
        return self._names("annotator")

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools whose masks came with the images, in order."""
        return self._names("tool")

    @property
    def references(self) -> tuple[str, ...]:
        """Names of those against whom models are scored: the annotators, or else the tools."""
        return self.annotators or self.tools

    def raters_of(self, sample: str) -> tuple[Rater, ...]:
        """Return whose masks a sample has, in the cohort's order."""
        return tuple(r for r in self.raters if sample in self._masks[r.name])

    def labelled_by(self, name: str) -> tuple[str, ...]:
        """Return the samples of which someone made a mask, a rater of the cohort or not."""
        return tuple(sample for sample in self.ids if sample in self._masks.get(name, ()))

    def references_of(self, sample: str) -> tuple[str, ...]:
        """Return which of the `references` have a mask of a sample, in the cohort's order."""
        return tuple(name for name in self.references if sample in self._masks[name])

    @property
    def shared_ids(self) -> tuple[str, ...]:
        """The samples that two or more of the `references` have drawn, in the cohort's order."""
        return tuple(sample for sample in self.ids if len(self.references_of(sample)) > 1)

    def _names(self, kind: str) -> tuple[str, ...]:
        return tuple(rater.name for rater in self.raters if rater.kind == kind)

    def um_per_px(self, sample: str) -> float:
        """Return the edge of a pixel, micrometres: from ``images.csv``, else 1, as IMC has it."""
        return self._um_per_px.get(sample, DEFAULT_UM_PER_PX)

    def read_image(self, sample: str) -> np.ndarray:
        """Read an image alone: (C, H, W) float32."""
        path = self._path("img", sample)
        image = read_tiff(path)
        image = image.reshape(_without_singletons(image.shape))
        if image.ndim == 2:
            image = image[None]
        if image.ndim != 3 or image.shape[0] != len(self.panel):
            raise InputError(
                f"{path}: panel.csv keeps {len(self.panel)} channels, so the image must have shape "
                f"({len(self.panel)}, H, W); found {image.shape}. "
                f"The panel's channels: {', '.join(self.panel.names)}"
            )
        return image.astype(np.float32, copy=False)

    def read_mask(self, sample: str, rater: str) -> np.ndarray:
        """Read one rater's whole-cell mask alone: (H, W) uint32."""
        return self._read_labels("masks", sample, rater)

    def nuclei_of(self, sample: str) -> tuple[str, ...]:
        """Return whose nuclei a sample has, in the order of their names."""
        return tuple(name for name, ids in self._nuclei.items() if sample in ids)

    def read_nuclei(self, sample: str, rater: str) -> np.ndarray:
        """Read one rater's nuclei alone: (H, W) uint32.

        Raises
        ------
        InputError
            If the rater outlined none.
        """
        if rater not in self.nuclei_of(sample):
            raise InputError(
                f"{self.folder / label_folder('nuclei', rater)}: no nuclei of sample {sample!r}; "
                f"there are those of {', '.join(self.nuclei_of(sample)) or 'nobody'}. "
                f"Expected a folder nuclei_{rater} with a mask of that name"
            )
        return self._read_labels("nuclei", sample, rater)

    def drawn_by(self, sample: str) -> tuple[str, ...]:
        """Return which annotators drew crops of a sample by hand, in the cohort's order."""
        return tuple(a for a in self.annotators if sample in self._drawn.get(a, ()))

    def read_drawn(self, sample: str, annotator: str) -> np.ndarray:
        """Read what an annotator drew by hand in the `crops` of a sample: (H, W) uint32."""
        return self._read_labels("drawn", sample, annotator)

    def shape(self, sample: str) -> tuple[int, int]:
        """Return height and width of an image, pixels, from the file's header."""
        path = self._path("img", sample)
        try:
            with tifffile.TiffFile(path) as file:
                height, width = _without_singletons(file.series[0].shape)[-2:]
        except Exception as error:
            raise _unreadable(path, error) from error
        return height, width

    def _read_labels(self, kind: str, sample: str, annotator: str) -> np.ndarray:
        path = self._path(label_folder(kind, annotator), sample)
        labels = as_labels(read_tiff(path), str(path))
        if labels.shape != self.shape(sample):
            raise InputError(
                f"{path}: the mask has shape {labels.shape}, its image {self.shape(sample)}. "
                "They must show the same field of view"
            )
        return labels

    def _path(self, folder: str, sample: str) -> Path:
        if sample not in self.ids:
            raise InputError(
                f"cohort {self.name}: no sample {sample!r}; it has {', '.join(self.ids[:8])}"
                f"{' …' if len(self) > 8 else ''}"
            )
        for suffix in _SUFFIXES:
            if (path := self.folder / folder / f"{sample}{suffix}").is_file():
                return path
        raise InputError(f"{self.folder / folder}: no file {sample}.tiff")


_SUFFIXES = (".tiff", ".tif")


def evenly_spread(samples: Sequence[str], most: int) -> tuple[str, ...]:
    """Return at most so many of the samples, at equal steps from the first."""
    return tuple(samples[:: max(1, -(-len(samples) // most))])


def _without_suffix(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix in _SUFFIXES else name


def _check_um_per_px(size: float | str, source: str) -> float:
    """Return the edge of a pixel as a number, or say what is wrong with it."""
    try:
        um_per_px = float(size)
    except ValueError:
        um_per_px = math.nan
    if not 0 < um_per_px < math.inf:
        raise InputError(
            f"{source} is {size!r}; expected the edge of a pixel in micrometres, above 0"
        )
    return um_per_px


def _stems(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        return ()
    stems = sorted(
        p.stem for p in folder.iterdir() if p.suffix in _SUFFIXES and not p.name.startswith(".")
    )
    if twice := {a for a, b in pairwise(stems) if a == b}:
        raise InputError(
            f"{folder}: two files for {min(twice)!r}, with different endings; keep one of them"
        )
    return tuple(stems)
