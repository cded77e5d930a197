"""The set-up of .venv, where the system's Python cannot make one."""

import subprocess

import pytest

import install


def test_a_python_without_venv_is_explained(tmp_path, monkeypatch):
    def create(folder, **_):
        # What Debian does without its package: the folder is there, ensurepip is not.
        folder.mkdir()
        raise subprocess.CalledProcessError(1, ["python", "-m", "ensurepip"])

    monkeypatch.setattr("install.venv.create", create)
    with pytest.raises(SystemExit, match=r"apt install python3-venv.*PYTHON="):
        install.install(tmp_path)
    assert not (tmp_path / ".venv").exists()
