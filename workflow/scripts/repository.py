"""Where the book's repository is, and which release of it readers open on Colab and Binder."""

import re
import subprocess
import tomllib
from typing import Any

from project import Project

GITHUB = re.compile(
    r"(?:https://|ssh://git@|git@)github\.com[:/](?P<path>[\w.-]+/[\w.-]+?)(?:\.git)?/?"
)
"""An address at GitHub, as git spells it. One with a password in it does not match."""


def address(project: Project) -> str:
    """Return the address of the repository: that of git's remote, else the setting, else nothing.

    A remote counts where it is at GitHub: a path, or a server of one's own, is nowhere that Colab
    and Binder could read.
    """
    remote = GITHUB.fullmatch(_git(project, "config", "--get", "remote.origin.url"))
    return f"https://github.com/{remote['path']}" if remote else setting(project)


def setting(project: Project) -> str:
    """Return the address that ``_config.yml`` gives; empty until there is one."""
    return project.config["repository"]["url"]


def tag(project: Project) -> str:
    """Return the tag of this version, ``v0.1.0`` for instance, whether or not it is there yet."""
    text = (project.root / "pyproject.toml").read_text(encoding="utf-8")
    return f"v{tomllib.loads(text)['project']['version']}"


def with_buttons(project: Project, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the book's settings with the buttons that lead somewhere.

    The repository's own buttons need its address. Colab and Binder open notebooks of a release, so
    they also need its tag; and Colab needs notebooks that know where to install the package from.
    """
    url, settings = address(project), dict(settings)
    launch = settings.pop("launch_buttons", {})
    settings["repository"] = {**settings["repository"], "url": url}
    if not url:
        unused = {"use_repository_button": False, "use_issues_button": False}
        return settings | {"html": settings.get("html", {}) | unused}
    released = tag(project)
    settings["repository"]["branch"] = released
    if _git(project, "tag", "--list", released):
        colab = {} if setting(project) else {"colab_url": ""}
        settings["launch_buttons"] = launch | colab
    return settings


def _git(project: Project, *command: str) -> str:
    """Return what git says of this checkout and no other; nothing where it is none."""
    git = ["git", "--git-dir", str(project.root / ".git"), *command]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""
