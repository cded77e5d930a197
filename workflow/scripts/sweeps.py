"""Sweeps: one notebook over many combinations of parameters, and which combinations there are."""

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import nbformat
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import digests
import gate
import parameters
from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.models.availability import why_not
from project import Project, header, read_chapter

MODEL = "model"
"""A parameter of this name says which model of the manifest a point runs."""
SEED = "seed"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a sweep may be called: its name is part of paths and of commands."""


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
    kernel: str = ""
    """Jupyter kernel; the notebook's own when empty."""
    device: dict[str, Literal["cpu", "cuda"]] = {}
    """By edition: where its points run; the notebook's own device for those not named."""
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


class Point(BaseModel):
    """One combination."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    """Name of its files: the beginning of the SHA-256 of its parameters."""
    settings: dict[str, Any]
    """Every parameter that the sweep sets anywhere; the notebook's default where this point sets
    none."""
    made_from: str
    """SHA-256 of all that it is made from."""
    why_not: str = ""
    """Why it cannot run here; empty where it can."""

    @property
    def text(self) -> str:
        """The values as a reader would write them."""
        return ", ".join(f"{k}={parameters.as_literal(v)}" for k, v in self.settings.items())


class PlannedSweep(BaseModel):
    """A sweep for one edition, ready to run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    edition: str
    notebook: str
    """Notebook of a point."""
    kernel: str
    device: str
    minutes: float
    memory_mb: int
    points: tuple[Point, ...]
    """In the sweep's order; those that cannot run here too."""
    chunks: tuple[tuple[str, ...], ...]
    """Ids of the points that each job runs."""
    weights: tuple[str, ...]
    """Models among the points that the build trains."""

    def chunk_minutes(self, number: int) -> int:
        """Return the longest time that a chunk may take, its start and imports included."""
        return STARTING_MIN + math.ceil(self.minutes * len(self.chunks[number]))


STARTING_MIN = 5


def load(project: Project, name: str) -> Sweep:
    """Read ``sweeps/NAME.yml``.

    Raises
    ------
    imc_helpers.errors.InputError
        If the name cannot be one, there is no such file or it is malformed.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"sweep {name!r}: its name may hold letters, digits, `_`, `-` and `.`")
    path = project.root / "sweeps" / f"{name}.yml"
    if not path.is_file():
        have = ", ".join(sorted(p.stem for p in path.parent.glob("*.yml"))) or "none"
        raise InputError(f"sweep {name!r}: no file sweeps/{name}.yml; there are: {have}")
    try:
        return Sweep.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise InputError(f"sweeps/{name}.yml: {error}") from None


def resolve(
    project: Project,
    name: str,
    edition: str,
    made_from: Mapping[str, str],
    of_model: Mapping[str, Mapping[str, str]],
    at_a_time: int,
) -> PlannedSweep:
    """Return a sweep as it is to run.

    Parameters
    ----------
    project, name, edition
        Which sweep.
    made_from
        What every point is made from: names and hashes.
    of_model
        What the masks of each model are made from on top, by its key; asked for as needed.
    at_a_time
        Number of chunks that run at a time.

    Raises
    ------
    imc_helpers.errors.InputError
        If anything about the sweep is not as it should be: then nothing may run.
    """
    sweep = load(project, name)
    where = f"sweeps/{name}.yml"
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
    kernel = sweep.kernel or notebook.metadata.kernelspec.name
    found: dict[str, Point] = {}
    for values in asked:
        full = {key: values.get(key, declared[key].default) for key in names}
        point = _point(full, {**made_from, "kernel": kernel}, of_model, kernel)
        found.setdefault(point.id, point)
    able = [point for point in found.values() if not point.why_not]
    models = dict.fromkeys(p.settings[MODEL] for p in able if MODEL in p.settings)
    return PlannedSweep(
        name=name,
        edition=edition,
        notebook=sweep.notebook,
        kernel=kernel,
        device=sweep.device.get(edition, header(notebook).device),
        minutes=sweep.minutes,
        memory_mb=sweep.memory_mb,
        points=tuple(found.values()),
        chunks=_chunks([point.id for point in able], sweep.chunk, at_a_time),
        weights=tuple(model for model in models if model_record(model).training is not None),
    )


def point_file(project: Project, sweep: PlannedSweep, point: Point) -> Path:
    """Return the notebook of a point as it was run."""
    folder = project.root / "executed" / sweep.edition / "sweeps" / sweep.name
    return folder / f"{point.id}.ipynb"


def log_file(project: Project, sweep: PlannedSweep, point: Point) -> Path:
    """Return what a point left when it failed."""
    return project.sweep_folder(sweep.edition, sweep.name) / f"{point.id}.log"


def is_there(project: Project, sweep: PlannedSweep, point: Point) -> bool:
    """Say whether a point has a result, made from what it is made from today."""
    try:
        notebook = nbformat.read(point_file(project, sweep, point), as_version=4)
        return gate.read_stamp(notebook).made_from == point.made_from
    except (OSError, ValueError, KeyError):
        return False


def _chunks(ids: list[str], size: int, at_a_time: int) -> tuple[tuple[str, ...], ...]:
    """Divide points among jobs, so that each of those at work at a time gets about as much."""
    count = min(len(ids), at_a_time * math.ceil(len(ids) / (size * at_a_time)))
    return tuple(
        tuple(ids[len(ids) * i // count : len(ids) * (i + 1) // count]) for i in range(count)
    )


def _combinations(sweep: Sweep, blocks: Iterable[Block]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        for values in block.combinations():
            for seed in sweep.seeds or (None,):
                if seed is not None and SEED in values:
                    raise parameters.ParameterError("`seed` is set both by `seeds` and by a point")
                yield values if seed is None else {**values, SEED: seed}


def _point(
    values: Mapping[str, Any],
    made_from: Mapping[str, str],
    of_model: Mapping[str, Mapping[str, str]],
    kernel: str,
) -> Point:
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    reason, parts = "", {**made_from, "parameters": text}
    if MODEL in values:
        model = values[MODEL]
        record = model_record(model)
        reason = why_not(model)
        if not reason and record.kernel != kernel:
            reason = f"`{model}` runs on the kernel {record.kernel}, the sweep on {kernel}"
        parts |= of_model[model]
    return Point(
        id=digests.of_text(text)[:16],
        settings=dict(values),
        made_from=digests.of_value(parts),
        why_not=reason,
    )
