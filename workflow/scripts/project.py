"""Where things are: the pages of the book, what each is made from and where it ends."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode

from imc_helpers.data.manifest import Edition, load_edition, model_record
from imc_helpers.data.predictions import MODES, RUN
from imc_helpers.errors import InputError
from imc_helpers.models.registry import TRAINING, why_not

CHAPTERS = "chapters"
SEGMENT = "study/06_segment"
"""The notebook that runs a model; no page of the book."""
STATUS = "status"
"""Name of the page that the flow itself writes."""


@dataclass(frozen=True)
class Run:
    """One model on one cohort in one mode."""

    cohort: str
    model: str
    mode: str


@dataclass(frozen=True)
class Project:
    """One checkout of the book."""

    root: Path
    """Folder that holds ``_config.yml``."""

    @property
    def scratch(self) -> Path:
        """Folder for half-made files; on the same file system as what they become."""
        return self.root / "_build" / ".scratch"

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the book, ``_config.yml``."""
        return _load_mapping(self.root / "_config.yml")

    def cohorts(self) -> tuple[str, ...]:
        """Return the keys of the manifest's cohorts."""
        return tuple(_load_mapping(self.root / "data_manifest" / "cohorts.yml"))

    def chapters(self) -> tuple[str, ...]:
        """Return the notebooks in the order of the table of contents, ``study/01_datasets`` say."""
        prefix = f"{CHAPTERS}/"
        return tuple(p.removeprefix(prefix) for p in self._pages() if p.startswith(prefix))

    def front_matter(self) -> tuple[Path, ...]:
        """Return every file but the notebooks that the rendered book is made from."""
        texts = [p for p in self._pages() if not p.startswith(f"{CHAPTERS}/") and p != STATUS]
        names = ["_config.yml", "_toc.yml", *self.config.get("bibtex_bibfiles", [])]
        names += [f"{page}.md" for page in texts]
        static = sorted(p for p in (self.root / "_static").rglob("*") if p.is_file())
        return (*(self.root / name for name in names), *static)

    def source(self, chapter: str) -> Path:
        """Return the text that a notebook is made from."""
        return self.root / CHAPTERS / f"{chapter}.py"

    def executed(self, edition: str, chapter: str) -> Path:
        """Return the notebook as it was run."""
        return self.root / "executed" / edition / f"{chapter}.ipynb"

    def staged(self, edition: str) -> Path:
        """Return the folder that Jupyter Book reads."""
        return self.root / "_build" / edition / "src"

    def html(self, edition: str) -> Path:
        """Return the folder of the rendered book."""
        return self.root / "_build" / edition / "html"

    def edition_file(self, edition: str) -> Path:
        """Return the file that says what an edition shows."""
        return self.root / "editions" / f"{edition}.yml"

    def edition(self, name: str) -> Edition:
        """Read an edition whose parameters fit the pages of this book.

        Raises
        ------
        imc_helpers.errors.InputError
            If there is no such edition, it is malformed, gives parameters to a chapter that the
            book lacks, or another name to itself.
        """
        record = load_edition(name)
        where, chapters = self.edition_file(name).relative_to(self.root), self.chapters()
        for chapter, values in record.parameters.items():
            if chapter not in chapters:
                raise InputError(
                    f"{where}: parameters for `{chapter}`, which is no chapter of the book; "
                    f"it has {', '.join(chapters)}"
                )
            if "edition" in values:
                raise InputError(
                    f"{where}: `{chapter}` must not set `edition`, which is always the edition's "
                    "own name; remove that line"
                )
        return record

    def runs(self, edition: str) -> tuple[Run, ...]:
        """Return the runs of models that an edition's pages are made from.

        A model that cannot run here has none: the pages say so, and say why.
        """
        record = load_edition(edition)
        able = [model for model in record.models if not why_not(model)]
        return tuple(
            Run(cohort, model, mode)
            for cohort in record.cohorts
            for model in able
            for mode in MODES
            if model_record(model).covers(cohort)
        )

    def masks(self, run: Run) -> Path:
        """Return the record of a run, which stands beside its masks."""
        return self.root / "predictions" / run.cohort / run.model / run.mode / RUN

    def segmented(self, run: Run) -> Path:
        """Return the notebook of a run as it was executed."""
        return self.root / "executed" / "segment" / run.cohort / run.model / f"{run.mode}.ipynb"

    def weights(self, model: str) -> Path:
        """Return the note beside weights that the build trains."""
        return self.root / "weights" / model / TRAINING

    def inputs(self, edition: str, chapter: str) -> tuple[Path, ...]:
        """Return what a chapter reads beside cohorts: records of models' runs, sweeps' tables."""
        tables = tuple(
            self.root / "results" / edition / "sweeps" / f"{name}.csv"
            for name in load_edition(edition).sweeps
            if chapter in _load_mapping(self.root / "sweeps" / f"{name}.yml").get("pages", ())
        )
        if "predictions" not in reads(self.source(chapter)):
            return tables
        return (*tables, *(self.masks(run) for run in self.runs(edition)))

    def package_digest(self) -> str:
        """Return one SHA-256 for the code, settings and tables that every notebook depends on.

        A chapter that did not change must still run again when the functions it calls did.
        """
        names = ("execute", "kernels", "parameters", "stamp", "warm")
        scripts = [f"workflow/scripts/{name}.py" for name in names]
        files = [self.root / name for name in ("envs/constraints.txt", *scripts)]
        for name in ("src/imc_helpers", "data_manifest", "benchmarks/results"):
            found = (self.root / name).rglob("*")
            files += [p for p in found if p.is_file() and "__pycache__" not in p.parts]
        return digest(*sorted(files))

    def cohort_digest(self, cohort: str) -> str:
        """Return one SHA-256 for what a cohort is prepared from: its record, panel and code.

        The code is what reads published files, or what makes a synthetic cohort, and what writes.
        """
        manifest, package = self.root / "data_manifest", self.root / "src" / "imc_helpers"
        record = _load_mapping(manifest / "cohorts.yml").get(cohort, {})
        folders = ["readers", *(["phantom"] if "phantom" in record else [])]
        code = sorted(p for name in folders for p in (package / name).rglob("*.py"))
        panels = sorted((manifest / "panels").glob("*.csv"))
        text = json.dumps(record, sort_keys=True, default=str)
        files = digest(package / "samples.py", *code, *panels)
        return hashlib.sha256(f"{text}{files}".encode()).hexdigest()

    def weights_digest(self, model: str) -> str:
        """Return one SHA-256 for what a model's weights are trained from: record, tissue, code."""
        return self._model_digest(model, "samples.py", "aggregation.py", "models/training.py")

    def run_digest(self, run: Run) -> str:
        """Return one SHA-256 for what a run's masks are made from.

        Weights count by name, size and time: they are large, and only replaced as a whole.
        """
        code = ("samples.py", "aggregation.py", "patching.py", "predictions.py", "inference.py")
        shared = [f"models/{name}.py" for name in ("segmenter", "tiling", "registry")]
        folder = self.root / "weights" / run.model
        weights = [
            (str(p.relative_to(folder)), p.stat().st_size, p.stat().st_mtime_ns)
            for p in sorted(folder.rglob("*"))
            if p.is_file() and not p.name.startswith(".")
        ]
        total = hashlib.sha256(self._model_digest(run.model, *code, *shared).encode())
        total.update(self.cohort_digest(run.cohort).encode())
        total.update(f"{run.mode}{weights}{digest(self.source(SEGMENT))}".encode())
        return total.hexdigest()

    def _model_digest(self, model: str, *modules: str) -> str:
        """Digest a model's record, its adapter with the modules named, and the pinned versions."""
        package = self.root / "src" / "imc_helpers"
        record = model_record(model)
        files = [package / name for name in (f"models/{record.adapter}.py", *modules)]
        files += sorted((package / "models").glob("_[!_]*.py"))
        if record.training is not None:  # trained on phantom tissue; a pixel forest uses its code
            files += sorted((package / "phantom").rglob("*.py"))
        content = digest(self.root / "envs" / "constraints.txt", *files)
        return hashlib.sha256(f"{record.model_dump_json()}{content}".encode()).hexdigest()

    def _pages(self) -> list[str]:
        return list(_files(_load_mapping(self.root / "_toc.yml")))


@dataclass(frozen=True)
class Expected:
    """What an executed notebook must carry to count as made from today's files."""

    source: str
    """SHA-256 of the chapter's text."""
    package: str
    """SHA-256 of the code it calls."""
    edition: str
    edition_file: str
    """SHA-256 of the edition's file."""
    parameters: dict[str, Any]
    kernel: str
    """Name of the Jupyter kernel that the chapter asks for."""
    device: str
    """``"cpu"`` or ``"cuda"``."""
    inputs: str = ""
    """SHA-256 of the records of models' runs and the sweeps' tables that a page reads, or of what
    the weights of a sweep's point are trained from; empty where there are none."""
    page: bool = True
    """Whether it becomes a page; other notebooks may hold what a library wrote to stderr."""


@dataclass(frozen=True)
class Job:
    """One notebook to run: from what, on what, and where it ends."""

    source: Path
    target: Path
    expected: Expected


def chapter_job(project: Project, edition: str, chapter: str) -> Job:
    """Return the job that makes a chapter of an edition; errors as `expected`."""
    return Job(
        project.source(chapter),
        project.executed(edition, chapter),
        expected(project, edition, chapter),
    )


def segment_job(project: Project, run: Run, device: str) -> Job:
    """Return the job that runs a model.

    Parameters
    ----------
    project, run
        Which run.
    device
        ``"cuda"`` where there is a GPU; a model that knows none gets ``"cpu"``.
    """
    record = model_record(run.model)
    parameters = {
        "cohort": run.cohort,
        "model": run.model,
        "mode": run.mode,
        "device": device if record.gpu else "cpu",
    }
    source = project.source(SEGMENT)
    made_from = Expected(
        source=digest(source),
        package=project.run_digest(run),
        edition="",
        edition_file="",
        parameters=parameters,
        kernel=record.kernel,
        device=parameters["device"],
        page=False,
    )
    return Job(source, project.segmented(run), made_from)


def reads(source: Path) -> tuple[str, ...]:
    """Return what a chapter's header says that it reads: ``imc_book: {reads: [predictions]}``."""
    return tuple(read_chapter(source).metadata.get("imc_book", {}).get("reads", ()))


def expected(project: Project, edition: str, chapter: str) -> Expected:
    """Say what a chapter of an edition is to be made from.

    Raises
    ------
    imc_helpers.errors.InputError
        If there is no such edition, or its parameters do not fit the book.
    FileNotFoundError
        If there is no such chapter.
    """
    notebook = read_chapter(project.source(chapter))
    inputs = [path for path in project.inputs(edition, chapter) if path.is_file()]
    return Expected(
        source=digest(project.source(chapter)),
        package=project.package_digest(),
        edition=edition,
        edition_file=digest(project.edition_file(edition)),
        parameters=parameters_of(project.edition(edition), edition, chapter),
        kernel=notebook.metadata.kernelspec.name,
        device=notebook.metadata.get("imc_book", {}).get("device", "cpu"),
        inputs=digest(*inputs) if inputs else "",
    )


def parameters_of(record: Edition, edition: str, chapter: str) -> dict[str, Any]:
    """Return the parameters that an edition passes to a chapter."""
    return {"edition": edition, **record.parameters.get(chapter, {})}


def read_chapter(source: Path) -> NotebookNode:
    """Read a chapter's text as a notebook without outputs.

    The notebook names its kernel: ``python3`` where the text names none. Cell ids follow the cells'
    order, where jupytext draws them at random: the same text gives the same notebook.
    """
    notebook = jupytext.read(source)
    if "kernelspec" not in notebook.metadata:
        notebook.metadata["kernelspec"] = nbformat.from_dict(
            {"display_name": "Python 3", "language": "python", "name": "python3"}
        )
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"
    return notebook


def digest(*files: Path) -> str:
    """Return the SHA-256 of some files' names and contents, hexadecimal."""
    total = hashlib.sha256()
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{file.name} {content}\n".encode())
    return total.hexdigest()


def _files(node: Any) -> Iterator[str]:
    """Walk a table of contents for the pages it names."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("root", "file"):
                yield value
            else:
                yield from _files(value)
    elif isinstance(node, Iterable) and not isinstance(node, str):
        for item in node:
            yield from _files(item)


def _load_mapping(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a mapping, found {type(content).__name__}")
    return content
