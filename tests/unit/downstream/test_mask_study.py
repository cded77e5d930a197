"""Everyone's masks of a small phantom: the tables of the page on biology."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from imc_helpers.data.raters import TRUTH, Rater
from imc_helpers.data.samples import Cohort
from imc_helpers.data.writers import write_cohort
from imc_helpers.downstream import mask_sets
from imc_helpers.downstream.conclusions import Verdict, judge
from imc_helpers.downstream.mask_study import (
    ALL,
    MATCHED,
    against_truth,
    can_compare,
    contact_table,
    exchange_parts,
    first_to_study,
    graph_table,
    off_reference,
    pair_table,
    quantity_shares,
    reference_profiles,
    study_masks,
    surely_wrong,
)
from imc_helpers.downstream.profiles import profile_agreement
from imc_helpers.downstream.typed_masks import RULES, find_rule, type_masks
from imc_helpers.errors import InputError
from imc_helpers.phantom.recipes import find_recipe, make_sample

RATERS = [Rater("annotator1"), Rater("annotator2"), Rater(TRUTH, "truth")]


def merged(labels):
    """Join pairs of cells with ids 4k + 1 and 4k + 2, wherever they lie."""
    return np.where(labels % 4 == 2, labels - 1, labels)


def written(folder, second):
    """Write a phantom of three images; the first annotator has the truth, the second `second`."""
    recipe = find_recipe("phantom_phenotypes")
    samples = []
    for seed in range(3):
        sample = make_sample(recipe, (110, 110), seed, f"image{seed}")
        cells = sample.masks[TRUTH]
        masks = {"annotator1": cells, "annotator2": second(cells), TRUTH: cells}
        samples.append(replace(sample, masks=masks, nuclei={}))
    write_cohort(folder, samples)
    return Cohort(folder, raters=RATERS)


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    cohort = written(tmp_path_factory.mktemp("alike") / "phantom", lambda cells: cells)
    return study_masks(cohort, ())


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    cohort = written(tmp_path_factory.mktemp("apart") / "phantom", merged)
    return study_masks(cohort, ())


def test_the_same_mask_twice_changes_nothing(alike):
    profiles = reference_profiles(alike.cohort, alike.samples, points=300)
    agreed = profile_agreement(profiles).drop(columns="channel")
    assert agreed.to_numpy() == pytest.approx(1)
    shares = quantity_shares(alike, profiles, draws=20)
    assert shares["mask"].dropna().max() == 0
    assert shares["masks"].dropna().max() == pytest.approx(0, abs=1e-12)
    assert (exchange_parts(alike).drop(columns="name").fillna(0) == 0).all(axis=None)
    assert (graph_table(alike)["between masks"] == 0).all()
    assert (pair_table(alike.cohort, alike.samples)["ap50"] == 1).all()
    verdicts = judge(alike.of(ALL), alike.raters)
    assert Verdict.CHANGED not in set(verdicts["verdict"])
    fractions = verdicts[verdicts["kind"] == "fraction"]
    assert set(fractions["verdict"]) == {Verdict.SAME}
    assert against_truth(alike)["bias"].abs().max() == 0


def test_matched_cells_are_fewer_and_counted_apart(apart):
    both, all_cells = apart.of(MATCHED), apart.of(ALL)
    assert set(both["rater"]) == set(apart.raters)
    assert set(all_cells["rater"]) == {*apart.raters, TRUTH}
    table = contact_table(apart, "image0", "B", "B").set_index(["rater", "cells"])
    for rater in apart.raters:
        assert table.loc[(rater, MATCHED), "n B"] <= table.loc[(rater, ALL), "n B"]
    assert len(apart.matched["image0"]) < len(apart.typed.masks["annotator1"]["image0"].types)
    assert table.loc[("annotator1", ALL), "observed"] == table.loc[(TRUTH, ALL), "observed"]


def test_shares_sum_to_one_and_a_merging_mask_has_some(apart):
    profiles = reference_profiles(apart.cohort, apart.samples, points=300)
    shares = quantity_shares(apart, profiles, draws=20)
    parts = shares[["image", "cell", "mask", "image × mask", "cell × mask"]]
    known = parts.dropna(how="all")
    assert known.fillna(0).sum(axis=1).to_numpy() == pytest.approx(np.ones(len(known)))
    density = shares[(shares["kind"] == "density") & (shares["cells"] == ALL)]
    assert density["mask"].max() > 0.2
    assert pair_table(apart.cohort, apart.samples)["in one only"].max() == 0, "pixels stay covered"


def test_off_the_truth(apart, monkeypatch):
    models = []
    monkeypatch.setattr(mask_sets, "find_models", lambda _, keys, mode: models.extend(keys) or {})
    rows, by_name = off_reference(apart.cohort, "annotator1", graph="radius")
    assert set(rows["reference"]) == {TRUTH}
    assert (rows[["fractions_off", "contacts_off"]] == 0).all(axis=None)
    rows, by_name = off_reference(apart.cohort, "annotator2", graph="nearest", rule="gates")
    assert (rows["fractions_off"] > 0).all()
    assert "B cell" in by_name.index
    with pytest.raises(InputError, match="no masks of 'nobody'"):
        off_reference(apart.cohort, "nobody", graph="radius")
    assert not models, "points of the sweep wait for no model, and their plan names none"


def test_every_rule_types_every_cell(apart):
    cohort = apart.cohort
    assert find_rule(cohort) == "regression"
    masks = {r: {"image0": cohort.read_mask("image0", r)} for r in apart.raters}
    for rule in RULES:
        typed = type_masks(cohort, masks, rule)
        for own in typed.masks.values():
            assert set(own["image0"].types) <= set(typed.names)
    with pytest.raises(InputError, match="expected one of regression, gates, clusters"):
        type_masks(cohort, masks, "guess")


def test_one_mask_cannot_be_compared(apart, tmp_path):
    alone = Cohort(apart.cohort.folder, raters=RATERS[:1])
    assert not can_compare(alone)
    assert first_to_study({"alone": alone}) == ""
    assert first_to_study({"alone": alone, "both": apart.cohort}) == "both"
    with pytest.raises(InputError, match="no image with masks of two"):
        study_masks(alone, ())
    with pytest.raises(InputError, match="graph 'web'"):
        study_masks(apart.cohort, (), graph="web")


def test_what_all_masks_have_wrong_is_wrong_in_the_same_direction():
    def rows(name, *ends):
        return [
            {"kind": "contact", "name": name, "bias": (low + high) / 2, "low": low, "high": high}
            for low, high in ends
        ]

    biased = pd.DataFrame(
        [
            *rows("more", (0.5, 1.5), (1.5, 2.5)),
            *rows("less", (-2, -0.1), (-3, -1)),
            *rows("either way", (1, 2), (-2, -1)),
            *rows("one unsure", (1, 2), (-0.1, 2)),
            *rows("one image", (np.nan, np.nan), (np.nan, np.nan)),
        ]
    )
    wrong = surely_wrong(biased, "contact")
    assert list(wrong.index) == ["more", "less"]
    assert wrong.loc["more"].tolist() == [2, 4]
    assert surely_wrong(biased, "fraction").empty
    assert surely_wrong(biased.iloc[:0], "contact").empty
