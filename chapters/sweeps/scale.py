# ---
# jupyter:
#   imc_book:
#     reads:
#     - sweeps/scale
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
# # Does scale matter?
#
# **Do models find more cells in an enlarged image, or in smaller windows, and which cells get lost?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
metric: str = "ap50"  # score of the figures: ap50, map or sap

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

from IPython.display import Markdown, display

from imc_helpers.figures.names import choice_name, cohort_name, model_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.sweep_plots import choice_dots, choice_lines
from imc_helpers.experiments.sweeps import (
    AS_IT_IS,
    NEAR_PX,
    PLACES,
    SIZES,
    WHOLE,
    annotated_cohort,
    by_choice,
    differ,
    find_sweep,
    found_shares,
    in_words,
    input_names,
    standardised_share,
    verdict,
)

cohort = annotated_cohort(edition)
table, why_not = find_sweep(edition, "scale")
bars = "95% intervals over images."
windows = scaled = enlarged = smaller = table
if not why_not:
    table["model"] = table["model"].map(model_name)
    data = f"{table['sample'].nunique()} images of {cohort_name(cohort)}. {source_note([cohort])}"
    # Enlargement and windows are tried on crops of two sizes; each crop is compared with itself.
    cut = table["crop_px"].isin(table.loc[table["window_px"] != WHOLE, "crop_px"])
    enlarges = table["crop_px"].isin(table.loc[table["factor"] > 1, "crop_px"])
    windows = table[cut & (table["factor"] == 1)].copy()
    windows = windows.sort_values(
        "window_px", key=lambda px: px.replace(WHOLE, table["crop_px"].max()), kind="stable"
    )
    windows["window"] = windows["window_px"].astype(str).replace(str(WHOLE), "whole")
    scaled = table[enlarges & (table["window_px"] == WHOLE)].copy()
    scaled["input"] = input_names(scaled).map(choice_name)
    enlarged = by_choice(scaled, "input", AS_IT_IS, metric)
    smaller = by_choice(windows, "window", "whole", metric)
said = []
for model, own in enlarged.groupby("model", sort=False) if len(enlarged) else ():
    best = own.loc[own["mean"].idxmax()]
    said.append(
        f"{model}: the best enlargement is *{best['input']}*, {in_words(best)}; "
        f"{int((differ(own) & (own['mean'] > 0)).sum())} of {len(own)} enlargements are surely better than none"
    )
for model, own in smaller.groupby("model", sort=False) if len(smaller) else ():
    least = own.iloc[0]
    said.append(
        f"{model}: windows of {least['window']} px in place of the whole image change the score by {in_words(least)}"
    )
if not said and not why_not:
    why_not = (
        "This edition's sweep has no enlargement and no window to compare with the image as it is."
    )
lines = "\n".join(f"- {line}." for line in said)
if not why_not:
    sized = smaller.assign(input="windows of " + smaller["window"].astype(str) + " px")
    summary = verdict([enlarged, sized], "input", "the image as it is")
answer(why_not or f"{summary} Scores are {metric} with the annotators.")


def left_out():
    """Say why a figure is missing."""
    display(Markdown(f"*{why_not or 'The sweep of this edition did not try this.'}*"))


# %% tags=["hide-input"]
if len(enlarged):
    show(
        partial(
            choice_dots,
            enlarged,
            "input",
            label=f"{metric}, difference from the image as it is",
        ),
        label="fig-sweep-enlarged",
        caption=f"Enlarged input, best first: difference in {metric} from the image as it is. *Told*: the model is given "
        f"the new pixel size; *not told*: it is not, and takes the cells to be larger. {bars} {data}",
        alt="One panel per model with one row per factor and interpolation: its difference in score, with an interval.",
    )
else:
    left_out()

# %% [markdown]
# The study's SAM-based models did worse on whole images than on patches. The authors suspect that small cells get
# lost at low resolution, and suggest better crop sizes and super-resolution ({cite:t}`schuiki2025`, section
# 4.4). Here the input is enlarged, or cut into windows of several sizes. Each combination is one run of
# `chapters/sweeps/scale_point.py`; if you run that notebook by hand, it also draws what the model saw.

# %% tags=["hide-input"]
if not why_not:
    display(Markdown(f"Differences in mean {metric}, with 95% intervals:\n\n{lines}"))

# %% [markdown]
# A model that is told the pixel size can undo the enlargement, or adapt to it. A model that is not told takes the
# cells to be larger than they are, which can help only if it was made for larger cells.

# %% [markdown]
# ## Which cells get lost

# %% tags=["hide-input"]
if len(enlarged):
    bicubic = scaled[(scaled["factor"] == 1) | (scaled["interpolation"] == "bicubic")]
    sizes = found_shares(bicubic, ["model", "input"], SIZES)
    show(
        partial(
            choice_lines,
            sizes,
            "class",
            "input",
            xlabel="annotators' cells, by area",
            ylabel="share found",
        ),
        label="fig-sweep-sizes",
        caption="Share of the annotators' cells that a model finds (IoU of 0.5 or more) among the smallest, middle and "
        f"largest third of cells, with the image enlarged by bicubic interpolation. {bars} {data}",
        alt="One panel per model with one line per factor of enlargement: the share of small, medium and large cells found.",
    )
else:
    left_out()

# %% [markdown]
# ## Are cells lost at the edges of windows?

# %% tags=["hide-input"]
if len(smaller):
    places = found_shares(
        windows[windows["model"].isin(smaller["model"])], ["model", "window"], PLACES
    )
    show(
        partial(
            choice_lines,
            places,
            "window",
            "class",
            xlabel="edge of the windows, px",
            ylabel="share found",
        ),
        label="fig-sweep-windows",
        caption="Share of the annotators' cells that a model finds in each window: cells *cut* by the window's edge, *near* "
        f"it (within {NEAR_PX} px), or farther *inside*. {bars} {data}",
        alt="One panel per model: the share of cells found against the size of the windows, for cells cut by, near and far "
        "from the edge of a window.",
    )
else:
    left_out()

# %% tags=["hide-input"]
if len(smaller):
    said = []
    for model, own in places.groupby("model", sort=False):
        sizes_px = list(dict.fromkeys(own["window"]))
        small, whole = (own[own["window"] == sizes_px[k]] for k in (0, -1))
        said.append(
            f"{model} finds {standardised_share(small, small):.1%} of all cells in windows of {sizes_px[0]} px and "
            f"{standardised_share(whole, whole):.1%} in the whole image. If the windows had as few cells at and near their "
            f"edges as the whole image has, it would find {standardised_share(small, whole):.1%} in them"
        )
    cells = windows.groupby("window", sort=False)[[f"cells_{place}" for place in PLACES]].sum()
    cut_share = cells["cells_cut"] / cells.sum(axis=1)
    display(
        Markdown(
            f"In windows of {cells.index[0]} px, {cut_share.iloc[0]:.0%} of all cells are cut; in the whole image, "
            f"{cut_share.iloc[-1]:.0%}. {'. '.join(said)}. The difference that remains between the last two numbers is not "
            "due to the edges."
        )
    )

# %% [markdown]
# ## All numbers

# %% tags=["hide-input"]
keys = ["model", "factor", "interpolation", "declared", "window_px", "crop_px"]
scores = ["ap50", "map", "sap", "truth_ap50"]
if table.empty:
    left_out()
else:
    means = table.groupby(keys, sort=False)[scores].mean().reset_index()
    show_table(
        means.rename(
            columns={
                "declared": "told pixel size",
                "window_px": "window, px",
                "crop_px": "image, px",
                "truth_ap50": "ap50 with the truth",
            }
        ),
        label="tab-sweep-scale",
        caption="Mean scores with the annotators (IoU ≥ t), averaged over windows, and with the truth where it is "
        f"known (a dash where it is not). A window of 0 means the whole image. {data}",
    )

# %% [markdown]
# ## What this does not show
#
# - Why a window does harm. A network may pad images that are smaller than its own tile (224 px in Cellpose)
#   with zeros, and then also miss cells in the middle of the window.
# - Super-resolution. Interpolation adds pixels, not detail.
# - Stitching. Windows are scored one by one, and a cell that lies in two windows stays cut.
# - The role of luck. The best of many scales looks better than it is: the intervals are not corrected for picking
#   the best afterwards.

# %% tags=["remove-cell"]
if len(table):
    assert table[["ap50", "map", "sap"]].apply(lambda s: s.between(0, 1)).to_numpy().all()
    assert not table.duplicated([*keys, "sample"]).any()
    for place in (*SIZES, *PLACES):
        assert (table[f"found_{place}"] <= table[f"cells_{place}"]).all()
    by_size = table[[f"cells_{c}" for c in SIZES]].sum(axis=1)
    assert (by_size == table[[f"cells_{c}" for c in PLACES]].sum(axis=1)).all(), (
        "each cell counts once"
    )
    if len(smaller):
        assert cut_share.is_monotonic_decreasing, "larger windows cut fewer cells"

# %% [markdown]
# ## Takeaways
#
# - Give the model the pixel size. If it takes none, scale is a parameter to tune.
# - Count cut cells separately. A smaller window has more of them, however well the model does inside.
