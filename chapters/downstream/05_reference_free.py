# ---
# jupyter:
#   imc_book:
#     reads:
#     - planted
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
# # Scores without a reference
#
# **Can a mask be judged by its cells alone, with no annotator?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort; when empty, the first with a known truth, or else with several masks
truth_score: str = "map"  # score against the truth: ap50, map or sap
crop_px: int = 256  # edge of the piece of each image that is scored, pixels; 0 is all of it
most_images: int = 4  # images that are scored, evenly spread over the cohort
flavour: str = "igraph"  # implementation of Leiden: igraph or leidenalg
seed: int = 0  # of clusters, of the map, and of cells drawn for equal numbers
most_cells: int = 300  # cells of each mask on the map

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

from imc_helpers.cells.expression import mean_intensities
from imc_helpers.data.manifest import load_edition, published_table
from imc_helpers.data.paths import results_dir
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread
from imc_helpers.downstream.cell_quality import QUALITY_METRICS
from imc_helpers.downstream.mask_errors import ERROR_RATES
from imc_helpers.downstream.reference_free import (
    CLUSTER_SCORES,
    RESOLUTIONS,
    LeidenSettings,
    embedded,
    paired_wilcoxon,
)
from imc_helpers.experiments.without_truth import (
    AS_FOUND,
    EQUAL,
    FLAWS,
    SCORES,
    changes_by_flaw,
    choose_cohort,
    masks_of,
    mean_ranks,
    preferred_masks,
    rank_correlations,
    score_masks_alone,
)
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.reference_free_plots import (
    SCORE_NAMES,
    flaw_curves,
    map_of_cells,
    rank_rows,
    score_rows,
)

record = load_edition(edition)
key = cohort or choose_cohort((*record.planted, *record.cohorts), record.models)
settings = LeidenSettings(flavour=flavour, seed=seed)
parts, means = [], {}
if key:
    shown = open_cohort(key)
    looked_at = evenly_spread(shown.ids, most_images)
    for sample in looked_at:
        image, masks, nuclei, tissue = masks_of(shown, sample, record.models, crop_px)
        if len(masks) < 2:
            continue
        um_per_px = shown.um_per_px(sample)
        found = score_masks_alone(
            image, masks, nuclei, um_per_px, foreground=tissue, settings=settings, seed=seed
        )
        parts.append(found.assign(sample=sample))
        means[sample] = {
            one.name: mean_intensities(image, one.labels)[1]
            for one in masks
            if one.kind not in FLAWS
        }
scores = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
known = bool(parts) and (scores["kind"] == TRUTH).any()
rankable = False
if parts:
    data = source_note([key])
    folder = results_dir(edition, "downstream")
    scores.drop(columns="clusters").to_csv(folder / "reference_free.csv", index=False)
    found = scores[(scores["numbers"] == AS_FOUND) & ~scores["kind"].isin(FLAWS)]
    n_images = scores["sample"].nunique()
if known:
    ranks = rank_correlations(scores, truth_score)
    ranks.to_csv(folder / "reference_free_ranks.csv", index=False)
    correlations = mean_ranks(ranks)
    plain = correlations[correlations["numbers"] == AS_FOUND].set_index("score")
    rankable = len(plain) > 0
    above = ranks[ranks["numbers"] == AS_FOUND].groupby("score")[["above", "others"]].sum()
    above = above["above"] / above["others"]
if rankable:
    best, worst = plain.index[0], above[plain.index].idxmax()
    sure = plain.index[plain["low"] > 0]
    three = plain.reindex(list(CLUSTER_SCORES))["mean"].dropna()
    of_three = (
        f"; those of the three usual cluster scores are {three.min():.2f} to {three.max():.2f}"
        if len(three)
        else "; the three usual cluster scores cannot be computed, because all cells fall into one cluster"
    )
    others = found[found["kind"] != TRUTH]
    preferred = preferred_masks(others)
    by_truth = others.groupby("mask")[truth_score].mean().rank(ascending=False)
    choices = "; ".join(
        f"{SCORE_NAMES[score]} prefers {rater_name(mask)}, which ranks "
        f"{int(by_truth[mask])} of {len(by_truth)} by the truth"
        for score, mask in preferred.items()
    )
    choices = f"Of the masks of annotators and models, {choices}. " if choices else ""
    text = (
        f"{'Only in part' if len(sure) else 'No'}: **do not choose a mask by such a score alone.** On synthetic tissue, where the truth is "
        f"known, {len(sure) or 'none'} of {len(plain)} scores surely rank{'s' * (len(sure) < 2)} masks in the truth's direction "
        f"(95% interval of the rank correlation over {n_images} images above 0, each by itself). The highest correlation, that of *{SCORE_NAMES[best].lower()}*, is "
        f"{plain.loc[best, 'mean']:.2f}{of_three}. {choices}*{SCORE_NAMES[worst]}* puts {above[worst]:.0%} of all other masks above the truth."
        if n_images > 1
        else f"On one synthetic image the best of {len(plain)} scores, *{SCORE_NAMES[best].lower()}*, ranks masks with a correlation of "
        f"{plain.loc[best, 'mean']:.2f} with the truth's ranking. One image gives no interval, so whether that holds elsewhere cannot be said."
    )
elif known:
    text = "Not with so few cells: no score ranks these masks in most of the images."
elif parts:
    listed = ", ".join(
        f"{rater_name(mask)} by {SCORE_NAMES[score]}"
        for score, mask in preferred_masks(found).items()
    )
    text = (
        f"Not here: nobody knows the truth of {cohort_name(key)}, so what these scores prefer ({listed or 'nothing: no two masks have a score in every image'}) "
        "may be right or wrong. On synthetic tissue, where it is known, they often prefer a wrong mask; the demo edition shows how often."
    )
    if one_cluster := found["silhouette"].isna().mean():
        text += f" For {one_cluster:.0%} of the masks and images there is no score, since all cells fall into one cluster."
else:
    text = "No image of this edition has two masks, so there is nothing to choose between."
answer(text)

# %% tags=["hide-input"]
if rankable:
    show(
        partial(rank_rows, correlations),
        label="fig-reference-free-ranks",
        caption=f"Spearman's correlation between the ranks that a score gives to {ranks['others'].max() + 1} masks of an image and their ranks by "
        f"{truth_score} with the truth; mean over {n_images} images, lines: 95% interval. Scores that are the same for all masks are left out. {data}",
        alt="A row for each score that needs no reference, with its rank correlation with the truth, once with all cells of each "
        "mask and once with as many cells of each.",
    )
elif parts:
    show(
        partial(score_rows, found, list(CLUSTER_SCORES)),
        label="fig-reference-free-ranks",
        caption=f"Three scores of clusters for each mask; dots are images, bars means; a mask with fewer dots has no score in the other images. Less is better in Davies–Bouldin, more in the others. {data}",
        alt="A row for each mask and a panel for each score.",
    )
else:
    display(Markdown("*No image here has two masks, so there is nothing to draw.*"))

# %% [markdown]
# A cell cut wrongly is a mixture, and mixtures blur clusters. So {cite:t}`goldsborough2025` (section 6.3) compares
# masks without any annotation: mean counts of cells are z-scored and clustered by Leiden at three resolutions, and three scores of
# the clusters are averaged. {cite:t}`chen2023cse` have fourteen metrics of the same kind. On a phantom such scores can be judged
# themselves, by masks whose errors are known: of simulated annotators and models, and the truth eroded, dilated, merged, dropped and
# shifted. Because several of these scores change with the number of cells, all are given twice, the second time with as many cells of each mask.

# %% [markdown]
# ## Annotators and models alone
#
# A lab has to choose between masks like these, not between a mask and its ruin.

# %% tags=["hide-input"]
real = scores[~scores["kind"].isin(FLAWS)] if known else pd.DataFrame()
if rankable and real["mask"].nunique() > 3:
    lab = mean_ranks(rank_correlations(real[real["kind"] != TRUTH], truth_score))
    both = plain[["mean"]].join(
        lab[lab["numbers"] == AS_FOUND].set_index("score")[["mean", "low", "high"]], rsuffix="_lab"
    )
    equal = lab[lab["numbers"] == EQUAL].set_index("score")["mean"].rename("equal")
    both = both.join(equal).assign(above=above)
    table = both.reset_index().replace({"score": SCORE_NAMES})
    show_table(
        table.rename(
            columns={
                "mean": "all masks",
                "mean_lab": "annotators and models",
                "low": "from",
                "high": "to",
                "equal": "with equal numbers",
                "above": "share of masks above the truth",
            }
        ),
        label="tab-reference-free-lab",
        caption=f"Rank correlation with {truth_score} against the truth, with its 95% interval over images for annotators and models alone (and once more with as many cells of each mask), and "
        f"how many of the other masks a score puts above the truth. {data}",
        decimals=2,
    )
else:
    display(Markdown("*This takes a truth and three other masks of an image.*"))

# %% [markdown]
# ## How scores answer to a flaw

# %% tags=["hide-input"]
if rankable:
    curves = [truth_score, *CLUSTER_SCORES, best]
    curves = list(dict.fromkeys(curves))
    changes = changes_by_flaw(scores, curves)
    show(
        partial(flaw_curves, changes, curves),
        label="fig-reference-free-flaws",
        caption="What more and more of a flaw does to scores, as the change from the true mask in standard deviations over all masks of the image; up is "
        f"better. *Shifted* is a sweep of registration: the true mask, moved against its image. Mean over {n_images} images. {data}",
        alt="A panel for each flaw. The score against the truth falls in all of them; some scores without a reference rise.",
    )
else:
    display(Markdown("*Flaws of known size take a known truth.*"))

# %% tags=["hide-input"]
if rankable:
    worse = changes[(changes["amount"] > 0)]
    praised = {
        score: [flaw for flaw in FLAWS if (worse.loc[worse["kind"] == flaw, score] > 0).all()]
        for score in CLUSTER_SCORES
    }
    lines = [
        f"{SCORE_NAMES[score]} rates a mask *higher* than the truth at every amount of: {', '.join(flaws)}."
        for score, flaws in praised.items()
        if flaws
    ]
    display(Markdown(" ".join(lines)))

# %% [markdown]
# {cite:t}`bruhns2025` move, turn and stretch single cells at random, and find that clusters and types change with it. The flaws here
# are other ones, and the annotators' masks are what people, if simulated ones, make of an image.

# %% [markdown]
# ## What the masks do to the counts

# %% tags=["hide-input"]
if known:
    rates = real[real["numbers"] == AS_FOUND].groupby("mask", sort=False)[
        ["cells", truth_score, *ERROR_RATES]
    ]
    rates = rates.mean().reset_index()
    rates.to_csv(folder / "mask_errors.csv", index=False)
    rates["mask"] = rates["mask"].map(rater_name)
    show_table(
        rates.rename(
            columns={
                "split_neighbours": "touching pairs that are one cell",
                "foreign": "pixels of other cells",
                "background": "pixels of no cell",
            }
        ),
        label="tab-mask-errors",
        caption="*Doublets*: share of the cells that hold at least half of two true cells. *Touching pairs that are one cell*: of all "
        f"neighbours, those that are two pieces of one; they look like two cells of a type that seek each other. Means over images. {data}",
    )
else:
    display(Markdown("*Doublets and pieces can be counted only where the truth is known.*"))

# %% [markdown]
# ## Measured beside published
#
# The thesis finds InstanSeg's masks best in all three scores of clusters, before Mesmer's and Cellpose-SAM's, by paired Wilcoxon tests over
# the images of NaroNet. The same tests between the masks here:

# %% tags=["hide-input"]
tests = []
if parts and n_images > 1:
    others = found[found["kind"] != TRUTH]
    for score, better in CLUSTER_SCORES.items():
        wide = others.pivot(index="sample", columns="mask", values=score).dropna(axis=1)
        if wide.shape[1] > 1:
            top = preferred_masks(others)[score]
            compared = paired_wilcoxon(wide, top, better=better)
            compared["mask"] = compared["mask"].map(rater_name)
            tests.append(compared.assign(score=SCORE_NAMES[score], best=rater_name(top)))
if tests:
    show_table(
        pd.concat(tests)[["score", "best", "mask", "images", "difference", "p", "p_holm"]].rename(
            columns={
                "mask": "compared with",
                "p_holm": "p (Holm)",
                "difference": "median difference",
            }
        ),
        label="tab-reference-free-tests",
        caption=f"The mask with the best mean in each score, and one-sided Wilcoxon tests against the others, image by image. With {n_images} images no p "
        f"can be below {0.5**n_images:.3g}; and the best was chosen by looking, so these p are too small. A mask whose cells fall into one cluster in "
        f"some image has no score there, and is left out. {data}",
    )
else:
    display(
        Markdown(
            "*Tests over images take two images or more, and two masks with a score in each: where all cells fall into one cluster there is none.*"
        )
    )

# %% tags=["hide-input"]
published = published_table("goldsborough25_figure6_3")
if parts:
    counted = found.groupby("mask", sort=False)["clusters"].agg(list)
    table = pd.DataFrame(
        {
            "resolution": r,
            "mask": mask,
            "clusters": np.mean([one[r] for one in clusters]),
        }
        for mask, clusters in counted.items()
        for r in RESOLUTIONS
    ).pivot(index="mask", columns="resolution", values="clusters")
    table = table.loc[counted.index].rename(index=rater_name).reset_index()
    theirs = dict(zip(published["resolution"], published["clusters"], strict=True))
    table = pd.concat(
        [table, pd.DataFrame([{"mask": "published, one image of NaroNet", **theirs}])],
        ignore_index=True,
    )
    show_table(
        table.rename(columns={r: f"at {r:.2f}" for r in RESOLUTIONS}),
        label="tab-leiden-clusters",
        caption=f"Clusters that Leiden finds at three resolutions, mean over images. Published: {published['source'].iloc[0]}, one image segmented with InstanSeg. "
        f"Here: Scanpy, flavour {settings.flavour}, {settings.iterations} iterations, {settings.neighbours} neighbours, seed {settings.seed}. {data}",
        decimals=1,
    )

# %% tags=["hide-input"]
if parts:
    sample = next(iter(means))
    rng = np.random.default_rng(seed)
    drawn = {
        name: rows[np.sort(rng.permutation(len(rows))[:most_cells])]
        for name, rows in means[sample].items()
        if len(rows)
    }
    whose = np.repeat(list(drawn), [len(rows) for rows in drawn.values()])
    places = embedded(np.concatenate(list(drawn.values())), settings)
    panels = list(drawn)[:8]
    show(
        partial(map_of_cells, places, whose, panels),
        label="fig-joint-map",
        caption=f"A joint map (UMAP) of the cells of all masks of one image, by z-scored mean counts: each mask's cells in blue, all in grey. Up to {most_cells} cells of "
        f"each. Grey without blue is a population that a mask misses, or mixtures that others make. {data}",
        alt="A panel for each mask: the same grey cloud of points, with the cells of that mask in blue.",
    )

# %% [markdown]
# :::{dropdown} How it is computed
# Mean counts per cell, z-scored over the cells of a mask and image; 15 nearest neighbours, UMAP's weights; Leiden at .05, .10 and .15; scores
# by scikit-learn, averaged over the resolutions that give two clusters or more. The fourteen metrics follow the paper and, where it is
# silent, the authors' program; unlike that, channels are standardised as a whole and not column of pixels by column of pixels, and
# one cluster has no silhouette. Nuclei are found in the nuclear channels in the same way for all masks. Their single quality score weighs
# the metrics by components that were fitted to their own images and methods, and is left out.
# :::

# %% [markdown]
# ## What this does not show
#
# - Real tissue. Cells of the phantom differ in what its types express, and in nothing that nobody thought of.
# - That a score is worthless. One that ranks ruined masks right may still be of use as an alarm.
# - The thesis's own comparison: NaroNet's images and Cellpose-SAM's masks of them are not here.

# %% tags=["remove-cell"]
if parts:
    assert set(SCORES) == {*CLUSTER_SCORES, *QUALITY_METRICS}
    assert len(QUALITY_METRICS) == 14
    assert scores["silhouette"].dropna().between(-1, 1).all()
if known:
    true = scores[(scores["kind"] == TRUTH) & (scores["numbers"] == AS_FOUND)]
    assert (true[truth_score] == 1).all(), "the truth agrees with itself"
    assert (true[list(ERROR_RATES)].fillna(0) == 0).all(axis=None), "and makes no error"
    assert ranks["rho"].dropna().between(-1 - 1e-9, 1 + 1e-9).all()

# %% [markdown]
# ## Takeaways
#
# - A score of clusters can rise while a mask gets worse. See how it answers to each flaw before you trust it.
# - Compare masks with equal numbers of cells, or a score rewards whoever draws more, or fewer.
# - To choose a mask, label a few crops (*What do ten labels buy?*). No score without a reference replaces them.
