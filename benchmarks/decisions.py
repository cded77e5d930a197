"""Check the statistics by which the book decides, where the answer is known.

Each simulation is a function that returns a table; ``results/decisions_NAME.csv`` holds it. Run
from the repository's root, all of them or some (a few minutes each on one core):

    python benchmarks/decisions.py [coverage phantom models trial personal components patches plan]
"""

import sys
import tempfile
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from imc_helpers.agreement.score_table import score_masks
from imc_helpers.agreement.statistics import (
    ALPHA,
    crossed_variances,
    rank_sets,
    satterthwaite,
    score_cube,
    simultaneous_differences,
)
from imc_helpers.data.raters import TRUTH, Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.decisions.disagreement import disagreement_of_masks, personal_errors
from imc_helpers.decisions.generalizability import (
    COMPONENTS,
    PATCH_COMPONENTS,
    analysis_of_variance,
    nested_analysis,
    restricted_likelihood,
)
from imc_helpers.decisions.planning import Pilot, half_widths
from imc_helpers.experiments.known_quality import known_candidates, trial
from imc_helpers.phantom.drawing import ExpertGroup, draw_annotators
from imc_helpers.phantom.recipes import find_recipe, make_sample

RESULTS = Path(__file__).parent / "results"
RECIPE = "phantom_lymphoid"
CORRELATIONS = (0.0, 0.2, 0.4, 0.6, 0.8)


def covered(scores: np.ndarray, mean: float) -> dict[str, float]:
    """Say how often the two 95 % intervals of many studies hold the mean of other people.

    Parameters
    ----------
    scores
        (trials, N, N, n), as `score_cube` lays out each.
    mean
        The true mean agreement of the population of people and images.
    """
    n_raters, n_images = scores.shape[-2:]
    found, v_images, v_raters = crossed_variances(scores)
    degrees = satterthwaite(v_images, n_images - 1, v_raters, n_raters - 1)
    halves = {
        "other images": stats.t.isf(ALPHA, n_images - 1) * np.sqrt(v_images),
        "other images and people": stats.t.isf(ALPHA, degrees) * np.sqrt(v_images + v_raters),
    }
    return {
        **{name: float(np.mean(np.abs(found - mean) <= half)) for name, half in halves.items()},
        "too high": float(np.mean(found - halves["other images and people"] > mean)),
    }


def some_of(scores: np.ndarray, drawn: int) -> np.ndarray:
    """Keep the scores of so many annotators per image, every choice of them in its turn."""
    people, images = scores.shape[-2:]
    turns = list(combinations(range(people), drawn))
    kept = np.zeros((people, people, images), bool)
    for i in range(images):
        chosen = turns[i % len(turns)]
        kept[np.ix_(chosen, chosen, [i])] = True
    return np.where(kept, scores, np.nan)


def coverage(trials: int = 4000, seed: int = 0) -> pd.DataFrame:
    """Draw people and images anew from normal distributions, and count intervals that hold .7."""
    rng = np.random.default_rng(seed)
    rows = []
    for people in (3, 4, 6):
        for images in (4, 12, 24):
            for person in (0.0, 0.02, 0.05):
                scores = _normal_studies(rng, trials, people, images, person)
                for drawn in (people, 2):
                    about = {"people": people, "images": images, "SD of people": person}
                    about["people per image"] = drawn
                    part = scores if drawn == people else some_of(scores, drawn)
                    if drawn < people and images < people * (people - 1) / 2:
                        continue  # not every pair has an image
                    rows.append(about | covered(part, 0.7))
    return pd.DataFrame(rows)


def _normal_studies(
    rng: np.random.Generator, trials: int, people: int, images: int, person: float
) -> np.ndarray:
    """Make scores of (trials, N, N, n) whose mean is .7; without ``person``, people are alike."""
    skill = rng.normal(0, person, (trials, people))
    hard = rng.normal(0, 0.03, (trials, 1, 1, images))
    day = rng.normal(0, 0.02 if person else 0, (trials, people, images))
    noise = rng.normal(0, 0.02, (trials, people, people, images))
    both = skill[:, :, None, None] + skill[:, None, :, None] + day[:, :, None] + day[:, None]
    return 0.7 + both + hard + noise


def phantom(
    people: int = 24, tissues: int = 12, side_px: int = 128, trials: int = 2000, crowds: int = 3
) -> pd.DataFrame:
    """Let crowds of simulated people draw many tissues, and take studies of some of them.

    The mean over a crowd and all tissues is what a study wants to know. Half of the tissues are of
    another kind, since images of one recipe are more alike than real ones.
    """
    rng = np.random.default_rng(0)
    samples = _tissues(tissues, side_px)
    rows = []
    for correlation in (0.0, 0.4, 0.8):
        group = ExpertGroup(n_experts=people, correlation=correlation, stratified=False)
        for crowd in range(crowds):
            tables = [
                score_masks(
                    {Rater(n): m for n, m in draw_annotators(one, group, crowd).items()},
                    sample=one.id,
                )
                for one in samples
            ]
            cube, *_ = score_cube(pd.concat(tables), "ap50")
            mean = float(np.nanmean(cube))
            for n_people, n_images in ((3, 6), (4, 4), (4, 12), (6, 6), (10, 6)):
                chosen = [_chosen(rng, cube.shape, n_people, n_images) for _ in range(trials)]
                studies = np.stack([cube[np.ix_(*one)] for one in chosen])
                about = {"correlation": correlation, "people": n_people, "images": n_images}
                rows.append(about | {"people per image": n_people} | covered(studies, mean))
                if n_images >= n_people * (n_people - 1) / 2:
                    part = covered(some_of(studies, 2), mean)
                    rows.append(about | {"people per image": 2} | part)
    by = ["correlation", "people", "images", "people per image"]
    found = pd.DataFrame(rows).groupby(by, sort=False)
    worst = found["other images and people"].min().rename("the worst crowd")
    return found.mean().join(worst).reset_index()


def _tissues(count: int, side_px: int) -> list[Sample]:
    """Make tissues of two kinds in turn."""
    kinds = (RECIPE, "phantom_jackson20")
    return [
        make_sample(find_recipe(kinds[k % 2]), (side_px, side_px), 500 + k, f"tissue_{k}")
        for k in range(count)
    ]


def _chosen(
    rng: np.random.Generator, shape: tuple[int, ...], people: int, images: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    who = rng.choice(shape[0], people, replace=False)
    return who, who, rng.choice(shape[2], images, replace=False)


def models(trials: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Compare models that are equal, or of which one is better, by all pairs and with the best."""
    rng = np.random.default_rng(seed)
    rows = []
    designs = [
        (kind, 8, images, 0.0) for kind in ("normal", "exponential") for images in (4, 8, 20)
    ]
    designs += [("skewed differences", 2, images, 0.0) for images in (4, 8, 20)]
    designs += [("normal", count, 12, 1.5) for count in (2, 8)]
    for scores, count, images, ahead in designs:
        if scores == "skewed differences":  # of two models, one never varies
            drawn = rng.standard_exponential((trials, images, count)) - 1
            drawn[..., 1] = 0
        else:
            drawn = getattr(rng, f"standard_{scores}")((trials, images, count))
        # In standard deviations of the difference of two models.
        drawn[..., 0] += ahead * np.sqrt(2)
        about = {"scores": scores, "models": count, "images": images, "ahead": ahead}
        rows.append(about | _compared(drawn, ahead))
    return pd.DataFrame(rows)


def _compared(drawn: np.ndarray, ahead: float) -> dict[str, float]:
    """Count errors and finds: the first model is ahead by so much, and the others are equal."""
    names = [f"m{k}" for k in range(drawn.shape[2])]
    ranks = {
        name: (1, 1) if ahead and not k else (1 + bool(ahead), len(names))
        for k, name in enumerate(names)
    }
    wrong, inside, found, first, with_best = 0, 0, 0.0, 0, 0
    for one in drawn:
        table = pd.DataFrame(one, columns=names)
        differences = simultaneous_differences(table, table.index)
        equal = differences["one"] != "m0" if ahead else differences["one"].notna()
        wrong += bool(((differences["p_holm"] <= 2 * ALPHA) & equal).any())
        sets = rank_sets(differences).set_index("model")
        # Equal models may stand in any order, so a set must hold all their ranks.
        inside += all(
            sets.loc[name, "first"] <= low and sets.loc[name, "last"] >= high
            for name, (low, high) in ranks.items()
        )
        found += sets.loc["m0", "worse"] / (len(names) - 1)
        first += int(sets.loc["m0", "last"] == 1)
        order = one.mean(axis=0).argmax()
        others = np.delete(one, order, axis=1) - one[:, [order]]
        with_best += bool((stats.ttest_1samp(others, 0).pvalue <= 2 * ALPHA).any())
    trials = len(drawn)
    return {
        "an error, all pairs": wrong / trials,
        "all ranks inside": inside / trials,
        "a pair with the better one found": found / trials if ahead else np.nan,
        "the better one surely first": first / trials if ahead else np.nan,
        "an error, each with the best": np.nan if ahead else with_best / trials,
    }


def trial_of_groups(groups: int = 20, images: int = 6, side_px: int = 192) -> pd.DataFrame:
    """Let groups of annotators judge one of their own, and the truth, and the truth judge both."""
    samples = _tissues(images, side_px)
    rows = []
    for correlation in CORRELATIONS:
        parts = [
            _one_group(samples, ExpertGroup(correlation=correlation, stratified=False), seed)
            for seed in range(groups)
        ]
        tried = pd.concat(parts)
        tried = tried[tried["metric"] == "ap50"]
        for who, own in (
            ("people held out", tried["model"].str.endswith("held out")),
            ("the truth", tried["model"] == "the truth"),
        ):
            outcome, gap = tried.loc[own, "outcome"], tried.loc[own, "difference"]
            rows.append(
                {"correlation": correlation, "who": who, "tried": len(outcome)}
                | {name: int((outcome == name).sum()) for name in ("right", "wrong", "abstained")}
                | {"lowest difference": gap.min(), "highest difference": gap.max()}
            )
    return pd.DataFrame(rows)


def _one_group(samples: Iterable[Sample], group: ExpertGroup, seed: int) -> pd.DataFrame:
    """Try the truth and each annotator before the others."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = [
            Sample(
                one.id,
                one.image[:1],
                type(one.panel)(one.panel.channels[:1]),
                one.um_per_px,
                {TRUTH: one.masks[TRUTH], **draw_annotators(one, group, seed)},
            )
            for one in samples
        ]
        path = Path(folder) / "group"
        write_cohort(path, drawn)
        people = [name for name in drawn[0].masks if name != TRUTH]
        cohort = Cohort(path, raters=[*people, Rater(TRUTH, "truth")])
        return trial(cohort, {"the truth": known_candidates(cohort)["the truth"]})


def personal(people: int = 32, tissues: int = 6, side_px: int = 128) -> pd.DataFrame:
    """Tell four people's own errors from their distances, and from the middle of a large crowd."""
    rng = np.random.default_rng(0)
    samples = _tissues(tissues, side_px)
    rows = []
    for correlation in (0.0, 0.4, 0.8):
        group = ExpertGroup(n_experts=people, correlation=correlation, stratified=False)
        pairs = pd.concat(
            disagreement_of_masks(draw_annotators(one, group, 1), sample=one.id) for one in samples
        )
        crowd = personal_errors(pairs)
        right, errors = 0, []
        for _ in range(20):
            four = list(rng.choice(crowd.index, 4, replace=False))
            own = pairs[pairs["rater_true"].isin(four) & pairs["rater_pred"].isin(four)]
            found = personal_errors(own)
            right += found.idxmax() == crowd[four].idxmax()
            errors += list((found - crowd[found.index]).abs())
        rows.append(
            {
                "correlation": correlation,
                "groups": 20,
                "right about who errs most": right,
                "mean own error of the crowd": crowd.mean(),
                "mean error of own errors": np.mean(errors),
            }
        )
    return pd.DataFrame(rows)


PLANTED = (0.010, 0.006, 0.002, 0.003, 0.001, 0.002, 0.001)
"""Variances of the components, in the order of `COMPONENTS`."""


def variance_components(trials: int = 2000, incomplete: int = 100, seed: int = 0) -> pd.DataFrame:
    """Estimate planted components, from complete studies and from two of four annotators each."""
    rng = np.random.default_rng(seed)
    effects = [e for r in (1, 2, 3) for e in combinations(range(3), r)]

    def made(sizes: tuple[int, int, int]) -> np.ndarray:
        scores = np.full(sizes, 0.6)
        for effect, variance in zip(effects, PLANTED, strict=True):
            shape = [sizes[k] if k in effect else 1 for k in range(3)]
            scores = scores + rng.normal(0, np.sqrt(variance), shape)
        return scores

    complete = np.array([analysis_of_variance(made((6, 4, 4))) for _ in range(trials)])
    turns = list(combinations(range(4), 2))
    kept = np.zeros((6, 4, 12), bool)
    for i in range(12):
        kept[:, turns[i % 6], i] = True
    some = np.array(
        [restricted_likelihood(np.where(kept, made((6, 4, 12)), np.nan)) for _ in range(incomplete)]
    )
    return pd.DataFrame(
        {
            "component": COMPONENTS,
            "planted": PLANTED,
            "6 × 4 × 4, mean": complete.mean(axis=0),
            "its spread": complete.std(axis=0),
            "6 × 4 × 12, two of four, mean": some.mean(axis=0),
            "spread of that": some.std(axis=0),
        }
    )


PLANTED_IN_PATCHES = (
    *(0.010, 0.006, 0.002, 0.003, 0.001, 0.002, 0.001),
    *(0.004, 0.002, 0.001, 0.006),
)
"""Variances of the components, in the order of `PATCH_COMPONENTS`."""


def patches(trials: int = 10_000, seed: int = 0) -> pd.DataFrame:
    """Estimate planted components of scores in patches, as many in each image and not."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"component": PATCH_COMPONENTS, "planted": PLANTED_IN_PATCHES})
    designs = {"4 patches each": (4, 4, 4, 4, 4, 4), "1 to 8 patches": (1, 2, 3, 4, 6, 8)}
    for design, counts in designs.items():
        images = np.repeat(range(len(counts)), counts)
        n_models, n_annotators = 6, 4
        scores = np.full((trials, n_models, n_annotators, len(images)), 0.6)
        for name, variance in zip(PATCH_COMPONENTS, PLANTED_IN_PATCHES, strict=True):
            of_image = "image" in name
            of_patch = "patch" in name or name == "rest"
            places = len(counts) if of_image else len(images) if of_patch else 1
            shape = (
                n_models if "model" in name or name == "rest" else 1,
                n_annotators if "annotator" in name or name == "rest" else 1,
                places,
            )
            drawn = rng.normal(0, np.sqrt(variance), (trials, *shape))
            scores += drawn[..., images] if of_image else drawn
        found = nested_analysis(scores, images)
        table[f"6 × 4 × 6 images, {design}, mean"] = found.mean(axis=0)
        table[f"its spread, {design}"] = found.std(axis=0)
    return table


def planned(trials: int = 500, seed: int = 0) -> pd.DataFrame:
    """Plan studies from pilots, carry them out, and see how wide their intervals are."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in (0.02, 0.05):
        for pilot in ((6, 3), (6, 4), (12, 4)):
            for study in ((12, 6), (24, 8)):
                _, images, people = crossed_variances(
                    _normal_studies(rng, trials, pilot[1], pilot[0], person)
                )
                predicted = np.array(
                    [
                        half_widths(
                            Pilot(pilot[0] * i, pilot[1] * p, *pilot), *study, share=[0.5, 0.8]
                        )
                        for i, p in zip(images, people, strict=True)
                    ]
                )
                done = _normal_studies(rng, trials, study[1], study[0], person)
                _, v_images, v_people = crossed_variances(done)
                degrees = satterthwaite(v_images, study[0] - 1, v_people, study[1] - 1)
                width = stats.t.isf(ALPHA, degrees) * np.sqrt(v_images + v_people)
                ratio = predicted[:, 0] / width
                rows.append(
                    {
                        "SD of people": person,
                        "pilot, images": pilot[0],
                        "pilot, people": pilot[1],
                        "images": study[0],
                        "people": study[1],
                        "predicted / achieved, median": np.median(ratio),
                        "within 10 %": np.mean(np.abs(ratio - 1) <= 0.1),
                        "assured width kept": np.mean(width <= predicted[:, 1]),
                    }
                )
    return pd.DataFrame(rows)


SIMULATIONS: dict[str, Callable[[], pd.DataFrame]] = {
    "coverage": coverage,
    "phantom": phantom,
    "models": models,
    "trial": trial_of_groups,
    "personal": personal,
    "components": variance_components,
    "patches": patches,
    "plan": planned,
}


def main() -> None:
    """Run the simulations that were asked for, or all."""
    for name in sys.argv[1:] or SIMULATIONS:
        table = SIMULATIONS[name]()
        table.round(4).to_csv(RESULTS / f"decisions_{name}.csv", index=False)
        print(name, table.to_string(index=False), sep="\n")


if __name__ == "__main__":
    main()
