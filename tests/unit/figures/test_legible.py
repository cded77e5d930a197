"""Every figure, on a page and on a telephone: letters large enough, none cut off."""

import warnings
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from imc_helpers.agreement.consensus import consensus
from imc_helpers.agreement.score_table import METRICS
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Sample
from imc_helpers.decisions.generalizability import COMPONENTS
from imc_helpers.downstream.conclusions import Verdict
from imc_helpers.experiments import label_trials, without_truth
from imc_helpers.experiments.distillation import map_of_values
from imc_helpers.figures import (
    agreement_plots,
    biology_plots,
    carried_plots,
    claim_plots,
    decision_plots,
    distillation_plots,
    mask_plots,
    model_plots,
    reference_free_plots,
    speed_plots,
    sweep_overview,
    sweep_plots,
    tissue_images,
    truth_plots,
)
from imc_helpers.figures.page import PHONE, WIDE
from imc_helpers.metrics import contingency_table
from imc_helpers.metrics.error_types import Kind, mesmer_errors
from imc_helpers.patching import windows

SMALLEST_PT = 8
TELEPHONE_IN = 342 / 96
"""What a page leaves for a figure on a telephone that is 390 px wide, inches."""

MODELS = ["instanseg_phantom", "cellpose3_phantom", "cse_deepcell_0_9", "pixel_forest"]
PEOPLE = [f"annotator{k}" for k in range(1, 5)]
rng = np.random.default_rng(0)


def labels(side=60):
    y, x = np.mgrid[:side, :side]
    return np.where(((y % 10) > 1) & ((x % 10) > 1), 1 + (y // 10) * 10 + x // 10, 0)


def conclusions():
    names = {
        "fraction": "macrophage",
        "contact": "endothelial – endothelial",
        "difference between groups": "CD8 T",
    }
    return pd.DataFrame(
        {"kind": kind, "name": name, "rater": r, "verdict": v, "value": x}
        for (kind, name), v in zip(names.items(), Verdict, strict=True)
        for r, x in zip([*PEOPLE, "truth"], rng.normal(size=5), strict=True)
    ).assign(low=lambda rows: rows["value"] - 1, high=lambda rows: rows["value"] + 0.5)


def scores(cohort="phantom_lymphoid", several=3):
    return pd.DataFrame(
        {"cohort": cohort, "mode": "whole", "rater_pred": m, "rater_true": a}
        | dict.fromkeys(METRICS, value)
        for m in [*MODELS, *PEOPLE, "reference"]
        for a in PEOPLE
        for value in rng.uniform(size=several)
    )


def pairs():
    return pd.DataFrame(
        {"cohort": c, "mode": "patch", "rater_true": a, "rater_pred": b}
        | dict.fromkeys(METRICS, 0.5)
        for c, people in (("phantom_lymphoid", PEOPLE), ("codex_two_experts", ["x", "y"]))
        for k, a in enumerate(people)
        for b in people[k + 1 :]
    )


def intervals(column, names, models=("Propagation", "cellpose3_phantom")):
    return pd.DataFrame(
        {"model": m, column: n, "mean": x, "low": x - 0.1, "high": x + 0.1, "class": n}
        for m in models
        for n, x in zip(names, rng.normal(size=len(names)), strict=True)
    )


def decisions():
    return pd.DataFrame(
        {
            "cohort": cohort, "model": m, "left_out": out, "difference": x, "low": x - 0.1,
            "high": x + 0.1, "margin": 0.03, "decision": "below", "difference_truth": x,
            "low_truth": x - 0.1, "high_truth": x + 0.1, "margin_truth": 0.03,
            "decision_truth": "above",
        }
        for cohort in ("spleen_imc", "codex_two_experts")
        for m in MODELS
        for out, x in (("mean", -0.2), ("annotator1", 0.3))
    )  # fmt: skip


def claims():
    return pd.DataFrame(
        {"claim": claim, "group": group, "false_low": low, "false_high": high, "verdict": verdict}
        for group in ("this edition's models", "published rankings, spread and correlation assumed")
        for claim, low, high, verdict in (
            ("Lymphoid phantom", 0.0001, 0.0001, "holds"),
            ("TissueNet nuclei, F1 at .5", 0.01, 0.3, "depends"),
            ("TNBC 2018, mean F1", 0.2, 0.6, "uncertain"),
        )
    )


def sample():
    panel = Panel((Channel("Ir191", "DNA1", "nucleus"), Channel("Nd144", "TOMM20", "membrane")))
    image = rng.uniform(size=(2, 60, 60)).astype(np.float32)
    return Sample("phantom_lymphoid_001", image, panel, 1.0)


def overlays():
    masks = {"Annotator 1": labels(), "InstanSeg (phantom)": np.roll(labels(), 1)}
    one = tissue_images.Overlay(
        rng.uniform(size=(60, 60)), 1.0, "Phantom, lymphoid\n001", masks, "17 cells, ap50 0.50"
    )
    return [one] * 6


def recall():
    return pd.DataFrame(
        {"model": m, "bin": k, "median": 20.0 * k, "recall": 0.5, "low": 0.4, "high": 0.6}
        for m in [*MODELS, *PEOPLE]
        for k in range(3)
    )


def likeness():
    columns = [
        f"{s}_{of}"
        for s in ("median", "p99", "zero", "neighbour")
        for of in ("real_min", "real_max", "phantom")
    ]
    table = pd.DataFrame(rng.uniform(size=(6, len(columns))), columns=columns)
    counts = [c for c in columns if c.startswith(("median", "p99"))]
    table[counts] *= 3000
    return table.assign(name=["DNA1", "DNA2", "CD4", "HistoneH3", "Vimentin", "Collagen1"])


def summary():
    return pd.DataFrame(
        {"question": q, "model": m, "which": w, "choice": c, "mean": 0.1, "low": 0.0, "high": 0.2}
        for m in ("Propagation (CellProfiler's method)", "Cellpose 3 (trained on phantom)")
        for q in ("pre-processing", "enlargement")
        for w, c in (("best", "hot_pixels+spillover, clip_99.7+clahe (planes)"), ("worst", "none"))
    )


def falls():
    return pd.DataFrame(
        [
            {"cohort": cohort, "threshold": t / 100, "ap": 1 - t / 100}
            for cohort in ("phantom_lymphoid", "codex_two_experts")
            for t in range(50, 100, 5)
        ]
    )


def ceiling():
    return pd.DataFrame(
        {"who": w, "correlation": c, "seed": s} | dict.fromkeys(METRICS, 0.5)
        for w in ("annotators", "truth")
        for c in (0.0, 0.5, 0.9)
        for s in (1, 2)
    )


def reach(beyond=None):
    rows = [("model", m) for m in MODELS] + [
        ("people", "the others' consensus"),
        ("truth", "truth"),
    ]
    table = pd.DataFrame(rows, columns=["kind", "rater"]).assign(value=0.5, low=0.4, high=0.6)
    lines = {"two annotators with each other": 0.4, "no mask scores higher": 0.7}
    return {c: truth_plots.Reach(table, lines, beyond) for c in ("spleen_imc", "phantom_lymphoid")}


def masks_compared():
    return pd.DataFrame(
        {"rater": r, "quantity": q, "value": x, "low": x - 0.1, "high": x + 0.1}
        for q in ("cells", "median area of a cell")
        for r, x in zip([*PEOPLE, *MODELS], rng.uniform(0.6, 1.4, 8), strict=True)
    )


def sizes():
    return pd.DataFrame(
        {"outline": o, "rater": r, "area": 30.0 * k, "ratio": x, "low": x - 0.1, "high": x + 0.1}
        for o in ("whole cells", "nuclei, expanded by 3 px")
        for r in [*PEOPLE, *MODELS]
        for k, x in enumerate(rng.uniform(0.6, 1.6, 5), start=1)
    )


def ranks():
    return pd.DataFrame(
        {"score": score, "numbers": numbers, "mean": x, "low": x - 0.2, "high": x + 0.2}
        for score, x in zip(without_truth.SCORES, rng.uniform(-0.7, 0.7, 17), strict=True)
        for numbers in (without_truth.AS_FOUND, without_truth.EQUAL)
    )


def flaws():
    return pd.DataFrame(
        {"kind": flaw, "amount": amount, "map": -amount, "silhouette": 0.2, "FCF": amount}
        for flaw in without_truth.FLAWS
        for amount in ((0, 0.1, 0.5) if flaw in ("merged", "dropped") else (0, 1, 2))
    )


def with_references(panels):
    return pd.DataFrame(
        {"score": p, "model": m, "reference": r, "mean": x, "low": x - 0.1, "high": x + 0.1}
        for p in panels
        for m in MODELS
        for r, x in zip(REFERENCES, (0.5, 0.6), strict=True)
    )


def counted():
    return pd.DataFrame(
        {"model": m, "reference": r, "cells_true": 300 * n, "cells_pred": 280 * n}
        for m in MODELS
        for r in REFERENCES
        for n in range(1, 6)
    )


def spread(panels):
    ends = {"q5": 0.1, "q25": 0.4, "q50": 0.6, "q75": 0.7, "q95": 0.9}
    return pd.DataFrame({"marker": p, "model": m, **ends} for p in panels for m in MODELS)


def supported():
    rows = {"others": range(4), "cells": 0.25, "real": 0.8, "typed_right": 0.7}
    ends = {f"{name}_{end}": 0.75 for name in ("real", "typed_right") for end in ("low", "high")}
    return pd.DataFrame(rows | ends)


def pooled():
    return pd.DataFrame(
        {"result": r, "way": w, "value": 0.3, "low": 0.2, "high": 0.4, "truth": 0.35}
        for r in ("CD4 T", "endothelial", "macrophage")
        for w in (*["one mask"] * 4, "pooled")
    )


def few_labels():
    rows = [
        {"labels": n, "way": w, "half_width": 1 / n}
        for w in (label_trials.ALONE, label_trials.WITH)
        for n in (5, 8, 10, 20)
    ]
    titles = ("mean ap50 per crop", "cells per crop", "share of the cells found")
    return dict.fromkeys(titles, pd.DataFrame(rows))


def calibrated():
    return pd.DataFrame(
        {"measure": m, "chance": x, "drawn": x}
        for m in ("share of the others who drew it", "fitted chance")
        for x in (0.1, 0.5, 0.9)
    )


def speed():
    return pd.DataFrame(
        {"model": m, "device": "cpu", "s_per_megapixel": 2.0**k, "ap50": 0.2 * k}
        for k, m in enumerate(MODELS)
    )


def sure():
    return pd.DataFrame(
        {
            "cohort": c, "metric": m, "mean": 0.7, "low_images": 0.68, "high_images": 0.72,
            "low_both": 0.3, "high_both": 1.1,
        }
        for c in ("phantom_lymphoid", "codex_two_experts")
        for m in METRICS
    )  # fmt: skip


def rank_rows():
    return pd.DataFrame(
        {"cohort": c, "model": m, "first": 1 + k, "last": 3 if k < 2 else 1 + k}
        for c in ("phantom_lymphoid", "codex_two_experts")
        for k, m in enumerate(MODELS)
    )


def personal():
    return pd.DataFrame(
        {"cohort": "phantom_lymphoid", "rater": p, "personal": 0.1, "low": 0.05, "high": 0.15}
        | {"distance": 0.3}
        for p in PEOPLE
    )


QUESTIONS = [f"Lymphoid phantom: {what} of other people" for what in ("agreement", "models")]


def widths():
    return pd.DataFrame(
        {"question": q, "people": n, "images": i, "half_width": 1 / n + 1 / i}
        for q in QUESTIONS
        for n in (3, 4, 6, 12, 24)
        for i in range(2, 10)
    )


REFERENCES = ["pixel_forest", "truth"]
TRUE, PRED = labels(), np.roll(labels(), 3)
TABLE = contingency_table(TRUE, PRED)
GROUPS = [MODELS, PEOPLE, ["reference"]]
AGREEMENT = dict.fromkeys(METRICS, 0.6)
STEPS = ["hot_pixels", "clahe (planes)", "hot_pixels+spillover, clip_99.7+clahe (planes)"]
DRAWN = {
    "agreement": partial(agreement_plots.agreement_matrices, pairs()),
    "areas": partial(agreement_plots.ap_areas, TABLE),
    "assignment": partial(agreement_plots.assignment_curves, TABLE),
    "ceiling": partial(agreement_plots.ceiling_curves, ceiling()),
    "falls": partial(agreement_plots.agreement_falls, falls()),
    "sure": partial(
        decision_plots.agreement_intervals,
        sure(),
        {(c, m): np.array([0.6, 0.8]) for c, m in sure()[["cohort", "metric"]].to_numpy()},
    ),
    "ranks": partial(decision_plots.rank_bars, rank_rows()),
    "shares": partial(
        decision_plots.share_bars,
        {"": pd.DataFrame(dict.fromkeys(COMPONENTS, 1 / 7), index=["Lymphoid phantom"])},
        dict.fromkeys(COMPONENTS, "#cccccc"),
    ),
    "personal": partial(decision_plots.personal_rows, personal()),
    "plan": partial(
        decision_plots.planned_widths, widths(), dict.fromkeys(QUESTIONS, 0.3),
        {QUESTIONS[0]: (5, 0.29)},
    ),
    "likeness": partial(agreement_plots.likeness_ranges, likeness()),
    "unfitted": partial(
        agreement_plots.unfitted_pairs,
        {
            name: pd.DataFrame(rng.uniform(-1, 1, (9, 3)), columns=["aside", "others", "made"])
            for name in ("Channels, over squares of 4 µm", "Markers, over cells")
        },
    ),
    "scores": partial(
        model_plots.score_distributions,
        {c: scores(c) for c in ("spleen_imc", "codex_two_experts")},
        dict.fromkeys(("spleen_imc", "codex_two_experts"), GROUPS),
        metrics=("ap50",),
        lines=dict.fromkeys(("spleen_imc", "codex_two_experts"), AGREEMENT),
    ),
    "boxes": partial(
        model_plots.score_distributions,
        {"": scores(several=13)},
        {"": GROUPS},
        metrics=("map", "sap"),
        lines={"": AGREEMENT},
    ),
    "claims": partial(claim_plots.claim_rows, claims()),
    "conclusions": partial(biology_plots.conclusion_rows, conclusions(), ["truth"]),
    "dot rows": partial(
        biology_plots.dot_rows,
        {
            "Spleen (IMC)": pd.DataFrame(
                {"matched cells": [0.9, 0.8], "points in all": [0.7, np.nan]},
                index=["CollagenI", "endothelial – endothelial"],
            )
        },
        {"matched cells": "#009E73", "points in all": "#0072B2"},
        "agreement of masks about what a cell expresses, ICC(2,1)",
    ),
    "equivalence": partial(model_plots.equivalence_rows, decisions(), raters="annotators"),
    "trial": partial(model_plots.trial_rows, decisions()),
    "errors": partial(
        model_plots.error_map,
        TRUE,
        PRED,
        mesmer_errors(TABLE),
        titles=("Annotator 1", "InstanSeg (phantom)"),
        um_per_px=1.0,
        field_um=40,
    ),
    "kinds": partial(
        model_plots.kind_bars, pd.DataFrame({kind.value: 0.2 for kind in Kind}, index=MODELS)
    ),
    "recall": partial(
        model_plots.recall_curves,
        recall(),
        "neighbours per 1000 µm²",
        models=MODELS,
        people=PEOPLE,
        whose="simulated annotators",
    ),
    "speed": partial(speed_plots.speed_against_score, speed(), raters="simulated annotators"),
    "dots": partial(
        sweep_plots.choice_dots, intervals("steps", STEPS), "steps", label="ap50, difference"
    ),
    "limits": partial(sweep_plots.best_and_worst_choices, summary(), label="ap50, difference"),
    "lines": partial(
        sweep_plots.choice_lines,
        intervals("size", ["small", "medium", "large"]),
        "size",
        "class",
        xlabel="annotators' cells, by area",
        ylabel="share found",
    ),
    "overview": partial(
        sweep_overview.against_parameters, scores().rename(columns={"rater_pred": "model"}),
        ["model", "rater_true"], "ap50",
    ),
    "overlays": partial(tissue_images.overlay_panels, overlays()),
    "pixels": partial(
        tissue_images.pixel_panels,
        labels(),
        {f"{share}% missing\nDice 0.93": np.roll(labels(), 1) for share in (0, 50, 90, 95)},
        1.0,
    ),
    "patches": partial(
        tissue_images.patch_panels,
        {"As it is": np.ones((2, 60, 60)), "Cells, moved alike": labels() > 0}, 1.0,
    ),
    "gallery": partial(tissue_images.gallery, {"Lymph node (CODEX)": sample()}, field_um=40),
    "aggregates": partial(
        tissue_images.aggregates, {"Lymph node (CODEX)": sample()}, field_um=40
    ),
    "parts": partial(
        tissue_images.aggregate_and_parts, sample(), "membrane", field_um=40
    ),
    "seen": partial(
        tissue_images.seen_and_found,
        {"nucleus": TRUE / 60, "membrane": PRED / 60},
        {"Annotator 1": TRUE, "Propagation": PRED},
        um_per_px=1.0,
        field_um=40,
    ),
    "windows": partial(
        tissue_images.draw_windows,
        np.zeros((512, 700)),
        windows((512, 700), size=256, stride=128),
        border_px=28,
        highlight=[0, 1],
    ),
    "reach": partial(truth_plots.reach_rows, reach(0.7), "mean soft AP with the annotators"),
    "excess": partial(
        truth_plots.reach_rows, reach(), "squared distance from what annotators draw on average, δ"
    ),
    "supposed": partial(
        truth_plots.supposed_curves, {"spleen_imc": 0.3, "codex_two_experts": 0.5}
    ),
    "calibration": partial(truth_plots.calibration_curve, calibrated()),
    "support": partial(
        truth_plots.support_map,
        rng.uniform(size=(60, 60)),
        consensus([TRUE, PRED]),
        consensus([TRUE, PRED]).support,
        [TRUE, PRED],
        um_per_px=1.0,
        field_um=40,
    ),
    "mask rows": partial(
        mask_plots.mask_rows, masks_compared(), people=PEOPLE, line=1, label="times the truth"
    ),
    "size curves": partial(mask_plots.size_curves, sizes()),
    "few labels": partial(truth_plots.trial_curves, few_labels()),
    "ranks without a reference": partial(reference_free_plots.rank_rows, ranks()),
    "flaws": partial(reference_free_plots.flaw_curves, flaws(), ["map", "silhouette", "FCF"]),
    "scores without a reference": partial(
        reference_free_plots.score_rows,
        pd.DataFrame(
            {"mask": m, **dict.fromkeys(without_truth.CLUSTER_SCORES, rng.uniform())}
            for m in [*MODELS, *PEOPLE]
        ),
        list(without_truth.CLUSTER_SCORES),
    ),
    "map of cells": partial(
        reference_free_plots.map_of_cells, rng.normal(size=(60, 2)), MODELS * 15, MODELS
    ),
    "references": partial(
        distillation_plots.reference_rows,
        with_references(["Cells that both have", "Wherever one of them has a cell", "F1"]),
        "score", REFERENCES, label="Pearson's r, mean over markers",
    ),
    "labelling": partial(
        distillation_plots.labelling_curve,
        pd.DataFrame({"labelled_pixels": [900, 6900], "uncertainty": 0.505, "ap50": [0.7, 0.75]}),
    ),
    "counts": partial(distillation_plots.count_points, counted(), REFERENCES),
    "spread": partial(
        distillation_plots.spread_rows, spread(["CD45RA", "TOMM20"]), "marker",
        {"CD45RA": "CD45RA", "TOMM20": "TOMM20"}, label="mean counts of a cell",
    ),
    "match values": partial(
        distillation_plots.match_maps, dict.fromkeys(MODELS, map_of_values(TRUE, PRED)),
        um_per_px=1.0, field_um=40,
    ),
    "support of cells": partial(carried_plots.support_bars, supported()),
    "pooled": partial(carried_plots.pooled_rows, pooled(), "share of the cells"),
    "toys": partial(
        tissue_images.toy_cases,
        {"D: one missed, one made up": (TRUE[:2, :8], PRED[:2, :8]), "C": (TRUE[:2, :8],) * 2},
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def letters(monkeypatch):
    """Find the texts that a figure really draws, with their places in inches."""
    drawn = []
    draw = Text.draw
    monkeypatch.setattr(Text, "draw", lambda text, *args: (drawn.append(text), draw(text, *args)))

    def find(figure):
        figure.draw_without_rendering()
        to_inches = figure.dpi_scale_trans.inverted()
        shown = [text for text in dict.fromkeys(drawn) if text.get_text() and text.get_visible()]
        return [(text, text.get_window_extent().transformed(to_inches)) for text in shown]

    return find


@pytest.mark.parametrize("width", [WIDE, PHONE], ids=["page", "telephone"])
@pytest.mark.parametrize("name", DRAWN)
def test_letters_are_large_enough_and_inside_and_apart(name, width, letters):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a layout that finds no room says so
        figure = DRAWN[name](width=width)
        found = letters(figure)
    assert found
    wide, high = figure.get_size_inches()
    assert wide <= width + 1e-9
    shrunk = min(1, TELEPHONE_IN / wide) if width == PHONE else 1
    small = {text.get_text(): text.get_fontsize() * shrunk for text, _ in found}
    assert {text: size for text, size in small.items() if size < SMALLEST_PT} == {}
    cut = [
        text.get_text()
        for text, box in found
        if box.x0 < -0.02 or box.y0 < -0.02 or box.x1 > wide + 0.02 or box.y1 > high + 0.02
    ]
    assert cut == []
    places = dict(found)
    for axis in figure.axes:
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
            boxes = [places[text] for text in ticks if text in places]
            collide = any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[k + 1 :])
            assert not collide, [text.get_text() for text in ticks]
