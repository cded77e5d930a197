# ---
# jupyter:
#   imc_book:
#     reads:
#     - scores
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
# # Metrics
#
# **What do ap50, map and sap measure, and where do their conventions change the number?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/

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

from itertools import combinations

import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.agreement.score_table import read_scores
from imc_helpers.agreement.summaries import between
from imc_helpers.experiments.tool_comparison import compare_tools
from imc_helpers.figures.agreement_plots import ap_areas, assignment_curves
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.tissue_images import toy_cases
from imc_helpers.data.manifest import load_edition
from imc_helpers.metrics import contingency_table, evaluate, global_assignment
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.readers.published import open_cohort


def cells(row: str) -> np.ndarray:
    """Two equal rows of pixels: digits are cells, dots are background."""
    return np.array([[int(pixel) for pixel in row.replace(".", "0")]] * 2)


cohorts = {key: open_cohort(key) for key in load_edition(edition).cohorts}
pairs = [
    (key, name, one, two)
    for key, cohort in cohorts.items()
    for name in cohort.ids
    for one, two in combinations(cohort.references_of(name), 2)
]
cohorts = {key: cohort for key, cohort in cohorts.items() if key in {pair[0] for pair in pairs}}
if pairs:
    shown, sample, first, second = pairs[0]
    real = contingency_table(*(cohorts[shown].read_mask(sample, a) for a in (first, second)))
    whose = f"{rater_name(first)} and {rater_name(second)} on sample {sample}"
    note = source_note([shown])
else:
    real = contingency_table(cells("1111122222333334444"), cells("1111.2222.333......"))
    whose = "two label images made by hand"
    note = "No image of this edition has two masks to compare."
scores = evaluate(table=real)
answer(
    f"ap50 asks at one threshold, map averages ten, sap takes the whole curve. One "
    f"and the same pair of masks scores {scores.ap50:.3f}, {scores.map:.3f} and {scores.sap:.3f}: "
    "never compare one with another."
)

# %% tags=["hide-input"]
show(
    partial(ap_areas, real),
    label="fig-areas",
    caption=f"AP against the IoU threshold, for {whose}: ap50 is the height at 0.5, map the mean of ten "
    f"heights, sap an area. {note}",
    alt="The same falling curve three times: a point marked at one half, ten bars between .50 and "
    ".95, and the whole area below it shaded.",
)

# %% [markdown]
# All three compare two label images, cell by cell. Two cells are alike when the area they share is
# large beside the area they cover together, their *IoU*. Cells are paired one to one, and a pair counts
# when its IoU reaches a threshold $t$. Then
#
# $$
# AP(t) = \frac{TP}{TP + FN + FP},
# $$ (ap)
#
# with $TP$ the pairs, $FN$ the true cells and $FP$ the predicted cells that stay alone
# ({cite:t}`schuiki2025`, section 3.3; {cite:t}`hirling2024` explain why this is not the average
# precision of object detection).

# %% [markdown]
# **ap50** asks whether cells were found at all, roughly. **map** also asks how well they were outlined,
# and gives nothing for pairs below .5. **sap** {cite:p}`chen2023sortedap` also counts pairs below
# .5, so it still tells bad from worse when ap50 is 0.

# %% [markdown]
# ## By hand
#
# Four cases that can be counted on paper. Above the true cells, below the predicted ones.

# %% tags=["hide-input"]
cases = {
    "A: too small": (cells("1111...."), cells("111.....")),
    "B: exactly half": (cells("1111...."), cells("11......")),
    "C: two merged": (cells("1122...."), cells("1111....")),
    "D: one missed, one made up": (cells("11.22..."), cells("11....33")),
}
show(
    partial(toy_cases, cases),
    label="fig-toys",
    caption="Four tiny pairs of label images, made by hand.",
    alt="Four pairs of small grids with coloured cells: a cell predicted too small, one predicted "
    "exactly half, two cells predicted as one, and one matched with one missed and one made up.",
)

# %% [markdown]
# - **A.** The predicted cell covers 6 of 8 pixels: IoU 6/8 = .75. It counts at six of the ten
#   thresholds (.50 to .75), so map = 6/10. sap: height 1 up to .75, then straight down to (1, 0), which
#   gives .75 + .25/2 = .875.
# - **B.** IoU 4/8 = .5 exactly. With $\ge$ it counts at .5 and nowhere else: ap50 = 1, map = 1/10. With
#   $>$ it never counts.
# - **C.** The merged cell has IoU 4/8 with each true cell. It can be paired with one of them only: $TP$
#   = 1, $FN$ = 1, $FP$ = 0, so ap50 = 1/2.
# - **D.** One pair with IoU 1, one true cell alone, one predicted cell alone: 1/3 at every threshold.

# %% tags=["hide-input"]
by_hand = {
    "A: too small": (1, 6 / 10, 7 / 8),
    "B: exactly half": (1, 1 / 10, 3 / 4),
    "C: two merged": (1 / 2, 1 / 20, 3 / 8),
    "D: one missed, one made up": (1 / 3, 1 / 3, 1 / 3),
}
computed = {name: evaluate(*case) for name, case in cases.items()}
show_table(
    pd.DataFrame(
        {
            "case": name,
            "ap50": s.ap50,
            "map": s.map,
            "sap": s.sap,
            "ap50 with IoU > t": evaluate(*cases[name], strict=True).ap50,
            "ap50 by hand": by_hand[name][0],
            "map by hand": by_hand[name][1],
            "sap by hand": by_hand[name][2],
        }
        for name, s in computed.items()
    ),
    label="tab-toys",
    caption="The four cases, computed and by hand (IoU ≥ t where nothing else is said).",
)

# %% [markdown]
# ## Where the conventions bite
#
# ### At least, or more than?
#
# The study does not say whether a match needs IoU $\ge t$ or IoU $> t$. Small cells make the difference
# real: their IoUs are fractions of small numbers, and some are exactly 1/2.

# %% tags=["hide-input"]
rows = []
for key, name, one, two in pairs:
    pair = contingency_table(*(cohorts[key].read_mask(name, a) for a in (one, two)))
    at_least, more_than = (evaluate(table=pair, strict=strict) for strict in (False, True))
    rows.append(
        {
            "cohort": key,
            "sample": name,
            "pair": f"{rater_name(one)}, {rater_name(two)}",
            "ap50, IoU ≥ t": at_least.ap50,
            "ap50, IoU > t": more_than.ap50,
            "difference": at_least.ap50 - more_than.ap50,
            "sap, paper": at_least.sap,
            "sap, exact": evaluate(table=pair, sap="step").sap,
        }
    )
conventions = pd.DataFrame(rows)
conventions.to_csv(results_dir(edition, "metrics") / "conventions.csv", index=False)
if pairs:
    show_table(
        conventions,
        label="tab-conventions",
        caption="The same masks under different conventions. *sap, paper* pairs once for all thresholds; "
        f"*sap, exact* pairs anew at each (see below). {source_note(cohorts)}",
    )
else:
    display(Markdown(f"*{note}*"))

# %% tags=["hide-input"]
if pairs:
    largest = conventions.loc[conventions["difference"].idxmax()]
    display(
        Markdown(
            f"The largest difference here is {largest['difference']:.3f} ({cohort_name(largest['cohort'])}, "
            f"{largest['sample']}). Scores of this book use IoU ≥ t unless their caption says "
            "otherwise."
        )
    )

# %% [markdown]
# ### One assignment for all, or one per threshold?
#
# ap50 and map pair cells anew at every threshold, and take the most pairs possible. sap pairs once, so
# that the summed IoU is largest, and keeps these pairs at every threshold. The two can disagree.

# %% tags=["hide-input"]
tangle = contingency_table(cells("1" * 14 + "2" * 4), cells("3" * 4 + "1" * 14))
show(
    partial(assignment_curves, tangle),
    label="fig-assignment",
    caption="Two true and two predicted cells, made by hand, that overlap in a chain. One assignment for "
    "all thresholds takes the two weak pairs; the best at each threshold keeps the strong one above 2/7.",
    alt="Two AP curves: one falls to zero early, the other stays at one third up to an IoU of "
    "more than one half.",
)

# %% tags=["hide-input"]
show_table(
    pd.DataFrame(
        {
            "true": tangle.true_ids[tangle.i],
            "pred": tangle.pred_ids[tangle.j],
            "IoU": tangle.iou,
        }
    ),
    label="tab-tangle",
    caption="The overlaps of {numref}`fig-assignment`.",
)

# %% [markdown]
# ### Empty images
#
# A crop without cells on one side scores 0. Without cells on both sides it scores 1 here: nothing was
# there and nothing was found. The study does not say what it does; leaving such crops out would be
# another choice. It matters for patches of sparse tissue.

# %% tags=["hide-input"]
if pairs:
    patches = between(read_scores(edition, cohorts), cohorts)
    patches = patches[patches["mode"] == "patch"]
    n_true, n_pred = patches["n_true"], patches["n_pred"]
    empty = (
        patches.assign(
            patches=1, both=(n_true == 0) & (n_pred == 0), one=(n_true == 0) != (n_pred == 0)
        )
        .groupby("cohort", sort=False)[["patches", "one", "both"]]
        .sum()
        .reset_index()
    )
    show_table(
        empty.rename(
            columns={"one": "one side empty (score 0)", "both": "both sides empty (score 1)"}
        ),
        label="tab-empty",
        caption=f"Patches with an empty side, over all pairs of masks. {source_note(cohorts)}",
    )
else:
    display(Markdown(f"*{note}*"))

# %% [markdown]
# ## Other tools, beside ours
#
# The field's packages score the same masks. Some are slow on images full of small cells, and some are wrong
# on inputs that occur: a crop that keeps its image's ids, an image without background, a crop without
# cells. `make bench` runs those that can be installed beside ours and rewrites both tables, so whoever doubts a
# line can rerun it.

# %% tags=["hide-input"]
bench = pd.read_csv(shipped("benchmarks/results") / "metrics.csv")
compared, absent = compare_tools(bench)
show_table(
    compared,
    label="tab-bench",
    caption=f"Time for one pair of label images (median of {bench['runs'].min():.0f} to "
    f"{bench['runs'].max():.0f} runs, fewest for slow tools), and in brackets how many times that of "
    "*ours* with the same scores or more, side by side in one run, on "
    f"one thread where no other number is named ({bench['machine'][0]}, {bench['date'][0]}). "
    "Synthetic pairs: crops of 200 x 200 px, and whole images. The sortedAP algorithm was written anew "
    "from its paper. Not installed there: "
    f"{', '.join(absent) or 'none'}. Rewritten by `make bench`.",
)

# %% tags=["hide-input"]
wrong = pd.read_csv(shipped("benchmarks/results") / "peer_errors.csv")
show_table(
    wrong[["peer", "case", "what", "true", "pred", "score", "expected_ge", "found"]].rename(
        columns={"what": "when", "expected_ge": "right", "found": "printed"}
    ),
    label="tab-peer-errors",
    caption="Where other tools are wrong, or define nothing (two empty images), each with its smallest "
    "example: a row of pixels for each "
    "image, where *1x2* means the id 1 twice. *Right* is with IoU ≥ t. Rewritten by `make bench`.",
    decimals=2,
)

# %% [markdown]
# ## How others measure agreement
#
# The study sets its choice beside three others (section 2), and so does this book:
#
# - **By pixel.** Kappa, STAPLE and heat maps compare what class each pixel was given
#   {cite:p}`yang2023agreement`. They do not see cells: a border between two cells that one person
#   draws and another leaves out is a line of a few pixels, and two cells fewer.
# - **By a consensus of centres.** Cells of several annotators are the same where their centres are near
#   {cite:p}`capar2024`. That works for any number of annotators, but needs the size of a cell to say what is
#   near, and says nothing of outlines.
# - **By pairs.** Every two masks are scored as if one were the truth: nuclei
#   {cite:p}`yapp2022`, whole cells {cite:p}`greenwald2022`. The study does this, with the metrics above, and so
#   does every page here that speaks of agreement.
#
# To match the cells of two masks one to one is an assignment problem that computers solve. Of many masks at once
# it is not, in any time that one would wait: hence the pairs.

# %% [markdown]
# ## Measured beside published
#
# The study prints no worked values for its metrics; its Figure 1 is a sketch. Its scores stand beside
# ours in [](05_annotators).

# %% [markdown]
# ## What this does not show
#
# - Whether a disagreement matters. A border one pixel off and a cell cut in two can cost the same.
# - Small cells pay more for one pixel of border than large cells do, at every threshold.
# - The choice between several assignments with the same sum can change sap, though not its
#   assignment's sum. Ours does not depend on the order of ids.

# %% tags=["remove-cell"]
for name, values in by_hand.items():
    s = computed[name]
    assert np.allclose([s.ap50, s.map, s.sap], values), name
if pairs:
    assert (conventions["difference"] >= 0).all(), "> can only lose matches"
assert evaluate(*cases["B: exactly half"], strict=True).ap50 == 0
assert scores.map <= scores.ap50
assert evaluate(table=tangle).ap50 == 1 / 3
weak = global_assignment(tangle)
assert len(weak.iou) == 2, "one assignment for all takes the two weak pairs"
assert np.allclose(weak.iou, 2 / 7)
assert evaluate(cells("...."), cells("....")).ap50 == 1
assert evaluate(cells("...."), cells("11..")).ap50 == 0

# %% [markdown]
# ## Takeaways
#
# - ap50 asks at one threshold, map at ten, sap at all.
# - The rule at the threshold, the assignment, and empty crops each change the number. Say which you
#   used.
#
# Next: [](05_annotators).
