"""Make a model's own Jupyter kernel from ``envs/NAME.yml``: ``make kernel-NAME``.

``make kernels EDITION=NAME`` makes all that the models of an edition need.

The environment is made in ``.kernels/NAME``: with `venv` where a Python of the version that the
file asks for is found, else with micromamba, mamba or conda. The book itself goes into it without
what it depends on, so that nothing it pins moves the model's own numpy; the file lists what
`imc_helpers` needs there. The kernel is registered in ``.venv``, where papermill finds it by name.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from imc_helpers.data.manifest import load_edition, model_record
from imc_helpers.errors import InputError
from imc_helpers.models.availability import CORE_KERNEL

_FOLDER = ".kernels"


class KernelError(Exception):
    """A kernel cannot be made here."""


def make(root: Path, name: str, prefix: Path) -> Path:
    """Make an environment and register its kernel.

    Parameters
    ----------
    root
        The book's folder.
    name
        Of the kernel, and of its file in ``envs``.
    prefix
        Environment in which the kernel is registered.

    Returns
    -------
    pathlib.Path
        The new environment's Python.

    Raises
    ------
    KernelError
        If there is no such file, no fitting Python, or something could not be installed.
    """
    version, requirements, flags = read(root, name)
    folder = root / _FOLDER / name
    python = folder / "bin" / "python"
    if not _runs(python, version):
        shutil.rmtree(folder, ignore_errors=True)
        _run(_creation(version, folder))
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for group in requirements:
        _run([*pip, *flags, *group], cwd=root)
    _run([*pip, "--no-deps", "--ignore-requires-python", "-e", str(root)], cwd=root)
    register(prefix, name, python)
    return python


def read(root: Path, name: str) -> tuple[str, list[list[str]], list[str]]:
    """Read ``envs/NAME.yml``: version of Python, groups of pip arguments, arguments of all.

    pip installs a group at once. An entry that begins with ``--no-deps`` is a group of its own.

    Raises
    ------
    KernelError
        If there is no such file, or it is not one of ours.
    """
    path = root / "envs" / f"{name}.yml"
    if not path.is_file():
        have = ", ".join(sorted(p.stem for p in path.parent.glob("*.yml")))
        raise KernelError(f"kernel {name!r}: no file {path}; there are {have}")
    content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        entries = content["dependencies"]
        (version,) = (
            entry.partition("=")[2]
            for entry in entries
            if isinstance(entry, str) and entry.startswith("python=")
        )
        (pip,) = (entry["pip"] for entry in entries if isinstance(entry, dict))
    except (KeyError, TypeError, ValueError):
        raise KernelError(
            f"{path}: expected `dependencies` with one entry `python=X.Y` and one list `pip`"
        ) from None
    together = [entry for entry in pip if not entry.startswith("-")]
    alone = [entry.split() for entry in pip if entry.startswith("--no-deps")]
    flags = [
        word
        for entry in pip
        if entry.startswith("-") and not entry.startswith("--no-deps")
        for word in entry.split()
    ]
    return version, [together, *alone], flags


def register(prefix: Path, name: str, python: Path) -> None:
    """Write a kernel's description into an environment."""
    spec = prefix / "share" / "jupyter" / "kernels" / name / "kernel.json"
    spec.parent.mkdir(parents=True, exist_ok=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    description = {"argv": command, "display_name": name, "language": "python"}
    spec.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def _creation(version: str, folder: Path) -> list[str]:
    """Return the command that makes an environment with a Python of a version."""
    for candidate in _pythons(version):
        if _runs(candidate, version):
            return [str(candidate), "-m", "venv", str(folder)]
    for tool in ("micromamba", "mamba", "conda"):
        if found := shutil.which(tool):
            channel = ["-c", "conda-forge", "--override-channels"]
            return [found, "create", "-y", "-p", str(folder), *channel, f"python={version}", "pip"]
    raise KernelError(
        f"needs Python {version}, and there is neither python{version} nor micromamba, mamba or "
        f"conda here. Install one of them (micromamba is a single file: https://mamba.pm), or name "
        f"a Python by IMC_BOOK_PYTHON=/path/to/python{version}"
    )


def _pythons(version: str) -> list[Path]:
    named = os.environ.get("IMC_BOOK_PYTHON")
    found = shutil.which(f"python{version}")
    candidates = [named, found, sys.executable]
    candidates += sorted(str(p) for p in Path.home().glob(f".pyenv/versions/{version}*/bin/python"))
    return [Path(candidate) for candidate in candidates if candidate]


def _runs(python: Path, version: str) -> bool:
    """Say whether a Python is there, has pip and venv, and is of a version."""
    code = "import sys, pip, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        found = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=False, cwd="/"
        )
    except OSError:
        return False
    return found.returncode == 0 and found.stdout.strip() == version


def _run(command: list[str], cwd: Path | None = None) -> None:
    if status := subprocess.run(command, cwd=cwd, check=False).returncode:
        raise KernelError(f"`{' '.join(command)}` failed with status {status}; see above")


def kernels_of_edition(edition: str) -> list[str]:
    """Return the kernels that the models of an edition need beside the core's."""
    names = dict.fromkeys(model_record(key).kernel for key in load_edition(edition).models)
    return [name for name in names if name != CORE_KERNEL]


def main() -> None:
    """Make kernels; one that cannot be made does not keep the others from being made."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="files in envs/, without .yml")
    parser.add_argument("--edition", help="all kernels that this edition's models need")
    given = parser.parse_args()
    root, failed = Path.cwd(), []
    try:
        names = [*given.names, *(kernels_of_edition(given.edition) if given.edition else [])]
    except InputError as error:
        sys.exit(str(error))
    for name in names:
        try:
            print(f"kernel {name}: {make(root, name, Path(sys.prefix))}", flush=True)
        except KernelError as error:
            failed.append(f"kernel {name}: {error}")
    if not names:
        print("the models of this edition need no kernel of their own")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
