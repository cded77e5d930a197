"""What the book works on: a panel of channels, one sample, a cohort of samples.

On disk a cohort is a steinbock folder (Windhager et al. 2023, doi:10.1038/s41596-023-00881-0)::

    COHORT/panel.csv            channel, name, keep and, added here, compartment
    COHORT/images.csv           image, width_px, height_px, num_channels and, added here, um_per_px
    COHORT/img/SAMPLE.tiff      (C, H, W) float32
    COHORT/masks_RATER/SAMPLE.tiff    whole cells, (H, W) uint32
    COHORT/nuclei_RATER/SAMPLE.tiff   nuclei, (H, W) uint32
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

import numpy as np
import pandas as pd
import tifffile

from imc_helpers.data.paths import replacing
from imc_helpers.data.raters import Rater
from imc_helpers.errors import InputError

COMPARTMENTS = ("nucleus", "membrane", "")
"""What a channel may show: the nucleus, the membrane, or neither of them."""

DEFAULT_UM_PER_PX = 1.0
"""Pixel size of imaging mass cytometry, micrometres: the laser's spot."""

_LARGEST_ID = np.iinfo(np.uint32).max
_DEEPCELL = {"1": "nucleus", "2": "membrane"}  # steinbock's own column for the same thing


@dataclass(frozen=True)
class Channel:
    """One channel of an image."""

    channel: str
    """Metal tag (``"Ir191"``), or the name again where the metal is not known."""
    name: str
    """Name of the target (``"DNA1"``)."""
    compartment: str = ""
    """``"nucleus"``, ``"membrane"`` or empty: the aggregate that the channel enters."""


@dataclass(frozen=True)
class Panel:
    """The channels of an image, in the image's order."""

    channels: tuple[Channel, ...]
    """One entry a plane of the image."""

    def __post_init__(self) -> None:
        names = [channel.name for channel in self.channels]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"panel: each name may occur once, found {repeated} more than once")
        for channel in self.channels:
            if channel.compartment not in COMPARTMENTS:
                raise InputError(
                    f"panel: compartment of channel {channel.name!r} is {channel.compartment!r}; "
                    f"expected one of {COMPARTMENTS}"
                )

    def __len__(self) -> int:
        return len(self.channels)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels, in order."""
        return tuple(channel.name for channel in self.channels)

    def index(self, name: str) -> int:
        """Return the position of a channel, found by its name or its metal tag.

        Raises
        ------
        InputError
            If the panel has no such channel.
        """
        for i, channel in enumerate(self.channels):
            if name in (channel.name, channel.channel):
                return i
        raise InputError(
            f"panel: no channel {name!r}; it has {', '.join(self.names)}. "
            "Name one of them, by target or by metal"
        )

    def compartment(self, compartment: str) -> tuple[int, ...]:
        """Return the positions of the channels that show ``"nucleus"`` or ``"membrane"``.

        Raises
        ------
        InputError
            If no channel does.
        """
        found = tuple(i for i, c in enumerate(self.channels) if c.compartment == compartment)
        if not found:
            raise InputError(
                f"panel: no channel has compartment {compartment!r} (channels: "
                f"{', '.join(self.names)}). Set it in the column 'compartment' of panel.csv"
            )
        return found

    @classmethod
    def read(cls, path: Path) -> "Panel":
        """Read ``panel.csv``, steinbock's own or with the added column ``compartment``.

        Rows with ``keep`` = 0 are left out, as steinbock leaves them out of its images. Without a
        column ``compartment``, steinbock's column ``deepcell`` says it: 1 nucleus, 2 membrane.
        """
        if not path.is_file():
            raise InputError(f"{path}: no such panel; a cohort needs a panel.csv")
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        except ValueError as error:  # empty, ragged, or not UTF-8
            raise InputError(f"{path}: not readable as CSV in UTF-8 ({error})") from None
        for column in ("channel", "name"):
            if column not in table:
                raise InputError(
                    f"{path}: no column {column!r}; found {', '.join(table.columns)}. "
                    "Expected steinbock's columns: channel, name, keep"
                )
        if "keep" in table:
            table = table[~table["keep"].str.strip().str.lower().isin(["0", "0.0", "false"])]
        if "compartment" in table:
            compartments = table["compartment"]
        elif "deepcell" in table:
            compartments = table["deepcell"].str.removesuffix(".0").map(_DEEPCELL).fillna("")
        else:
            compartments = pd.Series("", index=table.index)
        names = table["name"].where(table["name"] != "", table["channel"])
        rows = zip(table["channel"], names, compartments, strict=True)
        try:
            return cls(tuple(Channel(*row) for row in rows))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def write(self, path: Path) -> None:
        """Write ``panel.csv``."""
        rows = [
            {"channel": c.channel, "name": c.name, "keep": 1, "compartment": c.compartment}
            for c in self.channels
        ]
        pd.DataFrame(rows).to_csv(path, index=False)


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

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or len(self.panel) != self.image.shape[0]:
            raise InputError(
                f"sample {self.id}: the panel names {len(self.panel)} channels, so the image must "
                f"have shape ({len(self.panel)}, H, W); found {self.image.shape}. "
                "Does panel.csv belong to these images, and does 'keep' say which were kept?"
            )
        for kind, masks in (("mask", self.masks), ("nuclei", self.nuclei)):
            for annotator, labels in masks.items():
                if labels.shape != self.shape:
                    raise InputError(
                        f"sample {self.id}: {kind} of {annotator!r} has shape {labels.shape}, "
                        f"the image {self.shape}. They must show the same field of view"
                    )
        object.__setattr__(self, "masks", MappingProxyType(dict(self.masks)))
        object.__setattr__(self, "nuclei", MappingProxyType(dict(self.nuclei)))

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
        If the folder is no steinbock folder, holds no image, lacks the masks of a rater, or has a
        mask without an image.
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
            found[folder.name[len(kind) + 1 :] or kind] = ids
        return found

    def _read_um_per_px(self) -> dict[str, float]:
        path = self.folder / "images.csv"
        if path.is_file():
            table = pd.read_csv(path)
            if {"image", "um_per_px"} <= set(table.columns):
                if table["um_per_px"].isna().any():
                    raise InputError(f"{path}: column um_per_px has empty cells; fill or drop it")
                stems = (Path(str(image)).stem for image in table["image"])
                return dict(zip(stems, table["um_per_px"].astype(float), strict=True))
        return {}

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
        """Read one sample, image and masks; a phantom's truth stays apart."""
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

    def references_of(self, sample: str) -> tuple[str, ...]:
        """Return which of the `references` have a mask of a sample, in the cohort's order."""
        return tuple(name for name in self.references if sample in self._masks[name])

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
        folder = kind if annotator == kind else f"{kind}_{annotator}"
        path = self._path(folder, sample)
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


def write_cohort(folder: Path, samples: Iterable[Sample], *, overwrite: bool = False) -> None:
    """Write samples as a steinbock folder, whole or not at all.

    Parameters
    ----------
    folder
        Where to.
    samples
        Samples of one panel, taken one at a time.
    overwrite
        Replace what stands there, masks and panel included, once everything is written.

    Raises
    ------
    InputError
        If there is no sample, two have one id, their panels differ, or the folder is there already.
    """
    folder = Path(folder)
    if not overwrite and folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"{folder}: it is there already, perhaps with masks and a panel that you made. "
            "Choose another name, move it away, or pass overwrite=True"
        )
    rows: list[dict[str, Any]] = []
    panel: Panel | None = None
    with replacing(folder) as new:
        for sample in samples:
            panel = panel or sample.panel
            if sample.panel != panel:
                raise InputError(f"sample {sample.id}: its panel differs from the first sample's")
            if any(row["image"] == f"{sample.id}.tiff" for row in rows):
                raise InputError(f"sample {sample.id}: two samples have this id")
            _write_tiff(new / "img" / f"{sample.id}.tiff", sample.image.astype(np.float32))
            for kind, masks in (("masks", sample.masks), ("nuclei", sample.nuclei)):
                for annotator, labels in masks.items():
                    path = new / f"{kind}_{annotator}" / f"{sample.id}.tiff"
                    _write_tiff(path, as_labels(labels, f"sample {sample.id}, {annotator}"))
            rows.append(
                {
                    "image": f"{sample.id}.tiff",
                    "width_px": sample.shape[1],
                    "height_px": sample.shape[0],
                    "num_channels": len(sample.panel),
                    "um_per_px": sample.um_per_px,
                }
            )
        if panel is None:
            raise InputError(f"{folder}: no samples to write")
        panel.write(new / "panel.csv")
        pd.DataFrame(rows).to_csv(new / "images.csv", index=False)


def _write_tiff(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, array, compression="zlib", photometric="minisblack")
