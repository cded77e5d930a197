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
    "All three count how many cells of two masks match, and differ in how much overlap they require: ap50 uses one "
    "threshold, map averages over ten, and sap takes the area under the whole curve. Never compare one with another: the "
    f"same pair of masks scores {scores.ap50:.3f} (ap50), {scores.map:.3f} (map) and {scores.sap:.3f} (sap)."
)

# %% tags=["hide-input"]
show(
    partial(ap_areas, real),
    label="fig-areas",
    caption=f"AP against the IoU threshold, for {whose}: ap50 is the height of the curve at 0.5, map the mean of ten "
    f"heights, and sap the area under the curve. {note}",
    alt="The same falling curve three times: a point marked at one half, ten bars between .50 and "
    ".95, and the whole area below it shaded.",
)

# %% [markdown]
# All three compare two label images cell by cell. The similarity of two cells is their *IoU*: the area that they
# share, divided by the area that they cover together. Cells are paired one to one, and a pair counts
# if its IoU reaches a threshold $t$. Then
#
# $$
# AP(t) = \frac{TP}{TP + FN + FP},
# $$ (ap)
#
# where $TP$ is the number of pairs, and $FN$ and $FP$ are the numbers of true and of predicted cells without a
# partner ({cite:t}`schuiki2025`, section 3.3; {cite:t}`hirling2024` explain why this is not the average
# precision of object detection).

# %% [markdown]
# **ap50** asks, roughly, whether cells were found at all. **map** also asks how well they were outlined,
# and ignores pairs with an IoU below .5. **sap** {cite:p}`chen2023sortedap` counts such pairs as well, so it still
# distinguishes bad masks from worse ones when ap50 is 0.

# %% [markdown]
# ## Four examples by hand
#
# These four cases can be counted on paper.

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
    caption="Four tiny pairs of label images, made by hand: the true cells above, the predicted cells below.",
    alt="Four pairs of small grids with coloured cells: a cell predicted too small, one predicted "
    "exactly half, two cells predicted as one, and one matched with one missed and one made up.",
)

# %% [markdown]
# - **A.** The predicted cell covers 6 of 8 pixels, so its IoU is 6/8 = .75. It counts at six of the ten
#   thresholds (.50 to .75), so map = 6/10. For sap, the curve has height 1 up to .75 and then falls in a straight line
#   to (1, 0), which gives .75 + .25/2 = .875.
# - **B.** The IoU is exactly 4/8 = .5. With $\ge$ the cell counts at .5 and nowhere else: ap50 = 1, map = 1/10. With
#   $>$ it never counts.
# - **C.** The merged cell has an IoU of 4/8 with each of the two true cells, but it can be paired with only one of
#   them: $TP$ = 1, $FN$ = 1, $FP$ = 0, so ap50 = 1/2.
# - **D.** There is one pair with IoU 1, one true cell without a partner and one predicted cell without a partner, so
#   AP is 1/3 at every threshold.

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
    caption="The four cases, computed and by hand (IoU ≥ t unless stated otherwise).",
)

# %% [markdown]
# ## Conventions that change the number
#
# ### Is an IoU equal to the threshold a match?
#
# The study does not say whether a match needs IoU $\ge t$ or IoU $> t$. With small cells this matters:
# their IoUs are fractions of small whole numbers, and some are exactly 1/2.

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
        caption="The same masks under different conventions. *Sap, paper* pairs cells once for all thresholds; "
        f"*sap, exact* pairs them anew at each threshold (see below). {source_note(cohorts)}",
    )
else:
    display(Markdown(f"*{note}*"))

# %% tags=["hide-input"]
if pairs:
    largest = conventions.loc[conventions["difference"].idxmax()]
    display(
        Markdown(
            f"The largest difference between the two rules is {largest['difference']:.3f} here "
            f"({cohort_name(largest['cohort'])}, {largest['sample']}). Scores in this book use IoU ≥ t unless their caption "
            "says otherwise."
        )
    )

# %% [markdown]
# ### One assignment for all, or one per threshold?
#
# For ap50 and map, cells are paired anew at every threshold, so that there are as many pairs as possible. For sap,
# cells are paired once, so that the summed IoU is largest, and these pairs are kept at every threshold. The two ways
# can disagree.

# %% tags=["hide-input"]
tangle = contingency_table(cells("1" * 14 + "2" * 4), cells("3" * 4 + "1" * 14))
show(
    partial(assignment_curves, tangle),
    label="fig-assignment",
    caption="AP of two true and two predicted cells, made by hand, that overlap in a chain. One assignment for "
    "all thresholds takes the two weak pairs; the best assignment at each threshold takes the strong pair above 2/7.",
    alt="Two AP curves: one falls to zero early, the other stays at one third up to an IoU of "
    "more than one half.",
)

# %% tags=["hide-input"]
show_table(
    pd.DataFrame(
        {
            "true cell": tangle.true_ids[tangle.i],
            "predicted cell": tangle.pred_ids[tangle.j],
            "IoU": tangle.iou,
        }
    ),
    label="tab-tangle",
    caption="The overlaps of {numref}`fig-assignment`.",
)

# %% [markdown]
# ### Empty images
#
# If only one of two masks has cells in a crop, the score is 0. If neither has any, the score is 1 in this book:
# nothing was there and nothing was found. The study does not say what it does; leaving such crops out would be
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
            columns={"one": "one mask empty (score 0)", "both": "both masks empty (score 1)"}
        ),
        label="tab-empty",
        caption=f"Patches in which one or both masks have no cell, over all pairs of masks. {source_note(cohorts)}",
    )
else:
    display(Markdown(f"*{note}*"))

# %% [markdown]
# ## How other tools compare
#
# Other packages in the field compute the same scores. Some are slow on images full of small cells, and some are wrong
# on inputs that occur in practice: a crop that keeps the ids of its image, an image without background, a crop without
# cells. `make bench` runs all packages that can be installed alongside ours and rewrites both tables, so you can check
# every line yourself.

# %% tags=["hide-input"]
bench = pd.read_csv(shipped("benchmarks/results") / "metrics.csv")
compared, absent = compare_tools(bench)
show_table(
    compared,
    label="tab-bench",
    caption=f"Time for one pair of label images (median of {bench['runs'].min():.0f} to "
    f"{bench['runs'].max():.0f} runs, fewest for slow tools); in brackets, as a multiple of the time that *ours* takes for "
    "at least the same scores in the same run. One thread unless stated otherwise "
    f"({bench['machine'][0]}, {bench['date'][0]}). "
    "Synthetic pairs: crops of 200 x 200 px, and whole images. The sortedAP algorithm was reimplemented "
    "from its paper. Not installed there: "
    f"{', '.join(absent) or 'none'}. Rewritten by `make bench`.",
)

# %% tags=["hide-input"]
wrong = pd.read_csv(shipped("benchmarks/results") / "peer_errors.csv")
show_table(
    wrong[["peer", "case", "what", "true", "pred", "score", "expected_ge", "found"]].rename(
        columns={"peer": "tool", "what": "when", "expected_ge": "correct", "found": "returned"}
    ),
    label="tab-peer-errors",
    caption="Where other tools are wrong, or leave the score undefined (two empty images), each with the smallest "
    "example: one row of pixels per image, where *1x2* means the id 1 twice. *Correct*: with IoU ≥ t. Rewritten by "
    "`make bench`.",
    decimals=2,
)

# %% [markdown]
# ## How others measure agreement
#
# The study discusses three ways (section 2) and takes the third:
#
# - **Pixel by pixel.** Kappa, STAPLE and heat maps compare the class that each pixel was given
#   {cite:p}`yang2023agreement`. They do not see cells: if one person draws a border between two cells and another
#   does not, the masks differ by a line of a few pixels, but two cells have become one.
# - **By a consensus of centres.** Cells of several annotators are taken to be the same cell if their centres are
#   close together {cite:p}`capar2024`. That works for any number of annotators, but it needs a typical cell size to
#   define *close*, and says nothing about outlines.
# - **By pairs of masks.** Every two masks are scored as if one of them were the truth, for nuclei
#   {cite:p}`yapp2022` or whole cells {cite:p}`greenwald2022`. The study does this with the metrics above, and so
#   does every page here that reports agreement.
#
# Matching the cells of two masks one to one is an assignment problem, which computers solve quickly. Matching the cells
# of many masks at once would take far too long, and so masks are compared in pairs.

# %% [markdown]
# ## Measured beside published
#
# The study prints no worked examples of its metrics; its Figure 1 is a sketch. [](05_annotators) compares its scores
# with ours.

# %% [markdown]
# ## What this does not show
#
# - Whether a disagreement matters. A border that is one pixel off can cost as much as a cell that is cut in two.
# - How hard a cell is. A shift of the border by one pixel costs a small cell more than a large one, at every threshold.
# - A unique sap. If several assignments have the same summed IoU, the choice among them can change sap. Ours does not
#   depend on the order of ids.

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
# - ap50 looks at one threshold, map at ten, sap at all of them.
# - The rule at the threshold, the way of pairing cells, and the treatment of empty crops each change the number. State
#   what you used.
#
# Next: [](05_annotators).
