"""What only GitHub or a journal takes: it fits their schemas, and what it names is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
FORMS = [path for path in TEMPLATES if path.name != "config.yml"]
CONFIG = [path for path in TEMPLATES if path.name == "config.yml"]


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", FORMS),
        ("github-issue-config", CONFIG),
        ("citation-file-format", [ROOT / "CITATION.cff"]),
    ],
)
def test_files_fit_their_schema(schema, files):
    assert files
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    found = subprocess.run([*check, *files], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def jobs(workflow: Path) -> dict[str, dict]:
    return yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]


def commands(workflow: Path) -> list[str]:
    steps = [step for job in jobs(workflow).values() for step in job["steps"]]
    return [step["run"] for step in steps if "run" in step]


def is_shell(script: str) -> bool:
    """Say whether bash can read a script."""
    return subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_runs_is_there(workflow):
    targets = set(re.findall(r"^([\w%-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in commands(workflow):
        assert is_shell(command)
        assert set(re.findall(r"\bmake (\S+)", command)) <= targets
        for path in re.findall(r"\$PWD/([\w./]+)", command):
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_no_job_runs_for_ever_or_may_do_more_than_it_needs(workflow):
    settings = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert settings["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 180 for job in settings["jobs"].values())


def test_the_paper_is_short_and_cites_what_is_listed():
    text = (ROOT / "paper.md").read_text(encoding="utf-8")
    head, body = text.removeprefix("---\n").split("\n---\n")
    about = yaml.safe_load(head)
    keys = set(re.findall(r"@(\w+)", body))
    listed = set(re.findall(r"^@\w+\{(\w+),", (ROOT / about["bibliography"]).read_text(), re.M))
    assert keys <= listed
    assert 250 <= len(body.split()) <= 1000, "what the journal allows"
    for heading in ("# Summary", "# Statement of need", "# Acknowledgements", "# References"):
        assert heading in body.splitlines()
