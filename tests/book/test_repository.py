"""Where the repository is, and which buttons a page gets."""

import subprocess

import pytest
import yaml

import repository
import sync
from project import Project

SETTINGS = """\
title: A book
repository:
  url: ""
  path_to_book: ""
launch_buttons: {colab_url: https://colab.research.google.com, binderhub_url: https://mybinder.org}
html: {use_repository_button: true, use_issues_button: true, favicon: x.png}
"""
CHAPTER = '# %% [markdown]\n# # One\n\n# %% tags=["parameters"]\nedition: str = "open"\n'
OURS, THEIRS = "https://github.com/lab/book", "https://github.com/other/book"


class Checkout:
    """A repository with one chapter."""

    def __init__(self, root):
        self.root, self.project = root, Project(root)
        self.chapter = root / "chapters" / "study" / "one.py"
        self.chapter.parent.mkdir(parents=True)
        self.chapter.write_text(CHAPTER)
        (root / "_config.yml").write_text(SETTINGS)
        (root / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
        self.git("init", "--quiet")
        self.git("add", ".")
        self.git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "One")

    def git(self, *command):
        subprocess.run(["git", *command], cwd=self.root, check=True)

    def set(self, address):
        text = SETTINGS.replace('url: ""', f"url: {address}")
        (self.root / "_config.yml").write_text(text)

    def buttons(self):
        return repository.with_buttons(self.project, self.project.config)


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/lab/book",
        "https://github.com/lab/book.git",
        "git@github.com:lab/book.git",
        "ssh://git@github.com/lab/book.git",
    ],
)
def test_a_remote_at_github_is_the_address(checkout, remote):
    checkout.set(THEIRS)
    checkout.git("remote", "add", "origin", remote)
    assert repository.address(checkout.project) == OURS


@pytest.mark.parametrize(
    "remote",
    [
        "/srv/git/book.git",
        "git@git.lab.org:lab/book.git",
        "https://name:secret@github.com/lab/book.git",
        "https://github.com.lab.org/lab/book",
    ],
)
def test_any_other_remote_leaves_it_to_the_setting(checkout, remote):
    checkout.git("remote", "add", "origin", remote)
    assert repository.address(checkout.project) == ""
    checkout.set(THEIRS)
    assert repository.address(checkout.project) == THEIRS


def test_a_folder_inside_another_repository_is_not_that_repository(checkout):
    checkout.git("remote", "add", "origin", OURS)
    inner = checkout.root / "inner"
    inner.mkdir()
    (inner / "_config.yml").write_text(SETTINGS)
    assert repository.address(Project(inner)) == ""


def test_without_an_address_there_are_no_buttons(checkout):
    settings = checkout.buttons()
    assert "launch_buttons" not in settings
    assert settings["html"] == {
        "use_repository_button": False,
        "use_issues_button": False,
        "favicon": "x.png",
    }
    assert settings["repository"]["url"] == ""


def test_launch_buttons_open_the_release(checkout):
    checkout.set(OURS)
    settings = checkout.buttons()
    assert settings["html"]["use_repository_button"]
    assert settings["repository"]["url"] == OURS
    assert "launch_buttons" not in settings, "this version has not been released"
    checkout.git("tag", "v1.2.3")
    settings = checkout.buttons()
    assert settings["repository"]["branch"] == "v1.2.3"
    assert settings["launch_buttons"] == yaml.safe_load(SETTINGS)["launch_buttons"]


def test_colab_waits_for_notebooks_that_know_the_address(checkout):
    checkout.git("remote", "add", "origin", OURS)
    checkout.git("tag", "v1.2.3")
    launch = checkout.buttons()["launch_buttons"]
    assert launch == {"colab_url": "", "binderhub_url": "https://mybinder.org"}
    sync.sync(checkout.project)
    assert checkout.buttons()["launch_buttons"]["colab_url"]


def test_sync_fills_in_the_address_once(checkout):
    settings, project = checkout.root / "_config.yml", checkout.project
    notebook = checkout.chapter.with_suffix(".ipynb")
    assert sync.sync(project) == [checkout.chapter, notebook]
    assert settings.read_text() == SETTINGS
    assert "no public repository yet" in checkout.chapter.read_text()

    checkout.git("remote", "add", "origin", OURS)
    assert sync.sync(project) == [settings, checkout.chapter, notebook]
    assert settings.read_text() == SETTINGS.replace('url: ""', f'url: "{OURS}"')
    assert f"git+{OURS}@v1.2.3" in checkout.chapter.read_text()
    assert sync.sync(project) == []

    # A fork keeps what its notebooks install.
    checkout.git("remote", "set-url", "origin", THEIRS)
    assert sync.sync(project) == []
