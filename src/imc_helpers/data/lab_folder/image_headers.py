"""The images of a lab's folder: what their headers say, and their pixels."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import readimc
import tifffile

from imc_helpers.data.lab_folder.layout import ImageFile, stem
from imc_helpers.data.metals import metal_and_name
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.readers.image_files import (
    panel_of,
    read_mcd,
    read_ome,
    read_txt,
)
from imc_helpers.data.samples import DEFAULT_UM_PER_PX, read_tiff
from imc_helpers.errors import InputError

MOST_CHANNELS = 500
"""More planes than any instrument has: then the first axis is no axis of channels."""


@dataclass(frozen=True)
class ImageHeader:
    """What is known of an image without its pixels."""

    file: ImageFile
    shape: tuple[int, int]
    """Height and width, pixels."""
    channels: tuple[Channel, ...]
    """One per plane; their names are ``channel1`` … where the file has none."""
    named: bool
    """Whether the file names its channels."""
    um_per_px: float | None
    """None where the file does not say."""
    as_is: bool
    """Whether the file is a TIFF stack that a cohort can use where it stands."""


def read_header(file: ImageFile) -> ImageHeader:
    """Read what an image says of itself.

    Raises
    ------
    InputError
        If it cannot be read, or is no image of channels.
    """
    if file.form == "stack":
        return _stack_header(file)
    if file.form == "channels":
        with tifffile.TiffFile(file.path / file.planes[0]) as opened:
            height, width = opened.series[0].shape[-2:]
        named = [metal_and_name(stem(Path(name))) for name in file.planes]
        channels = panel_of(*zip(*named, strict=True)).channels
        return ImageHeader(file, (height, width), channels, True, None, False)
    if file.form == "mcd":
        with readimc.MCDFile(file.path) as opened:
            made = next(
                one
                for slide in opened.slides
                for one in slide.acquisitions
                if one.id == file.acquisition
            )
            size, panel = (made.height_px, made.width_px), _instrument_panel(made)
    else:
        sample = read_txt(file.path)
        size, panel = sample.shape, sample.panel
    return ImageHeader(file, size, panel.channels, True, DEFAULT_UM_PER_PX, False)


def read_pixels(header: ImageHeader) -> np.ndarray:
    """Read an image: (C, H, W) float32, planes in the order of its header's channels."""
    path = header.file.path
    if header.file.form == "channels":
        planes = [read_tiff(path / name).reshape(-1) for name in header.file.planes]
        for name, plane in zip(header.file.planes, planes, strict=True):
            if plane.size != math.prod(header.shape):
                raise InputError(
                    f"{path / name}: {plane.size} pixels, but {header.file.planes[0]} has "
                    f"{header.shape[0]} x {header.shape[1]}; each file holds one channel"
                )
        return np.stack(planes).reshape(-1, *header.shape).astype(np.float32)
    if header.file.form == "txt":
        return read_txt(path).image
    if header.file.form == "mcd":
        return next(read_mcd(path, only=header.file.acquisition)).image
    image = read_tiff(path)
    if image.ndim == 3 and image.shape[:2] == header.shape:  # (H, W, C)
        image = np.moveaxis(image, -1, 0)
    return image.reshape(len(header.channels), *header.shape).astype(np.float32, copy=False)


def _instrument_panel(made: Any) -> Panel:
    names = [t or m for t, m in zip(made.channel_labels, made.channel_names, strict=True)]
    return panel_of(made.channel_names, names)


def _stack_header(file: ImageFile) -> ImageHeader:
    try:
        with tifffile.TiffFile(file.path) as opened:
            series = opened.series[0]
            axes, shape, xml = series.axes, series.shape, opened.ome_metadata
    except Exception as error:  # tifffile and the codecs raise many kinds for a broken file
        raise InputError(
            f"{file.path}: not a readable TIFF ({type(error).__name__}: {error}). Is it truncated? "
            "Get it again"
        ) from error
    long = [(axis, size) for axis, size in zip(axes, shape, strict=True) if size > 1]
    if len(long) == 2:
        long = [("C", 1), *long]
    if len(long) != 3 or min(size for _, size in long) > MOST_CHANNELS:
        raise InputError(
            f"{file.path}: expected planes of one image, (channels, height, width); found shape "
            f"{shape}. Save each image as a stack of its channels"
        )
    last = long[2][0] == "S" or (long[2][1] < min(long[0][1], long[1][1]) and long[0][1] > 200)
    size = (long[0][1], long[1][1]) if last else (long[1][1], long[2][1])
    count = long[2][1] if last else long[0][1]
    panel, um_per_px = read_ome(xml, file.path) if xml else (None, None)
    named = panel is not None and len(panel) == count
    channels = (
        panel.channels
        if panel is not None and named
        else tuple(Channel(f"channel{n}", f"channel{n}") for n in range(1, count + 1))
    )
    return ImageHeader(file, size, channels, named, um_per_px, not last)
