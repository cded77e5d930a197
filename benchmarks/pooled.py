"""Try on the phantom how often intervals hold, when a result is pooled over several masks.

Writes `results/pooled_coverage.csv` and `results/pooled_confounded.csv`; run from the repository's
root:

    python benchmarks/pooled.py

People are drawn at random, five to a group, and draw whole tissues by hand. A study is some images
and some people of one group. Its intervals are asked for two things: what a further person of the
group finds in all images, and the truth there. A comparison is two groups of images of one kind,
segmented by one person or each by another: how often does a t test find a difference?
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from imc_helpers.cells.expression import mean_intensities
from imc_helpers.data.raters import TRUTH
from imc_helpers.downstream.cell_types import TYPE, type_cells
from imc_helpers.downstream.uncertainty import pooled_mean
from imc_helpers.phantom.drawing import ExpertGroup, draw_annotators
from imc_helpers.phantom.recipes import find_recipe, make_sample

RESULTS = Path(__file__).parent / "results"
RECIPE, SIDE_PX, IMAGES = "phantom_lymphoid", 96, 24
GROUPS, PEOPLE = 8, 5
CORRELATIONS = (0.0, 0.4, 0.8)
STUDIES = ((4, 2), (4, 4), (8, 2), (8, 4), (16, 4))
"""Images and people of a study."""
TRIALS = 1000


def populations(correlation: float) -> dict[str, np.ndarray]:
    """Let every person of every group draw every image: (groups, images, 1 + people) of results.

    The first column is the truth's.
    """
    samples = [
        make_sample(find_recipe(RECIPE), (SIDE_PX, SIDE_PX), seed, f"tissue{seed}")
        for seed in range(IMAGES)
    ]
    names = list(samples[0].panel.names)
    known = pd.concat(
        {
            sample.id: profiles(sample.image, sample.masks[TRUTH], names).join(sample.truth[TYPE])
            for sample in samples
        },
        names=["sample"],
    )
    types = sorted(known[TYPE].unique())
    found = {name: np.zeros((GROUPS, IMAGES, 1 + PEOPLE)) for name in [*types, "cells per mm²"]}
    for group in range(GROUPS):
        experts = ExpertGroup(n_experts=PEOPLE, stratified=False, correlation=correlation)
        people = [draw_annotators(sample, experts, 100 + group) for sample in samples]
        for person in range(1 + PEOPLE):
            if person:
                mine = f"annotator{person}"
                cells = pd.concat(
                    {
                        sample.id: profiles(sample.image, masks[mine], names)
                        for sample, masks in zip(samples, people, strict=True)
                    },
                    names=["sample"],
                )
                labelled = type_cells(cells, known)
            else:
                labelled = known[TYPE]
            for k, sample in enumerate(samples):
                here = labelled.xs(sample.id)
                for name in types:
                    found[name][group, k, person] = (here == name).mean()
                found["cells per mm²"][group, k, person] = len(here) / (SIDE_PX / 1000) ** 2
    return found


def profiles(image: np.ndarray, labels: np.ndarray, names: list[str]) -> pd.DataFrame:
    """Measure the mean counts of the cells of a mask."""
    ids, means = mean_intensities(image, labels)
    return pd.DataFrame(means, pd.Index(ids, name="id"), names)


def studies(values: np.ndarray, n_images: int, n_people: int) -> pd.DataFrame:
    """Make many studies of one quantity, and see what their intervals hold.

    Parameters
    ----------
    values
        (groups, images, 1 + people), the truth first.
    n_images, n_people
        Of a study; images are drawn with replacement, people without.
    """
    rng = np.random.default_rng(0)
    rows = []
    for trial in range(TRIALS):
        group = values[trial % GROUPS]
        chosen = rng.integers(IMAGES, size=n_images)
        order = 1 + rng.permutation(PEOPLE)
        mine, another = group[chosen][:, order[:n_people]], group[:, order[-1]].mean()
        truth = group[:, 0].mean()
        pooled = pooled_mean(mine)
        intervals = {
            "one person": t_interval(mine[:, 0]),
            "mean of the people": t_interval(mine.mean(axis=1)),
            "pooled": (pooled.low, pooled.high),
        }
        for kind, (low, high) in intervals.items():
            rows.append(
                {
                    "interval": kind,
                    "another": low <= another <= high,
                    "truth": low <= truth <= high,
                    "width": high - low,
                    "shift": group[:, order[:n_people]].mean() - truth,
                }
            )
    return pd.DataFrame(rows).groupby("interval", sort=False).mean().reset_index()


def comparisons(values: np.ndarray, n_images: int) -> pd.DataFrame:
    """Compare two groups of images between which there is no difference.

    Parameters
    ----------
    values
        (groups, images, 1 + people), the truth first.
    n_images
        Of each group of images; drawn with replacement.
    """
    rng = np.random.default_rng(0)
    one, two, another = np.empty((3, n_images, TRIALS))
    for trial in range(TRIALS):
        group = values[trial % GROUPS]
        person, other = 1 + rng.permutation(PEOPLE)[:2]
        first, second = rng.integers(IMAGES, size=(2, n_images))
        one[:, trial], two[:, trial] = group[first, person], group[second, person]
        another[:, trial] = group[second, other]
    return pd.DataFrame(
        {"segmented by": who, "false_positives": float((p < 0.05).mean())}
        for who, p in (
            ("one person", stats.ttest_ind(one, two).pvalue),
            ("another person for each group", stats.ttest_ind(one, another).pvalue),
        )
    )


def t_interval(values: np.ndarray) -> tuple[float, float]:
    """Give the 95% interval of a mean over images."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return values.mean() - half, values.mean() + half


def main() -> None:
    """Write the tables."""
    covered, confounded = [], []
    for correlation in CORRELATIONS:
        for quantity, values in populations(correlation).items():
            about = {"quantity": quantity, "correlation": correlation}
            for n_images, n_people in STUDIES:
                sizes = about | {"images": n_images, "people": n_people}
                covered.append(studies(values, n_images, n_people).assign(**sizes))
            for n_images in (8, 16):
                sizes = about | {"images per group": n_images}
                confounded.append(comparisons(values, n_images).assign(**sizes))
    for name, parts in (("coverage", covered), ("confounded", confounded)):
        table = pd.concat(parts, ignore_index=True).round(4)
        table.to_csv(RESULTS / f"pooled_{name}.csv", index=False)


if __name__ == "__main__":
    main()
