"""What importing costs, and what happens where compiled code cannot be kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import imc_helpers.metrics


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_nothing_slow() -> None:
    code = "import sys, imc_helpers.metrics; print(*sys.modules)"
    loaded = set(run(code).split())
    assert not loaded & {"numba", "scipy", "pandas", "tqdm", "skimage", "matplotlib", "torch"}
    assert not {name for name in loaded if name.startswith("imc_helpers.")} - {
        name for name in loaded if name.startswith("imc_helpers.metrics")
    }


@pytest.mark.slow
def test_works_where_the_cache_cannot_be_written(tmp_path: Path) -> None:
    # A copy of the package alone, in a folder where no file can be made; so for the user's cache.
    package = Path(imc_helpers.metrics.__file__).parent
    copy = tmp_path / "imc_helpers" / "metrics"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "imc_helpers" / "__init__.py").touch()
    (copy / "__pycache__").touch()  # a file where the folder would be: not even root can write
    blocked = tmp_path / "no_folder"
    blocked.touch()
    code = (
        "import imc_helpers.metrics as m; "
        "from imc_helpers.metrics import _kernels as k; "
        "print(m.__file__, m.evaluate([1, 1, 0, 2], [1, 0, 0, 2], sap=None).map, "
        "type(k.tally._cache).__name__)"
    )
    out = run(
        code,
        PYTHONPATH=str(tmp_path),
        HOME=str(blocked),
        XDG_CACHE_HOME=str(blocked),
        NUMBA_CACHE_DIR="",
        PYTHONDONTWRITEBYTECODE="1",
    )
    file, score, cache = out.split()
    assert Path(file).parent == copy
    assert (score, cache) == ("0.4", "NullCache")
