# ---
# jupyter:
#   imc_book:
#     reads:
#     - predictions
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: imc_book
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Consensus
#
# **Which cells would most people draw?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
most_images: int = 4  # images of a cohort that are looked at, evenly spread
field_um: float = 100.0  # edge of the map, µm
confidence: float = 0.95  # of the intervals

# %% tags=["hide-input"]
# Colab guard, written by `make sync`: says what to do where the package is missing.
import importlib.util

if importlib.util.find_spec("imc_helpers") is None:
    raise ModuleNotFoundError(
        "The package imc_helpers is not installed, and the book has no public repository yet to "
        "install it from. In a copy of the book, run: pip install --no-deps ."
    )

# %% tags=["hide-input"]
from functools import partial

import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.agreement.consensus import consensus
from imc_helpers.agreement.support import (
    calibration,
    calibration_error,
    can_teach,
    cell_features,
    cross_fitted,
    fit_support,
    held_out_cells,
)
from imc_helpers.data.manifest import cohort_record, load_edition
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.raters import TRUTH, noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread
from imc_helpers.decisions.ceiling import over_images
from imc_helpers.figures.names import cohort_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.truth_plots import Reach, calibration_curve, reach_rows, support_map
from imc_helpers.metrics import contingency_table, evaluate

record = load_edition(edition)
cohorts = {key: open_cohort(key) for key in record.cohorts}
by_number = sorted(
    (k for k in cohorts if cohorts[k].shared_ids),
    key=lambda k: -max(len(cohorts[k].references_of(s)) for s in cohorts[k].shared_ids),
)
key = by_number[0] if by_number else ""  # the cohort with most masks of an image
if key:
    cohort = cohorts[key]
    looked_at = evenly_spread(cohort.shared_ids, most_images)
    whose = noun(r for r in cohort.raters if r.name in cohort.references)
    masks = {s: {a: cohort.read_mask(s, a) for a in cohort.references_of(s)} for s in looked_at}
    agreed = {sample: consensus([*own.values()]) for sample, own in masks.items()}
    told = [
        held_out_cells(own).assign(sample=sample) for sample, own in masks.items() if len(own) > 2
    ]
    cells = pd.concat(told, ignore_index=True) if told else pd.DataFrame({"drawn": []})
    learnt = can_teach(cells)
    support = {sample: one.support for sample, one in agreed.items()}
    if learnt:
        # Of one image alone nothing is predicted by what others taught: then there is no check.
        cells["chance"] = cross_fitted(cells)
        taught = fit_support(cells)
        support = {
            sample: taught.predict(cell_features(one, [*masks[sample].values()]))
            for sample, one in agreed.items()
        }
    checked = learnt and cells["chance"].notna().all()
    kept = sum(int(one.kept.sum()) for one in agreed.values())
    drawn = sum(len(one.groups) for one in agreed.values())
    likely = sum(int((of >= 0.5).sum()) for of in support.values())
    summary = (
        f"The {whose} of {cohort_name(key)} ({len(looked_at)} of {len(cohort.shared_ids)} images) drew {drawn:,} different cells, and "
        f"{kept / drawn:.0%} of these were drawn by at least half of them (and by at least two)."
        if drawn
        else f"In {cohort_name(key)} nobody drew a cell."
    )
    if learnt:
        summary += f" **Most people like them would draw {likely / drawn:.0%} of these cells** (each with an IoU of 0.5 or more). "
        if checked:
            errors = [
                calibration_error(
                    calibration(cross_fitted(cells, other_people=other), cells["drawn"])
                )
                for other in (False, True)
            ]
            summary += (
                f"The predicted chances of being drawn were off by {errors[0]:.3f} on average for the same people on other images, and by "
                f"{errors[1]:.3f} for people whose masks were not used to learn them, because people differ."
            )
        else:
            summary += "With a single image, the predicted chances behind this cannot be checked."
    else:
        summary += (
            " How likely another person is to draw them cannot be said: that takes three masks of the same image, so that one can be "
            "left out."
        )
else:
    summary = "This edition cannot tell: no cohort has two masks of the same image, so there is no consensus to form."
answer(summary)

# %% tags=["hide-input"]
if key:
    where = looked_at[0]
    dna = cohort.panel.index(cohort_record(key).dna_channel)
    meaning = (
        "by the chance that a further person draws them" if learnt else "by the share who drew them"
    )
    show(
        partial(
            support_map,
            cohort.read_image(where)[dna],
            agreed[where],
            support[where],
            [*masks[where].values()],
            um_per_px=cohort.um_per_px(where),
            field_um=field_um,
        ),
        label="fig-support",
        caption=f"The middle {field_um:g} µm of one image, the DNA channel with the outlines of all {whose}; and the consensus, each "
        f"cell coloured {meaning}: five steps of 20% from violet (few) to yellow (all). {source_note([key])}",
        alt="The same piece of tissue twice: with many overlapping outlines, and with one outline for each cell, from "
        "violet to yellow.",
    )

# %% [markdown]
# A consensus answers two questions: which outlines of different people are *one cell*, and who would draw it. Here
# cells are put into groups, with at most one cell per person in each, so that the total overlap within groups is as large as
# possible. Joining pairs one by one instead can form a chain, in which two cells of one person end up as one.

# %% [markdown]
# ## How sure each cell is
#
# The share of people who drew a cell says who *did*. Whether the next one *would* also depends on how alike their outlines are, and
# on whether the others drew something else at that place. So each person is left out in turn, and says which cells of the
# others' consensus they drew; a logistic regression learns the chance. It is the chance that *one of people like these* draws the cell. The
# mask keeps what at least half drew, and not what is likely to be drawn again: a cell with a disputed border is likely to be there, and
# unlikely to be drawn that way twice.

# %% tags=["hide-input"]
bins = pd.DataFrame(columns=["cells", "chance", "drawn"])
if key and checked:
    bins = calibration(cells["chance"], cells["drawn"])
    curves = pd.concat(
        [
            bins.assign(measure="fitted chance"),
            calibration(cells["share"], cells["drawn"]).assign(
                measure="share of the others who drew it"
            ),
        ]
    )
    curves.to_csv(results_dir(edition, "decisions") / "support.csv", index=False)
    show(
        partial(calibration_curve, curves),
        label="fig-calibration",
        caption=f"Support beside what happened: how often the person left out drew a cell (IoU of 0.5 or more). Each chance was learnt on "
        f"other images, of the same people. {source_note([key])}",
        alt="Two curves of the share of cells drawn against their support. The fitted chance lies on the diagonal.",
    )
else:
    display(
        Markdown(
            "*That takes three masks for each of two images or more, so that a person and an image can be left out. Here "
            "support is the share who drew a cell, and says nothing of the next person.*"
        )
    )

# %% [markdown]
# ## Is it any good?
#
# A consensus may please everybody and still be wrong, because errors that all people share survive any vote. Only the truth can tell,
# and only on synthetic tissue is it known.

# %% tags=["hide-input"]
truth_known = bool(key) and any(r.kind == "truth" for r in cohort.raters)
if truth_known:
    rows = []
    real = []
    for sample, own in masks.items():
        perfect = cohort.read_mask(sample, TRUTH)
        rows += [
            (sample, name, evaluate(perfect, mask, sap=None).ap50) for name, mask in own.items()
        ]
        rows.append((sample, "consensus", evaluate(perfect, agreed[sample].labels, sap=None).ap50))
        table = contingency_table(perfect, agreed[sample].outlines)
        found = table.pred_ids[table.j[table.iou >= 0.5]]
        is_real = np.isin(np.arange(1, len(agreed[sample].groups) + 1), found)
        real.append(pd.DataFrame({"chance": support[sample], "drawn": is_real}))
    scores = pd.DataFrame(rows, columns=["sample", "rater", "ap50"])
    means = over_images(scores, "ap50", confidence=confidence)
    means["kind"] = "people"
    means = means.sort_values("value", ascending=False, ignore_index=True)
    show(
        partial(reach_rows, {key: Reach(means, {})}, "ap50 with the truth"),
        label="fig-consensus",
        caption=f"Mean ap50 with the truth, of each annotator and of their consensus. Lines: {confidence:.0%} interval over images. {source_note([key])}",
        alt="A row for each annotator and one for the consensus, ordered by score.",
    )
else:
    display(Markdown("*The truth is not known here, so whether these cells are real stays open.*"))

# %% tags=["hide-input"]
if truth_known:
    is_real = pd.concat(real)
    show_table(
        calibration(is_real["chance"], is_real["drawn"], bins=5).rename(
            columns={"chance": "mean support", "drawn": "share that is real"}
        ),
        label="tab-real",
        caption=f"Cells by their support, and how many of them are real: an IoU of 0.5 or more with a true cell. Support is the chance of being drawn, "
        f"and not of being there. {source_note([key])}",
        decimals=2,
    )

# %% tags=["hide-input"]
trials = pd.read_csv(shipped("benchmarks/results") / "decisions_consensus.csv")
groups = trials.groupby("group")[
    [
        "consensus",
        "weighted",
        "best_person",
        "mean_person",
        "calibration_error",
        "calibration_error_people",
    ]
].mean()
better = int((groups["consensus"] >= groups["best_person"] - 0.01).sum())
display(
    Markdown(
        f"Tried on {len(groups)} further groups of four simulated people, three tissues each, the consensus scored "
        f"{groups['consensus'].mean():.3f} in ap50 with the truth, the best person of each group {groups['best_person'].mean():.3f}, and the mean "
        f"person {groups['mean_person'].mean():.3f}; in {better} of {len(groups)} groups it came within .01 of the best person or above. Who the best person "
        "is nobody knows beforehand. With people weighed by one over their personal error, the consensus scored "
        f"{groups['weighted'].mean():.3f}. Chances were off by "
        f"{groups['calibration_error'].min():.3f} to {groups['calibration_error'].max():.3f} on images not learnt from, and by "
        f"{groups['calibration_error_people'].min():.3f} to {groups['calibration_error_people'].max():.3f} for people not learnt from either (`benchmarks/decisions_truth.py`)."
    )
)

# %% [markdown]
# ### Beside STAPLE
#
# STAPLE {cite:p}`warfield2004` is the usual way to merge outlines. It votes pixel by pixel, and estimates meanwhile how good each person is.
# What it returns is a foreground: where *some* cell is. That can be compared; cells cannot, since a foreground has none. The pieces it
# falls into are the nearest thing to cells, and where cells touch, one piece is many.

# %% tags=["hide-input"]
beside = pd.read_csv(shipped("benchmarks/results") / "staple.csv")
by_group = beside.groupby("group").mean(numeric_only=True)
ways = {
    "consensus": ("dice_consensus", "ap50_consensus"),
    "STAPLE, its pieces as cells": ("dice_staple", "ap50_staple_components"),
    "majority of pixels": ("dice_majority", None),
    "best person of each tissue": ("dice_best_person", None),
}
show_table(
    pd.DataFrame(
        {
            "foreground or cells of": way,
            "Dice of pixels": by_group[dice].mean(),
            "lowest group": by_group[dice].min(),
            "highest group": by_group[dice].max(),
            "ap50 of cells": by_group[ap].mean() if ap else float("nan"),
        }
        for way, (dice, ap) in ways.items()
    ),
    label="tab-staple",
    caption=f"Scores with the truth, over {len(by_group)} groups of four simulated people with {len(beside) // len(by_group)} tissues each (true cells per tissue: "
    f"{beside['true_cells'].min()} to {beside['true_cells'].max()}; pieces of STAPLE's foreground: {beside['staple_components'].min()} to "
    f"{beside['staple_components'].max()}). Measured once, on {beside['date'].iloc[0]}, with SimpleITK {beside['simpleitk'].iloc[0]} "
    "(`benchmarks/staple.py`). Synthetic.",
)

# %% [markdown]
# :::{dropdown} How it is computed
# Cells of different people are linked at an IoU of .1 or more. Among cells linked to one another those disjoint groups are
# taken, with at most one cell of a person, that maximise the sum over pairs of IoU - .2: an integer program, solved exactly up to
# 5,000 candidate groups; beyond that groups are joined by average linkage, and what better groups could add is reported. A pixel
# belongs to a cell when at least half of its drawers gave it to the cell. People weigh the same: weights break ties, so that half of four people
# no longer is half. Of a cell in pieces the
# largest stays.
# :::

# %% [markdown]
# ## What this does not show
#
# - Truth. Support is the chance that a person draws a cell; a cell that nobody sees has none.
# - Which person to trust. For that, see how much each errs, and what all err alike is in nobody's error.
# - A mask to train on without a look: cells with middling support are the ones worth adjudicating.

# %% tags=["remove-cell"]
if key:
    for one in agreed.values():
        assert one.labels.max() == one.kept.sum(), "each kept cell has pixels"
        assert ((one.groups > 0).sum(axis=1)[one.kept] > 1).all(), "nobody's word alone is enough"
        for column in one.groups.T:
            assert len(set(column[column > 0])) == (column > 0).sum(), "a cell is in one group"
        assert one.gap >= 0
assert bins["drawn"].between(0, 1).all()
assert by_group.filter(regex="dice|ap50").apply(lambda s: s.between(0, 1)).all(axis=None)

# %% [markdown]
# ## Takeaways
#
# - Three people of four is a harsh vote, and half of the pixels is a mild one. Say which you used.
# - Ask what the next person would draw, and check it on images left out. For a person unlike these, it is a guess.
# - A consensus removes what people do differently, and nothing of what they all do wrong.
