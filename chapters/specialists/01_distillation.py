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
# # Dice-XMBD: a network taught by a pixel forest
#
# **Can a network learn from a pixel forest what would take an expert days to label?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
teacher: str = "dice_teacher"  # model whose masks were learned
student: str = "dice_student"  # model that learned them
most_images: int = 4  # images of each cohort that are scored, evenly spread
field_um: float = 120.0  # edge of the pictures, µm
patch_px: int = 128  # edge of the patch that is shown as the student saw it, pixels

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
from importlib.util import find_spec

import pandas as pd
from IPython.display import Markdown, display

from imc_helpers.data.manifest import load_edition, model_record, published_table
from imc_helpers.data.paths import results_dir, shipped
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import evenly_spread
from imc_helpers.downstream.mask_sets import mask_sets
from imc_helpers.experiments.distillation import (
    HIGH_IOU,
    QUANTILES,
    augmented,
    brightest_markers,
    count_agreement,
    f1_in_two_ways,
    home_first,
    map_of_values,
    marker_spread,
    matched_ious,
    profile_correlations,
    references_of,
    score_models,
    student_less_teacher,
    with_intervals,
)
from imc_helpers.experiments.imperfect_labels import changes
from imc_helpers.experiments.sweeps import in_words
from imc_helpers.experiments.teachers import gains, shares_reached
from imc_helpers.figures.distillation_plots import (
    count_points,
    labelling_curve,
    match_maps,
    reference_rows,
    spread_rows,
)
from imc_helpers.figures.names import cohort_name, rater_name, source_note
from imc_helpers.figures.page import answer, show, show_table
from imc_helpers.figures.sweep_plots import choice_dots, choice_lines
from imc_helpers.figures.tissue_images import patch_panels, seen_and_found
from imc_helpers.images.merging import merge_channels
from imc_helpers.models.availability import weights_dir

record = load_edition(edition)
cohorts = home_first(record.cohorts, teacher)
models = list(dict.fromkeys([student, teacher, *record.models]))
opened = {key: open_cohort(key) for key in cohorts}
looked_at = {key: evenly_spread(of.ids, most_images) for key, of in opened.items()}
rows = pd.concat(
    [pd.DataFrame()]
    + [score_models(opened[key], models, teacher, looked_at[key]) for key in cohorts]
)
cohorts = [key for key in cohorts if len(rows) and key in set(rows["cohort"])]
home = cohorts[0] if cohorts else ""
here = rows[rows["cohort"] == home] if home else rows
learned = bool(home) and student in set(here["model"])
other = ""  # with whom masks are compared besides the teacher
if home:
    rows.to_csv(results_dir(edition, "specialists") / "distillation.csv", index=False)
    references = list(references_of(opened[home], teacher))
    other = next((name for name in references if name != teacher), "")
    # Cohorts that were labelled by different people or tools have these in one colour.
    strangers = set(rows["reference"]) - {teacher}
    stranger = strangers.pop() if len(strangers) == 1 else "another rater"
    everywhere = rows.assign(
        reference=rows["reference"].where(rows["reference"] == teacher, stranger)
    )
    either = [name for name in (teacher, stranger) if name in set(everywhere["reference"])]
    judges = "the truth" if stranger == "truth" else rater_name(stranger)
    judge = "the truth" if other == "truth" else rater_name(other)
    data = source_note([home])
trials = pd.read_csv(shipped("benchmarks/results") / "teachers.csv")
errors = trials[trials["question"] == "errors"]
part_of_cells = trials[trials["question"] == "cells"]
once = (
    f"Synthetic lymphoid tissue, measured once with small networks ({trials['device'].iloc[0]}; {trials['versions'].iloc[0]}; "
    f"{trials['date'].iloc[0]}); 95% intervals over {trials['replicate'].nunique()} replicates, each with tissue, people and "
    "network of its own."
)

not_run = Markdown("*The two models were not run in this edition, so there is nothing to show.*")
gained = gains(errors, "student", "teacher", ["trial"])
better = gained[gained["low"] > 0]
worse = gained[gained["high"] < 0]
least_and_most = (
    better.sort_values("mean").iloc[sorted({0, len(better) - 1})] if len(better) else better
)
sentences = ["Fidelity to a teacher is not accuracy."]
if learned:
    mine = here[here["model"] == student]
    means = mine.groupby("reference")["jaccard_50"].mean()
    sentence = (
        f"In {cohort_name(home)}, {rater_name(student)} has a mean ap50 of {means[teacher]:.2f} with its teacher, "
        f"{rater_name(teacher)}"
    )
    if other:
        with_other = here[here["reference"] == other]
        taught_by = with_other.loc[with_other["model"] == teacher, "jaccard_50"].mean()
        apart = student_less_teacher(with_other, student, teacher, "jaccard_50")
        sentence += (
            f", and of {means[other]:.2f} with {judge}, where the teacher itself has {taught_by:.2f}; the student's less the teacher's "
            f"is {in_words(apart)}, with a 95% interval over {apart['images']:.0f} images for one training; another training may differ by more"
        )
    sentences.append(sentence + ".")
else:
    sentences.append(
        f"The student ({rater_name(student)}) or its teacher ({rater_name(teacher)}) was not run in this edition, so nothing is "
        "said of them here."
    )
sentences.append(
    "On synthetic tissue, measured once, a student is more accurate than a teacher who makes many slips: its ap50 is higher by "
    + " and ".join(f"{in_words(row)} with {row['trial']}" for _, row in least_and_most.iterrows())
    + f" (95% intervals over {trials['replicate'].nunique()} replicates)."
    if len(better)
    else "On synthetic tissue no student was more accurate than its teacher beyond the interval."
)
answer(" ".join(sentences))

# %% tags=["hide-input"]
if home:
    scored = with_intervals(rows, {"jaccard_50": "ap50"}, by=("cohort", "model", "reference"))
    scored["tissue"] = [cohort_name(key) for key in scored["cohort"]]
    show(
        partial(
            reference_rows,
            scored[scored["cohort"] == home],
            "tissue",
            references,
            label="ap50 (IoU ≥ .5)",
        ),
        label="fig-distillation-main",
        caption="Each model, scored with the teacher and with the truth (or, in real tissue, a person or tool that the teacher does "
        f"not know). Bars: 95% intervals over {here['sample'].nunique()} images, of one training. {data}",
        alt="A row per model and two marks in each: average precision with the teacher's masks and with the truth.",
    )
else:
    show(
        partial(
            choice_dots,
            gained.assign(model="Student less teacher"),
            "trial",
            label="ap50 with the truth, difference",
        ),
        label="fig-distillation-errors-first",
        caption=f"The student's ap50 with the truth, less that of its teacher, by how the teacher errs. {once}",
        alt="A row per kind of teacher: the difference between the student's and the teacher's score, with its interval.",
    )

# %% [markdown]
# {cite:t}`xiao2021` let an annotator label single pixels, trained a pixel forest (ilastik) on them, made cells of its
# maps with CellProfiler, and taught a U-Net those maps. They scored the network with masks from the very same
# forest: their F1 says how well a network imitates its teacher. Here every mask meets both, the teacher and the
# truth, by their rules and by this book's.

# %% tags=["hide-input"]
if home:
    compared_with = other or teacher
    first = here.loc[here["reference"] == compared_with, "sample"].iloc[0]
    of_home = opened[home]
    image = of_home.read_image(first)
    masks = mask_sets(of_home, models, samples=looked_at[home])
    references_here = [name for name in (teacher, student) if name in masks]
    show(
        partial(
            seen_and_found,
            {
                title: merge_channels(image[list(of_home.panel.compartment(kind))])
                for kind, title in (
                    ("nucleus", "Nuclear channels"),
                    ("membrane", "Membrane channels"),
                )
                if of_home.panel.compartment(kind)
            },
            {rater_name(name): masks[name][first] for name in references_here},
            um_per_px=of_home.um_per_px(first),
            field_um=field_um,
        ),
        label="fig-distillation-seen",
        caption="The study's workflow on one image: nuclear and membrane channels, hot pixels removed, clipped, stretched and averaged; cells grown from the "
        f"teacher's maps and from the student's, white where their outlines are the same. {data}",
        alt="Two grey images of one piece of tissue, nuclei and membranes, and the outlines of the teacher's and the student's "
        "cells.",
    )
else:
    display(not_run)

# %% [markdown]
# ## What the teacher was told

# %% tags=["hide-input"]
path = weights_dir(teacher) / "labelling.csv"
taught = model_record(teacher).training
taught_on = taught.recipe if taught else home
if home and path.is_file():
    curve = pd.read_csv(path)
    curve.to_csv(results_dir(edition, "specialists") / "distillation_labelling.csv", index=False)
    show(
        partial(labelling_curve, curve),
        label="fig-distillation-labelling",
        caption="How the teacher came along. A simulated person labels single pixels where the forest is unsure, first in images drawn "
        "at random, then in the image where it is least sure, until its mean uncertainty has not fallen for three rounds. "
        f"{source_note([taught_on])}",
        alt="Two curves against the number of labelled pixels: the forest's mean uncertainty, and its average precision on an image "
        "kept apart.",
    )
else:
    display(Markdown("*No teacher that was labelled pixel by pixel was trained in this edition.*"))

# %% [markdown]
# A mean uncertainty that no longer falls does not say that the forest is right.

# %% [markdown]
# ## What the student was given

# %% tags=["hide-input"]
if learned and teacher in masks and find_spec("monai"):
    show(
        partial(
            patch_panels,
            augmented(of_home.read(first), masks[teacher][first], patch_px),
            of_home.um_per_px(first),
        ),
        label="fig-distillation-augmented",
        caption="A patch of one image after each change that the student's training makes to images, in turn (Supplementary Figures S1 "
        f"and S2); the next epoch makes others. The images that it learned from are others: {cohort_name(taught_on)}. Blue: nuclei. Gold: cells. What the student is to learn moves alike, here shown as "
        f"the teacher's cells; corners that a rotation brings in do not count. {data}",
        alt="The same patch of tissue eight times: as it is, with another contrast, another intensity, mirrored, rotated, with noise; "
        "then the mask of its cells as it is and moved alike.",
    )
else:
    display(
        Markdown(
            "The student or its teacher was not run in this edition, or this environment lacks MONAI (the extra `models` brings it), "
            "so its patches are not shown."
        )
    )

# %% [markdown]
# Contrast and intensity are multiplied by .5 to 1.5, and the noise is as weak as in the study's program, 1 of 255: the
# eye does not see it. The study's program contains the rotation and does not use it.

# %% [markdown]
# ## Pixels at borders

# %% tags=["hide-input"]
PIXELS = {"pixel_f1": "F1", "pixel_jaccard": "Jaccard index"}
if home:
    pixels = with_intervals(here, PIXELS)
    pixels.to_csv(results_dir(edition, "specialists") / "distillation_pixels.csv", index=False)
    show(
        partial(reference_rows, pixels, "score", references, label="of border pixels"),
        label="fig-distillation-pixels",
        caption="Pixels at borders of cells, which is what the study's scores of pixels count (Figure 2A): an outline one pixel aside "
        f"is wrong everywhere. 95% intervals over {here['sample'].nunique()} images. {data}",
        alt="Two panels, F1 and Jaccard index of border pixels, with a row per model and a mark for each reference.",
    )
else:
    display(not_run)

# %% [markdown]
# ## Counts

# %% tags=["hide-input"]
if home:
    show(
        partial(count_points, everywhere, either),
        label="fig-distillation-counts",
        caption="Cells per image of all cohorts, by model, against those of the teacher and of "
        f"{judges} (Figures 2B and 3B). On the line they are equal. {source_note(cohorts)}",
        alt="A panel per model: number of cells against that of the references, one point per image, with a diagonal line.",
    )
else:
    display(not_run)

# %% tags=["hide-input"]
if home:
    counts = count_agreement(rows)
    counts.to_csv(results_dir(edition, "specialists") / "distillation_counts.csv", index=False)
    show_table(
        counts.rename(columns={"reference": "rater"}),
        label="tab-distillation-counts",
        caption=f"Pearson's r of the numbers of cells over images, and bias: cells of all images over those of the reference, less 1. "
        "Images of several tissues and sizes lie on a line more easily than images of one: a high r does not say that counts are "
        f"right. {source_note(cohorts)}",
    )

# %% [markdown]
# ## Cells

# %% tags=["hide-input"]
CELLS = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "jaccard": "Jaccard index",
    "oversplit": "Oversplit",
    "merged": "Merged",
}
if home:
    cells = with_intervals(here, CELLS)
    cells.to_csv(results_dir(edition, "specialists") / "distillation_cells.csv", index=False)
    show(
        partial(reference_rows, cells, "score", references, label="share"),
        label="fig-distillation-cells",
        caption="Cells by the study's rule (Figure 2C): linked from an IoU of .1, matched where one is linked to one. *Oversplit* and "
        "*merged* are shares of the model's cells. 95% intervals over "
        f"{here['sample'].nunique()} images. {data}",
        alt="Six panels, precision, recall, F1, Jaccard index, share oversplit and share merged, with a row per model.",
    )
else:
    display(not_run)

# %% tags=["hide-input"]
if learned:
    at_last = mine[mine["reference"] == compared_with]
    loose, strict = (at_last[name].mean() for name in ("f1", "f1_50"))
    display(
        Markdown(
            f"An IoU of .1 lets loose outlines match, and calls more cells merged or split; with {judge if other else 'its teacher'}, the "
            f"student's F1 is {loose:.2f} by the study's rule and {strict:.2f} one to one at .5."
        )
    )

# %% tags=["hide-input"]
if home:
    spread = pd.DataFrame(matched_ious(of_home, models, teacher, looked_at[home]))
    spread.to_csv(results_dir(edition, "specialists") / "distillation_iou.csv", index=False)
    show(
        partial(
            spread_rows,
            spread,
            "reference",
            {key: f"With: {rater_name(key)}" for key in references},
            label="IoU of matched cells",
        ),
        label="fig-distillation-iou",
        caption="IoU of matched cells, images pooled (Figures 2D and 3D): median, middle half, middle nine tenths. Cells that no one "
        f"matched are not in it. {data}",
        alt="A panel for each reference: the spread of the IoU of matched cells, one row per model.",
    )

# %% tags=["hide-input"]
if home:
    drawn = [name for name in models if name in masks and name != compared_with][:6]
    known = masks[compared_with][first]
    show(
        partial(
            match_maps,
            {name: map_of_values(known, masks[name][first]) for name in drawn},
            um_per_px=of_home.um_per_px(first),
            field_um=field_um,
        ),
        label="fig-distillation-map",
        caption="What became of each cell of a mask (Figure 2E), the middle of one image: its IoU where it is matched, else merged "
        f"(several cells of the reference in one), split, or neither. Compared with: {rater_name(compared_with)}. {data}",
        alt="The same piece of tissue as each model sees it: cells in shades of blue by IoU, or coloured as merged, split or "
        "neither.",
    )

# %% [markdown]
# ## What cells express

# %% tags=["hide-input"]
if home:
    markers = brightest_markers(of_home, first, 5)
    expressed = marker_spread(
        of_home, {name: masks[name][first] for name in [compared_with, *drawn]}, first, markers
    )
    expressed.to_csv(results_dir(edition, "specialists") / "distillation_markers.csv", index=False)
    show(
        partial(
            spread_rows,
            expressed,
            "marker",
            {name: name for name in markers},
            label="mean counts of a cell (inverse hyperbolic sine)",
        ),
        label="fig-distillation-markers",
        caption="The brightest membrane markers, five at most, over the cells of each mask (Figure 4A), one image: median, middle half, middle "
        f"nine tenths. {data}",
        alt="A panel per marker: how it is distributed over the cells of each mask.",
    )
else:
    display(not_run)

# %% tags=["hide-input"]
if home:
    profiles = pd.concat(
        profile_correlations(opened[key], models, teacher, looked_at[key]) for key in cohorts
    )
    profiles.to_csv(results_dir(edition, "specialists") / "distillation_profiles.csv", index=False)
    how_compared = {"matched": "Cells that both have", "points": "Wherever one of them has a cell"}
    compared = with_intervals(profiles[profiles["cohort"] == home], how_compared, least=-1)
    show(
        partial(
            reference_rows, compared, "score", references, label="Pearson's r, mean over markers"
        ),
        label="fig-distillation-profiles",
        caption="Do masks agree about what cells express (Figures 4B and 4C)? First over cells matched at an IoU of .5, as in the "
        "study, then over points drawn at random where either mask has a cell. 95% intervals over "
        f"{here['sample'].nunique()} images. {data}",
        alt="Two panels of correlations, over matched cells and over random points, with a row per model.",
    )

# %% [markdown]
# Cells that two masks share are those they agree about anyway: their profiles correlate whatever the masks are
# worth elsewhere. Random points ask about the rest as well.

# %% [markdown]
# ## Other tissue

# %% tags=["hide-input"]
if len(cohorts) > 1:
    away = everywhere[everywhere["cohort"] != home]
    elsewhere = with_intervals(away, {"jaccard_50": "ap50"}, by=("cohort", "model", "reference"))
    elsewhere["tissue"] = [cohort_name(key) for key in elsewhere["cohort"]]
    show(
        partial(
            reference_rows,
            elsewhere,
            "tissue",
            either,
            label="ap50 (IoU ≥ .5)",
        ),
        label="fig-distillation-others",
        caption="The same in the other cohorts (Figure 3), to which teacher and student are carried over as they are. *With the "
        "teacher* is then agreement with a teacher who may be lost there. 95% intervals over images, where there are several. "
        f"{source_note(cohorts[1:])}",
        alt="A panel per cohort with a row per model: average precision with the teacher's masks and with the truth.",
    )
else:
    display(Markdown("This edition has no second cohort on which the two models ran."))

# %% tags=["hide-input"]
if len(cohorts) > 1:
    well = pd.concat(
        matched_ious(opened[key], models, teacher, looked_at[key]).assign(cohort=key)
        for key in cohorts[1:]
    )
    which = ["cohort", "model", "reference"]
    well = well.reindex(columns=[*which, "mean", "high"]).astype(dict.fromkeys(which, object))
    by_rules = (
        rows[rows["cohort"] != home]
        .groupby(which, sort=False)[["pixel_f1", *CELLS]]
        .mean()
        .reset_index()
        .merge(well, how="left", on=which)
    )
    by_rules.to_csv(results_dir(edition, "specialists") / "distillation_others.csv", index=False)
    show_table(
        by_rules.rename(
            columns={
                "reference": "rater",
                "pixel_f1": "F1 of border pixels",
                **CELLS,
                "mean": "mean IoU",
                "high": f"IoU ≥ {HIGH_IOU:g}",
            }
        ),
        label="tab-distillation-others",
        caption="Pixels, cells and outlines in the other cohorts, by the study's rules (Figure 3). Means over images; the last two over "
        "matched cells of all images: how many of them are outlined well is what the study shows of its other data sets "
        f"(Supplementary Figure S3). {source_note(cohorts[1:])}",
        decimals=2,
    )

# %% [markdown]
# ## Where a student beats its teacher

# %% tags=["hide-input"]
if home:
    show(
        partial(
            choice_dots,
            gained.assign(model="Student less teacher"),
            "trial",
            label="ap50 with the truth, difference",
        ),
        label="fig-distillation-errors",
        caption="The student's ap50 with the truth, less that of its teacher, by how the teacher errs. *Slips*: times the phantom's "
        f"usual shares of cells missed, merged and split. *Four people*: each draws every image. {once}",
        alt="A row per kind of teacher: the difference between the student's and the teacher's score, with its interval.",
    )

# %% tags=["hide-input"]
borders = errors.groupby("trial", sort=False)[
    ["teacher", "student", "fidelity", "teacher_border_um", "student_border_um"]
].mean()
show_table(
    borders.reset_index().rename(
        columns={
            "teacher_border_um": "teacher's borders (µm)",
            "student_border_um": "student's borders (µm)",
            "teacher": "teacher's ap50",
            "student": "student's ap50",
            "fidelity": "student with teacher",
        }
    ),
    label="tab-distillation-errors",
    caption="Means over images and replicates. *Borders*: how far beyond the true ones, by the radius of a circle as large as a cell, "
    f"in the median; where cells touch there is no room beyond. {once}",
)

# %% tags=["hide-input"]
SLIPS, HABIT = "slips × 4", "borders 1 µm within"
FAILED = 0.1  # fidelity below which a student has not learned to part touching cells
shared = changes(
    errors[errors["trial"].isin([SLIPS, f"{SLIPS}, four people"])],
    "trial",
    SLIPS,
    "student",
    replicates="replicate",
).iloc[0]
moved = gains(errors[errors["trial"] == HABIT], "student_border_um", "teacher_border_um", ["trial"])
trainings = errors.groupby(["trial", "replicate"])["fidelity"].mean()
failed = trainings[trainings < FAILED].index.get_level_values("trial")
sentence = (
    f"A network averages over cells what one person does now this way, now that. Better than their teacher beyond the interval: "
    f"{'; '.join(better['trial']) or 'none'}. Worse: {'; '.join(worse['trial']) or 'none'}. "
    f"A habit is learned: where the teacher draws 1 µm within, the student's borders lie "
    f"{borders.loc[HABIT, 'student_border_um']:+.2f} µm from the true ones and the teacher's "
    f"{borders.loc[HABIT, 'teacher_border_um']:+.2f} µm (difference {in_words(moved.iloc[0], 2)} µm). "
    f"Four people who each draw every image, in place of one, change the student's ap50 by {in_words(shared)} at four times the "
    "slips; a student of one can average that person's slips over cells already."
)
if len(failed):
    sentence += (
        f" {len(failed)} of {len(trainings)} trainings ended with touching cells in one piece ({'; '.join(dict.fromkeys(failed))}): "
        "the epoch is chosen by the Dice of pixels, which in full tissue is high before cells are told apart."
    )
display(Markdown(sentence))

# %% [markdown]
# ## How many labelled cells

# %% tags=["hide-input"]
reached = shares_reached(part_of_cells, ["how", "share"])
full = reached[reached["share"] == 1]
ways = list(dict.fromkeys(reached["how"]))
lines = pd.concat([reached[reached["share"] < 1]] + [full.assign(how=how) for how in ways])
labelled = part_of_cells.groupby("share")["labelled"].mean().round(-1).astype(int)
lines = lines.sort_values("share", kind="stable")
lines["labels"] = [f"{share:.1%}\n{labelled[share]} cells" for share in lines["share"]]
show(
    partial(
        choice_lines,
        lines.assign(model="Student of one person"),
        "labels",
        "how",
        xlabel="share of the labels",
        ylabel="share of the teacher's agreement",
    ),
    label="fig-distillation-cells-needed",
    caption="A student's mean ap50 with its teacher's colleagues, over the teacher's own with them. *Scattered cells*: what is not "
    f"labelled counts as unknown beyond 3 px. Each student makes as many steps, and one whole image chooses its epoch. {once}",
    alt="Share of the annotators' agreement that a student reaches, against the share of cells it learned from, one line per way "
    "of choosing them.",
)

# %% tags=["hide-input"]
least = reached["share"].min()
fewest = part_of_cells[part_of_cells["share"] == least]
pieces = changes(fewest, "how", "few images whole", "student", replicates="replicate").set_index(
    "how"
)
sums = (
    part_of_cells[part_of_cells["how"] == "scattered cells"]
    .groupby("replicate")
    .sum(numeric_only=True)
)
scattered = (sums["student"] / sums["teacher"]).agg(["min", "max"])
share_scattered = part_of_cells.loc[part_of_cells["how"] == "scattered cells", "share"].iloc[0]
display(
    Markdown(
        f"With all {labelled[1.0]} cells the student reaches {full.iloc[0]['mean']:.0%} of what its teacher has with colleagues "
        f"({full.iloc[0]['low']:.0%} to {full.iloc[0]['high']:.0%}). With {least:.1%} of them, a piece of every image in place of "
        f"whole images changes its ap50 by {in_words(pieces.loc['a piece of every image'])}. With {share_scattered:.0%} of them, "
        f"scattered, it reaches {scattered['min']:.0%} to {scattered['max']:.0%}, replicate by replicate: in dense tissue the "
        "unlabelled neighbours of a labelled cell stand where background is believed. Intervals are over "
        f"{trials['replicate'].nunique()} replicates."
    )
)

# %% [markdown]
# ## Measured beside published

# %% tags=["hide-input"]
sets = published_table("xiao21_section2_2")
split = published_table("xiao21_section2_2_split").set_index("part")["images"]
data_sets = "; ".join(
    f"{cohort_name(row['cohort'])} {row['samples']} images with {row['markers']} markers, {row['annotated']} of them annotated"
    for _, row in sets.iterrows()
)
display(
    Markdown(
        f"The study's data: {data_sets}. Of the first, {split['training']} images served for training, {split['validation']} for "
        f"validation and {split['test']} for testing; each of the others had a teacher of its own."
    )
)

# %% tags=["hide-input"]
cells_published = published_table("xiao21_section3_1_cells").set_index("method")
pixels_published = published_table("xiao21_section3_1_pixels").set_index("method")
iou = published_table("xiao21_section3_1_iou").set_index("method")
printed = {
    "F1 of border pixels": (pixels_published.loc["Dice-XMBD", "f1"], "pixel_f1"),
    "Jaccard index of border pixels": (
        pixels_published.loc["Dice-XMBD", "jaccard"],
        "pixel_jaccard",
    ),
    "precision of cells": (cells_published.loc["Dice-XMBD", "precision"], "precision"),
    "recall of cells": (cells_published.loc["Dice-XMBD", "recall"], "recall"),
    "F1 of cells": (cells_published.loc["Dice-XMBD", "f1"], "f1"),
    "mean IoU of matched cells": (iou.loc["Dice-XMBD", "mean_iou"], "iou"),
}
beside = {name: {"published, with its teacher": value} for name, (value, _) in printed.items()}
beside["median IoU of matched cells"] = {
    "published, with its teacher": iou.loc["Dice-XMBD", "median_iou"]
}
beside["Pearson's r of counts"] = {
    "published, with its teacher": published_table("xiao21_section3_1_counts")["r"].iloc[0]
}
for key in references if learned else []:
    name = f"student with: {rater_name(key)}"
    own = mine[mine["reference"] == key]
    for score, (_, column) in printed.items():
        beside[score][name] = own[column].mean()
    for score, table, column in (
        ("median IoU of matched cells", spread, "q50"),
        ("Pearson's r of counts", counts, "r"),
    ):
        of = table[(table["model"] == student) & (table["reference"] == key)]
        beside[score][name] = of[column].sum(min_count=1)
beside = pd.DataFrame(beside).T.rename_axis("score").reset_index()
show_table(
    beside,
    label="tab-distillation-published",
    caption="Dice-XMBD on 100 images of BRCA1, as published, beside this edition's student: another network, other images. Means "
    "over images, the median over cells; r over the images of all cohorts.",
)

# %% tags=["hide-input"]
precision, recall = (cells_published.loc["Dice-XMBD", name] for name in ("precision", "recall"))
implied = 2 * precision * recall / (precision + recall)
sentence = (
    f"The published precision and recall give an F1 of {implied:.3f}, and {cells_published.loc['Dice-XMBD', 'f1']:.3f} is printed. A mean "
    "of F1 over images can be lower than the F1 of mean precision and mean recall, never higher, so means over images may explain it."
)
if learned:
    two = f1_in_two_ways(rows[(rows["model"] == student) & (rows["reference"] == teacher)])
    sentence += (
        f" Here, over all cohorts, the student's mean F1 with its teacher is {two['mean of F1']:.3f}, and the F1 of the means {two['F1 of means']:.3f}: "
        f"{two['F1 of means'] - two['mean of F1']:.3f} apart, where the study's are {implied - cells_published.loc['Dice-XMBD', 'f1']:.3f} "
        "apart."
    )
display(Markdown(sentence))

# %% tags=["hide-input"]
last_step = pd.read_csv(shipped("benchmarks/results") / "dice_last_step.csv")
show_table(
    last_step[["step", "crops", "ap50", "lowest_ap50", "cells", "found"]].rename(
        columns={"lowest_ap50": "lowest ap50", "cells": "cells published"}
    ),
    label="tab-distillation-last-step",
    caption="The study's last step, from maps to cells, as programmed here, on the ten crops whose maps and masks its authors "
    "published: ap50 with their masks, mean and lowest of the crops. Settings were tuned on the first five by name. Real tissue; "
    f"measured once ({last_step['versions'].iloc[0]}; {last_step['date'].iloc[0]}). The maps are read, not redistributed.",
)

# %% tags=["hide-input"]
variants = pd.read_csv(shipped("benchmarks/results") / "dice_variants.csv")
by_way = variants.groupby(["tissue", "learned", "sees"], sort=False)[["ap50_teacher", "ap50_truth"]]
show_table(
    by_way.mean()
    .reset_index()
    .rename(
        columns={
            "tissue": "cohort",
            "learned": "learned on planes of the",
            "sees": "sees planes of the",
            "ap50_teacher": "ap50 with teacher",
            "ap50_truth": "ap50 with truth",
        }
    ),
    label="tab-distillation-variants",
    caption="The paper and the program merge channels differently: the paper stretches each and averages, the program adds them up "
    f"and stretches the sum. Students of the same teachers, means over {variants['seed'].nunique()} seeds with "
    f"{variants.groupby('tissue')['sample'].nunique().min()} images of each tissue, too few to say which is better. Synthetic, measured once ({variants['device'].iloc[0]}; "
    f"{variants['versions'].iloc[0]}; {variants['date'].iloc[0]}).",
)

# %% tags=["hide-input"]
others = published_table("xiao21_section3_1_cells").set_index("method")["f1"].drop("Dice-XMBD")
classical = [
    name
    for name in ("distance", "watershed", "propagation")
    if len(here) and name in set(here["model"])
]
if classical and other:
    ours = (
        here[here["model"].isin(classical)].groupby(["model", "reference"], sort=False)["f1"].mean()
    )
    listed = "; ".join(
        f"{rater_name(name)} {ours[name, teacher]:.2f} and {ours[name, other]:.2f}"
        for name in classical
    )
    sentence = (
        f"The study's CellProfiler has an F1 of about {others['CellProfiler']:.2f} with the teacher's masks, and Mesmer one of "
        f"{others['Mesmer']:.3f}, which is also a matter of where each draws borders. Here, with the teacher and with {judge}: {listed}."
    )
    if "distance" in classical:
        theirs = pixels_published.loc["CellProfiler distance"]
        grown = here[(here["model"] == "distance") & (here["reference"] == teacher)]
        sentence += (
            f" Of border pixels, its distance method has a recall of {theirs['recall']:.2f} and a precision of {theirs['precision']:.2f}; "
            f"here, with the teacher, {grown['pixel_recall'].mean():.2f} and {grown['pixel_precision'].mean():.2f}."
        )
    display(Markdown(sentence))

# %% [markdown]
# ## What this does not show
#
# - Dice-XMBD itself: its weights and its teacher's labels were not published. Students here are small and briefly
#   trained, once each.
# - Days of an expert's work. The annotator is simulated, and the phantom's cells are easier to find than real ones.
# - A new teacher for each cohort, as the study had: one teacher is carried over to the other tissues here.
# - Accuracy in real tissue, where the reference is a person or a tool and not the truth.

# %% tags=["remove-cell"]
assert set(errors["trial"]) >= {SLIPS, f"{SLIPS}, four people", HABIT}
assert part_of_cells.groupby(["replicate", "sample"])["trial"].size().eq(len(reached)).all(), (
    "all students of a replicate are scored on the same images"
)
if home:
    assert (rows["model"] != rows["reference"]).all(), "nobody is scored with their own mask"
    shares = [*PIXELS, *CELLS, "precision_50", "recall_50", "f1_50", "jaccard_50"]
    assert rows[shares].min().min() >= 0 and rows[shares].max().max() <= 1
    assert (rows["oversplit"] + rows["merged"] <= 1 + 1e-9).all()
    by_jaccard = 2 * rows["jaccard"] / (1 + rows["jaccard"])
    assert (by_jaccard - rows["f1"]).abs().max() < 1e-9
    assert len(spread.columns) == 5 + len(QUANTILES)
if learned:
    assert two["mean of F1"] <= two["F1 of means"] + 1e-9, "the harmonic mean is concave"

# %% [markdown]
# ## Takeaways
#
# - Ask whose masks a score was computed with. Masks made by the same software as the training labels measure imitation.
# - A network smooths over what a teacher does now this way, now that, and learns what the teacher always does.
# - Agree on where borders go before teaching anyone, software included.
# - A high correlation of counts, or of profiles of matched cells, says little about the cells that were lost.
