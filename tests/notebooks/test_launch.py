"""Notebooks as Colab opens them: in an empty folder, on a machine with its own numpy and torch.

The cell that installs the package runs as it is, with the real pip and git. Git is told to take
GitHub's address for a repository in a temporary folder, and pip to ask no index: whatever else the
cell asked for would make it fail.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

import gate
import repository
import sync
from project import Project

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://github.com/lab/book"
THERE = {"numpy": "1.26.4", "torch": "99.0"}
"""Versions that the machine says it has. Such a numpy is older than what the package asks for."""
EDITION = """\
title: Small edition.
description: One cohort that takes seconds to make.
cohorts: [phantom_rendeiro21]
"""
OWN = ("imc_helpers", "imc_agreement_book", "_imc")
"""How files of this package begin, an editable installation's included."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    """A repository that knows its address, with the tag of its version."""
    root = tmp_path_factory.mktemp("release")
    for name in ("src", "chapters", "data_manifest", "editions", "benchmarks/results"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "_config.yml"):
        shutil.copyfile(ROOT / name, root / name)
    settings = root / "_config.yml"
    (root / "editions" / "small.yml").write_text(EDITION, encoding="utf-8")
    before = repository.setting(Project(root))
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace(f'url: "{before}"', f'url: "{ADDRESS}"'), encoding="utf-8")
    sync.sync(Project(root))
    who = ["-c", "user.name=Somebody", "-c", "user.email=some@body.org"]
    for command in (["init"], ["add", "."], [*who, "commit", "-m", "Release"], ["tag", "v0.1.0"]):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)
    return root


@dataclass(frozen=True)
class Machine:
    """A Python with all libraries of the book, and without the book."""

    root: Path
    release: Path

    @property
    def python(self) -> Path:
        return self.root / "bin" / "python"

    @property
    def packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", "venv", vars={"base": str(self.root)}))

    def run(self, *command: str, folder: Path) -> str:
        """Run Python in a folder, as far from this checkout as an environment can take it."""
        own = {"PYTHONPATH", "IMC_BOOK_ROOT", "IMC_BOOK_MIRROR", "VIRTUAL_ENV"}
        there = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.release.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": ADDRESS,
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this as "without": the builder is here
        }
        done = subprocess.run(
            [str(self.python), *command],
            cwd=folder,
            env={k: v for k, v in os.environ.items() if k not in own} | there,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stdout
        return done.stdout

    def files(self) -> dict[str, str]:
        """Return what is installed, by path, beside the book itself."""
        return {
            str(path.relative_to(self.packages)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.packages.rglob("*")
            if path.is_file()
            and "__pycache__" not in path.parts
            and not path.relative_to(self.packages).parts[0].startswith(OWN)
        }


@pytest.fixture(scope="module")
def machine(release, tmp_path_factory) -> Machine:
    """A machine that says it has a numpy and a torch which the book would not have chosen."""
    root = tmp_path_factory.mktemp("machine")
    venv.create(root, with_pip=True, symlinks=True)
    made = Machine(root, release)
    libraries = root / "libraries"
    libraries.mkdir()
    for folder in (path for path in sys.path if path.endswith("site-packages")):
        for path in Path(folder).iterdir():
            if not path.name.startswith(OWN) and not (libraries / path.name).exists():
                (libraries / path.name).symlink_to(path)
    (made.packages / "libraries.pth").write_text(f"{libraries}\n")
    for name, version in THERE.items():
        about = made.packages / f"{name}-{version}.dist-info"
        about.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (about / "METADATA").write_text(text)
        (about / "INSTALLER").write_text("pip\n")
        (about / "RECORD").write_text("")
    (made.packages / "torch.py").write_text(f"__version__ = '{THERE['torch']}'\n")
    return made


def assert_left_alone(machine: Machine, before: dict[str, str], folder: Path) -> None:
    """Check that the machine has the release beside what it had."""
    assert machine.files() == before
    say = "from importlib.metadata import version as v; print(v('numpy'), v('torch'))"
    assert machine.run("-c", say, folder=folder).split() == [*THERE.values()]
    where = machine.run("-c", "import imc_helpers; print(imc_helpers.__file__)", folder=folder)
    assert Path(where.strip()).is_relative_to(machine.packages)


def test_a_notebook_runs_where_only_the_libraries_are(machine, release, tmp_path):
    notebook = release / "chapters" / "study" / "02_channels.ipynb"
    before = machine.files()
    execute = ["-m", "papermill", "--no-progress-bar", str(notebook), "out.ipynb"]
    machine.run(*execute, "-p", "edition", "small", folder=tmp_path)
    cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    assert any(gate.figure_labels(cell) for cell in cells), "its figures are there"
    assert_left_alone(machine, before, tmp_path)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_every_page_runs_where_only_the_libraries_are(machine, release, tmp_path):
    before = machine.files()
    script = ROOT / "workflow" / "scripts" / "on_colab.py"
    said = machine.run(str(script), str(release / "chapters"), folder=tmp_path)
    assert said.count(" ran: ") >= 10
    assert_left_alone(machine, before, tmp_path)
