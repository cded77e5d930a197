"""Whether a model can run here, and what would help where it cannot.

Light to import: the workflow asks this of every model before anything runs.
"""

import os
from importlib.util import find_spec
from pathlib import Path

from imc_helpers.data.manifest import ModelRecord, model_record
from imc_helpers.data.paths import project_root

CORE_KERNEL = "python3"
TRAINING = "training.json"
"""File beside trained weights: what the training took. A folder that has it is whole."""


def weights_dir(key: str) -> Path:
    """Return the folder of a model's weights, which need not be there."""
    return project_root() / "weights" / key


def why_not(key: str) -> str:
    """Say why a model cannot run here and which command helps; empty where it can.

    It can where its kernel is there, and its weights are, or the build makes them.
    """
    record = model_record(key)
    if record.kernel != CORE_KERNEL:
        if not _kernel_installed(record.kernel):
            return f"no kernel `{record.kernel}` here: `make kernel-{record.kernel}`"
    elif missing := missing_packages(record):
        return missing
    return "" if record.training is not None else missing_weights(key, record)


def missing_packages(record: ModelRecord) -> str:
    """Say which libraries of a model Python lacks here, and how to get them; empty for none."""
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


def missing_weights(key: str, record: ModelRecord) -> str:
    """Say which weights of a model are not here, and how to get them; empty for none."""
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
