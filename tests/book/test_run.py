"""The environment of the jobs."""

import pytest

import run
from project import Project


def test_the_jobs_work_in_this_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", "/somewhere/else")
    assert run.environment(Project(tmp_path))["IMC_BOOK_ROOT"] == str(tmp_path)


@pytest.mark.parametrize("given", ["~/files", "files", "../home/files"])
def test_a_mirror_is_found_from_any_working_directory(tmp_path, monkeypatch, given):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    monkeypatch.setenv("IMC_BOOK_MIRROR", given)
    jobs = run.environment(Project(tmp_path))
    assert jobs["IMC_BOOK_MIRROR"] == str(home.resolve() / "files")


@pytest.mark.parametrize("given", [None, ""])
def test_without_a_mirror_there_is_none(tmp_path, monkeypatch, given):
    monkeypatch.delenv("IMC_BOOK_MIRROR", raising=False)
    if given is not None:
        monkeypatch.setenv("IMC_BOOK_MIRROR", given)
    assert not run.environment(Project(tmp_path)).get("IMC_BOOK_MIRROR")
