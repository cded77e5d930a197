"""Imperfect labels: what is learned, what is kept apart, and scores of maps that are known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.experiments import students
from imc_helpers.experiments.imperfect_labels import (
    DIM_FIRST,
    NUCLEAR,
    WAYS,
    Labels,
    Tissue,
    Trained,
    Training,
    averaged_in_ways,
    bootstrapped,
    changes,
    cost_in_words,
    divided,
    made_samples,
    packed,
    score,
    surely_lost,
    train,
    unpacked,
)
from imc_helpers.images.imperfect_masks import interior
from imc_helpers.models.training.patches import cut
from imc_helpers.phantom.recipes import find_recipe, make_sample

TINY = Training(base=2, patch_px=64, epochs=1, batch=2)


@pytest.fixture(scope="module")
def tissue():
    return divided(["phantom_rendeiro21"], 8, 100, seed=40_000)


@pytest.fixture(scope="module")
def trained(tissue):
    return train(tissue, Labels(0.9, 9), TINY)


class Known(Trained):
    """Its maps are what they are said to be."""

    def maps(self, image):
        return self.network


def known(maps):
    return Known(maps, pd.DataFrame(), 64, 0, 0, 0.0)


def test_made_tissue_is_a_recipe_s():
    (made,) = made_samples("phantom_rendeiro21", 1, 100, 7).values()
    same = make_sample(find_recipe("phantom_rendeiro21"), (100, 100), 7, "x")
    assert np.array_equal(made.image, same.image)
    assert np.array_equal(made.masks["truth"], same.masks["truth"])


def test_images_of_both_tissues_are_learned_from_and_one_is_scored():
    both = divided(["phantom_rendeiro21", "phantom_ali20"], 8, 100, seed=3)
    alone = divided(
        ["phantom_rendeiro21", "phantom_ali20"], 8, 100, seed=3, learn_from=["phantom_rendeiro21"]
    )
    assert len(both.split.train) == 2 * len(alone.split.train)
    assert all("rendeiro" in name for name in alone.split.train + alone.split.validation)
    assert all("ali20" in name for name in alone.split.test + both.split.test)
    assert both.split.test == alone.split.test


def test_what_is_learned_is_what_was_left_of_the_labels(tissue, trained):
    whole = sum(len(np.unique(tissue.labels(name))) - 1 for name in tissue.split.train)
    assert trained.labelled == pytest.approx(0.1 * whole, abs=len(tissue.split.train))
    assert 0 < trained.deleted < trained.labelled
    assert set(trained.targets) == {*tissue.split.train, *tissue.split.validation}
    share = np.mean([target[0].sum() for target in trained.targets.values()])
    assert share < 0.3 * np.mean([(tissue.labels(name) > 0).sum() for name in trained.targets])


def test_validation_keeps_its_labels_where_asked_to(tissue):
    kept = train(tissue, Labels(0.9, whole_validation=True), TINY)
    (name,) = tissue.split.validation
    assert np.array_equal(kept.targets[name][0], tissue.labels(name) > 0)


def test_dim_cells_go_first(tissue):
    name = tissue.split.train[0]
    true, light = tissue.labels(name), tissue.nucleus(name)
    left, _ = Labels(0.5, order=DIM_FIRST).of(true, light, seed=0)
    gone = np.where(left == 0, true, 0)
    assert light[left > 0].mean() > light[gone > 0].mean()


def test_bootstrapping_keeps_labels_and_adds_what_was_found(tissue, trained):
    first = Known(np.zeros((2, 100, 100)), trained.curve, 64, 5, 0, 0.0, trained.targets)
    (same,) = bootstrapped(tissue, first, TINY, 1)
    assert all(np.array_equal(same.targets[k], trained.targets[k]) for k in trained.targets)
    first = Known(np.ones((2, 100, 100)), trained.curve, 64, 5, 0, 0.0, trained.targets)
    (full,) = bootstrapped(tissue, first, TINY, 1, whole_validation=True)
    assert all(full.targets[name].all() for name in tissue.split.train)
    (name,) = tissue.split.validation
    assert np.array_equal(full.targets[name], trained.targets[name])


def test_true_maps_are_scored_one_as_pixels_and_less_as_pieces(tissue):
    name = tissue.split.test[0]
    one = Tissue(tissue.samples, type(tissue.split)(("a",), ("b",), (name,)))
    true = tissue.labels(name)
    (row,) = score(known(np.stack([true > 0, interior(true)]).astype(float)), one).to_dict(
        "records"
    )
    perfect = ("dice", "jaccard", "precision", "recall", "specificity", "soft_dice", "patch_dice")
    assert [row[key] for key in perfect] == [1] * len(perfect)
    assert row["ap50_interiors"] > 0.9
    assert row["ap50_pieces"] < 0.5, "touching cells are one piece"
    assert row["cells"] == len(np.unique(true)) - 1


def test_an_empty_map_scores_nothing_and_breaks_nothing(tissue):
    rows = score(known(np.zeros((2, 100, 100))), tissue)
    assert set(rows["sample"]) == set(tissue.split.test)
    assert (rows["dice"] == 0).all()
    assert rows["precision"].isna().all()
    assert all((rows[f"found_{way}"] == 0).all() for way in WAYS)


def test_a_network_s_maps_are_probabilities(tissue, trained):
    maps = trained.maps(tissue.image(tissue.split.test[0]))
    assert maps.shape == (2, 100, 100)
    assert ((maps >= 0) & (maps <= 1)).all()


def test_ways_of_averaging_by_hand():
    """Two images of 10 and 30 cell pixels, found with Dice 1 and 1/2."""
    rows = pd.DataFrame(
        {"tp": [10, 15], "fp": [0, 15], "fn": [0, 15], "tn": [0, 0], "dice": [1, 0.5],
         "jaccard": [1, 1 / 3], "precision": [1, 0.5], "recall": [1, 0.5], "soft_dice": [0.8, 0.4],
         "patch_dice": [0.9, 0.3]}
    )  # fmt: skip
    found = list(averaged_in_ways(rows).values())
    assert found == pytest.approx([50 / 80, 0.75, 0.6, 0.6, 2 * (2 / 3) / (5 / 3), 0.75])


def test_trials_are_compared_image_by_image():
    rows = pd.DataFrame(
        {"sample": list("abcabc"), "trial": ["x"] * 3 + ["y"] * 3, "dice": [1, 2, 3, 1.5, 2.5, 3.5]}
    )
    (row,) = changes(rows, "trial", "x", "dice").to_dict("records")
    assert (row["trial"], row["mean"], row["low"], row["high"]) == ("y", 0.5, 0.5, 0.5)


def test_impossible_wishes_are_refused(tissue):
    with pytest.raises(InputError, match="expected 'at random' or 'dim first'"):
        Labels(order="bright first")
    with pytest.raises(InputError, match="no masks of 'nobody'"):
        Tissue(tissue.samples, tissue.split, "nobody").labels(tissue.split.test[0])
    with pytest.raises(InputError, match="no cell is labelled"):
        train(tissue, Labels(1.0), TINY)


def test_channels_of_a_real_panel_under_their_own_names():
    panel = Panel(
        tuple(
            Channel(metal, name, kind)
            for metal, name, kind in (
                ("Ir191", "DNA1", "nucleus"),
                ("Ir193", "DNA3", "nucleus"),
                ("Nd143", "VIM", ""),
                ("Tm169", "CollagenI", ""),
                ("Er170", "CD3", ""),
                ("Yb176", "HistoneH3", ""),
            )
        )
    )
    markers, nuclear = students.lung_channels(panel)
    assert markers == ("DNA1", "DNA3", "VIM", "CollagenI", "HistoneH3")
    assert nuclear == ("DNA1", "DNA3")
    assert set(NUCLEAR) == {"DNA1", "DNA2"}


def test_students_are_carried_over_and_meet_those_that_learned_there(monkeypatch):
    """Channels are matched by spelling; nobody is scored on what it learned from."""
    ours = Panel((Channel("Ir191", "DNA1", "nucleus"), Channel("Yb176", "HistoneH3")))
    theirs = Panel((Channel("PIN", "PIN"), Channel("H3", "H3", "nucleus")))
    cohorts = {
        "spleen": Opened(ours, ("a", "b", "c", "d"), ("tool1", "tool2"), 130),
        "pancreas": Opened(theirs, ("x", "y", "z"), ("published",), 100),
    }
    seen = []
    monkeypatch.setattr(students, "open_cohort", cohorts.get)
    monkeypatch.setattr(students, "train", lambda tissue, *_, **__: seen.append(tissue))
    monkeypatch.setattr(
        students,
        "score",
        lambda _, tissue, raters: pd.DataFrame({"sample": tissue.split.test, "rater": raters[0]}),
    )
    monkeypatch.setattr(
        students, "cohort_record", lambda _: SimpleNamespace(synthetic=False, raters={"one": None})
    )
    assert students.elsewhere("spleen", cohorts) == "pancreas"
    assert students.shared_channels(ours, theirs) == {"HistoneH3": "H3"}
    assert not students.shared_channels(theirs, Panel((Channel("H3", "H3"),)))
    rows = students.carried_over("spleen", "pancreas", TINY)
    assert rows.groupby(["learned_on", "teacher"])["sample"].nunique().eq(3).all()
    assert set(rows["rater"]) == {"published"}
    assert [tissue.rater for tissue in seen] == ["tool1", "tool2", *["published"] * 3]
    for tissue in seen:
        left_out = {name.split(",")[0] for name in tissue.split.test}
        assert not left_out & {
            name.split(",")[0] for name in (*tissue.split.train, *tissue.split.validation)
        }
        # Three images of nine patches at home; one of four patches abroad, met again and again.
        patches = sum(len(cut(tissue.image(name), 64)) for name in tissue.split.train)
        assert patches == pytest.approx(27, abs=2)
        assert tissue.markers == tissue.nuclear == ("HistoneH3",)


class Opened:
    """A cohort of images of one size."""

    def __init__(self, panel, ids, references, side):
        self.panel, self.ids, self.references = panel, ids, references
        self._side = side

    def references_of(self, _):
        return self.references

    def read(self, name):
        rng = np.random.default_rng(ord(name))
        image = rng.random((len(self.panel), self._side, self._side), np.float32)
        cells = np.ones((self._side, self._side), np.uint32)
        return Sample(name, image, self.panel, 1.0, dict.fromkeys(self.references, cells))


def test_what_a_student_inherits_by_hand():
    rows = pd.DataFrame(
        [(t, s, r, d) for t, s, r, d in (
            ("A", "1", "A", 0.9), ("A", "1", "B", 0.7), ("A", "2", "A", 0.8), ("A", "2", "B", 0.6),
            ("B", "1", "A", 0.7), ("B", "1", "B", 0.7), ("B", "2", "A", 0.5), ("B", "2", "B", 0.5),
        )],
        columns=["teacher", "sample", "rater", "dice"],
    )  # fmt: skip
    found = students.inherited(rows, {"dice": "Dice"}).set_index("rater")["mean"]
    assert found["A"] == pytest.approx(0.25)
    assert found["B"] == pytest.approx(-0.05)


def test_a_phantom_has_no_two_teachers():
    assert not students.has_two_teachers("phantom_lymphoid")


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (-0.3, -0.2, "already too few"),
        (-0.15, 0.02, "cannot say"),
        (-0.05, -0.01, "at little cost"),
        (-0.05, 0.01, "at little or no cost"),
    ],
)
def test_what_half_of_the_labels_cost_in_words(low, high, says):
    lost = pd.DataFrame(
        {"mean": [(low + high) / 2, -0.5], "low": [low, -0.8], "high": [high, -0.2]},
        index=["50%", "95%"],
    )
    said = cost_in_words(lost, 0.1)
    assert says in said and "-0.500 (-0.800 to -0.200) with 95%" in said
    assert surely_lost(lost, 0.1) == (["50%", "95%"] if high < -0.1 else ["95%"])
    unsure = cost_in_words(lost.assign(high=0.0), 0.1)
    assert "no other share" in unsure and "95% missing it may" in unsure


def test_many_shares_are_named_by_their_ends():
    shares = ["50%", "75%", "80%", "85%", "90%"]
    lost = pd.DataFrame({"mean": -0.05, "low": -0.2, "high": 0.1}, index=shares)
    assert "but with 75% to 90% missing it may" in cost_in_words(lost, 0.1)
    lost.loc["80%", "low"] = -0.06
    assert "but with 75%, 85%, 90% missing it may" in cost_in_words(lost, 0.1)


def test_a_mask_is_written_and_read():
    mask = np.random.default_rng(0).random((5, 16)) < 0.5
    assert packed(np.array([[0, 0, 0, 0, 1, 0, 0, 1]])) == ["09"]
    assert np.array_equal(unpacked(packed(mask)), mask)
