"""From a model's key in the manifest to a segmenter, or to the reason why there is none."""

import hashlib
import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pooch

from imc_helpers.data.manifest import ModelRecord, model_record
from imc_helpers.data.paths import project_root
from imc_helpers.errors import InputError
from imc_helpers.models.protocol import Segmenter

CORE_KERNEL = "python3"
TRAINING = "training.json"
"""File beside trained weights: what the training took. A folder that has it is whole."""


def weights_dir(key: str) -> Path:
    """Return the folder of a model's weights, which need not be there."""
    return project_root() / "weights" / key


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
        ``"cpu"`` or ``"cuda"``. Models that know no GPU run on the CPU.

    Raises
    ------
    InputError
        If the model cannot run here; the message says what would help.
    """
    record = model_record(key)
    if record.source == "files":
        raise InputError(f"model {key!r}: its masks are files; there is nothing to load")
    missing = _missing_packages(record) or _missing_weights(key, record)
    if missing:
        raise InputError(f"model {key!r}: {missing}")
    device = device if record.gpu else "cpu"
    module = import_module(f"imc_helpers.models.adapters.{record.adapter}")
    return Segmenter(key, record, module.load(record, device, weights_dir(key)), device)


def why_not(key: str) -> str:
    """Say why a model cannot run here and which command helps; empty where it can.

    It can where its kernel is there, and its weights are, or the build makes them.
    """
    record = model_record(key)
    if record.kernel != CORE_KERNEL:
        if not _kernel_installed(record.kernel):
            return f"no kernel `{record.kernel}` here: `make kernel-{record.kernel}`"
    elif missing := _missing_packages(record):
        return missing
    return "" if record.training is not None else _missing_weights(key, record)


def _missing_packages(record: ModelRecord) -> str:
    missing = [name for name in record.packages if find_spec(name) is None]
    if not missing:
        return ""
    if record.kernel != CORE_KERNEL:
        help_ = (
            f"it runs on the kernel `{record.kernel}`, which `make kernel-{record.kernel}` makes"
        )
    else:
        help_ = f"`pip install {' '.join(missing)}`"
    return f"Python lacks {', '.join(missing)}: {help_}"


def _missing_weights(key: str, record: ModelRecord) -> str:
    folder = weights_dir(key)
    if record.training is not None:
        return "" if (folder / TRAINING).is_file() else "not trained yet: `make book` trains it"
    missing = [file.name for file in record.weights if not (folder / file.name).exists()]
    if not missing:
        return ""
    token = f" with {record.token} set" if record.token and record.token not in os.environ else ""
    return f"no {', '.join(missing)} in weights/{key}: `make weights-{key}`{token}"


def _kernel_installed(name: str) -> bool:
    from jupyter_client.kernelspec import KernelSpecManager  # noqa: PLC0415  # heavy, rarely needed

    return name in KernelSpecManager().find_kernel_specs()
