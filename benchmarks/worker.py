"""Time one tool on one set of image pairs, in a process of its own; print the result as JSON.

Called by `run.py` as ``python worker.py TOOL FOLDER SECONDS``.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from pairs import cell_pair
from tools import TOOLS, version_of

MOST_RUNS = 7
MEMORY_GIB = 10


def main() -> None:
    """Time a tool until it has run often enough, or for long enough."""
    tool, folder, seconds = TOOLS[sys.argv[1]], Path(sys.argv[2]), float(sys.argv[3])
    # What asks for more memory than the machine has must fail by itself, and harm nothing else.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_GIB * 2**30,) * 2)
    result: dict[str, object] = {"version": "", "note": ""}
    try:
        score = tool.load()
    except ImportError as error:
        print(json.dumps(result | {"note": f"not installed: {error}"}))
        return
    result["version"] = version_of(tool)
    true, pred = (np.load(folder / f"{name}.npy") for name in ("true", "pred"))
    pairs = list(zip(true, pred, strict=True))
    small = cell_pair(64, 8.6)
    score([small])  # compile, and fill caches
    score([small, small])
    before = _peak_mb()
    times = []
    try:
        start = time.perf_counter()
        if len(pairs) > 1:
            # A tool that is too slow for all pairs scores as many as it has time for.
            score(pairs[:1])
            each = time.perf_counter() - start
            pairs = pairs[: max(1, int(seconds / 3 / each))]
        while not times or (
            len(times) < MOST_RUNS and time.perf_counter() - start + min(times) < seconds
        ):
            began = time.perf_counter()
            score(pairs)
            times.append((time.perf_counter() - began) / len(pairs))
    except MemoryError:
        result["note"] = f"needs more than {MEMORY_GIB} GiB of memory"
    print(
        json.dumps(result | {"times": times, "pairs": len(pairs), "peak_mb": _peak_mb() - before})
    )


def _peak_mb() -> float:
    """Highest memory in use so far, megabytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux; its `ru_maxrss` starts from that of the process that called us
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in lines:
            return float(lines["VmHWM"].split()[0]) / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


if __name__ == "__main__":
    main()
