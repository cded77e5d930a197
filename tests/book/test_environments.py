"""Kernels of their own: what the command does, without the network."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import make_kernel
from imc_helpers.models import availability

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", sorted((REPOSITORY / "envs").glob("*.yml")), ids=lambda p: p.stem)
def test_every_environment_can_be_read(path):
    version, groups, _ = make_kernel.read(REPOSITORY, path.stem)
    assert version.startswith("3.")
    assert any(entry.startswith("ipykernel") for entry in groups[0])


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
