"""A run: what it refuses before anything starts, and the environment of its jobs."""

import os
import re
import subprocess
import sys

import pytest
import yaml
from conftest import COHORT, REPOSITORY

import run
from project import Project


@pytest.mark.parametrize(
    ("changed", "asked", "message"),
    [
        ({}, ("huge", "local"), "edition 'huge': no file .*; there are tiny"),
        (
            {},
            ("tiny", "local", "cubes"),
            "sweep 'cubes': no file sweeps/cubes.yml; there are: none",
        ),
        ({}, ("tiny", "local", "two words"), "sweep 'two words': its name may hold letters"),
        ({"parts": ["port"]}, ("tiny", "local"), "`parts` names port, and the book has part"),
        ({"parameters": {"part/one": {"size": ""}}}, ("tiny", "local"), "part/one.py: parameter"),
    ],
)
def test_what_is_not_as_it_should_be_starts_nothing(
    planner, monkeypatch, capfd, changed, asked, message
):
    monkeypatch.setattr(run, "_snakemake", None)
    edition = {"title": "Tiny", "description": "", "cohorts": [COHORT], **changed}
    (planner.book.root / "editions/tiny.yml").write_text(yaml.safe_dump(edition))
    before = dict(os.environ)
    assert run.run(Project(planner.book.root), *asked) == 2
    said = capfd.readouterr()
    assert len(said.err.splitlines()) == 1, "no traceback"
    assert re.search(message, said.err)
    assert dict(os.environ) == before


def test_what_each_job_took_is_one_table(tmp_path):
    folder = tmp_path / "_build/tiny/cost/page/part"
    folder.mkdir(parents=True)
    columns = ["s", "h:m:s", "max_rss", "cpu_time"]
    (folder / "one.tsv").write_text("\t".join(columns) + "\n2.5\t0:00:02\t100.5\t1.5\n")
    run.write_costs(Project(tmp_path), "tiny")
    assert (tmp_path / "results/tiny/jobs.csv").read_text().splitlines() == [
        "rule,job,seconds,cpu_seconds,peak_memory_mb",
        "page,part/one,2.5,1.5,100.5",
    ]


def test_the_jobs_compute_with_one_thread_that_does_not_spin(tmp_path):
    jobs = run.environment(Project(tmp_path))
    assert jobs["OMP_NUM_THREADS"] == jobs["NUMBA_NUM_THREADS"] == "1"
    assert jobs["OMP_WAIT_POLICY"] == "PASSIVE"


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


def test_a_job_starts_without_what_only_some_jobs_need():
    """Every job is a process of its own: what it loads at its start is paid a hundred times."""
    heavy = {"pandas", "scipy", "papermill", "skimage", "matplotlib", "torch"}
    code = f"import sys, job, run; print(sorted({heavy} & set(sys.modules)))"
    scripts = REPOSITORY / "workflow" / "scripts"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=scripts, capture_output=True, text=True, check=True
    )
    assert said.stdout == "[]\n"
