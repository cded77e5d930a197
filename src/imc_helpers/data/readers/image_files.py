"""Multichannel images: instrument files, OME-TIFF, folders of single-channel TIFFs.

Every reader returns a (C, H, W) float32 array with the panel that the file itself describes; which
channel shows nuclei or membranes is the cohort's business.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import readimc
import tifffile

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import DEFAULT_UM_PER_PX, Sample, read_tiff
from imc_helpers.errors import InputError

_UM = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3}  # both Greek mu and micro sign


def read_mcd(path: Path, only: int | None = None) -> Iterator[Sample]:
    """Read the acquisitions of an ``.mcd`` file, one at a time.

    Parameters
    ----------
    path
        File of the Hyperion instrument's software.
    only
        Number of one acquisition; all of them when not given.

    Yields
    ------
    Sample
        One an acquisition, named ``STEM_00N`` with N the acquisition's number in the file.

    Raises
    ------
    InputError
        If the file cannot be read, or is truncated.
    """
    path = Path(path)
    try:
        with readimc.MCDFile(path) as file:
            for slide in file.slides:
                for acquisition in slide.acquisitions:
                    if only not in (None, acquisition.id):
                        continue
                    yield _instrument_sample(
                        f"{path.stem}_{acquisition.id:03d}",
                        file.read_acquisition(acquisition),
                        acquisition,
                        path,
                    )
    except (OSError, ValueError, ElementTree.ParseError) as error:
        if isinstance(error, InputError):
            raise
        raise _unreadable(path, error) from error


def read_txt(path: Path) -> Sample:
    """Read the ``.txt`` file of one acquisition.

    Raises
    ------
    InputError
        If the file cannot be read, or is truncated.
    """
    path = Path(path)
    try:
        with readimc.TXTFile(path) as file:
            return _instrument_sample(path.stem, file.read_acquisition(), file, path)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _unreadable(path, error) from error


def _instrument_sample(name: str, image: np.ndarray, description: Any, path: Path) -> Sample:
    metals = description.channel_names
    targets = description.channel_labels
    panel = panel_of(metals, [t or m for t, m in zip(targets, metals, strict=True)])
    if image.size == 0:
        raise InputError(f"{path}: acquisition {name} holds no pixels")
    return Sample(id=name, image=image.astype(np.float32), panel=panel, um_per_px=DEFAULT_UM_PER_PX)


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path}: not a readable instrument file ({type(error).__name__}: {error}). "
        "Is it truncated? Export or download it again"
    )


def read_ome_tiff(path: Path) -> Sample:
    """Read an OME-TIFF with one plane a channel.

    Channel names come from ``Channel@Name``, metals from ``Channel@Fluor``, the pixel size from
    ``Pixels@PhysicalSizeX`` (1 um where it is not said).

    Raises
    ------
    InputError
        If it is no OME-TIFF, or the XML names another number of channels than there are planes.
    """
    path = Path(path)
    image = read_tiff(path)
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    if xml is None:
        raise InputError(f"{path}: no OME-XML in the file; read a plain TIFF as part of a cohort")
    panel, um_per_px = read_ome(xml, path)
    image = image[None] if image.ndim == 2 else image
    if image.ndim != 3 or image.shape[0] != len(panel):
        raise InputError(
            f"{path}: the OME-XML names {len(panel)} channels, but the image has shape "
            f"{image.shape}; expected ({len(panel)}, H, W)"
        )
    return Sample(
        id=path.name.removesuffix(".tiff").removesuffix(".tif").removesuffix(".ome"),
        image=image.astype(np.float32),
        panel=panel,
        um_per_px=um_per_px or DEFAULT_UM_PER_PX,
    )


def read_ome(xml: str, path: Path) -> tuple[Panel, float | None]:
    """Read the channels and the pixel size that OME-XML names.

    Parameters
    ----------
    xml
        The metadata of an OME-TIFF.
    path
        Where it comes from, for the message.

    Returns
    -------
    panel : Panel
        One entry per channel; without any where the XML names none.
    um_per_px : float or None
        None where the XML does not say.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: its OME-XML cannot be read ({error})") from error
    space = {"ome": root.tag.partition("}")[0].strip("{")}
    channels = root.findall(".//ome:Pixels/ome:Channel", space)
    names = [c.get("Name") or c.get("Fluor") or f"channel{i}" for i, c in enumerate(channels)]
    metals = [c.get("Fluor") or name for c, name in zip(channels, names, strict=True)]
    return panel_of(metals, names), _pixel_size(root.find(".//ome:Pixels", space))


def _pixel_size(pixels: ElementTree.Element | None) -> float | None:
    size = None if pixels is None else pixels.get("PhysicalSizeX")
    if size is None:
        return None
    unit = pixels.get("PhysicalSizeXUnit", "µm")  # type: ignore[union-attr]  # OME's default
    return float(size) * _UM[unit] if unit in _UM else None


def read_channel_folder(
    folder: Path, files: Sequence[str] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Read a folder of single-channel TIFFs.

    Parameters
    ----------
    folder
        Holds one 2-D TIFF a channel.
    files
        Their names, in the order of the channels; all TIFF files, sorted, when not given.

    Returns
    -------
    image : numpy.ndarray
        (C, H, W) float32.
    names : list of str
        The files' stems, in order.

    Raises
    ------
    InputError
        If a file is missing (a channel that the image lacks), or their shapes differ.
    """
    folder = Path(folder)
    have = sorted(p.name for p in folder.glob("*.tif*"))
    names = list(have if files is None else files)
    if not names:
        raise InputError(f"{folder}: no TIFF files found; expected one a channel")
    if missing := [name for name in names if name not in have]:
        raise InputError(
            f"{folder}: no file {missing[0]} for channel {Path(missing[0]).stem!r}; "
            f"there are {', '.join(have)}"
        )
    planes = [read_tiff(folder / name) for name in names]
    for name, plane in zip(names, planes, strict=True):
        if plane.ndim != 2 or plane.shape != planes[0].shape:
            raise InputError(
                f"{folder / name}: shape {plane.shape}, but {names[0]} has {planes[0].shape}; "
                "each file holds one channel of the same field of view"
            )
    return np.stack(planes).astype(np.float32), [Path(name).stem for name in names]


def panel_of(metals: Sequence[str], names: Sequence[str]) -> Panel:
    """Return a panel without compartments; a name that occurs twice gets its metal behind it."""
    return Panel(
        tuple(
            Channel(metal, name if list(names).count(name) == 1 else f"{name}_{metal}")
            for metal, name in zip(metals, names, strict=True)
        )
    )
