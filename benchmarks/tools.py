"""The programs that are compared, each behind one function that scores a list of image pairs.

A peer is imported only when it is asked for, so that one that is absent costs the others nothing.
"""

# ruff: noqa: PLC0415

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pairs import ImagePair

THRESHOLDS = [k / 100 for k in range(50, 100, 5)]
Score = Callable[[Sequence[ImagePair]], list[Any]]


@dataclass(frozen=True)
class Tool:
    """One way to score image pairs."""

    work: str
    """What it computes."""
    distribution: str
    """Name under which its version is found."""
    load: Callable[[], Score]
    """Imports it and gives the function to time."""


def version_of(tool: Tool) -> str:
    """Give a tool's version; ours may run from the source tree, and an algorithm has none."""
    try:
        return importlib.metadata.version(tool.distribution) if tool.distribution else ""
    except importlib.metadata.PackageNotFoundError:
        return "source tree"


def _ours(sap: str | None, workers: int = 1) -> Callable[[], Score]:
    def load() -> Score:
        from imc_helpers.metrics import evaluate, evaluate_many

        def score(pairs: Sequence[ImagePair]) -> list[Any]:
            if len(pairs) == 1:
                return [evaluate(*pairs[0], sap=sap).map]
            return evaluate_many(pairs, sap=sap, workers=workers)["map"].tolist()

        return score

    return load


def _cellpose() -> Score:
    from cellpose.metrics import average_precision

    return lambda pairs: [average_precision(t, p, threshold=THRESHOLDS)[0] for t, p in pairs]


def _stardist() -> Score:
    from stardist.matching import matching

    return lambda pairs: [[m.accuracy for m in matching(t, p, thresh=THRESHOLDS)] for t, p in pairs]


def _torchmetrics() -> Score:
    import torch
    from torchmetrics.functional.detection import panoptic_quality

    def panoptic(labels: np.ndarray) -> "torch.Tensor":
        stacked = np.stack([(labels > 0).astype(np.int64), labels.astype(np.int64)], axis=-1)
        return torch.from_numpy(stacked)[None]

    def score(pairs: Sequence[ImagePair]) -> list[Any]:
        return [
            float(
                panoptic_quality(
                    panoptic(p), panoptic(t), things={1}, stuffs={0}, return_per_class=True
                )[0, 0]
            )
            for t, p in pairs
        ]

    return score


def _panoptica() -> Score:
    from panoptica import InputType, NaiveThresholdMatching, Panoptica_Evaluator
    from panoptica.metrics import Metric

    evaluator = Panoptica_Evaluator(
        expected_input=InputType.UNMATCHED_INSTANCE,
        instance_matcher=NaiveThresholdMatching(matching_threshold=0.5),
        instance_metrics=[Metric.IOU],
        global_metrics=[],
    )

    def score(pairs: Sequence[ImagePair]) -> list[Any]:
        return [
            evaluator.evaluate(p.astype(np.uint64), t.astype(np.uint64))["ungrouped"].pq
            for t, p in pairs
        ]

    return score


def _sorted_ap() -> Score:
    """Follow the published algorithm's steps: a stack of masks for each image, then dense IoUs.

    The published program is a script without a package. Its steps are written anew here, for their
    cost and not for their result.
    """
    from scipy.optimize import linear_sum_assignment

    def stack(labels: np.ndarray) -> np.ndarray:
        return np.stack([labels == k for k in np.unique(labels) if k != 0])

    def one(true: np.ndarray, pred: np.ndarray) -> float:
        cells, guesses = stack(true), stack(pred)
        shared = np.stack([(cells & guess).sum(axis=(1, 2)) for guess in guesses])
        areas = guesses.sum(axis=(1, 2))[:, np.newaxis] + cells.sum(axis=(1, 2))
        iou = shared / (areas - shared)
        matched = np.sort(iou[linear_sum_assignment(iou, maximize=True)])
        tp = np.arange(len(matched), 0, -1)
        ap = tp / (len(cells) + len(guesses) - tp)
        area = np.trapezoid(np.r_[ap[0], ap, 0], np.r_[0, matched, 1])
        return float(area)

    return lambda pairs: [one(t, p) for t, p in pairs]


def _scikit_image() -> Score:
    from skimage.metrics import adapted_rand_error, variation_of_information

    return lambda pairs: [
        (adapted_rand_error(t, p), variation_of_information(t, p)) for t, p in pairs
    ]


def _deepcell() -> Score:
    from deepcell_toolbox.metrics import ObjectMetrics

    return lambda pairs: [ObjectMetrics(t, p).to_dict() for t, p in pairs]


ALL_BUT_SAP = "every score but sap"
ALL = "every score, sap on paper"
ALL_STEP = "every score, sap as a step"
TOOLS = {
    "ours": Tool(ALL_BUT_SAP, "imc-agreement-book", _ours(None)),
    "ours, with sap": Tool(ALL, "imc-agreement-book", _ours("paper")),
    "ours, with step sap": Tool(ALL_STEP, "imc-agreement-book", _ours("step")),
    "ours, with sap, 2 threads": Tool(ALL, "imc-agreement-book", _ours("paper", workers=2)),
    "cellpose 3": Tool("ap50 and map", "cellpose", _cellpose),
    "stardist": Tool("ap50 and map", "stardist", _stardist),
    "panoptica": Tool("PQ at .5", "panoptica", _panoptica),
    "torchmetrics": Tool("PQ at .5", "torchmetrics", _torchmetrics),
    "sortedAP algorithm": Tool("sap on paper", "", _sorted_ap),
    "scikit-image": Tool("Rand error and variation of information", "scikit-image", _scikit_image),
    "deepcell-toolbox": Tool("errors with names", "deepcell-toolbox", _deepcell),
}
