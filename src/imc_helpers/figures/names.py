"""What readers see in place of keys: the names of models, cohorts, raters and channels.

Files, tables and code speak of ``instanseg_phantom``; figures, tables as shown and sentences speak
of InstanSeg trained on the phantom. Every such name comes from here. A key that nothing here knows,
a rater of your own for instance, is its own name.
"""

import html
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import pandas as pd

from imc_helpers.data.manifest import cohort_record, model_record
from imc_helpers.data.panels import Channel
from imc_helpers.errors import InputError

_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "distance": "Distance",
        "watershed": "Watershed",
        "propagation": "Propagation",
        "pixel_forest": "Pixel forest",
        "cse_cellpose_0_0_3": "Cellpose 0.0.3",
        "cse_cellpose_0_6": "Cellpose 0.6",
        "cse_deepcell_0_6": "DeepCell 0.6",
        "cse_deepcell_0_9": "DeepCell 0.9",
        "cse_cellprofiler": "CellProfiler",
        "cse_cellx": "CellX",
        "cse_cellsegm": "Cellsegm",
        "cse_aics_classic": "AICS classic",
        "cse_voronoi": "Voronoi",
        "cyto3": "Cellpose 3 (cyto3)",
        "cellpose3_phantom": "Cellpose 3 (phantom)",
        "stardist": "StarDist",
        "cellpose_sam": "Cellpose-SAM",
        "instanseg": "InstanSeg",
        "instanseg_phantom": "InstanSeg (phantom)",
        "dice_teacher": "Dice-XMBD's teacher",
        "dice_student": "Dice-XMBD (phantom)",
        "mesmer": "Mesmer",
        "samcell": "SAMCell",
        "micro_sam": "micro-sam",
    }
)
"""Names short enough for the axis of a figure; a model without one has the manifest's title."""
_COHORTS: Mapping[str, str] = MappingProxyType(
    {
        "schuiki25": "In-house",
        "ali20": "Ali20",
        "rendeiro21": "Rendeiro21",
        "jackson20": "Jackson20",
        "hoch22": "Hoch22",
        "spleen_imc": "Spleen (IMC)",
        "codex_two_experts": "Lymph node (CODEX)",
        "pancreas_imc": "Pancreas (IMC)",
        "phantom_lymphoid": "Lymphoid phantom",
        "phantom_ali20": "Ali20 phantom",
        "phantom_rendeiro21": "Rendeiro21 phantom",
        "phantom_jackson20": "Jackson20 phantom",
        "phantom_hoch22": "Hoch22 phantom",
        "phantom_phenotypes": "Phenotypes phantom",
        "phantom_phenotypes_full": "Phenotypes phantom, full",
    }
)
_RATERS: Mapping[str, str] = MappingProxyType(
    {
        "cellprofiler": "CellProfiler",
        "published": "Published mask",
        "truth": "Truth",
        "reference": "Reference itself",
        "random cells": "Random cells",
        "nothing": "Nothing",
    }
)
_CHOICES: Mapping[str, str] = MappingProxyType(
    {
        "clahe": "CLAHE",
        "non_local_means": "non-local means",
        "first_component": "first principal component",
        "rgb": "random colours (RGB)",
    }
)
"""Names of a sweep's choices that are more than their key without underscores."""
_NUMBERED = re.compile(r"(annotator|expert)_?(\d+)")
LONGEST = 24
"""Most letters of a short name."""


def model_name(key: str, *, short: bool = True) -> str:
    """Return the name of a model: ``"Pixel forest"``.

    Parameters
    ----------
    key
        Key in ``data_manifest/models.yml``.
    short
        Whether the name has to fit the axis of a figure or the cell of a table. A sentence that
        introduces the model takes the long one: ``"Pixel forest (trained on phantom)"``.
    """
    try:
        title = model_record(key).title
    except InputError:
        title = key
    return _MODELS.get(key, title) if short else title


def cohort_name(key: str) -> str:
    """Return the name of a cohort, ``"Lymph node (CODEX)"``; an imitation has its own title."""
    try:
        record = cohort_record(key)
    except InputError:
        return key
    return record.title if record.imitation else _COHORTS.get(key, record.title)


def rater_name(key: str) -> str:
    """Return the name of whoever made a mask: ``"Annotator 1"``, ``"Pixel forest"``."""
    if key in _RATERS:
        return _RATERS[key]
    if numbered := _NUMBERED.fullmatch(key):
        return f"{numbered[1].capitalize()} {numbered[2]}"
    return model_name(key)


def channel_name(channel: Channel) -> str:
    """Return the name of a channel: target and metal, ``"DNA1 (Ir191)"``, or what is known."""
    if channel.name == channel.channel:
        return channel.name
    return f"{channel.name} ({channel.channel})"


def choice_name(choice: object) -> str:
    """Return the name of what a sweep tried: ``"hot pixels + spillover"``, ``"arcsinh mean"``.

    Parameters
    ----------
    choice
        As the sweep's table has it, ``"hot_pixels+spillover"`` for instance, or its name already.
    """

    def name(key: re.Match[str]) -> str:
        return _CHOICES.get(key[0], key[0].replace("_", " "))

    return re.sub(r"\s*\+\s*", " + ", re.sub(r"\b[a-z]\w*", name, str(choice)))


def counted(number: int, noun: str) -> str:
    """Write a number with its noun: ``"no images"``, ``"1 image"``, ``"4 images"``.

    Parameters
    ----------
    number
        How many.
    noun
        In the singular, of those whose plural ends in s.
    """
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def sample_name(sample: str, cohort: str) -> str:
    """Return the name of a sample: its id less the cohort's, ``"phantom_ali20_001"`` is ``"001"``.

    Parameters
    ----------
    sample, cohort
        Their keys.
    """
    return sample.removeprefix(f"{cohort}_")


_OF_COLUMN: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "cohort": cohort_name,
        **dict.fromkeys(
            (
                "model",
                "best",
                "annotator",
                "rater",
                "rater_true",
                "rater_pred",
                "mask of",
                "masks of",
                "first",
                "second",
                "candidate",
                "expert",
            ),
            rater_name,
        ),
    }
)


def with_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a table for readers: names where its columns have keys.

    Parameters
    ----------
    frame
        Any table. Columns of cohorts, models and other raters are known by their own names
        (``cohort``, ``model``, ``mask of`` …), and changed where they hold text. A column that is
        itself named after a cohort gets its name.
    """
    known = {column: _OF_COLUMN[column] for column in frame.columns if column in _OF_COLUMN}
    shown = {
        column: frame[column].map(lambda key, name=name: name(key) if isinstance(key, str) else key)
        for column, name in known.items()
    }
    return frame.assign(**shown).rename(columns=lambda column: cohort_name(str(column)))


def source_note(keys: Iterable[str]) -> str:
    """Say in a caption where the data come from, as a badge: *synthetic*, *real: spleen (IMC)*.

    Parameters
    ----------
    keys
        Cohorts that the figure or table shows.

    Returns
    -------
    str
        HTML that MyST passes on. All synthetic cohorts share one badge, every real one has its
        own; what the badge leaves out is its hover text.
    """
    synthetic: list[str] = []
    real: list[str] = []
    for key in dict.fromkeys(keys):
        record = cohort_record(key)
        (synthetic if record.synthetic or record.imitation else real).append(key)
    badges = [_badge("synthetic", "synthetic", map(cohort_name, synthetic))] if synthetic else []
    badges += [_badge("real", f"real: {cohort_name(key)}", [_about(key)]) for key in real]
    return " ".join(badges)


def _badge(kind: str, text: str, more: Iterable[str]) -> str:
    title = html.escape(", ".join(more), quote=True)
    return f'<span class="source {kind}" title="{title}">{html.escape(text)}</span>'


def _about(key: str) -> str:
    record = cohort_record(key)
    return f"{record.title}; {record.tissue}"
