"""Show where the time of an edition goes: seconds of its jobs per rule, and their share.

Snakemake measures each job, and the flow writes ``results/EDITION/jobs.csv``; this adds them up
for the editions that were made here and writes ``benchmarks/results/job_seconds.csv``. Seconds on
the wall: the kernels of pages are forked by another process, so that a job's processor time is only
part of what it takes.
"""

from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "benchmarks" / "results" / "job_seconds.csv"


def shares(edition: str) -> pd.DataFrame:
    """Add up the jobs of an edition by rule, the longest first."""
    jobs = pd.read_csv(ROOT / "results" / edition / "jobs.csv")
    rules = jobs.groupby("rule")["seconds"].agg(jobs="size", seconds="sum")
    rules["share"] = (rules["seconds"] / rules["seconds"].sum()).round(3)
    rules = rules.sort_values("seconds", ascending=False).reset_index()
    return rules.assign(edition=edition, seconds=rules["seconds"].round(1))


def main() -> None:
    """Write the table of every edition that was made here, and print it."""
    made = [path.parent.name for path in sorted((ROOT / "results").glob("*/jobs.csv"))]
    if not made:
        print("No edition was made here: `make book` writes what its jobs took.")
        return
    table = pd.concat(map(shares, made), ignore_index=True)
    table = table[["edition", "rule", "jobs", "seconds", "share"]]
    table.to_csv(TABLE, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
