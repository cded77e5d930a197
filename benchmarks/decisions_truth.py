"""Try on the phantom what pages say of the truth's score, consensus and few labels.

Writes `results/decisions_{truth,halving,consensus,labels,predictors,crops}.csv`; run from the
repository's root:

    python benchmarks/decisions_truth.py [truth] [halving] [consensus] [labels] [predictors] [crops]

People are drawn at random (`ExpertGroup(stratified=False)`), and each draws whole tissues by hand.
Everything that is estimated is known here, so bias and coverage can be counted.
"""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from imc_helpers.agreement.consensus import consensus
from imc_helpers.agreement.support import (
    calibration,
    calibration_error,
    cross_fitted,
    held_out_cells,
)
from imc_helpers.data.raters import TRUTH
from imc_helpers.decisions.crops import by_crop, mask_crops
from imc_helpers.decisions.disagreement import personal_errors
from imc_helpers.decisions.distances import mask_distances
from imc_helpers.decisions.powered import powered_mean
from imc_helpers.experiments.crop_predictors import compare_predictors, mask_quality
from imc_helpers.experiments.label_trials import draw_trials, label_trials
from imc_helpers.experiments.without_truth import NUCLEUS_UM
from imc_helpers.images.imperfect_masks import drop_cells
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters.cellprofiler import find_nuclei
from imc_helpers.phantom.drawing import ExpertGroup, draw_annotators
from imc_helpers.phantom.recipes import find_recipe, make_sample

RESULTS = Path(__file__).parent / "results"
RECIPES = ("phantom_lymphoid", "phantom_jackson20")
CORRELATIONS = (0.0, 0.4, 0.8)
SIDE_PX = 256
CROP_PX = 64
SIZES = (8, 12, 20)
TRIALS = 400


def tissue(seed: int):
    """Make a tissue; recipes take turns, so that tissues differ as images of a study do."""
    return make_sample(find_recipe(RECIPES[seed % 2]), (SIDE_PX, SIDE_PX), seed, f"tissue{seed}")


def truth() -> pd.DataFrame:
    """Estimate the truth's score from a few adjudicated crops: bias, coverage, width."""
    rows = []
    for correlation in CORRELATIONS:
        for group in range(3):
            parts = []
            for image in range(8):
                sample = tissue(100 * group + image)
                people = draw_annotators(
                    sample, ExpertGroup(correlation=correlation, stratified=False), group
                )
                masks = {TRUTH: sample.masks[TRUTH], **people}
                pairs = list(combinations(masks, 2))
                parts.append(mask_crops(masks, pairs, crop_px=CROP_PX).assign(sample=sample.id))
            scores = pd.concat(parts)
            of_truth = scores["rater_true"] == TRUTH
            y, f = by_crop(scores[of_truth], "ap50"), by_crop(scores[~of_truth], "ap50")
            found = label_trials(y, f, SIZES, trials=TRIALS, seed=group)
            r = float(np.corrcoef(y, f)[0, 1])
            about = {"correlation": correlation, "group": group, "crops": len(y), "r": r}
            rows.append(found.assign(**about, truth=float(y.mean())))
    return pd.concat(rows)


def halving() -> pd.DataFrame:
    """Set the truth's score beside what halving the disagreement of annotators makes of it."""
    rows = []
    for correlation in CORRELATIONS:
        for evidence in (0.0, 0.7):
            for group in range(6):
                sample = tissue(group)
                experts = ExpertGroup(correlation=correlation, evidence=evidence, stratified=False)
                people = [*draw_annotators(sample, experts, group).values()]
                agreement = np.mean([evaluate(a, b).ap50 for a, b in combinations(people, 2)])
                perfect = np.mean([evaluate(sample.masks[TRUTH], a).ap50 for a in people])
                rows.append(
                    {
                        "correlation": correlation,
                        "evidence": evidence,
                        "group": group,
                        "agreement": agreement,
                        "truth": perfect,
                        "halved": (1 + agreement) / 2,
                        "overstated": (1 + agreement) / 2 - perfect,
                    }
                )
    return pd.DataFrame(rows)


def consensus_masks() -> pd.DataFrame:
    """Score consensus masks with the truth beside the best person, and check their support."""
    rows = []
    for group in range(6):
        cells = []
        for image in range(3):
            sample = tissue(10 * group + image)
            people = draw_annotators(sample, ExpertGroup(stratified=False), group)
            perfect = sample.masks[TRUTH]
            agreed = consensus([*people.values()])
            errors = personal_errors(mask_distances(people, [*people]))
            # An error may come out at 0 or below; nobody weighs more than four times the mean.
            weights = 1 / errors.clip(lower=errors.mean() / 4)[[*people]]
            weighted = consensus([*people.values()], weights)
            alone = [evaluate(perfect, mask).ap50 for mask in people.values()]
            rows.append(
                {
                    "group": group,
                    "sample": sample.id,
                    "consensus": evaluate(perfect, agreed.labels).ap50,
                    "weighted": evaluate(perfect, weighted.labels).ap50,
                    "best_person": max(alone),
                    "mean_person": np.mean(alone),
                    "gap": agreed.gap,
                }
            )
            cells.append(held_out_cells(people).assign(sample=sample.id))
        table = pd.concat(cells, ignore_index=True)
        for row in rows[-3:]:
            for name, other in (("calibration_error", False), ("calibration_error_people", True)):
                chance = cross_fitted(table, other_people=other)
                row[name] = calibration_error(calibration(chance, table["drawn"]))
    return pd.DataFrame(rows)


def labels() -> pd.DataFrame:
    """Count how often intervals from few labels cover, with t and with normal quantiles."""
    rng = np.random.default_rng(0)
    rows = []
    for n in (5, 8, 10, 20):
        for correlation in (0.0, 0.3, 0.6, 0.9):
            hits, normal, widths, alone = 0, 0, [], []
            for _ in range(2000):
                f = rng.standard_normal(400)
                y = correlation * f + np.sqrt(1 - correlation**2) * rng.standard_normal(400)
                at = rng.choice(400, n, replace=False)
                found = powered_mean(y[at], f[at], f)
                half = (found.high - found.low) / 2
                z_half = half / stats.t.ppf(0.975, n - 2) * stats.norm.ppf(0.975)
                off = abs(found.value - y.mean())
                hits, normal = hits + (off <= half), normal + (off <= z_half)
                widths.append(half)
                one = powered_mean(y[at], f[at], f, slope=0.0)
                alone.append((one.high - one.low) / 2)
            rows.append(
                {
                    "labels": n,
                    "correlation": correlation,
                    "coverage": hits / 2000,
                    "coverage_normal": normal / 2000,
                    "relative": np.median(widths) / np.median(alone),
                }
            )
    return pd.DataFrame(rows)


def predictors() -> pd.DataFrame:
    """Predict a model's score in crops by agreement with another, and without any reference."""
    rows = []
    for group in range(3):
        parts, quality = [], {}
        for image in range(8):
            sample = tissue(10 * group + image)
            # As in `crops`: people stand in for models, and one is careless in half of the image.
            people = draw_annotators(sample, ExpertGroup(stratified=False), group)
            rough = people["annotator2"].copy()
            rough[:, : SIDE_PX // 2] = drop_cells(rough[:, : SIDE_PX // 2], 0.3, seed=group)
            masks = {TRUTH: sample.masks[TRUTH], "judged": rough, "other": people["annotator3"]}
            pairs = [(TRUTH, "judged"), ("judged", "other")]
            parts.append(mask_crops(masks, pairs, crop_px=CROP_PX).assign(sample=sample.id))
            nuclear = sample.image[list(sample.panel.compartment("nucleus"))].mean(axis=0)
            nuclei = find_nuclei(nuclear, NUCLEUS_UM / sample.um_per_px)
            quality[sample.id] = mask_quality(
                sample.image, rough, nuclei, sample.um_per_px, crop_px=CROP_PX
            )
        scores = pd.concat(parts)
        known = scores["rater_true"] == TRUTH
        found = {
            "agreement between models": by_crop(scores[~known], "ap50"),
            "CSQS": pd.concat(quality, names=["sample"]),
        }
        labels = by_crop(scores[known], "ap50")
        for n in SIZES:
            tried = compare_predictors(labels, found, n, trials=TRIALS, seed=group)
            rows.append(tried.assign(group=group, labels=n))
    return pd.concat(rows)


def crops() -> pd.DataFrame:
    """Draw crops where models disagree, to estimate how many errors one of them makes."""
    rows = []
    for group in range(4):
        parts = []
        for image in range(8):
            sample = tissue(10 * group + image)
            perfect = sample.masks[TRUTH]
            people = draw_annotators(sample, ExpertGroup(stratified=False), group)
            # Models stand in for by people who draw, one of them careless in half of the image.
            rough = people["annotator2"].copy()
            rough[:, : SIDE_PX // 2] = drop_cells(rough[:, : SIDE_PX // 2], 0.3, seed=group)
            masks = {TRUTH: perfect, "judged": rough, "other": people["annotator3"]}
            pairs = [(TRUTH, "judged"), ("judged", "other")]
            parts.append(mask_crops(masks, pairs, crop_px=CROP_PX).assign(sample=sample.id))
        scores = pd.concat(parts)
        known = scores["rater_true"] == TRUTH
        errors, expected = by_crop(scores[known], "errors"), by_crop(scores[~known], "errors")
        found = draw_trials(errors, expected, SIZES, trials=TRIALS, seed=group)
        spread = float(errors.std() / errors.mean())
        r = float(np.corrcoef(errors, expected)[0, 1])
        rows.append(found.assign(group=group, crops=len(errors), spread=spread, r=r))
    return pd.concat(rows)


PARTS = {
    "truth": truth,
    "halving": halving,
    "consensus": consensus_masks,
    "labels": labels,
    "predictors": predictors,
    "crops": crops,
}


def main() -> None:
    """Run the parts named, or all of them."""
    for name in sys.argv[1:] or PARTS:
        PARTS[name]().round(4).to_csv(RESULTS / f"decisions_{name}.csv", index=False)


if __name__ == "__main__":
    main()
