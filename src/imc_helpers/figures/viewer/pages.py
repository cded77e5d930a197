"""The viewer's pages: one per sample, with all that it shows inside it."""

import html
import json
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from tqdm import tqdm

from imc_helpers.agreement.disagreements import KINDS, find_disagreements
from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort
from imc_helpers.figures.names import cohort_name, rater_name, sample_name
from imc_helpers.figures.viewer.library import SITE
from imc_helpers.figures.viewer.packing import (
    BUDGET_BYTES,
    pack_channels,
    pack_mask,
    thumbnail,
)

MOST_ROWS = 3000
"""Disagreements that a page lists, shared equally by its pairs of raters and by their kinds, the
largest of each; it counts all of them."""
THUMBNAIL_PX = 176
"""Longer edge of a thumbnail."""


def write_pages(
    cohort: Cohort,
    models: Iterable[str],
    folder: Path,
    *,
    edition: str,
    title: str,
    samples: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Write a page and a thumbnail per sample: ``SAMPLE.html`` and ``SAMPLE.webp``.

    Parameters
    ----------
    cohort
        Samples, with masks or without.
    models
        Keys of models; those without finished masks of whole images are left out.
    folder
        Where to; made when it is not there.
    edition, title
        Name of the edition and its title, which every page shows.
    samples
        Some of the cohort's samples, to spread a large cohort over several jobs.

    Returns
    -------
    pandas.DataFrame
        One row per page: ``sample``, ``width_px``, ``height_px``, ``raters`` (their number),
        ``bytes`` of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = find_models(cohort.name, models, "whole")
    template = Template((SITE / "page.html").read_text(encoding="utf-8"))
    rows = []
    chosen = cohort.ids if samples is None else tuple(samples)
    for sample in tqdm(chosen, desc=f"{cohort.name}: viewer", disable=None):
        masks = {rater: cohort.read_mask(sample, rater.name) for rater in cohort.raters_of(sample)}
        masks |= {
            Rater(model, "model"): read_prediction(cohort.name, model, "whole", sample)
            for model, run in runs.items()
            if any(one.sample == sample for one in run.samples)
        }
        image = cohort.read_image(sample)
        content = {
            "cohort": cohort.name,
            "sample": sample,
            "um_per_px": cohort.um_per_px(sample),
            "width": image.shape[2],
            "height": image.shape[1],
            **_raters_and_pairs(masks),
        }
        budget = BUDGET_BYTES - len(json.dumps(content))
        packed, left_out = pack_channels(image, cohort.panel, budget)
        content["channels"] = [vars(channel) for channel in packed]
        content["left_out"] = left_out
        page = template.substitute(
            edition=html.escape(edition),
            title=html.escape(title),
            cohort=html.escape(cohort_name(cohort.name)),
            sample=html.escape(sample),
            options=_options(cohort, sample),
            # In a script, only "</script>" and "<!--" could end or bend it.
            content=json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"),
        )
        _write(folder / f"{sample}.html", page.encode())
        _write(folder / f"{sample}.webp", thumbnail(image, cohort.panel, THUMBNAIL_PX))
        rows.append([sample, image.shape[2], image.shape[1], len(masks), len(page.encode())])
    return pd.DataFrame(rows, columns=["sample", "width_px", "height_px", "raters", "bytes"])


def _raters_and_pairs(masks: Mapping[Rater, np.ndarray]) -> dict[str, Any]:
    """Pack the masks, and list where each pair of them disagrees."""
    pairs = list(combinations(masks, 2))
    most = MOST_ROWS // max(1, len(pairs))
    return {
        "raters": [
            {
                "name": rater.name,
                "title": rater_name(rater.name),
                "kind": rater.kind,
                **vars(pack_mask(labels)),
            }
            for rater, labels in masks.items()
        ],
        "pairs": [_pair(masks[one], masks[two], most) for one, two in pairs],
    }


def _pair(one: np.ndarray, two: np.ndarray, most: int) -> dict[str, Any]:
    """List where two raters disagree, the largest disagreements of each kind first."""
    rows, counts = find_disagreements(one, two, most=most // (len(KINDS) - 1))
    rows["iou"] = rows["iou"].round(3)
    return {"counts": counts, "rows": rows.to_numpy().tolist()}


def _options(cohort: Cohort, shown: str) -> str:
    """Return the options of the list of a cohort's samples, each with the address of its page."""
    return "".join(
        f'<option value="{quote(sample)}.html"{" selected" if sample == shown else ""}>'
        f"{html.escape(sample_name(sample, cohort.name))}</option>"
        for sample in cohort.ids
    )


def _write(path: Path, content: bytes) -> None:
    """Put a file in its place, whole."""
    draft = path.with_name(f".{path.name}")
    draft.write_bytes(content)
    draft.replace(path)
