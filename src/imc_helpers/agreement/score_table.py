"""The table of scores: every pair of raters of a cohort, on every sample, whole and in patches.

Schuiki et al. 2025, sections 4.1 and 4.2: annotators are scored against one another as if one were
the truth and the other a model, and a model against one annotator at a time. Here that is one and
the same: a rater is whoever made a mask, and each pair of raters is scored once, since the three
metrics are symmetric. `imc_helpers.agreement.summaries` reads from this table whatever a page asks.

The table keeps how many cells match at each threshold, so that pooling needs no second look at the
masks. It is made once and stored, ``results/EDITION/scores/COHORT.parquet``.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from tqdm import tqdm

from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import project_root
from imc_helpers.data.predictions import RunRecord, find_models, read_prediction
from imc_helpers.data.raters import Rater
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError
from imc_helpers.metrics import TP_COLUMNS, evaluate_many
from imc_helpers.models.controls import CONTROLS
from imc_helpers.patching import BORDER_PX, MODES, STRIDE_PX, WINDOW_PX, Window, cut, windows

METRICS = ("ap50", "map", "sap")
"""The study's three scores."""
_TYPES = {
    "cohort": "object",
    "sample": "object",
    "mode": "object",
    "patch": "Int64",
    "rater_true": "object",
    "rater_pred": "object",
    "kind_true": "object",
    "kind_pred": "object",
    "n_true": "int64",
    "n_pred": "int64",
    **dict.fromkeys(METRICS, "float64"),
    **dict.fromkeys(TP_COLUMNS, "int64"),
}
COLUMNS: tuple[str, ...] = tuple(_TYPES)
_SCORING = "scoring"
"""Key in `pandas.DataFrame.attrs` of how a table was made; it travels with the file."""

Candidate: TypeAlias = Callable[[str], np.ndarray]
"""From a sample's id to the (H, W) labels of the whole image."""


class Grid(NamedTuple):
    """Where patches lie, pixels."""

    window_px: int = WINDOW_PX
    """Edge of a window."""
    stride_px: int = STRIDE_PX
    """Step from one window to the next."""
    border_px: int = BORDER_PX
    """Width of the ignored border on every side of a window."""

    def cut(self, labels: np.ndarray) -> np.ndarray:
        """Cut the windows out of an (H, W) image: (P, window, window)."""
        return cut(labels, size=self.window_px, stride=self.stride_px)

    def scored(self, shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
        """Return the scored part of each plane of a stack of windows, (P, window, window)."""
        inner = Window(0, 0, self.window_px).shrink(self.border_px).slices
        return [(slice(p, p + 1), *inner) for p in range(shape[0])]


class _Mask(NamedTuple):
    """Labels of one rater: (H, W), or (P, h, w) for windows."""

    rater: Rater
    labels: np.ndarray


def score_cohort(
    cohort: Cohort,
    models: Iterable[str] = (),
    *,
    samples: Iterable[str] | None = None,
    modes: Sequence[str] = MODES,
    window_px: int = WINDOW_PX,
    stride_px: int = STRIDE_PX,
    border_px: int = BORDER_PX,
    strict: bool = False,
) -> pd.DataFrame:
    """Score every pair of raters of a cohort once: its masks, models and controls.

    Parameters
    ----------
    cohort
        Samples with masks, or without.
    models
        Keys of models. Those without a finished run on the cohort are left out, for each mode
        alone; of a run, the samples that it covers are scored.
    samples
        Some of the cohort's samples, to spread a large cohort over several jobs (`merge_scores`
        puts their tables together); all of them when not given.
    modes
        Some of `MODES`.
    window_px, stride_px, border_px
        Edge of a window, step between windows, and ignored border, pixels.
    strict
        A pair of cells matches when IoU > t; when False, when IoU >= t.

    Returns
    -------
    pandas.DataFrame
        One row per sample, mode, patch and pair of raters, with `COLUMNS`. ``patch`` counts the
        windows of a sample row by row from 0, and is missing for whole images. ``rater_true`` is
        the one that stands first in: a phantom's truth, the cohort's raters, the models. Each of
        `imc_helpers.models.controls.CONTROLS` is made of a mask, and scored against that mask
        alone. ``tp50`` … ``tp95`` count the pairs of cells that match at each threshold.

        A model is scored on what it found in each window; other masks are of the whole image, of
        which each window is cut out. Of a cell that a window cuts, either way, the piece inside the
        scored square counts.

    Raises
    ------
    InputError
        If two raters have one name, a model's patches are not those windows, or the cohort lacks a
        sample.
    """
    models = tuple(models)
    _check_names([*(rater.name for rater in cohort.raters), *models, *CONTROLS])
    chosen = cohort.ids if samples is None else tuple(samples)
    if unknown := [sample for sample in chosen if sample not in cohort.ids]:
        raise InputError(f"cohort {cohort.name}: no sample {unknown[0]!r}; name some of its own")
    grid = Grid(window_px, stride_px, border_px)
    runs = {mode: find_models(cohort.name, models, mode) for mode in modes}
    parts = []
    for sample in tqdm(chosen, desc=f"{cohort.name}: scores", disable=None):
        masks = [_Mask(r, cohort.read_mask(sample, r.name)) for r in _ordered(cohort, sample)]
        controls = [
            (k, _Mask(Rater(name, "control"), control(mask.labels)))
            for k, mask in enumerate(masks)
            if mask.rater.kind != "truth"
            for name, control in CONTROLS.items()
        ]
        for mode in modes:
            shape = cohort.shape(sample)
            found = [
                _Mask(Rater(model, "model"), _read_labels(cohort.name, run, sample, shape, grid))
                for model, run in runs[mode].items()
                if any(one.sample == sample for one in run.samples)
            ]
            in_windows = mode == "patch"
            own = [_cut(mask, grid) for mask in masks] if in_windows else masks
            pairs = [*combinations([*own, *found], 2)]
            pairs += [(own[k], _cut(made, grid) if in_windows else made) for k, made in controls]
            rows = _score(pairs, grid=grid if in_windows else None, strict=strict)
            parts.append(rows.assign(cohort=cohort.name, sample=sample, mode=mode))
    table = _table(parts)
    table.attrs[_SCORING] = {
        **_settings(grid, strict),
        "models": {mode: list(runs[mode]) for mode in modes},
    }
    return table


def score_candidates(
    cohort: Cohort,
    candidates: Mapping[str, Candidate],
    *,
    references: Sequence[str] | None = None,
    samples: Iterable[str] | None = None,
    modes: Sequence[str] = MODES,
    window_px: int = WINDOW_PX,
    stride_px: int = STRIDE_PX,
    border_px: int = BORDER_PX,
    strict: bool = False,
) -> pd.DataFrame:
    """Score masks of whole images that are made on the fly against references.

    Parameters
    ----------
    cohort
        Samples with masks.
    candidates
        What to score, by name.
    references
        Against whose masks; ``cohort.references`` when not given. A candidate is not scored against
        a reference of its own name.
    samples
        Some of the cohort's samples; all of them when not given.
    modes, window_px, stride_px, border_px, strict
        As in `score_cohort`.

    Returns
    -------
    pandas.DataFrame
        As `score_cohort` returns, with ``rater_true`` the reference and ``rater_pred`` the
        candidate.
    """
    grid = Grid(window_px, stride_px, border_px)
    kinds = {rater.name: rater for rater in cohort.raters}
    parts = []
    chosen = cohort.ids if samples is None else tuple(samples)
    for sample in tqdm(chosen, desc=f"{cohort.name}: candidates", disable=None):
        names = cohort.references_of(sample) if references is None else references
        masks = [_Mask(kinds.get(n, Rater(n)), cohort.read_mask(sample, n)) for n in names]
        made = [
            _Mask(kinds.get(name, Rater(name, "model")), candidate(sample))
            for name, candidate in candidates.items()
        ]
        pairs = [(a, m) for a in masks for m in made if a.rater.name != m.rater.name]
        for mode in modes:
            if mode == "whole":
                rows = _score(pairs, strict=strict)
            else:
                both = [(_cut(one, grid), _cut(two, grid)) for one, two in pairs]
                rows = _score(both, grid=grid, strict=strict)
            parts.append(rows.assign(cohort=cohort.name, sample=sample, mode=mode))
    return _table(parts)


def score_masks(
    masks: Mapping[Rater, np.ndarray], *, sample: str = "", strict: bool = False
) -> pd.DataFrame:
    """Score every pair of masks of one whole image, held in memory.

    Parameters
    ----------
    masks
        (H, W) labels of each rater; of a pair, the first is ``rater_true``.
    sample
        What stands in the column.
    strict
        A pair of cells matches when IoU > t; when False, when IoU >= t.

    Returns
    -------
    pandas.DataFrame
        As `score_cohort` returns, with an empty ``cohort``.
    """
    pairs = combinations([_Mask(rater, labels) for rater, labels in masks.items()], 2)
    return _table([_score([*pairs], strict=strict).assign(cohort="", sample=sample, mode="whole")])


def scores_file(edition: str, cohort: str) -> Path:
    """Return where the table of a cohort is stored; it need not be there."""
    return project_root() / "results" / edition / "scores" / f"{cohort}.parquet"


def write_scores(frame: pd.DataFrame, path: Path) -> None:
    """Write a table of scores, whole or not at all; the same table gives the same bytes.

    Parameters
    ----------
    frame
        What `score_cohort` or `merge_scores` returns.
    path
        Where to, ``.parquet``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        frame.to_parquet(half, engine="pyarrow", index=False, compression="zstd")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def merge_scores(paths: Iterable[Path]) -> pd.DataFrame:
    """Put the tables of a cohort's chunks of samples together, in their order.

    Parameters
    ----------
    paths
        Files that `write_scores` wrote.

    Raises
    ------
    InputError
        If there is none, one is unreadable, two hold the same sample, or they were not made in the
        same way.
    """
    paths = [Path(path) for path in paths]
    if not paths:
        raise InputError("scores: expected one file or more to merge, found none")
    parts = [_read(path) for path in paths]
    seen: dict[str, Path] = {}
    for path, part in zip(paths, parts, strict=True):
        if part.attrs != parts[0].attrs:
            raise InputError(
                f"{path}: scored with {part.attrs.get(_SCORING)}, but {paths[0].name} with "
                f"{parts[0].attrs.get(_SCORING)}. Score both in the same way"
            )
        for sample in part["sample"].unique():
            if sample in seen:
                raise InputError(f"{path}: sample {sample!r} stands in {seen[sample]} too")
            seen[sample] = path
    table = _table(parts)
    table.attrs.update(parts[0].attrs)
    return table


def read_scores(
    edition: str,
    cohorts: Iterable[str] | None = None,
    *,
    window_px: int = WINDOW_PX,
    stride_px: int = STRIDE_PX,
    border_px: int = BORDER_PX,
    strict: bool = False,
) -> pd.DataFrame:
    """Read the scores of an edition's cohorts, made first where they are not there.

    The flow makes these tables before it makes a page. A notebook that is run alone may find none,
    or one from before another model was run; then the table is made here, and stored.

    Parameters
    ----------
    edition
        Name of the edition; its models are scored.
    cohorts
        Some of its cohorts; all of them when not given.
    window_px, stride_px, border_px, strict
        As in `score_cohort`. A table made with other settings than the stored ones is not stored.

    Returns
    -------
    pandas.DataFrame
        What `score_cohort` returns, cohort after cohort.
    """
    record = load_edition(edition)
    grid = Grid(window_px, stride_px, border_px)
    parts = []
    for key in record.cohorts if cohorts is None else cohorts:
        path = scores_file(edition, key)
        expected = {
            **_settings(grid, strict),
            "models": {mode: list(find_models(key, record.models, mode)) for mode in MODES},
        }
        stored = _read(path) if path.is_file() else None
        if stored is not None and stored.attrs.get(_SCORING) == expected:
            parts.append(stored)
            continue
        made = score_cohort(open_cohort(key), record.models, **grid._asdict(), strict=strict)
        if stored is None or _settings_of(stored) == _settings(grid, strict):
            write_scores(made, path)
        parts.append(made)
    return _table(parts)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:  # pyarrow's own errors are kinds of these two
        raise InputError(f"{path}: no readable table of scores ({error}). Remove it") from error


def _settings(grid: Grid, strict: bool) -> dict[str, Any]:
    return {**grid._asdict(), "strict": strict}


def _settings_of(table: pd.DataFrame) -> dict[str, Any]:
    return {k: v for k, v in table.attrs.get(_SCORING, {}).items() if k != "models"}


def _check_names(names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            "annotators, tools, models and controls share a table, so their names must differ; "
            f"found {', '.join(twice)} more than once. Give the model another key"
        )


def _ordered(cohort: Cohort, sample: str) -> list[Rater]:
    """List who has labelled a sample, the truth first, so that it is never the one that is judged.

    The others follow in the cohort's order.
    """
    return sorted(cohort.raters_of(sample), key=lambda rater: rater.kind != "truth")


def _read_labels(
    cohort: str, run: RunRecord, sample: str, shape: tuple[int, int], grid: Grid
) -> np.ndarray:
    """Read what a model found: (H, W), or a stack of windows that must lie as the grid has them."""
    labels = read_prediction(cohort, run.model, run.mode, sample)
    if run.mode == "whole":
        return labels
    placed = windows(shape, size=grid.window_px, stride=grid.stride_px)
    expected = (len(placed), grid.window_px, grid.window_px)
    steps = run.window_px, run.stride_px
    if placed and (labels.shape != expected or steps != (grid.window_px, grid.stride_px)):
        raise InputError(
            f"model {run.model}, {cohort}, {sample}: expected patches of {grid.window_px} px "
            f"every {grid.stride_px} px, shape {expected}; found {steps[0]} px every "
            f"{steps[1]} px, shape {labels.shape}. Run the model again with these windows"
        )
    return labels


def _cut(mask: _Mask, grid: Grid) -> _Mask:
    return _Mask(mask.rater, grid.cut(mask.labels))


def _score(
    pairs: Sequence[tuple[_Mask, _Mask]], *, strict: bool, grid: Grid | None = None
) -> pd.DataFrame:
    """Score pairs of whole images or, with a grid, of stacks of windows."""
    # Without a window there is nothing to score, and nothing to say about a model's empty stack.
    pairs = [pair for pair in pairs if grid is None or len(pair[0].labels)]
    rows = evaluate_many(
        [(one.labels, two.labels) for one, two in pairs],
        windows=None if grid is None else grid.scored,
        strict=strict,
        matches=True,
    )
    for side, name in enumerate(("true", "pred")):
        raters = [pair[side].rater for pair in pairs]
        rows[f"rater_{name}"] = [raters[k].name for k in rows["pair"]]
        rows[f"kind_{name}"] = [raters[k].kind for k in rows["pair"]]
    return rows.rename(columns={"window": "patch"})


def _table(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _TYPES.items()})
    # Whole images have no window, so the column is missing there.
    table = pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0]
    return table.reindex(columns=list(COLUMNS)).astype(_TYPES)
