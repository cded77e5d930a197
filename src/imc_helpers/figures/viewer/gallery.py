"""All samples of an edition as pictures that lead to their viewers, most disagreement first."""

import html
from collections.abc import Mapping

import pandas as pd

from imc_helpers.agreement.summaries import against, between
from imc_helpers.data.raters import noun
from imc_helpers.data.samples import Cohort
from imc_helpers.figures.names import rater_name, sample_name
from imc_helpers.figures.viewer.links import read_samples, viewer_link

_SHOWN_KINDS = ("missed", "spurious", "split", "merged", "border", "tangle")
COLUMNS = ("cohort", "sample", "raters", "ap50", "pairs")
SHOWN_FIRST = 24
"""Samples of a cohort that are shown at once; the others unfold."""


def list_samples(edition: str, cohorts: Mapping[str, Cohort], scores: pd.DataFrame) -> pd.DataFrame:
    """List the samples that have a viewer, those of a cohort with most disagreement first.

    Parameters
    ----------
    edition
        Name of the edition.
    cohorts
        Its cohorts by key.
    scores
        What `imc_helpers.agreement.score_table.read_scores` returns.

    Returns
    -------
    pandas.DataFrame
        One row per sample, with `COLUMNS`; cohorts in their order, in each the lowest ``ap50``
        first. It is the mean over pairs of references on the whole image or, where there is no such
        pair, over models and references; missing where there is nothing to compare. ``pairs`` says
        which in words: ``"between annotators"`` or ``"of models against annotators"``.
    """
    pages = [read_samples(edition, key).assign(cohort=key) for key in cohorts]
    listed = pd.concat(pages, ignore_index=True).reindex(columns=["cohort", "sample", "raters"])
    known = _mean_ap50(cohorts, scores[scores["mode"] == "whole"])
    joined = listed.join(known, on=["cohort", "sample"])
    rank = {key: number for number, key in enumerate(cohorts)}
    order = joined.assign(rank=joined["cohort"].map(rank)).sort_values(["rank", "ap50"])
    return order[list(COLUMNS)].reset_index(drop=True)


def _mean_ap50(cohorts: Mapping[str, Cohort], scores: pd.DataFrame) -> pd.DataFrame:
    """Give the mean ap50 of each sample, and say of which pairs."""
    makers = {
        key: noun([rater for rater in cohort.raters if rater.name in cohort.references])
        for key, cohort in cohorts.items()
    }
    judged = against(scores, {key: cohort.references for key, cohort in cohorts.items()})
    models = judged[judged["kind_pred"] == "model"]
    means = []
    for rows, words in ((between(scores, cohorts), "between"), (models, "of models against")):
        mean = rows.groupby(["cohort", "sample"])["ap50"].mean().to_frame()
        cohort = mean.index.get_level_values("cohort")
        means.append(mean.assign(pairs=words + " " + cohort.map(makers).astype(str)))
    known = pd.concat(means)
    return known[~known.index.duplicated()]  # what references say of one another goes first


def links_to_largest(
    rows: pd.DataFrame, cohort: str, sample: str, *, first: str, second: str
) -> str:
    """Link to the largest disagreement of each kind, as a sentence of HTML.

    Parameters
    ----------
    rows
        What `imc_helpers.agreement.disagreements.find_disagreements` lists of the two raters.
    cohort, sample
        Which image.
    first, second
        Names of the raters, in the order in which they were compared.
    """
    links = []
    for kind in _SHOWN_KINDS:
        found = rows[rows["kind"] == kind]
        if len(found):
            largest = found.iloc[0]
            mine = bool(largest["true_ids"])
            rater, other = (first, second) if mine else (second, first)
            cell = (largest["true_ids"] if mine else largest["pred_ids"])[0]
            address = viewer_link(cohort, sample, rater=rater, cell=cell, other=other)
            links.append(f'<a href="{html.escape(address)}">{kind}</a> ({len(found)})')
    if not links:
        return "<p>Every cell of either is matched in this image.</p>"
    return (
        f"<p>Show me these cells, the largest disagreement of each kind between "
        f"{html.escape(rater_name(first))} and {html.escape(rater_name(second))}: "
        f"{', '.join(links)}.</p>"
    )


def cards(samples: pd.DataFrame) -> str:
    """Return the samples of one cohort as HTML: a thumbnail, the name, what is known of each.

    Parameters
    ----------
    samples
        Rows of `list_samples`, of one cohort.
    """
    shown = [_card(row) for _, row in samples.iterrows()]
    first, rest = shown[:SHOWN_FIRST], shown[SHOWN_FIRST:]
    more = f"<details><summary>{len(rest)} more</summary>{_grid(rest)}</details>" if rest else ""
    return _grid(first) + more


def _grid(shown: list[str]) -> str:
    style = "display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.8rem"
    return f'<div style="{style}">{"".join(shown)}</div>'


def _card(row: pd.Series) -> str:
    link = viewer_link(row["cohort"], row["sample"])
    name = html.escape(sample_name(row["sample"], row["cohort"]))
    score = "" if pd.isna(row["ap50"]) else f"<br>ap50 {row['ap50']:.2f}"
    return (
        f'<div><a href="{html.escape(link)}"><img class="dark-light" loading="lazy" '
        f'alt="Tissue of {name}" style="width:100%;padding:0" '
        f'src="{html.escape(link.removesuffix(".html"))}.webp">'
        f"<br>{name}</a>{score}<br><small>{row['raters']} masks</small></div>"
    )
