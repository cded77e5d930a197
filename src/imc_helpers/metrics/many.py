"""Scores of many pairs of label images, or of many windows of them, on all cores."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from imc_helpers.metrics.contingency import LabelPair
from imc_helpers.metrics.scores import (
    THRESHOLDS,
    FloatArray,
    SapForm,
    area_under,
    check_sap,
    evaluate,
    score_columns,
)

if TYPE_CHECKING:
    import pandas as pd

ImagePair: TypeAlias = tuple[ArrayLike, ArrayLike]
Windows: TypeAlias = Callable[[tuple[int, ...]], Iterable[tuple[slice, ...]]]

TP_COLUMNS: tuple[str, ...] = tuple(f"tp{100 * t:.0f}" for t in THRESHOLDS)
"""Columns with the true positives at each of `THRESHOLDS`."""
PAIRS_A_TASK = 8
"""Pairs that a thread takes at a time, so that small images do not wait for one another."""


class _Scored(NamedTuple):
    """What a thread gives back for one pair of images."""

    rows: list[FloatArray]
    """Sums, one row per window."""
    levels: list[FloatArray]
    """IoUs at which true positives grow by one, for pooled sap."""


def evaluate_many(
    pairs: Iterable[ImagePair],
    *,
    windows: Windows | None = None,
    pool: Literal["sum"] | None = None,
    strict: bool = False,
    sap: SapForm | None = "paper",
    both_empty: float = 1.0,
    borders: bool = False,
    matches: bool = False,
    workers: int | None = None,
) -> "pd.DataFrame":
    """Score many pairs of label images, or every window of them, on all cores.

    A progress bar appears when it takes longer than two seconds.

    Parameters
    ----------
    pairs : iterable of (true, pred)
        Label images as `contingency_table` takes them. Read as needed: a generator that loads
        images never holds more than a few for each worker.
    windows : function
        Called with an image's shape, gives the windows to score, each a tuple of slices. They are
        cut inside, without copies; an object that a window cuts into pieces stays one object.
    pool : {None, "sum"}
        None scores each pair or window alone. "sum" adds up TP, FP, FN and all other sums over them
        and scores the total, as if all were parts of one image; sap is the area under the curve of
        the pooled counts.
    strict, sap, both_empty, borders
        As in `evaluate`.
    matches : bool
        Also count the true positives at each of `THRESHOLDS`: columns `tp50`, `tp55`, ..., `tp95`.
        Of rows with these counts ap and map can be pooled later, without the images.
    workers : int
        Threads; by default, one for each core that the process may use.

    Returns
    -------
    pandas.DataFrame
        One row a pair or window, in order: `pair` and `window` (counted from 0; `window` only when
        there are windows), the fields of `Scores`, and `both_empty` (neither side has an object).
        Pooled: one row, with `n_scored` pairs or windows, `both_empty` of them without an object.

    Raises
    ------
    ValueError, TypeError
        As `evaluate`, naming the pair; or an unknown `pool`, or no worker.

    Examples
    --------
    >>> frame = evaluate_many([([1, 1, 0], [1, 0, 0]), ([0, 1, 2], [0, 1, 2])])
    >>> frame["ap50"].tolist()
    [1.0, 1.0]
    """
    import pandas as pd  # noqa: PLC0415  (slow import)

    from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415  (slow import)

    check_sap(sap)
    if pool not in (None, "sum"):
        raise ValueError(f'pool must be None or "sum", found {pool!r}')
    if workers is None:
        workers = _usable_cores()
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, found {workers}")

    def score(index: int, pair: ImagePair) -> _Scored:
        try:
            return _score_pair(*pair, windows=windows, strict=strict, sap=sap, borders=borders)
        except (TypeError, ValueError) as error:
            raise type(error)(f"pair {index}: {error}") from error

    scored = list(_in_threads(score, pairs, workers))
    rows = [row for one in scored for row in one.rows]
    sums = np.array(rows).reshape(len(rows), kernels.N_COLUMNS)
    if pool == "sum":
        total = sums.sum(axis=0, keepdims=True)
        if sap is not None:
            levels = np.concatenate([np.empty(0), *(own for one in scored for own in one.levels)])
            n_true, n_pred = total[0, [kernels.N_TRUE, kernels.N_PRED]]
            total[0, kernels.SAP] = area_under(np.sort(levels)[::-1], n_true, n_pred, sap)
        frame = pd.DataFrame(score_columns(total, both_empty, borders))
        frame.insert(0, "n_scored", len(rows))
        frame["both_empty"] = total[:, kernels.BOTH_EMPTY].astype(np.int64)
    else:
        frame = pd.DataFrame(score_columns(sums, both_empty, borders))
        if windows is not None:
            frame.insert(0, "window", [k for one in scored for k in range(len(one.rows))])
        frame.insert(0, "pair", [index for index, one in enumerate(scored) for _ in one.rows])
        frame["both_empty"] = sums[:, kernels.BOTH_EMPTY] > 0
    frame["strict"], frame["sap_form"] = strict, sap
    if matches:
        counts = sums.sum(axis=0, keepdims=True) if pool == "sum" else sums
        for k, name in enumerate(TP_COLUMNS):
            frame[name] = counts[:, kernels.TP + k].astype(np.int64)
    return frame


def warm_up() -> None:
    """Load the compiled kernels into this process, so that the first score takes no longer.

    Processes that fork from this one have them too. No thread is left.
    """
    for dtype in (np.uint32, np.int64):
        labels = np.array([[1, 1, 0, 2], [1, 1, 0, 2]], dtype=dtype)
        whole: Windows = lambda shape: [(slice(None), slice(None))]  # noqa: E731
        for sap in ("paper", "step"):
            _score_pair(labels, labels, windows=whole, strict=False, sap=sap, borders=True)
            evaluate(labels, labels, sap=sap)


def _score_pair(
    true: ArrayLike,
    pred: ArrayLike,
    *,
    windows: Windows | None,
    strict: bool,
    sap: SapForm | None,
    borders: bool,
) -> _Scored:
    """Score the windows of one pair of images, or the images themselves."""
    from imc_helpers.metrics import _kernels as kernels  # noqa: PLC0415  (slow import)

    images = LabelPair.of(true, pred)
    if borders:
        images.check_borders()
    code_true, code_pred = (np.zeros(largest + 1, np.int32) for largest in images.largest)
    crops = [images] if windows is None else map(images.crop, windows(np.shape(true)))
    options = strict, borders, sap == "paper", sap == "step"
    scored = _Scored([], [])
    for crop in crops:
        row, levels = kernels.score_crop(crop.true, crop.pred, code_true, code_pred, *options)
        scored.rows.append(row)
        scored.levels.append(levels)
    return scored


def _in_threads(
    score: Callable[[int, ImagePair], _Scored], pairs: Iterable[ImagePair], workers: int
) -> Iterator[_Scored]:
    """Score pairs a few at a time in threads, and give the results in order.

    Kernels run free of the interpreter lock, so threads share the images and run side by side.
    """
    from tqdm import tqdm  # noqa: PLC0415  (slow import)

    def score_all(task: Sequence[tuple[int, ImagePair]]) -> list[_Scored]:
        return [score(index, pair) for index, pair in task]

    numbered = enumerate(pairs)
    waiting: deque[Future[list[_Scored]]] = deque()
    total = len(pairs) if isinstance(pairs, Sized) else None
    # Few pairs are dealt out one by one, so that no thread is idle.
    a_task = PAIRS_A_TASK if total is None else max(1, min(PAIRS_A_TASK, total // (4 * workers)))
    with (
        ThreadPoolExecutor(workers) as threads,
        tqdm(total=total, desc="scored", unit=" pairs", delay=2, disable=None) as bar,
    ):

        def finished() -> list[_Scored]:
            done = waiting.popleft().result()
            bar.update(len(done))
            return done

        while task := list(islice(numbered, a_task)):
            waiting.append(threads.submit(score_all, task))
            if len(waiting) > 2 * workers:
                yield from finished()
        while waiting:
            yield from finished()


def _usable_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
