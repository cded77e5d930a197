"""What a job is made from, in small files that are rewritten only when their content changes.

Each job has one such file among its inputs, and Snakemake alone decides what is stale from the
files' times. A digest lists what counts, one line per part, so that two of them can be compared by
eye: code by what it does, without comments and docstrings; records of the manifest by their values;
other files by their bytes.
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = ".digests"
"""Where the files lie, under the root. ``make clean`` leaves them, as it leaves data and models."""
PACKAGE = "imc_helpers"
CONTENTS = "contents.json"
"""File of the hashes of large files, by path, size and time."""


def write(root: Path, name: str, parts: Mapping[str, str]) -> str:
    """Write a digest where it differs from what stands there, and return its path.

    Parameters
    ----------
    root
        The checkout.
    name
        Path of the digest below `FOLDER`.
    parts
        What the job is made from: names, and a hash or a value of each.

    Returns
    -------
    str
        The file's path, relative to the root.
    """
    path = root / FOLDER / name
    text = "".join(f"{key}: {value}\n" for key, value in parts.items())
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        _replace(path, text)
    return f"{FOLDER}/{name}"


def of_text(text: str) -> str:
    """Return the SHA-256 of a text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def of_value(value: Any) -> str:
    """Return the SHA-256 of what a YAML or JSON file may hold."""
    return of_text(json.dumps(value, sort_keys=True, default=str))


@cache
def of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; of an absent one that of nothing."""
    return hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()


def of_files(root: Path, files: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of some small files by their paths below the root."""
    return {str(file.relative_to(root)): of_file(file) for file in files}


def of_folder(root: Path, folder: Path) -> str:
    """Return one SHA-256 for the contents of a folder of large files; of none for an empty one.

    Hidden files do not count. A hash is taken again only when a file's size or time has changed,
    and the digest knows nothing of either, so that a copied or touched file is the same file.
    """
    notes = root / FOLDER / CONTENTS
    known = json.loads(notes.read_text(encoding="utf-8")) if notes.is_file() else {}
    before, total = dict(known), hashlib.sha256()
    files = sorted(folder.rglob("*")) if folder.is_dir() else []
    for file in files:
        if not file.is_file() or any(p.startswith(".") for p in file.relative_to(folder).parts):
            continue
        state = file.stat()
        key = f"{file} {state.st_size} {state.st_mtime_ns}"
        if key not in known:
            with file.open("rb") as content:
                known[key] = hashlib.file_digest(content, "sha256").hexdigest()
        total.update(f"{file.relative_to(folder)} {known[key]}\n".encode())
    if known != before:
        _replace(notes, json.dumps(known, indent=0))
    return total.hexdigest()


def _replace(path: Path, text: str) -> None:
    """Put a file in its place, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


class Code:
    """The modules of a source tree, and what each imports from it.

    Parameters
    ----------
    source
        Folder that holds the package, ``src``.
    """

    def __init__(self, source: Path) -> None:
        self._files = {}
        for path in sorted((source / PACKAGE).rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self._files[name] = path
        self._imports: dict[str, tuple[str, ...]] = {}
        self._digests: dict[str, str] = {}

    def needs(self, *roots: str | ast.AST) -> dict[str, str]:
        """Return the hash of every module that some code imports, and that those import.

        Parameters
        ----------
        *roots
            Names of modules, or syntax trees.

        Returns
        -------
        dict
            SHA-256 of each module's code, by its name, sorted.
        """
        todo = [
            name
            for root in roots
            for name in ([root] if isinstance(root, str) else self._imported(root))
        ]
        found: dict[str, str] = {}
        while todo:
            name = todo.pop()
            if name in found or name not in self._files:
                continue
            self._read(name)
            found[name] = self._digests[name]
            todo += self._imports[name]
            # Importing a module runs the packages around it first.
            todo += [".".join(name.split(".")[:n]) for n in range(1, name.count(".") + 1)]
        return dict(sorted(found.items()))

    def _read(self, name: str) -> None:
        if name not in self._digests:
            tree = ast.parse(self._files[name].read_text(encoding="utf-8"))
            self._imports[name] = tuple(self._imported(tree))
            self._digests[name] = of_tree(tree)

    def _imported(self, tree: ast.AST) -> list[str]:
        found = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                # `from package import name` may name a module or something inside one.
                found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        return [name for name in found if name in self._files]


def of_tree(tree: ast.AST) -> str:
    """Return the SHA-256 of what code does: comments, docstrings and layout do not count."""
    return of_text(ast.dump(_Bare().visit(tree)))


class _Bare(ast.NodeTransformer):
    """Removes texts that stand alone: docstrings, also those below attributes."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)
