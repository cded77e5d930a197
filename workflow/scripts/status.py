"""The status page: which published numbers an edition reproduces, and what each notebook took.

It is written when the book is put together, after every notebook has run, so it sees what all of
them left. No number on it comes from anywhere but the manifest, those tables, and the stamps.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import nbformat
import pandas as pd

from gate import read_stamp
from imc_helpers.data.manifest import PublishedTable, Value, cohort_record, published_studies
from imc_helpers.data.predictions import read_run
from imc_helpers.experiments.reproduction import MEASUREMENTS, VERDICTS, Comparison, compare
from imc_helpers.figures.names import cohort_name, model_name
from imc_helpers.patching import MODES
from plan import Plan
from project import CHAPTERS, STATUS, Project

NUMBERS, NOTEBOOKS = "published_numbers.csv", "notebooks.csv"
"""Files beside the page, with every line of its tables."""
LIBRARIES = ("imc-agreement-book", "numpy", "scipy", "pandas", "scikit-image")
"""Whose versions stand on the page: what scores are computed with."""
SHORT = 10
"""Letters shown of a hash; the file beside the page has all."""


class Ran(NamedTuple):
    """One notebook that ran."""

    notebook: str
    """``study/05_annotators``, or a model and its mode."""
    title: str
    """As the page shows it."""
    seconds: float
    peak_memory_mb: float
    device: str
    kernel: str
    python: str
    finished: str
    """Date and time, UTC."""
    made_from: str
    """SHA-256 of the digest of all that it depends on."""
    sha256: str
    """Of the notebook as it was run."""
    version: str = ""
    """Of a model's libraries."""
    weights: str = ""
    """SHA-256 of a model's weights."""


def write_status(project: Project, plan: Plan, folder: Path) -> None:
    """Write the page and its files into the folder of an edition's sources."""
    results = project.root / "results" / plan.edition
    found = compare(plan.edition, results, [page.name for page in plan.pages])
    pages, runs = pages_that_ran(project, plan), models_that_ran(project, plan)
    _numbers(found).to_csv(folder / NUMBERS, index=False)
    pd.DataFrame([*pages, *runs], columns=Ran._fields).to_csv(folder / NOTEBOOKS, index=False)
    text = status_page(plan.edition, found, pages, runs)
    (folder / f"{STATUS}.md").write_text(text, encoding="utf-8")


def pages_that_ran(project: Project, plan: Plan) -> list[Ran]:
    """List the notebooks of an edition's pages, in the order of the book."""
    return [
        _ran(
            page.name,
            f"[]({CHAPTERS}/{page.name}.ipynb)",
            project.executed(plan.edition, page.name),
        )
        for page in plan.pages
    ]


def models_that_ran(project: Project, plan: Plan) -> list[Ran]:
    """List the notebooks that ran the edition's models, one for each mode."""
    found = []
    for task in plan.segmentations:
        made_from = hashlib.sha256("".join(task.made_from.values()).encode()).hexdigest()
        for mode in MODES:
            runs = [read_run(cohort, task.model, mode) for cohort in task.made_from]
            run = next((run for run in runs if run is not None), None)
            path = project.segmented(task.model, mode)
            if run is not None and path.is_file():
                one = _ran(f"{task.model}, {mode}", f"{model_name(task.model)}, {mode}", path)
                found.append(
                    one._replace(made_from=made_from, version=run.version, weights=run.weights)
                )
    return found


def _ran(name: str, title: str, path: Path) -> Ran:
    content = path.read_bytes()
    stamp = read_stamp(nbformat.reads(content.decode(), as_version=4))
    return Ran(
        notebook=name,
        title=title,
        seconds=stamp.seconds,
        peak_memory_mb=stamp.peak_memory_mb,
        device=stamp.device,
        kernel=stamp.kernel,
        python=stamp.python,
        finished=stamp.finished,
        made_from=stamp.made_from,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def status_page(
    edition: str, found: Sequence[Comparison], pages: Sequence[Ran], runs: Sequence[Ran]
) -> str:
    """Return the page as MyST Markdown.

    Parameters
    ----------
    edition
        Its name.
    found
        What `imc_helpers.experiments.reproduction.compare` returns.
    pages, runs
        What `pages_that_ran` and `models_that_ran` return.
    """
    lines = [
        "# Status",
        "",
        f"**Which published numbers does the `{edition}` edition reproduce, and what ran for it?**",
        "",
        *_summary(edition, found),
    ]
    for key, study in published_studies().items():
        of_study = [one for one in found if one.study == key]
        lines += [f"## {study.study}", ""]
        for name, group in groupby(of_study, key=lambda one: one.table):
            lines += _table(study.tables[name], list(group), pages)
    return "\n".join([*lines, *_notebooks(edition, pages, runs)])


def _summary(edition: str, found: Sequence[Comparison]) -> Iterator[str]:
    counts = Counter(one.verdict for one in _each_once(found))
    total = sum(counts.values())
    checked = counts["reproduced"] + counts["differs"]
    verdict = (
        f"The `{edition}` edition reproduces {counts['reproduced']} of the {checked} published "
        f"numbers that it can check, and {counts['differs']} differ. Of the {total} numbers that "
        "the studies report and this book could measure,"
        if checked
        else f"The `{edition}` edition can check none of the {total} published numbers that this "
        "book could measure, because it has other data or other models:"
    )
    yield from (
        ":::{div} answer",
        f"**In short.** {verdict} {counts['other data']} were measured on other data, which says "
        f"nothing about the study, and {counts['not run']} were not measured.",
        ":::",
        "",
        f"{{download}}`All numbers as CSV <{NUMBERS}>`",
        "",
        "| Study | Numbers | " + " | ".join(VERDICTS) + " |",
        "|---|--:|" + "--:|" * len(VERDICTS),
    )
    for key, study in published_studies().items():
        own = Counter(one.verdict for one in _each_once(found) if one.study == key)
        cells = [sum(own.values()), *(own[verdict] for verdict in VERDICTS)]
        yield f"| {study.study} | " + " | ".join(map(str, cells)) + " |"
    yield from (
        "",
        "- *Reproduced* and *differs* are used only for numbers that were measured on the study's "
        "own images and masks and, if they are about models, with the study's own models. Each "
        "table gives the tolerance that separates the two, and the reason for it.",
        "- *Other data*: measured here on images that are not the study's (some are synthetic), or "
        "with other models. These numbers are shown for scale only.",
        "- *Not run*: not measured here, for the reason given.",
        "",
        "Published values are quoted from `data_manifest/published.yml`. Measured values are read "
        "from the tables that pages write. "
        f"Computed with {', '.join(f'{name} {version(name)}' for name in LIBRARIES)}.",
        "",
    )


def _each_once(found: Iterable[Comparison]) -> Iterator[Comparison]:
    """Yield one comparison for each published number; it may have been measured several times."""
    for _, same in groupby(found, key=lambda one: (one.study, one.table, one.row, one.quantity)):
        yield next(same)


def _table(
    table: PublishedTable, found: Sequence[Comparison], pages: Sequence[Ran]
) -> Iterator[str]:
    """Show what came of one published table: the comparison, or the numbers and why not."""
    measured = [one for one in found if one.measured is not None]
    count = len(list(_each_once(found)))
    title = f"{table.place[0].upper()}{table.place[1:]}: {table.title}"
    about = [f"*Data:* {table.data}.", ""]
    if not measured:
        reasons = dict.fromkeys(one.why for one in found)
        yield from (f":::::{{dropdown}} {title} ({count} numbers, not run)", *about)
        yield from (f"*Not run:* {' '.join(reasons)}", "")
    else:
        yield from (f"### {title}", "", *about)
        if table.because:
            how = ", ".join(f"{_label(table, k)} {v:g}" for k, v in table.tolerance.items())
            rule = f"*Tolerance:* {how}. " if how else "*Rule:* below the published bound. "
            yield from (f"{rule}{table.because}", "")
        yield from (_measured_by(table, pages), "")
    for remark in table.remarks:
        yield f"- {remark}"
    yield ""
    yield from _rows(table, found) if measured else _quoted(table)
    yield from (":::::", "") if not measured else ("",)


def _measured_by(table: PublishedTable, pages: Iterable[Ran]) -> str:
    said = [
        f"{one.title} ({one.finished}, Python {one.python}, made from `{one.made_from[:SHORT]}`)"
        for one in pages
        if one.notebook in MEASUREMENTS[table.measured_by].pages
    ]
    return f"*Measured by* {' and '.join(said)}."


def _rows(table: PublishedTable, found: Iterable[Comparison]) -> Iterator[str]:
    names = list(table.names)
    several = len(table.rows[0]) > len(names) + 1  # else the table's title says what it is
    texts = [*names, *(["quantity"] if several else [])]
    yield "| " + " | ".join([*texts, "published", "measured", "on", "verdict"]) + " |"
    yield "|" + "---|" * len(texts) + "--:|--:|---|---|"
    for one in found:
        cells = [_name(key, one.row[key]) for key in names]
        cells += [_label(table, one.quantity)] if several else []
        cells += [_published(one.published), _measured(one.measured), _on(one)]
        cells.append(one.verdict if not one.why else f"{one.verdict}: {one.why}")
        yield "| " + " | ".join(cells) + " |"


def _on(one: Comparison) -> str:
    names = [
        f"{cohort_name(key)} (imitation)" if cohort_record(key).imitation else cohort_name(key)
        for key in one.cohorts
    ]
    on = [", ".join(names) or "–"]
    return "; ".join(on + ([f"{len(one.models)} models"] if one.models else []))


def _quoted(table: PublishedTable) -> Iterator[str]:
    columns = list(table.rows[0])
    yield "| " + " | ".join(_label(table, column) for column in columns) + " |"
    yield "|" + "|".join("---" if c in table.names else "--:" for c in columns) + "|"
    for row in table.rows:
        cells = [_name(c, row[c]) if c in table.names else _published(row[c]) for c in columns]
        yield "| " + " | ".join(cells) + " |"


def _label(table: PublishedTable, column: str) -> str:
    return table.columns.get(column, column.replace("_", " "))


def _name(column: str, value: Value) -> str:
    if value is None:
        return "–"
    return cohort_name(str(value)) if column == "cohort" else str(value)


def _published(value: Value) -> str:
    """Write a value as the manifest has it."""
    return "–" if value is None else f"{value:,}" if isinstance(value, int | float) else value


def _measured(value: float | None) -> str:
    """Write a whole number bare, and others with four digits or one behind the point."""
    if value is None:
        return "–"
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def _numbers(found: Iterable[Comparison]) -> pd.DataFrame:
    studies = published_studies()
    return pd.DataFrame(
        {
            "study": studies[one.study].study,
            "place": studies[one.study].tables[one.table].place,
            "row": ", ".join(f"{key}: {value}" for key, value in one.row.items()),
            "quantity": one.quantity,
            "published": one.published,
            "measured": one.measured,
            "cohorts": " ".join(one.cohorts),
            "models": " ".join(one.models),
            "tolerance": studies[one.study].tables[one.table].tolerance.get(one.quantity),
            "verdict": one.verdict,
            "why": one.why,
        }
        for one in found
    )


def _notebooks(edition: str, pages: Sequence[Ran], runs: Sequence[Ran]) -> Iterator[str]:
    yield from (
        "## Notebooks",
        "",
        f"Every notebook of the `{edition}` edition ran to its end and passed the gate: no "
        "error, no warning, made from the text and the code that stand in the repository.",
        f"Its pages together ran for {sum(one.seconds for one in pages):.0f} s, not counting "
        "downloads.",
        "",
        "| Page | Run time (s) | Peak memory (MB) | Device | Kernel | Python | Finished (UTC) "
        "| Made from | Notebook as run |",
        "|---|--:|--:|---|---|---|---|---|---|",
    )
    for one in pages:
        yield (
            f"| {one.title} | {one.seconds:.1f} | {one.peak_memory_mb:.0f} | {one.device} | "
            f"{one.kernel} | {one.python} | {one.finished} | `{one.made_from[:SHORT]}` | "
            f"`{one.sha256[:SHORT]}` |"
        )
    if runs:
        yield from (
            "",
            "Models ran in notebooks of their own, over all cohorts of the edition:",
            "",
            "| Model, mode | Run time (s) | Device | Kernel | Version | Weights | Finished (UTC) "
            "| Made from | Notebook as run |",
            "|---|--:|---|---|---|---|---|---|---|",
        )
    for one in runs:
        weights = f"`{one.weights[:SHORT]}`" if one.weights else "–"
        yield (
            f"| {one.title} | {one.seconds:.1f} | {one.device} | {one.kernel} | {one.version} | "
            f"{weights} | {one.finished} | `{one.made_from[:SHORT]}` | `{one.sha256[:SHORT]}` |"
        )
    yield from (
        "",
        "Run time is from the start of the kernel to the end of the last cell. Peak memory is "
        "the kernel's largest resident set. *Made from* is the digest of all that a notebook "
        f"depends on, *Notebook as run* that of its file, *Weights* that of a model's weights. "
        f"{{download}}`CSV <{NOTEBOOKS}>` has them whole.",
        "",
    )
