"""The floors of the package: a module imports only from floors below its own."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import imc_helpers

PACKAGE = Path(imc_helpers.__file__).parent

# Lowest floor first. Modules of one floor do not import one another, except inside a package.
FLOORS = [
    {"errors"},
    {"paths"},
    {"manifest"},
    {"fetch", "rows", "samples"},
    {"aggregation", "patching", "preprocess", "scaling", "metrics"},
    {"phantom"},
    {"readers", "predictions", "variants"},
    {"models"},
    {"agreement", "describe", "inference", "runs", "statistics"},
    {"ceiling", "scoring", "cells", "compensation", "sweeps"},
    {"comparison", "equivalence"},
    {"candidates"},
    {"figures"},
]
STANDALONE = {"metrics", "aggregation", "patching", "preprocess", "scaling"}


def modules():
    return [
        (path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != PACKAGE / "__init__.py"
    ]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            names = (
                [f"imc_helpers.{alias.name}" for alias in node.names]
                if node.module == "imc_helpers"
                else [node.module]
            )
        yield from (name.split(".")[1] for name in names if name.startswith("imc_helpers."))


def floor(name):
    return next(i for i, names in enumerate(FLOORS) if name in names)


def test_every_module_has_a_floor():
    placed = set().union(*FLOORS)
    assert {name for name, _ in modules()} <= placed


@pytest.mark.parametrize(
    ("name", "path"), modules(), ids=[str(p.relative_to(PACKAGE)) for _, p in modules()]
)
def test_imports_run_downwards(name, path):
    for other in imported(path):
        if other == name:
            continue
        assert floor(other) < floor(name), f"{path.name} imports {other}"
        assert name not in STANDALONE, f"{path.name} must know nothing of {other}"


def test_the_package_alone_loads_nothing_heavy():
    code = "import sys, imc_helpers; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numpy", "torch", "matplotlib", "pandas"} & set(loaded)
