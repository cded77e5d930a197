"""Metrics of instance segmentation: label images in, numbers out.

>>> from imc_helpers.metrics import evaluate
>>> evaluate([[1, 1, 0, 2]], [[1, 1, 0, 0]]).ap50
0.5
"""

from imc_helpers.metrics.contingency import Borders, ContingencyTable, contingency_table
from imc_helpers.metrics.many import TP_COLUMNS, evaluate_many, warm_up
from imc_helpers.metrics.matching import (
    MatchedPairs,
    global_assignment,
    largest_matching_levels,
    largest_overlaps,
    matched_pairs,
)
from imc_helpers.metrics.scores import (
    THRESHOLDS,
    ApCurve,
    Scores,
    ap_curve,
    evaluate,
    sap_curve,
)

__all__ = [
    "THRESHOLDS",
    "TP_COLUMNS",
    "ApCurve",
    "Borders",
    "ContingencyTable",
    "MatchedPairs",
    "Scores",
    "ap_curve",
    "contingency_table",
    "evaluate",
    "evaluate_many",
    "global_assignment",
    "largest_matching_levels",
    "largest_overlaps",
    "matched_pairs",
    "sap_curve",
    "warm_up",
]
