"""Find where peers are wrong, each with its smallest example; write `results/peer_errors.csv`.

A peer is wrong when it gives neither the value for IoU >= t nor that for IoU > t, raises an
error, or gives NaN or infinity. For two empty images there are several conventions: they count
only when the result is no number at all. Run from the repository's root, as `run.py`:

    python benchmarks/peer_errors.py
"""

import csv
import json
import math
import os
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
from tools import TOOLS, version_of

from imc_helpers.metrics import evaluate

HERE = Path(__file__).parent
# cellpose 4 has the name of cellpose 3, so it lives in a folder of its own, put first on the path.
CELLPOSE_4 = Path(sys.prefix) / "cellpose4"
PEERS = {
    "cellpose 3": ("cellpose 3", "map"),
    "cellpose 4": ("cellpose 3", "map"),
    "stardist": ("stardist", "map"),
    "panoptica": ("panoptica", "pq"),
    "torchmetrics": ("torchmetrics", "pq"),
}
BIG = 2**40
EXAMPLES: dict[str, tuple[list[list[int]], list[list[int]], str]] = {
    "one cell, no background": ([[1]], [[1]], "a cell fills both images"),
    "two cells, no background": ([[1, 2]], [[1, 2]], "cells fill both images"),
    "no background in one": ([[1, 1]], [[1, 0]], "a cell fills the true image; IoU 1/2"),
    "ids with gaps": ([[0, 7]], [[0, 7]], "a crop keeps the ids of its image"),
    "large ids": ([[0, BIG]], [[0, BIG]], "ids from a hash or a database"),
    "two halves": ([[0, 1, 1]], [[0, 1, 2]], "two predictions of IoU 1/2 on one cell"),
    "nothing predicted": ([[0, 1]], [[0, 0]], "one side is empty"),
    "nothing true": ([[0, 0]], [[0, 1]], "the other side is empty"),
    "nothing at all": ([[0, 0]], [[0, 0]], "both sides are empty"),
    **{
        f"IoU of {k}/100": ([[0] + [1] * 100], [[0] + [1] * k + [0] * (100 - k)], "a tie")
        for k in range(50, 100, 5)
    },
}


def main() -> None:
    """Ask every peer about every example."""
    if len(sys.argv) > 1:
        _answer(sys.argv[1])
        return
    rows = []
    for peer, (tool, score) in PEERS.items():
        path = os.pathsep.join(
            [*([str(CELLPOSE_4)] if peer == "cellpose 4" else []), os.environ.get("PYTHONPATH", "")]
        )
        done = subprocess.run(
            [sys.executable, __file__, tool],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        answers = json.loads(done.stdout.strip().splitlines()[-1])
        if not answers["version"].startswith(peer.rpartition(" ")[2] if " " in peer else ""):
            answers = {"note": f"found version {answers['version']} in its place"}
        if "note" in answers:
            rows.append({"peer": peer, "found": f"not installed: {answers['note']}"})
            continue
        for name, (true, pred, why) in EXAMPLES.items():
            expected = [getattr(evaluate(true, pred, strict=s), score) for s in (False, True)]
            found = answers["scores"][name]
            is_number = isinstance(found, float) and math.isfinite(found)
            right = is_number and any(math.isclose(found, e, abs_tol=1e-6) for e in expected)
            if right or (is_number and name == "nothing at all"):
                continue
            rows.append(
                {
                    "peer": peer,
                    "version": answers["version"],
                    "case": name,
                    "what": why,
                    "true": _short(true),
                    "pred": _short(pred),
                    "score": score,
                    "expected_ge": f"{expected[0]:.4g}",
                    "expected_gt": f"{expected[1]:.4g}",
                    "found": f"{found:.4g}" if isinstance(found, float) else found,
                }
            )
    fields = [
        *("peer", "version", "case", "what", "true", "pred", "score"),
        *("expected_ge", "expected_gt", "found"),
    ]
    path = HERE / "results" / "peer_errors.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(" | ".join(str(row.get(field, "")) for field in fields))
    print(f"written to {path}")


def _answer(tool: str) -> None:
    """Print what one peer, in this process, says of every example."""
    warnings.simplefilter("ignore")
    try:
        score = TOOLS[tool].load()
    except ImportError as error:
        print(json.dumps({"note": str(error), "version": ""}))
        return
    # A peer that allocates by the largest id must not take the machine along.
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30,) * 2)
    scores: dict[str, float | str] = {}
    for name, (true, pred, _) in EXAMPLES.items():
        dtype = np.int64 if name == "large ids" else np.int32
        try:
            answer = score([(np.array(true, dtype), np.array(pred, dtype))])[0]
            scores[name] = float(np.mean(answer))
        except Exception as error:  # whatever a peer raises is its answer
            scores[name] = f"{type(error).__name__}: {error}"[:120]
    print()
    print(json.dumps({"version": version_of(TOOLS[tool]), "scores": scores}))


def _short(image: list[list[int]]) -> str:
    """Write a row of ids with repeats counted: 0 1x100."""
    words: list[list[int]] = []
    for label in image[0]:
        if words and words[-1][0] == label:
            words[-1][1] += 1
        else:
            words.append([label, 1])
    return " ".join(f"{label}x{n}" if n > 1 else f"{label}" for label, n in words)


if __name__ == "__main__":
    main()
