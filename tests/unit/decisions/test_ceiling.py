"""What masks bound, what they estimate and what they never tell, on cases that one can know."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imc_helpers.data.raters import Rater
from imc_helpers.decisions.ceiling import (
    against_annotators,
    attained,
    bounds,
    identifiable,
    misfit,
    over_images,
    supposed_score,
    truth_score,
)
from imc_helpers.decisions.distances import mask_distances
from imc_helpers.decisions.powered import powered_mean
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate


def cells(*ids):
    labels = np.zeros((4, 8), np.uint32)
    for i in ids:
        labels[2 * (i // 4) : 2 * (i // 4) + 2, 2 * (i % 4) : 2 * (i % 4) + 2] = i + 1
    return labels


class Drawn:
    """Who drew what, for what asks no more of a cohort."""

    name = "drawn"

    def __init__(self, masks):
        self.masks = {sample: dict(own) for sample, own in masks.items()}
        self.ids = tuple(masks)
        names = dict.fromkeys(name for own in masks.values() for name in own)
        self.raters = tuple(Rater(name) for name in names)
        self.references = tuple(names)

    def references_of(self, sample):
        return tuple(self.masks[sample])

    def read_mask(self, sample, name):
        return self.masks[sample][name]


def design(*images):
    """Let a letter stand for a person who drew an image."""
    return Drawn({f"s{k}": dict.fromkeys(who, cells(0)) for k, who in enumerate(images)})


@pytest.mark.parametrize(
    ("cohort", "yes"),
    [
        (design("a"), 0),
        (design("ab"), 3),
        (design("abc"), 5),
        (design("abcd"), 6),
        (design("ab", "bc", "ca"), 4),  # nobody made a consensus of two others for a third
        (design("ab", "bc", "cd", "da"), 3),  # a ring of four does not tell whose error is whose
        (design("ab", "ac", "ad", "bc", "bd"), 5),  # two of four people an image
        (design("abc", "def"), 4),
    ],
)
def test_what_a_design_can_tell(cohort, yes):
    found = identifiable(cohort)
    assert found["identifiable"].sum() == yes
    assert not found["identifiable"].iloc[-2:].any(), "shared errors and the truth's score, never"
    assert found["because"].str.len().min() > 0


def test_a_design_in_pieces_says_which_images_to_add():
    why = identifiable(design("abc", "def")).set_index("question")["because"]
    assert "no image links a, b, c with d, e, f" in why["How much does each of them err?"]


def test_bounds_by_hand():
    masks = {"a": cells(0, 1, 2, 3), "b": cells(2, 3, 4, 5), "m": cells(2, 3)}
    distances = mask_distances(masks, ["a", "b"]).assign(sample="s")
    found = bounds(distances, ["a", "b"]).iloc[0]
    assert found[["agreement", "bound", "distance"]].tolist() == pytest.approx(
        [1 / 3, 2 / 3, 1 / 2]
    )
    model = against_annotators(distances, ["a", "b"]).iloc[0]
    assert model["rater"] == "m"
    assert model["soft_ap"] == pytest.approx(1 / 2), "2 of 4 cells, with each"


def pairs_of(errors, **others):
    """Let distances be sums of errors, but for some pairs."""
    names = list("abcd")
    rows = [
        ("s", one, two, others.get(one + two, errors[i] + errors[j]))
        for i, one in enumerate(names)
        for j, two in enumerate(names)
        if i < j
    ]
    return pd.DataFrame(rows, columns=["sample", "rater_true", "rater_pred", "distance"])


def test_misfit_shows_people_who_err_alike():
    errors = [0.1, 0.2, 0.05, 0.3]
    assert misfit(pairs_of(errors), "abcd") == pytest.approx(0, abs=1e-12)
    # a and b, and c and d, share what is .08 of their distance; by symmetry each error takes on a
    # part of it, and of six residuals two are -2/3 of .08 and four are 1/3 of it.
    alike = misfit(pairs_of([0.2] * 4, ab=0.32, cd=0.32), "abcd")
    assert alike == pytest.approx(0.08 * np.sqrt((2 * (2 / 3) ** 2 + 4 * (1 / 3) ** 2) / 2))
    assert np.isnan(misfit(pairs_of(errors), "abc")), "three pairs of three people"
    assert np.isnan(misfit(pairs_of(errors), "ab"))


def test_means_over_images():
    rows = pd.DataFrame({"sample": list("stst"), "rater": list("mmnn"), "soft_ap": [0, 1, 2, 2]})
    found = over_images(rows, "soft_ap").set_index("rater")
    assert found["value"].to_dict() == {"m": 0.5, "n": 2}
    assert found.loc["m", "low"] < 0
    assert found.loc["m", "high"] > 1
    assert found.loc["n", "low"] == found.loc["n", "high"] == 2
    assert over_images(rows.iloc[::2], "soft_ap")["low"].isna().all(), "one image"
    assert over_images(rows[:0], "soft_ap").empty


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint32, (4, 5, 5), elements=st.integers(0, 4)))
def test_no_mask_scores_above_the_bound(masks):
    named = dict(zip("abcm", masks, strict=True))
    distances = mask_distances(named, list("abc")).assign(sample="s")
    bound = bounds(distances, list("abc"))["bound"].iloc[0]
    assert against_annotators(distances, list("abc"))["soft_ap"].iloc[0] <= bound + 1e-12


def test_ap_at_a_threshold_has_no_such_bound():
    def disc(pixels):
        labels = np.zeros((1, 250), np.uint32)
        labels[0, :pixels] = 1
        return labels

    small, middle, large = disc(100), disc(160), disc(250)
    assert evaluate(small, large).ap50 == 0
    assert evaluate(middle, small).ap50 == evaluate(middle, large).ap50 == 1


def test_what_a_consensus_reaches_with_the_person_left_out():
    few, more = cells(0, 1), cells(0, 1, 2)
    cohort = Drawn({"s": {"a": few, "b": few, "c": more}, "t": {"a": few, "b": few}})
    found = attained(cohort).set_index("left_out")
    assert set(found["sample"]) == {"s"}, "two others at least make a consensus"
    assert found["ap50"].to_dict() == {"a": 1, "b": 1, "c": pytest.approx(2 / 3)}
    assert found.loc["a", "ap50_person"] == pytest.approx((1 + 2 / 3) / 2)


def test_the_truths_score_is_a_powered_mean_over_crops():
    rng = np.random.default_rng(0)
    pairs = pd.Series(rng.random(40), index=[("s", k) for k in range(40)])
    truth = 0.2 + 0.5 * pairs + 0.05 * rng.standard_normal(40)
    known = truth.iloc[::5]
    found = truth_score(pairs, known)
    assert found == powered_mean(known, pairs.iloc[::5], pairs)
    assert found.value == pytest.approx(truth.mean(), abs=0.05)
    with pytest.raises(InputError, match="none of the 8 crops"):
        truth_score(pairs.iloc[::5], truth)


def test_a_supposed_correlation():
    assert supposed_score(0.3, 0) == pytest.approx(0.85), "halving"
    assert supposed_score(0.3, 0.5) == pytest.approx(0.7)
    with pytest.raises(InputError, match="0 to below 1"):
        supposed_score(0.3, 1)
