"""Models in the flow: what is trained and run, when again, and what is never taken for finished."""

import signal
import time

import nbformat
import pytest
import yaml
from conftest import COHORT, assert_gone, family_of, find, wait_until

import gate
import plan as plans

MODEL = {
    "title": "A model",
    "source": "classical",
    "version": "1",
    "citation": "schuiki2025",
    "license": "MIT",
    "adapter": "toy",
    "inputs": ["nucleus"],
}
TRAINING = {"recipe": "phantom_lymphoid", "images": 1, "side_px": 32, "seed": 900, "epochs": 1}
MODELS = {
    "toy": MODEL,
    "trained": MODEL | {"source": "trained", "training": TRAINING},
    "steady": MODEL | {"adapter": "steady"},
    "absent": MODEL | {"adapter": "steady", "packages": ["no_such_library"]},
}
TOY = """
from pathlib import Path

def train(samples, record, device, weights):
    with Path("trained.log").open("a") as log:
        log.write(f"{len(samples)} {samples[0].shape}\\n")
    (weights / "weights.txt").write_text("w")
    (weights / "training.json").write_text("{}")
"""
SEGMENT = """\
# ---
# jupyter:
#   imc_book: {page: false}
# ---

# %% tags=["parameters"]
cohorts: list[str] = [""]  # keys
model: str = ""  # key
mode: str = "whole"  # whole or patch
device: str = "cpu"  # cpu or cuda
made_from: list[str] = [""]  # one per cohort

# %%
import json, sys, time
from pathlib import Path

print("a library's warning", file=sys.stderr)
for cohort, digest in zip(cohorts, made_from, strict=True):
    with Path("segmented.log").open("a") as log:
        log.write(f"{cohort} {model} {mode} {device}\\n")
    while Path("hold").exists():
        time.sleep(0.1)
    if Path(f"fail {model}").exists():
        raise RuntimeError("no memory")
    run = Path("predictions") / cohort / model / mode / "run.json"
    run.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "cohort": cohort, "model": model, "mode": mode, "version": "1", "weights": "",
        "parameters": {"made from": digest}, "device": device, "device_name": "", "dtype": "",
        "threads": 1, "window_px": 0, "stride_px": 0, "load_seconds": 0, "peak_memory_mb": 0,
        "peak_gpu_memory_mb": 0, "samples": [], "finished": "2026-01-01T00:00:00+00:00",
    }
    run.write_text(json.dumps(record))
"""
HEADER = "# ---\n# jupyter:\n#   imc_book: {reads: [predictions]}\n# ---\n\n"


@pytest.fixture
def book(tiny_book):
    """A tiny book with models; `one` reads their masks, and three jobs share the scoring."""
    root = tiny_book.root
    records = yaml.safe_load((root / "data_manifest/cohorts.yml").read_text())
    records[COHORT]["samples"] = 2 * plans.CHUNK + 1
    edition = yaml.safe_load((root / "editions/tiny.yml").read_text()) | {"models": list(MODELS)}
    page = tiny_book.source("one")
    files = {
        "data_manifest/models.yml": yaml.safe_dump(MODELS),
        "data_manifest/cohorts.yml": yaml.safe_dump(records),
        "src/imc_helpers/models/adapters/toy.py": TOY,
        "src/imc_helpers/models/adapters/steady.py": "",
        "chapters/study/06_segment.py": SEGMENT,
        "chapters/part/one.py": HEADER + page.read_text(),
        "editions/tiny.yml": yaml.safe_dump(edition),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return tiny_book


def runs_of(*models):
    return sorted(f"{COHORT} {model} {mode} cpu" for model in models for mode in ("whole", "patch"))


def scores(book):
    return (book.root / f"results/tiny/scores/{COHORT}.parquet").read_text().splitlines()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_models_are_trained_and_run_once_whatever_happens(book):
    # Stopped in the middle of a model: nothing counts.
    book.hold.touch()
    process = book.start()
    wait_until(lambda: book.lines("segmented.log"))
    family = family_of(process)
    start = time.monotonic()
    find(family, "run.py").send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) != 0
    assert_gone(family)
    assert time.monotonic() - start < 30
    assert "Stopped. The next run goes on from here." in book.said()
    assert not list((book.root / "predictions").rglob("run.json"))
    assert not list((book.root / "executed").rglob("*.ipynb"))
    book.hold.unlink()
    (book.root / "segmented.log").unlink()

    # One model fails: the others are run, and nothing is made of what lacks it.
    (book.root / "fail toy").touch()
    made = book.make()
    assert made.returncode
    assert "RuntimeError: no memory" in made.stdout
    assert not list((book.root / f"predictions/{COHORT}").glob("toy/*/run.json"))
    assert not list((book.root / "executed/segment").rglob("toy/*.ipynb"))
    assert not book.executed("one").exists()
    assert book.executed("two").exists(), "it reads no masks"
    assert not (book.root / "results/tiny/scores").exists()
    assert set(runs_of("trained", "steady")) <= set(book.lines("segmented.log"))
    before = book.lines("segmented.log")

    # Mended: only it is run, and all samples are scored once, by three jobs.
    (book.root / "fail toy").unlink()
    made = book.make()
    assert made.returncode == 0, made.stdout
    assert sorted(book.lines("segmented.log")[len(before) :]) == runs_of("toy")
    assert book.lines("trained.log") == ["1 (32, 32)"]
    notebook = nbformat.read(book.root / "executed/segment/toy/whole.ipynb", as_version=4)
    assert gate.read_stamp(notebook).parameters["cohorts"] == [COHORT]
    assert len(book.lines("scored.log")) == 4
    names = [line for line in scores(book) if len(line) > 1]
    assert names == 3 * ["toy", "trained", "steady"]
    assert sorted(line for line in scores(book) if len(line) == 1) == list("abcde")
    assert (book.runs("one"), book.runs("two")) == (1, 1)

    # One adapter's code changes, and a library is there that was not: those models, no other.
    book.edit("src/imc_helpers/models/adapters/toy.py", "{len(samples)}", "{len(samples):02d}")
    book.edit("data_manifest/models.yml", "no_such_library", "yaml")
    before = book.lines("segmented.log")
    made = book.make()
    assert made.returncode == 0, made.stdout
    assert book.lines("trained.log") == ["1 (32, 32)", "01 (32, 32)"]
    new = sorted(book.lines("segmented.log")[len(before) :])
    assert new == runs_of("toy", "trained", "absent")
    assert scores(book).count("absent") == 3
    assert book.runs("one") == 2
