"""Make ``.venv`` and install the book into it, with the pinned versions.

Run by ``make`` with the interpreter that the environment is to be made from; standard library only.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import lock


def install(root: Path) -> None:
    """Bring ``.venv`` to the state that the pinned versions describe."""
    environment = root / ".venv"
    python = environment / "bin" / "python"
    if not _runs(python):
        print(f"Making .venv with Python {sys.version.split()[0]}", flush=True)
        shutil.rmtree(environment, ignore_errors=True)
        try:
            venv.create(environment, with_pip=True, symlinks=True)
        except subprocess.CalledProcessError:
            shutil.rmtree(environment, ignore_errors=True)
            sys.exit(
                f"{sys.executable} cannot make .venv: its ensurepip failed. On Debian or Ubuntu "
                "`apt install python3-venv` brings what is missing; or name another Python, for "
                "instance PYTHON=python3.12"
            )
    print("Installing the pinned packages into .venv (about 2 GB, some minutes)", flush=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "-c", "envs/constraints.txt", "-e", ".[book,downstream,models,test]"]
    if status := subprocess.run(command, cwd=root, check=False).returncode:
        sys.exit(f"pip could not install the packages (status {status}); its message is above.")
    (environment / ".installed").touch()


def _runs(python: Path) -> bool:
    """Say whether an environment is whole: pip is there, and the Python it was made from."""
    try:
        found = subprocess.run([python, "-c", "import pip"], capture_output=True, check=False)
    except OSError:
        return False
    return found.returncode == 0


if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    with lock.acquire(ROOT):
        install(ROOT)
