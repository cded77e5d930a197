"""From a model's key in the manifest to a segmenter, or to the reason why there is none."""

import hashlib
import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pooch

from imc_helpers.data.manifest import ModelRecord, model_record
from imc_helpers.errors import InputError
from imc_helpers.models.availability import TRAINING, missing_packages, missing_weights, weights_dir
from imc_helpers.models.device import find_device
from imc_helpers.models.first_seen import check_first_seen
from imc_helpers.models.protocol import Segmenter


def weights_digest(key: str) -> str:
    """Return one SHA-256 of a model's weights, hexadecimal; empty where it has none."""
    record = model_record(key)
    if not record.weights and record.training is None:
        return ""
    total = hashlib.sha256()
    for file in sorted(p for p in weights_dir(key).rglob("*") if p.is_file()):
        if file.name == TRAINING or file.name.startswith("."):
            continue  # notes beside the weights: they hold times
        total.update(f"{file.name} {pooch.file_hash(str(file))}\n".encode())
    return total.hexdigest()


def load_segmenter(key: str, device: str = "cpu") -> Segmenter:
    """Load a model of the manifest in this process.

    Parameters
    ----------
    key
        Model in ``data_manifest/models.yml``; not one of ``source: files``, whose masks exist.
    device
        ``"cpu"`` or ``"cuda"``. Models that know no GPU run on the CPU, and so do all where their
        library sees none.

    Raises
    ------
    InputError
        If the model cannot run here; the message says what would help.
    DownloadError
        If its weights are others than those that first came here.
    """
    record = model_record(key)
    if record.source == "files":
        raise InputError(f"model {key!r}: its masks are files; there is nothing to load")
    missing = missing_packages(record) or missing_weights(key, record)
    if missing:
        raise InputError(f"model {key!r}: {missing}")
    files = [weights_dir(key) / file.name for file in record.weights]
    check_first_seen(key, files, weights_dir(key))
    device = find_device(device if record.gpu else "cpu", record.packages).kind
    adapter = adapter_module(record).load(record, device, weights_dir(key))
    return Segmenter(key, record, adapter, device)


def adapter_module(record: ModelRecord) -> Any:
    """Import the module that loads a model, and trains it where the build does."""
    return import_module(f"imc_helpers.models.adapters.{record.adapter}")


def library_versions(record: ModelRecord) -> str:
    """Return the versions of a model's libraries, from their own metadata: ``"cellpose 3.1.1.3"``.

    A library that was installed without metadata has the version ``unknown``.
    """
    found = []
    for name in adapter_module(record).LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} unknown")
    return ", ".join(found)


def version_remark(asked: str, found: str) -> str:
    """Say in a sentence which libraries have another version than the manifest names.

    Parameters
    ----------
    asked
        The manifest's words: ``"centrosome 1.3.4, scikit-image 0.26"``. A version stands for all
        that begin so, and a library that is not named may have any.
    found
        From `library_versions`.

    Returns
    -------
    str
        Empty where all are as asked.
    """
    other = []
    for name, number in (entry.rsplit(" ", 1) for entry in found.split(", ")):
        wanted = re.search(rf"\b{re.escape(name)} (\d[\w.]*)", asked, re.IGNORECASE)
        if wanted and not f"{number}.".startswith(f"{wanted[1]}."):
            other.append(f"{name} {wanted[1]} was asked for, and {number} ran")
    return "; ".join(other)
