"""A run's jobs on a cluster: commands stand in for Slurm's. A real one: tests/slurm."""

import getpass

import pytest

import slurm
from project import Project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A checkout on a machine with one file of jobs for a queue."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    user = getpass.getuser()
    command(tmp_path, "squeue", f'[ "$3" = {user} ] && cat {tmp_path}/queue')
    command(tmp_path, "scancel", f'echo "$@" >> {tmp_path}/cancelled; : > {tmp_path}/queue')
    (tmp_path / "queue").touch()
    return Project(tmp_path)


def command(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def fill(project, *lines):
    (project.root / "queue").write_text("".join(f"{line}\n" for line in lines))


def test_only_jobs_of_this_checkout_are_cancelled(project, tmp_path, capsys):
    mine = slurm.job_prefix(project)
    others = slurm.job_prefix(Project(tmp_path / "other"))
    assert mine != others
    fill(project, f"11 {mine}_a1", "12 my own job", f"13 {others}_a2", f"14 {mine}_a1", "15 ")
    assert slurm.jobs(project) == ["11", "14"]
    slurm.cancel(project)
    assert (tmp_path / "cancelled").read_text() == "11 14\n"
    assert "Cancelling 2 jobs" in capsys.readouterr().err


def test_nothing_is_cancelled_where_there_is_nothing(project, tmp_path, capsys):
    fill(project, "12 another")
    slurm.cancel(project)
    assert not (tmp_path / "cancelled").exists()
    assert capsys.readouterr().err == ""


def test_jobs_that_do_not_end_are_named(project, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "PATIENCE_S", 0.0)
    command(tmp_path, "scancel", "exit 0")
    fill(project, f"11 {slurm.job_prefix(project)}_a1")
    with pytest.raises(slurm.SlurmError, match="Jobs 11 of an earlier run"):
        slurm.cancel(project)


def test_a_cluster_that_does_not_answer_is_no_empty_queue(project, tmp_path):
    command(tmp_path, "squeue", "echo no controller >&2; exit 1")
    with pytest.raises(slurm.SlurmError, match="no controller"):
        slurm.jobs(project)


def test_what_is_missing_is_said_before_anything_runs(project, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "PLUGIN", "no_such_plugin")
    with pytest.raises(
        slurm.SlurmError, match=r"pip install -c envs/constraints.txt -e '.\[slurm\]'"
    ):
        slurm.check()
    monkeypatch.setattr(slurm, "PLUGIN", "json")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(slurm.SlurmError, match="no `sbatch` here"):
        slurm.check()
