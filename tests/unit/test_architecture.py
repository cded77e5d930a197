"""How the package hangs together: floors, names, and what an import costs."""

import os
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import imc_helpers

PACKAGE = Path(imc_helpers.__file__).parent
REPOSITORY = Path(__file__).resolve().parents[2]


def run(*arguments, cwd=REPOSITORY, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment},
    )


def loaded_by(code, **environment):
    """Names of the modules that a fresh Python holds after some code."""
    done = run("-c", f"{code}; import sys; print(); print(*sys.modules)", **environment)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def test_imports_run_downwards():
    """The floors stand in pyproject.toml; `exhaustive` there refuses a module without one."""
    done = run("-c", LINT, "--no-cache")
    assert done.returncode == 0, done.stdout


def test_an_import_upwards_is_found(tmp_path):
    """The linter reads the floors that it is meant to read."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = settings["contracts"][0]["layers"]
    package = tmp_path / "imc_helpers"
    for floor in ["", *" | ".join(floors).split(" | ")]:
        (package / floor).mkdir()
        (package / floor / "__init__.py").touch()
    (package / floors[-1] / "wrong.py").write_text(f"import imc_helpers.{floors[0]}\n")
    (tmp_path / "pyproject.toml").write_text(
        "[tool.importlinter]\nroot_package = 'imc_helpers'\n"
        "[[tool.importlinter.contracts]]\nname = 'floors'\ntype = 'layers'\n"
        f"containers = ['imc_helpers']\nexhaustive = true\nlayers = {floors}\n"
    )
    done = run("-c", LINT, "--no-cache", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert f"imc_helpers.{floors[-1]}.wrong -> imc_helpers.{floors[0]}" in done.stdout


def test_no_two_modules_share_a_name():
    names = Counter(path.stem for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    packages = Counter(path.parent.name for path in PACKAGE.rglob("__init__.py"))
    assert not {name for name, count in (names + packages).items() if count > 1}


def test_the_package_alone_loads_nothing_heavy():
    assert not {"numpy", "torch", "matplotlib", "pandas"} & loaded_by("import imc_helpers")


@pytest.fixture
def spleen(tmp_path):
    """A folder in which the manifest's real cohort stands, as if it had been downloaded."""
    from imc_helpers.data.panels import Channel, Panel
    from imc_helpers.data.samples import Sample
    from imc_helpers.data.writers import write_cohort

    panel = Panel((Channel("Ir191", "DNA1", "nucleus"),))
    mask = np.ones((4, 4), np.uint32)
    masks = {"ilastik": mask, "cellprofiler": mask}
    sample = Sample("roi", np.ones((1, 4, 4), np.float32), panel, 1.0, masks)
    write_cohort(tmp_path / "data" / "spleen_imc", [sample])
    return tmp_path


def test_a_real_cohort_needs_neither_the_phantom_nor_what_it_is_made_with(spleen):
    code = (
        "from imc_helpers.data.readers.published import open_cohort; "
        "print(open_cohort('spleen_imc')[0].masks['ilastik'].sum())"
    )
    loaded = loaded_by(code, IMC_BOOK_ROOT=str(spleen))
    assert "imc_helpers.data.samples" in loaded
    assert not {"imc_helpers.phantom", "sklearn", "numba", "torch", "matplotlib"} & loaded
