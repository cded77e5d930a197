"""The flow on a cluster: a tiny book on two nodes, runs that are killed, a node that fails.

By hand, on a machine that has Slurm and munge: ``pytest -m slurm tests/slurm``.
"""

import importlib.util
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cluster
import nbformat
import psutil
import pytest
import yaml

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(900)]

BOOK = Path(__file__).parents[1] / "book" / "conftest.py"
_spec = importlib.util.spec_from_file_location("tiny_book", BOOK)
assert _spec is not None
assert _spec.loader is not None
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

NAMES = ("one", "two")


@pytest.fixture(scope="module")
def trial(request) -> Iterator[cluster.Cluster]:
    """A cluster, gone when the tests are over."""
    if "slurm" not in request.config.option.markexpr:
        pytest.skip("takes minutes, so it runs only when asked for: pytest -m slurm tests/slurm")
    if absent := cluster.missing():
        pytest.skip(f"not installed: {', '.join(absent)}; cluster.py says how to install them")
    with cluster.cluster() as made:
        yield made
    assert not made.processes()


@dataclass(frozen=True)
class ClusterBook(tiny.TinyBook):
    """A tiny book whose jobs go to the nodes."""

    trial: cluster.Cluster | None = None

    def command(self, edition="tiny", *options):
        return [*super().command(edition, *options), "--profile", "slurm"]

    def environment(self):
        return {**self.trial.environment, "PYTHONPATH": str(self.root / "src")}


@pytest.fixture
def book(trial, tmp_path) -> Iterator[ClusterBook]:
    """A tiny book that was never made, on an idle cluster."""
    root = tiny.write_tiny_book(tmp_path / "tiny book").root
    made = ClusterBook(root, trial=trial)
    # So that the test does not wait for most of its time.
    made.edit("workflow/profiles/slurm/config.yaml", "status-checks: 10", "status-checks: 1")
    yield made
    tiny.end(made)
    for job in trial.jobs():
        trial.ask("scancel", job)
    cluster.wait_until(lambda: not trial.jobs(), "the jobs to end")


def start_and_hold(book):
    """Start a run; return it, and what it runs here, when both chapters wait in the middle."""
    before = {name: book.runs(name) for name in NAMES}
    book.hold.touch()
    process = book.start()
    cluster.wait_until(lambda: all(book.runs(n) > before[n] for n in NAMES), "chapters to start")
    cluster.wait_until(
        lambda: len(book.trial.jobs()) == len(NAMES), "the scores, which do not wait"
    )
    here = process.children(recursive=True)
    return process, {part: find(here, part) for part in ("run.py", "snakemake")}


def find(processes, word):
    """Return the first process that has an argument that ends so."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if any(part.endswith(word) for part in process.cmdline()[1:]):
                return process
    raise AssertionError(f"no process {word}")


def at_work(book):
    """Return the processes of this book's jobs, on whatever node."""
    return book.trial.processes(f"IMC_BOOK_ROOT={book.root}", "SLURM_NNODES=1")


def outputs(book):
    """Return what the cells of the executed chapters say."""
    notebooks = [nbformat.read(book.executed(name), as_version=4) for name in NAMES]
    return [cell.get("outputs") for notebook in notebooks for cell in notebook.cells]


def test_the_book_is_the_one_made_on_one_machine(book, tmp_path):
    made = book.make()
    assert made.returncode == 0, made.stdout
    tiny.assert_made(book)
    assert not book.trial.jobs()
    local = tiny.write_tiny_book(tmp_path / "local")
    assert local.make().returncode == 0
    assert outputs(book) == outputs(local)
    assert book.make().returncode == 0
    assert [book.runs(name) for name in NAMES] == [1, 1], "nothing changed"


@pytest.mark.parametrize("part", ["snakemake", "interrupt"])
def test_a_run_that_is_stopped_takes_its_jobs_along(book, part):
    process, parts = start_and_hold(book)
    assert at_work(book)
    if part == "interrupt":
        # Ctrl-C goes to every process of the terminal.
        for each in parts.values():
            each.send_signal(signal.SIGINT)
    else:
        parts[part].kill()
    assert process.wait(timeout=120) != 0
    assert not book.trial.jobs()
    cluster.wait_until(lambda: not at_work(book), "the processes of the jobs to end")
    assert not any(book.executed(name).exists() for name in NAMES)
    book.hold.unlink()
    made = book.make()
    assert made.returncode == 0, made.stdout
    tiny.assert_made(book)


def test_jobs_of_a_run_that_was_killed_are_cancelled_by_the_next(book):
    process, parts = start_and_hold(book)
    parts["run.py"].kill()
    process.wait(timeout=60)
    cluster.wait_until(lambda: not parts["snakemake"].is_running(), "Snakemake to end")
    assert len(book.trial.jobs()) == 2
    again = book.start()
    log = book.root / "start.log"
    cluster.wait_until(lambda: "Cancelling 2 jobs" in log.read_text(), "jobs to be cancelled")
    cluster.wait_until(lambda: all(book.runs(name) == 2 for name in NAMES), "new ones to start")
    assert len(book.trial.jobs()) == 2
    book.hold.unlink()
    assert again.wait(timeout=180) == 0, log.read_text()
    tiny.assert_made(book)


def test_jobs_of_a_run_that_was_killed_do_no_harm_when_they_finish(book):
    process, parts = start_and_hold(book)
    parts["run.py"].kill()
    process.wait(timeout=60)
    book.hold.unlink()
    cluster.wait_until(lambda: not book.trial.jobs(), "the jobs to finish")
    made = book.make()
    assert made.returncode == 0, made.stdout
    tiny.assert_made(book)


def test_a_job_that_is_killed_on_its_node_fails_alone(book):
    process, _ = start_and_hold(book)
    victim = next(p for p in at_work(book) if "job.py tiny page" in " ".join(p.cmdline()))
    name = next(part for part in victim.cmdline() if part.startswith("part/")).partition("/")[2]
    victim.kill()
    book.hold.unlink()
    assert process.wait(timeout=180) != 0
    (other,) = set(NAMES) - {name}
    assert not book.executed(name).exists()
    assert book.executed(other).exists()
    cluster.wait_until(lambda: not at_work(book), "the kernel of the killed job to end")
    made = book.make()
    assert made.returncode == 0, made.stdout
    assert book.runs(other) == 1


SEGMENT = """\
# %% tags=["parameters"]
cohorts: list[str] = [""]  # keys
model: str = ""  # key
mode: str = "whole"  # whole or patch
device: str = "cpu"  # cpu or cuda
made_from: list[str] = [""]  # one per cohort

# %%
import os
from pathlib import Path

seen = [os.environ.get(f"SLURM{name}") for name in ("D_NODENAME", "_JOB_PARTITION")]
with (Path("results") / f"{model}.log").open("a") as log:
    log.write(f"{mode} {device} {' '.join(seen)} {os.environ.get('CUDA_VISIBLE_DEVICES')}\\n")
if device == "cuda":
    raise RuntimeError("the trial's GPU is one in name only")
for cohort, digest in zip(cohorts, made_from, strict=True):
    run = Path("predictions") / cohort / model / mode / "run.json"
    run.parent.mkdir(parents=True, exist_ok=True)
    run.write_text(digest)
"""
MODEL = {
    "title": "Toy",
    "source": "classical",
    "version": "1",
    "citation": "schuiki2025",
    "license": "MIT",
    "adapter": "toy",
    "inputs": ["nucleus"],
}


def test_a_model_for_a_gpu_is_sent_to_where_gpus_are(book, monkeypatch):
    """The trial's GPU is one in name only, so that what asks for it fails there."""
    models = {"small": MODEL, "large": MODEL | {"gpu": True}}
    (book.root / "data_manifest" / "models.yml").write_text(yaml.safe_dump(models))
    (book.root / "src" / "imc_helpers" / "models" / "adapters" / "toy.py").write_text("")
    (book.root / "chapters" / "study").mkdir(parents=True)
    (book.root / "chapters" / "study" / "06_segment.py").write_text(SEGMENT)
    book.edit("editions/tiny.yml", "cohorts:", "models: [small, large]\ncohorts:")
    profile = "workflow/profiles/slurm/config.yaml"
    book.edit(profile, "# slurm-partition-config:", "slurm-partition-config:")
    monkeypatch.setenv("IMC_BOOK_DEVICE", "cuda")
    made = book.make()
    assert made.returncode != 0
    assert "one in name only" in made.stdout
    logs = {
        name: sorted((book.root / "results" / f"{name}.log").read_text().splitlines())
        for name in models
    }
    assert logs["large"] == ["whole cuda node2 gpu 0"]
    for line in logs["small"]:
        mode, device, node, partition, *_ = line.split()
        assert (device, partition) == ("cpu", "cpu")
        assert mode in ("whole", "patch")
        assert node in cluster.NODES


POINT = """\
# ---
# jupyter:
#   imc_book: {page: false}
# ---

# %% [markdown]
# # A point

# %% tags=["parameters"]
edition: str = "tiny"  # edition
a: int = 0  # a number

# %%
import os
import time
from pathlib import Path

from IPython.display import display

with (Path("results") / "points.log").open("a") as log:
    log.write(f"{a} {os.environ.get('SLURMD_NODENAME')}\\n")
time.sleep(1)

# %% tags=["remove-cell"]
rows = {"columns": ["square", "half"], "data": [[a * a, a / 2], [-a * a, 0.5]]}
display({"application/vnd.imc-book.rows+json": rows, "text/plain": "2 rows"}, raw=True)
"""
POINTS = 40


def add_sweep(book, chunk):
    """Write a sweep of as many points, some to a job."""
    sweep = {
        "title": "Squares",
        "notebook": "part/point",
        "chunk": chunk,
        "minutes": 1,
        "editions": {"tiny": [{"grid": {"a": list(range(POINTS))}}]},
    }
    (book.root / "chapters" / "part" / "point.py").write_text(POINT)
    (book.root / "sweeps").mkdir()
    (book.root / "sweeps" / "squares.yml").write_text(yaml.safe_dump(sweep))


def points_run(book):
    """Return which points were started on which node, in order."""
    log = book.root / "results" / "points.log"
    lines = log.read_text().splitlines() if log.is_file() else []
    return [(int(line.split()[0]), line.split()[1]) for line in lines]


def test_a_sweep_outlives_a_node(book, tmp_path):
    """One of two nodes is lost in the middle; the table is the one made on one machine."""
    add_sweep(book, chunk=1)
    start = time.monotonic()
    process = book.start("--sweep", "squares")
    cluster.wait_until(lambda: len(points_run(book)) >= 8, "some points", seconds=200)
    started = len(points_run(book))
    cluster.wait_until(
        lambda: "node2" in [node for _, node in points_run(book)[started:]],
        "a point in the middle on node2",
        seconds=200,
    )
    book.trial.crash("node2")
    lost = time.monotonic()
    before = len(points_run(book))
    cluster.wait_until(lambda: "down" in book.trial.state("node2"), "the loss to be noticed")
    noticed = time.monotonic()
    status = process.wait(timeout=800)
    end = time.monotonic()
    log = (book.root / "start.log").read_text()
    assert status == 0, log
    assert f"{POINTS} of {POINTS} points" in log
    assert {node for _, node in points_run(book)[:before]} == set(cluster.NODES)
    assert {node for _, node in points_run(book)[before:]} == {"node1"}
    assert sorted({a for a, _ in points_run(book)}) == list(range(POINTS))
    again = len(points_run(book)) - POINTS
    assert again >= 1, "the point that was lost"
    print(
        f"{POINTS} jobs in {end - start:.0f} s; node2 lost after {lost - start:.0f} s with "
        f"{before} points started, noticed {noticed - lost:.0f} s later; {again} points run again"
    )
    table = "results/tiny/sweeps/squares.csv"
    assert not (book.root / table).with_suffix(".failed.csv").exists()
    local = tiny.write_tiny_book(tmp_path / "local")
    add_sweep(local, chunk=10)
    assert local.sweep("squares").returncode == 0
    assert (book.root / table).read_bytes() == (local.root / table).read_bytes()
    assert len((book.root / table).read_text().splitlines()) == 1 + 2 * POINTS
    book.trial.start_node("node2")
    cluster.wait_until(lambda: book.trial.state("node2") == "idle", "the node to be back")
