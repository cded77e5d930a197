"""Look a lab's folder over: which images and masks a study can use, and what is odd about them."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from imc_helpers.data.lab_folder import checks
from imc_helpers.data.lab_folder.checks import MaskFacts, Oddity, UnusableError
from imc_helpers.data.lab_folder.image_headers import ImageHeader, read_header, read_pixels
from imc_helpers.data.lab_folder.layout import Layout, MaskFile
from imc_helpers.data.lab_folder.marker_compartments import compartments
from imc_helpers.data.metals import metal
from imc_helpers.data.panels import Panel
from imc_helpers.data.paths import data_dir
from imc_helpers.data.readers import label_files
from imc_helpers.data.readers.label_files import read_labels
from imc_helpers.data.samples import DEFAULT_UM_PER_PX, evenly_spread
from imc_helpers.errors import InputError

_T = TypeVar("_T")
LOOKED_AT = 12
"""Images on which each rater's masks are held against the nuclei, evenly spread."""


@dataclass(frozen=True)
class UsableMask:
    """A mask that the study goes on with."""

    file: MaskFile
    facts: MaskFacts
    as_is: bool
    """Whether the file is a TIFF of whole numbers that a cohort can use where it stands."""


@dataclass(frozen=True)
class Inspection:
    """What a folder holds that a study can use, and what is odd."""

    images: tuple[ImageHeader, ...]
    """Those that can be used."""
    panel: Panel
    """The channels that all of them have; with compartments where a ``panel.csv`` has some."""
    um_per_px: float
    known_size: bool
    """Whether files say the pixel size; else it is 1 um, as imaging mass cytometry has it."""
    masks: tuple[UsableMask, ...]
    oddities: tuple[Oddity, ...]

    def raters(self, kind: str = "masks") -> dict[str, int]:
        """Return how many usable masks each rater has."""
        return dict(Counter(m.file.rater for m in self.masks if m.file.kind == kind))

    def planes(self, header: ImageHeader) -> list[int]:
        """Return which planes of an image make the panel, in its order."""
        found = _planes(header, self.panel)
        # Where an image names nothing, the panel's file tells what its planes are, one by one.
        return list(range(len(header.channels))) if found is None else found


def inspect(
    layout: Layout,
    *,
    um_per_px: float | None = None,
    raters: Iterable[str] | None = None,
    nucleus: Sequence[str] | None = None,
    jobs: int = 1,
) -> Inspection:
    """Look over the images and masks of one cohort. Nothing in the folder is changed.

    What was found of a mask is remembered under ``data/.inspected``, by path, size and time, so
    that the second look is a short one, and one that was interrupted goes on.

    Parameters
    ----------
    layout
        What `imc_helpers.data.lab_folder.layout.find_layout` found.
    um_per_px
        Edge of a pixel, micrometres; from the files when not given.
    raters
        Names of raters in the folder who take part; all of them when not given. Of the others only
        those files are told of that could not be used.
    nucleus
        Channels that show nuclei, by name or metal, on which shifts are looked for; those that the
        markers' names say when not given, and the mean of all channels where there is none.
    jobs
        Processes that share the masks.

    Raises
    ------
    InputError
        If no image can be used, or images have no channel in common.
    """
    odd: list[Oddity] = []
    headers = list(_headers(layout, odd))
    if not headers:
        raise InputError(
            f"{layout.folder}: none of {len(layout.images)} images can be used; the first: "
            f"{odd[0].found} {odd[0].to_do}"
        )
    panel, headers = _common_panel(layout, headers, odd)
    size, known = _pixel_size(layout, headers)
    if um_per_px is not None:
        size, known = um_per_px, True
    if not known:
        odd.append(
            Oddity(
                "",
                "",
                "unknown pixel size",
                f"No file states the size of a pixel, so {size:g} um is assumed, the spot of the "
                "laser in imaging mass cytometry.",
                "If your pixels have another size, correct `um_per_px`.",
            )
        )
    shapes = {header.file.sample: header.shape for header in headers}
    masks = _masks(layout.masks, shapes, odd, jobs)
    if raters is not None:
        masks = [mask for mask in masks if mask.file.rater in set(raters)]
    odd += [o for mask in masks for o in checks.about_mask(mask.facts)]
    odd += checks.about_raters([mask.facts for mask in masks], size)
    if not nucleus:
        nucleus = [name for name, what in compartments(panel).items() if what == "nucleus"]
    planes = [k for k, c in enumerate(panel.channels) if {c.name, c.channel} & set(nucleus)]
    odd += checks.about_shifts(_shifts(masks, headers, planes, jobs))
    labelled = {mask.file.sample for mask in masks if mask.file.kind == "masks"}
    if labelled:
        odd += [
            Oddity(
                sample,
                "",
                "image without mask",
                "It has no mask that can be used.",
                "Models still outline its cells. Add masks if the image should count towards "
                "agreement.",
            )
            for sample in shapes
            if sample not in labelled
        ]
    return Inspection(tuple(headers), panel, size, known, tuple(masks), tuple(odd))


def _headers(layout: Layout, odd: list[Oddity]) -> Iterable[ImageHeader]:
    for file in layout.images:
        try:
            yield read_header(file)
        except (InputError, OSError, ValueError) as error:
            odd.append(
                Oddity(
                    file.sample,
                    "",
                    "unreadable image",
                    str(error).removesuffix(".") + ".",
                    "Export or copy the file again. Until then, its masks are left out too.",
                    used=False,
                    file=str(file.path),
                )
            )


def _common_panel(
    layout: Layout, headers: list[ImageHeader], odd: list[Oddity]
) -> tuple[Panel, list[ImageHeader]]:
    """Return the channels that all images have, named by the panel where they are not."""
    panel = Panel.read(layout.panel) if layout.panel else None
    counts = Counter(len(header.channels) for header in headers)
    if panel is not None:
        wrong = [h for h in headers if not h.named and len(h.channels) != len(panel)]
        for header in wrong:
            odd.append(
                Oddity(
                    header.file.sample,
                    "",
                    "other channels",
                    f"It has {len(header.channels)} channels, but panel.csv keeps {len(panel)}.",
                    "Check that panel.csv belongs to this image, and correct its column `keep`.",
                    used=False,
                )
            )
        headers = [header for header in headers if header not in wrong]
        if headers and all(_planes(header, panel) is not None for header in headers):
            return panel, headers
        if not headers:
            raise InputError(
                f"{layout.panel}: keeps {len(panel)} channels, and no image has as many "
                f"({', '.join(map(str, counts))}). Correct its column `keep`"
            )
        if all(len(header.channels) == len(panel) for header in headers):
            return panel, headers
    first = headers[0].channels
    shared = [
        channel
        for channel in first
        if all(channel.name in {c.name for c in header.channels} for header in headers)
    ]
    if not shared:
        raise InputError(
            f"{layout.folder}: the images have no channel in common: {headers[0].file.sample} has "
            f"{', '.join(c.name for c in first[:6])} …. Give each panel a folder of its own"
        )
    if len(shared) < max(len(header.channels) for header in headers):
        odd.append(
            Oddity(
                "",
                "",
                "other channels",
                f"The images have different channels. Only the {len(shared)} that all of them "
                "have are used.",
                "You need not do anything unless a channel that you need is missing.",
            )
        )
    if not headers[0].named:
        odd.append(
            Oddity(
                "",
                "",
                "unnamed channels",
                f"No file names the {len(first)} channels.",
                "Put a panel.csv with the columns channel, name and keep beside the images, or "
                "list under `channels` which of them show nuclei and membranes.",
            )
        )
    return Panel(tuple(shared)), headers


def _planes(header: ImageHeader, panel: Panel) -> list[int] | None:
    """Find the channels of a panel in an image, by metal or name; None where one is missing."""
    named = [(metal(channel.channel), channel.name) for channel in header.channels]
    by_name = {name: k for k, both in enumerate(named) for name in both}
    found = [by_name.get(metal(c.channel), by_name.get(c.name)) for c in panel.channels]
    return None if None in found else [k for k in found if k is not None]


def _pixel_size(layout: Layout, headers: Sequence[ImageHeader]) -> tuple[float, bool]:
    """Return the pixel size that the files name most often, and whether any does."""
    named = [header.um_per_px for header in headers if header.um_per_px]
    if layout.sizes is not None:
        table = pd.read_csv(layout.sizes)
        if "um_per_px" in table:
            named = [float(one) for one in table["um_per_px"].dropna() if one > 0] or named
    if not named:  # iridium stains the nuclei of mass cytometry, and of nothing else
        metals = {channel.channel for header in headers for channel in header.channels}
        metals |= {c.channel for c in Panel.read(layout.panel).channels} if layout.panel else set()
        return DEFAULT_UM_PER_PX, bool({"Ir191", "Ir193", "191Ir", "193Ir"} & metals)
    return float(Counter(named).most_common(1)[0][0]), True


def _masks(
    files: Sequence[MaskFile],
    shapes: dict[str, tuple[int, int]],
    odd: list[Oddity],
    jobs: int,
) -> list[UsableMask]:
    todo = []
    for file in files:
        if file.sample in shapes:
            todo.append(file)
        elif not file.sample:
            odd.append(
                Oddity(
                    file.path.name,
                    file.rater,
                    "mask without image",
                    "No image has a matching name.",
                    "Give the mask the name of its image, and the rater's name to its folder or to "
                    "the end of the file's name.",
                    used=False,
                    file=str(file.path),
                )
            )
    results = _remembered(
        _examine,
        [(str(f.path), _state(f.path), shapes[f.sample], f.sample, f.rater, f.kind) for f in todo],
        jobs,
        "masks",
    )
    usable = []
    for file, (facts, as_is, trouble) in zip(todo, results, strict=True):
        if facts is None:
            trouble_of = Oddity(file.sample, file.rater, *trouble, used=False, file=str(file.path))
            odd.append(trouble_of)
        else:
            usable.append(UsableMask(file, facts, as_is))
    return usable


def _examine(
    path: str, _state: str, shape: tuple[int, int], sample: str, rater: str, kind: str
) -> tuple[MaskFacts | None, bool, tuple[str, str, str]]:
    """Measure one mask, or say why it cannot be used."""
    try:
        found = read_labels(Path(path), shape, kind)
        labels = checks.usable(found, shape)
    except UnusableError as error:
        return None, False, (error.what, error.found, error.to_do)
    except InputError as error:
        return None, False, ("unreadable mask", f"{error}.".replace("..", "."), "Export it again.")
    as_is = Path(path).suffix.lower() in (".tif", ".tiff") and found.dtype.kind in "ui"
    return checks.measure(labels, sample, rater, kind, str(found.dtype)), as_is, ("", "", "")


def _shifts(
    masks: Sequence[UsableMask], headers: Sequence[ImageHeader], planes: Sequence[int], jobs: int
) -> dict[str, list[tuple[str, int, int, float]]]:
    by_sample = {header.file.sample: header for header in headers}
    chosen = evenly_spread(sorted(by_sample), LOOKED_AT)
    todo = [m for m in masks if m.file.sample in chosen and m.file.kind == "masks"]
    by_image = [[m for m in todo if m.file.sample == sample] for sample in chosen]
    results = _remembered(
        _shifts_on_image,
        [
            (
                by_sample[own[0].file.sample],
                [(str(mask.file.path), _state(mask.file.path)) for mask in own],
                tuple(planes),
            )
            for own in by_image
            if own
        ],
        jobs,
        "positions",
    )
    found: dict[str, list[tuple[str, int, int, float]]] = {}
    for own, moved in zip([own for own in by_image if own], results, strict=True):
        for mask, shift in zip(own, moved, strict=True):
            found.setdefault(mask.file.rater, []).append((mask.file.sample, *shift))
    return found


def _shifts_on_image(
    header: ImageHeader, masks: Sequence[tuple[str, str]], planes: tuple[int, ...]
) -> list[tuple[int, int, float]]:
    image = read_pixels(header)
    plane = (
        image[list(planes)].mean(axis=0)
        if planes
        else np.log1p(np.clip(image, 0, None)).mean(axis=0)
    )
    return [checks.shift(read_labels(Path(path), header.shape), plane) for path, _ in masks]


def _remembered(
    function: Callable[..., _T], arguments: Sequence[tuple[Any, ...]], jobs: int, what: str
) -> list[_T]:
    """Call a function on many arguments, on several processes, and remember what it returned."""
    memory = joblib.Memory(data_dir() / ".inspected" / _version(), verbose=0)
    call = joblib.delayed(memory.cache(function))
    run = joblib.Parallel(n_jobs=jobs, return_as="generator")
    return list(tqdm(run(call(*one) for one in arguments), total=len(arguments), desc=what))


def _version() -> str:
    """Digest the code whose results are remembered: other code remembers nothing of them."""
    total = hashlib.sha256()
    for path in (*sorted(Path(__file__).parent.glob("*.py")), Path(label_files.__file__)):
        total.update(path.read_bytes())
    return total.hexdigest()[:12]


def _state(path: Path) -> str:
    """Say in what state a file is, without its content: size and time."""
    state = path.stat()
    return f"{state.st_size} {state.st_mtime_ns}"
