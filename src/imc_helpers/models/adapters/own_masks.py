"""Masks that exist already: published with a cohort, or a user's own.

They are models like the others, but for one thing: nothing is run.
"""

from pathlib import Path

import numpy as np

from imc_helpers.data.download import fetch
from imc_helpers.data.manifest import MaskFile, model_record
from imc_helpers.data.paths import data_dir, project_root
from imc_helpers.data.readers.mask_files import read_mask, read_pickled_mask
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError


def published_labels(key: str, cohort: Cohort, sample: str) -> np.ndarray:
    """Return what a model found in a sample, from the file that its authors or the user made.

    Parameters
    ----------
    key
        Model of ``source: files``. Its record names published files, a folder of the user's with
        ``FOLDER/COHORT/SAMPLE.tiff``, or the cohorts that bring its masks along.
    cohort, sample
        Whose image it must fit.

    Returns
    -------
    numpy.ndarray
        (H, W) uint32.

    Raises
    ------
    DownloadError
        If a published file cannot be had.
    InputError
        If there is no mask for the sample, or it does not fit the image.
    """
    record = model_record(key)
    if record.stands_in:
        return cohort.read_mask(sample, key)
    if record.folder:
        labels, path = _own(project_root() / record.folder / cohort.name, sample)
    else:
        named = [f for f in record.masks if (f.cohort, f.sample) == (cohort.name, sample)]
        if not named:
            raise InputError(f"model {key!r}: its files hold no mask of {cohort.name}, {sample}")
        labels, path = _published(key, record.base_url, named[0])
    if labels.shape != cohort.shape(sample):
        raise InputError(
            f"{path}: the mask of model {key!r} has shape {labels.shape}, the image of {sample} "
            f"{cohort.shape(sample)}. They must show the same field of view"
        )
    return labels


def _own(folder: Path, sample: str) -> tuple[np.ndarray, Path]:
    for suffix in (".tiff", ".tif"):
        if (path := folder / f"{sample}{suffix}").is_file():
            return read_mask(path), path
    raise InputError(f"{folder}: no mask {sample}.tiff; a mask is named as its image")


def _published(key: str, base_url: str, file: MaskFile) -> tuple[np.ndarray, Path]:
    (path,) = fetch(base_url, [file], data_dir() / ".downloads" / key, title=key)
    if path.suffix == ".pickle":
        return read_pickled_mask(path), path
    return read_mask(path), path
