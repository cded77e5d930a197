"""Time our metrics and their peers side by side; write `results/metrics.csv`.

Each tool runs in a process of its own, on one thread (two where its name says so), on the same
generated pairs, after a first call on a small pair that compiles what is compiled. Memory is the
process's peak above what it held before. Run from the repository's root, in an environment with
`benchmarks/requirements.txt` and the package:

    python benchmarks/run.py
"""

import argparse
import csv
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from pairs import cell_pair
from tools import TOOLS

HERE = Path(__file__).parent
# Name: side of the image, spacing of cells, number of pairs (crops of one side of 200 px).
SIZES = {"crops": (200, 8.6, 360), "1000 x 1000": (1000, 8.6, 1), "5000 x 5000": (5000, 9.1, 1)}
FIELDS = [
    *("size", "n_true", "n_pred", "tool", "version", "work", "pairs", "runs", "seconds_a_pair"),
    *("seconds_min", "seconds_max", "peak_mb", "times_ours", "times_ours_with_sap", "note"),
    *("date", "python", "numpy", "machine"),
]
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
) | {"OMP_WAIT_POLICY": "PASSIVE"}


def main() -> None:
    """Run every tool on every size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="time for each tool and size")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--tools", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "metrics.csv")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            side, spacing, n_pairs = SIZES[size]
            pairs = [cell_pair(side, spacing, seed) for seed in range(n_pairs)]
            path = Path(folder)
            true, pred = (np.stack(images) for images in zip(*pairs, strict=True))
            np.save(path / "true.npy", true)
            np.save(path / "pred.npy", pred)
            counts = [round(np.mean([len(np.unique(x)) - 1 for x in xs])) for xs in (true, pred)]
            del pairs, true, pred
            rows += _rows_of_size(size, counts, path, options.tools, options.seconds)
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    print(f"written to {options.out}")


def _rows_of_size(
    size: str, counts: list[int], path: Path, tools: list[str], seconds: float
) -> list[dict[str, object]]:
    print(f"\n{size}: {counts[0]} true and {counts[1]} predicted cells a pair", flush=True)
    rows: list[dict[str, object]] = []
    medians: dict[str, float] = {}
    for name in tools:
        result = _measure(name, path, seconds)
        times = result.get("times") or []
        row: dict[str, object] = dict.fromkeys(FIELDS, "") | {
            "size": size,
            "n_true": counts[0],
            "n_pred": counts[1],
            "tool": name,
            "version": result.get("version", ""),
            "work": TOOLS[name].work,
            "note": result["note"],
            "date": datetime.date.today().isoformat(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": _machine(),
        }
        if times:
            medians[name] = statistics.median(times)
            row |= {
                "pairs": result["pairs"],
                "runs": len(times),
                "seconds_a_pair": f"{medians[name]:.6g}",
                "seconds_min": f"{min(times):.6g}",
                "seconds_max": f"{max(times):.6g}",
                "peak_mb": f"{result['peak_mb']:.0f}",
            }
            for column, base in (("times_ours", "ours"), ("times_ours_with_sap", "ours, with sap")):
                if base in medians:
                    row[column] = f"{medians[name] / medians[base]:.3g}"
        rows.append(row)
        told = (
            f"{row['seconds_a_pair']:>12} s ({row['seconds_min']} to {row['seconds_max']}, "
            f"{row['runs']} runs), {row['peak_mb']} MB, {row['times_ours']} times ours"
            if times
            else row["note"]
        )
        print(f"  {name:28}{told}", flush=True)
    return rows


def _measure(name: str, path: Path, seconds: float) -> dict:
    """Run the worker, and say in words what went wrong where it did."""
    limit = 4 * seconds + 120
    command = [sys.executable, str(HERE / "worker.py"), name, str(path), str(seconds)]
    environment = os.environ | ONE_THREAD | {"PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"note": f"not finished after {limit:.0f} s"}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return {"note": f"failed: {last[:200]}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def _machine() -> str:
    """Name the processor, and the number of cores that this process may use."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


if __name__ == "__main__":
    main()
