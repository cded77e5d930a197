"""Is the stated chance that a ranking is false what happens? ``python benchmarks/claims.py``.

Simulates studies in which the true means of the methods are known, takes the winner by the means,
and writes, by tenths of the stated chance, what was stated and how often the winner was not the
best, to ``benchmarks/results/decisions_claims.csv``.
"""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from imc_helpers.decisions.claims import chance_false, chance_reversed, claim_of

STUDIES = 20_000
METHODS = (2, 4, 8)
IMAGES = (6, 30)
SPREADS = (2, 4, 8)
"""The true means of a study spread by 0 to so many standard errors."""
DRAWS = 400


def simulate(methods: int, spread: float, studies: int, seed: int) -> pd.DataFrame:
    """Simulate studies: what is stated of the winner, what the formula states, what happened.

    Correlations lie between 0 and .8. The truths of a study are drawn from a normal distribution
    with a spread between 0 and ``spread`` standard errors of a mean, less what images share.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for study in tqdm(range(studies), desc=f"{methods} methods, spread {spread}"):
        images, r = IMAGES[study % len(IMAGES)], rng.uniform(0, 0.8)
        truth = rng.normal(0, rng.uniform(0, spread) * np.sqrt((1 - r) / images), methods)
        common = rng.normal(0, np.sqrt(r), (images, 1))
        scores = truth + common + rng.normal(0, np.sqrt(1 - r), (images, methods))
        claim = claim_of(pd.DataFrame(scores), "best").sort_values("mean", ascending=False)
        means, sds, r = (
            claim["mean"].to_numpy(),
            claim["sd"].to_numpy(),
            claim["correlation"].iloc[0],
        )
        stated = chance_false(means, sds, r, images, draws=DRAWS, seed=study)
        formula = chance_reversed(means[0] - means[1], (sds[0], sds[1]), r, images)
        rows.append((stated, formula, int(claim["method"].iloc[0]) != truth.argmax()))
    return pd.DataFrame(rows, columns=["stated", "formula", "false"])


def main() -> None:
    """Simulate every size and write the table."""
    parts = []
    for seed, (methods, spread) in enumerate(product(METHODS, SPREADS)):
        found = simulate(methods, spread, STUDIES, seed).sort_values("stated")
        tenth = np.arange(STUDIES) * 10 // STUDIES
        means = {name: (name, "mean") for name in ("stated", "formula", "false")}
        by = found.groupby(tenth).agg(studies=("false", "size"), **means)
        parts.append(by.rename_axis("tenth").reset_index().assign(methods=methods, spread=spread))
    table = pd.concat(parts).set_index(["methods", "spread", "tenth"]).reset_index()
    path = Path(__file__).parent / "results" / "decisions_claims.csv"
    table.round(4).to_csv(path, index=False)
    print(table.assign(gap=table["stated"] - table["false"]).to_string(index=False))


if __name__ == "__main__":
    main()
