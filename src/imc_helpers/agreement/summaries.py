"""What pages ask of a table of scores: which pairs, which way round, and which means.

Pure functions from frame to frame. Those that take *scores* take what
`imc_helpers.agreement.score_table.score_cohort` returns; several cohorts may stand in it. Those
that take *judged* rows need every pair as `against` turns it: ``rater_true`` is the reference,
``rater_pred`` is whoever is judged.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from imc_helpers.agreement.intervals import CONFIDENCE, DRAWS, mean_intervals
from imc_helpers.agreement.score_table import METRICS
from imc_helpers.agreement.statistics import ALPHA, mean_differences, simultaneous_differences
from imc_helpers.data.samples import Cohort
from imc_helpers.metrics import TP_COLUMNS

KEYS = ["cohort", "mode"]
"""What is never averaged over."""
PAIRWISE_NAMES = {"rater_true": "annotator_true", "rater_pred": "annotator_pred"}
"""Columns as ``annotators/pairwise.csv`` has them."""
JUDGED_NAMES = {"rater_true": "annotator", "rater_pred": "model"}
"""Columns as ``models/scores.csv`` has them."""
_UNIT = ("cohort", "mode", "sample", "patch")
_COUNTS = ("n_true", "n_pred")


def between(scores: pd.DataFrame, cohorts: Mapping[str, Cohort]) -> pd.DataFrame:
    """Pick the pairs of references of each cohort: how well they agree, each pair once.

    Parameters
    ----------
    scores
        A table of scores.
    cohorts
        Cohort by key. Its annotators are taken or, where it has none, its tools.
    """
    references = {key: cohort.references for key, cohort in cohorts.items()}
    chosen = _made_by(scores, "true", references) & _made_by(scores, "pred", references)
    return scores[chosen].reset_index(drop=True)


def against(
    scores: pd.DataFrame, references: Mapping[str, Sequence[str]], judged: Sequence[str] = ()
) -> pd.DataFrame:
    """Pick what is scored against references, and turn each pair so that the reference is first.

    Parameters
    ----------
    scores
        A table of scores.
    references
        By cohort, whose masks are taken for true: annotators, tools, or a phantom's truth. A pair
        of two references stands in the result both ways.
    judged
        Who is judged; when not given, everybody but a phantom's truth.
    """

    def chosen(rows: pd.DataFrame) -> pd.DataFrame:
        wanted = rows["rater_pred"].isin(list(judged)) if judged else rows["kind_pred"] != "truth"
        return rows[_made_by(rows, "true", references) & wanted]

    # The table keeps one direction of each pair; turned, counts and names change places.
    turned = scores.rename(columns=_TURNED)[scores.columns]
    both = pd.concat([chosen(scores), chosen(turned)]).sort_index(kind="stable")
    return both.reset_index(drop=True)


_TURNED = {
    f"{column}_{side}": f"{column}_{other}"
    for column in ("rater", "kind", "n")
    for side, other in (("true", "pred"), ("pred", "true"))
}


def _made_by(scores: pd.DataFrame, side: str, raters: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Say of each row whether one side of the pair is among a cohort's raters: (n,) bool."""
    wanted = {(cohort, name) for cohort, names in raters.items() for name in names}
    pairs = zip(scores["cohort"], scores[f"rater_{side}"], strict=True)
    return np.fromiter((pair in wanted for pair in pairs), bool, len(scores))


def as_columns(rows: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Give rows the columns of a stored table.

    Parameters
    ----------
    rows
        What `between` or `against` returns.
    names
        `PAIRWISE_NAMES` or `JUDGED_NAMES`.
    """
    columns = [*_UNIT, "rater_true", "rater_pred", *_COUNTS, *METRICS]
    return rows[columns].rename(columns=dict(names))


def agreement_matrix(pairs: pd.DataFrame, metric: str, mode: str) -> pd.DataFrame:
    """Average a score over samples or patches, for every pair (the study's Figure 2).

    Parameters
    ----------
    pairs
        Rows of one cohort, each pair one way round, as `between` returns them.
    metric
        One of `METRICS`.
    mode
        ``"whole"`` or ``"patch"``.

    Returns
    -------
    pandas.DataFrame
        Square, raters in their order of appearance; the diagonal is missing.
    """
    rows = pairs[pairs["mode"] == mode]
    names = list(dict.fromkeys([*rows["rater_true"], *rows["rater_pred"]]))
    matrix = pd.DataFrame(np.nan, index=names, columns=names)
    means = rows.groupby(["rater_true", "rater_pred"], sort=False)[metric].mean()
    for true, pred, value in means.reset_index().itertuples(index=False):
        matrix.loc[true, pred] = matrix.loc[pred, true] = value
    return matrix


def agreement_by_iou(pairs: pd.DataFrame, mode: str = "whole") -> pd.DataFrame:
    """Average AP over images and pairs of raters at each IoU of the table of scores.

    Parameters
    ----------
    pairs
        What `between` returns.
    mode
        ``"whole"`` or ``"patch"``.

    Returns
    -------
    pandas.DataFrame
        One row per cohort and threshold: ``cohort``, ``threshold`` (.50 to .95), ``ap``. Pairs of
        two empty masks are left out.
    """
    rows = pairs[(pairs["mode"] == mode) & (pairs["n_true"] + pairs["n_pred"] > 0)]
    cells = rows["n_true"] + rows["n_pred"]
    parts = [
        pd.DataFrame(
            {
                "cohort": rows["cohort"],
                "threshold": threshold / 100,
                "ap": rows[f"tp{threshold}"] / (cells - rows[f"tp{threshold}"]),
            }
        )
        for threshold in range(50, 100, 5)
    ]
    by = pd.concat(parts).groupby(["cohort", "threshold"], sort=False)["ap"]
    return by.mean().reset_index()


def mean_agreement(pairs: pd.DataFrame) -> pd.DataFrame:
    """Average over pairs: what raters reach among themselves (the study's Table 3).

    Every pair counts the same, however many samples it shares.

    Parameters
    ----------
    pairs
        What `between` returns; several cohorts may stand in it.

    Returns
    -------
    pandas.DataFrame
        One row per cohort and mode: ``pairs``, ``scored`` (images or patches a pair, summed over
        pairs), ``both_empty`` (those where neither rater has a cell; they score 1), and the mean of
        each metric.
    """
    of_pairs = pairs.groupby([*KEYS, "rater_true", "rater_pred"], sort=False)[list(METRICS)].mean()
    by_group = of_pairs.groupby(KEYS, sort=False)
    empty = (pairs["n_true"] == 0) & (pairs["n_pred"] == 0)
    counts = (
        pairs.assign(both_empty=empty)
        .groupby(KEYS, sort=False)
        .agg(scored=("n_true", "size"), both_empty=("both_empty", "sum"))
    )
    counts.insert(0, "pairs", by_group.size())
    return counts.join(by_group.mean()).reset_index()


def pooled_scores(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Pool samples and patches as if all were parts of one image: matches are added up.

    Parameters
    ----------
    rows
        Rows of a table of scores.
    by
        Columns whose values stay apart, ``["cohort", "mode", "rater_pred"]`` for instance.

    Returns
    -------
    pandas.DataFrame
        One row per combination: ``n_true``, ``n_pred``, ``ap50`` and ``map`` of the sums. Where
        neither side has a cell both are 1, as for a single image.
    """
    sums = rows.groupby(list(by), sort=False)[[*_COUNTS, *TP_COLUMNS]].sum()
    matches = sums[list(TP_COLUMNS)].to_numpy(float)
    cells = sums[list(_COUNTS)].sum(axis=1).to_numpy(float)[:, np.newaxis]
    ap = np.divide(matches, cells - matches, out=np.ones_like(matches), where=cells > 0)
    pooled = sums[list(_COUNTS)].assign(ap50=ap[:, 0], map=ap.mean(axis=1))
    return pooled.reset_index()


def by_unit(rows: pd.DataFrame, metric: str, columns: Sequence[str]) -> pd.DataFrame:
    """Turn a table of scores into one row per sample and patch.

    Parameters
    ----------
    rows
        Scores of one cohort and mode, one row per unit and combination of ``columns``.
    metric
        The score.
    columns
        What becomes columns: ``["rater_pred"]``, or ``["rater_pred", "rater_true"]``.

    Returns
    -------
    pandas.DataFrame
        Index ``sample`` and ``patch`` (-1 for whole images).
    """
    keyed = rows.assign(patch=rows["patch"].fillna(-1).astype(int))
    return keyed.set_index(["sample", "patch", *columns])[metric].unstack(list(columns))


def mean_scores(
    judged: pd.DataFrame, *, confidence: float = CONFIDENCE, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """Average scores over references, then over images or patches, with intervals over images.

    Parameters
    ----------
    judged
        What `against` returns; several cohorts may stand in it.
    confidence, draws, seed
        As in `imc_helpers.agreement.intervals`.

    Returns
    -------
    pandas.DataFrame
        One row per cohort, mode and whoever was judged, in the column ``model``: ``images``, and of
        each metric the mean, under its name, with ``_low`` and ``_high``.
    """
    scores = [name for metric in METRICS for name in (metric, f"{metric}_low", f"{metric}_high")]
    columns = [*KEYS, "model", "images", *scores]
    parts = []
    for cohort, mode, rows in groups(judged):
        found = None
        for metric in METRICS:
            wide = _over_references(rows, metric)
            one = mean_intervals(wide, _images(wide), confidence=confidence, draws=draws, seed=seed)
            names = {"mean": metric, "low": f"{metric}_low", "high": f"{metric}_high"}
            one = one.rename(columns=names)
            found = one if found is None else found.join(one.drop(columns="images"))
        assert found is not None
        found = found.rename_axis("model").reset_index()
        parts.append(found.assign(cohort=cohort, mode=mode)[columns])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def best_first(means: pd.DataFrame, models: Iterable[str], metric: str = "ap50") -> list[str]:
    """Order models by their mean score, the best first.

    Parameters
    ----------
    means
        What `mean_scores` returns; several cohorts and modes are averaged, whole images where there
        are any.
    models
        Which models; those without scores are left out.
    metric
        The score.
    """
    ours = means[means["model"].isin(list(models))]
    by_mode = ours.pivot_table(index="model", columns="mode", values=metric)
    order = by_mode["whole"] if "whole" in by_mode else pd.Series(np.nan, index=by_mode.index)
    order = order.fillna(by_mode.mean(axis=1))
    return [str(name) for name in order.sort_values(ascending=False, kind="stable").index]


def in_words(means: pd.DataFrame, metric: str = "ap50") -> list[str]:
    """Write the interval of each mean as text, ``"0.512 to 0.733"``; a dash where there is none.

    Parameters
    ----------
    means
        What `mean_scores` returns.
    metric
        The score; an interval is cut at 0 and 1, beyond which no score lies.
    """
    ends = zip(means[f"{metric}_low"], means[f"{metric}_high"], strict=True)
    return [
        "–" if pd.isna(low) else f"{max(low, 0):.3f} to {min(high, 1):.3f}" for low, high in ends
    ]


def model_differences(
    judged: pd.DataFrame, models: Iterable[str], *, metric: str = "ap50", alpha: float = ALPHA
) -> pd.DataFrame:
    """Compare every model with every other, image by image, within each cohort and mode.

    Parameters
    ----------
    judged
        What `against` returns; several cohorts may stand in it.
    models
        Which models; a cohort and mode with fewer than two of them is left out.
    metric
        The score.
    alpha
        As in `imc_helpers.agreement.statistics`.

    Returns
    -------
    pandas.DataFrame
        One row per cohort, mode and pair of models, the one that scores higher first: what
        `statistics.simultaneous_differences` returns.
    """
    parts = []
    for cohort, mode, rows in groups(judged[judged["rater_pred"].isin(list(models))]):
        wide = _over_references(rows, metric)
        order = wide.groupby(_images(wide)).mean().mean().sort_values(ascending=False).index
        found = simultaneous_differences(wide[order], _images(wide), alpha=alpha)
        parts.append(found.assign(cohort=cohort, mode=mode))
    columns = [*KEYS, "one", "two", "difference", "low", "high", "p", "p_holm", "images"]
    filled = [part[columns] for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)


def differences_from_agreement(
    judged: pd.DataFrame,
    pairs: pd.DataFrame,
    models: Iterable[str],
    *,
    metric: str = "ap50",
    alpha: float = ALPHA,
) -> pd.DataFrame:
    """Compare each model's score with the references' agreement on the same images.

    Parameters
    ----------
    judged
        What `against` returns; several cohorts may stand in it.
    pairs
        What `between` returns.
    models
        Which models.
    metric
        The score.
    alpha
        As in `imc_helpers.agreement.statistics`, of all models of a cohort and mode together.

    Returns
    -------
    pandas.DataFrame
        One row per cohort, mode and model: ``cohort``, ``mode``, ``model``, and what
        `statistics.mean_differences` returns of the model's score less the agreement.
    """
    agreed = {(cohort, mode): rows for cohort, mode, rows in groups(pairs)}
    columns = [*KEYS, "model", "difference", "low", "high", "p", "p_holm", "images"]
    parts = [pd.DataFrame(columns=columns)]
    for cohort, mode, rows in groups(judged[judged["rater_pred"].isin(list(models))]):
        if (cohort, mode) not in agreed:
            continue
        wide = _over_references(rows, metric)
        # One column: the mean over pairs, of each sample and patch.
        people = _over_references(agreed[cohort, mode].assign(rater_pred="people"), metric)
        found = mean_differences(wide.sub(people["people"], axis=0), _images(wide), alpha=alpha)
        found = found.rename_axis("model").reset_index()
        parts.append(found.assign(cohort=cohort, mode=mode)[columns])
    return pd.concat(parts[1:] or parts, ignore_index=True)


def groups(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield cohort, mode and rows of each cohort and mode, in their order of appearance."""
    for (cohort, mode), part in rows.groupby(KEYS, sort=False):
        yield str(cohort), str(mode), part


def _over_references(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Average over references: one row per sample and patch, one column per judged rater."""
    keys = ["sample", "patch", "rater_pred"]
    mean = rows.groupby(keys, sort=False, dropna=False)[metric].mean().reset_index()
    return by_unit(mean, metric, ["rater_pred"])


def _images(wide: pd.DataFrame) -> pd.Index:
    return wide.index.get_level_values("sample")
