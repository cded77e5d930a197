"""Time what a sweep adds to its notebooks: 10 to 200 points of a notebook that takes one second.

``.venv/bin/python benchmarks/sweep.py`` runs them in a temporary copy of the flow, two at a time,
and writes ``benchmarks/results/sweep.csv``. The notebook imports what the book's own pages do and
waits for a second; everything else that passes is the flow's. Other work on the machine makes the
added wall time longer, and hardly changes the CPU time, so both are written down.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
POINT = """\
# %% [markdown]
# # A point that takes a second

# %% tags=["parameters"]
edition: str = "bench"  # edition
n: int = 0  # number of the point

# %%
import time

import pandas as pd

from imc_helpers.experiments.sweep_results import hand_over

time.sleep(1)
{imports}

# %%
hand_over(pd.DataFrame({"twice": [2 * n]}))
"""
OWN_S = 1.0
"""What the notebook itself takes, seconds."""


def write_book(root: Path, imports: str) -> None:
    """Write a book without pages that has one sweep."""
    for folder in ("workflow", "src", "data_manifest", "envs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    cohort = next(iter(yaml.safe_load((ROOT / "data_manifest" / "cohorts.yml").read_text())))
    (root / "data" / cohort).mkdir(parents=True)
    files = {
        "_config.yml": "{}",
        "_toc.yml": "format: jb-book\nroot: index\n",
        "chapters/point.py": POINT.replace("{imports}", imports),
        "editions/bench.yml": yaml.safe_dump(
            {"title": "Bench", "description": "", "cohorts": [cohort]}
        ),
        f"data/{cohort}/images.csv": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    sys.path.insert(0, str(ROOT / "workflow" / "scripts"))
    from project import Project  # noqa: PLC0415

    note = root / "data" / cohort / ".made_from"
    note.write_text(Project(root).cohort_digest(cohort), encoding="utf-8")


def time_sweep(root: Path, count: int) -> tuple[float, float]:
    """Run a sweep of so many new points and return its wall time and CPU time, seconds."""
    for name in ("executed", "results", "_build"):
        shutil.rmtree(root / name, ignore_errors=True)
    sweep = {"title": "Bench", "notebook": "point"}
    sweep["editions"] = {"bench": [{"grid": {"n": list(range(count))}}]}
    (root / "sweeps").mkdir(exist_ok=True)
    (root / "sweeps" / "bench.yml").write_text(yaml.safe_dump(sweep), encoding="utf-8")
    command = [sys.executable, str(root / "workflow" / "scripts" / "run.py"), "bench"]
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    start, cpu_before = time.perf_counter(), _cpu_s()
    made = subprocess.run(
        [*command, "--sweep", "bench"],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds, cpu = time.perf_counter() - start, _cpu_s() - cpu_before
    table = root / "results" / "bench" / "sweeps" / "bench.csv"
    if made.returncode or len(pd.read_csv(table)) != count:
        sys.exit(made.stdout)
    return seconds, cpu


def _cpu_s() -> float:
    """Return the CPU time of all children, and of theirs, that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run sweeps of growing size and write what each point cost beside its own second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument(
        "--imports", default="", help="for instance 'import torch, cellpose.models'"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "book"
        write_book(root, arguments.imports)
        for count in arguments.points:
            load = os.getloadavg()[0]
            seconds, cpu = time_sweep(root, count)
            # Points run side by side: each core has its share of them.
            added = seconds * cores / count - OWN_S
            rows.append(
                {
                    "imports": arguments.imports,
                    "points": count,
                    "cores": cores,
                    "seconds": round(seconds, 1),
                    "added_s_per_point": round(added, 2),
                    "cpu_s_per_point": round(cpu / count, 2),
                    "load_before": round(load, 1),
                }
            )
            print(rows[-1], flush=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(arguments.output / "sweep.csv", index=False)


if __name__ == "__main__":
    main()
