"""One image with many channels, opened but not read: what a conversion takes its planes from."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import readimc
import tifffile

from imc_helpers.data.metals import metal
from imc_helpers.data.readers.image_files import read_ome
from imc_helpers.errors import InputError


@dataclass(frozen=True)
class Stack:
    """An open image."""

    metals: tuple[str, ...]
    """Metal of each plane (``"Ir191"``), or its name where the file gives no metal."""
    shape: tuple[int, int]
    """Height and width, pixels."""
    read: Callable[[Sequence[int]], np.ndarray]
    """Returns planes by their positions: (C, H, W) float32."""


@contextmanager
def tiff_stack(path: Path, listed: Sequence[str] = ()) -> Iterator[Stack]:
    """Open a TIFF stack; planes are read one by one, and only those that are asked for.

    Parameters
    ----------
    path
        A stack of channels: (C, H, W).
    listed
        Metals of its planes, from a list that stands elsewhere. What the OME-XML of the file itself
        says goes before it.

    Raises
    ------
    InputError
        If it cannot be read, names no channels and none are listed, or more or fewer are named than
        it has planes.
    """
    with _blamed_on(path):
        file = tifffile.TiffFile(path)
    with file:
        with _blamed_on(path):
            series = file.series[0]
            *planes, height, width = series.shape
        count = math.prod(planes)
        metals = _metals_of(file, path) or tuple(metal(name) for name in listed)
        if not metals:
            raise InputError(f"{path.name}: names no channels, and no list of them is there")
        if len(metals) != count:
            raise InputError(
                f"{path.name}: {count} planes of {height} x {width} px, but {len(metals)} channels "
                "are named"
            )

        def read(positions: Sequence[int]) -> np.ndarray:
            image = np.empty((len(positions), height, width), np.float32)
            with _blamed_on(path):
                by_plane = len(file.pages) == count
                whole = None if by_plane else series.asarray().reshape(-1, height, width)
                for k, position in enumerate(positions):
                    plane = file.pages[position].asarray() if whole is None else whole[position]
                    image[k] = plane.reshape(height, width)
            return image

        yield Stack(metals, (height, width), read)


def _metals_of(file: tifffile.TiffFile, path: Path) -> tuple[str, ...]:
    """Return the metals that a file's own OME-XML names; none where a channel has no name."""
    if not file.ome_metadata:
        return ()
    named = [channel.channel for channel in read_ome(file.ome_metadata, path)[0].channels]
    nameless = any(name == f"channel{k}" for k, name in enumerate(named))
    return () if nameless else tuple(metal(name) for name in named)


@contextmanager
def _blamed_on(path: Path) -> Iterator[None]:
    """Say of the file what goes wrong in its library."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the libraries and their codecs raise many kinds for a broken file
        raise InputError(
            f"{path.name}: cannot be read ({type(error).__name__}: {error})"
        ) from error


def acquisition_ids(path: Path) -> list[int]:
    """Return the numbers of an ``.mcd`` file's acquisitions, in its own order; gaps are usual.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    with _blamed_on(path), readimc.MCDFile(path) as file:
        return [made.id for slide in file.slides for made in slide.acquisitions]


@contextmanager
def mcd_stack(path: Path, acquisition: int) -> Iterator[Stack]:
    """Open one acquisition of an ``.mcd`` file.

    Raises
    ------
    InputError
        If the file cannot be read, or, when planes are read, the acquisition was broken off.
    """
    with _blamed_on(path):
        file = readimc.MCDFile(path)
        file.open()
    try:
        made = next(
            one for slide in file.slides for one in slide.acquisitions if one.id == acquisition
        )

        def read(positions: Sequence[int]) -> np.ndarray:
            with _blamed_on(path):
                image: np.ndarray = file.read_acquisition(made, channels=list(positions))
            return image

        yield Stack(tuple(made.channel_names), (made.height_px, made.width_px), read)
    finally:
        file.close()


def read_metal_list(path: Path) -> tuple[str, ...]:
    """Read a list of metals without a header, one per line, in the order of a stack's planes.

    Raises
    ------
    InputError
        If it is empty.
    """
    try:
        table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
    except ValueError as error:  # empty, ragged, or not UTF-8
        raise InputError(f"{path.name}: no list of metals ({error})") from None
    return tuple(metal(str(one).strip()) for one in table[table.columns[0]])
