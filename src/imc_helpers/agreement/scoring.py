"""Score models against annotators, beside the annotators themselves and controls.

Schuiki et al. 2025, section 4.2: a model is scored against the mask of one annotator at a time.
Every other annotator and a few controls are scored here in the same way, so that a table holds what
a model's score is to be read against.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import permutations
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from tqdm import tqdm

from imc_helpers.agreement.pairwise import METRICS, MODES, Grid
from imc_helpers.data.predictions import RunRecord, find_models, read_prediction
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate_many
from imc_helpers.metrics.many import Windows
from imc_helpers.models.controls import CONTROLS
from imc_helpers.patching import BORDER_PX, STRIDE_PX, WINDOW_PX

COLUMNS = (
    "cohort",
    "mode",
    "sample",
    "patch",
    "annotator",
    "model",
    "n_true",
    "n_pred",
    *METRICS,
)

Candidate: TypeAlias = Callable[[str], np.ndarray]
"""From a sample's id to the (H, W) labels of the whole image."""


class _Pair(NamedTuple):
    annotator: str
    model: str
    true: np.ndarray
    pred: np.ndarray


def score_models(
    cohort: Cohort,
    models: Iterable[str] = (),
    *,
    modes: Sequence[str] = MODES,
    annotators: bool = True,
    controls: bool = True,
    window_px: int = WINDOW_PX,
    stride_px: int = STRIDE_PX,
    border_px: int = BORDER_PX,
    strict: bool = False,
) -> pd.DataFrame:
    """Score models, annotators and controls against every annotator of a cohort.

    Parameters
    ----------
    cohort
        Samples with masks of one annotator or more.
    models
        Keys of models. Those without a finished run on the cohort are left out, for each mode
        alone; of a run, the samples that it covers are scored.
    modes
        Some of `imc_helpers.agreement.pairwise.MODES`.
    annotators, controls
        Whether to score the other annotators, and `imc_helpers.models.controls.CONTROLS`, as well.
    window_px, stride_px, border_px
        Edge of a window, step between windows, and ignored border, pixels.
    strict
        A pair of cells matches when IoU > t; when False, when IoU >= t.

    Returns
    -------
    pandas.DataFrame
        One row a sample, patch, annotator and model, with `COLUMNS`. ``model`` is a model, another
        annotator or a control; ``patch`` counts the windows of a sample row by row from 0, and is
        missing for whole images. A model is scored on what it found in each window; annotators and
        controls are masks of the whole image, of which each window is cut out. Of a cell that a
        window cuts, either way, the piece inside the scored square counts.

    Raises
    ------
    InputError
        If two of the names are the same, or a model's patches are not those windows.
    """
    models = tuple(models)
    _check_names([*cohort.annotators, *models, *CONTROLS])
    grid = Grid(window_px, stride_px, border_px)
    whole = find_models(cohort.name, models, "whole") if "whole" in modes else {}
    patch = find_models(cohort.name, models, "patch") if "patch" in modes else {}
    parts = []
    for sample in tqdm(cohort.ids, desc=f"{cohort.name}: scores", disable=None):
        masks = {a: cohort.read_mask(sample, a) for a in cohort.annotators_of(sample)}
        images = []
        if annotators:
            images += [_Pair(a, b, masks[a], masks[b]) for a, b in permutations(masks, 2)]
        if controls:
            images += [
                _Pair(a, name, mask, control(mask))
                for a, mask in masks.items()
                for name, control in CONTROLS.items()
            ]
        found = {m: read_prediction(cohort.name, m, "whole", sample) for m in _on(whole, sample)}
        of_models = [_Pair(a, m, masks[a], found[m]) for a in masks for m in found]
        rows = []
        if "whole" in modes:
            rows.append(_score([*images, *of_models], "whole", strict))
        if "patch" in modes:
            stacks = _stacks(cohort, sample, masks, patch, grid)
            rows.append(_score(images, "patch", strict, grid.scored))
            rows.append(_score(stacks, "patch", strict, grid.planes))
        parts += [part.assign(cohort=cohort.name, sample=sample) for part in rows]
    return _table(parts)


def score_candidates(
    cohort: Cohort,
    candidates: Mapping[str, Candidate],
    *,
    references: Sequence[str] | None = None,
    modes: Sequence[str] = MODES,
    window_px: int = WINDOW_PX,
    stride_px: int = STRIDE_PX,
    border_px: int = BORDER_PX,
    strict: bool = False,
) -> pd.DataFrame:
    """Score masks of whole images, wherever they come from, against references.

    Parameters
    ----------
    cohort
        Samples with masks.
    candidates
        What to score, by name.
    references
        Against whose masks; the cohort's annotators when not given. On a phantom, the truth is one
        that is no annotator. A candidate is not scored against a reference of its own name.
    modes, window_px, stride_px, border_px, strict
        As in `score_models`.

    Returns
    -------
    pandas.DataFrame
        As `score_models` returns, with ``annotator`` the reference and ``model`` the candidate.
    """
    grid = Grid(window_px, stride_px, border_px)
    parts = []
    for sample in tqdm(cohort.ids, desc=f"{cohort.name}: candidates", disable=None):
        names = cohort.annotators_of(sample) if references is None else references
        masks = {name: cohort.read_mask(sample, name) for name in names}
        made = {name: candidate(sample) for name, candidate in candidates.items()}
        pairs = [_Pair(a, m, masks[a], made[m]) for a in masks for m in made if a != m]
        rows = []
        if "whole" in modes:
            rows.append(_score(pairs, "whole", strict))
        if "patch" in modes:
            rows.append(_score(pairs, "patch", strict, grid.scored))
        parts += [part.assign(cohort=cohort.name, sample=sample) for part in rows]
    return _table(parts)


def by_unit(rows: pd.DataFrame, metric: str, columns: Sequence[str]) -> pd.DataFrame:
    """Turn a table of scores into one row a sample and patch.

    Parameters
    ----------
    rows
        Scores of one cohort and mode, one row a unit and combination of ``columns``.
    metric
        The score.
    columns
        What becomes columns: ``["model"]``, or ``["model", "annotator"]``.

    Returns
    -------
    pandas.DataFrame
        Index ``sample`` and ``patch`` (-1 for whole images).
    """
    keyed = rows.assign(patch=rows["patch"].fillna(-1).astype(int))
    return keyed.set_index(["sample", "patch", *columns])[metric].unstack(list(columns))


def _check_names(names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"models, annotators and controls share a table, so their names must differ; found "
            f"{', '.join(twice)} more than once. Give the model another key"
        )


def _on(runs: Mapping[str, RunRecord], sample: str) -> list[str]:
    """List the models whose run covers a sample."""
    return [m for m, run in runs.items() if any(one.sample == sample for one in run.samples)]


def _stacks(
    cohort: Cohort,
    sample: str,
    masks: Mapping[str, np.ndarray],
    runs: Mapping[str, RunRecord],
    grid: Grid,
) -> list[_Pair]:
    """Pair what models found in each window with the same windows of each annotator's mask."""
    placed = grid.placed(cohort.shape(sample))
    if not placed:
        return []
    found = {}
    for model in _on(runs, sample):
        labels = read_prediction(cohort.name, model, "patch", sample)
        expected = (len(placed), grid.window_px, grid.window_px)
        steps = runs[model].window_px, runs[model].stride_px
        if labels.shape != expected or steps != (grid.window_px, grid.stride_px):
            raise InputError(
                f"model {model}, {cohort.name}, {sample}: expected patches of {grid.window_px} px "
                f"every {grid.stride_px} px, shape {expected}; found {steps[0]} px every "
                f"{steps[1]} px, shape {labels.shape}. Run the model again with these windows"
            )
        found[model] = labels
    true = {a: np.stack([mask[w.slices] for w in placed]) for a, mask in masks.items()}
    return [_Pair(a, m, true[a], found[m]) for a in masks for m in found]


def _score(
    pairs: Sequence[_Pair], mode: str, strict: bool, windows: Windows | None = None
) -> pd.DataFrame:
    rows = evaluate_many(
        [(pair.true, pair.pred) for pair in pairs], windows=windows, strict=strict
    ).assign(mode=mode)
    rows["annotator"] = [pairs[i].annotator for i in rows["pair"]]
    rows["model"] = [pairs[i].model for i in rows["pair"]]
    return rows


def _table(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    # Whole images have no window, so the column is missing there.
    filled = [part for part in parts if len(part)]
    table = pd.concat(filled or parts, ignore_index=True).rename(columns={"window": "patch"})
    return table.reindex(columns=COLUMNS).astype({"patch": "Int64"})
