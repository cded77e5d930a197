# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
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
# # Whole images and patches
#
# **What exactly is scored when a score is "per patch"?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
window_px: int = 256  # edge of a patch, pixels
stride_px: int = 128  # step from one patch to the next, pixels
border_px: int = 28  # ignored border of a patch, pixels

# %% tags=["hide-input"]
# Colab guard, written by `make sync`: says what to do where the package is missing.
import importlib.util

if importlib.util.find_spec("imc_helpers") is None:
    raise ModuleNotFoundError(
        "The package imc_helpers is not installed, and the book has no public repository yet to "
        "install it from. In a copy of the book, run: pip install --no-deps ."
    )

# %% tags=["hide-input"]
import math
from functools import partial

import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.aggregation import aggregate
from imc_helpers.figures.names import source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.tissue_images import draw_windows, stretch
from imc_helpers.data.manifest import load_edition, published_table
from imc_helpers.patching import count_windows, covered_share, windows
from imc_helpers.data.paths import results_dir
from imc_helpers.data.readers.published import open_cohort

keys = load_edition(edition).cohorts
cohorts = {key: open_cohort(key) for key in keys}
sizes = pd.DataFrame(
    {"cohort": key, "sample": sample, "height_px": shape[0], "width_px": shape[1]}
    for key, cohort in cohorts.items()
    for sample in cohort.ids
    for shape in [cohort.shape(sample)]
)
grid = {"size": window_px, "stride": stride_px}
shapes = list(zip(sizes["height_px"], sizes["width_px"], strict=True))
sizes["patches"] = [len(windows(shape, **grid)) for shape in shapes]
sizes["scored_share"] = [covered_share(shape, border=border_px, **grid) for shape in shapes]
sizes.to_csv(results_dir(edition, "patches") / "samples.csv", index=False)
inner = window_px - 2 * border_px
answer(
    f"The middle {inner} x {inner} px of a window of {window_px} x {window_px} px. The next window starts only {stride_px} px "
    f"further on, so the scored parts of neighbours overlap by {max(0, inner - stride_px)} px: **patches are not "
    f"independent**, and a pixel can be scored up to {math.ceil(inner / stride_px) ** 2} times."
    if inner > stride_px
    else f"The middle {inner} x {inner} px of a window of {window_px} x {window_px} px. The next window starts {stride_px} px "
    "further on, so no pixel is scored twice; neighbours still come from the same tissue."
)

# %% tags=["hide-input"]
largest = sizes.loc[sizes["patches"].idxmax()]
if largest["patches"]:
    cohort = cohorts[largest["cohort"]]
    image = cohort.read_image(largest["sample"])
    placed = windows((largest["height_px"], largest["width_px"]), **grid)
    across = len({window.x for window in placed})
    show(
        partial(
            draw_windows,
            stretch(aggregate(image, cohort.panel.compartment("nucleus"))),
            placed,
            border_px=border_px,
            highlight=sorted({0, 1 % len(placed), len(placed) - 1}),
        ),
        label="fig-windows",
        caption=f"The {len(placed)} windows of an image of {largest['height_px']} x {largest['width_px']} px, "
        f"{across} per row (white outlines). Up to three are coloured, and the part of them that is scored is filled in. "
        f"{source_note([largest['cohort']])}",
        alt="A grid of overlapping square windows over an image. Three are highlighted, with a filled "
        "square inside each that leaves a border.",
    )
else:
    display(
        Markdown(
            f"*No image of this edition is {window_px} px wide and high: there is no window to draw.*"
        )
    )

# %% [markdown]
# Models behave differently on large and on small images. The study therefore runs everything twice: on
# whole images, and on windows of 256 x 256 pixels that overlap by half. A border of 28 pixels is
# ignored on each side, which leaves 200 x 200 pixels to score ({cite:t}`schuiki2025`, section 3.1.4).

# %% [markdown]
# ## How many patches an image has
#
# Windows start at the top left, and only full windows count. An image of $H$ x $W$ px therefore has
#
# $$
# n = \left(\left\lfloor \frac{H - 256}{128} \right\rfloor + 1\right)
#     \left(\left\lfloor \frac{W - 256}{128} \right\rfloor + 1\right),
# $$
#
# patches, and none if a side is shorter than 256 px. What lies beyond the last full window is not scored.

# %% tags=["hide-input"]
per_cohort = sizes.groupby("cohort", sort=False).agg(
    samples=("sample", "size"),
    without=("patches", lambda patches: int((patches == 0).sum())),
    patches=("patches", "sum"),
    scored=("scored_share", "mean"),
)
show_table(
    per_cohort.reset_index().rename(
        columns={"without": "samples without patches", "scored": "mean share of px that is scored"}
    ),
    label="tab-patches",
    caption=f"Patches of this edition's cohorts, measured. {source_note(keys)}",
    decimals=2,
)

# %% [markdown]
# ## Measured beside published
#
# The study does not state its rule, so we try two rules on the image sizes in its Table 1. *Full windows* is the
# rule above. *Covering windows* adds windows at the right and at the bottom so that no pixel is
# left out. Only mean sizes are published, so the counts are estimates where image sizes vary.

# %% tags=["hide-input"]
published = published_table("schuiki25_table1")
usable = published["samples"] - published["samples_without_patches"]


def covering(side: float) -> int:
    return int(np.ceil((side - window_px) / stride_px)) + 1


rules = pd.DataFrame(
    {
        "cohort": published["cohort"],
        "published": published["patches"],
        "full windows": [
            n * count_windows(h, w, **grid)
            for n, h, w in zip(usable, published["height_px"], published["width_px"], strict=True)
        ],
        "covering windows": [
            n * covering(h) * covering(w)
            for n, h, w in zip(usable, published["height_px"], published["width_px"], strict=True)
        ],
    }
)
rules.to_csv(results_dir(edition, "patches") / "rules.csv", index=False)
show_table(
    rules,
    label="tab-rules",
    caption=f"Number of patches as published ({published['source'][0]}), and as each rule predicts it for images of the "
    "published mean size.",
)

# %% tags=["hide-input"]
in_house = rules.set_index("cohort").loc["schuiki25"]
off = (
    (rules.set_index("cohort").drop(columns="published"))
    .sub(rules.set_index("cohort")["published"], axis=0)
    .abs()
)
closer = int((off["full windows"] < off["covering windows"]).sum())
display(
    Markdown(
        f"We use full windows, which come closer to the published count in {closer} of {len(rules)} cohorts. If every "
        f"in-house image has the published mean size, 1000 x 1000 px, full windows give {in_house['full windows']} patches and "
        f"covering windows {in_house['covering windows']}; the study reports {in_house['published']}. Exact counts for the other "
        "four cohorts would require the size of every image, which only the published images themselves can give."
    )
)

# %% [markdown]
# ## What this does not show
#
# - How certain a score is. Patches of one image share pixels and cells, so a test that treats them as independent
#   claims too much.
# - That the rule is the study's. It could be checked exactly for the in-house cohort only.
# - The amount of tissue. A patch is measured in pixels, so with smaller pixels it shows less tissue.

# %% tags=["remove-cell"]
assert count_windows(1000, 1000) == 36
assert in_house["full windows"] == in_house["published"] == 360
assert in_house["covering windows"] != in_house["published"]
assert closer == len(rules)
assert ((sizes["patches"] == 0) == (sizes[["height_px", "width_px"]].min(axis=1) < window_px)).all()
assert sizes["scored_share"].between(0, 1).all()

# %% [markdown]
# ## Takeaways
#
# - A patch score is a score of 200 x 200 px, cut from a window of 256 x 256 px.
# - Images with a side under 256 px have no patches, and in patch mode part of every image is never scored.
# - Neighbouring patches overlap, so each partly repeats what the others show.
#
# Next: [](04_metrics).
