"""Check the intervals and the verdicts of the page on biology, where the answer is known.

``results/downstream_coverage.csv``: how often intervals hold planted shares of variance;
``results/downstream_verdicts.csv``: how often verdicts on conclusions err. Run from the root of the
repository, three minutes on one core:

    python benchmarks/mask_conclusions.py [coverage verdicts]
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from imc_helpers.downstream.conclusions import MARGIN, Kind, Verdict, judge
from imc_helpers.downstream.variance import COMPONENTS, variance_shares

RESULTS = Path(__file__).parent / "results"
TRIALS = 2000
PLANTED = {"image": 0.3, "cell": 0.4, "mask": 0.1, "image × mask": 0.05, "cell × mask": 0.15}
"""Variances; those of an image's quantity are the first, the third and the fourth."""


def coverage() -> pd.DataFrame:
    """Count the intervals that hold planted shares, in designs like those of the book."""
    rows = []
    designs = [(4, 2, 60), (8, 4, 60), (12, 4, 200), (4, 2, 1), (8, 4, 1)]
    for number, (images, masks, cells) in enumerate(designs):
        rng = np.random.default_rng(number)
        variance = {c: v for c, v in PLANTED.items() if cells > 1 or "cell" not in c}
        shares = pd.Series(variance) / sum(variance.values())
        shares["agreement"] = shares[["image", *(["cell"] if cells > 1 else [])]].sum()
        held = pd.Series(0.0, shares.index)
        for trial in range(TRIALS):
            values, of = _values(rng, images, masks, cells, variance)
            found = variance_shares(values, of, draws=1000, seed=trial).table
            found = found.set_index("component").loc[shares.index]
            held += (found["low"] <= shares) & (shares <= found["high"])
        rows += [
            {
                "images": images,
                "masks": masks,
                "cells per image": cells,
                "component": component,
                "share": shares[component],
                "coverage": held[component] / TRIALS,
                "trials": TRIALS,
            }
            for component in (*COMPONENTS, "agreement")
            if component in shares
        ]
    return pd.DataFrame(rows)


def _values(
    rng: np.random.Generator, images: int, masks: int, cells: int, variance: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw values by unit and mask; the masks' own variance is exact, for masks are fixed."""
    sd = {component: np.sqrt(v) for component, v in variance.items()}
    offsets = rng.standard_normal(masks)
    offsets = sd["mask"] * (offsets - offsets.mean()) / offsets.std(ddof=1)
    # Images hold unequal numbers of cells.
    sizes = rng.integers(cells // 2, 2 * cells, images) if cells > 1 else np.ones(images, int)
    of = np.repeat(np.arange(images), sizes)
    values = sd["image"] * rng.standard_normal(images)[of, None] + offsets
    values = values + sd["image × mask"] * rng.standard_normal((images, masks))[of]
    if cells > 1:
        values = values + sd["cell"] * rng.standard_normal((len(of), 1))
        values = values + sd["cell × mask"] * rng.standard_normal((len(of), masks))
    return values, of


def verdicts() -> pd.DataFrame:
    """Count verdicts where masks do not differ, differ by just the margin, and differ plainly."""
    rows = []
    for number, (images, masks) in enumerate(((4, 2), (8, 4), (20, 4))):
        rng = np.random.default_rng(number)
        for kind in (Kind.FRACTION, Kind.CONTACT, Kind.GROUPS):
            limit = np.log2(1 + MARGIN) if kind is Kind.FRACTION else 0.5
            for text, difference in (
                ("none", 0.0),
                ("at the limit", limit),
                ("twice it", 2 * limit),
            ):
                judged = _judged(rng, images, masks, kind, difference)
                share = judged.value_counts(normalize=True)
                rows.append(
                    {
                        "images": images,
                        "masks": masks,
                        "conclusion": kind.value,
                        "masks differ by": text,
                        **{v.value: share.get(v.value, 0.0) for v in Verdict},
                        "trials": len(judged),
                    }
                )
    return pd.DataFrame(rows)


def _judged(
    rng: np.random.Generator, images: int, masks: int, kind: Kind, difference: float
) -> pd.Series:
    """Judge many conclusions of one study each: the last mask differs from all others.

    Contacts are half a unit above chance for the other masks, and fall to it (0) where the last
    differs by the limit; groups the same.
    """
    trials = TRIALS // 10
    source = Kind.FRACTION if kind is Kind.GROUPS else kind
    groups = {k: "ab"[2 * k // images] for k in range(images)}
    second = np.array([g == "b" for g in groups.values()])[:, None]
    parts = []
    for trial in range(trials):
        values = rng.normal(0, 0.2, (images, 1)) + rng.normal(0, 0.1, (images, masks))
        effect = np.full(masks, 0.0 if kind is Kind.FRACTION else 0.5)
        effect[-1] -= difference
        values = values + effect * (second if kind is Kind.GROUPS else 1)
        wide = pd.DataFrame(values, columns=[f"mask{k}" for k in range(masks)])
        long = wide.rename_axis("sample").reset_index().melt("sample", var_name="rater")
        parts.append(long.assign(kind=source.value, name=str(trial)))
    raters = [f"mask{k}" for k in range(masks)]
    found = judge(pd.concat(parts), raters, groups=groups if kind is Kind.GROUPS else None)
    return found[found["kind"] == kind].drop_duplicates("name")["verdict"]


SIMULATIONS: dict[str, Callable[[], pd.DataFrame]] = {"coverage": coverage, "verdicts": verdicts}


def main() -> None:
    """Run the simulations that were asked for, or all."""
    for name in sys.argv[1:] or SIMULATIONS:
        table = SIMULATIONS[name]()
        table.round(4).to_csv(RESULTS / f"downstream_{name}.csv", index=False)
        print(name, table.to_string(index=False), sep="\n")


if __name__ == "__main__":
    main()
