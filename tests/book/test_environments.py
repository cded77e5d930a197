"""Kernels of their own: what the command does, without the network."""

import ast
import json
import re
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from types import SimpleNamespace

import pytest

import digests
import make_kernel
import plan
from imc_helpers.models import availability
from project import SEGMENT, read_chapter

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", sorted((REPOSITORY / "envs").glob("*.yml")), ids=lambda p: p.stem)
def test_every_environment_can_be_read(path):
    version, groups, _ = make_kernel.read(REPOSITORY, path.stem)
    assert version.startswith("3.")
    assert any(entry.startswith("ipykernel") for entry in groups[0])


WITHOUT_MODELS = {
    "squidpy": "imc_helpers.downstream.spatialdata_store",
    "nimbus": "imc_helpers.downstream.measure",
}


def brought_by(requirements):
    """What pip installs with some packages, as far as they are installed here."""
    found, todo = set(), list(requirements)
    while todo:
        name = re.match(r"[\w.-]+", todo.pop())[0].lower().replace("_", "-")
        if name not in found:
            found.add(name)
            try:
                todo += [line for line in requires(name) or () if "extra ==" not in line]
            except PackageNotFoundError:
                continue
    return found


@pytest.mark.parametrize("path", sorted((REPOSITORY / "envs").glob("*.yml")), ids=lambda p: p.stem)
def test_a_kernel_has_what_the_book_imports_there(path):
    _, (together, *alone), _ = make_kernel.read(REPOSITORY, path.stem)
    there = brought_by([*together, *(group[-1] for group in alone)])
    segments = plan._tree(read_chapter(REPOSITORY / "chapters" / f"{SEGMENT}.py"))
    modules = digests.Code(REPOSITORY / "src").needs(WITHOUT_MODELS.get(path.stem, segments))
    distributions, missing = packages_distributions(), {}
    for module in modules:
        file = REPOSITORY / "src" / module.replace(".", "/")
        file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in getattr(node, "names", ())]
            names = [node.module] if isinstance(node, ast.ImportFrom) else names
            for top in {str(name).partition(".")[0] for name in names} - {"imc_helpers"}:
                by = {d.lower().replace("_", "-") for d in distributions.get(top, [top])}
                if top not in sys.stdlib_module_names and not by & there:
                    missing[top] = module
    assert not missing, "imported at the top of these modules, and not in the file"


def test_an_unknown_kernel():
    with pytest.raises(make_kernel.KernelError, match="'nope'.*there are .*stardist"):
        make_kernel.read(REPOSITORY, "nope")


def test_the_kernels_that_an_edition_needs(monkeypatch):
    edition = SimpleNamespace(models=["cyto3", "vista2d", "cellsam", "mesmer", "watershed"])
    monkeypatch.setattr(make_kernel, "load_edition", lambda _: edition)
    assert make_kernel.kernels_of_edition("any") == ["sam", "deepcell"]


def test_a_kernel_that_cannot_be_made_keeps_no_other_from_being_made(monkeypatch, capsys):
    def make(root, name, prefix):
        if name == "deepcell":
            raise make_kernel.KernelError("no Python 3.10 here")
        return Path("/somewhere/python")

    monkeypatch.setattr(make_kernel, "make", make)
    monkeypatch.setattr(sys, "argv", ["make_kernel.py", "deepcell", "sam"])
    with pytest.raises(SystemExit, match="kernel deepcell: no Python 3.10 here"):
        make_kernel.main()
    assert "kernel sam: /somewhere/python" in capsys.readouterr().out


def test_no_fitting_python(monkeypatch, tmp_path):
    monkeypatch.setattr(make_kernel.shutil, "which", lambda _: None)
    with pytest.raises(make_kernel.KernelError, match=r"needs Python 3\.2"):
        make_kernel._creation("3.2", tmp_path)


def test_a_registered_kernel_is_found(tmp_path, monkeypatch):
    make_kernel.register(tmp_path, "other", Path("/opt/other/bin/python"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    assert availability._kernel_installed("other")
    spec = json.loads((tmp_path / "share/jupyter/kernels/other/kernel.json").read_text())
    assert spec["argv"][0] == "/opt/other/bin/python"
