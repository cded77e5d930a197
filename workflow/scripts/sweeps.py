"""Sweeps: one notebook over many combinations of parameters; which there are, which are missing."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import gate
import parameters
from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.models.registry import why_not
from project import Expected, Job, Project, digest, read_chapter

MODEL = "model"
"""A parameter of this name says which model of the manifest a point runs."""
SEED = "seed"


class Block(BaseModel):
    """Some combinations: exactly one of the three ways to say them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grid: dict[str, list[Any]] | None = None
    """Every combination of the values."""
    zip: dict[str, list[Any]] | None = None
    """First value with first value, second with second, and so on."""
    points: list[dict[str, Any]] | None = None
    """Combinations one by one."""

    @model_validator(mode="after")
    def _one_way(self) -> "Block":
        given = [way for way in (self.grid, self.zip, self.points) if way is not None]
        if len(given) != 1:
            raise ValueError("expected one of `grid`, `zip` and `points`")
        if not given[0]:
            raise ValueError("no parameters: nothing would run")
        lists = {**(self.grid or {}), **(self.zip or {})}
        if empty := [name for name, values in lists.items() if not values]:
            raise ValueError(f"no values for {', '.join(empty)}: nothing would run")
        lengths = {name: len(values) for name, values in (self.zip or {}).items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"`zip` needs lists of one length, found {lengths}")
        return self

    def size(self) -> int:
        """Count the combinations without making them."""
        if self.grid is not None:
            return math.prod(len(values) for values in self.grid.values())
        if self.zip is not None:
            return len(next(iter(self.zip.values())))
        return len(self.points or ())

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Make the combinations; in a grid the first parameter changes most slowly."""
        if self.points is not None:
            yield from self.points
            return
        lists = self.grid if self.grid is not None else self.zip
        assert lists is not None
        rows = (
            itertools.product(*lists.values()) if self.grid else zip(*lists.values(), strict=True)
        )
        for row in rows:
            yield dict(zip(lists, row, strict=True))


class Sweep(BaseModel):
    """``sweeps/NAME.yml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    description: str = ""
    """A sentence or two for the page that shows the table."""
    notebook: str
    """Notebook of a point, ``sweeps/channels_point`` for instance."""
    pages: tuple[str, ...] = ()
    """Chapters that read the table."""
    kernel: str = ""
    """Jupyter kernel; the notebook's own when empty."""
    seeds: tuple[int, ...] = ()
    """Each combination runs once with each, as the parameter ``seed``."""
    editions: dict[str, tuple[Block, ...]] = Field(min_length=1)
    """Combinations by edition; one that occurs twice runs once."""
    max_points: int = Field(default=500, gt=0)
    """A sweep of more points is refused."""
    chunk: int = Field(default=25, gt=0)
    """Most points that a job runs, one after the other, with imports done once."""
    minutes: float = Field(default=10, gt=0)
    """Longest time that a point may take."""
    memory_mb: int = Field(default=4000, gt=0)
    """Most resident memory that a point may take, MB (10**6 bytes)."""


@dataclass(frozen=True)
class Point:
    """One combination."""

    id: str
    """Name of its files: the beginning of the SHA-256 of its parameters."""
    settings: dict[str, Any]
    """Every parameter that the sweep sets anywhere; the notebook's default where this point sets
    none."""
    job: Job
    why_not: str = ""
    """Why it cannot run here; empty where it can."""

    @property
    def text(self) -> str:
        """The values as a reader would write them."""
        return ", ".join(f"{k}={parameters.as_literal(v)}" for k, v in self.settings.items())


def load(project: Project, name: str) -> Sweep:
    """Read ``sweeps/NAME.yml``.

    Raises
    ------
    imc_helpers.errors.InputError
        If there is no such file or it is malformed.
    """
    path = project.root / "sweeps" / f"{name}.yml"
    if not path.is_file():
        have = ", ".join(sorted(p.stem for p in path.parent.glob("*.yml"))) or "none"
        raise InputError(f"sweep {name!r}: no file sweeps/{name}.yml; there are: {have}")
    try:
        return Sweep.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise InputError(f"sweeps/{name}.yml: {error}") from None


def device_of(project: Project, name: str) -> str:
    """Return the device that a sweep's notebook asks for, ``"cpu"`` or ``"cuda"``."""
    notebook = read_chapter(project.source(load(project, name).notebook))
    return str(notebook.metadata.get("imc_book", {}).get("device", "cpu"))


def points(project: Project, name: str, edition: str) -> tuple[Point, ...]:
    """Return the points of a sweep, in its order.

    Raises
    ------
    imc_helpers.errors.InputError
        If anything about the sweep is not as it should be: then nothing may run.
    """
    sweep = load(project, name)
    where = f"sweeps/{name}.yml"
    project.edition(edition)
    if edition not in sweep.editions:
        raise InputError(
            f"{where}: nothing for the edition `{edition}`; it has {', '.join(sweep.editions)}"
        )
    blocks = sweep.editions[edition]
    count = sum(block.size() for block in blocks) * max(1, len(sweep.seeds))
    if not count:
        raise InputError(f"{where}: no points for the edition `{edition}`: nothing would run")
    if count > sweep.max_points:
        raise InputError(
            f"{where}: {count} points for the edition `{edition}`, and `max_points` allows "
            f"{sweep.max_points}; take values away, or raise it"
        )
    if not project.source(sweep.notebook).is_file():
        raise InputError(f"{where}: no notebook chapters/{sweep.notebook}.py")
    if wrong := [page for page in sweep.pages if page not in project.chapters()]:
        raise InputError(f"{where}: `pages` names {', '.join(wrong)}, no chapter of the book")
    notebook = read_chapter(project.source(sweep.notebook))
    try:
        declared = parameters.declared(notebook)
        asked = list(_combinations(sweep, blocks))
        for values in asked:
            parameters.check(notebook, values)
    except parameters.ParameterError as error:
        raise InputError(f"{where}: {error}") from None
    if any("edition" in values for values in asked):
        raise InputError(f"{where}: `edition` is set by the run; remove it")
    names = dict.fromkeys(itertools.chain.from_iterable(asked))
    made_from = Expected(
        source=digest(project.source(sweep.notebook)),
        package=project.package_digest(),
        edition=edition,
        edition_file=digest(project.edition_file(edition)),
        parameters={},
        kernel=sweep.kernel or notebook.metadata.kernelspec.name,
        device=device_of(project, name),
    )
    found: dict[str, Point] = {}
    for values in asked:
        full = {key: values.get(key, declared[key].default) for key in names}
        point = _point(project, name, sweep, made_from, full)
        found.setdefault(point.id, point)
    return tuple(found.values())


def needed_weights(project: Project, found: Iterable[Point]) -> tuple[str, ...]:
    """Return the models among some points that the build trains."""
    models = dict.fromkeys(
        p.settings[MODEL] for p in found if MODEL in p.settings and not p.why_not
    )
    return tuple(model for model in models if model_record(model).training is not None)


def state(point: Point) -> str:
    """Say why a point has no result that counts; empty where it has one."""
    target = point.job.target
    if not target.is_file():
        return point.why_not or "not run"
    try:
        notebook = nbformat.read(target, as_version=4)
    except (ValueError, OSError) as error:
        return f"not readable: {error}"
    return "; ".join(gate.problems(notebook, point.job.expected, target.stat().st_size))


def table_file(project: Project, name: str, edition: str) -> Path:
    """Return the table of a sweep."""
    return project.root / "results" / edition / "sweeps" / f"{name}.csv"


def note_file(project: Project, name: str, edition: str) -> Path:
    """Return the note beside a table that says which points it holds."""
    return table_file(project, name, edition).with_name(f".{name}.made_from")


def made_from(found: Iterable[Point]) -> str:
    """Return one SHA-256 for some points and all that they are made from."""
    total = hashlib.sha256()
    for point in found:
        total.update(f"{point.id} {point.why_not} {point.job.expected}\n".encode())
    return total.hexdigest()


def failed_file(project: Project, name: str, edition: str) -> Path:
    """Return the list of points that are missing in the table, and why; gone when none is."""
    return table_file(project, name, edition).with_suffix(".failed.csv")


def log_file(project: Project, name: str, edition: str, point: Point) -> Path:
    """Return what a point left when it failed."""
    return work_folder(project, name, edition) / f"{point.id}.log"


def work_folder(project: Project, name: str, edition: str) -> Path:
    """Return the folder of a sweep's plan, logs and marks of finished chunks."""
    return project.root / "_build" / edition / "sweeps" / name


def _combinations(sweep: Sweep, blocks: Iterable[Block]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        for values in block.combinations():
            for seed in sweep.seeds or (None,):
                if seed is not None and SEED in values:
                    raise parameters.ParameterError("`seed` is set both by `seeds` and by a point")
                yield values if seed is None else {**values, SEED: seed}


def _point(
    project: Project, name: str, sweep: Sweep, made_from: Expected, values: Mapping[str, Any]
) -> Point:
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    reason, weights = "", ""
    if MODEL in values:
        model = values[MODEL]
        record = model_record(model)
        reason = why_not(model)
        if not reason and record.kernel != made_from.kernel:
            reason = (
                f"`{model}` runs on the kernel {record.kernel}, the sweep on {made_from.kernel}"
            )
        if record.training is not None:
            weights = project.weights_digest(model)
    asked = replace(made_from, parameters={"edition": made_from.edition, **values}, inputs=weights)
    target = project.root / "executed" / made_from.edition / "sweeps" / name / f"{key}.ipynb"
    return Point(key, dict(values), Job(project.source(sweep.notebook), target, asked), reason)
