# ---
# jupyter:
#   imc_book:
#     reads:
#     - scores
#     - viewer
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
# # Look at every cell
#
# **Where do the raters of an image disagree, and what does the tissue look like there?**

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
from IPython.display import Markdown, display

from imc_helpers.agreement.score_table import read_scores
from imc_helpers.data.manifest import load_edition
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.figures.names import cohort_name, counted, source_note
from imc_helpers.figures.page import answer
from imc_helpers.figures.viewer.gallery import cards, list_samples

cohorts = {key: open_cohort(key) for key in load_edition(edition).cohorts}
samples = list_samples(edition, cohorts, read_scores(edition))
compared = samples[samples["ap50"].notna()]
if samples.empty:
    summary = "The viewer has not been made yet; `make book` makes it."
elif compared.empty:
    summary = f"{counted(len(samples), 'image')} can be viewed here, but none has two masks that could disagree."
else:
    among = compared[compared["pairs"].str.startswith("between")]
    ranked = (compared if among.empty else among).sort_values("ap50")
    worst = ranked.iloc[0]
    summary = (
        f"Raters disagree most on `{worst['sample']}` of {cohort_name(worst['cohort'])}: mean ap50 {worst['pairs']} is "
        f"{worst['ap50']:.2f} there, the lowest of {counted(len(ranked), 'image')}. Open an image below to see the tissue and step "
        "through the disagreements."
    )
answer(summary)

# %% tags=["hide-input"]
for key, rows in samples.groupby("cohort", sort=False):
    pairs = rows["pairs"].dropna().unique()
    told = (
        f" The number below each image is its mean ap50 {' or '.join(pairs)}; the lowest comes first."
        if len(pairs)
        else ""
    )
    display(Markdown(f"## {cohort_name(key)}\n\n{source_note([key])}{told}"))
    display(Markdown(cards(rows)))

# %% [markdown]
# ## What the viewer shows
#
# Each picture opens a viewer. You can zoom in on the tissue, choose channels and contrast, switch the outlines of
# annotators, tools and models on and off, point at a cell to see who else drew it, and step through the
# disagreements from the largest to the smallest. The viewer needs neither a network nor a server.
#
# - **Outlines** are drawn in your browser from the exact masks, along the edges between pixels. If several
#   raters drew the same edge, their colours alternate.
# - **Numbers of a cell** (its best match by each other rater, IoU, area) are counted from the same masks.
# - **Disagreements** are groups of cells that do not match by Mesmer's rule ({cite:t}`greenwald2022`): missed,
#   spurious, split, merged, or a tangle of these. Two cells at the same place that overlap too little to match are
#   one disagreement about a *border*; [](../beyond/02_errors.ipynb) counts them as one missed and one spurious cell.
#   The size of a disagreement is its disputed area: the area of all cells of the group, minus the area that the two
#   best-matching cells share.
# - **Keys**: `n` and `p` step through the disagreements, `o` switches all outlines off and on, `1` to `9` those of
#   one rater, `f` shows the whole image.
# - **Links**: click on a cell, and the address of the page leads back to that cell.

# %% [markdown]
# ## What this does not show
#
# - Exact intensities. Channels have only 256 levels and are compressed for viewing, so do not measure them there.
# - All channels. To stay below 3 MB, a page holds the means of the nuclear and of the membrane channels and then as many
#   of the most variable channels as fit (at most eight), and names those left out. Pages of images much larger than
#   1000 x 1000 px are larger, because masks are never simplified.

# %% tags=["remove-cell"]
assert samples["ap50"].dropna().between(0, 1).all()
for _, rows in samples.groupby("cohort"):
    assert rows["ap50"].dropna().is_monotonic_increasing, "the lowest comes first"
    assert rows["sample"].is_unique, "one page per sample"

# %% [markdown]
# ## Takeaways
#
# - Look at the image before you explain a score: a low score may be due to one fold in the tissue, or to a habit that
#   affects every cell.
# - Start with the largest disagreements of one kind. Ten of them are often enough to recognise a habit.
