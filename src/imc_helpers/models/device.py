"""The device that a model gets: a GPU where its own library sees one, else the CPU.

A driver's tools may list a GPU that a library built for CPUs cannot use, so the library decides.
"""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from imc_helpers.errors import InputError


class Device(NamedTuple):
    """Where a model runs."""

    kind: str
    """``"cpu"`` or ``"cuda"``."""
    name: str
    """Processor or GPU, in its maker's words."""
    uuid: str = ""
    """Which GPU of that name; empty on a CPU, and where the library does not say."""
    remark: str = ""
    """Why it is another device than the one asked for; empty where it is not."""


def find_device(asked: str, packages: Sequence[str] = ("torch",)) -> Device:
    """Return the device that a library gets.

    Parameters
    ----------
    asked
        ``"cpu"`` or ``"cuda"``.
    packages
        Modules that the model needs; TensorFlow looks for a GPU where it is among them, else torch.

    Returns
    -------
    Device
        The GPU that the library would use first, or the CPU: with a sentence why, where a GPU was
        asked for.

    Raises
    ------
    InputError
        If the device asked for is neither of the two.
    """
    if asked not in ("cpu", "cuda"):
        raise InputError(f"device: expected cpu or cuda, found {asked!r}")
    if asked == "cpu":
        return Device("cpu", _cpu_name())
    found = _tensorflow_gpu() if "tensorflow" in packages else _torch_gpu()
    if isinstance(found, Device):
        return found
    return Device("cpu", _cpu_name(), remark=f"A GPU was asked for, but {found}: it ran on the CPU")


def _torch_gpu() -> Device | str:
    """Return the GPU that torch uses first, or why there is none."""
    import torch  # noqa: PLC0415  # only where a GPU was asked for

    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees none"
    gpu = torch.cuda.get_device_properties(torch.cuda.current_device())
    return Device("cuda", gpu.name, f"GPU-{gpu.uuid}" if hasattr(gpu, "uuid") else "")


def _tensorflow_gpu() -> Device | str:
    import tensorflow as tf  # noqa: PLC0415

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"tensorflow {tf.__version__} sees none"
    details = tf.config.experimental.get_device_details(gpus[0])
    return Device("cuda", details.get("device_name", "a GPU without a name"))


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
