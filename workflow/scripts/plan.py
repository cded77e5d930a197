"""An edition, read and resolved once: what is to be made, from what, and where it ends.

The plan is handed on as a file. Snakemake reads its graph from it and each job its task; neither
looks a name up again. While it is made, the digests are written by which Snakemake decides what is
stale.
"""

import ast
import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from pydantic import BaseModel, ConfigDict

import digests
import parameters
import repository
import sweeps
from imc_helpers.data.manifest import (
    CohortRecord,
    Edition,
    ModelRecord,
    cohort_record,
    expected_samples,
    load_edition,
    model_record,
)
from imc_helpers.errors import InputError
from imc_helpers.models.availability import CORE_KERNEL, why_not
from imc_helpers.patching import MODES
from project import OVERVIEW, SEGMENT, Header, Project, header, read_chapter
from sweeps import PlannedSweep

CHUNK = 50
"""Samples of a cohort that one job scores: starting a job takes as long as scoring some ten."""
VIEWER = "viewer"
"""What a page reads that shows the viewer, or links to it."""
PLANTED = "planted"
"""What a page reads that shows the cohorts in which something is planted."""
PLUMBING = ("errors", "data.archives", "data.manifest", "data.paths", "data.download")
"""Modules that bring data here and cannot change them: a cohort is not made again for those."""
ABOUT = {"title", "modality", "tissue", "citation", "doi", "license", "unverified", "dna_channel"}
"""What a cohort's record says beside what its files are made from: a licence that somebody looked
up makes pages stale, and neither images nor scores."""
FRONT_CODE = "src/imc_helpers/figures/front.py"
"""What the first page shows of an edition; what that is made from makes pages stale as well."""
LAB_FOLDER = "imc_helpers.data.lab_folder"
"""Modules that only a lab's own folder goes through."""
READERS = "imc_helpers.data.readers"
READERS_OF_LARGE = {
    "schuiki25": "in_house",
    **dict.fromkeys(("ali20", "rendeiro21", "jackson20", "hoch22"), "paper_cohorts"),
}
"""Modules with the readers of cohorts that take hours, and whose downloads may be gone: changes of
other readers do not make those stale."""
MEASURED_ONCE = "benchmarks/results"
"""Folder of tables; they count for the pages in whose text its name occurs."""


class _Task(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: tuple[str, ...]
    """Files of `digests` that it depends on, relative to the root."""


class Data(_Task):
    """A cohort to prepare."""

    cohort: str


class Training(_Task):
    """A model to train."""

    model: str
    device: str


class Segmentation(_Task):
    """A model to run on cohorts, whole and in patches."""

    model: str
    kernel: str
    device: str
    adapter: str
    made_from: dict[str, str]
    """By cohort: SHA-256 of what its masks are made from."""
    trained: bool
    """Whether the build trains its weights."""

    def records(self, cohorts: Iterable[str] | None = None) -> list[str]:
        """Return the records of its runs, on all cohorts or some, relative to the root."""
        among = self.made_from if cohorts is None else [c for c in cohorts if c in self.made_from]
        return [f"predictions/{c}/{self.model}/{m}/run.json" for c in among for m in MODES]


class Scoring(_Task):
    """A cohort to score."""

    cohort: str
    models: tuple[str, ...]
    """Models with masks of it."""
    chunks: int
    """Number of jobs that share its samples."""


class Viewing(_Task):
    """A cohort whose samples get a page to look at them."""

    cohort: str
    models: tuple[str, ...]
    """Models with masks of it."""
    chunks: int
    """Number of jobs that share its samples."""


class Export(_Task):
    """A lab's own cohort, of which files are written to take home."""

    cohort: str
    models: tuple[str, ...]
    """Models with masks of it."""


class Page(_Task):
    """A notebook that becomes a page."""

    name: str
    """``study/05_annotators`` for instance."""
    under: str
    """Page whose section it is; empty for most."""
    kernel: str
    device: str
    parameters: dict[str, Any]
    made_from: str
    """SHA-256 of what it is made from."""
    inputs: tuple[str, ...]
    """Files that it reads and other tasks make, relative to the root."""
    imports: tuple[str, ...]
    """Modules that it imports."""


class Plan(BaseModel):
    """All that an edition takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    edition: str
    title: str
    description: str
    cohorts: tuple[str, ...]
    """Those that every page may show; `data` has the planted ones too."""
    data: tuple[Data, ...]
    trainings: tuple[Training, ...]
    segmentations: tuple[Segmentation, ...]
    scorings: tuple[Scoring, ...]
    viewings: tuple[Viewing, ...]
    """None where no page of the edition shows the viewer or links to it."""
    exports: tuple[Export, ...]
    """Of the cohorts that come from a lab's own folder."""
    sweeps: tuple[PlannedSweep, ...]
    pages: tuple[Page, ...]
    left_out: dict[str, str]
    """Pages that this edition does not have, and why."""
    front: tuple[str, ...]
    """Files of text, settings and pictures that the rendered book is made from."""
    book_digest: str

    def page(self, name: str) -> Page:
        """Return one page."""
        return next(page for page in self.pages if page.name == name)

    def sweep(self, name: str) -> PlannedSweep:
        """Return one sweep."""
        return next(sweep for sweep in self.sweeps if sweep.name == name)


def read(project: Project, edition: str) -> Plan:
    """Return the plan that was written last."""
    return Plan.model_validate_json(project.plan(edition).read_text(encoding="utf-8"))


def write(project: Project, plan: Plan) -> None:
    """Hand a plan on."""
    path = project.plan(plan.edition)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(plan.model_dump_json(indent=1), encoding="utf-8")


def resolve(
    project: Project, edition: str, *, device: str, at_a_time: int, sweep: str = ""
) -> Plan:
    """Read an edition, check all of it, write its digests and return its plan.

    Parameters
    ----------
    project, edition
        Which edition.
    device
        ``"cuda"`` where there is a GPU; a model that knows none gets ``"cpu"``.
    at_a_time
        Number of jobs that run at a time.
    sweep
        A sweep to plan beside those of the edition.

    Raises
    ------
    imc_helpers.errors.InputError
        If anything named does not exist or does not fit: then nothing may run.
    """
    return _Resolver(project, edition, device).plan(at_a_time, sweep)


def resolve_data(project: Project, edition: str) -> tuple[Data, ...]:
    """Read an edition, and write the digests of its cohorts alone.

    Raises
    ------
    imc_helpers.errors.InputError
        If anything that the edition names does not exist.
    """
    resolver = _Resolver(project, edition, "cpu")
    return tuple(resolver.data(cohort) for cohort in resolver.edition.made)


class _Resolver:
    """Everything that is looked up for one edition, once."""

    def __init__(self, project: Project, edition: str, device: str) -> None:
        self.project, self.name, self.device = project, edition, device
        self.edition = load_edition(edition)
        self.code = digests.Code(project.root / "src")
        self._script: dict[str, str] = {}
        self._parts_of_data: dict[str, dict[str, str]] = {}
        self.cohorts = self.edition.cohorts
        self.able = [model for model in self.edition.models if not why_not(model)]
        self.notebooks = {c: read_chapter(project.source(c)) for c in project.chapters}
        self.chosen, self.left_out = choose_pages(project, self.edition, self.name)

    def plan(self, at_a_time: int, sweep: str) -> Plan:
        names = [
            *self.edition.sweeps,
            *([sweep] if sweep not in (*self.edition.sweeps, "") else []),
        ]
        planned = tuple(self._sweep(name, at_a_time) for name in names)
        segmentations = tuple(s for model in self.able if (s := self._segmentation(model)))
        trained = dict.fromkeys(s.model for s in segmentations if s.trained)
        trained |= dict.fromkeys(model for one in planned for model in one.weights)
        pages = tuple(self._page(chapter, segmentations) for chapter in self.chosen)
        scorings = tuple(self._scoring(cohort, segmentations) for cohort in self.edition.made)
        viewed = any(VIEWER in header(self.notebooks[chapter]).reads for chapter in self.chosen)
        front = tuple(map(self.project.relative, self.project.front_matter()))
        return Plan(
            edition=self.name,
            title=self.edition.title,
            description=self.edition.description,
            cohorts=self.cohorts,
            data=tuple(self.data(cohort) for cohort in self.edition.made),
            trainings=tuple(self._training(model) for model in trained),
            segmentations=segmentations,
            scorings=scorings,
            viewings=tuple(self._viewing(one) for one in scorings if one.cohort in self.cohorts)
            if viewed
            else (),
            exports=tuple(self._export(one) for one in scorings if one.cohort in self.edition.own),
            sweeps=planned,
            pages=pages,
            left_out=self.left_out,
            front=front,
            book_digest=self._write(
                f"book/{self.name}",
                {
                    "pages": " ".join(page.name for page in pages),
                    "left out": digests.of_value(self.left_out),
                    "title": digests.of_value([self.edition.title, self.edition.description]),
                    "front": digests.of_value(front),
                    **digests.of_files(self.project.root, [self.project.root / FRONT_CODE]),
                    "parts": digests.of_value(dict(self.project.parts)),
                    "buttons": digests.of_value(
                        repository.with_buttons(self.project, self.project.config)
                    ),
                    **self._scripts("book", "gate", "page_finish", "parameters"),
                    **self._scripts("project", "report", "repository", "status"),
                    **digests.of_files(self.project.root, [self._published]),
                    **self.code.needs("imc_helpers.experiments.reproduction"),
                    **(self._of_viewer("library", ".js", ".css") if viewed else {}),
                },
            ),
        )

    def data(self, cohort: str) -> Data:
        """Plan a cohort, and write what it is made from."""
        return Data(cohort=cohort, digest=(self._write(f"data/{cohort}", self._of_data(cohort)),))

    def _of_data(self, cohort: str) -> dict[str, str]:
        """Say what a cohort is made from; of a large folder that takes a while, so it is kept."""
        if cohort not in self._parts_of_data:
            self._parts_of_data[cohort] = self._look_at_data(cohort)
        return self._parts_of_data[cohort]

    def _look_at_data(self, cohort: str) -> dict[str, str]:
        record = cohort_record(cohort)
        if module := READERS_OF_LARGE.get(record.reader):
            roots = ["imc_helpers.data.conversion", f"{READERS}.{module}"]
        else:
            roots = [f"{READERS}.published"]
            roots += ["imc_helpers.phantom.recipes"] if record.synthetic else []
        code = self.code.needs(*roots)
        for module in PLUMBING:
            code.pop(f"imc_helpers.{module}", None)
        if not record.own and record.reader not in READERS_OF_LARGE:
            code = {name: of for name, of in code.items() if not name.startswith(LAB_FOLDER)}
        panel = [self.project.root / "data_manifest" / record.panel] if record.panel else []
        root = self.project.root
        own = [record.folder, *(rater.folder for rater in record.raters.values())]
        return {
            "record": _of_cohort(record),
            **digests.of_files(root, panel),
            **{folder: digests.of_folder(root, root / folder) for folder in own if folder},
            **code,
        }

    def _training(self, model: str) -> Training:
        parts = self._of_training(model)
        return Training(
            model=model,
            device=self.device if model_record(model).gpu else "cpu",
            digest=(self._write(f"weights/{model}", parts),),
        )

    def _of_training(self, model: str) -> dict[str, str]:
        record = model_record(model)
        roots = ("imc_helpers.models.training.fit", _adapter(record))
        return {**_of_record(record), **self._environment(record), **self.code.needs(*roots)}

    @property
    def _published(self) -> Path:
        return self.project.root / "data_manifest" / "published.yml"

    @cached_property
    def _segment_code(self) -> str:
        return digests.of_tree(_tree(read_chapter(self.project.source(SEGMENT))))

    def of_model(self, model: str) -> dict[str, str]:
        """Say what a model's masks are made from, beside images."""
        record = model_record(model)
        code = self.code.needs("imc_helpers.models.run", _adapter(record))
        if record.training is None:  # the adapter can train, and what it trains on is elsewhere
            left = ("imc_helpers.models.training", "imc_helpers.phantom")
            code = {name: of for name, of in code.items() if not name.startswith(left)}
            weights = digests.of_folder(self.project.root, self.project.root / "weights" / model)
        else:
            weights = digests.of_value(self._of_training(model))
        return {**_of_record(record), "weights": weights, **self._environment(record), **code}

    def _segmentation(self, model: str) -> Segmentation | None:
        record = model_record(model)
        planted = [cohort for cohort, own in self.edition.planted.items() if model in own]
        cohorts = [cohort for cohort in (*self.cohorts, *planted) if record.covers(cohort)]
        if not cohorts:
            return None
        root = self.project.root
        parts = {"notebook": self._segment_code, **self.of_model(model)}
        written, made_from = [self._write(f"runs/{model}", parts)], {}
        for cohort in cohorts:
            own = {"data": digests.of_value(self._of_data(cohort))}
            if record.folder:
                own["masks"] = digests.of_folder(root, root / record.folder / cohort)
                written.append(self._write(f"masks/{model}/{cohort}", {"masks": own["masks"]}))
            made_from[cohort] = digests.of_value([parts, own])
        return Segmentation(
            model=model,
            kernel=record.kernel,
            device=self.device if record.gpu else "cpu",
            adapter=record.adapter,
            made_from=made_from,
            trained=record.training is not None,
            digest=tuple(written),
        )

    def _scoring(self, cohort: str, segmentations: Iterable[Segmentation]) -> Scoring:
        record = cohort_record(cohort)
        models = tuple(s.model for s in segmentations if cohort in s.made_from)
        parts = {
            "record": _of_cohort(record),
            "models": " ".join(models),
            **self.code.needs("imc_helpers.agreement.score_table"),
        }
        return Scoring(
            cohort=cohort,
            models=models,
            chunks=math.ceil(expected_samples(record) / CHUNK),
            digest=(self._write(f"scores/{self.name}/{cohort}", parts),),
        )

    def _viewing(self, scoring: Scoring) -> Viewing:
        """Plan the viewer of a cohort: of what is scored, in as many jobs."""
        cohort = scoring.cohort
        parts = {
            "record": digests.of_value(cohort_record(cohort).model_dump(mode="json")),
            "models": " ".join(scoring.models),
            "title": digests.of_value(self.edition.title),
            **self._of_viewer("pages", ".html"),
        }
        return Viewing(
            cohort=cohort,
            models=scoring.models,
            chunks=scoring.chunks,
            digest=(self._write(f"viewer/{self.name}/{cohort}", parts),),
        )

    def _export(self, scoring: Scoring) -> Export:
        parts = {
            "models": " ".join(scoring.models),
            **self.code.needs("imc_helpers.own_study.exports"),
        }
        digest = self._write(f"export/{self.name}/{scoring.cohort}", parts)
        return Export(cohort=scoring.cohort, models=scoring.models, digest=(digest,))

    def _of_viewer(self, module: str, *suffixes: str) -> dict[str, str]:
        """Say what a module of the viewer makes is made from: its code, and files of the site."""
        site = self.project.root / "src" / "imc_helpers" / "figures" / "viewer" / "site"
        files = sorted(path for path in site.glob("*") if path.suffix in suffixes)
        return {
            **digests.of_files(self.project.root, files),
            **self.code.needs(f"imc_helpers.figures.viewer.{module}"),
        }

    def _sweep(self, name: str, at_a_time: int) -> PlannedSweep:
        notebook = sweeps.load(self.project, name).notebook
        source = self.project.source(notebook)
        made_from = self._of_notebook(notebook) if source.is_file() else {}
        planted = source.is_file() and _reads_planted(read_chapter(source))
        cohorts = self.edition.made if planted else self.cohorts
        made_from["cohorts"] = digests.of_value([self._of_data(c) for c in cohorts])
        planned = sweeps.resolve(
            self.project, name, self.name, made_from, _Lazily(self.of_model), at_a_time
        )
        by_id = {point.id: point for point in planned.points}
        for number, ids in enumerate(planned.chunks):
            self._write(f"sweeps/{self.name}/{name}/{number}", {i: by_id[i].made_from for i in ids})
        self._write(
            f"sweeps/{self.name}/{name}/table",
            {p.id: f"{p.made_from} {p.why_not}" for p in planned.points}
            | self._scripts("points", "sweeps"),
        )
        return planned

    def _of_notebook(self, chapter: str) -> dict[str, str]:
        """Say what any notebook of this edition is made from: its text, code, kernel, records."""
        source = self.project.source(chapter)
        notebook = self.notebooks.get(chapter) or read_chapter(source)
        text = source.read_text(encoding="utf-8")
        folder = self.project.root / MEASURED_ONCE
        shipped = sorted(folder.glob("*.csv")) if f'"{MEASURED_ONCE}"' in text else []
        if "published_table" in text:
            shipped.append(self._published)
        kernel = notebook.metadata.kernelspec.name
        planted = _reads_planted(notebook)
        fields = {"cohorts", "models", "sweeps", *([PLANTED] if planted else [])}
        chosen = self.edition.model_dump(mode="json", include=fields)
        cohorts = self.edition.made if planted else self.cohorts
        records = {
            **{key: cohort_record(key).model_dump(mode="json") for key in cohorts},
            **{key: model_record(key).model_dump(mode="json") for key in self.edition.models},
        }
        return {
            "text": digests.of_text(text),
            "edition": digests.of_value(chosen),
            "records": digests.of_value(records),
            **_of_kernel(self.project, kernel),
            **digests.of_files(self.project.root, shipped),
            **self._scripts("execute", "gate", "kernels", "parameters", "warm"),
            **self.code.needs(_tree(notebook)),
        }

    def _page(self, chapter: str, segmentations: Iterable[Segmentation]) -> Page:
        notebook = self.notebooks[chapter]
        head, given = header(notebook), self.edition.parameters.get(chapter, {})
        values = {"edition": self.name, **given}
        try:
            parameters.check(notebook, values)
        except parameters.ParameterError as error:
            raise InputError(f"chapters/{chapter}.py: {error}") from None
        inputs = self._inputs(chapter, head, segmentations)
        parts = {
            **self._of_notebook(chapter),
            "parameters": digests.of_value(values),
            "inputs": digests.of_value(inputs),
        }
        if {"predictions", "scores", PLANTED} & set(head.reads):
            # A model that cannot run is listed with the reason.
            parts["models"] = digests.of_value({m: why_not(m) for m in self.edition.models})
        return Page(
            name=chapter,
            under=head.under,
            kernel=notebook.metadata.kernelspec.name,
            device=head.device,
            parameters=values,
            made_from=digests.of_value(parts),
            inputs=inputs,
            imports=tuple(self.code.needs(_tree(notebook))),
            digest=(self._write(f"pages/{self.name}/{chapter}", parts),),
        )

    def _inputs(
        self, chapter: str, head: Header, segmentations: Iterable[Segmentation]
    ) -> tuple[str, ...]:
        found: list[str] = []
        for name in head.reads:
            folder, _, rest = name.partition("/")
            if name == "predictions":
                found += [r for one in segmentations for r in one.records(self.cohorts)]
            elif name == "scores":
                found += [f"results/{self.name}/scores/{c}.parquet" for c in self.cohorts]
            elif name == PLANTED:
                for cohort in self.edition.planted:
                    found += [f"data/{cohort}/images.csv"]
                    found += [r for one in segmentations for r in one.records([cohort])]
                    found += [f"results/{self.name}/scores/{cohort}.parquet"]
            elif name == VIEWER:
                found += [f"results/{self.name}/viewer/{c}.csv" for c in self.cohorts]
            elif folder == "sweeps" and rest:
                if rest in self.edition.sweeps:
                    table = self.project.sweep_table(self.name, rest)
                    found.append(self.project.relative(table))
            elif folder == "pages" and rest in self.notebooks:
                if rest in self.chosen:
                    executed = self.project.executed(self.name, rest)
                    found.append(self.project.relative(executed))
            else:
                raise InputError(
                    f"chapters/{chapter}.py: it reads {name!r}; expected scores, predictions, "
                    "viewer, planted, sweeps/NAME or pages/PART/NAME of a page"
                )
        return tuple(found)

    def _environment(self, record: ModelRecord) -> dict[str, str]:
        return _of_kernel(self.project, record.kernel)

    def _scripts(self, *names: str) -> dict[str, str]:
        folder = self.project.root / "workflow" / "scripts"
        for name in set(names) - set(self._script):
            text = (folder / f"{name}.py").read_text(encoding="utf-8")
            self._script[name] = digests.of_tree(ast.parse(text))
        return {f"{name}.py": self._script[name] for name in names}

    def _write(self, name: str, parts: Mapping[str, str]) -> str:
        return digests.write(self.project.root, name, parts)


class _Lazily(dict[str, Mapping[str, str]]):
    """What the masks of each model are made from, looked up when asked for."""

    def __init__(self, look_up: Any) -> None:
        super().__init__()
        self._look_up = look_up

    def __missing__(self, model: str) -> Mapping[str, str]:
        self[model] = self._look_up(model)
        return self[model]


def choose_pages(
    project: Project, edition: Edition, name: str
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the pages of an edition in the book's order, and why it lacks the others.

    Raises
    ------
    imc_helpers.errors.InputError
        If the edition names a part or page that the book lacks, or has parameters for a page that
        it does not show, or for `edition` itself.
    """
    where, chapters = f"editions/{name}.yml", project.chapters
    for kind, named, known in (
        ("parts", edition.parts, tuple(project.parts)),
        ("pages", edition.pages, chapters),
        ("parameters", tuple(edition.parameters), chapters),
    ):
        if wrong := [item for item in named if item not in known]:
            raise InputError(
                f"{where}: `{kind}` names {', '.join(wrong)}, and the book has {', '.join(known)}"
            )
    if own := [chapter for chapter, values in edition.parameters.items() if "edition" in values]:
        raise InputError(
            f"{where}: `{own[0]}` must not set `edition`, which is always the edition's own name; "
            "remove that line"
        )
    asked = bool(edition.parts or edition.pages)
    why = edition.because or f"`{where}` names the parts and pages that it shows"
    left_out = {
        chapter: why
        for chapter in chapters
        if asked and chapter not in edition.pages and chapter.partition("/")[0] not in edition.parts
    }
    if not edition.own:
        about = "It tells of a lab's own folder, and this edition shows none."
        own = [c for c in chapters if header(read_chapter(project.source(c))).own]
        left_out |= dict.fromkeys(own, about)
    return tuple(chapter for chapter in chapters if chapter not in left_out), left_out


def overview_page(project: Project, plan: Plan, sweep: PlannedSweep) -> Page:
    """Return the page that shows one sweep; it is part of no book."""
    settings = list(sweep.points[0].settings)
    notebook = read_chapter(project.source(OVERVIEW))
    return Page(
        name=OVERVIEW,
        under="",
        kernel=notebook.metadata.kernelspec.name,
        device="cpu",
        parameters={"edition": plan.edition, "sweep": sweep.name, "swept": settings},
        made_from="",
        inputs=(),
        imports=(),
        digest=(),
    )


def _reads_planted(notebook: NotebookNode) -> bool:
    return PLANTED in header(notebook).reads


def _tree(notebook: NotebookNode) -> ast.Module:
    """Return the code of a notebook, without the cells of magic commands."""
    body: list[ast.stmt] = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            try:
                body += ast.parse(cell.source).body
            except SyntaxError:
                continue
    return ast.Module(body=body, type_ignores=[])


def _of_cohort(record: CohortRecord) -> str:
    return digests.of_value(record.model_dump(mode="json", exclude=ABOUT))


def _of_record(record: ModelRecord) -> dict[str, str]:
    return {"record": digests.of_value(record.model_dump(mode="json"))}


def _adapter(record: ModelRecord) -> str:
    return f"imc_helpers.models.adapters.{record.adapter}"


def _of_kernel(project: Project, kernel: str) -> dict[str, str]:
    """Return the digest of the versions that a kernel's environment pins."""
    name = "constraints.txt" if kernel == CORE_KERNEL else f"{kernel}.yml"
    path = project.root / "envs" / name
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pinned = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {f"envs/{name}": digests.of_value(pinned)}
