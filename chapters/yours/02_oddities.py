# ---
# jupyter:
#   imc_book:
#     own: true
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
# # What is odd about your folder
#
# **Which files could not be used, what looks wrong in the others, and what should you do about it?**

# %% tags=["parameters"]
edition: str = "demo"  # edition of the book: a file in editions/
most: int = 12  # pictures, at most

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

from imc_helpers.data.lab_folder.preparation import read_oddities
from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import results_dir
from imc_helpers.data.readers.published import open_cohort
from imc_helpers.figures.names import counted, source_note
from imc_helpers.figures.oddity_pictures import oddity_examples, oddity_pictures
from imc_helpers.figures.page import answer, show, show_table

record = load_edition(edition)
cohorts = {key: open_cohort(key) for key in record.cohorts}
odd = pd.concat(
    [read_oddities(cohort.folder).assign(cohort=key) for key, cohort in cohorts.items()],
    ignore_index=True,
)
odd["used"] = odd["used"].astype(bool)
odd.to_csv(results_dir(edition, "answer") / "oddities.csv", index=False)
left = odd[~odd["used"]]
images = sum(len(cohort) for cohort in cohorts.values())
answer(
    (
        f"{counted(len(left), 'file')} could not be used ({', '.join(left['what'].unique())})"
        if len(left)
        else "Every file that was found could be used"
    )
    + f", and the study continues with {counted(images, 'image')}. There {'is' if odd['used'].sum() == 1 else 'are'} "
    f"{counted(int(odd['used'].sum()), 'remark')} about files that are used."
)

# %% tags=["hide-input"]
data = source_note(cohorts)
examples = oddity_examples(cohorts, odd, most=most)
if examples:
    show(
        partial(oddity_pictures, examples),
        label="fig-oddities",
        caption="One example of each oddity that can be shown: the outlines of the mask (blue) on the nuclei (grey), or "
        f"the file alone if it does not fit its image. {data}",
        alt="Crops of tissue with the outlines of masks, one for each kind of oddity.",
    )
else:
    display(Markdown("*No oddity was found that could be shown in a picture.*"))

# %% [markdown]
# ## Everything that was found

# %% tags=["hide-input"]
table = odd.sort_values("used", kind="stable").groupby(
    ["cohort", "what", "rater", "used"], sort=False, as_index=False
)
table = table.agg(
    times=("sample", "size"),
    first=("sample", "first"),
    found=("found", "first"),
    to_do=("to_do", "first"),
)
table["used"] = table["used"].map({True: "yes", False: "left out"})
table["found"] += " " + table["to_do"]
columns = {"what": "what", "found": "what was found, and what to do", "rater": "mask of"}
columns |= {"times": "times", "first": "first image", "used": "used"}
if len(table):
    show_table(
        table[list(columns)].rename(columns=columns),
        label="tab-oddities",
        caption="What looks odd: one line per defect and rater, with the first example; files that were left out come first. "
        f"`results/{edition}/answer/oddities.csv` lists every file. Nothing in your folder was changed. {data}",
    )
else:
    display(Markdown("*Nothing looked odd.*"))

# %% [markdown]
# ## What this does not show
#
# - Whether a mask is good. The checks look only for what can be seen without knowing where the cells are.
# - Shifts smaller than 2 px, and shifts of single images. A shift is reported if it is the median over the images
#   examined (at most twelve per rater).

# %% tags=["remove-cell"]
assert odd["found"].str.len().gt(0).all() and odd["to_do"].str.len().gt(0).all()

# %% [markdown]
# ## Takeaways
#
# - Correct a defect in your folder, then run `make study` and `make book` again: only what depends on it is
#   made again.
