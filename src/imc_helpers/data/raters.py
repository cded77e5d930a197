"""Whoever made a mask, person or not, and what to call them.

Two people who agree say something about people. Two tools that agree say something about tools. So
every mask carries the kind of its maker, and pages take their words from here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import pandas as pd

from imc_helpers.errors import InputError

Kind: TypeAlias = Literal["annotator", "tool", "model", "control", "truth"]

KINDS: tuple[str, ...] = get_args(Kind)
"""``annotator``: a person, or a simulated one; ``tool``: software, with or without training by a
person, whose masks came with the images; ``model``: a model that this book runs; ``control``: a
mask whose score is known beforehand, or is chance; ``truth``: what a phantom was made from."""
TRUTH = "truth"
"""Name of the mask that a phantom was made from: ``masks_truth``."""

_NOUNS = {
    "annotator": ("an annotator", "annotators"),
    "tool": ("a tool", "tools"),
    "model": ("a model", "models"),
    "control": ("a control", "controls"),
    "truth": ("the truth", "the truth"),
    "expert": ("an expert", "experts"),
    "simulated": ("a simulated annotator", "simulated annotators"),
}


@dataclass(frozen=True)
class Rater:
    """Who, or what, made a set of masks."""

    name: str
    """Its name in the cohort: that of the folder ``masks_NAME``, or the key of a model."""
    kind: str = "annotator"
    """One of `KINDS`."""
    description: str = ""
    """How the masks were made, in a sentence."""
    how: str = ""
    """The finer word of the manifest, ``"expert"`` for instance; empty where nobody said."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"rater {self.name!r}: expected one of the kinds {', '.join(KINDS)}; "
                f"found {self.kind!r}"
            )


def noun(raters: Iterable[Rater], *, plural: bool = True) -> str:
    """Say what raters are, in a word that is right for all of them.

    Parameters
    ----------
    raters
        One or more. Experts are called so only where all of them are.
    plural
        ``"experts"``; when False, ``"an expert"``.

    Returns
    -------
    str
        Of raters of several kinds all the words, ``"annotators and tools"``; of no rater,
        ``"raters"``.
    """
    raters = list(raters)
    words: dict[str, None] = {}
    for kind in dict.fromkeys(rater.kind for rater in raters):
        hows = {rater.how for rater in raters if rater.kind == kind}
        finer = hows.pop() if kind == "annotator" and len(hows) == 1 else kind
        words[_NOUNS.get(finer, _NOUNS[kind])[int(plural)]] = None
    return (" and " if plural else " or ").join(words) or ("raters" if plural else "a rater")


def describe_raters(raters: Mapping[str, Iterable[Rater]]) -> pd.DataFrame:
    """List who made the masks of cohorts, a phantom's truth left out.

    Parameters
    ----------
    raters
        By cohort, ``cohort.raters`` for instance.

    Returns
    -------
    pandas.DataFrame
        One row per rater: ``cohort``, ``mask of``, ``kind`` (a word), ``how`` (a sentence).
    """
    rows = [
        {
            "cohort": cohort,
            "mask of": rater.name,
            "kind": f"{rater.kind}, {rater.how}" if rater.how else rater.kind,
            "how": rater.description,
        }
        for cohort, own in raters.items()
        for rater in own
        if rater.kind != "truth"
    ]
    return pd.DataFrame(rows, columns=["cohort", "mask of", "kind", "how"])
