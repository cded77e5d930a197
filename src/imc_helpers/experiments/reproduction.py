"""What of the studies' numbers an edition reproduces.

Nothing is measured here. A published number is set beside what pages have left in
``results/EDITION``; how to find it there is a function of this module, named in
``data_manifest/published.yml``.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import pandas as pd

from imc_helpers.data.manifest import (
    PublishedTable,
    Value,
    cohort_record,
    load_edition,
    published_studies,
)
from imc_helpers.errors import InputError

Verdict = Literal["reproduced", "differs", "other data", "not run"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "differs", "other data", "not run")
_METRICS = ("ap50", "map", "sap")
_UNIT = ("sample", "patch")


@dataclass(frozen=True)
class Comparison:
    """One published number, beside what an edition measured."""

    study: str
    """Key in ``data_manifest/published.yml``."""
    table: str
    """Key of the study's table."""
    row: Mapping[str, Value]
    """What the number is about, by column."""
    quantity: str
    """Column of the number."""
    published: Value
    measured: float | None
    """None where nothing was."""
    cohorts: tuple[str, ...]
    """What it was measured on."""
    models: tuple[str, ...]
    """Whose masks it speaks of; empty where of no model's."""
    verdict: Verdict
    """``reproduced`` and ``differs`` are said of the study's own data and models only."""
    why: str = ""
    """Why nothing was measured."""


@dataclass(frozen=True)
class Results:
    """The tables of an edition, cut down to some of its cohorts and models."""

    folder: Path
    """``results/EDITION``."""
    cohorts: tuple[str, ...]
    models: tuple[str, ...]
    _read: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)
    """Tables that were read before: that of all scores can be large."""

    def of(self, cohorts: tuple[str, ...], models: tuple[str, ...]) -> "Results":
        """Return the same tables, cut down to other cohorts and models."""
        return replace(self, cohorts=cohorts, models=models)

    def read(self, path: str) -> pd.DataFrame:
        """Read a table that a page wrote: rows of these cohorts."""
        if path not in self._read:
            try:
                self._read[path] = pd.read_csv(self.folder / path)
            except (FileNotFoundError, pd.errors.EmptyDataError):
                self._read[path] = pd.DataFrame(columns=["cohort"])
        found = self._read[path]
        return found[found["cohort"].isin(self.cohorts)]

    def models_that_ran(self) -> tuple[str, ...]:
        """Return those of these models that were scored on all of these cohorts."""
        scored = pd.concat(
            self.read(path).reindex(columns=["cohort", "model"]) for path in (_JUDGED, _SINGLE)
        )
        on = scored.drop_duplicates().groupby("model").size()
        return tuple(model for model in self.models if on.get(model, 0) == len(self.cohorts))


_SIZES, _AGREEMENT = "datasets/cohorts.csv", "annotators/means.csv"
_JUDGED, _SINGLE = "models/scores.csv", "models/single_mask_means.csv"
_TESTS = ("models/tests.csv", "models/single_mask_tests.csv")


@dataclass(frozen=True)
class Measurement:
    """How numbers of one kind are found in an edition's tables."""

    pages: tuple[str, ...]
    """Pages that leave those tables."""
    read: Callable[[Results], pd.DataFrame]
    """Returns the columns of the published table, less those that say nothing, and ``cohort``
    unless it speaks of all cohorts together."""
    lacking: str
    """Why an edition may have nothing to measure."""
    together: bool = False
    """Whether a number speaks of all cohorts of its table at once."""


def _sizes(results: Results) -> pd.DataFrame:
    return results.read(_SIZES).drop(columns="tissue", errors="ignore")


def _agreement(results: Results) -> pd.DataFrame:
    means = results.read(_AGREEMENT)
    if means.empty:
        return means
    return means.melt(["cohort", "mode"], list(_METRICS), var_name="metric")


def _comparisons(results: Results) -> pd.DataFrame:
    means = results.read(_AGREEMENT)
    if means.empty:
        return means
    return means[["cohort", "mode"]].assign(comparisons=means["scored"] / means["pairs"])


def _models_at_agreement(results: Results) -> pd.DataFrame:
    """Count the models whose mean reaches the agreement of the cohort's own annotators."""
    scores, limits = results.read(_JUDGED), _agreement(results)
    if scores.empty or limits.empty or not results.models:
        return pd.DataFrame(columns=["cohort"])
    ours = scores[scores["model"].isin(results.models)]
    keys = ["cohort", "mode", "model"]
    # Over references first, as the page does: samples may differ in how many masks they have.
    means = ours.groupby([*keys, *_UNIT], dropna=False)[list(_METRICS)].mean()
    return _count_reaching(means.groupby(keys).mean(), limits, ["cohort", "mode", "metric"])


def _models_at_lent_agreement(results: Results) -> pd.DataFrame:
    """Count the models that reach, in any cohort with one mask, the agreement of another cohort."""
    means, limits = results.read(_SINGLE), _agreement(results)
    ours = means[means["model"].isin(results.models)] if len(means) else means
    if ours.empty or limits.empty:
        return pd.DataFrame()
    lent = limits[limits["cohort"] == limits["cohort"].iloc[0]].drop(columns="cohort")
    best = ours.groupby(["mode", "model"])[list(_METRICS)].max()
    return _count_reaching(best, lent, ["mode", "metric"])


def _count_reaching(means: pd.DataFrame, limits: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    long = means.reset_index().melt(list(means.index.names), var_name="metric", value_name="score")
    both = long.merge(limits, on=by)
    reaching = (both["score"] >= both["value"]).groupby([both[key] for key in by]).sum()
    return reaching.rename("models").reset_index()


def _models_best_on_cohort(results: Results) -> pd.DataFrame:
    """Count the models that have their highest mean ap50 in each cohort."""
    means = results.read(_SINGLE)
    ours = means[means["model"].isin(results.models)] if len(means) else means
    if ours.empty:
        return pd.DataFrame(columns=["cohort"])
    best = ours.loc[ours.groupby(["mode", "model"])["ap50"].idxmax()]
    counts = best.groupby(["mode", "cohort"]).size()
    every = pd.MultiIndex.from_product(
        [best["mode"].unique(), results.cohorts], names=counts.index.names
    )
    return counts.reindex(every, fill_value=0).rename("models").reset_index()


def _largest_p(results: Results) -> pd.DataFrame:
    tests = pd.concat(results.read(path).reindex(columns=["model", "p"]) for path in _TESTS)
    p = tests.loc[tests["model"].isin(results.models), "p"].dropna()
    return pd.DataFrame({"p": [p.max()]} if len(p) else {})


_ANNOTATORS, _MODELS = "study/05_annotators", "study/07_models_vs_annotators"
_PUBLIC = "study/08_public_cohorts"
_ONE_MASK = "No cohort of this edition has the masks of two raters for one image."
_NO_MODEL = "No model was scored on such cohorts here."

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "sizes": Measurement(("study/01_datasets",), _sizes, "This edition has no such cohort."),
        "agreement": Measurement((_ANNOTATORS,), _agreement, _ONE_MASK),
        "comparisons": Measurement((_ANNOTATORS,), _comparisons, _ONE_MASK),
        "models_at_agreement": Measurement(
            (_ANNOTATORS, _MODELS), _models_at_agreement, f"{_ONE_MASK} Or no model ran on one."
        ),
        "models_at_lent_agreement": Measurement(
            (_ANNOTATORS, _PUBLIC), _models_at_lent_agreement, _NO_MODEL, together=True
        ),
        "models_best_on_cohort": Measurement(
            (_PUBLIC,), _models_best_on_cohort, _NO_MODEL, together=True
        ),
        "largest_p": Measurement((_MODELS, _PUBLIC), _largest_p, _NO_MODEL, together=True),
    }
)
"""By name, as ``measured_by`` in ``data_manifest/published.yml`` has it."""


def compare(edition: str, results: Path, pages: Collection[str]) -> list[Comparison]:
    """Set every published number beside what an edition measured.

    Parameters
    ----------
    edition
        Its name.
    results
        Folder of its tables, ``results/EDITION``.
    pages
        Pages that it shows: a table left by a page that it no longer has counts for nothing.

    Returns
    -------
    list of Comparison
        In the order of the manifest, one or more for each number: one for every cohort that it
        was measured on.

    Raises
    ------
    InputError
        If the manifest names a measurement that there is not.
    """
    record = load_edition(edition)
    everything = Results(results, record.cohorts, record.models)
    return [
        one
        for key, study in published_studies().items()
        for name, table in study.tables.items()
        for one in _Table(everything, pages, key, name, table).comparisons()
    ]


@dataclass(frozen=True)
class _Table:
    """A published table, held against one edition."""

    everything: Results
    pages: Collection[str]
    study: str
    name: str
    table: PublishedTable

    def comparisons(self) -> Iterator[Comparison]:
        """Yield what came of each number."""
        found, why = self._measured()
        for row in self.table.rows:
            about = {name: row[name] for name in self.table.names}
            for column in [column for column in row if column not in self.table.names]:
                if row[column] is not None:
                    yield from self._compare(found, about, column, row[column], why)

    def _compare(
        self,
        found: Mapping[bool, pd.DataFrame],
        about: Mapping[str, Value],
        column: str,
        published: Value,
        why: str,
    ) -> Iterator[Comparison]:
        one = partial(Comparison, self.study, self.name, about, column, published)
        for own, values in found.items():
            hits = list(_look_up(values, self.table, about, column))
            for measured, cohorts in hits:
                on = cohorts or self._cohorts(own)
                models = self._models(on, own) if self.table.models else ()
                verdict = self._verdict(published, measured, column) if own else "other data"
                yield one(measured, on, models, verdict)
            if hits:
                return
        reason = why or self.table.not_measured or self._measurement().lacking
        yield one(None, (), (), "not run", reason)

    def _measurement(self) -> Measurement:
        if self.table.measured_by not in MEASUREMENTS:
            raise InputError(
                f"data_manifest/published.yml, {self.study}, {self.name}: no measurement "
                f"{self.table.measured_by!r}; there are {', '.join(MEASUREMENTS)}"
            )
        return MEASUREMENTS[self.table.measured_by]

    def _cohorts(self, own: bool) -> tuple[str, ...]:
        """Return the study's own cohorts that are here, or else the others.

        An imitation of a cohort bears its name and is another: a rehearsal reproduces nothing.
        """
        here = self.everything.cohorts
        of_study = tuple(
            key for key in self.table.cohorts if key in here and not cohort_record(key).imitation
        )
        if self._measurement().together and len(of_study) < len(self.table.cohorts):
            of_study = ()
        return of_study if own else tuple(key for key in here if key not in of_study)

    def _models(self, cohorts: tuple[str, ...], own: bool) -> tuple[str, ...]:
        """Return the study's models, or else those of the edition, as far as they were scored."""
        wanted = self.table.models if own else self.everything.models
        return self.everything.of(cohorts, wanted).models_that_ran()

    def _measured(self) -> tuple[Mapping[bool, pd.DataFrame], str]:
        """Measure on the study's own data and on others, by whether they are its own.

        The second value says why there is nothing, where that is not the usual reason.
        """
        if not self.table.measured_by:
            return {}, self.table.not_measured
        measurement = self._measurement()
        if absent := [page for page in measurement.pages if page not in self.pages]:
            return {}, f"This edition lacks a page that measures it: {', '.join(absent)}."
        found, why = {}, ""
        for own in (True, False):
            cohorts = self._cohorts(own)
            models = self.table.models if own else self.everything.models
            idle = set(self.table.models) - set(self._models(cohorts, own)) if own else set()
            if own and cohorts and idle:
                why = f"Of the study's models, {len(idle)} did not run on its cohorts here."
            elif cohorts:
                found[own] = measurement.read(self.everything.of(cohorts, models))
        return found, why

    def _verdict(self, published: Value, measured: float, column: str) -> Verdict:
        if not isinstance(published, int | float):
            raise InputError(
                f"data_manifest/published.yml, {self.study}, {self.name}: {column} is measured, so "
                f"it has to be a number, found {published!r}"
            )
        if self.table.rule == "below":
            return "reproduced" if measured < published else "differs"
        # What is printed is rounded: a difference of the tolerance itself still counts.
        near = abs(measured - published) <= self.table.tolerance[column] + 1e-9
        return "reproduced" if near else "differs"


def _look_up(
    found: pd.DataFrame, table: PublishedTable, about: Mapping[str, Value], column: str
) -> Iterator[tuple[float, tuple[str, ...]]]:
    """Yield the values of a number, with the cohort of each; none where it is of all together."""
    if column not in found:
        return
    for name in set(about) & set(found) - {"cohort"}:
        found = found[found[name] == about[name]]
    if "cohort" in found and "cohort" in about:
        stand_ins = {key for key, of in table.stand_ins.items() if of == about["cohort"]}
        found = found[found["cohort"].isin({about["cohort"], *stand_ins})]
    for row in found.dropna(subset=column).to_dict("records"):
        yield float(row[column]), (str(row["cohort"]),) if "cohort" in row else ()
