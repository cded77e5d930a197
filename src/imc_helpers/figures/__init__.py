"""Every plot of the book, and how a page shows it.

Figures come back as `matplotlib.figure.Figure`; `show` puts one on the page with its label, caption
and alt text. Colours are from Okabe and Ito's set, which colour-blind readers can tell apart.
"""

from imc_helpers.figures.models import (
    colour_kinds,
    equivalence_rows,
    error_map,
    kind_bars,
    recall_curves,
    score_distributions,
    trial_rows,
)
from imc_helpers.figures.overview import against_parameters
from imc_helpers.figures.page import (
    BLUE,
    GOLD,
    GREEN,
    PURPLE,
    SKY,
    VERMILION,
    show,
    show_table,
)
from imc_helpers.figures.scores import (
    agreement_matrices,
    ap_areas,
    assignment_curves,
    ceiling_curves,
    likeness_ranges,
)
from imc_helpers.figures.speed import speed_against_score
from imc_helpers.figures.sweeps import choice_dots, choice_lines, seen_and_found
from imc_helpers.figures.tissue import (
    aggregate_and_parts,
    aggregates,
    border_crops,
    border_panels,
    borders,
    colour_labels,
    composite,
    draw_windows,
    found_crops,
    gallery,
    label_panels,
    model_crops,
    stretch,
    toy_cases,
)

__all__ = [
    "BLUE",
    "GOLD",
    "GREEN",
    "PURPLE",
    "SKY",
    "VERMILION",
    "against_parameters",
    "aggregate_and_parts",
    "aggregates",
    "agreement_matrices",
    "ap_areas",
    "assignment_curves",
    "border_crops",
    "border_panels",
    "borders",
    "ceiling_curves",
    "choice_dots",
    "choice_lines",
    "colour_kinds",
    "colour_labels",
    "composite",
    "draw_windows",
    "equivalence_rows",
    "error_map",
    "found_crops",
    "gallery",
    "kind_bars",
    "label_panels",
    "likeness_ranges",
    "model_crops",
    "recall_curves",
    "score_distributions",
    "seen_and_found",
    "show",
    "show_table",
    "speed_against_score",
    "stretch",
    "toy_cases",
    "trial_rows",
]
