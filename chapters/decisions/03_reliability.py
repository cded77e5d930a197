# ---
# jupyter:
#   imc_book:
#     reads:
#     - scores
#   jupytext:
#     notebook_metadata_filter: imc_book
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
# ---

# %% [markdown]
# # Causes of disagreement
#
# **Is it the tissue, the person or the cells?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
metric: str = "ap50"  # score whose variance is taken apart: ap50, map or sap
alpha: float = 0.025  # error beyond either end of an interval
most_images: int = 20  # images that are looked at, evenly spread over a cohort
strict: bool = False  # match cells when IoU > t; when False, when IoU >= t

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

import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.agreement.score_table import read_scores
from imc_helpers.agreement.summaries import against
from imc_helpers.data.manifest import cohort_record, load_edition
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.raters import TRUTH, noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread
from imc_helpers.decisions.disagreement import KINDS, pairwise_disagreement, profiles
from imc_helpers.decisions.distances import cohort_distances
from imc_helpers.decisions.generalizability import (
    COMPONENTS,
    PLACES,
    components,
    dependability,
    patch_components,
    places,
)
from imc_helpers.errors import InputError
from imc_helpers.figures.decision_plots import personal_rows, share_bars
from imc_helpers.figures.names import cohort_name, counted, rater_name, source_note
from imc_helpers.figures.page import (
    BLUE,
    GOLD,
    GREEN,
    PURPLE,
    SKY,
    VERMILION,
    answer,
    show,
    show_table,
)
from imc_helpers.patching import windows_apart

record = load_edition(edition)
everything = {key: open_cohort(key) for key in record.cohorts}
chosen = {key: evenly_spread(c.ids, most_images) for key, c in everything.items()}
measured = {
    key: pairwise_disagreement(cohort, cohort.references, chosen[key])
    for key, cohort in everything.items()
}
measured = {key: pairs for key, pairs in measured.items() if len(pairs)}
cohorts = {key: everything[key] for key in measured}
whose = {key: noun(r for r in c.raters if r.name in c.references) for key, c in cohorts.items()}
data = source_note(cohorts)
who = pd.concat(
    [profiles(pairs, alpha=alpha).assign(cohort=key) for key, pairs in measured.items()]
    or [pd.DataFrame(columns=["cohort", "rater", "personal"])],
    ignore_index=True,
)
who.to_csv(results_dir(edition, "decisions") / "profiles.csv", index=False)

every_score = read_scores(edition, strict=strict)
scores = every_score[every_score["mode"] == "whole"]
taken, why_not, without_one = {}, {}, {}
for key, cohort in cohorts.items():
    judged = against(scores, {key: cohort.references}, record.models)
    judged = judged[judged["sample"].isin(chosen[key])]
    try:
        taken[key] = components(judged, metric)
    except InputError as error:
        why_not[key] = str(error)
        continue
    n_annotators, n_images = taken[key].levels[1:]
    if n_annotators > 2:
        without_one[key] = [
            dependability(
                components(judged[judged["rater_true"] != one], metric),
                annotators=n_annotators,
                images=n_images,
            )
            for one in cohort.references
        ]

sentences = []
for key, pairs in measured.items():
    amounts = pairs[list(KINDS)].sum()
    share = amounts / amounts.sum() if amounts.sum() > 0 else amounts
    n = pairs["sample"].nunique()
    most = {
        "detection": "whether there is a cell",
        "boundary": "where its border runs",
        "partition": "which pieces belong together",
    }
    text = (
        f"In {cohort_name(key)}, what the {whose[key]} disagree about most is {most[str(share.idxmax())]} ({share.max():.0%} of their "
        f"disagreement over {counted(n, 'image')}). "
        if amounts.sum() > 0
        else f"In {cohort_name(key)} the {whose[key]} do not disagree about any cell. "
    )
    own = who[(who["cohort"] == key) & who["low"].notna()].sort_values("personal")
    if len(own):
        last, rest = own.iloc[-1], own.iloc[:-1]
        apart = last["low"] > rest["high"].max()
        text += (
            f"**{rater_name(last['rater'])}** surely has the largest error of its own."
            if apart
            else "None of them surely has the largest error of its own."
        )
    if key in taken:
        n_annotators, n_images = taken[key].levels[1:]
        full, alone = (
            dependability(taken[key], annotators=k, images=n_images) for k in (n_annotators, 1)
        )
        rough = (
            f"{min(without_one[key]):.0%} to {max(without_one[key]):.0%} if one of them is left out"
            if key in without_one
            else "a rough estimate, with so few of them"
        )
        text += (
            f" If {n_annotators} {whose[key]} judge models, {full:.0%} of the variance of the models' mean scores is due to the "
            f"models themselves ({rough}); if only one judges, {alone:.0%}."
        )
    sentences.append(text)
nobody = (
    "This edition cannot tell: no cohort has masks by two raters for the same image, so there is no disagreement to "
    "analyse. It takes a second person on some of the images."
)
answer("\n\n".join(sentences) or nobody)

# %% tags=["hide-input"]
OF_KIND = dict(zip(KINDS, (VERMILION, GOLD, SKY), strict=True))
if measured:
    bars = {}
    for key in measured:
        own = who[who["cohort"] == key].set_index("rater")[list(KINDS)]
        bars[cohort_name(key)] = own.rename(index=rater_name)
    show(
        partial(share_bars, bars, OF_KIND),
        label="fig-kinds-of-disagreement",
        caption="What each rater and the others disagree about: *detection*, a cell that one drew and the other did not; "
        "*boundary*, the same cell with different borders; *partition*, one cell where the other drew several. "
        f"Shares of the disagreement, counted in cells. {data}",
        alt="One bar per rater, divided into the shares of detection, boundary and partition.",
    )
else:
    display(Markdown("*No image has two masks, so there is no disagreement to draw.*"))

# %% [markdown]
# The three call for different remedies. Better contrast and more patience help against missed cells, an agreed rule (where does
# the membrane end?) against different borders, and a second look at the membrane channels against cells that are split or
# merged. A score mixes the three: it counts a split cell as three errors, and a generous border often as none.

# %% tags=["hide-input"]
if measured:
    by_image = pd.concat(
        [
            pairs.groupby("sample")[list(KINDS)].sum().assign(cohort=key)
            for key, pairs in measured.items()
        ]
    )
    shares = by_image[list(KINDS)].div(by_image[list(KINDS)].sum(axis=1), axis=0)
    ranges = shares.groupby(by_image["cohort"], sort=False).agg(["min", "max"])
    listed = pd.DataFrame(
        {
            kind: [
                f"{low:.0%}" if low == high else f"{low:.0%} to {high:.0%}"
                for low, high in ranges[kind].to_numpy()
            ]
            for kind in KINDS
        }
    )
    listed.insert(0, "cohort", list(ranges.index))
    listed.insert(1, "images", by_image.groupby("cohort", sort=False).size().to_numpy())
    show_table(
        listed,
        label="tab-kinds-of-images",
        caption=f"The same shares on single images, from the lowest to the highest, over all pairs. {data}",
    )

# %% [markdown]
# ## Whose is it?
#
# The distance between two people is the sum of their own errors, if they err independently. With three or more people one can
# solve for the error of each: the three-cornered hat {cite:p}`gray1974`. Errors that all of them share do not appear in it.

# %% tags=["hide-input"]
several = who[who["personal"].notna()]
if len(several):
    show(
        partial(personal_rows, several),
        label="fig-personal-errors",
        caption="How much of the distances between raters is each one's own, with intervals over images of all together. "
        f"Grey: the mean distance to the others. {data}",
        alt="A row for each rater: a dot for the own error, a line for its interval, and a grey stroke for the mean "
        "distance to the others.",
    )
else:
    display(
        Markdown(
            "*With only two raters, nobody can say to whom the difference is due. It takes a third, and images that each two of "
            "them annotated.*"
        )
    )

# %% tags=["hide-input"]
if len(who):
    known = {}
    for key in (key for key in cohorts if cohort_record(key).synthetic):
        true = cohort_distances(cohorts[key], samples=chosen[key])
        of_truth = true[true["rater_true"] == TRUTH].groupby("rater_pred")["distance"].mean()
        known |= {(key, rater): value for rater, value in of_truth.items()}
    listed = who.assign(
        interval=[
            "–" if pd.isna(low) else f"{low:.3f} to {high:.3f}"
            for low, high in zip(who["low"], who["high"], strict=True)
        ]
    )
    columns = [
        "cohort",
        "rater",
        "images",
        "cells",
        "area_ratio",
        "distance",
        "personal",
        "interval",
    ]
    listed = listed[columns].rename(
        columns={"area_ratio": "area, of others'", "personal": "own error"}
    )
    if len(known):
        listed["distance from the truth"] = [
            known.get(pair, float("nan")) for pair in zip(who["cohort"], who["rater"], strict=True)
        ]
    show_table(
        listed,
        label="tab-profiles",
        caption="Profiles: cells per image; area of cells over the others', of cells that both drew one to one; mean "
        "distance to the others; own error with its interval."
        + (
            " On the phantom also the distance from the truth, which holds what all share as well."
            if len(known)
            else ""
        )
        + f" {data}",
    )

# %% [markdown]
# ## What makes a model's score?
#
# Every model is scored against every rater on every image. The variance of these scores can therefore be divided into the part
# due to the model, the part due to who judges, and the part due to the image {cite:p}`brennan2001`. A score is only as informative
# as the model's share of it, the {term}`dependability`, which grows with the number of people and images.

# %% tags=["hide-input"]
OF_COMPONENT = dict(
    zip(COMPONENTS, (BLUE, GOLD, GREEN, VERMILION, SKY, PURPLE, "#bbbbbb"), strict=True)
)
if taken:
    rows = {
        cohort_name(key): one.table.set_index("component")["share"] for key, one in taken.items()
    }
    show(
        partial(share_bars, {"": pd.DataFrame(rows).T}, OF_COMPONENT),
        label="fig-components",
        caption=f"Variance of single {metric} scores on whole images, taken apart. {data}",
        alt="A bar for each cohort, divided into the shares of model, annotator, image and their combinations.",
    )

# %% tags=["hide-input"]
for key, why in why_not.items():
    display(Markdown(f"*Not identifiable in {cohort_name(key)}: {why}.*"))

# %% tags=["hide-input"]
if taken:
    listed = pd.concat(
        one.table.assign(cohort=key, method=one.method).drop(columns="variance")
        for key, one in taken.items()
    )
    show_table(
        listed[["cohort", "component", "estimate", "share", "method"]],
        label="tab-components",
        caption="The components as they came out; a negative one is a component near 0, and counts as 0 in the shares. "
        f"{data}",
        decimals=5,
    )
    plan = pd.DataFrame(
        {
            "cohort": key,
            "annotators": a,
            **{f"{i} images": dependability(one, annotators=a, images=i) for i in (1, 4, 16)},
        }
        for key, one in taken.items()
        for a in (1, 2, 4, 8)
    )
    show_table(
        plan,
        label="tab-dependability",
        caption="Dependability: the model's share of the variance of a mean score, by the number of annotators and images "
        f"that a study would have. {data}",
        decimals=2,
    )

# %% [markdown]
# ### Within images, or between them?
#
# Would other patches of the same images have done, or does it take other images? Scores in patches answer that: patches lie
# in images, and those whose scored squares do not overlap are taken. What differs from patch to patch of one image more
# patches average out; what differs from image to image only more images do.

# %% tags=["hide-input"]
patch_scores = every_score[every_score["mode"] == "patch"]
in_patches, why_no_patches, lies, left_out = {}, {}, {}, {}
for key, cohort in cohorts.items():
    judged = against(patch_scores, {key: cohort.references}, record.models)
    apart = {sample: windows_apart(cohort.shape(sample)) for sample in chosen[key]}
    try:
        in_patches[key] = patch_components(judged, metric, apart)
    except InputError as error:
        why_no_patches[key] = str(error)
        continue
    lies[cohort_name(key)] = places(in_patches[key])
    if in_patches[key].levels[2] > 2:
        others = [{s: k for s, k in apart.items() if s != one} for one in apart]
        left_out[key] = [places(patch_components(judged, metric, k)) for k in others]
if lies:
    show(
        partial(
            share_bars,
            {"": pd.DataFrame(lies).T},
            dict(zip(PLACES, (BLUE, GOLD, GREEN, SKY), strict=True)),
        ),
        label="fig-within-images",
        caption=f"Variance of single {metric} scores in patches that do not overlap: the model; who judges it, alone or with the "
        "model; what differs between images, alone or with model and annotator; and what differs between the patches of one "
        f"image. {data}",
        alt="A bar for each cohort, divided into the shares of the model, of who judges it, between images and within them.",
    )
else:
    display(Markdown("*There is nothing to draw.*"))

# %% tags=["hide-input"]
lines = []
for key, one in in_patches.items():
    share = places(one)
    text = (
        f"**{cohort_name(key)}**: of the variance of single {metric} scores ({one.levels[3]} patches of {one.levels[2]} images) "
        f"{share['between images']:.0%} lies between images and {share['within images']:.0%} within them"
    )
    found = [one_less["between images"] for one_less in left_out.get(key, ())]
    lines.append(
        text
        + f"; without one of the images, {min(found):.0%} to {max(found):.0%} lies between them."
        if found
        else text + ", which two images tell only roughly."
    )
lines += [
    f"*Not identifiable in {cohort_name(key)}: {why}.*" for key, why in why_no_patches.items()
]
if not cohorts:
    lines = ["*Not identifiable: nobody's masks can be compared.*"]
display(Markdown("\n\n".join(lines)))
if in_patches:
    show_table(
        pd.concat(one.table.assign(cohort=key) for key, one in in_patches.items())[
            ["cohort", "component", "estimate", "share"]
        ],
        label="tab-patch-components",
        caption=f"All eleven components of scores in patches, as they came out. {data}",
        decimals=5,
    )

# %% [markdown]
# :::{dropdown} How it is computed
# **Kinds.** Cell $i$ of one mask disagrees by $1-\sum_j |a_i\cap b_j|^2/(|a_i||b_j|)$, between 0 and 1; its kind is that
# of {cite:t}`xiao2021`. Summed over the cells of both masks and divided by twice the mean number of cells, that is
# $\delta$, a squared Euclidean distance, between vectors with the entry $1/|a_i|$ for each pair of pixels of one cell.
#
# **Own errors.** $D_{ab}$ is the mean of $\delta$ over images, $r_a=\sum_b D_{ab}$, and
# $\sigma^2_a=\big(r_a-\tfrac{\sum r}{2(N-1)}\big)/(N-2)$; where not every pair met, the least-squares solution of
# $D_{ab}=\sigma^2_a+\sigma^2_b$. Intervals leave out one image at a time.
#
# **Components.** A random-effects analysis of variance with three crossed facets; where not everybody drew every image,
# restricted maximum likelihood {cite:p}`patterson1971`. With $n_a$ annotators and $n_i$ images
#
# $$\Phi=\frac{\sigma^2_m}{\sigma^2_m+\frac{\sigma^2_a+\sigma^2_{ma}}{n_a}+\frac{\sigma^2_i+\sigma^2_{mi}}{n_i}
# +\frac{\sigma^2_{ai}+\sigma^2_e}{n_a n_i}} .$$
#
# **Patches** lie within images and are crossed with models and annotators, so that eleven components come apart. The mean
# score of a patch, its contrasts between models, between annotators, and of both are four separate analyses of patches
# within images, each unbiased with unequal numbers of patches as well {cite:p}`searle1992`; an image then counts by its
# patches. Of patches, those are taken that every model and every annotator outlined, and that are empty in no pair of
# masks.
# :::

# %% [markdown]
# ## Is that right where it is known?

# %% tags=["hide-input"]
simulated = pd.read_csv(shipped("benchmarks/results") / "decisions_personal.csv")
show_table(
    simulated,
    label="tab-personal-check",
    caption="Groups of four simulated annotators: how often the one with the largest own error is the one who is furthest "
    "from the middle of a crowd of 32, and how far own errors are from that distance, on average. Written by "
    "`benchmarks/decisions.py`. Synthetic.",
)
biased = pd.read_csv(shipped("benchmarks/results") / "decisions_components.csv")
show_table(
    biased,
    label="tab-components-check",
    caption="Variance components of simulated studies with planted ones: their means over all studies, and how far "
    "single studies stray from them. Written by `benchmarks/decisions.py`.",
    decimals=4,
)
nested = pd.read_csv(shipped("benchmarks/results") / "decisions_patches.csv")
show_table(
    nested,
    label="tab-patches-check",
    caption="The same for scores in patches, with as many patches in each image and with one to eight. Written by "
    "`benchmarks/decisions.py`.",
    decimals=4,
)

# %% [markdown]
# ## What this does not show
#
# - Who is right. An own error is a distance from the others, less theirs; whoever alone sees the dim cells stands apart too.
# - What all share. A cell that everybody misses is in no distance.
# - Other images and other models. Components are those of the models, people and images at hand, and with four of each
#   they are themselves uncertain ({numref}`tab-components-check`). Images of one recipe are more alike than those of a clinic.

# %% tags=["remove-cell"]
for pairs in measured.values():
    assert pairs["distance"].ge(0).all()
    assert (pairs[list(KINDS)] >= 0).all(axis=None)
for one in [*taken.values(), *in_patches.values()]:
    assert abs(one.table["share"].sum() - 1) < 1e-9
for one in taken.values():
    n_annotators = one.levels[1]
    assert (
        dependability(one, annotators=1, images=1)
        <= dependability(one, annotators=n_annotators, images=4) + 1e-12
    )

# %% [markdown]
# ## Takeaways
#
# - Before you ask who is right, look at what people disagree about: cells, borders and pieces have different remedies.
# - A second annotator is worth more than more images as long as *who judges* is the larger part of the variance.
# - Name whoever stands apart only with an interval, and then look at their masks: they may be the one who saw more.
