"""What the tests of the flow and of the pages share.

A tiny book in a temporary folder: the real flow, two chapters that take no time, no data. And the
real editions, each made once: ``editions/ci.yml`` shows every page in little time; the full ones
are made where asked for, by ``pytest -m full``.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil
import pytest
import yaml

import digests
import gate
import plan as plans
from imc_helpers.data import manifest
from imc_helpers.data.manifest import load_edition
from plan import Plan
from project import Project

REPOSITORY = Path(__file__).resolve().parents[2]

CHAPTER = """\
# %% [markdown]
# # Page {name}
#
# See {{numref}}`fig-{name}` and {{numref}}`tab-{name}`.

# %% tags=["parameters"]
edition: str = "tiny"  # which edition this page shows
size: int = 2  # squares, count

# %%
import os
import sys
import time
from pathlib import Path

from IPython.display import display

from imc_helpers.figures.{name} import SIDE

with (Path("results") / "{name}.log").open("a") as log:
    log.write(f"{{os.getppid()}} {{getattr(sys, 'touched', '-')}}\\n")
sys.touched = "{name}"
while Path("hold").exists():
    time.sleep(0.1)

# %%
square = f'<svg xmlns="http://www.w3.org/2000/svg" width="{{SIDE}}" height="9"></svg>'
display(
    {{"image/svg+xml": square, "text/plain": "A square"}},
    raw=True,
    metadata={{
        "image/svg+xml": {{
            "alt": "A square",
            "caption": f"One of {{size}} squares, $a^2$.",
            "label": "fig-{name}",
        }}
    }},
)

# %%
table = ":::{{table}} Squares\\n:name: tab-{name}\\n\\n| a | b |\\n|---|--:|\\n| 1 | 2 |\\n:::\\n"
display({{"text/markdown": table, "text/plain": "a table"}}, raw=True)

# %% tags=["remove-cell"]
assert edition == "tiny"
"""

READERS = '''\
"""Stands in for the readers: makes a cohort out of nothing."""

import shutil
from pathlib import Path
from types import SimpleNamespace

from imc_helpers.data.paths import data_dir


def prepare(key: str) -> Path:
    folder = data_dir() / key
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "images.csv").write_text("image\\n")
    with Path("prepared.log").open("a") as log:
        log.write(f"{key}\\n")
    return folder


def open_cohort(key: str) -> SimpleNamespace:
    return SimpleNamespace(ids=tuple("abcde"))
'''

SCORES = '''\
"""Stands in for the scorer: a table that lists what was to be scored."""

from pathlib import Path


def score_cohort(cohort, models, *, samples):
    return [*models, *samples]


def merge_scores(paths):
    return [line for path in paths for line in path.read_text().splitlines()]


def write_scores(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\\n" for line in table))
    with Path("scored.log").open("a") as log:
        log.write(f"{path.name}\\n")
'''

METRICS = '''\
"""Stands in for the metrics: nothing is compiled."""


def warm_up() -> None:
    pass
'''

TOKEN = "a-token-for-weights-that-nobody-may-see"
"""What every variable with a token holds while the tests make an edition."""
COHORT = "spleen_imc"
"""Any cohort of the manifest: the stand-in above makes it."""


@dataclass(frozen=True)
class TinyBook:
    """A checkout with two chapters, ``one`` and ``two``."""

    root: Path
    started: list[psutil.Popen] = field(default_factory=list)

    def command(self, edition: str = "tiny", *options: str) -> list[str]:
        script = self.root / "workflow" / "scripts" / "run.py"
        return [sys.executable, str(script), edition, *options]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.root / "src")}

    def sweep(self, name: str = "squares") -> subprocess.CompletedProcess[str]:
        """Run a sweep to its end."""
        return self.make("tiny", "--sweep", name)

    def make(self, edition: str = "tiny", *options: str) -> subprocess.CompletedProcess[str]:
        """Run the wrapper to its end."""
        return subprocess.run(
            self.command(edition, *options),
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )

    def start(self, *options: str) -> psutil.Popen:
        """Start the wrapper below a shell, as make does in a terminal, and return at once."""
        with (self.root / "start.log").open("w") as log:
            process = psutil.Popen(
                ["sh", "-c", '"$@"; exit $?', "sh", *self.command("tiny", *options)],
                cwd=self.root,
                env=self.environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def interrupt(self, process: psutil.Popen) -> None:
        """Do what Ctrl-C does: signal the group in the foreground, to which jobs do not belong."""
        os.killpg(process.pid, signal.SIGINT)

    def said(self) -> str:
        """Return what the run that was started last has said so far."""
        return (self.root / "start.log").read_text(encoding="utf-8")

    @property
    def hold(self) -> Path:
        """File that keeps the chapters waiting in the middle as long as it is there."""
        return self.root / "hold"

    def source(self, name: str) -> Path:
        return self.root / "chapters" / "part" / f"{name}.py"

    def executed(self, name: str) -> Path:
        return self.root / "executed" / "tiny" / "part" / f"{name}.ipynb"

    def html(self, page: str) -> str:
        return (self.root / "_build" / "tiny" / "html" / page).read_text(encoding="utf-8")

    def lines(self, path: str) -> list[str]:
        """Return what was noted in a log: each thing that is done writes a line."""
        log = self.root / path
        return log.read_text().splitlines() if log.is_file() else []

    def runs(self, name: str) -> int:
        """Say how often a chapter was run."""
        return len(self.lines(f"results/{name}.log"))

    def preparations(self) -> int:
        """Say how often data were prepared."""
        return len(self.lines("prepared.log"))

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")


def write_tiny_book(root: Path) -> TinyBook:
    """Write the tiny book: the repository's own workflow and settings, other pages."""
    shutil.copytree(
        REPOSITORY / "workflow", root / "workflow", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(REPOSITORY / "_static", root / "_static")
    shutil.copyfile(REPOSITORY / "_config.yml", root / "_config.yml")
    shutil.copytree(REPOSITORY / "data_manifest", root / "data_manifest")
    shutil.copytree(
        REPOSITORY / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "readers")
    )
    edition = {"title": "Tiny edition.", "description": "Two squares.", "cohorts": [COHORT]}
    files = {
        "src/imc_helpers/data/readers/__init__.py": "",
        "src/imc_helpers/data/readers/published.py": READERS,
        "editions/tiny.yml": yaml.safe_dump(edition),
        "envs/constraints.txt": "numpy\n",
        "src/imc_helpers/agreement/score_table.py": SCORES,
        "src/imc_helpers/metrics/__init__.py": METRICS,
        **{f"src/imc_helpers/figures/{name}.py": "SIDE = 9\n" for name in ("one", "two")},
        "chapters/parts.yml": "part: The only part\n",
        "references.bib": "",
        "benchmarks/results/metrics.csv": "tool\n",
        "index.md": "# A tiny book\n",
        "results/.keep": "",
        **{f"chapters/part/{name}.py": CHAPTER.format(name=name) for name in ("one", "two")},
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return TinyBook(root)


def assert_made(book: TinyBook) -> None:
    """Check that the book is whole, and the very pages of a book made without trouble."""
    for name in ("one", "two"):
        notebook = nbformat.read(book.executed(name), as_version=4)
        assert gate.read_stamp(notebook).kernel == "python3"
        page = book.html(f"chapters/part/{name}.html")
        assert '<img alt="A square"' in page
        assert "One of 2 squares" in page
    assert not list((book.root / "_build" / ".scratch").glob("*"))


class Planner:
    """Resolves a book's editions in this process, and says which digests that changes."""

    def __init__(self, book: TinyBook) -> None:
        self.book = book

    def __call__(
        self, edition: str = "tiny", *, sweep: str = "", device: str = "cpu", at_a_time: int = 2
    ) -> Plan:
        forget()
        project = Project(self.book.root)
        return plans.resolve(project, edition, device=device, at_a_time=at_a_time, sweep=sweep)

    def changed(self, edition: str = "tiny", *, sweep: str = "") -> set[str]:
        """Resolve once more, and return the digests that are new or rewritten."""
        before = self._times()
        self(edition, sweep=sweep)
        after = self._times()
        return {name for name in after if after[name] != before.get(name)}

    def _times(self) -> dict[str, int]:
        folder = self.book.root / digests.FOLDER
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {
            str(path.relative_to(folder)): path.stat().st_mtime_ns
            for path in files
            if path.name != digests.CONTENTS
        }


def forget() -> None:
    """Forget what was read of another book, or of another state of this one."""
    for cached in (manifest._cohorts, manifest._models, manifest._published, digests.of_file):
        cached.cache_clear()


def look_at(book: TinyBook, monkeypatch: pytest.MonkeyPatch) -> Planner:
    """Make this process work on a book, until the test is over."""
    monkeypatch.setattr(manifest, "shipped", lambda folder: book.root / folder)
    monkeypatch.setenv("IMC_BOOK_ROOT", str(book.root))
    monkeypatch.chdir(book.root)
    return Planner(book)


def wait_until(condition, seconds: float = 120.0):
    """Wait for something to be true and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return found


def family_of(process: psutil.Popen) -> list[psutil.Process]:
    """Return a process and all below it."""
    return [process, *process.children(recursive=True)]


def commands(processes: list[psutil.Process]) -> Iterator[tuple[psutil.Process, str]]:
    """Yield those that are there, with their commands."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield process, " ".join(process.cmdline())


def find(processes: list[psutil.Process], word: str) -> psutil.Process:
    """Return the process whose command has a word in it; the innermost of several."""
    return [process for process, command in commands(processes) if word in command][-1]


GONE_S = 20.0
"""Patience with slow shared cores, seconds; what is to end does so in one or two."""


def assert_gone(family: list[psutil.Process], part: str = "") -> None:
    """Check that processes end."""
    _, alive = psutil.wait_procs(family, timeout=GONE_S)
    assert not alive, (part, [command for _, command in commands(alive)])


def end(book: TinyBook) -> None:
    """End what a test started, and all below it, however the test went."""
    for process in book.started:
        try:
            family = [*process.children(recursive=True), process]
        except psutil.NoSuchProcess:
            continue
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        process.wait()


@pytest.fixture
def tiny_book(tmp_path: Path) -> Iterator[TinyBook]:
    """A tiny book that was never made, in a folder whose path has a space."""
    book = write_tiny_book(tmp_path / "tiny book")
    yield book
    end(book)


@pytest.fixture
def planner(tiny_book: TinyBook, monkeypatch: pytest.MonkeyPatch) -> Iterator[Planner]:
    """The tiny book resolved in this process, a first time already."""
    found = look_at(tiny_book, monkeypatch)
    found()
    yield found
    forget()


@pytest.fixture(scope="session")
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> TinyBook:
    book = write_tiny_book(tmp_path_factory.mktemp("made") / "tiny book")
    made = book.make()
    assert made.returncode == 0, made.stdout
    return book


@pytest.fixture
def made_book(_made_once: TinyBook, tmp_path: Path) -> Iterator[TinyBook]:
    """A copy of a tiny book that was made, times of files and Snakemake's notes included."""
    book = TinyBook(tmp_path / "tiny book")
    shutil.copytree(_made_once.root, book.root)
    yield book
    end(book)


def _has_data(edition: str) -> bool:
    cohorts = load_edition(edition).cohorts
    return all((REPOSITORY / "data" / cohort / "images.csv").is_file() for cohort in cohorts)


@pytest.fixture(
    scope="module",
    params=[
        "ci",
        pytest.param("demo", marks=pytest.mark.full),
        pytest.param(
            "open",
            marks=[
                pytest.mark.full,
                pytest.mark.skipif(
                    not os.environ.get("IMC_BOOK_MIRROR") and not _has_data("open"),
                    reason="needs real data: run `make book EDITION=open`, or set IMC_BOOK_MIRROR",
                ),
            ],
        ),
    ],
)
def edition(request) -> str:
    """Name of an edition of this book."""
    return request.param


@pytest.fixture(scope="module")
def edition_html(edition: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an edition's pages, after it was made."""
    # The tests of several files ask for it, perhaps at the same time.
    tokens = dict.fromkeys(manifest.token_variables(), TOKEN)
    with (tmp_path_factory.getbasetemp().parent / "edition.lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        made = subprocess.run(
            [sys.executable, str(REPOSITORY / "workflow" / "scripts" / "run.py"), edition],
            cwd=REPOSITORY,
            env={**os.environ, **tokens},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert made.returncode == 0, made.stdout
    return Project(REPOSITORY).html(edition)
