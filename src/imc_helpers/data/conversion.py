"""From the pairs of a published record to a cohort: one image at a time, resumable.

Work goes on in a hidden folder beside the cohort, which takes the cohort's place when it is whole::

    data/.converting/COHORT/new/            the cohort as far as it is
    data/.converting/COHORT/progress.json   what is done, and what it was made from
    data/.converting/COHORT/scratch/        what is copied out of archives
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError
from tqdm import tqdm

from imc_helpers.data.panels import Panel
from imc_helpers.data.paths import put_in_place
from imc_helpers.data.readers.pairs import Pair, Unmatched
from imc_helpers.data.samples import Sample, as_labels
from imc_helpers.data.writers import write_sample
from imc_helpers.errors import InputError

UNMATCHED = "unmatched.csv"
"""File beside the panel: what no sample was made of, and why."""
COLUMNS = ("sample", "file", "what", "reason")


class _MisfitError(InputError):
    """An image and its masks do not fit each other, or the panel."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(reason)
        self.what = what


class _Progress(BaseModel):
    """How far a conversion has come: ``progress.json``."""

    model_config = ConfigDict(extra="forbid")

    made_from: str
    """Digest of record, panel and files: of others nothing is kept."""
    channels: list[str] | None = None
    """Metals that the cohort has, settled by its first image."""
    rows: dict[str, dict[str, Any]] = {}
    """Rows of ``images.csv`` by sample."""
    unmatched: list[Unmatched] = []


def read_unmatched(folder: Path) -> pd.DataFrame:
    """Read what no sample was made of.

    Parameters
    ----------
    folder
        The cohort, ``data/COHORT``.

    Returns
    -------
    pandas.DataFrame
        One row per image, mask or channel, with the fields of `Unmatched`; none for a cohort of
        another origin.
    """
    path = folder / UNMATCHED
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(path, keep_default_na=False, dtype=str)


def convert(
    pairs: Callable[[Path], Iterator[Pair | Unmatched]],
    panel: Panel,
    folder: Path,
    *,
    made_from: str,
) -> None:
    """Make a cohort from the pairs of a record.

    An image and its masks must have one shape, and the image must have the channels of the panel:
    what does not is listed in ``unmatched.csv``, with the reason. A channel that enters no
    aggregate and that the first image lacks is left out of the cohort.

    Parameters
    ----------
    pairs
        Yields them, given a folder for what must be copied out of archives.
    panel
        The channels to keep, found in the images by metal.
    folder
        The cohort, ``data/COHORT``; it appears whole or not at all.
    made_from
        Digest of all that the cohort is made from. What an earlier call has done counts only where
        it was made from the same.

    Raises
    ------
    InputError
        If a file is damaged, two samples have one name, or no sample can be made at all.
    """
    work = folder.parent / ".converting" / folder.name
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(work.with_name(f".{folder.name}.lock")):
        progress = _begin(work, made_from)
        new, scratch = work / "new", work / "scratch"
        seen: set[str] = set()
        for one in tqdm(pairs(scratch), desc=folder.name, unit="image", disable=None):
            if isinstance(one, Pair):
                if one.sample in seen:
                    raise InputError(f"{one.file}: a second image is called {one.sample!r}")
                seen.add(one.sample)
            _take(one, panel, new, progress)
            _save(work, progress)
        _finish(panel, folder, work, progress)


def _begin(work: Path, made_from: str) -> _Progress:
    """Return what is done already; nothing where it was made from something else."""
    path = work / "progress.json"
    try:
        progress = _Progress.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError):  # not there, or of another release
        progress = None
    if progress is None or progress.made_from != made_from:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        return _Progress(made_from=made_from)
    return progress


def _save(work: Path, progress: _Progress) -> None:
    draft = work / ".progress.json"
    draft.write_text(progress.model_dump_json(), encoding="utf-8")
    draft.replace(work / "progress.json")


def _take(one: Pair | Unmatched, panel: Panel, new: Path, progress: _Progress) -> None:
    """Convert a pair that is not done yet, or note why it cannot be."""
    if isinstance(one, Unmatched):
        if one not in progress.unmatched:
            progress.unmatched.append(one)
        return
    refused = any((one.sample, one.file) == (u.sample, u.file) for u in progress.unmatched)
    done = one.sample in progress.rows and (new / "img" / f"{one.sample}.tiff").is_file()
    if refused or done:
        return
    try:
        sample = _read(one, panel, progress)
    except _MisfitError as error:
        progress.unmatched.append(Unmatched(one.sample, one.file, error.what, str(error)))
    except InputError as error:
        progress.unmatched.append(Unmatched(one.sample, one.file, "cannot be read", str(error)))
    else:
        progress.rows[one.sample] = write_sample(new, sample)


def _read(pair: Pair, panel: Panel, progress: _Progress) -> Sample:
    """Read an image and its masks.

    Raises
    ------
    InputError
        If they do not fit each other or the panel, or cannot be read.
    """
    with pair.open() as stack:
        own = _channels(panel, stack.metals, pair.file, progress)
        masks = {rater: as_labels(read(), rater) for rater, read in pair.masks.items()}
        for rater, labels in masks.items():
            if labels.shape != stack.shape:
                raise _MisfitError(
                    "other shape",
                    f"the image has {stack.shape[0]} x {stack.shape[1]} px, the mask of {rater} "
                    f"{labels.shape[0]} x {labels.shape[1]}",
                )
        image = stack.read([stack.metals.index(channel.channel) for channel in own.channels])
    return Sample(pair.sample, image, own, pair.um_per_px, masks)


def _channels(panel: Panel, metals: Sequence[str], file: str, progress: _Progress) -> Panel:
    """Return the channels of the cohort, settled by the first image that has all that matter."""
    settled = progress.channels
    wanted = [c for c in panel.channels if settled is None or c.channel in settled]
    missing = [channel for channel in wanted if channel.channel not in metals]
    needed = missing if settled is not None else [c for c in missing if c.compartment]
    if needed:
        names = ", ".join(f"{channel.name} ({channel.channel})" for channel in needed)
        raise _MisfitError("missing channel", f"the image has no channel {names}")
    progress.unmatched += [
        Unmatched("", file, "channel left out", f"the image has no channel {c.name} ({c.channel})")
        for c in missing
    ]
    own = Panel(tuple(channel for channel in wanted if channel not in missing))
    progress.channels = [channel.channel for channel in own.channels]
    return own


def _finish(panel: Panel, folder: Path, work: Path, progress: _Progress) -> None:
    """Write the tables, and put the cohort in its place."""
    if not progress.rows:
        reasons = [f"{one.file}: {one.reason}" for one in progress.unmatched[:3]]
        raise InputError(
            f"{folder.name}: no image could be matched with its mask. "
            + (
                f"The first reasons: {'; '.join(reasons)}"
                if reasons
                else "No file has the names that the reader expects"
            )
            + f". What the reader {folder.name} expects stands in imc_helpers.data.readers"
        )
    new, channels = work / "new", set(progress.channels or ())
    Panel(tuple(c for c in panel.channels if c.channel in channels)).write(new / "panel.csv")
    rows = [progress.rows[sample] for sample in sorted(progress.rows)]
    pd.DataFrame(rows).to_csv(new / "images.csv", index=False)
    unmatched = pd.DataFrame(map(asdict, progress.unmatched), columns=COLUMNS)
    unmatched.sort_values(list(COLUMNS)).to_csv(new / UNMATCHED, index=False)
    put_in_place(new, folder, work / "old")
    shutil.rmtree(work)
    print(f"{folder.name}: {len(rows)} samples; {len(unmatched)} notes in {folder / UNMATCHED}")
