"""Trust on first use: what the weights of a model were when they first came here.

Most publishers of weights give no hash. So the hash of every file is written down when it is
downloaded for the first time, ``weights/.first_seen/MODEL.json``, and the file is held against it
ever after. That says nothing about the first time; it says that what runs today is what ran then.
"""

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pooch

from imc_helpers.data.paths import project_root
from imc_helpers.errors import DownloadError


def check_first_seen(model: str, paths: Iterable[Path], folder: Path) -> None:
    """Hold files against what they were when they first came; write down those that are new.

    Parameters
    ----------
    model
        Key in the manifest.
    paths
        Files of its weights.
    folder
        Folder of its weights: files are known by their names below it.

    Raises
    ------
    DownloadError
        If a file is another than the first of its name.
    """
    record = _record(model)
    known: dict[str, Any] = json.loads(record.read_text("utf-8")) if record.is_file() else {}
    new = dict(known)
    for path in paths:
        name, found = str(path.relative_to(folder)), f"sha256:{pooch.file_hash(str(path))}"
        first = new.setdefault(name, {"hash": found, "first_seen": _now()})
        if first["hash"] != found:
            raise DownloadError(
                f"{path}: not the file that first came here on {first['first_seen']}: expected "
                f"{first['hash']}, found {found}. If its publisher has replaced it and you trust "
                f"the new one, remove {record}; else remove the file, and get it again"
            )
    if new != known:
        record.parent.mkdir(parents=True, exist_ok=True)
        draft = record.with_suffix(".new")
        draft.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")
        draft.replace(record)


def first_seen(model: str) -> dict[str, str]:
    """Return the hash of each file of a model's weights, as it was when it first came."""
    record = _record(model)
    known = json.loads(record.read_text("utf-8")) if record.is_file() else {}
    return {name: about["hash"] for name, about in known.items()}


def _record(model: str) -> Path:
    return project_root() / "weights" / ".first_seen" / f"{model}.json"


def _now() -> str:
    # Not datetime.UTC: DeepCell's kernel is Python 3.10.
    return datetime.now(timezone.utc).isoformat(timespec="seconds")  # noqa: UP017
