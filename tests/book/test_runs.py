"""Models in the flow: what is trained and run, when again, and what is never taken for finished."""

import os

import nbformat
import pytest
import stamp
import yaml

import gpu
from project import Project, Run

MODELS = {
    name: {
        "title": name,
        "source": "classical",
        "version": "1",
        "citation": "schuiki2025",
        "license": "MIT",
        "adapter": "toy",
        "inputs": ["nucleus"],
    }
    for name in ("toy", "trained", "absent")
}
MODELS["trained"] |= {
    "source": "trained",
    "training": {
        "recipe": "phantom_lymphoid",
        "images": 1,
        "side_px": 32,
        "seed": 900,
        "epochs": 1,
    },
}
MODELS["absent"] |= {"source": "library", "packages": ["no_such_library"]}

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
cohort: str = ""  # key
model: str = ""  # key
mode: str = "whole"  # whole or patch
device: str = "cpu"  # cpu or cuda

# %%
import sys, time
from pathlib import Path
from imc_helpers.data.predictions import RunRecord, prediction_dir, write_predictions

with Path("segmented.log").open("a") as log:
    log.write(f"{cohort} {model} {mode} {device}\\n")
print("a library's warning", file=sys.stderr)
while Path("hold").exists():
    time.sleep(0.1)
if Path("fail").exists():
    raise RuntimeError("no memory")
record = RunRecord(
    cohort=cohort, model=model, mode=mode, version="1", weights="", parameters={}, device=device,
    device_name="", dtype="", threads=1, window_px=0, stride_px=0, load_seconds=0,
    peak_memory_mb=0, peak_gpu_memory_mb=0, samples=(), finished="",
)
write_predictions(prediction_dir(cohort, model, mode), [], lambda: record)
"""
HEADER = """\
# ---
# jupyter:
#   imc_book: {reads: [predictions]}
# ---

"""


@pytest.fixture
def book(tiny_book):
    root = tiny_book.root
    (root / "data_manifest/models.yml").write_text(yaml.safe_dump(MODELS))
    (root / "src/imc_helpers/models/toy.py").write_text(TOY)
    (root / "chapters/study").mkdir()
    (root / "chapters/study/06_segment.py").write_text(SEGMENT)
    page = root / "chapters/part/one.py"
    page.write_text(HEADER + page.read_text())
    edition = yaml.safe_load((root / "editions/tiny.yml").read_text())
    edition["models"] = ["toy", "trained", "absent"]
    (root / "editions/tiny.yml").write_text(yaml.safe_dump(edition))
    return tiny_book


def lines(book, name):
    log = book.root / name
    return log.read_text().splitlines() if log.is_file() else []


def ran(book):
    return sorted(lines(book, "segmented.log"))


ALL = sorted(
    f"spleen_imc {model} {mode} cpu" for model in ("toy", "trained") for mode in ("whole", "patch")
)


@pytest.mark.slow
def test_what_can_run_is_trained_and_run_once(book):
    made = book.make()
    assert made.returncode == 0, made.stdout
    assert lines(book, "trained.log") == ["1 (32, 32)"]
    assert ran(book) == ALL
    notebook = nbformat.read(
        book.root / "executed/segment/spleen_imc/toy/whole.ipynb", as_version=4
    )
    assert stamp.read(notebook).parameters["model"] == "toy"
    again = book.make()
    assert again.returncode == 0, again.stdout
    assert ran(book) == ALL
    assert (book.runs("one"), book.runs("two")) == (1, 1)

    # Another page's code changes: the pages run again, the models do not.
    (book.root / "src/imc_helpers/figures/new.py").write_text("")
    assert book.make().returncode == 0
    assert ran(book) == ALL
    assert book.runs("one") == 2

    # The adapter changes: training and runs again, and the page that reads them.
    book.edit("src/imc_helpers/models/toy.py", "import Path", "import Path  # new")
    assert book.make().returncode == 0
    assert len(lines(book, "trained.log")) == 2
    assert len(ran(book)) == 2 * len(ALL)


@pytest.mark.slow
def test_a_model_that_becomes_available_is_run_and_only_it(book):
    assert book.make().returncode == 0
    before = book.runs("one")
    text = (book.root / "data_manifest/models.yml").read_text()
    (book.root / "data_manifest/models.yml").write_text(text.replace("no_such_library", "yaml"))
    made = book.make()
    assert made.returncode == 0, made.stdout
    new = [line for line in ran(book) if "absent" in line]
    assert new == ["spleen_imc absent patch cpu", "spleen_imc absent whole cpu"]
    assert len(ran(book)) == len(ALL) + 2
    assert book.runs("one") == before + 1


@pytest.mark.slow
def test_a_model_that_fails_stops_the_book_and_leaves_nothing(book):
    (book.root / "fail").touch()
    made = book.make()
    assert made.returncode
    assert "RuntimeError: no memory" in made.stdout
    assert not list((book.root / "predictions").rglob("*"))
    assert not list((book.root / "executed").rglob("segment/**/*.ipynb"))
    assert not book.executed("one").exists()
    (book.root / "fail").unlink()
    assert book.make().returncode == 0


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_nothing_that_counts(book):
    book.hold.touch()
    process = book.start()
    while not lines(book, "segmented.log"):
        assert process.poll() is None, (book.root / "start.log").read_text()
    for child in [process, *process.children(recursive=True)]:
        child.kill()
    process.wait()
    assert not list((book.root / "predictions").rglob("run.json"))
    book.hold.unlink()
    made = book.make()
    assert made.returncode == 0, made.stdout
    assert set(ran(book)) == set(ALL)


def test_masks_without_their_note_or_with_an_older_one_are_forgotten(book, monkeypatch):
    import segment

    monkeypatch.setenv("IMC_BOOK_ROOT", str(book.root))
    from imc_helpers.data.manifest import ModelRecord

    def record(key):
        return ModelRecord.model_validate(MODELS[key])

    monkeypatch.setattr("project.model_record", record)

    project, run = Project(book.root), Run("spleen_imc", "toy", "whole")
    masks = project.masks(run)
    masks.parent.mkdir(parents=True)
    masks.write_text("{}")
    note = masks.with_name(segment.NOTE)
    note.write_text(project.run_digest(run))
    segment.forget_stale(project, run)
    assert masks.is_file()
    note.write_text("older")
    segment.forget_stale(project, run)
    assert not masks.is_file()
    masks.write_text("{}")
    note.unlink()
    segment.forget_stale(project, run)
    assert not masks.is_file()


def test_the_device_can_be_named_and_nothing_else(monkeypatch):
    monkeypatch.setenv("IMC_BOOK_DEVICE", "cuda")
    assert gpu.find_device() == "cuda"
    monkeypatch.setenv("IMC_BOOK_DEVICE", "tpu")
    with pytest.raises(SystemExit, match="expected cpu or cuda, found 'tpu'"):
        gpu.find_device()


def test_a_machine_without_a_gpu_is_a_cpu(monkeypatch, tmp_path):
    monkeypatch.delenv("IMC_BOOK_DEVICE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.find_device() == "cpu"


def test_a_full_gpu_is_an_error_before_anything_is_loaded(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 1000\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("IMC_BOOK_DEVICE", raising=False)
    assert gpu.find_device() == "cuda"
    with pytest.raises(SystemExit, match="1000 MB free"), gpu.mine("cuda"):
        pass
    tool.write_text("#!/bin/sh\necho 80000\n")
    with gpu.mine("cuda"):
        pass
