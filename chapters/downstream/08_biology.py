# ---
# jupyter:
#   imc_book:
#     reads:
#     - planted
#     - predictions
#     - sweeps/biology
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
# # Another mask, another story?
#
# **Which of a lab's conclusions would have changed with another annotator, and which would not?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
cohort: str = ""  # cohort; empty: a planted one, else the one with most shared images
graph: str = "radius"  # whose edges are contacts: nearest, delaunay, radius or expansion
rule: str = ""  # how cells get types: regression, gates or clusters; empty: what fits
margin: float = 0.1  # relative change of a fraction that would not matter to a lab
most_images: int = 12  # images that are looked at, evenly spread over a cohort
points: int = 5000  # random points per image
group_images: int = 10  # images in each group of the study whose power is computed
spill_images: int = 4  # images of a phantom whose counts are traced to their cells
most_contacts: int = 8  # contacts in the main figure

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

from imc_helpers.data.manifest import cohort_record, load_edition, published_table
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.raters import TRUTH, noun
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.downstream.conclusions import (
    Kind,
    Verdict,
    confounded_studies,
    count_verdicts,
    judge,
    say_verdicts,
    worth_showing,
)
from imc_helpers.downstream.mask_study import (
    ALL,
    MATCHED,
    against_truth,
    contact_table,
    exchange_parts,
    first_to_study,
    graph_table,
    images_of_all,
    in_order,
    pair_table,
    quantity_shares,
    reference_profiles,
    study_masks,
    surely_wrong,
)
from imc_helpers.downstream.profiles import profile_agreement
from imc_helpers.downstream.spill import exclusive_pair, implausible_cells
from imc_helpers.experiments.sweeps import find_sweep
from imc_helpers.figures.biology_plots import conclusion_rows, dot_rows
from imc_helpers.figures.decision_plots import share_bars
from imc_helpers.figures.names import cohort_name, counted, rater_name, sample_name, source_note
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

record = load_edition(edition)
opened = {key: open_cohort(key) for key in ([cohort] if cohort else record.made)}
able = in_order(opened)
key = first_to_study(opened)
looked_at = {one: images_of_all(opened[one], most_images) for one in able}
profiles = {
    one: reference_profiles(opened[one], samples, points=points)
    for one, samples in looked_at.items()
}
data = source_note(able)
folder = results_dir(edition, "downstream")
judged = matched_judged = pd.DataFrame()
groups = None
if key:
    study = study_masks(
        opened[key],
        record.planted.get(key, record.models),
        graph=graph,
        rule=rule,
        most_images=most_images,
    )
    planted = opened[key].read_planted() if opened[key].has_planted else None
    groups = None if planted is None else planted.loc[list(study.samples), "group"].to_dict()
    groups = groups if groups and len(set(groups.values())) == 2 else None
    whose = noun(r for r in opened[key].raters if r.name in study.raters)
    beside = [rater for rater in study.beside if rater == TRUTH]
    judged = judge(study.of(ALL), study.raters, beside=beside, groups=groups, margin=margin)
    matched_judged = judge(study.of(MATCHED), study.raters, groups=groups, margin=margin)
    judged.to_csv(folder / "conclusions.csv", index=False)
    alarms = confounded_studies(
        study.of(ALL),
        study.raters,
        images=group_images,
        groups=groups,
        truth=TRUTH if TRUTH in study.beside else "",
    )
    n = len(study.samples)
    changed = int((judged.drop_duplicates(["kind", "name"])["verdict"] == Verdict.CHANGED).sum())
    lead = (
        "Some conclusions would have changed"
        if changed
        else "No conclusion would surely have changed"
    )
    summary = (
        f"{lead} if another of the {len(study.raters)} {whose} had drawn the cells of {cohort_name(key)} "
        f"({counted(n, 'image')}). {say_verdicts(judged)}"
    )
    if n == 1:
        summary += " One image gives no interval, so it says nothing about other images."
    worst = alarms.loc[alarms["worst"].idxmax()] if alarms["worst"].notna().any() else None
    if worst is not None:
        advice = f" **Do not let different {whose} draw the groups that you compare**: of"
        summary += (
            f"{advice if worst['worst'] > 0.1 else f' With different {whose} for the groups that are compared, of'} studies "
            f"with {group_images} images per group that do not differ, up to {worst['worst']:.0%} would find a difference in "
            f"{worst['name']} (computed from the means and spread of these images; 5% would be expected by chance)."
        )
    if TRUTH in study.beside:
        biased = against_truth(study)
        fractions, contacts = (surely_wrong(biased, k) for k in (Kind.FRACTION, Kind.CONTACT))
        wrong = [
            f"the fraction of {name} ({100 * low - 100:+.0f}% to {100 * high - 100:+.0f}%)"
            for name, low, high in fractions.itertuples()
        ] + [
            f"contacts {name} ({low:.2f} to {high:.2f} times the truth's enrichment)"
            for name, low, high in contacts.itertuples()
        ]
        if wrong:
            summary += (
                f" Agreeing is not the same as being right: compared with the planted truth, all {whose} surely get wrong "
                f"{'; '.join(wrong[:4])}"
                + (f"; and {len(wrong) - 4} more." if len(wrong) > 4 else ".")
            )
else:
    summary = "This edition cannot tell, because no image has masks by two annotators or tools. Have some images drawn twice."
answer(summary)

# %% tags=["hide-input"]
if len(judged):
    shown = worth_showing(judged, most_contacts)
    show(
        partial(conclusion_rows, shown, beside),
        label="fig-biology-conclusions",
        caption=f"What each of the {whose} would have concluded (a dot each, with its 95% interval over images), and what "
        f"becomes of the conclusion when another of them draws the cells. Fractions are the same when masks differ by less "
        f"than {margin:.0%}. Contacts: edges of the graph *{graph}* against chance; the {most_contacts} plainest. {data}",
        alt="Rows for fractions of cell types, for contacts between types and for differences between groups; in each row one "
        "dot with its interval for each mask, coloured by whether the conclusion would have changed.",
    )
else:
    display(Markdown("*There are no two masks to compare.*"))

# %% [markdown]
# A score such as ap50 says how similar two masks are. A lab reports something else: the share of a cell
# type, which types are neighbours, what differs between patients and controls. Each of these is measured here once with
# every mask. A conclusion *would not have changed* if it is surely the same with all masks; it *would have
# changed* if two masks surely differ and lead to different conclusions; and if there are too few images for either, it
# *cannot be told*. Differences between masks are paired by image. Cells are typed by one rule for all masks, learned on other
# images or set beforehand, so that types differ because masks do.

# %% tags=["hide-input"]
if len(judged):
    counts = pd.concat(
        [
            count_verdicts(of).reset_index().assign(cells=cells)
            for cells, of in ((ALL, judged), (MATCHED, matched_judged))
        ]
    )
    show_table(
        counts[["kind", "cells", *[v.value for v in Verdict]]],
        label="tab-biology-verdicts",
        caption=f"Conclusions by what becomes of them, counted on all cells of each mask, and on those alone that all "
        f"{whose} match with one another (IoU of 0.5 or more). {source_note([key])}",
    )

# %% [markdown]
# ## 1. Profiles: matched cells, and wherever one looks

# %% tags=["hide-input"]
profile_rows = {one: profile_agreement(of) for one, of in profiles.items()}
if profile_rows:
    show(
        partial(
            dot_rows,
            {cohort_name(one): rows.set_index("channel") for one, rows in profile_rows.items()},
            {"matched cells": GREEN, "points in all": BLUE, "points in any": VERMILION},
            "agreement of masks about what a cell expresses, ICC(2,1)",
        ),
        label="fig-biology-profiles",
        caption="Agreement about each channel (arcsinh of mean counts, images pooled): in *matched cells*; at random points "
        "that lie *in* a cell of *all* masks; and at points *in any* mask's cell, where a mask without a cell says nothing "
        f"(0). 1: the same. {data}",
        alt="A panel per cohort and a row per channel: three dots, for matched cells, points covered by all masks, and points "
        "covered by any, in falling order of agreement.",
    )

# %% tags=["hide-input"]
if able:
    lines = [
        f"- {cohort_name(one)}: in matched cells from {rows['matched cells'].min():.3f} to {rows['matched cells'].max():.3f}; at "
        f"points in all masks' cells from {rows['points in all'].min():.3f} to {rows['points in all'].max():.3f}. "
        f"{profiles[one].coverage['in some']:.0%} of all points lie in a cell of some masks only."
        for one, rows in profile_rows.items()
    ]
    display(
        Markdown(
            "**Matching hides disagreement.** Cells that all masks match are those that nobody disputes, and about "
            "them masks agree. A point drawn at random asks every mask for the cell that covers it.\n\n"
            + "\n".join(lines)
        )
    )

# %% tags=["hide-input"]
if able:
    parts = [pair_table(opened[one], looked_at[one]).assign(cohort=one) for one in able]
    pairs = pd.concat(parts, ignore_index=True)
    pairs["sample"] = [
        sample_name(s, one) for s, one in zip(pairs["sample"], pairs["cohort"], strict=True)
    ]
    pairs.to_csv(folder / "pairs.csv", index=False)
    show_table(
        pairs[["cohort", *pairs.columns.drop("cohort")]],
        label="tab-biology-pairs",
        caption="The masks in pairs: numbers of cells, ap50 (IoU ≥ .5), cells matched, and the share of pixels in a cell of "
        f"one of the two only. {data}",
    )
    profile_table = pd.concat(
        [rows.assign(cohort=one) for one, rows in profile_rows.items()], ignore_index=True
    )
    show_table(
        profile_table[["cohort", *profile_table.columns.drop("cohort")]],
        label="tab-biology-profiles",
        caption=f"ICC(2,1) {{cite:p}}`shrout1979` of each channel. {data}",
    )

# %% [markdown]
# ## 2. Where the variance comes from

# %% tags=["hide-input"]
PARTS = {"image": BLUE, "cell": SKY, "mask": VERMILION, "interaction": GOLD}
if key:
    shares = quantity_shares(study, profiles[key])
    shares["interaction"] = shares[["image × mask", "cell × mask"]].sum(axis=1)
    shares.to_csv(folder / "variance.csv", index=False)
    known = shares.dropna(subset=["mask"]).fillna(dict.fromkeys(PARTS, 0))
    headings = {
        "Profiles, matched cells": (known["kind"] == "profile") & (known["cells"] == MATCHED),
        "Log-ratios of types, all cells": (known["kind"] == Kind.RATIO) & (known["cells"] == ALL),
        "Log-ratios of types, matched cells": (known["kind"] == Kind.RATIO)
        & (known["cells"] == MATCHED),
        "Densities of types, all cells": (known["kind"] == Kind.DENSITY) & (known["cells"] == ALL),
    }
    bars = {
        heading: known[rows].set_index("name") for heading, rows in headings.items() if rows.any()
    }
    show(
        partial(share_bars, bars, PARTS),
        label="fig-biology-variance",
        caption="What a number depends on: the *image*, the *cell* in it, the *mask* (all its numbers higher, or lower), "
        f"and the *interaction* of masks with images and cells. {source_note([key])}",
        alt="A bar for each channel and each cell type, divided into the shares of image, cell, mask and interaction.",
    )

# %% tags=["hide-input"]
if key:
    rows = shares.rename(columns={"mask_low": "from", "mask_high": "to"})
    show_table(
        rows[["kind", "name", "cells", "images", *PARTS, "masks", "from", "to"]],
        label="tab-biology-variance",
        caption="Shares of variance. *masks*: all that is due to masks, interactions included, with its 95% interval over "
        "images (*from*, *to*). A dash: one image says nothing about others; a quantity of images has no cells. "
        f"{source_note([key])}",
    )
    covered = pd.read_csv(shipped("benchmarks/results") / "downstream_coverage.csv")
    display(
        Markdown(
            "The intervals are generalised ones {cite:p}`weerahandi1993`. "
            f"They were tried on planted shares: over designs and components, {covered['coverage'].min():.1%} to "
            f"{covered['coverage'].max():.1%} of {int(covered['trials'].max())} simulated intervals held the planted share. "
            "They take image means for normal."
        )
    )
    show_table(
        covered,
        label="tab-biology-coverage",
        caption="Share of simulated 95% intervals that hold the planted share. "
        '<span class="source synthetic">synthetic</span>',
    )

# %% tags=["hide-input"]
if key and TRUTH in study.beside:
    biased.to_csv(folder / "against_truth.csv", index=False)
    show_table(
        biased[biased["kind"] != Kind.CONTACT],
        label="tab-biology-truth",
        caption="Masks against the truth: mean log2 ratio with its 95% interval over images, and the same in standard "
        f"deviations between images (*in spreads*). All cells. {source_note([key])}",
    )

# %% [markdown]
# ## 3. Spill: counts that belong to other cells

# %% tags=["hide-input"]
recipe = cohort_record(key).phantom if key else None
if key:
    labels = {
        rater: {sample: mask.labels for sample, mask in own.items()}
        for rater, own in study.typed.masks.items()
    }
if recipe is not None:
    from imc_helpers.downstream.true_spill import PARTS as ORIGINS, spill_by_mask
    from imc_helpers.phantom.recipes import sample_light

    lights = {
        sample: sample_light(recipe.recipe, sample, scale=recipe.scale, seed=recipe.seed)
        for sample in study.samples[:spill_images]
    }
    spill = spill_by_mask(labels, lights)
    spill.to_csv(folder / "spill.csv", index=False)
    order = [TRUTH, *study.raters, *[r for r in study.beside if r != TRUTH]]
    mean_spill = spill.groupby("rater")[list(ORIGINS)].mean().loc[order]
    mean_spill = mean_spill.rename(index=rater_name, columns={"mask_error": "mask error"})
    show(
        partial(share_bars, {"": mean_spill}, {"own": GREEN, "blur": SKY, "mask error": VERMILION}),
        label="fig-biology-spill",
        caption="From which cell the counts of a cell come, mean over channels: its *own*; other cells' light inside the true "
        "outline (*blur*), which a perfect mask has too; and what the outline takes from elsewhere (*mask error*). "
        f"{source_note([key])}",
        alt="A bar for the truth, each annotator and each model, divided into own counts, blur and mask error.",
    )

# %% tags=["hide-input"]
if recipe is not None:
    people = mean_spill.loc[[rater_name(rater) for rater in study.raters], "mask error"]
    display(
        Markdown(
            f"With true masks, {mean_spill['blur'].iloc[0]:.0%} of the counts are other cells' light. Annotators' outlines "
            f"take another {people.min():.0%} to {people.max():.0%}."
        )
    )

# %% tags=["hide-input"]
pair = exclusive_pair(opened[key].panel.names) if key else None
if pair:
    rows = implausible_cells(opened[key], labels, study.samples, pair)
    rows.to_csv(folder / "implausible.csv", index=False)
    show_table(
        rows,
        label="tab-biology-implausible",
        caption=f"Cells positive for {pair[0]} and {pair[1]}, which no cell has together, of those positive for either; the "
        f"same after REDSEA {{cite:p}}`bai2021`; and the *slope* of {pair[0]} on what the neighbours have of it, in cells "
        f"positive for {pair[1]}. One threshold for all masks. {source_note([key])}",
    )
    fewer = int((rows["after REDSEA"] < rows["positive for both"]).sum())
    display(
        Markdown(
            f"REDSEA leaves fewer of these cells with {fewer} of {len(rows)} masks. It takes from a cell what its neighbours' "
            "rims may have lent it, and counts the cell's own rim twice; where the rim holds another cell's light, that is "
            "counted twice too. It cannot undo a cell that holds two."
        )
    )
else:
    display(
        Markdown("*The panel has no two markers that exclude one another, such as CD3 and CD20.*")
    )

# %% tags=["hide-input"]
cited = published_table("goldsborough25_section6_2").iloc[0]
display(
    Markdown(
        f"Where nobody knows the truth, cells that cannot be show spill. Published ({cited['source']} {{cite:p}}`goldsborough2025`): in studies "
        f"cited there, over {cited['share_over']:.0%} of detected cells can have an implausible phenotype. Of which markers is not said, and the "
        "shares here are of cells positive for one of two markers, so the two cannot be compared."
    )
)

# %% [markdown]
# ## 4. Space

# %% tags=["hide-input"]
if key:
    exchanged = exchange_parts(study).dropna()
    exchanged.to_csv(folder / "exchanged.csv", index=False)
    show(
        partial(
            dot_rows,
            {"": exchanged.set_index("name")},
            {"difference": "black", "geometry": BLUE, "types": GOLD},
            "mean difference of two masks, log2 of observed over expected contacts",
        ),
        label="fig-biology-exchange",
        caption="How far two masks differ about a contact, and what carries it: *geometry* is where cells are and who touches "
        "whom, *types* what the cells are taken for. Cells and types were exchanged between masks in both orders; parts may "
        f"cancel. All cells, graph *{graph}*. {source_note([key])}",
        alt="A row per pair of cell types with three dots: the mean difference of two masks, and its parts by geometry and by "
        "types.",
    )

# %% tags=["hide-input"]
if key:
    by_part = exchanged[["geometry", "types"]].mean()
    display(
        Markdown(
            f"On average over contacts, geometry carries {by_part['geometry']:.2f} and types {by_part['types']:.2f} (log2)."
        )
    )

# %% tags=["hide-input"]
if key:
    show_table(
        graph_table(study),
        label="tab-biology-graphs",
        caption="Four graphs: six nearest cells; Delaunay; centres within 15 µm; cells that touch when grown by 4 px. *between "
        "masks*: mean difference of two masks' log2 enrichment over contacts and images; *from truth*: the same against the "
        f"true mask. {source_note([key])}",
    )
    contacts_judged = judged[judged["kind"] == Kind.CONTACT].dropna(subset=["value"])
    same = (
        contacts_judged[contacts_judged["name"].isin([f"{t} – {t}" for t in study.typed.names])]
        .groupby("name")["value"]
        .mean()
    )
    if len(same):
        meets = same.idxmax().split(" – ")[0]
        show_table(
            contact_table(study, study.samples[0], meets, meets),
            label="tab-biology-contact",
            caption=f"One contact in all its numbers: {meets} next to {meets} in image "
            f"{sample_name(study.samples[0], key)}. Edges observed and expected by chance, their log2, z from 1000 "
            "permutations; imcRtools' *classic*, *histocat* and *patch*; L(15 µm) less 15 µm; Moran's I of being of the type. "
            f"{source_note([key])}",
        )

# %% [markdown]
# Contacts are counted as in squidpy {cite:p}`palla2022` and imcRtools {cite:p}`windhager2023`. z grows with the number of cells: a mask that splits cells looks surer of everything. So masks are compared by the log
# ratio of observed to expected contacts. Splitting a cell puts two cells of one type next to each other: enrichment of a
# type with itself is the first to suffer. The neighbourhoods of matched cells alone lack everyone whom masks dispute, and
# are no neighbourhoods of the tissue.

# %% [markdown]
# ## 5. Differences between groups

# %% tags=["hide-input"]
if key:
    alarms.to_csv(folder / "groups.csv", index=False)
    show(
        partial(
            dot_rows,
            {"": alarms.set_index("name")},
            {"power": GREEN, "wrong sign": PURPLE, "false alarm": GOLD, "worst": VERMILION},
            f"share of studies with {group_images} images per group",
        ),
        label="fig-biology-groups",
        caption="Studies that compare the fraction of a type between two groups of images. *power*: a difference as large as "
        "here is found, with the right sign, when one mask serves both groups (where a truth and groups are known); *wrong "
        "sign*: it is found the other way round. *false alarm*: groups that do not differ, each drawn by someone else, mean "
        f"over pairs of masks, and the *worst* pair. From Student's t, with these images' means and spread. {source_note([key])}",
        alt="A row per cell type with dots for power, wrong sign, mean and worst rate of false alarms.",
    )

# %% tags=["hide-input"]
if key and planted is not None:
    show_table(
        planted.loc[list(study.samples)]
        .reset_index()
        .assign(image=lambda t: [sample_name(s, key) for s in t["image"]]),
        label="tab-biology-planted",
        caption=f"What was planted in the images. {source_note([key])}",
    )

# %% [markdown]
# ## How sure the verdicts are

# %% tags=["hide-input"]
checked = pd.read_csv(shipped("benchmarks/results") / "downstream_verdicts.csv")
alike = checked["masks differ by"] == "none"
wrong = {
    "changed": checked.loc[alike, Verdict.CHANGED.value].max(),
    "same": checked.loc[~alike, Verdict.SAME.value].max(),
}
display(
    Markdown(
        f"Verdicts were tried on simulated studies. Where masks do not differ, *{Verdict.CHANGED}* was said of at most "
        f"{wrong['changed']:.1%} of conclusions in any design; where they differ by the limit or more, *{Verdict.SAME}* of at "
        f"most {wrong['same']:.1%}. The price is that few images often allow neither."
    )
)
show_table(
    checked,
    label="tab-biology-checked",
    caption="Shares of verdicts in simulated studies, by how far one mask is from the others. The limit is the "
    f"{margin:.0%} of a fraction; of contacts and groups it is a difference that takes their sign away. "
    '<span class="source synthetic">synthetic</span>',
)

# %% [markdown]
# ## Masks, graphs and typing rules

# %% tags=["hide-input"]
table, why_not = find_sweep(edition, "biology")
if why_not:
    display(Markdown(f"*{why_not}*"))
else:
    chosen = ["masks", "graph", "rule"]
    means = table.groupby(chosen, sort=False)[["cells", "fractions_off", "contacts_off"]].mean()
    show_table(
        means.reset_index().rename(
            columns={
                "masks": "masks of",
                "fractions_off": "fractions, off",
                "contacts_off": "contacts, off",
            }
        ),
        label="tab-biology-sweep",
        caption="Each combination of mask, graph and typing rule: how far fractions and contacts are off, as the mean absolute "
        "log2 ratio to those of the true mask (without a truth: of the first other reference), with the same graph and rule. "
        f"{source_note([key] if key else [])}",
    )

# %% [markdown]
# ## What this does not show
#
# - What is true, on real data: that masks agree does not make them right. The phantom's truth is the phantom's.
# - Other annotators than these. The masks are taken as given; intervals are over images.
# - A verdict on all conclusions together. Each stands for itself, and of many, some err.
# - Intervals for few images are wide, and take values for normal. *Cannot be told* is no *same*.
# - How real cells are typed: by rules of our own, which a lab would replace by its own.

# %% tags=["remove-cell"]
for of in profiles.values():
    assert abs(sum(of.coverage.values()) - 1) < 1e-9, "a point is covered by all, some or none"
if key:
    parts = shares.dropna(subset=["mask"])[["image", "cell", "mask", "interaction"]].sum(axis=1)
    assert abs(parts - 1).max() < 1e-9, "shares sum to 1"
    assert judged.groupby(["kind", "name"])["verdict"].nunique().eq(1).all()
    assert all(alarms[column].dropna().between(0, 1).all() for column in ("false alarm", "worst"))
if recipe is not None:
    true = spill[spill["rater"] == TRUTH]
    assert (true["mask_error"].dropna() == 0).all(), "a true mask has no mask error"

# %% [markdown]
# ## Takeaways
#
# - Have a few images drawn twice, and ask of each conclusion whether it survives.
# - One person, or one model, for all groups of a comparison. Masks that differ between groups make differences.
# - Do not report agreement of matched cells alone.
